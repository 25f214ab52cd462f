//! Which noise schedule the section shows, how x_t is reached, and at which timestep the network is asked.

use super::hand::Hand;
use crate::diffusion::{BetaSchedule, DiffusionError, Schedule, named};
use std::ops::RangeInclusive;

/// T that can be chosen. The linear schedules need more than 20 steps: see [`Schedule::ddpm_linear`].
pub const TIMESTEPS: RangeInclusive<u64> = 25..=1000;

named! {
    /// The noise schedule of the section.
    Plan {
        /// The model's own.
        Own = "own",
        /// β on a straight line, as the first DDPMs had it.
        Linear = "linear",
        /// √β on a straight line, as latent diffusion has it.
        Scaled = "scaled",
        /// ᾱ is a squared cosine.
        Cosine = "cosine",
        /// ᾱ as somebody has drawn it.
        Hand = "hand",
    }
}

named! {
    /// What is drawn over t.
    Curve {
        /// ᾱ.
        AlphaBar = "bar",
        /// ᾱ/(1 − ᾱ).
        Snr = "snr",
    }
}

named! {
    /// How x_t is reached.
    Road {
        /// At once, by the closed form.
        Once = "once",
        /// By t small steps, each with noise of its own.
        Steps = "steps",
    }
}

/// What the visitor has chosen of the forward process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forward {
    /// The schedule.
    pub plan: Plan,
    /// Its T, if it is not the model's.
    pub timesteps: Option<usize>,
    /// The curve that is drawn by hand.
    pub hand: Hand,
    /// What is shown of the schedule.
    pub curve: Curve,
    /// How x_t is reached.
    pub road: Road,
}

impl Default for Forward {
    fn default() -> Self {
        Self { plan: Plan::Own, timesteps: None, hand: Hand::default(), curve: Curve::AlphaBar, road: Road::Once }
    }
}

impl Forward {
    /// Whether the network was trained with just this schedule.
    pub fn as_trained(&self) -> bool {
        self.plan == Plan::Own && self.timesteps.is_none()
    }

    /// The schedule chosen, where the model has this one.
    ///
    /// # Errors
    /// The model's T is so small that β would reach 1.
    pub fn schedule(&self, own: &Schedule) -> Result<Schedule, DiffusionError> {
        let timesteps = self.timesteps.unwrap_or(own.timesteps());
        // β for a thousand steps: with fewer each is larger, so that ᾱ_T hardly depends on T.
        let scale = 1000.0 / timesteps as f64;
        match self.plan {
            Plan::Own => stretched(own, timesteps),
            Plan::Linear => Schedule::ddpm_linear(timesteps, 1e-4, 0.02),
            Plan::Scaled => Schedule::new(BetaSchedule::ScaledLinear, timesteps, 0.00085 * scale, 0.012 * scale),
            Plan::Cosine => Schedule::new(BetaSchedule::SquaredcosCapV2, timesteps, 0.0, 0.0),
            Plan::Hand => Schedule::from_alpha_bars(self.hand.alpha_bars(timesteps)),
        }
    }
}

/// The same curve of ᾱ in another number of steps: where it has no value, one on the line between its neighbours.
fn stretched(own: &Schedule, timesteps: usize) -> Result<Schedule, DiffusionError> {
    let last = own.timesteps();
    if timesteps == last {
        return Ok(own.clone());
    }
    let at = |t: usize| t.checked_sub(1).map_or(1.0, |timestep| own.alpha_bar(timestep));
    let alpha_bar = |t: usize| {
        let (before, rest) = (t * last / timesteps, t * last % timesteps);
        let share = rest as f64 / timesteps as f64;
        at(before) + share * (at((before + 1).min(last)) - at(before))
    };
    Schedule::from_alpha_bars((1..=timesteps).map(alpha_bar).collect())
}

/// The timestep of a schedule whose ᾱ is nearest.
pub fn nearest(schedule: &Schedule, alpha_bar: f64) -> usize {
    let bars = schedule.alpha_bars();
    let below = bars.partition_point(|&bar| bar > alpha_bar);
    let above = below.saturating_sub(1);
    match bars.get(below) {
        Some(bar) if alpha_bar - bar <= bars[above] - alpha_bar || below == 0 => below,
        _ => above,
    }
}
