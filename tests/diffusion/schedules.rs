//! β, ᾱ and what follows from them: torch's bits, their definitions, what is refused.

use super::{close, of_kind, usual};
use noisette::diffusion::{BetaSchedule, DiffusionError, Schedule};

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
