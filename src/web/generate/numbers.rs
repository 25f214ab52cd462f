//! The step of a run for the pixel under the lens, in numbers: what stands under the lines of the algorithm.

use super::state::{Film, Recorded, Run};
use crate::diffusion::walk::Move;
use crate::diffusion::{Convention, Prediction, Schedule};
use crate::web::noise::lens::{factor, number};

/// Weights and values this small are nothing.
const NOTHING: f64 = 5e-4;

/// What the lines say; nothing where there is nothing to say.
pub type Numbers = [String; 6];

/// A step for one value of a picture.
#[derive(Clone, Copy, Debug)]
struct Step<'a> {
    by: &'a Move,
    /// √ᾱ and √(1 − ᾱ) of x.
    weights: (f64, f64),
    x: f64,
    x_0: f64,
    /// x afterwards.
    next: f64,
    prediction: Prediction,
    /// The line of the move speaks of ε̂ and not of x.
    of_epsilon: bool,
    /// ε̂ is what x holds beside x̂_0, clipped or not.
    beside: bool,
}

/// The numbers at the moment that the film shows, of its image, for the value `at` of it.
pub fn numbers(
    run: &Run,
    film: &Film,
    at: usize,
    size: usize,
    schedule: &Schedule,
    lines: &[(bool, String)],
) -> Numbers {
    let mut numbers = Numbers::default();
    numbers[0] = format!("seed {}", run.request.seed);
    let (after, value) = (super::film::shown(run, Some(film)), film.of * size + at);
    let before = run.record.iter().rev().find(|before| before.step + 1 == after.step);
    let of = |values: &[f32]| values.get(value).map(|&value| f64::from(value));
    let found = |before: &Recorded| {
        let by = run.moves.get(before.step)?;
        let sampler = &run.request.settings.sampler;
        let alpha_bar = schedule.alpha_bar(by.timestep);
        Some(Step {
            by,
            weights: (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()),
            x: of(&before.x)?,
            x_0: of(&after.x_0)?,
            next: of(&after.x)?,
            prediction: sampler.prediction,
            of_epsilon: lines.get(4).is_some_and(|(_, line)| line.contains('ε')),
            beside: sampler.convention == Convention::Paper,
        })
    };
    let Some(step) = before.and_then(found) else { return numbers };
    let s = run.moves.get(after.step).map_or(0, |next| next.timestep + 1);
    numbers[1] = format!("t = {}, s = {s}", step.by.timestep + 1);
    [numbers[2], numbers[3], numbers[4]] = step.lines();
    if after.step == run.steps() {
        numbers[5] = number(step.next);
    }
    numbers
}

impl Step<'_> {
    /// The prediction, x̂_0, and the move.
    fn lines(&self) -> [String; 3] {
        let Self { by, x, x_0, next, .. } = *self;
        let clipped = x_0.abs() >= by.clip;
        // The network's output is not sent; it follows from what is read of it.
        let output = (x_0 - by.reading.x0.0 * x) / by.reading.x0.1;
        let name = match self.prediction {
            Prediction::Epsilon => "ε̂",
            Prediction::VPrediction => "v̂",
            Prediction::Sample => "x̂",
        };
        let predicted = if clipped { String::new() } else { format!("{name} = {}", number(output)) };
        let guess = if clipped {
            format!("cut to {}", number(x_0))
        } else {
            format!("= {} = {}", sum(&[(by.reading.x0.0, x), (by.reading.x0.1, output)]), number(x_0))
        };
        let epsilon = if clipped && !self.beside { None } else { Some((x - self.weights.0 * x_0) / self.weights.1) };
        let mut mix = by.next;
        if self.of_epsilon && self.beside {
            // The same in other words: x = √ᾱ·x̂_0 + √(1 − ᾱ)·ε̂.
            mix.x0 += mix.x * self.weights.0;
            mix.epsilon += mix.x * self.weights.1;
            mix.x = 0.0;
        }
        let Some(epsilon) = epsilon.or((mix.epsilon == 0.0).then_some(0.0)) else {
            return [predicted, guess, format!("= {}", number(next))];
        };
        let mut terms = vec![(mix.x0, x_0), (mix.epsilon, epsilon), (mix.x, x)];
        let rest = next - terms.iter().map(|(weight, value)| weight * value).sum::<f64>();
        let before = if by.looks_back() && rest.abs() > NOTHING {
            format!(" + {} from the step before", factor(rest))
        } else {
            if by.noise > NOTHING {
                terms.push((by.noise, rest / by.noise));
            }
            String::new()
        };
        [predicted, guess, format!("= {}{before} = {}", sum(&terms), number(next))]
    }
}

/// Weights times values, without those that are nothing.
fn sum(terms: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (weight, value) in terms.iter().filter(|(weight, _)| weight.abs() > NOTHING) {
        let sign = match (text.is_empty(), *weight < 0.0) {
            (true, false) => "",
            (true, true) => "−",
            (false, false) => " + ",
            (false, true) => " − ",
        };
        text += &format!("{sign}{:.3} · {}", weight.abs(), factor(*value));
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::walk::{Inputs, Rule, SLOTS};
    use crate::diffusion::{BetaSchedule, SamplerConfig, SamplerKind};

    /// The sum that a line writes out, added up.
    fn add_up(line: &str) -> f64 {
        let line = line.replace(" from the step before", "").replace('−', "-").replace(['(', ')'], "");
        let product = |term: &str| term.split(" · ").map(|n| n.trim().parse::<f64>().expect(term)).product::<f64>();
        line.replace(" - ", " + -").split(" + ").map(product).sum()
    }

    #[test]
    fn what_stands_under_the_lines_adds_up_to_the_step() {
        let schedule = Schedule::new(BetaSchedule::SquaredcosCapV2, 1000, 1e-4, 0.02).expect("a schedule");
        for kind in SamplerKind::ALL {
            for (convention, clip) in
                [(Convention::Paper, None), (Convention::Paper, Some(0.5)), (Convention::Diffusers, None)]
            {
                let prediction = Prediction::VPrediction;
                let config = SamplerConfig {
                    kind: *kind,
                    steps: 6,
                    convention,
                    prediction,
                    clip,
                    eta: 0.3,
                    ..SamplerConfig::default()
                };
                let walk = Rule::of(*kind).walk(&schedule, &config).expect("a walk");
                let (mut x, mut slots) = (vec![0.8_f64], vec![0.0; SLOTS]);
                for by in &walk.moves {
                    let output = vec![0.9 - 0.7 * x[0]];
                    let mut next = vec![0.0];
                    let inputs = Inputs {
                        x: &x,
                        output: &output,
                        noise: if by.draws(false) { &[1.3] } else { &[] },
                        known: &[],
                        mask: &[],
                    };
                    by.apply(inputs, &mut slots, &mut next);
                    let alpha_bar = schedule.alpha_bar(by.timestep);
                    let weights = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
                    let x_0 = by.x0(x[0], output[0]);
                    let of_epsilon = kind.name() != "ddpm";
                    let beside = convention == Convention::Paper;
                    let step = Step { by, weights, x: x[0], x_0, next: next[0], prediction, of_epsilon, beside };
                    for line in &step.lines()[1..] {
                        if let [sum, result] = line.trim_start_matches("= ").split(" = ").collect::<Vec<_>>()[..] {
                            let result: f64 = result.replace('−', "-").parse().expect("a number");
                            assert!((add_up(sum) - result).abs() < 0.04, "{} {line}", kind.name());
                        } else {
                            assert!(clip.is_some() && line.starts_with("cut to "), "{} {line}", kind.name());
                        }
                    }
                    x = next;
                }
            }
        }
    }
}
