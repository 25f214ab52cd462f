//! A walk: where a run goes. Plain data, a list of moves between noise levels, down, up or back and forth.
//!
//! A rule that leads from level to level is one file here, a [`Rule`]: its moves, its title, what may be set with it, and
//! its line of the algorithm. [`repaint`] and [`inversion`] are walks of their own, made from those rules. Each move asks
//! the network once ([`Move`]); noising that asks nothing is part of the move before it, or of the walk's start.

mod ddim;
mod ddpm;
mod dpm_solver;
pub mod inversion;
mod ipndm;
pub mod lines;
mod moves;
pub mod repaint;

pub use ddim::DDIM;
pub use ddpm::DDPM;
pub use dpm_solver::DPM_SOLVER;
pub use ipndm::IPNDM;
pub use moves::{Inputs, Mix, Move, SLOTS};

use super::forward::weights;
use super::posterior::Reading;
use super::sampler::{check, spread};
use super::{Convention, DiffusionError, SamplerConfig, SamplerKind, Schedule, Spacing};
use lines::Formula;
use std::ops::RangeBounds;

/// What may be set with a rule, besides steps, spacing, prediction and convention. It ignores the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allows {
    /// η.
    pub eta: bool,
    /// The variance of a reverse step.
    pub variance: bool,
    /// Clipping of x̂_0 as diffusers has it; where it has none, a model's own wish for it is not heard.
    pub clip: bool,
    /// Whether the picture is taken to be ᾱ = 1 or ᾱ_0.
    pub set_alpha_to_one: bool,
    /// A list whose steps are walked again and again; a rule that remembers would remember the wrong thing.
    pub resampling: bool,
}

/// A rule that leads from level to level.
#[derive(Debug)]
pub struct Rule {
    /// The name in files and on the command line.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// What may be set.
    pub allows: Allows,
    /// Points beyond n that its list is spread over; those are not visited.
    extra_points: usize,
    /// The moves from entry to entry of a falling list of timesteps, the first of which remembers nothing.
    moves: fn(&Schedule, &SamplerConfig, &[usize]) -> Vec<Move>,
    /// Its line of the algorithm; whether the list is all of T.
    formula: fn(&SamplerConfig, bool) -> Formula,
}

impl Rule {
    /// The rule of a sampler.
    pub const fn of(kind: SamplerKind) -> &'static Self {
        match kind {
            SamplerKind::Ddpm => &DDPM,
            SamplerKind::Ddim => &DDIM,
            SamplerKind::DpmSolverPp2M => &DPM_SOLVER,
            SamplerKind::Ipndm => &IPNDM,
        }
    }

    /// The timesteps this rule visits, falling. The config's kind is not looked at, here and below.
    ///
    /// # Errors
    /// A beginning or steps outside 1…T, more steps than timesteps from there on, an offset that leaves the schedule, or more steps than the spacing has timesteps for.
    pub fn timesteps(&self, count: usize, config: &SamplerConfig) -> Result<Vec<usize>, DiffusionError> {
        spread(count, config, self.extra_points)
    }

    /// The walk to a picture: from noise, or from where the config has it begin.
    ///
    /// # Errors
    /// As [`Self::timesteps`]; η outside [0, 1], a clip range that is not positive and finite.
    pub fn walk(&self, schedule: &Schedule, config: &SamplerConfig) -> Result<Walk, DiffusionError> {
        self.walk_after(schedule, config, 0)
    }

    /// What is left of that walk after its first `done` moves, if nothing of them is remembered: a rule that looks back begins
    /// anew there. There may be nothing left.
    ///
    /// # Errors
    /// As [`Self::walk`].
    pub fn walk_after(&self, schedule: &Schedule, config: &SamplerConfig, done: usize) -> Result<Walk, DiffusionError> {
        check(config)?;
        let list = self.timesteps(schedule.timesteps(), config)?;
        Ok(self.along(schedule, config, list.get(done..).unwrap_or_default()))
    }

    /// The walk from a picture noised to some level, back to a picture (SDEdit). Strength S in 0…1 is how much of T is walked:
    /// nothing at 0, which leaves the picture itself, and all at 1. As [`Convention::Paper`] n steps lead evenly from S·T to 0
    /// (trailing, and fewer where there are not as many timesteps); as [`Convention::Diffusers`] it is the last ⌊S·n⌋ of the
    /// steps. Where the config has the walk begin is not looked at.
    ///
    /// # Errors
    /// As [`Self::walk`]; a strength outside 0…1.
    pub fn edit(&self, schedule: &Schedule, config: &SamplerConfig, strength: f64) -> Result<Walk, DiffusionError> {
        check(config)?;
        if !(0.0..=1.0).contains(&strength) {
            return Err(DiffusionError::Strength(strength));
        }
        let config = &SamplerConfig { from: None, ..config.clone() };
        let all = self.timesteps(schedule.timesteps(), config)?;
        let list = match config.convention {
            Convention::Diffusers => {
                // int(0.29·100) is 28 in floating point, and 29 was meant.
                let steps = (strength * all.len() as f64 + 1e-6).floor() as usize;
                all[all.len() - steps.min(all.len())..].to_vec()
            }
            Convention::Paper => match (strength * schedule.timesteps() as f64).round() as usize {
                0 => Vec::new(),
                top => {
                    let steps = config.steps.min(top);
                    let spacing = Spacing::Trailing;
                    let config = SamplerConfig { steps, spacing, from: Some(top), ..config.clone() };
                    self.timesteps(schedule.timesteps(), &config)?
                }
            },
        };
        Ok(self.along(schedule, config, &list))
    }

    fn along(&self, schedule: &Schedule, config: &SamplerConfig, list: &[usize]) -> Walk {
        let level = list.first().map_or(1.0, |&t| schedule.alpha_bar(t));
        Walk { level, moves: (self.moves)(schedule, config, list) }
    }
}

/// Where a run goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    /// ᾱ where it starts: 1 for a picture.
    pub level: f64,
    /// The moves, first to last. Without any, where it starts is where it ends.
    pub moves: Vec<Move>,
}

impl Walk {
    /// The walk of a sampler from noise to a picture.
    ///
    /// # Errors
    /// As [`Rule::walk`].
    pub fn new(schedule: &Schedule, config: &SamplerConfig) -> Result<Self, DiffusionError> {
        Rule::of(config.kind).walk(schedule, config)
    }

    /// (√ᾱ, √(1 − ᾱ)): the weights of a picture and of noise in the x that a walk from a picture starts with. From noise alone it
    /// starts with the noise.
    pub fn start(&self) -> (f64, f64) {
        weights(self.level)
    }

    /// ᾱ where it ends.
    pub fn end(&self) -> f64 {
        self.moves.last().map_or(self.level, |last| last.level)
    }

    /// The timesteps at which the network is asked.
    pub fn timesteps(&self) -> Vec<usize> {
        self.moves.iter().map(|step| step.timestep).collect()
    }

    /// Whether anything has to be remembered from move to move.
    pub fn looks_back(&self) -> bool {
        self.moves.iter().any(Move::looks_back)
    }

    /// Mixes predictions with and without a class, w = `scale`, in the moves whose timestep is among these.
    #[must_use]
    pub fn guided(mut self, scale: f64, timesteps: impl RangeBounds<usize>) -> Self {
        for step in self.moves.iter_mut().filter(|step| timesteps.contains(&step.timestep)) {
            step.guidance = scale;
        }
        self
    }
}

/// A move at timestep t that reads the output as `config` says and does nothing with it yet.
fn reading(schedule: &Schedule, config: &SamplerConfig, t: usize) -> Move {
    Move::at(t, Reading::new(config.prediction, schedule.alpha_bar(t)), config.clip)
}

/// ᾱ where the move after entry `i` of the list leads: to the next entry, or to x_0 itself.
fn next_level(schedule: &Schedule, list: &[usize], i: usize) -> f64 {
    list.get(i + 1).map_or(1.0, |&s| schedule.alpha_bar(s))
}
