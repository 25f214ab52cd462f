//! DDIM inversion: the walk up, from a picture to the noise that DDIM with η = 0 makes it from (DDIM, section 4.3).
//!
//! DDIM's step from b to a cleaner a is x_a = P·x_b + Q·m(x_b). Going up, x_b = (x_a − Q·m(x_b))/P asks the network about an
//! x that is not known yet: either it is asked about x_a instead, or the equation is solved by its fixed point.

use super::lines::{self, Shown};
use super::{Allows, DDIM, Mix, Move, SLOTS, Walk, ddim, reading};
use crate::diffusion::forward::weights;
use crate::diffusion::posterior::Reading;
use crate::diffusion::sampler::check;
use crate::diffusion::{DiffusionError, Prediction, SamplerConfig, Schedule};

/// The name for people.
pub const TITLE: &str = "DDIM inversion";

/// What may be set: not η, which is 0, nor clipping, which loses what it cuts.
pub const ALLOWS: Allows =
    Allows { eta: false, variance: false, clip: false, set_alpha_to_one: true, resampling: false };

/// What the network is asked on the way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// About x_a at its own level a: the same differential equation, explicitly. The first step, for which there is no such
    /// timestep, is as [`Self::Above`].
    Below,
    /// About x_a at the level b it goes to, its answer read as one about a: as diffusers.
    Above,
    /// About x_b at b, as DDIM will on its way down: an equation for x_b, solved by so many calls from x_b = x_a on. Where
    /// they converge the walk there and back is the identity.
    Implicit {
        /// Calls for each step, at least 1.
        calls: usize,
    },
}

/// The walk from a picture up to where DDIM's list begins.
///
/// # Errors
/// As [`super::Rule::walk`]; a network that predicts x_0 itself where the picture has no noise, so that its answer says nothing
/// about the noise; no calls.
pub fn inversion(schedule: &Schedule, config: &SamplerConfig, asked: Asked) -> Result<Walk, DiffusionError> {
    let config = SamplerConfig { eta: 0.0, clip: None, ..config.clone() };
    check(&config)?;
    let list = DDIM.timesteps(schedule.timesteps(), &config)?;
    let down = DDIM.along(schedule, &config, &list);
    if config.prediction == Prediction::Sample && down.end() == 1.0 {
        return Err(DiffusionError::Inversion);
    }
    if asked == (Asked::Implicit { calls: 0 }) {
        return Err(DiffusionError::Steps { found: 0, max: schedule.timesteps() });
    }
    let mut moves = Vec::new();
    for (i, &t) in list.iter().enumerate().rev() {
        let (below, from) = ddim::lands(schedule, &config, &list, i);
        let level = schedule.alpha_bar(t);
        let up = |timestep| {
            let (x0, epsilon) = weights(level);
            let next = Mix { x0, epsilon, ..Mix::ZERO };
            Move { next, level, ..Move::at(timestep, Reading::new(config.prediction, from), None) }
        };
        match asked {
            Asked::Below => moves.push(up(below.unwrap_or(t))),
            Asked::Above => moves.push(up(t)),
            Asked::Implicit { calls } => {
                let step = Move { level, ..reading(schedule, &config, t) };
                moves.extend((0..calls).map(|call| solving(step, &down.moves[i].next, call == 0)));
            }
        }
    }
    Ok(Walk { level: down.end(), moves })
}

/// One call for (x_a − Q·m)/P. x_a is x itself in the first call and remembered in the others.
fn solving(step: Move, down: &Mix, first: bool) -> Move {
    let Reading { x0: (p_x, p_m), epsilon: (e_x, e_m) } = step.reading;
    let of_x = down.x + down.x0 * p_x + down.epsilon * e_x;
    let of_output = down.x0 * p_m + down.epsilon * e_m;
    // m is what ε̂ or x̂_0 holds beside x, whichever of them holds more of it and so says it without cancellation; both do
    // not exceed 1 but for the x̂_0 of a network that predicts ε.
    let output = if (e_m.abs() - 1.0).abs() <= (p_m.abs() - 1.0).abs() {
        Mix { epsilon: 1.0, x: -e_x, ..Mix::ZERO }.scaled(1.0 / e_m)
    } else {
        Mix { x0: 1.0, x: -p_x, ..Mix::ZERO }.scaled(1.0 / p_m)
    };
    let x_a = if first { Mix { x: 1.0, ..Mix::ZERO } } else { Mix::slot(0) };
    let mut next = output.scaled(-of_output / of_x);
    next.x += x_a.x / of_x;
    next.slots[0] = x_a.slots[0] / of_x;
    let mut remember = [Mix::ZERO; SLOTS];
    remember[0] = x_a;
    Move { next, remember, ..step }
}

/// The algorithm: start, loop, prediction, the move, the end.
pub fn algorithm(shown: &Shown, asked: Asked) -> [(bool, String); 5] {
    let Shown { sampler: config, schedule, .. } = *shown;
    let visited = DDIM.timesteps(schedule.timesteps(), config).unwrap_or_default();
    let visited: Vec<usize> = visited.iter().rev().map(|timestep| timestep + 1).collect();
    let last = visited.last().map_or("T".to_owned(), usize::to_string);
    let about = match asked {
        Asked::Below => "(x_{s}, s",
        Asked::Above => "(x_{s}, t",
        Asked::Implicit { .. } => "(x_{t}, t",
    };
    let step = match asked {
        Asked::Implicit { calls } => {
            format!("x_{{t}} from which DDIM leads to x_{{s}}, closer with each of {calls} calls, at first x_{{s}}")
        }
        Asked::Below | Asked::Above => "x_{t} = √ᾱ_{t} · x̂_{0} + √(1−ᾱ_{t}) · ε̂,  both of x_{s} and ᾱ_{s}".to_owned(),
    };
    [
        (false, "x_{0} = picture".to_owned()),
        (false, format!("for t = {}, s the one before, at first 0:", lines::list(&visited))),
        (true, lines::predict(shown).replace("(x_{t}, t", about)),
        (true, step),
        (false, format!("return x_{{{last}}}")),
    ]
}
