//! How much noise at which timestep: β, α = 1 − β, ᾱ = Π α, and what follows from them.
//!
//! The numbers are those of PyTorch and diffusers bit for bit: β and α are f32 values, ᾱ is accumulated in f64 and
//! every element rounded to f32. They are kept as f64, and everything derived from them is computed in f64.

use super::{DiffusionError, named};

named! {
    /// The shape of β over time.
    BetaSchedule {
        /// β falls on a straight line (DDPM, section 4).
        Linear = "linear",
        /// √β falls on a straight line (latent diffusion).
        ScaledLinear = "scaled_linear",
        /// ᾱ is a squared cosine, β capped at 0.999 (improved DDPM, equation 17); ignores the given range.
        SquaredcosCapV2 = "squaredcos_cap_v2",
    }
}

/// β, α and ᾱ of the timesteps 0…T−1 (the paper's t = 1…T).
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    beta: Vec<f64>,
    alpha: Vec<f64>,
    alpha_bar: Vec<f64>,
}

impl Schedule {
    /// The largest T accepted: a hundred times the usual thousand.
    pub const MAX_TIMESTEPS: usize = 100_000;

    /// The schedule of `timesteps` steps of the given kind from `beta_start` to `beta_end`, as diffusers builds it.
    ///
    /// # Errors
    /// T outside 1…[`Self::MAX_TIMESTEPS`]; β not within 0 < start ≤ end < 1; an ᾱ that does not fall strictly within (0, 1).
    pub fn new(kind: BetaSchedule, timesteps: usize, beta_start: f64, beta_end: f64) -> Result<Self, DiffusionError> {
        if !(1..=Self::MAX_TIMESTEPS).contains(&timesteps) {
            return Err(DiffusionError::Timesteps { found: timesteps, max: Self::MAX_TIMESTEPS });
        }
        if kind != BetaSchedule::SquaredcosCapV2 && !(0.0 < beta_start && beta_start <= beta_end && beta_end < 1.0) {
            return Err(DiffusionError::Betas { start: beta_start, end: beta_end });
        }
        Self::from_betas(match kind {
            BetaSchedule::Linear => linspace(beta_start, beta_end, timesteps),
            BetaSchedule::ScaledLinear => {
                linspace(beta_start.sqrt(), beta_end.sqrt(), timesteps).into_iter().map(|root| root * root).collect()
            }
            BetaSchedule::SquaredcosCapV2 => cosine_betas(timesteps),
        })
    }

    /// The linear schedule for any T: β from low·1000/T to high·1000/T, so that ᾱ_T hardly depends on T
    /// (DDPM, section 4, has T = 1000, low = 1e-4, high = 0.02).
    ///
    /// # Errors
    /// As [`Self::new`]: with the usual range T must exceed 20, or β would reach 1.
    pub fn ddpm_linear(timesteps: usize, low: f64, high: f64) -> Result<Self, DiffusionError> {
        let scale = 1000.0 / timesteps.max(1) as f64;
        Self::new(BetaSchedule::Linear, timesteps, low * scale, high * scale)
    }

    /// The schedule of these ᾱ as they are, not rounded to f32.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_alpha_bars(alpha_bar: Vec<f64>) -> Result<Self, DiffusionError> {
        if !(1..=Self::MAX_TIMESTEPS).contains(&alpha_bar.len()) {
            return Err(DiffusionError::Timesteps { found: alpha_bar.len(), max: Self::MAX_TIMESTEPS });
        }
        check_falling(&alpha_bar)?;
        let above = [1.0].into_iter().chain(alpha_bar.iter().copied());
        let alpha: Vec<f64> = alpha_bar.iter().zip(above).map(|(here, above)| here / above).collect();
        Ok(Self { beta: alpha.iter().map(|alpha| 1.0 - alpha).collect(), alpha, alpha_bar })
    }

    fn from_betas(beta: Vec<f32>) -> Result<Self, DiffusionError> {
        let alpha: Vec<f32> = beta.iter().map(|&beta| 1.0 - beta).collect();
        let mut product = 1.0;
        let alpha_bar = alpha.iter().map(|&alpha| {
            product *= f64::from(alpha);
            f64::from(product as f32)
        });
        let alpha_bar: Vec<f64> = alpha_bar.collect();
        check_falling(&alpha_bar)?;
        let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        Ok(Self { beta: widen(beta), alpha: widen(alpha), alpha_bar })
    }

    /// T, the number of timesteps.
    pub fn timesteps(&self) -> usize {
        self.beta.len()
    }

    /// Passes a timestep on if the schedule has it; the accessors below panic on one it has not.
    ///
    /// # Errors
    /// The timestep is T or more.
    pub fn check(&self, timestep: usize) -> Result<usize, DiffusionError> {
        let count = self.timesteps();
        if timestep < count { Ok(timestep) } else { Err(DiffusionError::Timestep { found: timestep, count }) }
    }

    /// β, the variance one step adds (DDPM, equation 2).
    pub fn beta(&self, t: usize) -> f64 {
        self.beta[t]
    }

    /// α = 1 − β.
    pub fn alpha(&self, t: usize) -> f64 {
        self.alpha[t]
    }

    /// ᾱ = α_0·…·α_t (DDPM, above equation 4); diffusers' `alphas_cumprod`.
    pub fn alpha_bar(&self, t: usize) -> f64 {
        self.alpha_bar[t]
    }

    /// All of ᾱ, T values.
    pub fn alpha_bars(&self) -> &[f64] {
        &self.alpha_bar
    }

    /// ᾱ one timestep earlier; 1 before the first, where there is no noise.
    pub fn alpha_bar_before(&self, t: usize) -> f64 {
        if t == 0 { 1.0 } else { self.alpha_bar[t - 1] }
    }

    /// √ᾱ, what remains of the image (DDPM, equation 4).
    pub fn sqrt_alpha_bar(&self, t: usize) -> f64 {
        self.alpha_bar(t).sqrt()
    }

    /// √(1 − ᾱ), the noise's standard deviation (DDPM, equation 4).
    pub fn sqrt_one_minus_alpha_bar(&self, t: usize) -> f64 {
        (1.0 - self.alpha_bar(t)).sqrt()
    }

    /// 1/√α (DDPM, equation 11).
    pub fn recip_sqrt_alpha(&self, t: usize) -> f64 {
        1.0 / self.alpha(t).sqrt()
    }

    /// β/√(1 − ᾱ), the weight of ε in the mean of a reverse step (DDPM, equation 11).
    pub fn remove_noise(&self, t: usize) -> f64 {
        self.beta(t) / self.sqrt_one_minus_alpha_bar(t)
    }

    /// σ = √β, the larger of the two fixed choices (DDPM, section 3.2).
    pub fn sigma(&self, t: usize) -> f64 {
        self.beta(t).sqrt()
    }

    /// β̃ = (1 − ᾱ_before)/(1 − ᾱ)·β, the variance of q(x_{t−1}|x_t, x_0) (DDPM, equation 7); 0 at timestep 0.
    pub fn posterior_variance(&self, t: usize) -> f64 {
        (1.0 - self.alpha_bar_before(t)) / (1.0 - self.alpha_bar(t)) * self.beta(t)
    }

    /// Signal to noise ratio ᾱ/(1 − ᾱ).
    pub fn snr(&self, t: usize) -> f64 {
        self.alpha_bar(t) / (1.0 - self.alpha_bar(t))
    }
}

/// Refuses an ᾱ that does not fall strictly between 1 and 0.
fn check_falling(alpha_bar: &[f64]) -> Result<(), DiffusionError> {
    let mut above = 1.0;
    for (timestep, &value) in alpha_bar.iter().enumerate() {
        if !(0.0 < value && value < above) {
            return Err(DiffusionError::AlphaBar { timestep, value });
        }
        above = value;
    }
    Ok(())
}

/// `torch.linspace(start, end, n, dtype=float32)`: from both ends towards the middle, with one rounding each.
fn linspace(start: f64, end: f64, n: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    if n == 1 {
        return vec![start];
    }
    let step = f64::from((end - start) / (n - 1) as f32);
    // The product of two f32 is exact in f64, so that this is torch's fused multiply-add.
    let from_start = |i: usize| (f64::from(start) + step * i as f64) as f32;
    let from_end = |i: usize| (f64::from(end) - step * (n - 1 - i) as f64) as f32;
    (0..n).map(|i| if i < n / 2 { from_start(i) } else { from_end(i) }).collect()
}

/// β = min(1 − f(t+1)/f(t), 0.999) with f(t) = cos²((t/T + s)/(1 + s)·π/2), s = 0.008 (improved DDPM, equation 17).
fn cosine_betas(timesteps: usize) -> Vec<f32> {
    let f = |t: usize| libm::cos((t as f64 / timesteps as f64 + 0.008) / 1.008 * std::f64::consts::PI / 2.0).powi(2);
    (0..timesteps).map(|t| (1.0 - f(t + 1) / f(t)).min(0.999) as f32).collect()
}
