//! What training minimises: Algorithm 1's simple loss, and the bound on −log p_θ(x_0) it stands in for.
//!
//! −log p_θ(x_0) ≤ L_T + Σ L_{t−1} + L_0 (DDPM, equation 5). All terms are in nats, summed over the elements given.

use super::{Real, Schedule, Variance, posterior::Posterior};

/// L_simple: the mean of (ε − ε_θ)² over all elements (DDPM, equation 14 and Algorithm 1), summed in f64.
/// The slices have one length, which is not 0.
pub fn simple_loss<T: Real>(epsilon: &[T], predicted: &[T]) -> f64 {
    assert!(
        epsilon.len() == predicted.len() && !epsilon.is_empty(),
        "noise and prediction differ in length or are empty"
    );
    let squares = epsilon.iter().zip(predicted).map(|(a, b)| (a.widen() - b.widen()).powi(2));
    squares.sum::<f64>() / epsilon.len() as f64
}

/// KL(N(m_1, v_1) ‖ N(m_2, v_2)) = ½·(v_1/v_2 − 1 − ln(v_1/v_2) + (m_1 − m_2)²/v_2), both variances positive.
pub fn gaussian_kl(m_1: f64, v_1: f64, m_2: f64, v_2: f64) -> f64 {
    let ratio = v_1 / v_2;
    0.5 * (ratio - 1.0 - libm::log(ratio) + (m_1 - m_2).powi(2) / v_2)
}

/// L_T = KL(q(x_T|x_0) ‖ N(0, 1)) (DDPM, equation 5): what the last x still knows of x_0. It has no parameters.
pub fn prior_term(schedule: &Schedule, x_0: &[f64]) -> f64 {
    let last = schedule.timesteps() - 1;
    let variance = 1.0 - schedule.alpha_bar(last);
    x_0.iter().map(|x_0| gaussian_kl(schedule.sqrt_alpha_bar(last) * x_0, variance, 0.0, 1.0)).sum()
}

/// L_{t−1} = KL(q(x_{t−1}|x_t, x_0) ‖ N(mean, σ²)) for a timestep t ≥ 1 (DDPM, equations 5 and 8), with the mean of p_θ and
/// its variance σ² (β or β̃). Timestep 0 is [`decoder_term`]'s.
pub fn denoising_term(schedule: &Schedule, t: usize, x_0: &[f64], x_t: &[f64], mean: &[f64], variance: f64) -> f64 {
    assert!(t > 0, "timestep 0 has the decoder's term");
    assert!(x_0.len() == mean.len() && x_t.len() == mean.len(), "x_0, x_t and mean differ in length");
    let q = Posterior::at(schedule, t);
    (0..mean.len()).map(|i| gaussian_kl(q.mean(x_0[i], x_t[i]), q.variance, mean[i], variance)).sum()
}

/// L_0 = −log p_θ(x_0|x_1) with the discretised decoder (DDPM, equation 13): the mass N(mean, σ²) has on each pixel's
/// bin, 2/255 wide in [−1, 1], the outermost bins reaching to infinity.
pub fn decoder_term(pixels: &[u8], mean: &[f64], variance: f64) -> f64 {
    assert_eq!(pixels.len(), mean.len(), "pixels and mean differ in length");
    pixels.iter().zip(mean).map(|(&pixel, &mean)| -bin_log_mass(pixel, mean, variance.sqrt())).sum()
}

/// ln ∫ N(x; mean, sigma²) over the bin of one pixel value.
fn bin_log_mass(pixel: u8, mean: f64, sigma: f64) -> f64 {
    let x = f64::from(pixel) / 255.0 * 2.0 - 1.0;
    let low = if pixel == 0 { f64::NEG_INFINITY } else { (x - 1.0 / 255.0 - mean) / sigma };
    let high = if pixel == 255 { f64::INFINITY } else { (x + 1.0 / 255.0 - mean) / sigma };
    // Of the two tails take the one the bin lies in: differences of numbers near 1 would lose every digit.
    let mass = if low > 0.0 { upper_tail(low) - upper_tail(high) } else { upper_tail(-high) - upper_tail(-low) };
    // A mean many σ away has a mass below the smallest f64; the floor keeps the bound finite.
    libm::log(mass.max(f64::MIN_POSITIVE))
}

/// P(Z > z) of a standard normal Z.
fn upper_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

/// σ² of p_θ(x_{t−1}|x_t): β or β̃ (DDPM, section 3.2). At timestep 0 β̃ is 0 and no distribution; the decoder takes that of
/// timestep 1 there, as Ho et al.'s code does.
pub fn model_variance(schedule: &Schedule, choice: Variance, t: usize) -> f64 {
    match choice {
        Variance::FixedSmall if schedule.timesteps() > 1 => schedule.posterior_variance(t.max(1)),
        _ => schedule.beta(t),
    }
}

/// How likely each timestep 1…T−1 should be looked at when Σ L_{t−1} is estimated from some of them; adds up to 1. One half is
/// even; the other goes with the weight of the error of ε in L_{t−1} at the square root, for there the sum lies
/// (as in improved DDPM, section 3.3, without its running averages).
pub fn timestep_proposal(schedule: &Schedule, choice: Variance) -> Vec<f64> {
    let weight = |t: usize| {
        let of_epsilon = schedule.remove_noise(t).powi(2) / schedule.alpha(t);
        (of_epsilon / model_variance(schedule, choice, t)).sqrt()
    };
    let weights: Vec<f64> = (1..schedule.timesteps()).map(weight).collect();
    let (total, count) = (weights.iter().sum::<f64>(), weights.len() as f64);
    weights.into_iter().map(|weight| 0.5 * (weight / total + 1.0 / count)).collect()
}

/// Nats of a whole image as bits per dimension: divided by ln 2 and by the number of its elements (H·W·C).
pub fn bits_per_dim(nats: f64, dimensions: usize) -> f64 {
    nats / (std::f64::consts::LN_2 * dimensions as f64)
}
