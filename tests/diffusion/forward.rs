//! From x_0 to x_t: at once, step by step, and pixels at either end.

use super::{close, of_kind};
use noisette::diffusion::{BetaSchedule, Schedule, forward};
use noisette::rng::Rng;

#[test]
fn pixels_round_trip_and_saturate() {
    assert_eq!((forward::from_pixel(0), forward::from_pixel(255)), (-1.0, 1.0));
    for byte in 0..=255 {
        let x = forward::from_pixel(byte);
        close(f64::from(x), f64::from(byte) / 255.0 * 2.0 - 1.0, 1e-7, "a pixel");
        assert_eq!(forward::to_pixel(x), byte);
    }
    let out = [-7.0, 7.0, f32::NEG_INFINITY, f32::INFINITY, f32::NAN].map(forward::to_pixel);
    assert_eq!(out, [0, 255, 0, 255, 0]);
    assert_eq!(forward::to_pixel(0.0), 128, "127.5 goes to the even neighbour");
}

/// (√α_t, √β_t): the weights of the previous x and of fresh noise in x_t (DDPM, equation 2).
fn one_step(s: &Schedule, t: usize) -> (f64, f64) {
    (s.alpha(t).sqrt(), s.beta(t).sqrt())
}

#[test]
fn many_steps_compose_to_the_closed_form() {
    for kind in BetaSchedule::ALL {
        let s = of_kind(*kind, 200);
        let (mut signal, mut variance) = (1.0, 0.0);
        for t in 0..200 {
            let (keep, add) = one_step(&s, t);
            (signal, variance) = (keep * signal, keep * keep * variance + add * add);
            let (closed_signal, closed_noise) = forward::closed_form(&s, t);
            close(closed_signal, signal, 2e-7 * signal, "the weight of x_0");
            // α and β are rounded to f32 separately: 3e-8 a step.
            close(closed_noise * closed_noise, variance, 1e-6, "the variance of the noise");
            assert_eq!(forward::closed_form_paper(&s, t + 1), (closed_signal, closed_noise));
        }
        assert_eq!(forward::closed_form_paper(&s, 0), (1.0, 0.0));
    }
}

/// The same x_t drawn at once and step by step: mean, variance and fourth moment agree with the closed form and each other.
#[test]
fn both_roads_to_x_t_agree_in_distribution() {
    const SAMPLES: usize = 40_000;
    let (s, last, image) = (Schedule::ddpm_linear(60, 1e-4, 0.02).unwrap(), 24, 0.7_f64);
    let mut rng = Rng::new(11);
    let mut noise = |n: usize| rng.normals(n).iter().map(|&z| f64::from(z)).collect::<Vec<f64>>();
    let x_0 = vec![image; SAMPLES];
    let (mut once, mut stepwise) = (vec![0.0; SAMPLES], x_0.clone());
    forward::noised(&s, last, &x_0, &noise(SAMPLES), &mut once);
    for t in 0..=last {
        let before = stepwise.clone();
        let (keep, add) = one_step(&s, t);
        let mix = |(x, z): (&f64, f64)| keep * x + add * z;
        stepwise = before.iter().zip(noise(SAMPLES)).map(mix).collect();
    }
    let (signal, std) = forward::closed_form(&s, last);
    for (road, x_t) in [("at once", &once), ("step by step", &stepwise)] {
        let standard: Vec<f64> = x_t.iter().map(|x| (x - signal * image) / std).collect();
        let moment = |k: i32| standard.iter().map(|z| z.powi(k)).sum::<f64>() / SAMPLES as f64;
        // Five standard errors of each moment: 1, 2 and 96 are the variances of z, z² and z⁴.
        for (k, expected, variance) in [(1, 0.0, 1.0_f64), (2, 1.0, 2.0), (4, 3.0, 96.0)] {
            close(moment(k), expected, 5.0 * (variance / SAMPLES as f64).sqrt(), &format!("moment {k}, {road}"));
        }
    }
}
