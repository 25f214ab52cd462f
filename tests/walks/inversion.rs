//! Inversion: up and back down again, by the angles of each step.

use super::gaussian::{Data, close, gains, schedules};
use noisette::diffusion::walk::DDIM;
use noisette::diffusion::walk::inversion::{Asked, inversion};
use noisette::diffusion::{Convention, DiffusionError, Prediction, SamplerConfig, Schedule};

fn config(steps: usize, prediction: Prediction) -> SamplerConfig {
    SamplerConfig { steps, prediction, ..SamplerConfig::default() }
}

/// Gain of the way up, and of the way up and down.
fn there_and_back(schedule: &Schedule, config: &SamplerConfig, data: Data, asked: Asked) -> [f64; 2] {
    let network = data.network(schedule, config.prediction);
    let up = inversion(schedule, config, asked).unwrap();
    let down = DDIM.walk(schedule, &SamplerConfig { clip: None, ..config.clone() }).unwrap();
    assert_eq!((up.end(), up.level), (down.level, down.end()));
    let [up, down] = [up, down].map(|walk| gains(&walk, &network));
    assert_eq!([up[2], down[2]], [0.0; 2]);
    [up[1], up[1] * down[1]]
}

#[test]
fn there_and_back_keeps_the_published_share() {
    use Prediction::{Epsilon, VPrediction};
    let [_, schedule] = schedules();
    let rows = [
        (0.6, Epsilon, [0.883, 0.939, 0.975, 0.995]),
        (0.6, VPrediction, [0.775, 0.875, 0.947, 0.989]),
        (1.0, Epsilon, [0.980, 0.993, 0.998, 1.000]),
        (1.0, VPrediction, [0.801, 0.890, 0.953, 0.990]),
        (3.0, Epsilon, [1.13, 1.09, 1.05, 1.01]),
    ];
    for (s, prediction, shares) in rows {
        for (steps, share) in [10, 20, 50, 250].into_iter().zip(shares) {
            let config = config(steps, prediction);
            let [_, found] = there_and_back(&schedule, &config, Data { mu: 0.0, s }, Asked::Above);
            let tolerance = if s == 3.0 { 5.1e-3 } else { 5.1e-4 };
            close(found, share, tolerance, &format!("{steps} steps, s = {s}, {prediction:?}"));
        }
    }
    // Whether what comes of it is noise.
    for (prediction, spread) in [(Epsilon, 1.023), (VPrediction, 0.976)] {
        let [found, _] = there_and_back(&schedule, &config(50, prediction), Data { mu: 0.0, s: 1.0 }, Asked::Above);
        close(found, spread, 5.1e-4, &format!("{prediction:?}"));
    }
}

/// The share is a product over the steps.
#[test]
fn each_step_has_its_share() {
    for schedule in &schedules() {
        for convention in Convention::ALL {
            for steps in [5, 10, 40] {
                for s in [0.6, 1.0, 3.0] {
                    let data = Data { mu: 0.0, s };
                    let list = DDIM.timesteps(1000, &config(steps, Prediction::Epsilon)).unwrap();
                    let levels: Vec<f64> = list.iter().map(|&t| schedule.alpha_bar(t)).chain([1.0]).collect();
                    let unit = Data { mu: 0.0, s: 1.0 };
                    let pairs = || levels.windows(2).map(|pair| (pair[1], pair[0]));
                    let v = |(a, b): (f64, f64)| {
                        let turn = unit.theta(b) - unit.theta(a);
                        let kappa = (b * (1.0 - b)).sqrt() * (1.0 - s * s) / data.d(b);
                        turn.cos().powi(2) - (kappa * turn.sin()).powi(2)
                    };
                    let epsilon = |(a, b): (f64, f64)| {
                        let up = (b / a).sqrt()
                            + ((1.0 - b).sqrt() - (b * (1.0 - a) / a).sqrt()) * (1.0 - b).sqrt() / data.d(b);
                        let back = (data.theta(b) - data.theta(a)).cos() * (data.d(a) / data.d(b)).sqrt();
                        up * back
                    };
                    let textbook = |(a, b): (f64, f64)| (data.theta(b) - data.theta(a)).cos().powi(2);
                    let find = |prediction, asked| {
                        let config = SamplerConfig { convention: *convention, ..config(steps, prediction) };
                        there_and_back(schedule, &config, data, asked)[1]
                    };
                    let name = format!("{steps} steps, s = {s}, {convention:?}");
                    close(find(Prediction::VPrediction, Asked::Above), pairs().map(v).product(), 1e-11, &name);
                    close(find(Prediction::Epsilon, Asked::Above), pairs().map(epsilon).product(), 1e-11, &name);
                    // The first step up asks above, since there is nothing below.
                    let first = pairs().next_back().unwrap();
                    let rest: f64 = pairs().take(steps - 1).map(textbook).product();
                    close(find(Prediction::Epsilon, Asked::Below), rest * epsilon(first), 1e-11, &name);
                    close(find(Prediction::VPrediction, Asked::Below), rest * v(first), 1e-11, &name);
                }
            }
        }
    }
}

/// The fixed point is DDIM's inverse: there and back is the identity, of any data.
#[test]
fn enough_calls_lead_back_to_the_picture() {
    for schedule in &schedules() {
        for (prediction, convention) in [
            (Prediction::Epsilon, Convention::Paper),
            (Prediction::VPrediction, Convention::Paper),
            (Prediction::VPrediction, Convention::Diffusers),
        ] {
            let data = Data { mu: 0.3, s: 0.6 };
            let config = SamplerConfig { convention, ..config(100, prediction) };
            let loss = [1, 2, 4, 60].map(|calls| {
                let asked = Asked::Implicit { calls };
                assert_eq!(inversion(schedule, &config, asked).unwrap().moves.len(), 100 * calls);
                (there_and_back(schedule, &config, data, asked)[1] - 1.0).abs()
            });
            assert!(loss[1] < loss[0] && loss[2] < loss[1] && loss[3] < 1e-9, "{config:?}: {loss:?}");
        }
    }
}

/// A network that predicts x_0 can be inverted if the picture is taken to have the least noise there is.
#[test]
fn x_0_of_no_noise_is_refused() {
    let [schedule, _] = schedules();
    let sample = config(10, Prediction::Sample);
    for asked in [Asked::Below, Asked::Above, Asked::Implicit { calls: 3 }] {
        assert_eq!(inversion(&schedule, &sample, asked), Err(DiffusionError::Inversion));
        let noisy = SamplerConfig { set_alpha_to_one: false, ..sample.clone() };
        let walk = inversion(&schedule, &noisy, asked).unwrap();
        let [offset, gain, _] = gains(&walk, &Data { mu: 0.0, s: 0.6 }.network(&schedule, Prediction::Sample));
        assert!(offset.is_finite() && gain.is_finite(), "{asked:?}: {offset} {gain}");
    }
    let none = inversion(&schedule, &config(10, Prediction::Epsilon), Asked::Implicit { calls: 0 });
    assert!(matches!(none, Err(DiffusionError::Steps { found: 0, .. })), "{none:?}");
}
