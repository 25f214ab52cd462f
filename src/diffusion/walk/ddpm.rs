//! DDPM, Algorithm 2: x' is drawn from q(x_s|x_t, x̂_0).

use super::lines::{Epsilon, Formula};
use super::{Allows, Mix, Move, Rule, next_level, reading};
use crate::diffusion::posterior::Posterior;
use crate::diffusion::{Convention, SamplerConfig, Schedule, Variance};

/// Ancestral sampling.
pub static DDPM: Rule = Rule {
    name: "ddpm",
    title: "DDPM",
    allows: Allows { eta: false, variance: true, clip: true, set_alpha_to_one: false, resampling: true },
    extra_points: 0,
    moves,
    formula,
};

/// Equation 7 over the stride to the next timestep of the list. The last step of the paper adds no noise. diffusers' adds none
/// at t = 0; lists that end above 0 (trailing, or an offset) get their noise there too, with β̃ a variance of its floor, 1e-20.
fn moves(schedule: &Schedule, config: &SamplerConfig, list: &[usize]) -> Vec<Move> {
    let paper = config.convention == Convention::Paper;
    let posterior = if config.round_like_diffusers && !paper { Posterior::rounded } else { Posterior::between };
    let step = |(i, &t): (usize, &usize)| {
        let level = next_level(schedule, list, i);
        let q = posterior(schedule.alpha_bar(t), level);
        let variance = match config.variance {
            Variance::FixedSmall => q.variance.max(1e-20),
            Variance::FixedLarge => q.beta,
        };
        let quiet = if paper { i + 1 == list.len() } else { t == 0 };
        let noise = if quiet { 0.0 } else { variance.sqrt() };
        Move { next: Mix { x0: q.x0, x: q.xt, ..Mix::ZERO }, noise, level, ..reading(schedule, config, t) }
    };
    list.iter().enumerate().map(step).collect()
}

fn formula(config: &SamplerConfig, every: bool) -> Formula {
    // In every step that leads from one t to the one before it, s is t − 1.
    let s = if every { "t−1" } else { "s" };
    let variance = match config.variance {
        Variance::FixedSmall => format!("β̃_{{t}} = (1−ᾱ_{{{s}}})/(1−ᾱ_{{t}})·β_{{t}}"),
        Variance::FixedLarge => "β_{t}".to_owned(),
    };
    let quiet = if config.convention == Convention::Paper { "none in the last step" } else { "none at t = 1" };
    let text = format!(
        "x_{{{s}}} = √ᾱ_{{{s}}}·β_{{t}}/(1−ᾱ_{{t}}) · x̂_{{0}} + √α_{{t}}·(1−ᾱ_{{{s}}})/(1−ᾱ_{{t}}) · x_{{t}} + σ_{{t}}·z,  \
         α_{{t}} = ᾱ_{{t}}/ᾱ_{{{s}}},  β_{{t}} = 1−α_{{t}},  σ_{{t}}² = {variance},  z ~ N(0, I), {quiet}"
    );
    Formula { text, epsilon: Epsilon::Unused, of_s: !every, strides: false }
}
