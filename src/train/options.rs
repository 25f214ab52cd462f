//! How to train: what a step needs to know, with the defaults.

use crate::diffusion::Prediction;
use crate::diffusion::schedule::Schedule;
use serde::{Deserialize, Serialize};

/// What the error of a prediction counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// The mean of the squares, as in Ho et al. 2020, eq. 14.
    #[default]
    L2,
    /// The mean of the absolute values.
    L1,
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainOptions {
    /// Images per step.
    pub batch: usize,
    /// Steps of the whole run, which the learning rate's decay is laid out for.
    pub steps: u64,
    /// Peak learning rate.
    pub lr: f64,
    /// Steps over which the learning rate rises from zero.
    pub warmup: u64,
    /// Whether the learning rate falls to zero along a half cosine after the warm-up, or stays.
    pub cosine_decay: bool,
    /// Adam's β₁.
    pub beta1: f64,
    /// Adam's β₂.
    pub beta2: f64,
    /// Adam's ε.
    pub adam_eps: f64,
    /// AdamW's λ; 0 is Adam.
    pub weight_decay: f64,
    /// The gradient's norm is cut down to this.
    pub max_grad_norm: f64,
    /// Decay of the moving average of the weights, approached as min(decay, (1 + n)/(10 + n)).
    pub ema_decay: f64,
    /// Share of the labels replaced by the null class, for classifier-free guidance.
    pub label_dropout: f64,
    /// Whether every other image, by chance, is mirrored left to right.
    pub flip: bool,
    /// What an error counts for.
    pub loss: Loss,
    /// γ of the min-SNR weighting (Hang et al. 2023, arXiv 2303.09556); without it all timesteps count alike.
    pub min_snr_gamma: Option<f64>,
    /// Whether the last layer of every block and of the network starts at zero (see `model::init::start_at_zero`). What was
    /// saved before there was a choice did not.
    #[serde(default)]
    pub zero_init: bool,
    /// Whether a batch takes one timestep of each of its N equal parts of 0…T−1, instead of N independent ones. What was saved
    /// before there was a choice did not.
    #[serde(default)]
    pub stratified_timesteps: bool,
    /// Decides the start values, the order of the images, timesteps, noise, mirroring and dropped labels.
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            batch: 64,
            steps: 5000,
            lr: 1e-3,
            warmup: 100,
            cosine_decay: true,
            beta1: 0.9,
            beta2: 0.999,
            adam_eps: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            ema_decay: 0.999,
            label_dropout: 0.1,
            flip: false,
            loss: Loss::L2,
            min_snr_gamma: None,
            zero_init: true,
            stratified_timesteps: true,
            seed: 0,
        }
    }
}

impl TrainOptions {
    /// The learning rate of step `step`, counted from 1: up in a line, then steady or down along a half cosine.
    pub fn learning_rate(&self, step: u64) -> f64 {
        self.rate(step, self.steps)
    }

    /// The same laid out for another number of steps.
    pub(super) fn rate(&self, step: u64, steps: u64) -> f64 {
        let warm = if self.warmup == 0 { 1.0 } else { (step as f64 / self.warmup as f64).min(1.0) };
        let after = step.saturating_sub(self.warmup) as f64 / steps.saturating_sub(self.warmup).max(1) as f64;
        let decay = if self.cosine_decay { 0.5 * (1.0 + (std::f64::consts::PI * after.min(1.0)).cos()) } else { 1.0 };
        self.lr * warm * decay
    }

    /// The decay of the moving average at step `step`: a short run's average should not remember where it started.
    pub fn average_decay(&self, step: u64) -> f64 {
        let n = step as f64;
        self.ema_decay.min((1.0 + n) / (10.0 + n))
    }

    /// What the error of an image at timestep `t` is multiplied with: 1, or with γ min(SNR, γ) of the error of x̂_0, which is
    /// min(SNR, γ)/SNR of ε's and min(SNR, γ)/(SNR + 1) of v's (Hang et al. 2023, section 3.4).
    pub fn loss_weight(&self, schedule: &Schedule, prediction: Prediction, t: usize) -> f64 {
        let Some(gamma) = self.min_snr_gamma else { return 1.0 };
        let snr = schedule.snr(t);
        match prediction {
            Prediction::Epsilon => snr.min(gamma) / snr,
            Prediction::VPrediction => snr.min(gamma) / (snr + 1.0),
            Prediction::Sample => snr.min(gamma),
        }
    }
}
