//! The forward process q: from an image to noise, in one stride or step by step.

use super::{Real, Schedule};

/// A byte as a number in [−1, 1]: x/255·2 − 1 (DDPM, section 3.3), rounded as PyTorch rounds it in f32.
pub fn from_pixel(byte: u8) -> f32 {
    f32::from(byte) / 255.0 * 2.0 - 1.0
}

/// The byte nearest to a number in [−1, 1], ties to even; beyond that range the nearest end, and 0 for NaN.
/// (x/2 + 1/2 clamped to [0, 1], times 255: diffusers' `VaeImageProcessor.denormalize`.)
pub fn to_pixel(x: f32) -> u8 {
    ((x / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
}

/// (√ᾱ, √(1 − ᾱ)): the weights of x_0 and of ε where the image still has the share √ᾱ (DDPM, equation 4).
pub fn weights(alpha_bar: f64) -> (f64, f64) {
    (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt())
}

/// The [`weights`] of x_0 and of ε in x_t.
pub fn closed_form(schedule: &Schedule, t: usize) -> (f64, f64) {
    weights(schedule.alpha_bar(t))
}

/// The same weights for the paper's t in 0…T: t = 0 is x_0 itself, (1, 0), and t ≥ 1 is timestep t − 1.
pub fn closed_form_paper(schedule: &Schedule, t: usize) -> (f64, f64) {
    t.checked_sub(1).map_or((1.0, 0.0), |timestep| closed_form(schedule, timestep))
}

/// Draws x_t from q(x_t|x_0): x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε (DDPM, equation 4). All slices have one length.
pub fn noised<T: Real>(schedule: &Schedule, t: usize, x_0: &[T], epsilon: &[T], x_t: &mut [T]) {
    mix(closed_form(schedule, t), x_0, epsilon, x_t);
}

fn mix<T: Real>((signal, noise): (f64, f64), x: &[T], epsilon: &[T], out: &mut [T]) {
    assert!(x.len() == out.len() && epsilon.len() == out.len(), "image, noise and result differ in length");
    let (signal, noise) = (T::of(signal), T::of(noise));
    for ((out, &x), &epsilon) in out.iter_mut().zip(x).zip(epsilon) {
        *out = signal * x + noise * epsilon;
    }
}
