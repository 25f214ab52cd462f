//! The simple loss, and every term of the bound.

use super::{close, of_kind, usual};
use noisette::diffusion::posterior::{Posterior, Reading};
use noisette::diffusion::{BetaSchedule, Prediction, Variance, forward, objective};

#[test]
fn the_simple_loss_is_a_mean_of_squares() {
    assert_eq!(objective::simple_loss(&[1.0_f32, -2.0, 0.5, 0.0], &[0.0, 0.0, 0.5, 2.0]), 9.0 / 4.0);
    assert!(objective::simple_loss(&[f64::NAN], &[0.0]).is_nan());
}

#[test]
fn kl_between_gaussians_is_the_integral() {
    let (m_1, v_1, m_2, v_2): (f64, f64, f64, f64) = (0.4, 0.3, -0.2, 0.7);
    let density = |x: f64, m: f64, v: f64| (-(x - m).powi(2) / (2.0 * v)).exp() / (std::f64::consts::TAU * v).sqrt();
    let (steps, width) = (20_000, 16.0);
    let integral: f64 = (0..steps)
        .map(|i| {
            let x = (f64::from(i) + 0.5) / f64::from(steps) * width - width / 2.0;
            let p = density(x, m_1, v_1);
            if p > 0.0 { p * (p / density(x, m_2, v_2)).ln() * width / f64::from(steps) } else { 0.0 }
        })
        .sum();
    close(objective::gaussian_kl(m_1, v_1, m_2, v_2), integral, 1e-9, "KL");
    assert_eq!(objective::gaussian_kl(0.5, 2.0, 0.5, 2.0), 0.0);
}

#[test]
fn the_bound_has_its_parts() {
    let s = usual();
    let x_0: Vec<f64> = (0..=255).map(|byte| f64::from(forward::from_pixel(byte))).collect();
    let bits = objective::bits_per_dim(objective::prior_term(&s, &x_0), x_0.len());
    assert!(bits > 0.0 && bits < 1e-4, "L_T is next to nothing: {bits} bits/dim");
    close(objective::bits_per_dim(5.0 * 3.0 * std::f64::consts::LN_2, 5), 3.0, 1e-15, "bits/dim");

    // With σ² = β̃ and the mean of equation 11, L_{t−1} is equation 12: β²/(2σ²α(1 − ᾱ))·(ε − ε_θ)².
    for t in [5, 100, 999] {
        let (x_0, epsilon, predicted) = (0.25, -0.9, -0.4);
        let mut x_t = [0.0];
        forward::noised(&s, t, &[x_0], &[epsilon], &mut x_t);
        let q = Posterior::at(&s, t);
        let read = Reading::new(Prediction::Epsilon, s.alpha_bar(t));
        let mean = q.mean(read.x0.0 * x_t[0] + read.x0.1 * predicted, x_t[0]);
        let term = objective::denoising_term(&s, t, &[x_0], &x_t, &[mean], q.variance);
        let weight = s.beta(t).powi(2) / (2.0 * q.variance * s.alpha(t) * (1.0 - s.alpha_bar(t)));
        close(term / (weight * 0.25), 1.0, 1e-3, "equation 12");
        let larger = objective::denoising_term(&s, t, &[x_0], &x_t, &[q.mean(x_0, x_t[0])], s.beta(t));
        close(larger, objective::gaussian_kl(0.0, q.variance, 0.0, s.beta(t)), 1e-12, "the variances' own cost");
    }
}

#[test]
fn the_bound_is_estimated_with_variances_that_exist() {
    for kind in [BetaSchedule::Linear, BetaSchedule::SquaredcosCapV2] {
        let s = of_kind(kind, 1000);
        for choice in [Variance::FixedSmall, Variance::FixedLarge] {
            assert!((0..1000).all(|t| objective::model_variance(&s, choice, t) > 0.0), "{kind:?} {choice:?}");
            let p = objective::timestep_proposal(&s, choice);
            close(p.iter().sum(), 1.0, 1e-12, "a distribution");
            assert!(p.len() == 999 && p.iter().all(|&p| p >= 0.5 / 999.0), "no timestep is left out");
            assert!(p[0] > p[500], "the first timesteps weigh most");
        }
        assert_eq!(objective::model_variance(&s, Variance::FixedSmall, 0), s.posterior_variance(1));
        assert_eq!(objective::model_variance(&s, Variance::FixedSmall, 7), s.posterior_variance(7));
        assert_eq!(objective::model_variance(&s, Variance::FixedLarge, 0), s.beta(0));
    }
}

#[test]
fn the_decoder_is_a_distribution_over_pixels() {
    for (mean, variance) in [(0.1, 0.01), (-1.3, 0.2), (0.999, 1e-5), (0.0, 4.0)] {
        let total: f64 = (0..=255).map(|pixel| (-objective::decoder_term(&[pixel], &[mean], variance)).exp()).sum();
        close(total, 1.0, 1e-12, "the masses of all pixels");
    }
    // A narrow bin: density times width.
    let density = (-0.5_f64 * 0.5 * 0.5 / 0.09).exp() / (std::f64::consts::TAU * 0.09).sqrt();
    let x = f64::from(forward::from_pixel(100));
    close(objective::decoder_term(&[100], &[x - 0.5], 0.09), -(density * 2.0 / 255.0).ln(), 1e-4, "the bin");
    // Twenty σ away a difference of cumulative probabilities near 1 would be 0; the tail itself is not.
    close(objective::decoder_term(&[255], &[-1.0], 0.01), 202.0, 4.0, "the upper tail");
    close(objective::decoder_term(&[0], &[1.0], 0.01), 202.0, 4.0, "the lower tail");
    assert!(objective::decoder_term(&[128; 3], &[500.0; 3], 1e-9).is_finite());
}
