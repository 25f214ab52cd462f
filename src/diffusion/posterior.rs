//! One step back: q(x_{t−1}|x_t, x_0), and the three ways a model may speak (ε, x_0, v), each a linear function of the others
//! and x_t.

use super::forward::weights;
use super::{Prediction, Schedule};

/// q(x_s|x_t, x_0) = N(x0·x_0 + xt·x_t, variance), s before t (DDPM, equations 6 and 7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior {
    /// Weight of x_0 in the mean: √ᾱ_s·β/(1 − ᾱ_t).
    pub x0: f64,
    /// Weight of x_t in the mean: √α·(1 − ᾱ_s)/(1 − ᾱ_t).
    pub xt: f64,
    /// β̃ = (1 − ᾱ_s)/(1 − ᾱ_t)·β.
    pub variance: f64,
    /// β = 1 − ᾱ_t/ᾱ_s, the variance the forward process adds from s to t.
    pub beta: f64,
}

impl Posterior {
    /// The posterior over any stride, from ᾱ at both ends: α = ᾱ_t/ᾱ_s, β = 1 − α. Here ᾱ_t < ᾱ_s ≤ 1;
    /// ᾱ_s = 1 stands for x_0, and then the mean is x_0 and the variance 0.
    pub fn between(alpha_bar_t: f64, alpha_bar_s: f64) -> Self {
        let (alpha, beta) = (alpha_bar_t / alpha_bar_s, (alpha_bar_s - alpha_bar_t) / alpha_bar_s);
        Self::from_parts(alpha, beta, alpha_bar_t, alpha_bar_s)
    }

    /// [`Posterior::between`] with α and β rounded to f32 on the way, as diffusers does. Over the thousand steps of a cosine
    /// schedule the difference grows to 3e-4, more than parity allows.
    pub fn rounded(alpha_bar_t: f64, alpha_bar_s: f64) -> Self {
        let alpha = alpha_bar_t as f32 / alpha_bar_s as f32;
        Self::from_parts(f64::from(alpha), f64::from(1.0 - alpha), alpha_bar_t, alpha_bar_s)
    }

    fn from_parts(alpha: f64, beta: f64, alpha_bar_t: f64, alpha_bar_s: f64) -> Self {
        let rest = (1.0 - alpha_bar_s) / (1.0 - alpha_bar_t);
        Self {
            x0: alpha_bar_s.sqrt() * beta / (1.0 - alpha_bar_t),
            xt: alpha.sqrt() * rest,
            variance: rest * beta,
            beta,
        }
    }

    /// The posterior one timestep back.
    pub fn at(schedule: &Schedule, t: usize) -> Self {
        Self::between(schedule.alpha_bar(t), schedule.alpha_bar_before(t))
    }

    /// The mean for given x_0 and x_t (DDPM, equation 7).
    pub fn mean(&self, x_0: f64, x_t: f64) -> f64 {
        self.x0 * x_0 + self.xt * x_t
    }
}

/// What a model's output says about x_0 and ε, both linear in x_t and the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// x_0 = x0.0·x_t + x0.1·output.
    pub x0: (f64, f64),
    /// ε = epsilon.0·x_t + epsilon.1·output.
    pub epsilon: (f64, f64),
}

impl Reading {
    /// Reads the output of a model that predicts `prediction`, where the image still has the share √ᾱ: from ε by DDPM's equation
    /// 15, from x_0 by equation 4 solved for ε, from v as Salimans and Ho 2022 (section 4 and appendix D).
    pub fn new(prediction: Prediction, alpha_bar: f64) -> Self {
        let (signal, noise) = weights(alpha_bar);
        match prediction {
            Prediction::Epsilon => Self { x0: (1.0 / signal, -noise / signal), epsilon: (0.0, 1.0) },
            Prediction::Sample => Self { x0: (0.0, 1.0), epsilon: (1.0 / noise, -signal / noise) },
            Prediction::VPrediction => Self { x0: (signal, -noise), epsilon: (noise, signal) },
        }
    }
}
