//! What a student is to learn at one of its timesteps: to go in one step where two of its teacher's lead.
//!
//! Salimans & Ho 2022 (arXiv 2202.00512), algorithm 2, in v and for any list of timesteps. Plain numbers; whoever predicts is
//! the caller's business.

use super::DistillError;
use crate::diffusion::walk::{DDIM, Inputs, Move, SLOTS};
use crate::diffusion::{Convention, Real, SamplerConfig, SamplerKind, Schedule, Spacing};

/// One step of a student, from timestep t to s or to x_0, and the two DDIM steps of its teacher beside it, t → mid → s; or one
/// of its teacher's, t → s, which it is to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The teacher's first move. Guidance is left to whoever predicts.
    pub first: Move,
    /// Its second one, if there is one.
    pub second: Option<Move>,
    /// Weights of z_t and z_s in the target, see [`Interval::target`].
    weights: (f64, f64),
}

/// The sampler of a student or teacher of so many steps: DDIM without noise on a trailing list, from entry to entry and to x_0
/// itself. What the network predicts and the clip are those of `like`.
pub fn sampler(steps: usize, like: &SamplerConfig) -> SamplerConfig {
    SamplerConfig {
        kind: SamplerKind::Ddim,
        steps,
        spacing: Spacing::Trailing,
        convention: Convention::Paper,
        eta: 0.0,
        ..like.clone()
    }
}

/// The steps of a student of `steps` steps, first to last, for a teacher of twice as many (see [`sampler`]).
///
/// # Errors
/// More steps than there are timesteps for; lists of which the student's is not every other entry of the teacher's.
pub fn intervals(schedule: &Schedule, steps: usize, like: &SamplerConfig) -> Result<Vec<Interval>, DistillError> {
    let walk = DDIM.walk(schedule, &sampler(2 * steps, like))?;
    let student = DDIM.timesteps(schedule.timesteps(), &sampler(steps, like))?;
    let every_other = walk.moves.iter().step_by(2).map(|step| step.timestep);
    if !every_other.eq(student) {
        return Err(DistillError::Lists { steps, timesteps: schedule.timesteps() });
    }
    let of = |pair: &[Move]| Interval::new(schedule, pair[0], Some(pair[1]));
    Ok(walk.moves.chunks_exact(2).map(of).collect())
}

/// The steps of a student that takes `steps` steps and half as many as well, for a teacher of `steps`: at the timesteps of both
/// lists those of the shorter one, at the others its teacher's own.
///
/// One network cannot do both to the letter, as it is not told which of the two is asked of it. But the two differ little: where
/// the longer list goes a shorter way with the same guess at x_0, the next step mends it.
///
/// # Errors
/// As [`intervals`], of half the steps.
pub fn shared(schedule: &Schedule, steps: usize, like: &SamplerConfig) -> Result<Vec<Interval>, DistillError> {
    let halved = intervals(schedule, steps / 2, like)?;
    let both = |interval: Interval| {
        let kept = interval.second.map(|second| Interval::new(schedule, second, None));
        std::iter::once(interval).chain(kept)
    };
    Ok(halved.into_iter().flat_map(both).collect())
}

impl Interval {
    fn new(schedule: &Schedule, first: Move, second: Option<Move>) -> Self {
        let t = first.timestep;
        let (alpha_t, sigma_t) = (schedule.sqrt_alpha_bar(t), schedule.sqrt_one_minus_alpha_bar(t));
        let (alpha_s, sigma_s) = second.unwrap_or(first).known();
        // x̃ = (z_s − r·z_t)/(α_s − r·α_t) with r = σ_s/σ_t, and v = (α_t·z_t − x̃)/σ_t: both times σ_t, which is the sine of
        // the angle between the two levels.
        let sine = sigma_t * alpha_s - sigma_s * alpha_t;
        let cosine = alpha_t * alpha_s + sigma_t * sigma_s;
        Self { first, second, weights: (cosine / sine, -1.0 / sine) }
    }

    /// t, the student's timestep.
    pub fn timestep(&self) -> usize {
        self.first.timestep
    }

    /// Takes the teacher's first (0) or second (1) step from `z`, where it predicts `output`, and returns where that leads: `z`
    /// itself where there is no second. All are of one length.
    pub fn step<T: Real>(&self, which: usize, z: &[T], output: &[T]) -> Vec<T> {
        let Some(step) = (if which == 0 { Some(self.first) } else { self.second }) else { return z.to_vec() };
        let mut out = vec![T::of(0.0); z.len()];
        let mut slots = vec![T::of(0.0); SLOTS * z.len()];
        step.apply(Inputs { x: z, output, noise: &[], known: &[], mask: &[] }, &mut slots, &mut out);
        out
    }

    /// The v that leads the student in one step from z_t to z_s, where the teacher's two ended: that of
    /// x̃ = (z_s − (σ_s/σ_t)·z_t)/(α_s − (σ_s/σ_t)·α_t), which is z_s itself at the last interval.
    ///
    /// With Δ = θ_t − θ_s, α = cos θ and σ = sin θ it is v = (cos Δ·z_t − z_s)/sin Δ, DDIM's step read backwards (appendix D).
    pub fn target<T: Real>(&self, z_t: &[T], z_s: &[T]) -> Vec<T> {
        let (of_t, of_s) = (T::of(self.weights.0), T::of(self.weights.1));
        z_t.iter().zip(z_s).map(|(&z_t, &z_s)| of_t * z_t + of_s * z_s).collect()
    }
}
