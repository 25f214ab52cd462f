//! RePaint of two pixels, one of them known: every walk is a recursion of the other's mean and variance.

use super::gaussian::{Data, Run, close, exact_schedules, schedules, speak};
use noisette::diffusion::walk::repaint::{Resampling, repaint};
use noisette::diffusion::walk::{DDIM, DDPM, DPM_SOLVER, IPNDM, Inputs, Move, SLOTS};
use noisette::diffusion::{Convention, DiffusionError, Prediction, SamplerConfig, Schedule, Spacing, Walk};

const S: f64 = 0.6;
const KNOWN: f64 = 1.0;

/// What x_u and x_k weigh in the best ε̂ of the first of two pixels of variance s² and correlation ρ.
fn weights(alpha_bar: f64, rho: f64) -> [f64; 2] {
    let (p, q) = (alpha_bar * S * S + 1.0 - alpha_bar, alpha_bar * rho * S * S);
    let scale = (1.0 - alpha_bar).sqrt() / (p * p - q * q);
    [scale * p, -scale * q]
}

/// Mean and variance of the unknown pixel, and the known one with what noise it has.
fn painted(schedule: &Schedule, walk: &Walk, prediction: Prediction, rho: f64) -> [[f64; 2]; 2] {
    let network = |step: &Move, x: &[f64]| {
        let alpha_bar = schedule.alpha_bar(step.timestep);
        let [own, cross] = weights(alpha_bar, rho);
        let speak = |x: f64, other: f64| speak(prediction, alpha_bar, x, own * x + cross * other);
        vec![speak(x[0], x[1]), speak(x[1], x[0])]
    };
    let run = Run { walk, network: &network, known: &[0.0, KNOWN], mask: &[0.0, 1.0] };
    let law = run.law(2);
    [0, 1].map(|pixel| [law[pixel][0], law[pixel][1] + law[pixel][2]])
}

fn config(steps: usize, eta: f64, convention: Convention) -> SamplerConfig {
    SamplerConfig { steps, eta, convention, clip: None, ..SamplerConfig::default() }
}

#[test]
fn two_pixels_have_the_published_numbers() {
    let (exact, theirs) = (Convention::Paper, Convention::Diffusers);
    let [linear, cosine] = exact_schedules();
    let again = Resampling { jump_length: 5, jump_n_sample: 3 };
    let rows = [
        (&cosine, 0.0, exact, 0.713689386, 0.085303524),
        (&cosine, 0.0, theirs, 0.703842138, 0.101157086),
        (&cosine, 1.0, exact, 0.797554626, 0.065343734),
        (&cosine, 1.0, theirs, 0.789618614, 0.075576532),
        (&linear, 0.0, exact, 0.704480082, 0.082908845),
        (&linear, 0.0, theirs, 0.686653428, 0.107598228),
        (&linear, 1.0, exact, 0.770090016, 0.065910735),
        (&linear, 1.0, theirs, 0.755743680, 0.079673449),
    ];
    for (schedule, eta, convention, mean, variance) in rows {
        let walk = repaint(&DDIM, schedule, &config(50, eta, convention), again).unwrap();
        assert_eq!(walk.moves.len(), 140);
        let [unknown, known] = painted(schedule, &walk, Prediction::Epsilon, 0.9);
        close(unknown[0], mean, 5.1e-10, &format!("{convention:?}, η = {eta}: mean"));
        close(unknown[1], variance, 5.1e-10, &format!("{convention:?}, η = {eta}: variance"));
        assert_eq!(known, [KNOWN, 0.0], "the known pixel is what it was");
    }
}

#[test]
fn steps_are_taken_again_in_the_published_order() {
    let again = Resampling { jump_length: 2, jump_n_sample: 2 };
    assert_eq!(again.steps(6), [5, 4, 3, 2, 3, 4, 3, 2, 1, 0, 1, 2, 1, 0]);
    let [schedule, _] = schedules();
    for (n, jump_length, jump_n_sample) in
        [(6, 2, 2), (50, 5, 3), (50, 5, 5), (50, 1, 10), (250, 10, 10), (7, 3, 2), (5, 9, 4)]
    {
        let again = Resampling { jump_length, jump_n_sample };
        let jumps = (0..n.max(jump_length) - jump_length).step_by(jump_length).count() * (jump_n_sample - 1);
        let walk = repaint(&DDIM, &schedule, &config(n, 0.0, Convention::Paper), again).unwrap();
        assert_eq!(walk.moves.len(), n + jumps * jump_length, "{again:?}");
        assert_eq!(again.steps(n).len(), n + 2 * jumps * jump_length, "{again:?}");
        assert!(walk.end() == 1.0 && walk.moves.iter().all(|step| step.level > 0.0));
    }
    let paper = Resampling { jump_length: 10, jump_n_sample: 10 };
    assert_eq!(paper.steps(250).len(), 4570);
}

/// The recursion of the research's authors, each step up by itself with noise of its own, over any list.
#[test]
fn any_list_follows_the_recursion() {
    for schedule in &schedules() {
        for (rule, eta) in [(&DDIM, 0.0), (&DDIM, 0.6), (&DDPM, 1.0)] {
            for spacing in [Spacing::Leading, Spacing::Trailing] {
                for (n, jump_length, jump_n_sample) in [(7, 2, 3), (11, 1, 4), (12, 5, 2), (30, 3, 1)] {
                    for prediction in [Prediction::Epsilon, Prediction::VPrediction, Prediction::Sample] {
                        let again = Resampling { jump_length, jump_n_sample };
                        let config = SamplerConfig { spacing, prediction, ..config(n, eta, Convention::Paper) };
                        let walk = repaint(rule, schedule, &config, again).unwrap();
                        let [unknown, _] = painted(schedule, &walk, prediction, 0.9);
                        let list = rule.timesteps(1000, &config).unwrap();
                        let [mean, variance] = recursion(schedule, &list, again, eta, 0.9);
                        close(unknown[0], mean, 1e-10, &format!("{again:?} {config:?}"));
                        close(unknown[1], variance, 1e-10, &format!("{again:?} {config:?}"));
                    }
                }
            }
        }
    }
}

fn recursion(schedule: &Schedule, list: &[usize], again: Resampling, eta: f64, rho: f64) -> [f64; 2] {
    // Levels by steps left: 0 is the picture.
    let level = |left: usize| if left == 0 { 1.0 } else { schedule.alpha_bar(list[list.len() - left]) };
    let ([mut mean, mut variance], mut known, mut above) = ([0.0, 1.0], [0.0, 1.0], usize::MAX);
    for step in again.steps(list.len()) {
        if step < above {
            let (a, b) = (level(step + 1), level(step));
            let [own, cross] = weights(a, rho);
            let sigma2 = eta * eta * (1.0 - b) / (1.0 - a) * (1.0 - a / b);
            let of_x = (b / a).sqrt();
            let of_epsilon = (1.0 - b - sigma2).max(0.0).sqrt() - of_x * (1.0 - a).sqrt();
            let [own, cross] = [of_x + of_epsilon * own, of_epsilon * cross];
            mean = own * mean + cross * known[0];
            variance = own * own * variance + cross * cross * known[1] + sigma2;
        } else {
            let kept = level(step) / level(step - 1);
            (mean, variance) = (kept.sqrt() * mean, kept * variance + 1.0 - kept);
        }
        // Where it now stands, the known pixel is drawn anew.
        known = [level(step).sqrt() * KNOWN, 1.0 - level(step)];
        above = step;
    }
    [mean, variance]
}

/// The more often, the nearer to what the known pixel says: N(ρy, s²(1 − ρ²)).
#[test]
fn more_samples_come_to_the_conditional() {
    let [_, schedule] = schedules();
    for eta in [0.0, 1.0] {
        let errors = [1, 3, 10, 40].map(|jump_n_sample| {
            let again = Resampling { jump_length: 1, jump_n_sample };
            let walk = repaint(&DDIM, &schedule, &config(50, eta, Convention::Paper), again).unwrap();
            (painted(&schedule, &walk, Prediction::Epsilon, 0.9)[0][0] - 0.9).abs()
        });
        assert!(errors.windows(2).all(|pair| pair[1] < 0.9 * pair[0]) && errors[3] < 0.05, "{errors:?}");
    }
}

/// A known pixel that says nothing about the other changes nothing, whatever the rule; and every rule keeps it.
#[test]
fn what_is_independent_is_left_alone() {
    let [schedule, _] = schedules();
    let data = Data { mu: 0.0, s: S };
    for rule in crate::rules() {
        for prediction in [Prediction::Epsilon, Prediction::VPrediction] {
            let config = SamplerConfig { prediction, ..config(20, 0.5, Convention::Paper) };
            let once = Resampling { jump_length: 4, jump_n_sample: 1 };
            let walk = repaint(rule, &schedule, &config, once).unwrap();
            assert_eq!(Ok(&walk), rule.walk(&schedule, &config).as_ref());
            let [unknown, known] = painted(&schedule, &walk, prediction, 0.0);
            let network = data.network(&schedule, prediction);
            let free = Run { walk: &walk, network: &network, known: &[], mask: &[] }.law(1)[0];
            close(unknown[0], free[0], 1e-12, rule.title);
            close(unknown[1], free[1] + free[2], 1e-12, rule.title);
            assert_eq!(known, [KNOWN, 0.0]);
        }
    }
}

/// On the way the known pixel has the law of a noised picture's.
#[test]
fn the_known_part_is_noised_as_the_rest_is() {
    let [schedule, _] = schedules();
    for convention in Convention::ALL {
        let walk = repaint(&DDPM, &schedule, &config(20, 0.0, *convention), Resampling::default()).unwrap();
        for (i, step) in walk.moves.iter().enumerate() {
            let mut out = [0.0, 0.0];
            let inputs =
                Inputs { x: &[9.0; 2], output: &[1.0; 2], noise: &[0.0, 1.0], known: &[0.5, 0.0], mask: &[1.0; 2] };
            step.apply(inputs, &mut [0.0; 2 * SLOTS], &mut out);
            close(out[0], step.level.sqrt() * 0.5, 1e-15, "picture");
            close(out[1], (1.0 - step.level).sqrt(), 1e-15, "noise");
            // As the paper, the next step is made at the level the known part has.
            if let (Convention::Paper, Some(next)) = (convention, walk.moves.get(i + 1)) {
                close(step.level, schedule.alpha_bar(next.timestep), 1e-14, "level");
            }
        }
    }
}

#[test]
fn impossible_walks_are_refused() {
    let [schedule, _] = schedules();
    let config = config(20, 0.0, Convention::Paper);
    for (jump_length, jump_n_sample) in [(0, 1), (1, 0)] {
        let refused = repaint(&DDIM, &schedule, &config, Resampling { jump_length, jump_n_sample });
        assert!(matches!(refused, Err(DiffusionError::Resampling { .. })), "{refused:?}");
    }
    for rule in [&DPM_SOLVER, &IPNDM] {
        let refused = repaint(rule, &schedule, &config, Resampling::default());
        assert_eq!(refused, Err(DiffusionError::Memory(rule.title)));
    }
    // Too long to go back, and too often to count.
    let long = Resampling { jump_length: usize::MAX, jump_n_sample: usize::MAX };
    assert_eq!(repaint(&DDIM, &schedule, &config, long).unwrap().moves.len(), 20);
}
