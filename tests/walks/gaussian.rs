//! Gaussian data, the best predictor of it, and what a walk makes of both.

use noisette::diffusion::posterior::Reading;
use noisette::diffusion::walk::{Inputs, Move, SLOTS, Walk};
use noisette::diffusion::{BetaSchedule, Prediction, Schedule};

pub fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(error <= tolerance, "{what}: {found}, expected {expected}");
}

/// β linear from 1e-4 to 0.02, and cosine; ᾱ is not rounded to f32.
pub fn exact_schedules() -> [Schedule; 2] {
    let f = |t: usize| ((t as f64 / 1000.0 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    let linear = |t: usize| 1e-4 + (0.02 - 1e-4) * t as f64 / 999.0;
    let cosine = |t: usize| (1.0 - f(t + 1) / f(t)).min(0.999);
    let schedule = |beta: &dyn Fn(usize) -> f64| {
        let mut product = 1.0;
        let alpha_bars = (0..1000).map(|t| {
            product *= 1.0 - beta(t);
            product
        });
        Schedule::from_alpha_bars(alpha_bars.collect()).unwrap()
    };
    [schedule(&linear), schedule(&cosine)]
}

/// As models have them.
pub fn schedules() -> [Schedule; 2] {
    [BetaSchedule::Linear, BetaSchedule::SquaredcosCapV2].map(|kind| Schedule::new(kind, 1000, 1e-4, 0.02).unwrap())
}

/// N(μ, s²).
#[derive(Clone, Copy, Debug)]
pub struct Data {
    pub mu: f64,
    pub s: f64,
}

impl Data {
    pub fn d(self, alpha_bar: f64) -> f64 {
        alpha_bar * self.s * self.s + 1.0 - alpha_bar
    }

    pub fn theta(self, alpha_bar: f64) -> f64 {
        (1.0 - alpha_bar).sqrt().atan2(self.s * alpha_bar.sqrt())
    }

    pub fn epsilon(self, alpha_bar: f64, x: f64) -> f64 {
        (1.0 - alpha_bar).sqrt() * (x - alpha_bar.sqrt() * self.mu) / self.d(alpha_bar)
    }

    /// The best predictor, pixel by pixel.
    pub fn network(self, schedule: &Schedule, prediction: Prediction) -> impl Fn(&Move, &[f64]) -> Vec<f64> {
        move |step: &Move, x: &[f64]| {
            let alpha_bar = schedule.alpha_bar(step.timestep);
            x.iter().map(|&x| speak(prediction, alpha_bar, x, self.epsilon(alpha_bar, x))).collect()
        }
    }
}

/// What a network that predicts this says of x, where ε is known.
pub fn speak(prediction: Prediction, alpha_bar: f64, x: f64, epsilon: f64) -> f64 {
    let x_0 = (x - (1.0 - alpha_bar).sqrt() * epsilon) / alpha_bar.sqrt();
    match prediction {
        Prediction::Epsilon => epsilon,
        Prediction::VPrediction => alpha_bar.sqrt() * epsilon - (1.0 - alpha_bar).sqrt() * x_0,
        Prediction::Sample => x_0,
    }
}

/// A walk with a predictor and, where there is one, a picture known in part.
pub struct Run<'a> {
    pub walk: &'a Walk,
    pub network: &'a dyn Fn(&Move, &[f64]) -> Vec<f64>,
    pub known: &'a [f64],
    pub mask: &'a [f64],
}

impl Run<'_> {
    /// Where it ends from x, with one unit of noise in one pixel of one move.
    pub fn end(&self, x: &[f64], unit: Option<(usize, usize)>) -> Vec<f64> {
        let mut x = x.to_vec();
        let mut slots = vec![0.0; SLOTS * x.len()];
        for (i, step) in self.walk.moves.iter().enumerate() {
            let output = (self.network)(step, &x);
            let mut noise = vec![0.0; x.len()];
            if let Some((_, pixel)) = unit.filter(|(at, _)| *at == i) {
                noise[pixel] = 1.0;
            }
            let mut out = vec![0.0; x.len()];
            let inputs = Inputs { x: &x, output: &output, noise: &noise, known: self.known, mask: self.mask };
            step.apply(inputs, &mut slots, &mut out);
            x = out;
        }
        x
    }

    /// In each pixel at the end: the offset, the sum of the squares of the gains of the start's pixels, and that of the noise's.
    pub fn law(&self, pixels: usize) -> Vec<[f64; 3]> {
        let zero = vec![0.0; pixels];
        let offset = self.end(&zero, None);
        let mut law: Vec<[f64; 3]> = offset.iter().map(|&offset| [offset, 0.0, 0.0]).collect();
        let mut add = |which: usize, end: Vec<f64>| {
            for ((law, end), offset) in law.iter_mut().zip(end).zip(&offset) {
                law[which] += (end - offset).powi(2);
            }
        };
        for pixel in 0..pixels {
            let mut start = zero.clone();
            start[pixel] = 1.0;
            add(1, self.end(&start, None));
            let drawn = (0..self.walk.moves.len()).filter(|&at| self.walk.moves[at].draws(!self.mask.is_empty()));
            drawn.for_each(|at| add(2, self.end(&zero, Some((at, pixel)))));
        }
        law
    }
}

/// Offset, gain of the start and variance by the noise, of one pixel without a known picture.
pub fn gains(walk: &Walk, network: &dyn Fn(&Move, &[f64]) -> Vec<f64>) -> [f64; 3] {
    let run = Run { walk, network, known: &[], mask: &[] };
    let [offset, _, noise] = run.law(1)[0];
    [offset, run.end(&[1.0], None)[0] - offset, noise]
}

/// Numbers in (−1, 1) that look like nothing.
pub fn scrambled(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// x̂_0 and ε̂ of x and the output, at ᾱ.
pub fn read(prediction: Prediction, alpha_bar: f64, x: f64, output: f64) -> (f64, f64) {
    let Reading { x0, epsilon } = Reading::new(prediction, alpha_bar);
    (x0.0 * x + x0.1 * output, epsilon.0 * x + epsilon.1 * output)
}
