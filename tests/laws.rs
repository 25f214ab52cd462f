//! Samplers as the papers have them, from entry to entry of any list of timesteps to x_0, against exact laws on Gaussian data.
//!
//! For data N(μ, s²) the best prediction is linear in x, and so is every step: a whole run is x_0 = offset + g_T·x_T + Σ g_i·z_i.
//! Feeding 0 and then one unit at a time finds the offset and the gains, with no sample drawn. ᾱ of the noisier level is a, of
//! the cleaner b; D(ᾱ) = ᾱ·s² + 1 − ᾱ is the variance of x there, and θ(ᾱ) = atan2(√(1−ᾱ), s·√ᾱ).
#![cfg(not(target_arch = "wasm32"))]

use noisette::diffusion::walk::{Inputs, SLOTS, Walk};
use noisette::diffusion::{
    BetaSchedule, Convention, Prediction, SamplerConfig, SamplerKind, Schedule, Spacing, Variance,
};

/// N(μ, s²).
#[derive(Clone, Copy, Debug)]
struct Data {
    mu: f64,
    s: f64,
}

const DATA: [Data; 4] =
    [Data { mu: 0.2, s: 0.6 }, Data { mu: -0.8, s: 0.05 }, Data { mu: 0.0, s: 1.0 }, Data { mu: 1.5, s: 1.7 }];

/// Numbers of steps, most of which divide no T.
const STEPS: [usize; 7] = [1, 2, 3, 7, 15, 64, 300];

impl Data {
    fn d(self, alpha_bar: f64) -> f64 {
        alpha_bar * self.s * self.s + 1.0 - alpha_bar
    }

    fn theta(self, alpha_bar: f64) -> f64 {
        (1.0 - alpha_bar).sqrt().atan2(self.s * alpha_bar.sqrt())
    }

    /// The best output of a model that predicts this.
    fn output(self, prediction: Prediction, alpha_bar: f64, x: f64) -> f64 {
        let epsilon = (1.0 - alpha_bar).sqrt() * (x - alpha_bar.sqrt() * self.mu) / self.d(alpha_bar);
        let x_0 = (x - (1.0 - alpha_bar).sqrt() * epsilon) / alpha_bar.sqrt();
        match prediction {
            Prediction::Epsilon => epsilon,
            Prediction::VPrediction => alpha_bar.sqrt() * epsilon - (1.0 - alpha_bar).sqrt() * x_0,
            Prediction::Sample => x_0,
        }
    }

    /// A run from x_T with the noise `z` at step `at` and none at the others.
    fn run(self, schedule: &Schedule, sampler: &Walk, prediction: Prediction, x_t: f64, at: Option<usize>) -> f64 {
        let (mut x, mut slots) = ([x_t], [0.0; SLOTS]);
        for (i, step) in sampler.moves.iter().enumerate() {
            let output = [self.output(prediction, schedule.alpha_bar(step.timestep), x[0])];
            let z = [if at == Some(i) { 1.0 } else { 0.0 }];
            let mut out = [0.0];
            step.apply(Inputs { x: &x, output: &output, noise: &z, known: &[], mask: &[] }, &mut slots, &mut out);
            x = out;
        }
        x[0]
    }

    /// Offset, the gain of x_T, and the sum of the squares of the gains of the noise.
    fn gains(self, schedule: &Schedule, sampler: &Walk, prediction: Prediction) -> [f64; 3] {
        let offset = self.run(schedule, sampler, prediction, 0.0, None);
        let of = |x, at| self.run(schedule, sampler, prediction, x, at) - offset;
        let noise = (0..sampler.moves.len()).map(|i| of(0.0, Some(i)).powi(2)).sum();
        [offset, of(1.0, None), noise]
    }
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(error <= tolerance, "{what}: {found}, expected {expected}");
}

fn schedules() -> [Schedule; 2] {
    [BetaSchedule::Linear, BetaSchedule::SquaredcosCapV2].map(|kind| Schedule::new(kind, 1000, 1e-4, 0.02).unwrap())
}

/// Every list of timesteps: schedule, sampler, what is predicted, the ᾱ from the first entry to x_0's 1, and a name.
fn cases(base: &SamplerConfig) -> Vec<(Schedule, Walk, Prediction, Vec<f64>, String)> {
    let mut cases = Vec::new();
    for schedule in schedules() {
        for &spacing in Spacing::ALL {
            for steps in STEPS {
                for prediction in [Prediction::Epsilon, Prediction::VPrediction] {
                    let config = SamplerConfig {
                        steps,
                        spacing,
                        prediction,
                        clip: None,
                        convention: Convention::Paper,
                        set_alpha_to_one: false,
                        round_like_diffusers: true,
                        ..base.clone()
                    };
                    let sampler = Walk::new(&schedule, &config).unwrap();
                    let levels = sampler.timesteps().iter().map(|&t| schedule.alpha_bar(t)).chain([1.0]).collect();
                    cases.push((schedule.clone(), sampler, prediction, levels, format!("{config:?}")));
                }
            }
        }
    }
    assert_eq!(cases.len(), 2 * 3 * 7 * 2);
    cases
}

#[test]
fn ddim_keeps_the_product_of_the_cosines() {
    let base = SamplerConfig { kind: SamplerKind::Ddim, ..SamplerConfig::default() };
    for (schedule, sampler, prediction, levels, name) in cases(&base) {
        for data in DATA {
            let kept: f64 = levels.windows(2).map(|pair| (data.theta(pair[0]) - data.theta(pair[1])).cos()).product();
            let slope = data.s * kept / data.d(levels[0]).sqrt();
            let [offset, gain, noise] = data.gains(&schedule, &sampler, prediction);
            close(gain, slope, 1e-11, &name);
            close(offset, data.mu - slope * levels[0].sqrt() * data.mu, 1e-11, &name);
            assert_eq!(noise, 0.0, "{name}");
        }
    }
}

#[test]
fn ddim_with_eta_follows_its_recursion() {
    for eta in [0.3, 1.0] {
        let base = SamplerConfig { kind: SamplerKind::Ddim, eta, ..SamplerConfig::default() };
        for (schedule, sampler, prediction, levels, name) in cases(&base) {
            for data in DATA {
                let (mut gain, mut variance) = (1.0, 0.0);
                for pair in levels.windows(2) {
                    let (a, b) = (pair[0], pair[1]);
                    let sigma2 = eta * eta * (1.0 - b) / (1.0 - a) * (1.0 - a / b);
                    let theta = data.theta(a);
                    let rest = (1.0 - b - sigma2).max(0.0).sqrt();
                    let step = (b.sqrt() * data.s * theta.cos() + rest * theta.sin()) / data.d(a).sqrt();
                    (gain, variance) = (gain * step, step * step * variance + sigma2);
                }
                let [offset, found, noise] = data.gains(&schedule, &sampler, prediction);
                close(found, gain, 1e-9, &name);
                close(noise, variance, 1e-9, &name);
                close(offset, data.mu - gain * levels[0].sqrt() * data.mu, 1e-9, &name);
            }
        }
    }
}

#[test]
fn ddpm_has_the_exact_mean_at_any_stride_and_no_noise_at_the_end() {
    for variance in [Variance::FixedSmall, Variance::FixedLarge] {
        let base = SamplerConfig { variance, ..SamplerConfig::default() };
        for (schedule, sampler, prediction, levels, name) in cases(&base) {
            for data in DATA {
                let (mut gain, mut expected) = (1.0, 0.0);
                for (i, pair) in levels.windows(2).enumerate() {
                    let (a, b) = (pair[0], pair[1]);
                    let sigma2 = match variance {
                        _ if i + 2 == levels.len() => 0.0,
                        Variance::FixedSmall => (1.0 - b) / (1.0 - a) * (1.0 - a / b),
                        Variance::FixedLarge => 1.0 - a / b,
                    };
                    let step = (a / b).sqrt() * data.d(b) / data.d(a);
                    (gain, expected) = (gain * step, step * step * expected + sigma2);
                }
                let [offset, found, noise] = data.gains(&schedule, &sampler, prediction);
                close(found, gain, 1e-11, &name);
                close(noise, expected, 1e-11, &name);
                close(offset, data.mu - gain * levels[0].sqrt() * data.mu, 1e-11, &name);
            }
        }
    }
}

/// Lu et al. 2022, Algorithm 2, written down once more: of first order at both ends.
#[test]
fn dpm_solver_goes_from_entry_to_entry() {
    let base = SamplerConfig { kind: SamplerKind::DpmSolverPp2M, ..SamplerConfig::default() };
    for (schedule, sampler, prediction, levels, name) in cases(&base) {
        for data in DATA {
            let follow = |start: f64| {
                let lambda = |a: f64| 0.5 * (a / (1.0 - a)).ln();
                let (mut x, mut before) = (start, None);
                for (i, pair) in levels.windows(2).enumerate() {
                    let (a, b) = (pair[0], pair[1]);
                    let x_0 = data.mu + data.s * data.theta(a).cos() * (x - a.sqrt() * data.mu) / data.d(a).sqrt();
                    if i + 2 == levels.len() {
                        return x_0;
                    }
                    let h = lambda(b) - lambda(a);
                    let d = before.map_or(x_0, |(y, h_before): (f64, f64)| {
                        let r = h_before / h;
                        (1.0 + 0.5 / r) * x_0 - 0.5 / r * y
                    });
                    x = ((1.0 - b) / (1.0 - a)).sqrt() * x - b.sqrt() * ((-h).exp() - 1.0) * d;
                    before = Some((x_0, h));
                }
                x
            };
            for start in [0.0, 1.0, -0.7] {
                let found = data.run(&schedule, &sampler, prediction, start, None);
                close(found, follow(start), 1e-10, &name);
            }
        }
    }
}

/// What its second order is for: less of the deviation is lost than by DDIM, which is the same solver's first order.
#[test]
fn dpm_solver_loses_less_than_ddim() {
    let [_, schedule] = schedules();
    let data = DATA[0];
    let lost = |kind, steps| {
        let config = SamplerConfig {
            kind,
            steps,
            spacing: Spacing::Trailing,
            convention: Convention::Paper,
            clip: None,
            ..SamplerConfig::default()
        };
        let sampler = Walk::new(&schedule, &config).unwrap();
        let start = schedule.alpha_bar(sampler.timesteps()[0]);
        // The exact flow keeps all of it.
        (data.gains(&schedule, &sampler, Prediction::Epsilon)[1] - data.s / data.d(start).sqrt()).abs()
    };
    for steps in [5, 10, 20] {
        let [second, first] = [SamplerKind::DpmSolverPp2M, SamplerKind::Ddim].map(|kind| lost(kind, steps));
        assert!(second < 0.7 * first, "{steps}: {second} {first}");
    }
}

/// Data of one point: the model knows x_0 at once, and every sampler ends there, from any x_T, with no noise left.
#[test]
fn every_sampler_ends_at_the_only_picture_there_is() {
    let data = Data { mu: 0.35, s: 0.0 };
    for &kind in SamplerKind::ALL {
        for variance in [Variance::FixedSmall, Variance::FixedLarge] {
            for eta in [0.0, 1.0] {
                let base = SamplerConfig { kind, variance, eta, ..SamplerConfig::default() };
                for (schedule, sampler, prediction, _, name) in cases(&base) {
                    for x_t in [0.0, -2.0, 3.0] {
                        for at in [None, Some(0), Some(sampler.moves.len() - 1)] {
                            close(data.run(&schedule, &sampler, prediction, x_t, at), 0.35, 1e-9, &name);
                        }
                    }
                }
            }
        }
    }
}

/// diffusers' letter departs where it is said to: these are the departures that `Convention::Paper` mends.
#[test]
fn diffusers_ends_elsewhere() {
    let [linear, _] = schedules();
    let data = DATA[0];
    let noise = |config: &SamplerConfig| {
        let sampler = Walk::new(&linear, config).unwrap();
        data.gains(&linear, &sampler, Prediction::Epsilon)
    };
    let base = SamplerConfig { spacing: Spacing::Trailing, steps: 7, clip: None, ..SamplerConfig::default() };
    // DDPM with the large variance leaves noise in the picture.
    let large = SamplerConfig { variance: Variance::FixedLarge, ..base.clone() };
    let last = |config: &SamplerConfig| Walk::new(&linear, config).unwrap().moves.last().unwrap().noise;
    assert!(last(&large) > 0.1, "{}", last(&large));
    assert_eq!(last(&SamplerConfig { convention: Convention::Paper, ..large.clone() }), 0.0);
    // With the small one no more than its floor is left, in the variance 1e-20.
    close(last(&base), 1e-10, 1e-22, "the floor");
    assert_eq!(last(&SamplerConfig { convention: Convention::Paper, ..base.clone() }), 0.0);
    // DDIM steps by ⌊T/n⌋ = 142 where the list goes by 143.
    let ddim = SamplerConfig { kind: SamplerKind::Ddim, ..base };
    let paper = SamplerConfig { convention: Convention::Paper, ..ddim.clone() };
    assert!((noise(&ddim)[1] - noise(&paper)[1]).abs() > 1e-5);
}

#[test]
fn a_clipped_step_takes_the_noise_that_belongs_to_the_clipped_picture() {
    let [_, schedule] = schedules();
    let config = SamplerConfig {
        kind: SamplerKind::Ddim,
        steps: 4,
        eta: 0.5,
        spacing: Spacing::Trailing,
        convention: Convention::Paper,
        ..SamplerConfig::default()
    };
    let sampler = Walk::new(&schedule, &config).unwrap();
    let (step, next) = (&sampler.moves[1], &sampler.moves[2]);
    let (a, b) = (schedule.alpha_bar(step.timestep), schedule.alpha_bar(next.timestep));
    for (x, epsilon) in [(2.5, -0.5), (-3.0, 0.2), (0.1, 0.1)] {
        let x_0 = ((x - (1.0 - a).sqrt() * epsilon) / a.sqrt()).clamp(-1.0, 1.0);
        let again = (x - a.sqrt() * x_0) / (1.0 - a).sqrt();
        let sigma2 = 0.25 * (1.0 - b) / (1.0 - a) * (1.0 - a / b);
        let expected = b.sqrt() * x_0 + (1.0 - b - sigma2).sqrt() * again + sigma2.sqrt() * 0.7;
        let mut out = [0.0];
        let inputs = Inputs { x: &[x], output: &[epsilon], noise: &[0.7], known: &[], mask: &[] };
        step.apply(inputs, &mut [0.0; SLOTS], &mut out);
        close(out[0], expected, 1e-12, &format!("x {x}"));
        close(step.x0(x, epsilon), x_0, 1e-12, &format!("x̂_0 of {x}"));
    }
}
