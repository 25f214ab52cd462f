//! The trainer: one step at a time, without a clock or files, so that a command line and a page can both drive it.

pub mod optimizer;

use crate::diffusion::{Prediction, schedule::Schedule};
use crate::engine::{Engine, EngineError, Program};
use crate::graph::ParamSpec;
use crate::model::config::UnetConfig;
use crate::model::unet::sinusoid;
use crate::rng::Rng;
use crate::tensor::Shape;
use optimizer::{AVERAGE, FIRST_MOMENT, SECOND_MOMENT, training_step};
use serde::{Deserialize, Serialize};

/// How to train; saved beside the checkpoint, so that `--resume` goes on alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// Share of the labels replaced by the label that means none, for classifier-free guidance.
    pub label_dropout: f64,
    /// Decides the start values, the order of the images, timesteps, noise and dropped labels.
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
            seed: 0,
        }
    }
}

/// What a step reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The step just taken; the first is 1.
    pub step: u64,
    /// The mean squared error of the batch.
    pub loss: f32,
    /// The gradient's norm before clipping.
    pub grad_norm: f32,
    /// The learning rate used.
    pub lr: f64,
}

/// What can stop training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The loss or the gradient is not a number any more.
    #[error("at step {step} the {what} is {value}: go back to the last checkpoint and lower the learning rate")]
    NotFinite {
        /// The step.
        step: u64,
        /// "loss" or "gradient's norm".
        what: &'static str,
        /// What it was.
        value: f32,
    },
    /// A model that predicts something there is no loss for.
    #[error("a model that predicts {found} cannot be trained here: expected epsilon or v_prediction")]
    Prediction {
        /// What its scheduler_config.json says that it predicts.
        found: &'static str,
    },
    /// Tensors of a saved state that do not belong to this model.
    #[error("the saved training state has no tensor {name:?} of {expected} values")]
    State {
        /// The tensor.
        name: String,
        /// Its length in this model.
        expected: usize,
    },
}

/// A model in training.
pub struct Trainer {
    program: Program,
    parameters: Vec<ParamSpec>,
    config: UnetConfig,
    schedule: Schedule,
    velocity: bool,
    options: TrainOptions,
    shape: Shape,
    step: u64,
    noise: Vec<f32>,
}

impl Trainer {
    /// A trainer whose weights are `weights`, in the order of the graph's parameters (see `model::init`), with a fresh
    /// optimizer. The moving average starts at the weights.
    pub fn new(
        engine: &Engine,
        config: &UnetConfig,
        schedule: Schedule,
        prediction: Prediction,
        options: TrainOptions,
        weights: &[Vec<f32>],
    ) -> Result<Self, TrainError> {
        let [height, width] = config.sample_size;
        let shape = Shape::new(options.batch, height, width, config.channels);
        let velocity = match prediction {
            Prediction::Epsilon => false,
            Prediction::VPrediction => true,
            Prediction::Sample => return Err(TrainError::Prediction { found: prediction.name() }),
        };
        let graph = training_step(config, shape, velocity);
        let mut program = engine.compile(&graph)?;
        let parameters = graph.parameters();
        for (spec, values) in parameters.iter().zip(weights) {
            program.write(&spec.name, values)?;
            program.write(&format!("{AVERAGE}{}", spec.name), values)?;
        }
        let noise = vec![0.0; shape.len()];
        Ok(Self { program, parameters, config: config.clone(), schedule, velocity, options, shape, step: 0, noise })
    }

    /// Steps taken so far.
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// How it trains.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// The parameters, in order.
    pub fn parameters(&self) -> &[ParamSpec] {
        &self.parameters
    }

    /// What a step costs.
    pub fn cost(&self) -> crate::engine::Cost {
        self.program.cost()
    }

    /// Takes one step on a batch: `x_0` `[N, H, W, C]` in [−1, 1] and, for class models, one label per image.
    ///
    /// Timesteps, noise and dropped labels come from the seed and the number of the step alone.
    pub async fn step(&mut self, x_0: &[f32], labels: &[usize]) -> Result<StepReport, TrainError> {
        let mut rng = Rng::stream(self.options.seed, self.step + 1);
        let n = self.shape.n();
        let timesteps: Vec<usize> = (0..n).map(|_| rng.below(self.schedule.timesteps())).collect();
        let dropped: Vec<bool> = (0..n).map(|_| rng.uniform() < self.options.label_dropout).collect();
        let mut noise = std::mem::take(&mut self.noise);
        rng.fill_normal(&mut noise);
        let result = self.step_with(x_0, labels, &timesteps, &dropped, &noise).await;
        self.noise = noise;
        result
    }

    /// [`Trainer::step`] with everything random given.
    pub async fn step_with(
        &mut self,
        x_0: &[f32],
        labels: &[usize],
        timesteps: &[usize],
        dropped: &[bool],
        noise: &[f32],
    ) -> Result<StepReport, TrainError> {
        let step = self.step + 1;
        let lr = self.learning_rate(step);
        self.program.write("x_0", x_0)?;
        self.program.write("noise", noise)?;
        let coefficients = |sign: f64| -> Vec<f32> {
            let pair = |&t: &usize| {
                [self.schedule.sqrt_alpha_bar(t) as f32, (sign * self.schedule.sqrt_one_minus_alpha_bar(t)) as f32]
            };
            timesteps.iter().flat_map(pair).collect()
        };
        let noise_coefficients = coefficients(1.0);
        self.program.write("noise_coefficients", &noise_coefficients)?;
        if self.velocity {
            let target = coefficients(-1.0);
            self.program.write("target_coefficients", &target)?;
        }
        let times: Vec<f32> = timesteps.iter().map(|&t| t as f32).collect();
        self.program.write("sinusoid", &sinusoid(&self.config, &times))?;
        if self.config.num_class_embeds.is_some() {
            let none = self.config.null_class;
            let label = |(&label, &dropped): (&usize, &bool)| none.filter(|_| dropped).unwrap_or(label) as f32;
            let labels: Vec<f32> = labels.iter().zip(dropped).map(label).collect();
            self.program.write("class_labels", &labels)?;
        }
        self.write_optimizer(step, lr)?;
        self.program.run()?;
        let loss = self.program.read("loss").await?[0];
        let grad_norm = self.program.read("grad_norm_squared").await?[0].sqrt();
        for (what, value) in [("loss", loss), ("gradient's norm", grad_norm)] {
            if !value.is_finite() {
                return Err(TrainError::NotFinite { step, what, value });
            }
        }
        self.step = step;
        Ok(StepReport { step, loss, grad_norm, lr })
    }

    fn write_optimizer(&mut self, step: u64, lr: f64) -> Result<(), EngineError> {
        let o = &self.options;
        let k = step as i32;
        let rate = lr / (1.0 - o.beta1.powi(k));
        let correction = 1.0 / (1.0 - o.beta2.powi(k)).sqrt();
        let adam = [rate, correction, o.adam_eps, lr * o.weight_decay].map(|x| x as f32);
        // A short run's average should not remember where it started.
        let n = step as f64;
        let decay = o.ema_decay.min((1.0 + n) / (10.0 + n));
        let scalars = [
            ("m_rate", 1.0 - o.beta1),
            ("v_rate", 1.0 - o.beta2),
            ("ema_rate", 1.0 - decay),
            ("max_norm", o.max_grad_norm.min(f64::from(f32::MAX))),
        ];
        self.program.write("adam", &adam)?;
        for (name, value) in scalars {
            self.program.write(name, &[value as f32])?;
        }
        Ok(())
    }

    /// The learning rate of step `step`, counted from 1.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let o = &self.options;
        let warm = if o.warmup == 0 { 1.0 } else { (step as f64 / o.warmup as f64).min(1.0) };
        let after = step.saturating_sub(o.warmup) as f64 / o.steps.saturating_sub(o.warmup).max(1) as f64;
        let decay = if o.cosine_decay { 0.5 * (1.0 + (std::f64::consts::PI * after.min(1.0)).cos()) } else { 1.0 };
        o.lr * warm * decay
    }

    /// The weights, or their moving average, in the order of [`Trainer::parameters`].
    pub async fn weights(&mut self, averaged: bool) -> Result<Vec<Vec<f32>>, TrainError> {
        let prefix = if averaged { AVERAGE } else { "" };
        let mut values = Vec::with_capacity(self.parameters.len());
        for spec in &self.parameters {
            values.push(self.program.read(&format!("{prefix}{}", spec.name)).await?);
        }
        Ok(values)
    }

    /// Everything a resumed run needs beside the options: every parameter, moment and average by name, in graph layout.
    pub async fn state(&mut self) -> Result<Vec<(String, Vec<f32>)>, TrainError> {
        let mut state = Vec::new();
        for name in self.state_names() {
            let values = self.program.read(&name.0).await?;
            state.push((name.0, values));
        }
        Ok(state)
    }

    /// Goes back to a saved [`Trainer::state`] after `step` steps; `find` looks a tensor up by name.
    pub fn restore<'a>(&mut self, step: u64, find: impl Fn(&str) -> Option<&'a [f32]>) -> Result<(), TrainError> {
        for (name, expected) in self.state_names() {
            match find(&name).filter(|values| values.len() == expected) {
                Some(values) => self.program.write(&name, values)?,
                None => return Err(TrainError::State { name, expected }),
            }
        }
        self.step = step;
        Ok(())
    }

    fn state_names(&self) -> Vec<(String, usize)> {
        let of = |spec: &ParamSpec| {
            ["", FIRST_MOMENT, SECOND_MOMENT, AVERAGE]
                .map(|prefix| (format!("{prefix}{}", spec.name), spec.shape.len()))
        };
        self.parameters.iter().flat_map(of).collect()
    }
}
