//! A picture noised to a level and brought back (SDEdit), and two pictures mixed on the way.

use super::gaussian::{Data, close, exact_schedules, gains, schedules};
use noisette::diffusion::walk::{DDIM, DDPM, DPM_SOLVER, IPNDM, Rule};
use noisette::diffusion::{Convention, DiffusionError, Prediction, SamplerConfig, Schedule, Spacing, Variance, Walk};

const DATA: Data = Data { mu: 0.2, s: 0.6 };
const GUIDE: f64 = 0.9;

fn unclipped(steps: usize, eta: f64, variance: Variance) -> SamplerConfig {
    SamplerConfig { steps, eta, variance, clip: None, ..SamplerConfig::default() }
}

/// Mean and variance of what becomes of the guide.
fn edited(schedule: &Schedule, walk: &Walk, data: Data, prediction: Prediction) -> [f64; 2] {
    let [offset, gain, noise] = gains(walk, &data.network(schedule, prediction));
    let (signal, spread) = walk.start();
    [offset + gain * signal * GUIDE, (gain * spread).powi(2) + noise]
}

#[test]
fn half_strength_has_the_published_numbers() {
    const SMALL: Variance = Variance::FixedSmall;
    let rows: [[[f64; 2]; 3]; 2] = [
        [[0.327165199, 0.314868430], [0.225452271, 0.291561809], [0.225452271, 0.376713009]],
        [[0.564621154, 0.247015825], [0.398361121, 0.293010884], [0.398361121, 0.338370431]],
    ];
    let limits = [
        (0.036360387, [[0.225452271, 0.359524052], [0.333478798, 0.346910261]]),
        (0.283373031, [[0.398361121, 0.331091901], [0.572629555, 0.257985709]]),
    ];
    for ((schedule, row), (w, [stochastic, deterministic])) in exact_schedules().iter().zip(rows).zip(limits) {
        let same = |found: [f64; 2], expected: [f64; 2], tolerance: f64, what: &str| {
            close(found[0], expected[0], tolerance, &format!("{what}, mean"));
            close(found[1], expected[1], tolerance, &format!("{what}, variance"));
        };
        let find = |rule: &Rule, steps, eta, variance| {
            let walk = rule.edit(schedule, &unclipped(steps, eta, variance), 0.5).unwrap();
            assert_eq!(walk.timesteps().first(), Some(&(500 - 1000 / steps)));
            edited(schedule, &walk, DATA, Prediction::Epsilon)
        };
        same(find(&DDIM, 50, 0.0, SMALL), row[0], 5.1e-10, "DDIM");
        same(find(&DDIM, 50, 1.0, SMALL), row[1], 5.1e-10, "DDIM, η = 1");
        same(find(&DDPM, 50, 0.0, SMALL), row[1], 5.1e-10, "DDPM");
        same(find(&DDPM, 50, 0.0, Variance::FixedLarge), row[2], 5.1e-10, "DDPM, large");
        let a = schedule.alpha_bar(480);
        close(DATA.theta(a).cos().powi(2), w, 5.1e-10, "w");
        let limit = |w: f64, left: f64| [(1.0 - w) * DATA.mu + w * GUIDE, left];
        let s2 = DATA.s * DATA.s;
        same(limit(w, s2 * (1.0 - w * w)), stochastic, 1e-9, "limit, stochastic");
        same(limit(w.sqrt(), s2 * (1.0 - w)), deterministic, 2e-9, "limit, deterministic");
    }
}

/// The finest walk from the middle is near to the limit of infinitely many steps.
#[test]
fn many_steps_come_to_the_limits() {
    for schedule in &schedules() {
        for strength in [0.3, 0.5, 0.8] {
            let top = (1000.0 * strength) as usize;
            let w = DATA.theta(schedule.alpha_bar(top - 1)).cos().powi(2);
            for (eta, w, left) in [(0.0, w.sqrt(), 1.0 - w), (1.0, w, 1.0 - w * w)] {
                let walk = DDIM.edit(schedule, &unclipped(1000, eta, Variance::FixedSmall), strength).unwrap();
                assert_eq!(walk.moves.len(), top);
                let [mean, variance] = edited(schedule, &walk, DATA, Prediction::Epsilon);
                close(mean, DATA.mu + w * (GUIDE - DATA.mu), 2e-3, "mean");
                close(variance, DATA.s * DATA.s * left, 6e-3, "variance");
            }
        }
    }
}

/// Whatever the strides, DDPM has the exact mean; DDIM keeps the product of the cosines; and data of the noise's own spread
/// come out as the large variance makes them.
#[test]
fn the_laws_hold_from_any_level() {
    for schedule in &schedules() {
        for convention in Convention::ALL {
            for steps in [10, 50, 200] {
                for strength in [0.05, 0.3, 0.5, 0.77, 1.0] {
                    for prediction in [Prediction::Epsilon, Prediction::VPrediction, Prediction::Sample] {
                        let base = unclipped(steps, 0.0, Variance::FixedLarge);
                        let config = SamplerConfig { convention: *convention, prediction, ..base };
                        let ddpm = DDPM.edit(schedule, &config, strength).unwrap();
                        let w = DATA.theta(ddpm.level).cos().powi(2);
                        let [mean, _] = edited(schedule, &ddpm, DATA, prediction);
                        let name = format!("{config:?} {strength}");
                        if ddpm.moves.is_empty() {
                            close(mean, GUIDE, 0.0, &name);
                            continue;
                        }
                        close(mean, DATA.mu + w * (GUIDE - DATA.mu), 1e-11, &name);

                        let broad = Data { mu: 0.2, s: 1.0 };
                        let [_, variance] = edited(schedule, &ddpm, broad, prediction);
                        let last = schedule.alpha_bar(*ddpm.timesteps().last().unwrap());
                        close(variance, 1.0 - ddpm.level.powi(2) - (1.0 - last), 1e-11, &name);

                        let ddim = DDIM.edit(schedule, &config, strength).unwrap();
                        let levels: Vec<f64> =
                            [ddim.level].into_iter().chain(ddim.moves.iter().map(|step| step.level)).collect();
                        let turns = levels.windows(2).map(|pair| DATA.theta(pair[0]) - DATA.theta(pair[1]));
                        let kept: f64 = turns.map(f64::cos).product();
                        let theta = DATA.theta(ddim.level);
                        let [mean, variance] = edited(schedule, &ddim, DATA, prediction);
                        close(mean, DATA.mu + kept * theta.cos() * (GUIDE - DATA.mu), 1e-11, &name);
                        close(variance, (DATA.s * kept * theta.sin()).powi(2), 1e-11, &name);
                    }
                }
            }
        }
    }
}

#[test]
fn a_strength_is_a_level() {
    let [schedule, _] = schedules();
    let count = |steps, strength| {
        DDIM.edit(&schedule, &unclipped(steps, 0.0, Variance::FixedSmall), strength).unwrap().moves.len()
    };
    // diffusers' int(n·strength) has one less in each of these.
    for (steps, strength, expected) in [(50, 0.58, 29), (100, 0.29, 29), (100, 0.57, 57), (100, 0.58, 58)] {
        assert_eq!(count(steps, strength), expected);
    }
    assert_eq!([count(50, 0.5), count(50, 1.0), count(50, 0.019), count(3, 0.3)], [25, 50, 0, 0]);

    let paper = |steps, strength: f64| {
        let config = unclipped(steps, 0.0, Variance::FixedSmall);
        let config = SamplerConfig { convention: Convention::Paper, spacing: Spacing::Leading, ..config };
        let walks = [&DDPM, &DDIM, &DPM_SOLVER, &IPNDM].map(|rule| rule.edit(&schedule, &config, strength).unwrap());
        assert!(walks.iter().all(|walk| walk.timesteps() == walks[0].timesteps() && walk.end() == 1.0));
        walks[0].timesteps()
    };
    assert_eq!(paper(4, 0.5), [499, 374, 249, 124]);
    assert_eq!(paper(5, 1.0), [999, 799, 599, 399, 199]);
    assert_eq!(paper(50, 0.003), [2, 1, 0]);
    assert_eq!(paper(50, 0.0), [0; 0]);
    for convention in Convention::ALL {
        let config = SamplerConfig { convention: *convention, ..unclipped(50, 0.0, Variance::FixedSmall) };
        let nothing = DDPM.edit(&schedule, &config, 0.0).unwrap();
        assert!(nothing.moves.is_empty() && nothing.start() == (1.0, 0.0) && nothing.end() == 1.0);
        for strength in [-0.1, 1.1, f64::NAN] {
            let refused = DDIM.edit(&schedule, &config, strength);
            assert!(matches!(refused, Err(DiffusionError::Strength(_))), "{refused:?}");
        }
    }
    let all = unclipped(50, 0.0, Variance::FixedSmall);
    assert_eq!(DPM_SOLVER.edit(&schedule, &all, 1.0), DPM_SOLVER.walk(&schedule, &all));
}

#[test]
fn a_walk_that_begins_at_some_t_is_what_is_left_of_one_that_comes_there() {
    for schedule in &schedules() {
        for &convention in Convention::ALL {
            for rule in [&DDPM, &DDIM, &DPM_SOLVER, &IPNDM] {
                let config = unclipped(10, 0.5, Variance::FixedSmall);
                let whole = SamplerConfig { convention, spacing: Spacing::Trailing, ..config };
                for (from, done) in [(400, 6), (1000, 0), (100, 9)] {
                    let part = SamplerConfig { from: Some(from), steps: 10 - done, ..whole.clone() };
                    let walk = rule.walk(schedule, &part).unwrap();
                    assert_eq!(walk, rule.walk_after(schedule, &whole, done).unwrap(), "{} from {from}", rule.name);
                    assert_eq!((walk.level, walk.moves.len()), (schedule.alpha_bar(from - 1), 10 - done));
                    if convention == Convention::Paper {
                        assert_eq!(rule.edit(schedule, &part, from as f64 / 1000.0), Ok(walk), "as an edit");
                    }
                }
            }
        }
        let walk = |from, steps| {
            DDIM.walk(schedule, &SamplerConfig { from: Some(from), ..unclipped(steps, 0.0, Variance::FixedSmall) })
        };
        for from in [0, 1001] {
            assert_eq!(walk(from, 1), Err(DiffusionError::From { found: from, max: 1000 }));
        }
        assert_eq!(walk(4, 5), Err(DiffusionError::Steps { found: 5, max: 4 }));
        assert_eq!(walk(4, 4).map(|walk| walk.timesteps()), Ok(vec![3, 2, 1, 0]));
    }
}

/// Two pictures mixed at a level: with the noise of one, as SDEdit of the mixed picture; with noise of their own, less noise.
#[test]
fn mixed_pictures_have_their_laws() {
    let (other, data) = (-0.3, DATA);
    for schedule in &schedules() {
        let walk = DDPM.edit(schedule, &unclipped(1000, 0.0, Variance::FixedSmall), 0.3).unwrap();
        let [offset, gain, noise] = gains(&walk, &data.network(schedule, Prediction::Epsilon));
        let (signal, spread) = walk.start();
        let w = data.theta(walk.level).cos().powi(2);
        for lambda in [0.0, 0.25, 0.5] {
            let starts = [(1.0 - lambda) * gain, lambda * gain];
            let mean = offset + signal * (starts[0] * GUIDE + starts[1] * other);
            close(mean, data.mu + w * ((1.0 - lambda) * (GUIDE - data.mu) + lambda * (other - data.mu)), 1e-11, "mean");
            let own = starts.iter().map(|start| (start * spread).powi(2)).sum::<f64>() + noise;
            let shared = (starts.iter().sum::<f64>() * spread).powi(2) + noise;
            for (variance, c) in [(own, lambda.powi(2) + (1.0 - lambda).powi(2)), (shared, 1.0)] {
                close(variance, data.s.powi(2) * (1.0 - w + w * (1.0 - w) * c), 6e-3, "variance");
            }
        }
    }
}
