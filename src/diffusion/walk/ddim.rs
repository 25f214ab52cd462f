//! DDIM, equations 12 and 16: from deterministic (η = 0) to as much noise as DDPM (η = 1).

use super::lines::{Epsilon, Formula};
use super::{Allows, Mix, Move, Rule, reading};
use crate::diffusion::posterior::Posterior;
use crate::diffusion::{Convention, SamplerConfig, Schedule};

/// Implicit sampling.
pub static DDIM: Rule = Rule {
    name: "ddim",
    title: "DDIM",
    allows: Allows { eta: true, variance: false, clip: true, set_alpha_to_one: true, resampling: true },
    extra_points: 0,
    moves,
    formula,
};

/// Where the move after entry `i` leads: its timestep, if it has one, and ᾱ. In diffusers that is t − ⌊T/n⌋ whatever the list
/// says; in the paper it is the next entry.
pub(super) fn lands(schedule: &Schedule, config: &SamplerConfig, list: &[usize], i: usize) -> (Option<usize>, f64) {
    let (timestep, last) = match config.convention {
        Convention::Diffusers if config.set_alpha_to_one => (before(schedule, config, list[i]), 1.0),
        Convention::Diffusers => (before(schedule, config, list[i]), schedule.alpha_bar(0)),
        Convention::Paper => (list.get(i + 1).copied(), 1.0),
    };
    (timestep, timestep.map_or(last, |s| schedule.alpha_bar(s)))
}

fn before(schedule: &Schedule, config: &SamplerConfig, t: usize) -> Option<usize> {
    t.checked_sub(config.span(schedule.timesteps()) / config.steps.max(1))
}

/// x' = √ᾱ_s·x̂_0 + √(1 − ᾱ_s − σ²)·ε̂ + σ·z with σ = η·√β̃. In diffusers ε̂ is the model's; in the paper
/// ε̂ = (x_t − √ᾱ_t·x̂_0)/√(1 − ᾱ_t) (equation 7), which differs where x̂_0 is clipped.
fn moves(schedule: &Schedule, config: &SamplerConfig, list: &[usize]) -> Vec<Move> {
    let step = |(i, &t): (usize, &usize)| {
        let (_, level) = lands(schedule, config, list, i);
        let variance = Posterior::between(schedule.alpha_bar(t), level).variance;
        let noise = config.eta * variance.sqrt();
        // With η = 1 the difference is 0 in exact arithmetic where ᾱ_s is ᾱ_t or 1; rounding may leave it below.
        let rest = (1.0 - level - noise * noise).max(0.0).sqrt();
        let next = match config.convention {
            Convention::Diffusers => Mix { x0: level.sqrt(), epsilon: rest, ..Mix::ZERO },
            Convention::Paper => {
                let x = rest / schedule.sqrt_one_minus_alpha_bar(t);
                Mix { x0: level.sqrt() - x * schedule.sqrt_alpha_bar(t), x, ..Mix::ZERO }
            }
        };
        Move { next, noise, level, ..reading(schedule, config, t) }
    };
    list.iter().enumerate().map(step).collect()
}

fn formula(config: &SamplerConfig, _every: bool) -> Formula {
    let text = if config.eta == 0.0 {
        "x_{s} = √ᾱ_{s} · x̂_{0} + √(1−ᾱ_{s}) · ε̂".to_owned()
    } else {
        format!(
            "x_{{s}} = √ᾱ_{{s}} · x̂_{{0}} + √(1−ᾱ_{{s}}−σ_{{t}}²) · ε̂ + σ_{{t}}·z,  \
             σ_{{t}}² = {}²·(1−ᾱ_{{s}})/(1−ᾱ_{{t}})·(1−ᾱ_{{t}}/ᾱ_{{s}}),  z ~ N(0, I)",
            config.eta
        )
    };
    let (epsilon, strides) = match config.convention {
        Convention::Diffusers => (Epsilon::OfModel, true),
        Convention::Paper => (Epsilon::BesideClipped, false),
    };
    Formula { text, epsilon, of_s: true, strides }
}
