//! Samplers on Gaussian data, where the best ε is known and every distribution on the way, too.

use super::{apply, close, of_kind, trajectory, usual};
use noisette::diffusion::walk::{Move, SLOTS, Walk};
use noisette::diffusion::{BetaSchedule, SamplerConfig, SamplerKind, Schedule, Spacing, Variance};

/// Data N(m, s²) one number wide: then x_t ~ N(√ᾱ·m, V) with V = ᾱ·s² + 1 − ᾱ, and the best ε is known.
#[derive(Clone, Copy)]
struct Gaussian {
    m: f64,
    s: f64,
}

impl Gaussian {
    fn variance(self, alpha_bar: f64) -> f64 {
        alpha_bar * self.s * self.s + 1.0 - alpha_bar
    }

    /// E[ε|x_t].
    fn epsilon(self, alpha_bar: f64, x_t: f64) -> f64 {
        (1.0 - alpha_bar).sqrt() / self.variance(alpha_bar) * (x_t - alpha_bar.sqrt() * self.m)
    }

    /// Mean and variance of what a sampler makes of x_T ~ N(mean, variance). Every step is affine in x and z: three probes.
    fn sampled(self, schedule: &Schedule, sampler: &Walk, (mut mean, mut variance): (f64, f64)) -> (f64, f64) {
        for step in &sampler.moves {
            let alpha_bar = schedule.alpha_bar(step.timestep);
            let probe = |step: &Move, x: f64, z: f64| {
                let mut out = [0.0];
                apply(step, [&[x], &[self.epsilon(alpha_bar, x)], &[z]], &mut [0.0; SLOTS], &mut out);
                out[0]
            };
            let offset = probe(step, 0.0, 0.0);
            let (slope, noise) = (probe(step, 1.0, 0.0) - offset, probe(step, 0.0, 1.0) - offset);
            (mean, variance) = (slope * mean + offset, slope * slope * variance + noise * noise);
        }
        (mean, variance)
    }
}

const DATA: [Gaussian; 4] = [
    Gaussian { m: 0.3, s: 0.5 },
    Gaussian { m: -0.8, s: 0.02 },
    Gaussian { m: 0.0, s: 1.0 },
    Gaussian { m: 2.0, s: 1.7 },
];

fn exact_cases(kind: SamplerKind, eta: f64, variance: Variance) -> Vec<(Schedule, SamplerConfig)> {
    let mut cases = Vec::new();
    for beta in BetaSchedule::ALL {
        for (spacing, steps) in
            [(Spacing::Leading, 1000), (Spacing::Leading, 50), (Spacing::Leading, 8), (Spacing::Leading, 1)]
        {
            let config = SamplerConfig { kind, eta, variance, spacing, steps, clip: None, ..SamplerConfig::default() };
            cases.push((of_kind(*beta, 1000), config));
        }
    }
    cases
}

/// DDIM with η = 0 turns the vector (√ᾱ·s, √(1 − ᾱ)) from one timestep's direction to the next's and keeps the projection:
/// the spread of the result is s/|v_T|·Π cos(Δφ), φ the vector's angle.
#[test]
fn ddim_is_exact_on_gaussian_data() {
    for data in DATA {
        for (schedule, config) in exact_cases(SamplerKind::Ddim, 0.0, Variance::FixedSmall) {
            let sampler = Walk::new(&schedule, &config).unwrap();
            let angle = |alpha_bar: f64| (1.0 - alpha_bar).sqrt().atan2(alpha_bar.sqrt() * data.s);
            let visited: Vec<f64> = sampler.timesteps().iter().map(|&t| schedule.alpha_bar(t)).chain([1.0]).collect();
            let shrink: f64 = visited.windows(2).map(|pair| (angle(pair[0]) - angle(pair[1])).cos()).product();
            let start = visited[0];
            // x_T from the right distribution: the mean comes out right, and the spread as derived above.
            let (mean, variance) = data.sampled(&schedule, &sampler, (start.sqrt() * data.m, data.variance(start)));
            close(mean, data.m, 1e-11, &format!("mean, {config:?}"));
            close(variance, (data.s * shrink).powi(2), 1e-11, &format!("variance, {config:?}"));
            // x_T ~ N(0, 1), as one samples: the mean keeps the share of √ᾱ_T·m that x_T lacked.
            let (mean, variance) = data.sampled(&schedule, &sampler, (0.0, 1.0));
            let slope = data.s * shrink / data.variance(start).sqrt();
            close(mean, data.m - slope * start.sqrt() * data.m, 1e-11, &format!("mean from N(0,1), {config:?}"));
            close(variance, slope * slope, 1e-11, &format!("variance from N(0,1), {config:?}"));
            if config.steps == 1000 && data.s >= 0.5 {
                close(variance.sqrt(), data.s, 0.03 * data.s, "a thousand steps come close to the data itself");
            }
        }
    }
}

/// DDPM's mean is the true E[x_s|x_t], so that only the variance it adds is off, by C − σ² with C = V_s − α·V_s²/V_t the true
/// one. What is missing at s shrinks on its way to x_0 by ᾱ_s·s⁴/V_s². DDIM with η = 1 is the same process.
#[test]
fn ddpm_is_exact_on_gaussian_data() {
    for data in DATA {
        let runs = [
            exact_cases(SamplerKind::Ddpm, 0.0, Variance::FixedSmall),
            exact_cases(SamplerKind::Ddpm, 0.0, Variance::FixedLarge),
            exact_cases(SamplerKind::Ddim, 1.0, Variance::FixedSmall),
        ];
        for (schedule, config) in runs.into_iter().flatten() {
            let sampler = Walk::new(&schedule, &config).unwrap();
            let visited: Vec<f64> = sampler.timesteps().iter().map(|&t| schedule.alpha_bar(t)).chain([1.0]).collect();
            let start = visited[0];
            let shrink = |alpha_bar: f64| alpha_bar * data.s.powi(4) / data.variance(alpha_bar).powi(2);
            let mut expected = data.s * data.s - (data.variance(start) - 1.0) * shrink(start);
            for pair in visited.windows(2) {
                let (v_t, v_s, alpha) = (data.variance(pair[0]), data.variance(pair[1]), pair[0] / pair[1]);
                let truth = v_s - alpha * v_s * v_s / v_t;
                let added = match config.variance {
                    _ if pair[1] == 1.0 => 0.0,
                    Variance::FixedLarge => 1.0 - alpha,
                    Variance::FixedSmall => (1.0 - alpha) * (1.0 - pair[1]) / (1.0 - pair[0]),
                };
                expected -= (truth - added) * shrink(pair[1]);
            }
            let (mean, variance) = data.sampled(&schedule, &sampler, (0.0, 1.0));
            let missing = shrink(start).sqrt() * start.sqrt() * data.m;
            close(mean, data.m - missing, 1e-10, &format!("mean, {config:?}"));
            close(variance, expected, 1e-10, &format!("variance, {config:?}"));
            if data.s == 1.0 && config.variance == Variance::FixedLarge {
                // β is the right variance for N(0, 1): exact at every stride but the last step, which adds none.
                close(variance, visited[config.steps - 1], 1e-10, "the standard normal stays");
            }
        }
    }
}

/// DPM-Solver++ follows the same path as DDIM with η = 0, with an error of second order instead of first.
#[test]
fn dpm_solver_needs_fewer_steps_than_ddim() {
    let (s, data) = (usual(), DATA[0]);
    let error = |kind, steps| {
        let config = SamplerConfig { kind, steps, spacing: Spacing::Trailing, clip: None, ..SamplerConfig::default() };
        let sampler = Walk::new(&s, &config).unwrap();
        let model = |x: f64, t: usize| data.epsilon(s.alpha_bar(t), x);
        let states = trajectory(&sampler, vec![1.0], model, |_, _| 0.0);
        // Where the path of x_T = 1 ends: the same quantile of the data.
        let start = s.alpha_bar(999);
        (states[steps - 1][0] - data.m - data.s * (1.0 - start.sqrt() * data.m) / data.variance(start).sqrt()).abs()
    };
    for steps in [20, 40] {
        let (first, second) = (error(SamplerKind::Ddim, steps), error(SamplerKind::DpmSolverPp2M, steps));
        assert!(second < 0.4 * first, "{steps} steps: DDIM is off by {first}, DPM-Solver++ by {second}");
    }
}
