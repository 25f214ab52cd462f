//! A teacher: a network that does not change, and where two of its steps lead from any state.

use super::interval::Interval;
use crate::engine::{Engine, EngineError, Program, Weights};
use crate::model::config::UnetConfig;
use crate::model::step::{conditions, prediction};
use crate::tensor::Shape;

/// A network with fixed weights, compiled for one batch.
pub struct Teacher {
    config: UnetConfig,
    program: Program,
    weights: Weights,
    shape: Shape,
    /// w and the null class, for v = v_∅ + w·(v_c − v_∅).
    guidance: Option<(f64, usize)>,
}

impl Teacher {
    /// Compiles the network of these weights for pictures of `shape` `[N, H, W, C]`. With guidance every picture is predicted twice
    /// in one batch of 2N, with its class and with the null class.
    ///
    /// # Errors
    /// Weights that do not fit the config; a failing engine.
    pub fn new(
        engine: &Engine,
        config: &UnetConfig,
        weights: Weights,
        shape: Shape,
        guidance: f64,
    ) -> Result<Self, EngineError> {
        let guidance = config.null_class.filter(|_| guidance != 1.0).map(|none| (guidance, none));
        let rows = if guidance.is_some() { 2 * shape.n() } else { shape.n() };
        let program = engine.compile_with(&prediction(config, shape.with_n(rows)), &weights)?;
        Ok(Self { config: config.clone(), program, weights, shape, guidance })
    }

    /// The fixed weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The network's output after guidance for x `[N, H, W, C]`, a timestep for each of N pictures, and a label for each if the
    /// model has classes.
    ///
    /// # Errors
    /// Values of another length than it was compiled for; a failing engine.
    pub async fn predict(&mut self, x: &[f32], timesteps: &[usize], labels: &[usize]) -> Result<Vec<f32>, EngineError> {
        let Some((w, none)) = self.guidance else { return self.run(x, timesteps, labels).await };
        let nobody = vec![none; labels.len()];
        let both = self.run(&[x, x].concat(), &[timesteps, timesteps].concat(), &[labels, &nobody].concat()).await?;
        let (with, without) = both.split_at(x.len());
        let mix = |(&with, &without): (&f32, &f32)| {
            let without = f64::from(without);
            (without + w * (f64::from(with) - without)) as f32
        };
        Ok(with.iter().zip(without).map(mix).collect())
    }

    async fn run(&mut self, x: &[f32], timesteps: &[usize], labels: &[usize]) -> Result<Vec<f32>, EngineError> {
        self.program.write("sample", x)?;
        for (name, values) in conditions(&self.config, timesteps, labels) {
            self.program.write(name, &values)?;
        }
        self.program.run()?;
        self.program.read("eps").await
    }

    /// Where two steps lead from z `[N, H, W, C]`, each picture at the beginning of an interval of its own.
    ///
    /// # Errors
    /// As [`Teacher::predict`].
    pub async fn two_steps(
        &mut self,
        z: &[f32],
        intervals: &[Interval],
        labels: &[usize],
    ) -> Result<Vec<f32>, EngineError> {
        let image = self.shape.len() / self.shape.n();
        let mut z = z.to_vec();
        for which in 0..2 {
            // Where there is no second step it is asked all the same, as a batch is a batch, and its answer is not looked at.
            let step = |interval: &Interval| interval.second.filter(|_| which == 1).unwrap_or(interval.first);
            let timesteps: Vec<usize> = intervals.iter().map(|interval| step(interval).timestep).collect();
            let output = self.predict(&z, &timesteps, labels).await?;
            let images = z.chunks_exact(image).zip(output.chunks_exact(image)).zip(intervals);
            z = images.flat_map(|((z, output), interval)| interval.step(which, z, output)).collect();
        }
        Ok(z)
    }
}
