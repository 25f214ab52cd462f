//! iPNDM: Adams–Bashforth on ε̂, of fourth order once three of them are remembered (Liu et al. 2022, arXiv 2202.09778; the
//! first steps of lower order as Zhang and Chen 2023, arXiv 2204.13902, have them).

use super::lines::{Epsilon, Formula};
use super::{Allows, Mix, Move, Rule, SLOTS, next_level, reading};
use crate::diffusion::{SamplerConfig, Schedule};

/// The multistep solver of fourth order.
pub static IPNDM: Rule = Rule {
    name: "ipndm",
    title: "iPNDM",
    allows: Allows { eta: false, variance: false, clip: true, set_alpha_to_one: false, resampling: false },
    extra_points: 0,
    moves,
    formula,
};

/// The weights of this ε̂ and of those before it, by how many there are.
const ADAMS_BASHFORTH: [[f64; 1 + SLOTS]; 1 + SLOTS] = [
    [1.0, 0.0, 0.0, 0.0],
    [3.0 / 2.0, -1.0 / 2.0, 0.0, 0.0],
    [23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0, 0.0],
    [55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// With σ = √((1 − ᾱ)/ᾱ), x'/√ᾱ_s = x/√ᾱ_t + (σ_s − σ_t)·ε̄ and ε̄ the mixture of this ε̂ and the last ones. Where x̂_0 is
/// clipped, ε̂ is what x holds beside it.
fn moves(schedule: &Schedule, config: &SamplerConfig, list: &[usize]) -> Vec<Move> {
    let sigma = |level: f64| ((1.0 - level) / level).sqrt();
    let step = |(i, &t): (usize, &usize)| {
        let (here, level) = (schedule.alpha_bar(t), next_level(schedule, list, i));
        let epsilon = match config.clip {
            None => Mix { epsilon: 1.0, ..Mix::ZERO },
            Some(_) => Mix { x: 1.0, x0: -here.sqrt(), ..Mix::ZERO }.scaled(1.0 / (1.0 - here).sqrt()),
        };
        let [now, before @ ..] = ADAMS_BASHFORTH[i.min(SLOTS)];
        let gain = level.sqrt() * (sigma(level) - sigma(here));
        let mut next = Mix { slots: before, ..epsilon.scaled(now) }.scaled(gain);
        next.x += (level / here).sqrt();
        let remember = [epsilon, Mix::slot(0), Mix::slot(1)];
        Move { next, level, remember, ..reading(schedule, config, t) }
    };
    list.iter().enumerate().map(step).collect()
}

fn formula(_config: &SamplerConfig, _every: bool) -> Formula {
    let text = "x_{s} = √(ᾱ_{s}/ᾱ_{t}) · x_{t} + (√(1−ᾱ_{s}) − √(ᾱ_{s}/ᾱ_{t}·(1−ᾱ_{t}))) · (55·ε̂ − 59·ε̂′ + 37·ε̂″ − 9·ε̂‴)/24,  \
                ε̂′, ε̂″, ε̂‴ of the steps before; in the first ε̂, (3·ε̂ − ε̂′)/2, (23·ε̂ − 16·ε̂′ + 5·ε̂″)/12";
    Formula { text: text.to_owned(), epsilon: Epsilon::BesideClipped, of_s: true, strides: false }
}
