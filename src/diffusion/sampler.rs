//! What a sampler can be told, and which timesteps it visits. What it does at each is a [`walk`](super::walk).
//!
//! Where diffusers and a paper differ in letter, [`Convention`] says which of them is followed.

use super::{DiffusionError, named};

named! {
    /// The rule that leads from x_t to an earlier x.
    SamplerKind {
        /// Ancestral sampling (DDPM, Algorithm 2).
        Ddpm = "ddpm",
        /// Implicit sampling with η between deterministic and ancestral (DDIM, equations 12 and 16).
        Ddim = "ddim",
        /// Second order, deterministic, two steps in memory (DPM-Solver++, Algorithm 2, midpoint).
        DpmSolverPp2M = "dpmsolver++",
        /// Adams–Bashforth on ε̂, of fourth order, three of them in memory (iPNDM; Liu et al. 2022, arXiv 2202.09778).
        Ipndm = "ipndm",
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
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SamplerConfig {
    /// The rule.
    pub kind: SamplerKind,
    /// Number of steps n, 1…T.
    pub steps: usize,
    /// The paper's t that the walk begins at, 1…T, with the x that is there: the steps are spread over the timesteps below it, as
    /// they would be were it T. Without one it begins at T, with noise.
    pub from: Option<usize>,
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
            from: None,
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

impl SamplerConfig {
    /// The timesteps that the walk is spread over, of so many in all.
    pub(super) fn span(&self, timesteps: usize) -> usize {
        self.from.unwrap_or(timesteps)
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

/// n timesteps, falling, each within 0…`count`−1, as diffusers' `set_timesteps` gives them: the first of n and `extra` points
/// that are spread, except with trailing spacing. Of a walk that begins at some t these are the timesteps below it.
///
/// # Errors
/// A beginning outside 1…T, steps outside 1…T or more than there are timesteps below it, an offset that leaves the schedule, or
/// more steps than the spacing has timesteps for.
pub(super) fn spread(count: usize, config: &SamplerConfig, extra: usize) -> Result<Vec<usize>, DiffusionError> {
    if let Some(found) = config.from.filter(|from| !(1..=count).contains(from)) {
        return Err(DiffusionError::From { found, max: count });
    }
    let (n, count) = (config.steps, config.span(count));
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
