//! The mathematics: identities of the schedules, two roads to x_t, diffusers' trajectories, exact sampling on Gaussian data.
#![cfg(not(target_arch = "wasm32"))]

use noisette::diffusion::posterior::{Posterior, Reading};
use noisette::diffusion::walk::{Inputs, Move, Rule, SLOTS, Walk};
use noisette::diffusion::{
    BetaSchedule, DiffusionError, Prediction, SamplerConfig, SamplerKind, Schedule, Spacing, Variance, forward,
    objective,
};
use noisette::rng::Rng;

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(found.is_finite(), "{what}: {found}");
    let error = (found - expected).abs();
    assert!(error <= tolerance, "{what}: found {found}, expected {expected}, off by {error}");
}

/// Makes a move, without anything known; `slots` holds what is remembered.
fn apply(step: &Move, [x, output, noise]: [&[f64]; 3], slots: &mut [f64], out: &mut [f64]) {
    step.apply(Inputs { x, output, noise, known: &[], mask: &[] }, slots, out);
}

fn timesteps(count: usize, config: &SamplerConfig) -> Result<Vec<usize>, DiffusionError> {
    Rule::of(config.kind).timesteps(count, config)
}

fn usual() -> Schedule {
    Schedule::ddpm_linear(1000, 1e-4, 0.02).unwrap()
}

fn of_kind(kind: BetaSchedule, count: usize) -> Schedule {
    let scale = 1000.0 / count as f64;
    Schedule::new(kind, count, 1e-4 * scale, 0.02 * scale).unwrap()
}

// ---------------------------------------------------------------------------------------------------- schedules

/// Bits of β and ᾱ, and the sum of ᾱ over all timesteps, from diffusers 0.42.1 and torch 2.15.0 on x86:
/// ```python
/// s = DDPMScheduler(num_train_timesteps=T, beta_start=1e-4*1000/T, beta_end=0.02*1000/T, beta_schedule=kind)
/// a = s.alphas_cumprod; b = s.betas
/// a[[0, 1, T//3, T//2, T-2, T-1]].numpy().view('u4'), b[[0, T//3, T//2, T-1]].numpy().view('u4'), a.double().numpy().sum()
/// ```
#[test]
fn schedules_have_the_bits_of_torch() {
    type Row = (BetaSchedule, usize, [u32; 6], [u32; 4], f64);
    #[rustfmt::skip]
    let rows: [Row; 6] = [
        (BetaSchedule::Linear, 1000,
         [0x3f7ff972, 0x3f7ff196, 0x3ea322c9, 0x3d9f53da, 0x382cbac6, 0x38294666], [0x38d1b717, 0x3bdca34c, 0x3c24d287, 0x3ca3d70a], 275.5131952870579),
        (BetaSchedule::Linear, 50,
         [0x3f7f7cee, 0x3f7ce6df, 0x3e9b211e, 0x3d60f561, 0x37588f2b, 0x3701ef81], [0x3b03126f, 0x3e07204f, 0x3e51fb92, 0x3ecccccd], 13.32570003345063),
        (BetaSchedule::ScaledLinear, 1000,
         [0x3f7ff972, 0x3f7ff2b8, 0x3f2ca0ce, 0x3ea99cd4, 0x3a442ee7, 0x3a404272], [0x38d1b717, 0x3b3dbd7e, 0x3bbc27ff, 0x3ca3d70b], 422.6557338911225),
        (BetaSchedule::ScaledLinear, 50,
         [0x3f7f7cee, 0x3f7eaa8b, 0x3f2b33c4, 0x3e93cdbd, 0x39d037cb, 0x3979dc8e], [0x3b03126f, 0x3d655bfa, 0x3df32d99, 0x3ecccccd], 20.58482104400173),
        (BetaSchedule::SquaredcosCapV2, 1000,
         [0x3f7ffd4b, 0x3f7ffa45, 0x3f3df20e, 0x3efc0cc9, 0x3622fde3, 0x3126e6c2], [0x382d2899, 0x3af05297, 0x3b4ecfb8, 0x3f7fbe77], 495.5774839997695),
        (BetaSchedule::SquaredcosCapV2, 50,
         [0x3f7f8d7a, 0x3f7e9c24, 0x3f3bd6f0, 0x3eece7ea, 0x3a7e97ac, 0x35825984], [0x3ae50cd3, 0x3d11d3b5, 0x3d81203e, 0x3f7fbe77], 24.30394255071633),
    ];
    for (kind, count, alpha_bar, beta, sum) in rows {
        let s = of_kind(kind, count);
        let bits = |value: f64| {
            assert_eq!(f64::from(value as f32), value, "an f32 value");
            (value as f32).to_bits()
        };
        let at = [0, 1, count / 3, count / 2, count - 2, count - 1];
        assert_eq!(at.map(|t| bits(s.alpha_bar(t))), alpha_bar, "{kind:?} {count}: alpha_bar");
        assert_eq!([0, count / 3, count / 2, count - 1].map(|t| bits(s.beta(t))), beta, "{kind:?} {count}: beta");
        close(s.alpha_bars().iter().sum(), sum, 1e-11, "the sum of alpha_bar");
    }
}

#[test]
fn derived_quantities_satisfy_their_definitions() {
    for kind in BetaSchedule::ALL {
        for count in [1, 2, 37, 1000] {
            let s = of_kind(*kind, count.max(21));
            for t in 0..s.timesteps() {
                // ᾱ is rounded to f32 at every timestep, hence the tolerance.
                close(s.alpha_bar(t), s.alpha_bar_before(t) * s.alpha(t), 1.3e-7 * s.alpha_bar(t), "alpha_bar");
                close(s.alpha(t), 1.0 - s.beta(t), 6e-8, "alpha");
                close(s.sqrt_alpha_bar(t).powi(2) + s.sqrt_one_minus_alpha_bar(t).powi(2), 1.0, 1e-15, "the circle");
                close(s.recip_sqrt_alpha(t).powi(2) * s.alpha(t), 1.0, 1e-14, "1/sqrt(alpha)");
                close(s.remove_noise(t) * (1.0 - s.alpha_bar(t)).sqrt(), s.beta(t), 1e-15, "beta/sqrt(1-alpha_bar)");
                close(s.sigma(t) * s.sigma(t), s.beta(t), 1e-15, "sigma");
                close(s.snr(t), s.alpha_bar(t) / (1.0 - s.alpha_bar(t)), 1e-12 * s.snr(t), "snr");
                assert!(
                    s.posterior_variance(t) < s.beta(t) && (s.posterior_variance(t) > 0.0) == (t > 0),
                    "beta tilde at {t}"
                );
                assert!(t == 0 || s.snr(t) < s.snr(t - 1), "the signal falls at {t}");
            }
        }
    }
    assert!(usual().alpha_bar(999) < 5e-5, "nothing of the image is left at T");
    let cosine = of_kind(BetaSchedule::SquaredcosCapV2, 1000);
    assert_eq!(cosine.beta(999), f64::from(0.999_f32), "the cosine schedule is capped");
    assert!(cosine.beta(998) < 0.999);
    // low·1000/T to high·1000/T: ᾱ at the end hardly depends on T.
    for count in [100, 250, 4000] {
        let ratio =
            Schedule::ddpm_linear(count, 1e-4, 0.02).unwrap().alpha_bar(count - 1).ln() / usual().alpha_bar(999).ln();
        close(ratio, 1.0, 0.12, "ln alpha_bar_T");
    }
}

#[test]
fn impossible_schedules_are_refused() {
    let new = |count, start, end| Schedule::new(BetaSchedule::Linear, count, start, end);
    assert!(matches!(new(0, 1e-4, 0.02), Err(DiffusionError::Timesteps { found: 0, .. })));
    assert!(matches!(new(usize::MAX, 1e-4, 0.02), Err(DiffusionError::Timesteps { .. })));
    for (start, end) in [
        (0.0, 0.02),
        (-1e-4, 0.02),
        (0.02, 1e-4),
        (1e-4, 1.0),
        (f64::NAN, 0.02),
        (1e-4, f64::NAN),
        (1e-4, f64::INFINITY),
    ] {
        assert!(matches!(new(1000, start, end), Err(DiffusionError::Betas { .. })), "{start} to {end}");
        assert!(Schedule::new(BetaSchedule::ScaledLinear, 10, start, end).is_err(), "{start} to {end}");
    }
    assert!(matches!(new(10, 1e-12, 1e-12), Err(DiffusionError::AlphaBar { timestep: 0, .. })), "1 - beta rounds to 1");
    assert!(matches!(new(10_000, 0.5, 0.5), Err(DiffusionError::AlphaBar { .. })), "alpha_bar underflows");
    assert!(matches!(Schedule::ddpm_linear(20, 1e-4, 0.02), Err(DiffusionError::Betas { .. })));
    assert!(Schedule::ddpm_linear(0, 1e-4, 0.02).is_err());
    assert_eq!(usual().check(999), Ok(999));
    let message = usual().check(1000).unwrap_err().to_string();
    assert_eq!(message, "a timestep of this schedule is 0 to 999, found 1000");
}

// ---------------------------------------------------------------------------------------------------- forward process

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

// ---------------------------------------------------------------------------------------------------- reverse process

#[test]
fn the_posterior_inverts_the_forward_process() {
    for kind in BetaSchedule::ALL {
        let s = of_kind(*kind, 1000);
        for (t, before) in [(1, 0), (7, 6), (500, 499), (999, 998), (999, 400), (20, 0)] {
            let (a_t, a_s) = (s.alpha_bar(t), s.alpha_bar(before));
            let q = Posterior::between(a_t, a_s);
            // Bayes for Gaussians: precisions add.
            let alpha = a_t / a_s;
            let precision = alpha / (1.0 - alpha) + 1.0 / (1.0 - a_s);
            close(q.variance * precision, 1.0, 1e-9, "variance");
            close(q.xt, alpha.sqrt() / (1.0 - alpha) / precision, 1e-9, "weight of x_t");
            close(q.x0, a_s.sqrt() / (1.0 - a_s) / precision, 1e-9, "weight of x_0");
            // Averaged over x_t given x_0, the posterior is q(x_s|x_0) again.
            close(q.x0 + q.xt * a_t.sqrt(), a_s.sqrt(), 1e-12, "mean of x_s");
            close(q.variance + q.xt * q.xt * (1.0 - a_t), 1.0 - a_s, 1e-12, "variance of x_s");
        }
        let first = Posterior::at(&s, 0);
        assert_eq!((first.x0, first.xt, first.variance), (1.0, 0.0, 0.0), "x_0 is known at the last step");
        for t in 1..1000 {
            // ᾱ rounded to f32 leaves β = 1 − ᾱ_t/ᾱ_{t−1} uncertain by 1e-7.
            close(Posterior::at(&s, t).variance, s.posterior_variance(t), 1.3e-7, "beta tilde");
            let (x_t, epsilon) = (0.6, -1.3);
            let read = Reading::new(Prediction::Epsilon, s.alpha_bar(t));
            let x_0 = read.x0.0 * x_t + read.x0.1 * epsilon;
            let tolerance = 2e-7 * (1.0 + x_0.abs()) / (1.0 - s.alpha_bar(t));
            let mean = s.recip_sqrt_alpha(t) * (x_t - s.remove_noise(t) * epsilon);
            close(mean, Posterior::at(&s, t).mean(x_0, x_t), tolerance, "equation 11 is 7 with 15");
        }
    }
}

#[test]
fn epsilon_x0_and_v_say_the_same() {
    let s = of_kind(BetaSchedule::SquaredcosCapV2, 1000);
    for t in [0, 1, 333, 900, 998] {
        let (x_0, epsilon) = (-0.4, 1.7);
        let mut x_t = [0.0];
        forward::noised(&s, t, &[x_0], &[epsilon], &mut x_t);
        let v = s.sqrt_alpha_bar(t) * epsilon - s.sqrt_one_minus_alpha_bar(t) * x_0;
        let tolerance = 1e-14 / s.sqrt_alpha_bar(t) / s.sqrt_one_minus_alpha_bar(t);
        for (prediction, output) in
            [(Prediction::Epsilon, epsilon), (Prediction::Sample, x_0), (Prediction::VPrediction, v)]
        {
            let r = Reading::new(prediction, s.alpha_bar(t));
            close(r.x0.0 * x_t[0] + r.x0.1 * output, x_0, tolerance, prediction.name());
            close(r.epsilon.0 * x_t[0] + r.epsilon.1 * output, epsilon, tolerance, prediction.name());
        }
    }
}

/// From diffusers 0.42.1:
/// ```python
/// s = DDIMScheduler(timestep_spacing=spacing, steps_offset=offset)   # or DPMSolverMultistepScheduler
/// s.set_timesteps(n); s.timesteps.tolist()
/// ```
#[test]
fn timestep_spacings_are_those_of_diffusers() {
    use SamplerKind::{Ddim, Ddpm, DpmSolverPp2M};
    use Spacing::{Leading, Linspace, Trailing};
    #[rustfmt::skip]
    let rows: [(SamplerKind, Spacing, usize, &[usize]); 18] = [
        (Ddim, Leading, 0, &[0]),
        (Ddim, Leading, 0, &[852, 710, 568, 426, 284, 142, 0]),
        (Ddpm, Leading, 1, &[901, 801, 701, 601, 501, 401, 301, 201, 101, 1]),
        (Ddim, Trailing, 0, &[999]),
        (Ddpm, Trailing, 0, &[999, 856, 713, 570, 428, 285, 142]),
        (Ddim, Trailing, 1, &[999, 899, 799, 699, 599, 499, 399, 299, 199, 99]),
        (Ddim, Linspace, 0, &[0]),
        (Ddpm, Linspace, 0, &[999, 832, 666, 500, 333, 166, 0]),
        (Ddim, Linspace, 1, &[999, 888, 777, 666, 555, 444, 333, 222, 111, 0]),
        (DpmSolverPp2M, Leading, 0, &[500]),
        (DpmSolverPp2M, Leading, 0, &[875, 750, 625, 500, 375, 250, 125]),
        (DpmSolverPp2M, Leading, 1, &[901, 811, 721, 631, 541, 451, 361, 271, 181, 91]),
        (DpmSolverPp2M, Trailing, 0, &[999]),
        (DpmSolverPp2M, Trailing, 0, &[999, 856, 713, 570, 428, 285, 142]),
        (DpmSolverPp2M, Trailing, 1, &[999, 899, 799, 699, 599, 499, 399, 299, 199, 99]),
        (DpmSolverPp2M, Linspace, 0, &[999]),
        (DpmSolverPp2M, Linspace, 0, &[999, 856, 714, 571, 428, 285, 143]),
        (DpmSolverPp2M, Linspace, 1, &[999, 899, 799, 699, 599, 500, 400, 300, 200, 100]),
    ];
    for (kind, spacing, steps_offset, expected) in rows {
        let config = SamplerConfig { kind, steps: expected.len(), spacing, steps_offset, ..SamplerConfig::default() };
        assert_eq!(timesteps(1000, &config).unwrap(), expected, "{config:?}");
        assert_eq!(Walk::new(&usual(), &config).unwrap().timesteps(), expected);
    }
}

#[test]
fn every_number_of_steps_has_its_timesteps() {
    for kind in [SamplerKind::Ddpm, SamplerKind::Ddim] {
        for spacing in Spacing::ALL {
            for count in [1, 2, 37, 1000] {
                for steps in 1..=count {
                    let config = SamplerConfig { kind, steps, spacing: *spacing, ..SamplerConfig::default() };
                    let list = timesteps(count, &config).unwrap_or_else(|error| panic!("{config:?}: {error}"));
                    // 61 trailing steps of 1000 are a case where diffusers 0.42.1 appends a 62nd at timestep −1.
                    assert_eq!(list.len(), steps, "{config:?}");
                    assert!(list[0] < count && list.windows(2).all(|pair| pair[1] < pair[0]), "{config:?}: {list:?}");
                    let (first, last) = (list[0], list[steps - 1]);
                    match spacing {
                        Spacing::Leading => assert_eq!(last, 0),
                        Spacing::Trailing => assert_eq!(first, count - 1),
                        Spacing::Linspace => assert!(last == 0 && (steps == 1 || first == count - 1)),
                    }
                }
            }
        }
    }
}

#[test]
fn impossible_samplers_are_refused() {
    let s = usual();
    let refuse = |config: SamplerConfig| Walk::new(&s, &config).expect_err(&format!("{config:?}"));
    let base = || SamplerConfig { steps: 50, ..SamplerConfig::default() };
    for steps in [0, 1001, usize::MAX] {
        assert_eq!(refuse(SamplerConfig { steps, ..base() }), DiffusionError::Steps { found: steps, max: 1000 });
    }
    for eta in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
        assert!(matches!(refuse(SamplerConfig { eta, ..base() }), DiffusionError::Eta(_)));
    }
    for clip in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(refuse(SamplerConfig { clip: Some(clip), ..base() }), DiffusionError::Clip(_)));
    }
    for steps_offset in [20, usize::MAX] {
        let error = refuse(SamplerConfig { steps_offset, ..base() });
        assert!(matches!(error, DiffusionError::Offset { .. } | DiffusionError::Repeated { .. }), "{error}");
    }
    assert!(Walk::new(&s, &SamplerConfig { steps_offset: 19, ..base() }).is_ok());
    for spacing in [Spacing::Leading, Spacing::Linspace] {
        let error = refuse(SamplerConfig { kind: SamplerKind::DpmSolverPp2M, steps: 1000, spacing, ..base() });
        assert!(matches!(error, DiffusionError::Repeated { .. }), "{error}");
    }
    assert_eq!(
        refuse(SamplerConfig { steps: 1001, ..base() }).to_string(),
        "sampling takes 1 to 1000 steps with this schedule, found 1001"
    );
}

/// Walks `x` through all steps with `model(x, t)` and noise `z(step, i)`; returns the state after every step.
fn trajectory(
    sampler: &Walk,
    mut x: Vec<f64>,
    model: impl Fn(f64, usize) -> f64,
    z: impl Fn(usize, usize) -> f64,
) -> Vec<Vec<f64>> {
    let (mut slots, n) = (vec![0.0; SLOTS * x.len()], x.len());
    let walk = sampler.moves.iter().enumerate().map(|(k, step)| {
        let output: Vec<f64> = x.iter().map(|&x| model(x, step.timestep)).collect();
        let noise: Vec<f64> = (0..n).map(|i| z(k, i)).collect();
        let mut next = vec![0.0; n];
        apply(step, [&x, &output, &noise], &mut slots, &mut next);
        x.clone_from(&next);
        next
    });
    walk.collect()
}

/// Half-way and final states of diffusers 0.42.1 (in f32) for the made-up model m = x/(1 + x²/4):
/// ```python
/// def run(s, n, **kw):
///     s.set_timesteps(n)
///     x, states = torch.tensor([[1.5, 0.5, -0.5, -1.5]]), []
///     for k, t in enumerate(s.timesteps):
///         z = torch.tensor([[((i * 37 + k * 17) % 101) / 50 - 1 for i in range(4)]], dtype=torch.float32)
///         ddpm.randn_tensor = lambda *a, **b: z
///         if kw: kw["variance_noise"] = z
///         x = s.step(x / (1 + 0.25 * x * x), t, x, **kw).prev_sample
///         states.append(x[0].tolist())
///     print(states[n // 2 - 1], states[-1])
/// run(P(), 1000)
/// run(P(variance_type="fixed_large", clip_sample=False), 100)
/// run(P(variance_type="fixed_large", timestep_spacing="trailing"), 10)
/// run(P(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="linspace"), 20)
/// run(P(beta_schedule="scaled_linear", prediction_type="sample", steps_offset=1), 30)
/// run(I(), 50, eta=0.0)
/// run(I(clip_sample=False), 50, eta=1.0)
/// run(I(timestep_spacing="trailing", set_alpha_to_one=False, prediction_type="sample"), 7, eta=0.3)
/// run(I(set_alpha_to_one=False, clip_sample_range=0.7), 9, eta=0.5)
/// run(I(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="linspace"), 20, eta=1.0)
/// run(D(), 20)
/// run(D(timestep_spacing="trailing"), 10)
/// run(D(timestep_spacing="leading", prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2"), 16)
/// ```
/// with `P, I, D = DDPMScheduler, DDIMScheduler, DPMSolverMultistepScheduler`.
#[test]
fn trajectories_are_those_of_diffusers() {
    use BetaSchedule::{Linear, ScaledLinear, SquaredcosCapV2};
    let ddpm = SamplerConfig::default;
    let ddim = || SamplerConfig { kind: SamplerKind::Ddim, ..ddpm() };
    let dpm = || SamplerConfig { kind: SamplerKind::DpmSolverPp2M, spacing: Spacing::Linspace, clip: None, ..ddpm() };
    let (v, sample) = (Prediction::VPrediction, Prediction::Sample);
    let (large, trailing, linspace) = (Variance::FixedLarge, Spacing::Trailing, Spacing::Linspace);
    #[rustfmt::skip]
    let rows: [(BetaSchedule, SamplerConfig, [[f64; 4]; 2]); 13] = [
        (Linear, ddpm(),
         [[0.371244609, -0.00971348584, -0.112859234, -0.154214323], [0.0210115109, 0.026767334, -0.00122479617, -0.0226935484]]),
        (Linear, SamplerConfig { steps: 100, variance: large, clip: None, ..ddpm() },
         [[-0.318555832, 0.0596477464, 0.83366859, -0.424396455], [0.264605045, 0.0251617488, -0.164050996, -0.162458465]]),
        (Linear, SamplerConfig { steps: 10, variance: large, spacing: trailing, ..ddpm() },
         [[0.0166045725, -0.0975956917, -0.546841025, 0.328351617], [-0.4133389, 0.284376442, -0.144338638, -0.052621074]]),
        (SquaredcosCapV2, SamplerConfig { steps: 20, prediction: v, spacing: linspace, ..ddpm() },
         [[-0.357418925, 0.27977109, -0.176127985, -0.0171629041], [-0.0713320374, -0.0639166683, -0.0273602959, 0.146540761]]),
        (ScaledLinear, SamplerConfig { steps: 30, prediction: sample, steps_offset: 1, ..ddpm() },
         [[-0.718825221, -0.141345099, 0.0210938752, -0.195213735], [-0.490756243, -0.194580898, 0.0591716133, 0.248925701]]),
        (Linear, SamplerConfig { steps: 50, ..ddim() },
         [[0.642091036, 0.508895457, -0.508895457, -0.642091036], [0.374931902, 0.280111909, -0.280111909, -0.374931902]]),
        (Linear, SamplerConfig { steps: 50, eta: 1.0, clip: None, ..ddim() },
         [[-0.342887998, -0.338984817, 0.206422105, -2.52586746], [-0.0631689802, 0.04476358, 0.176397935, -1.82565415]]),
        (Linear, SamplerConfig { steps: 7, eta: 0.3, spacing: trailing, set_alpha_to_one: false, prediction: sample, ..ddim() },
         [[0.925096631, 0.576641023, -0.358940572, -1.84609485], [0.883144617, 0.60219723, -0.57603389, -0.944479704]]),
        (Linear, SamplerConfig { steps: 9, eta: 0.5, clip: Some(0.7), set_alpha_to_one: false, ..ddim() },
         [[-0.0258032642, 0.758651435, -0.403903037, -0.816551685], [0.0313015953, 0.0748682991, -0.108005092, -0.238547042]]),
        (SquaredcosCapV2, SamplerConfig { steps: 20, eta: 1.0, prediction: v, spacing: linspace, ..ddim() },
         [[-0.366635352, 0.270914614, -0.172694996, -0.0172631741], [-0.0839024261, -0.069018364, -0.0233634412, 0.145423934]]),
        (Linear, SamplerConfig { steps: 20, ..dpm() },
         [[27.1045799, 0.651150286, -0.651150286, -27.1045799], [96.9026642, 0.387010932, -0.387010932, -96.9026642]]),
        (Linear, SamplerConfig { steps: 10, spacing: trailing, ..dpm() },
         [[27.2138577, 0.64586997, -0.64586997, -27.2138577], [96.9552231, 0.361320734, -0.361320734, -96.9552231]]),
        (SquaredcosCapV2, SamplerConfig { steps: 16, spacing: Spacing::Leading, prediction: v, ..dpm() },
         [[0.866881192, 0.245467201, -0.245467201, -0.866881192], [0.450990617, 0.120388202, -0.120388202, -0.450990617]]),
    ];
    for (kind, config, expected) in rows {
        let sampler = Walk::new(&Schedule::new(kind, 1000, 1e-4, 0.02).unwrap(), &config).unwrap();
        let z = |k: usize, i: usize| ((i * 37 + k * 17) % 101) as f64 / 50.0 - 1.0;
        let states = trajectory(&sampler, vec![1.5, 0.5, -0.5, -1.5], |x, _| x / (1.0 + 0.25 * x * x), z);
        for (state, expected) in [&states[config.steps / 2 - 1], &states[config.steps - 1]].into_iter().zip(expected) {
            for (&x, expected) in state.iter().zip(expected) {
                close(x, expected, 2e-5 * expected.abs().max(1.0), &format!("{kind:?} {config:?}"));
            }
        }
    }
}

#[test]
fn ddim_with_eta_one_is_ddpm_with_the_small_variance() {
    let s = usual();
    let mut rng = Rng::new(3);
    // Leading spacing with n a divisor of T gives both the same previous timesteps.
    for (steps, prediction) in
        [(1000, Prediction::Epsilon), (50, Prediction::Epsilon), (50, Prediction::VPrediction), (8, Prediction::Sample)]
    {
        let ddpm = SamplerConfig { steps, clip: None, prediction, ..SamplerConfig::default() };
        let ddim = SamplerConfig { kind: SamplerKind::Ddim, eta: 1.0, ..ddpm.clone() };
        let (ddpm, ddim) = (Walk::new(&s, &ddpm).unwrap(), Walk::new(&s, &ddim).unwrap());
        assert_eq!(ddpm.moves.len(), steps);
        for (p, i) in ddpm.moves.iter().zip(&ddim.moves) {
            assert_eq!(p.timestep, i.timestep);
            let [x, m, z] = [(); 3].map(|()| rng.normals(7).iter().map(|&v| f64::from(v)).collect::<Vec<f64>>());
            let (mut a, mut b, mut slots) = ([0.0; 7], [0.0; 7], [0.0; SLOTS * 7]);
            apply(p, [&x, &m, &z], &mut slots, &mut a);
            apply(i, [&x, &m, &z], &mut slots, &mut b);
            for (a, b) in a.iter().zip(b) {
                close(*a, b, 1e-10, &format!("timestep {}", p.timestep));
            }
        }
    }
}

#[test]
fn the_last_step_adds_no_noise_and_eta_zero_none_at_all() {
    let s = usual();
    for kind in SamplerKind::ALL {
        for spacing in Spacing::ALL {
            for variance in Variance::ALL {
                for steps in [1, 2, 50, 333] {
                    let config = SamplerConfig {
                        kind: *kind,
                        spacing: *spacing,
                        steps,
                        eta: 1.0,
                        variance: *variance,
                        ..SamplerConfig::default()
                    };
                    let sampler = Walk::new(&s, &config).unwrap();
                    let last = sampler.moves.last().unwrap();
                    if last.timestep == 0 {
                        assert_eq!(last.noise, 0.0, "{config:?}");
                        // Without looking at z: nothing, not even NaN, comes through.
                        let mut out = [0.0];
                        apply(last, [&[0.3], &[0.2], &[f64::NAN]], &mut [0.0; SLOTS], &mut out);
                        assert!(out[0].is_finite());
                        apply(last, [&[0.3], &[0.2], &[]], &mut [0.0; SLOTS], &mut out);
                    }
                    let quiet = Walk::new(&s, &SamplerConfig { eta: 0.0, ..config.clone() }).unwrap();
                    let noisy = quiet.moves.iter().filter(|step| step.noise > 0.0).count();
                    assert_eq!(noisy > 0, *kind == SamplerKind::Ddpm && sampler.timesteps()[0] > 0, "{config:?}");
                }
            }
        }
    }
}

#[test]
fn a_step_clips_x0_and_keeps_the_models_epsilon() {
    let s = usual();
    let config = SamplerConfig { kind: SamplerKind::Ddim, steps: 50, clip: Some(0.5), ..SamplerConfig::default() };
    let step = Walk::new(&s, &config).unwrap().moves[10];
    let (x, epsilon) = ([3.0, -3.0, 0.4], [0.1, -0.2, 0.3]);
    let mut out = [0.0; 3];
    apply(&step, [&x, &epsilon, &[]], &mut [0.0; 3 * SLOTS], &mut out);
    let x0 = [0, 1, 2].map(|i| step.x0(x[i], epsilon[i]));
    assert_eq!((x0[0], x0[1]), (0.5, -0.5));
    let before = s.alpha_bar(step.timestep - 20);
    for i in 0..3 {
        close(out[i], before.sqrt() * x0[i] + (1.0 - before).sqrt() * epsilon[i], 1e-14, "equation 12");
    }
    let mut out_f32 = [0.0_f32; 3];
    let (x, output) = (x.map(|v| v as f32), epsilon.map(|v| v as f32));
    let inputs = Inputs { x: &x, output: &output, noise: &[], known: &[], mask: &[] };
    step.apply(inputs, &mut [0.0; 3 * SLOTS], &mut out_f32);
    for i in 0..3 {
        close(f64::from(out_f32[i]), out[i], 1e-6, "f32");
    }
}

// ---------------------------------------------------------------------------------------------------- exact sampling

/// Data N(m, s²) one number wide: then x_t ~ N(√ᾱ·m, V) with V = ᾱ·s² + 1 − ᾱ, and the best ε is known.
#[derive(Clone, Copy)]
struct Gaussian {
    m: f64,
    s: f64,
}

impl Gaussian {
    fn variance(self, alpha_bar: f64) -> f64 {
        alpha_bar * self.s * self.s + 1.0 - alpha_bar
    }

    /// E[ε|x_t].
    fn epsilon(self, alpha_bar: f64, x_t: f64) -> f64 {
        (1.0 - alpha_bar).sqrt() / self.variance(alpha_bar) * (x_t - alpha_bar.sqrt() * self.m)
    }

    /// Mean and variance of what a sampler makes of x_T ~ N(mean, variance). Every step is affine in x and z: three probes.
    fn sampled(self, schedule: &Schedule, sampler: &Walk, (mut mean, mut variance): (f64, f64)) -> (f64, f64) {
        for step in &sampler.moves {
            let alpha_bar = schedule.alpha_bar(step.timestep);
            let probe = |step: &Move, x: f64, z: f64| {
                let mut out = [0.0];
                apply(step, [&[x], &[self.epsilon(alpha_bar, x)], &[z]], &mut [0.0; SLOTS], &mut out);
                out[0]
            };
            let offset = probe(step, 0.0, 0.0);
            let (slope, noise) = (probe(step, 1.0, 0.0) - offset, probe(step, 0.0, 1.0) - offset);
            (mean, variance) = (slope * mean + offset, slope * slope * variance + noise * noise);
        }
        (mean, variance)
    }
}

const DATA: [Gaussian; 4] = [
    Gaussian { m: 0.3, s: 0.5 },
    Gaussian { m: -0.8, s: 0.02 },
    Gaussian { m: 0.0, s: 1.0 },
    Gaussian { m: 2.0, s: 1.7 },
];

fn exact_cases(kind: SamplerKind, eta: f64, variance: Variance) -> Vec<(Schedule, SamplerConfig)> {
    let mut cases = Vec::new();
    for beta in BetaSchedule::ALL {
        for (spacing, steps) in
            [(Spacing::Leading, 1000), (Spacing::Leading, 50), (Spacing::Leading, 8), (Spacing::Leading, 1)]
        {
            let config = SamplerConfig { kind, eta, variance, spacing, steps, clip: None, ..SamplerConfig::default() };
            cases.push((of_kind(*beta, 1000), config));
        }
    }
    cases
}

/// DDIM with η = 0 turns the vector (√ᾱ·s, √(1 − ᾱ)) from one timestep's direction to the next's and keeps the projection:
/// the spread of the result is s/|v_T|·Π cos(Δφ), φ the vector's angle.
#[test]
fn ddim_is_exact_on_gaussian_data() {
    for data in DATA {
        for (schedule, config) in exact_cases(SamplerKind::Ddim, 0.0, Variance::FixedSmall) {
            let sampler = Walk::new(&schedule, &config).unwrap();
            let angle = |alpha_bar: f64| (1.0 - alpha_bar).sqrt().atan2(alpha_bar.sqrt() * data.s);
            let visited: Vec<f64> = sampler.timesteps().iter().map(|&t| schedule.alpha_bar(t)).chain([1.0]).collect();
            let shrink: f64 = visited.windows(2).map(|pair| (angle(pair[0]) - angle(pair[1])).cos()).product();
            let start = visited[0];
            // x_T from the right distribution: the mean comes out right, and the spread as derived above.
            let (mean, variance) = data.sampled(&schedule, &sampler, (start.sqrt() * data.m, data.variance(start)));
            close(mean, data.m, 1e-11, &format!("mean, {config:?}"));
            close(variance, (data.s * shrink).powi(2), 1e-11, &format!("variance, {config:?}"));
            // x_T ~ N(0, 1), as one samples: the mean keeps the share of √ᾱ_T·m that x_T lacked.
            let (mean, variance) = data.sampled(&schedule, &sampler, (0.0, 1.0));
            let slope = data.s * shrink / data.variance(start).sqrt();
            close(mean, data.m - slope * start.sqrt() * data.m, 1e-11, &format!("mean from N(0,1), {config:?}"));
            close(variance, slope * slope, 1e-11, &format!("variance from N(0,1), {config:?}"));
            if config.steps == 1000 && data.s >= 0.5 {
                close(variance.sqrt(), data.s, 0.03 * data.s, "a thousand steps come close to the data itself");
            }
        }
    }
}

/// DDPM's mean is the true E[x_s|x_t], so that only the variance it adds is off, by C − σ² with C = V_s − α·V_s²/V_t the true
/// one. What is missing at s shrinks on its way to x_0 by ᾱ_s·s⁴/V_s². DDIM with η = 1 is the same process.
#[test]
fn ddpm_is_exact_on_gaussian_data() {
    for data in DATA {
        let runs = [
            exact_cases(SamplerKind::Ddpm, 0.0, Variance::FixedSmall),
            exact_cases(SamplerKind::Ddpm, 0.0, Variance::FixedLarge),
            exact_cases(SamplerKind::Ddim, 1.0, Variance::FixedSmall),
        ];
        for (schedule, config) in runs.into_iter().flatten() {
            let sampler = Walk::new(&schedule, &config).unwrap();
            let visited: Vec<f64> = sampler.timesteps().iter().map(|&t| schedule.alpha_bar(t)).chain([1.0]).collect();
            let start = visited[0];
            let shrink = |alpha_bar: f64| alpha_bar * data.s.powi(4) / data.variance(alpha_bar).powi(2);
            let mut expected = data.s * data.s - (data.variance(start) - 1.0) * shrink(start);
            for pair in visited.windows(2) {
                let (v_t, v_s, alpha) = (data.variance(pair[0]), data.variance(pair[1]), pair[0] / pair[1]);
                let truth = v_s - alpha * v_s * v_s / v_t;
                let added = match config.variance {
                    _ if pair[1] == 1.0 => 0.0,
                    Variance::FixedLarge => 1.0 - alpha,
                    Variance::FixedSmall => (1.0 - alpha) * (1.0 - pair[1]) / (1.0 - pair[0]),
                };
                expected -= (truth - added) * shrink(pair[1]);
            }
            let (mean, variance) = data.sampled(&schedule, &sampler, (0.0, 1.0));
            let missing = shrink(start).sqrt() * start.sqrt() * data.m;
            close(mean, data.m - missing, 1e-10, &format!("mean, {config:?}"));
            close(variance, expected, 1e-10, &format!("variance, {config:?}"));
            if data.s == 1.0 && config.variance == Variance::FixedLarge {
                // β is the right variance for N(0, 1): exact at every stride but the last step, which adds none.
                close(variance, visited[config.steps - 1], 1e-10, "the standard normal stays");
            }
        }
    }
}

/// DPM-Solver++ follows the same path as DDIM with η = 0, with an error of second order instead of first.
#[test]
fn dpm_solver_needs_fewer_steps_than_ddim() {
    let (s, data) = (usual(), DATA[0]);
    let error = |kind, steps| {
        let config = SamplerConfig { kind, steps, spacing: Spacing::Trailing, clip: None, ..SamplerConfig::default() };
        let sampler = Walk::new(&s, &config).unwrap();
        let model = |x: f64, t: usize| data.epsilon(s.alpha_bar(t), x);
        let states = trajectory(&sampler, vec![1.0], model, |_, _| 0.0);
        // Where the path of x_T = 1 ends: the same quantile of the data.
        let start = s.alpha_bar(999);
        (states[steps - 1][0] - data.m - data.s * (1.0 - start.sqrt() * data.m) / data.variance(start).sqrt()).abs()
    };
    for steps in [20, 40] {
        let (first, second) = (error(SamplerKind::Ddim, steps), error(SamplerKind::DpmSolverPp2M, steps));
        assert!(second < 0.4 * first, "{steps} steps: DDIM is off by {first}, DPM-Solver++ by {second}");
    }
}

// ---------------------------------------------------------------------------------------------------- objective

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
