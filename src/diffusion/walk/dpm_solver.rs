//! DPM-Solver++(2M), Algorithm 2: second order, deterministic, one x̂_0 in memory.

use super::lines::{Epsilon, Formula};
use super::{Allows, Mix, Move, Rule, SLOTS, next_level, reading};
use crate::diffusion::{SamplerConfig, Schedule};

/// The multistep solver of second order, midpoint.
pub static DPM_SOLVER: Rule = Rule {
    name: "dpmsolver++",
    title: "DPM-Solver++",
    allows: Allows { eta: false, variance: false, clip: false, set_alpha_to_one: false, resampling: false },
    extra_points: 1,
    moves,
    formula,
};

/// With λ = ln(√ᾱ/√(1 − ᾱ)), h = λ_s − λ_t, r = h_before/h and y the x̂_0 of the move before,
/// x' = σ_s/σ_t·x − α_s·(e^−h − 1)·D, D = (1 + 1/(2r))·x̂_0 − 1/(2r)·y. The first move has no y, and the last goes to σ = 0,
/// where h is infinite: both are of first order, D = x̂_0.
fn moves(schedule: &Schedule, config: &SamplerConfig, list: &[usize]) -> Vec<Move> {
    let log_snr_half = |t: usize| 0.5 * libm::log(schedule.snr(t));
    let step = |(i, &t): (usize, &usize)| {
        let next = match list.get(i + 1) {
            None => Mix { x0: 1.0, ..Mix::ZERO },
            Some(&s) => {
                let h = log_snr_half(s) - log_snr_half(t);
                let gain = schedule.sqrt_alpha_bar(s) * -libm::expm1(-h);
                let x = schedule.sqrt_one_minus_alpha_bar(s) / schedule.sqrt_one_minus_alpha_bar(t);
                let before = i.checked_sub(1).map(|i| list[i]);
                let back = before.map_or(0.0, |before| 0.5 * h / (log_snr_half(t) - log_snr_half(before)));
                Mix { x0: gain * (1.0 + back), x, slots: [-gain * back, 0.0, 0.0], ..Mix::ZERO }
            }
        };
        let mut remember = [Mix::ZERO; SLOTS];
        remember[0] = Mix { x0: 1.0, ..Mix::ZERO };
        Move { next, level: next_level(schedule, list, i), remember, ..reading(schedule, config, t) }
    };
    list.iter().enumerate().map(step).collect()
}

fn formula(_config: &SamplerConfig, _every: bool) -> Formula {
    let text = "x_{s} = σ_{s}/σ_{t} · x_{t} − α_{s}·(e^−h − 1) · (x̂_{0} + (x̂_{0} − x̂_{0}′)/(2r)),  α = √ᾱ,  σ = √(1−ᾱ),  \
                λ = ln(α/σ),  h = λ_{s} − λ_{t},  r = h′/h,  ′ of the step before; no fraction in the first step, nor in the last, where h = ∞";
    Formula { text: text.to_owned(), epsilon: Epsilon::Unused, of_s: true, strides: false }
}
