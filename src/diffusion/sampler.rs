//! The reverse process: which timesteps to visit, and what to do at each, as plain coefficients.
//!
//! Every step of every sampler here is the same three lines ([`StepCoefficients`]), linear but for one clamp, so that one
//! kernel serves them all. Where diffusers and a paper differ in letter, [`Convention`] says which of them is followed.

use super::posterior::{Posterior, Reading};
use super::{DiffusionError, Real, Schedule, named};

named! {
    /// The rule that leads from x_t to an earlier x.
    SamplerKind {
        /// Ancestral sampling (DDPM, Algorithm 2).
        Ddpm = "ddpm",
        /// Implicit sampling with η between deterministic and ancestral (DDIM, equations 12 and 16).
        Ddim = "ddim",
        /// Second order, deterministic, two steps in memory (DPM-Solver++, Algorithm 2, midpoint).
        DpmSolverPp2M = "dpmsolver++",
    }
}

named! {
    /// How n sampling steps are spread over T timesteps (Lin et al. 2023, arXiv 2305.08891, table 2).
    Spacing {
        /// Multiples of ⌊T/n⌋ from 0: never reaches T−1 unless n = T.
        Leading = "leading",
        /// Multiples of T/n down from T, minus one: starts at T−1.
        Trailing = "trailing",
        /// Evenly from 0 to T−1.
        Linspace = "linspace",
    }
}

named! {
    /// Whose letter a sampler follows where diffusers departs from the papers. Both agree wherever the list of timesteps is
    /// evenly spaced down to 0, nothing is clipped and `set_alpha_to_one` holds; DPM-Solver++ is the same in both.
    Convention {
        /// diffusers', so that its trajectories are ours: DDIM steps from t to t − ⌊T/n⌋ whatever the list says (or to ᾱ_0, or
        /// short of x_0), and keeps the model's own ε when x̂_0 is clipped; DDPM draws noise in the last step too where the list
        /// ends above 0, and rounds as `round_like_diffusers` says.
        Diffusers = "diffusers",
        /// The papers': from entry to entry of the list and from the last to x_0 itself (ᾱ = 1), without noise there. ε̂ is what
        /// x_t holds beside the clipped x̂_0 (DDIM, equations 7 and 10), so that DDIM with η = 1 is DDPM clipped, too.
        Paper = "paper",
    }
}

named! {
    /// The variance of DDPM's reverse step (DDPM, section 3.2).
    Variance {
        /// β̃, the posterior's: right for an x_0 that is one point.
        FixedSmall = "fixed_small",
        /// β, the forward step's: right for an x_0 that is standard normal.
        FixedLarge = "fixed_large",
    }
}

named! {
    /// What the model's output means.
    Prediction {
        /// ε, the noise.
        Epsilon = "epsilon",
        /// v = √ᾱ·ε − √(1 − ᾱ)·x_0.
        VPrediction = "v_prediction",
        /// x_0 itself.
        Sample = "sample",
    }
}

/// Everything a sampler can be told. The default is DDPM's paper: all 1000 steps, clipped, β̃.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerConfig {
    /// The rule.
    pub kind: SamplerKind,
    /// Number of steps n, 1…T.
    pub steps: usize,
    /// How they are spread.
    pub spacing: Spacing,
    /// Added to every timestep of `leading`.
    pub steps_offset: usize,
    /// DDIM's η in [0, 1]: 0 draws no noise, 1 as much as DDPM with β̃. Others ignore it.
    pub eta: f64,
    /// x̂_0 is clamped to [−c, c]; `None` leaves it as it is (as diffusers does for DPM-Solver++ always).
    pub clip: Option<f64>,
    /// DDPM's variance. Others ignore it.
    pub variance: Variance,
    /// What the model's output means.
    pub prediction: Prediction,
    /// What DDIM takes for ᾱ before timestep 0: 1 if true, else ᾱ_0. Others take 1, and so do all as [`Convention::Paper`].
    pub set_alpha_to_one: bool,
    /// Whether DDPM's α and β are rounded to f32 as diffusers rounds them, or kept in f64, as [`Convention::Paper`] always does.
    pub round_like_diffusers: bool,
    /// Whose letter is followed.
    pub convention: Convention,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            kind: SamplerKind::Ddpm,
            steps: 1000,
            spacing: Spacing::Leading,
            steps_offset: 0,
            eta: 0.0,
            clip: Some(1.0),
            variance: Variance::FixedSmall,
            prediction: Prediction::Epsilon,
            set_alpha_to_one: true,
            round_like_diffusers: false,
            convention: Convention::Diffusers,
        }
    }
}

/// One reverse step. From x (x_t), the model's output m, fresh noise z and the previous step's x̂_0 (call it y):
///
/// ```text
/// x̂_0 = clamp(p_x·x + p_m·m, −clip, clip)
/// ε̂   = e_x·x + e_m·m
/// x'  = a·x̂_0 + b·ε̂ + c·x + d·y + s·z
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCoefficients {
    /// The timestep t the model is asked at, 0…T−1.
    pub timestep: usize,
    /// Weight of x in x̂_0.
    pub p_x: f64,
    /// Weight of the output in x̂_0.
    pub p_m: f64,
    /// x̂_0 is clamped to ±clip; infinite where nothing is clipped.
    pub clip: f64,
    /// Weight of x in ε̂. ε̂ comes from the unclipped x̂_0.
    pub e_x: f64,
    /// Weight of the output in ε̂.
    pub e_m: f64,
    /// Weight of x̂_0 in x'.
    pub a: f64,
    /// Weight of ε̂ in x'.
    pub b: f64,
    /// Weight of x in x'.
    pub c: f64,
    /// Weight of the previous step's x̂_0 in x'; 0 but for DPM-Solver++ after its first step.
    pub d: f64,
    /// Standard deviation of the noise in x'; 0 where none is added, and then z is not looked at.
    pub s: f64,
}

impl StepCoefficients {
    /// The numbers of a step that needs no memory, for an engine: p_x, p_m, clip, e_x, e_m, a, b, c, s in f32; "not clipped" is
    /// the largest finite number.
    ///
    /// # Panics
    /// If the step looks at the previous x̂_0 (`d` ≠ 0), as only DPM-Solver++ does: that is not among the nine.
    pub fn packed(&self) -> [f32; 9] {
        assert!(self.d == 0.0, "a step with memory does not fit nine coefficients");
        let clip = self.clip.min(f64::from(f32::MAX));
        [self.p_x, self.p_m, clip, self.e_x, self.e_m, self.a, self.b, self.c, self.s].map(|value| value as f32)
    }

    /// Takes the step in the arithmetic of `T`, each coefficient rounded once. `x0` holds the previous step's x̂_0 (anything
    /// finite before the first step) and receives this step's. `z` may be empty where `s` is 0.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn apply<T: Real>(&self, x: &[T], model_out: &[T], z: &[T], x0: &mut [T], out: &mut [T]) {
        let n = out.len();
        assert!(x.len() == n && model_out.len() == n && x0.len() == n, "the step's slices differ in length");
        assert!(z.len() == n || (self.s == 0.0 && z.is_empty()), "the step's noise has the wrong length");
        let [p_x, p_m, e_x, e_m] = [self.p_x, self.p_m, self.e_x, self.e_m].map(T::of);
        let [a, b, c, d, s] = [self.a, self.b, self.c, self.d, self.s].map(T::of);
        let (low, high) = (T::of(-self.clip), T::of(self.clip));
        for i in 0..n {
            let predicted = p_x * x[i] + p_m * model_out[i];
            let clipped = if predicted < low { low } else { predicted };
            let clipped = if clipped > high { high } else { clipped };
            let epsilon = e_x * x[i] + e_m * model_out[i];
            let next = a * clipped + b * epsilon + c * x[i] + d * x0[i];
            out[i] = if self.s == 0.0 { next } else { next + s * z[i] };
            x0[i] = clipped;
        }
    }
}

/// The steps of one sampling run, first to last.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler {
    steps: Vec<StepCoefficients>,
}

impl Sampler {
    /// Works out every step of `config` on `schedule`.
    ///
    /// # Errors
    /// Steps outside 1…T, η outside [0, 1], a clip range that is not positive and finite, an offset that leaves the
    /// schedule, or more steps than the spacing has timesteps for.
    pub fn new(schedule: &Schedule, config: &SamplerConfig) -> Result<Self, DiffusionError> {
        check(config)?;
        let timesteps = timesteps(schedule.timesteps(), config)?;
        let steps = match config.kind {
            SamplerKind::Ddpm => ddpm(schedule, config, &timesteps),
            SamplerKind::Ddim => ddim(schedule, config, &timesteps),
            SamplerKind::DpmSolverPp2M => dpm_solver(schedule, config, &timesteps),
        };
        Ok(Self { steps })
    }

    /// The steps in the order they are taken.
    pub fn steps(&self) -> &[StepCoefficients] {
        &self.steps
    }

    /// The timesteps in the order they are visited, falling.
    pub fn timesteps(&self) -> Vec<usize> {
        self.steps.iter().map(|step| step.timestep).collect()
    }
}

/// Refuses an η or a clip range that nothing can be done with.
pub(super) fn check(config: &SamplerConfig) -> Result<(), DiffusionError> {
    if !(0.0..=1.0).contains(&config.eta) {
        return Err(DiffusionError::Eta(config.eta));
    }
    match config.clip.filter(|clip| !(clip.is_finite() && *clip > 0.0)) {
        Some(clip) => Err(DiffusionError::Clip(clip)),
        None => Ok(()),
    }
}

/// The timesteps a sampler visits, falling, each within 0…`count`−1, as diffusers' `set_timesteps` gives them. DPM-Solver++
/// spreads n + 1 points and drops the last, except with trailing spacing.
///
/// # Errors
/// As [`Sampler::new`], η and clip aside.
pub fn timesteps(count: usize, config: &SamplerConfig) -> Result<Vec<usize>, DiffusionError> {
    spread(count, config, usize::from(config.kind == SamplerKind::DpmSolverPp2M))
}

/// n timesteps, the first of n and `extra` points, except with trailing spacing.
pub(super) fn spread(count: usize, config: &SamplerConfig, extra: usize) -> Result<Vec<usize>, DiffusionError> {
    let n = config.steps;
    if !(1..=count).contains(&n) {
        return Err(DiffusionError::Steps { found: n, max: count });
    }
    let points = n + extra;
    let offset = if config.spacing == Spacing::Leading { config.steps_offset } else { 0 };
    let mut list: Vec<usize> = match config.spacing {
        // (np.arange(points) * (T // points))[::-1] + steps_offset
        Spacing::Leading => (0..points).rev().map(|i| (i * (count / points)).saturating_add(offset)).collect(),
        // np.linspace(0, T - 1, points).round()[::-1]
        Spacing::Linspace => {
            let step = (count - 1) as f64 / (points - 1).max(1) as f64;
            (0..points).rev().map(|i| (i as f64 * step).round_ties_even() as usize).collect()
        }
        // np.round(np.arange(T, 0, -T / n)) - 1, without the element −1 that rounding errors append for some n
        Spacing::Trailing => {
            let start = count as f64;
            let step = start - (start - start / n as f64);
            (0..n).map(|i| (start - i as f64 * step).round_ties_even() as usize - 1).collect()
        }
    };
    list.truncate(n);
    if let Some(pair) = list.windows(2).find(|pair| pair[0] <= pair[1]) {
        return Err(DiffusionError::Repeated { steps: n, spacing: config.spacing.name(), timestep: pair[0] });
    }
    if list[0] >= count {
        return Err(DiffusionError::Offset { offset, timestep: list[0], count });
    }
    Ok(list)
}

/// A step at timestep t that reads the model's output and does nothing with it yet.
fn reading(schedule: &Schedule, config: &SamplerConfig, t: usize) -> StepCoefficients {
    let Reading { x0: (p_x, p_m), epsilon: (e_x, e_m) } = Reading::new(config.prediction, schedule.alpha_bar(t));
    let clip = config.clip.unwrap_or(f64::INFINITY);
    StepCoefficients { timestep: t, p_x, p_m, clip, e_x, e_m, a: 0.0, b: 0.0, c: 0.0, d: 0.0, s: 0.0 }
}

/// ᾱ where the step after entry `i` of the list lands: at the next entry, or at x_0 itself.
fn next_alpha_bar(schedule: &Schedule, timesteps: &[usize], i: usize) -> f64 {
    timesteps.get(i + 1).map_or(1.0, |&s| schedule.alpha_bar(s))
}

/// DDPM, Algorithm 2, through x̂_0: x' ~ q(x_s|x_t, x̂_0) (equation 7) over the stride to the next timestep of the list. The
/// last step of the paper adds no noise. diffusers' adds none at t = 0; lists that end above 0 (trailing, or an offset) get their
/// noise there too, with β̃ a variance of its floor, 1e-20.
fn ddpm(schedule: &Schedule, config: &SamplerConfig, timesteps: &[usize]) -> Vec<StepCoefficients> {
    let paper = config.convention == Convention::Paper;
    let posterior = if config.round_like_diffusers && !paper { Posterior::rounded } else { Posterior::between };
    let step = |(i, &t): (usize, &usize)| {
        let q = posterior(schedule.alpha_bar(t), next_alpha_bar(schedule, timesteps, i));
        let variance = match config.variance {
            Variance::FixedSmall => q.variance.max(1e-20),
            Variance::FixedLarge => q.beta,
        };
        let quiet = if paper { i + 1 == timesteps.len() } else { t == 0 };
        let s = if quiet { 0.0 } else { variance.sqrt() };
        StepCoefficients { a: q.x0, c: q.xt, s, ..reading(schedule, config, t) }
    };
    timesteps.iter().enumerate().map(step).collect()
}

/// DDIM, equation 12: x' = √ᾱ_s·x̂_0 + √(1 − ᾱ_s − σ²)·ε̂ + σ·z with σ = η·√β̃ (equation 16). In diffusers s = t − ⌊T/n⌋
/// and ε̂ is the model's; in the paper s is the next timestep of the list and ε̂ = (x_t − √ᾱ_t·x̂_0)/√(1 − ᾱ_t) (equation 7).
fn ddim(schedule: &Schedule, config: &SamplerConfig, timesteps: &[usize]) -> Vec<StepCoefficients> {
    let stride = schedule.timesteps() / config.steps;
    let last = if config.set_alpha_to_one { 1.0 } else { schedule.alpha_bar(0) };
    let step = |(i, &t): (usize, &usize)| {
        let before = match config.convention {
            Convention::Diffusers => t.checked_sub(stride).map_or(last, |s| schedule.alpha_bar(s)),
            Convention::Paper => next_alpha_bar(schedule, timesteps, i),
        };
        let variance = Posterior::between(schedule.alpha_bar(t), before).variance;
        let s = config.eta * variance.sqrt();
        // With η = 1 the difference is 0 in exact arithmetic where ᾱ_s is ᾱ_t or 1; rounding may leave it below.
        let b = (1.0 - before - s * s).max(0.0).sqrt();
        let step = StepCoefficients { a: before.sqrt(), b, s, ..reading(schedule, config, t) };
        match config.convention {
            Convention::Diffusers => step,
            Convention::Paper => {
                let c = b / schedule.sqrt_one_minus_alpha_bar(t);
                StepCoefficients { a: step.a - c * schedule.sqrt_alpha_bar(t), b: 0.0, c, ..step }
            }
        }
    };
    timesteps.iter().enumerate().map(step).collect()
}

/// DPM-Solver++(2M), Algorithm 2: with λ = ln(√ᾱ/√(1 − ᾱ)), h = λ_s − λ_t and r = h_before/h,
/// x' = σ_s/σ_t·x − α_s·(e^−h − 1)·D, D = (1 + 1/2r)·x̂_0 − 1/2r·y. The first step has no y, and the last goes to σ = 0,
/// where h is infinite: both are of first order, D = x̂_0.
fn dpm_solver(schedule: &Schedule, config: &SamplerConfig, timesteps: &[usize]) -> Vec<StepCoefficients> {
    let log_snr_half = |t: usize| 0.5 * libm::log(schedule.snr(t));
    let step = |(i, &t): (usize, &usize)| {
        let step = reading(schedule, config, t);
        let Some(&s) = timesteps.get(i + 1) else {
            return StepCoefficients { a: 1.0, ..step };
        };
        let h = log_snr_half(s) - log_snr_half(t);
        let gain = schedule.sqrt_alpha_bar(s) * -libm::expm1(-h);
        let c = schedule.sqrt_one_minus_alpha_bar(s) / schedule.sqrt_one_minus_alpha_bar(t);
        let Some(&before) = i.checked_sub(1).and_then(|i| timesteps.get(i)) else {
            return StepCoefficients { a: gain, c, ..step };
        };
        let half_inverse_r = 0.5 * h / (log_snr_half(t) - log_snr_half(before));
        StepCoefficients { a: gain * (1.0 + half_inverse_r), c, d: -gain * half_inverse_r, ..step }
    };
    timesteps.iter().enumerate().map(step).collect()
}
