//! Guidance where both predictions are of Gaussian data of one variance: it moves the mean.

use super::gaussian::{Data, Run, close, schedules};
use noisette::diffusion::walk::{DDIM, DDPM, Move, Rule};
use noisette::diffusion::{Convention, Prediction, SamplerConfig, Schedule, Spacing, Walk};
use std::ops::Bound;

const NULL: Data = Data { mu: -0.1, s: 0.6 };
const CLASS: Data = Data { mu: 0.5, s: 0.6 };

fn walk(rule: &Rule, schedule: &Schedule, steps: usize) -> Walk {
    let config = SamplerConfig {
        steps,
        clip: None,
        spacing: Spacing::Trailing,
        convention: Convention::Paper,
        ..SamplerConfig::default()
    };
    rule.walk(schedule, &config).unwrap()
}

fn end(schedule: &Schedule, walk: &Walk, start: f64) -> f64 {
    let [null, class] = [NULL, CLASS].map(|data| data.network(schedule, Prediction::Epsilon));
    let network = |step: &Move, x: &[f64]| {
        let (null, class) = (null(step, x), class(step, x));
        null.iter().zip(class).map(|(null, class)| null + step.guidance * (class - null)).collect()
    };
    Run { walk, network: &network, known: &[], mask: &[] }.end(&[start], None)[0]
}

/// The mixture is the best predictor of data about μ_∅ + w·(μ_c − μ_∅).
#[test]
fn guidance_moves_the_mean() {
    for schedule in &schedules() {
        for rule in crate::rules() {
            for scale in [0.0, 1.0, 1.5, 4.0] {
                let moved = Data { mu: NULL.mu + scale * (CLASS.mu - NULL.mu), s: NULL.s };
                let plain = walk(rule, schedule, 12);
                let network = moved.network(schedule, Prediction::Epsilon);
                let alone = Run { walk: &plain, network: &network, known: &[], mask: &[] };
                let guided = plain.clone().guided(scale, ..);
                for start in [0.0, 1.3] {
                    close(end(schedule, &guided, start), alone.end(&[start], None)[0], 1e-10, rule.title);
                }
            }
        }
    }
}

/// Within an interval the shift is what the squared cosines grow by over it: exactly, at any stride, for DDPM.
#[test]
fn an_interval_moves_it_by_its_share() {
    for schedule in &schedules() {
        for (rule, steps, power, tolerance) in [(&DDPM, 10, 2, 1e-11), (&DDPM, 333, 2, 1e-10), (&DDIM, 1000, 1, 2e-3)] {
            for (low, high) in [(0, 999), (200, 700), (0, 450), (600, 999), (300, 300)] {
                let plain = walk(rule, schedule, steps);
                let guided = plain.clone().guided(3.0, (Bound::Included(low), Bound::Included(high)));
                let mut within = guided.moves.iter().filter(|step| step.guidance == 3.0);
                let ends = within.next().map(|first| (first, within.next_back().unwrap_or(first)));
                let share = ends.map_or(0.0, |(first, last)| {
                    let [start, end] =
                        [schedule.alpha_bar(first.timestep), last.level].map(|level| NULL.theta(level).cos());
                    end.powi(power) - start.powi(power)
                });
                let expected = 2.0 * (CLASS.mu - NULL.mu) * share;
                let found = end(schedule, &guided, 0.4) - end(schedule, &plain, 0.4);
                close(found, expected, tolerance, &format!("{} {low} to {high}", rule.title));
            }
        }
    }
}
