//! RePaint: a picture filled in where it is not known, going back and forth so that both parts agree (Lugmayr et al. 2022,
//! arXiv 2201.09865).
//!
//! Every move of a walk keeps the known part already; this one walks parts of its list again. After some steps it goes up
//! by the noise of a few steps, which asks nothing of the network and so belongs to the move before.

use super::lines::{self, Shown};
use super::{Allows, Move, Rule, Walk, next_level};
use crate::diffusion::sampler::check;
use crate::diffusion::{Convention, DiffusionError, SamplerConfig, Schedule};

/// The name for people.
pub const TITLE: &str = "RePaint";

/// What may be set, besides the rule of its steps and [`Resampling`]: what that rule allows.
pub const fn allows(rule: &Rule) -> Allows {
    rule.allows
}

/// Where and how often the walk goes back up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// Steps of the list that are walked again (diffusers' `jump_length`), at least 1. At every multiple of it that is so many
    /// steps from the start, the walk goes up by as many.
    pub jump_length: usize,
    /// How often each is walked in all (diffusers' `jump_n_sample`), at least 1.
    pub jump_n_sample: usize,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { jump_length: 5, jump_n_sample: 3 }
    }
}

impl Resampling {
    /// The steps of a list of n, counted down from n − 1: those taken, and those gone back up. A step that is not below the one
    /// before it is one up.
    pub fn steps(&self, n: usize) -> Vec<usize> {
        let mut list = Vec::new();
        for (step, again) in self.descents(n) {
            list.push(step);
            list.extend((1..=again.unwrap_or(0)).map(|up| step + up));
        }
        list
    }

    /// The steps taken, each with how far the walk goes up after it.
    fn descents(&self, n: usize) -> Vec<(usize, Option<usize>)> {
        let Self { jump_length: j, jump_n_sample } = *self;
        let ends = |step: usize| j > 0 && step.is_multiple_of(j) && step + j < n;
        let mut left: Vec<usize> =
            (0..n).map(|step| if ends(step) { jump_n_sample.saturating_sub(1) } else { 0 }).collect();
        let (mut list, mut above) = (Vec::new(), n);
        while let Some(step) = above.checked_sub(1) {
            let up = left[step] > 0;
            list.push((step, up.then_some(j)));
            left[step] -= usize::from(up);
            above = if up { step + j } else { step };
        }
        list
    }
}

/// The walk that fills in a picture with steps of this rule. As [`Convention::Diffusers`] it goes up by β of other timesteps
/// than those it came down by, which is too much noise wherever a step is more than one timestep.
///
/// # Errors
/// As [`Rule::walk`]; a rule that looks back; a length or a number of 0.
pub fn repaint(
    rule: &Rule,
    schedule: &Schedule,
    config: &SamplerConfig,
    resampling: Resampling,
) -> Result<Walk, DiffusionError> {
    check(config)?;
    let list = rule.timesteps(schedule.timesteps(), config)?;
    let n = list.len();
    if resampling.jump_length == 0 || resampling.jump_n_sample == 0 {
        let Resampling { jump_length, jump_n_sample } = resampling;
        return Err(DiffusionError::Resampling { jump_length, jump_n_sample });
    }
    if !rule.allows.resampling && resampling.jump_n_sample > 1 {
        return Err(DiffusionError::Memory(rule.title));
    }
    let walk = rule.along(schedule, config, &list);
    let step = |(step, up): (usize, Option<usize>)| {
        // The list falls, and steps are counted from its end.
        let i = n - 1 - step;
        let down = walk.moves[i];
        let Some(up) = up else { return down };
        let kept = match config.convention {
            Convention::Paper => next_level(schedule, &list, i - up) / next_level(schedule, &list, i),
            Convention::Diffusers => {
                let stride = config.span(schedule.timesteps()) / n;
                let betas = (step * stride..(step + up) * stride).map(|t| 1.0 - schedule.beta(t));
                betas.product()
            }
        };
        noised(down, kept)
    };
    Ok(Walk { level: walk.level, moves: resampling.descents(n).into_iter().map(step).collect() })
}

/// A move and noise on top of it that leaves the share `kept` of ᾱ: √kept·x' + √(1 − kept)·z, both z drawn as one.
fn noised(step: Move, kept: f64) -> Move {
    let noise = (kept * step.noise * step.noise + 1.0 - kept).sqrt();
    Move { next: step.next.scaled(kept.sqrt()), noise, level: kept * step.level, ..step }
}

/// The algorithm, as [`lines::lines`]: start, loop, prediction, x̂_0, the move, the known part, going up, the end.
pub fn algorithm(rule: &Rule, shown: &Shown, resampling: Resampling) -> [(bool, String); 8] {
    let [start, each, predict, x_0, step, end] = lines::lines_of(rule, shown);
    let Resampling { jump_length, jump_n_sample } = resampling;
    let known = "x_{s} = √ᾱ_{s} · picture + √(1−ᾱ_{s}) · z where it is known,  z ~ N(0, I)";
    let up = format!(
        "after every {jump_length} steps, {} times: x_{{r}} = √(ᾱ_{{r}}/ᾱ_{{s}}) · x_{{s}} + √(1−ᾱ_{{r}}/ᾱ_{{s}}) · z, \
         and on from r, {jump_length} steps up",
        jump_n_sample.saturating_sub(1)
    );
    [start, each, predict, x_0, step, (true, known.to_owned()), (true, up), end]
}
