//! The trainer: one step at a time, without a clock or files, so that a command line and a page can both drive it.

pub mod distill;
mod draw;
mod examples;
pub mod inherit;
pub mod optimizer;
mod options;
pub mod recipe;
pub mod recipe_text;
mod report;
pub mod saved;
pub mod state;
pub mod suit;

pub use distill::{DistillError, Distillation, Distiller};
pub(crate) use examples::Examples;
pub use inherit::InheritError;
pub use options::{Loss, TrainOptions};
pub use recipe::Recipe;
pub use report::{BUCKETS, ImageError, StepReport, TrainError, bucket, bucket_range};
pub use saved::{Progress, SavedError};
pub use suit::{SuitError, Traits, suitable_net};

use crate::diffusion::{Prediction, forward, schedule::Schedule};
use crate::engine::{Engine, EngineError, Program, Weights};
use crate::graph::ParamSpec;
use crate::model::config::UnetConfig;
use crate::model::step::Objective;
use crate::rng::Rng;
use crate::tensor::Shape;
use draw::{draw_timesteps, mirror_some};
use optimizer::{AVERAGE, FIRST_MOMENT, SECOND_MOMENT, training_step};

/// A model in training.
pub struct Trainer {
    program: Program,
    parameters: Vec<ParamSpec>,
    config: UnetConfig,
    schedule: Schedule,
    prediction: Prediction,
    objective: Objective,
    options: TrainOptions,
    shape: Shape,
    step: u64,
    /// The step after which the optimizer began, and how many the learning rate is laid out for if not for all.
    began: u64,
    stretch: Option<u64>,
    noise: Vec<f32>,
    /// x_0 of a step some of whose images are mirrored.
    mirrored: Vec<f32>,
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
        let (absolute, weighted) = (options.loss == Loss::L1, options.min_snr_gamma.is_some());
        let objective = Objective { velocity, absolute, weighted };
        let graph = training_step(config, shape, objective);
        let mut program = engine.compile(&graph)?;
        let parameters = graph.parameters();
        for (spec, values) in parameters.iter().zip(weights) {
            program.write(&spec.name, values)?;
            program.write(&format!("{AVERAGE}{}", spec.name), values)?;
        }
        let noise = vec![0.0; shape.len()];
        let mirrored = if options.flip { vec![0.0; shape.len()] } else { Vec::new() };
        let config = config.clone();
        Ok(Self {
            program,
            parameters,
            config,
            schedule,
            prediction,
            objective,
            options,
            shape,
            step: 0,
            began: 0,
            stretch: None,
            noise,
            mirrored,
        })
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
    /// Timesteps, noise, dropped labels and mirroring come from the seed and the number of the step alone.
    pub async fn step(&mut self, x_0: &[f32], labels: &[usize]) -> Result<StepReport, TrainError> {
        let mut rng = Rng::stream(self.options.seed, self.step + 1);
        let n = self.shape.n();
        let timesteps = draw_timesteps(&mut rng, n, self.schedule.timesteps(), self.options.stratified_timesteps);
        let dropped: Vec<bool> = (0..n).map(|_| rng.uniform() < self.options.label_dropout).collect();
        let mut noise = std::mem::take(&mut self.noise);
        rng.fill_normal(&mut noise);
        let result = if self.options.flip && x_0.len() == self.shape.len() {
            let mut mirrored = std::mem::take(&mut self.mirrored);
            mirror_some(x_0, self.shape, &mut rng, &mut mirrored);
            let result = self.step_with(&mirrored, labels, &timesteps, &dropped, &noise).await;
            self.mirrored = mirrored;
            result
        } else {
            self.step_with(x_0, labels, &timesteps, &dropped, &noise).await
        };
        self.noise = noise;
        result
    }

    /// [`Trainer::step`] with everything random given; nothing is mirrored.
    pub async fn step_with(
        &mut self,
        x_0: &[f32],
        labels: &[usize],
        timesteps: &[usize],
        dropped: &[bool],
        noise: &[f32],
    ) -> Result<StepReport, TrainError> {
        let none = self.config.null_class;
        let label = |(&label, &dropped): (&usize, &bool)| none.filter(|_| dropped).unwrap_or(label);
        let labels: Vec<usize> = labels.iter().zip(dropped).map(label).collect();
        self.learn(Examples { x_0, noise, timesteps, labels: &labels }).await
    }

    /// Takes one step towards targets from outside: of the states `x_t` `[N, H, W, C]` at these timesteps, and for class models
    /// with these labels, the prediction is to become `v`, of the same shape. The loss is the mean of (v̂ − v)², unless the
    /// options say otherwise; nothing is random.
    ///
    /// (x_t, v) is (x_0, ε) rotated by the angle whose cosine is √ᾱ_t (Salimans & Ho 2022, appendix D):
    /// x_0 = √ᾱ_t·x_t − √(1−ᾱ_t)·v and ε = √(1−ᾱ_t)·x_t + √ᾱ_t·v are the picture and the noise of which [`Trainer::step_with`]
    /// makes this very state and this target, whatever the angle.
    ///
    /// # Errors
    /// A model that does not predict v; values of another length than the trainer's batch; a failing engine; a loss that is no
    /// number.
    pub async fn step_towards(
        &mut self,
        x_t: &[f32],
        v: &[f32],
        timesteps: &[usize],
        labels: &[usize],
    ) -> Result<StepReport, TrainError> {
        if !self.objective.velocity {
            return Err(TrainError::Velocity { found: self.prediction.name() });
        }
        let (n, all) = (self.shape.n(), self.shape.len());
        for (name, found, expected) in [("x_t", x_t.len(), all), ("v", v.len(), all), ("timesteps", timesteps.len(), n)]
        {
            if found != expected {
                return Err(EngineError::WrongLength { name: name.to_owned(), expected, found }.into());
            }
        }
        let image = all / n;
        let (mut x_0, mut noise) = (Vec::with_capacity(all), Vec::with_capacity(all));
        for (i, (&x, &v)) in x_t.iter().zip(v).enumerate() {
            let (a, b) = forward::closed_form(&self.schedule, timesteps[i / image]);
            let (x, v) = (f64::from(x), f64::from(v));
            x_0.push((a * x - b * v) as f32);
            noise.push((b * x + a * v) as f32);
        }
        self.learn(Examples { x_0: &x_0, noise: &noise, timesteps, labels }).await
    }

    /// One step on examples that are complete.
    async fn learn(&mut self, examples: Examples<'_>) -> Result<StepReport, TrainError> {
        let step = self.step + 1;
        // Steps of the present stretch.
        let own = step - self.began;
        let lr = self.options.rate(own, self.stretch.unwrap_or(self.options.steps));
        let timesteps = examples.timesteps;
        examples.write(&mut self.program, &self.config, &self.schedule, self.objective.velocity)?;
        if self.objective.weighted {
            let weight = |&t: &usize| {
                let weight = self.options.loss_weight(&self.schedule, self.prediction, t);
                // The factor of both sides, before their difference is squared or not.
                [if self.objective.absolute { weight } else { weight.sqrt() } as f32, 0.0]
            };
            let weights: Vec<f32> = timesteps.iter().flat_map(weight).collect();
            self.program.write("loss_weights", &weights)?;
        }
        self.write_optimizer(own, lr)?;
        self.program.run()?;
        let loss = self.program.read("loss").await?[0];
        let grad_norm = self.program.read("grad_norm_squared").await?[0].sqrt();
        let sums = self.program.read("errors").await?;
        let values = (self.shape.len() / self.shape.n()) as f32;
        let mean =
            |(&timestep, sums): (&usize, &[f32])| ImageError { timestep, error: sums.iter().sum::<f32>() / values };
        let errors: Vec<ImageError> = timesteps.iter().zip(sums.chunks_exact(self.shape.c())).map(mean).collect();
        for (what, value) in [("loss", loss), ("gradient's norm", grad_norm)] {
            if !value.is_finite() {
                return Err(TrainError::not_finite(step, what, value, &errors, self.schedule.timesteps()));
            }
        }
        self.step = step;
        Ok(StepReport { step, loss, grad_norm, lr, errors })
    }

    fn write_optimizer(&mut self, step: u64, lr: f64) -> Result<(), EngineError> {
        let o = &self.options;
        let k = step as i32;
        let rate = lr / (1.0 - o.beta1.powi(k));
        let correction = 1.0 / (1.0 - o.beta2.powi(k)).sqrt();
        let adam = [rate, correction, o.adam_eps, lr * o.weight_decay].map(|x| x as f32);
        let scalars = [
            ("m_rate", 1.0 - o.beta1),
            ("v_rate", 1.0 - o.beta2),
            ("ema_rate", 1.0 - o.average_decay(step)),
            ("max_norm", o.max_grad_norm.min(f64::from(f32::MAX))),
        ];
        self.program.write("adam", &adam)?;
        for (name, value) in scalars {
            self.program.write(name, &[value as f32])?;
        }
        Ok(())
    }

    /// Says that the optimizer began after step `began` and that the learning rate is laid out for so many steps from there.
    pub(super) fn set_stretch(&mut self, began: u64, steps: u64) {
        (self.began, self.stretch) = (began, Some(steps));
    }

    /// Begins anew at the weights' moving average: a fresh optimizer, and the learning rate from its start. Steps count on.
    pub(super) async fn restart(&mut self) -> Result<(), TrainError> {
        for (spec, values) in self.parameters.clone().iter().zip(self.read_weights(true).await?) {
            let zeros = vec![0.0; values.len()];
            for (prefix, values) in [("", &values), (FIRST_MOMENT, &zeros), (SECOND_MOMENT, &zeros)] {
                self.program.write(&format!("{prefix}{}", spec.name), values)?;
            }
        }
        self.began = self.step;
        Ok(())
    }

    /// The weights, or their moving average, as they are on the engine: they follow the steps.
    pub fn weights(&self, averaged: bool) -> Weights {
        self.program.weights(if averaged { AVERAGE } else { "" }, &self.parameters)
    }

    /// The values of the weights, or of their moving average, in the order of [`Trainer::parameters`].
    pub async fn read_weights(&mut self, averaged: bool) -> Result<Vec<Vec<f32>>, TrainError> {
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
