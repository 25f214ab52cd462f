//! The network of some weights, for any number of images.

use super::PlaygroundError;
use crate::engine::{Engine, Program, Weights};
use crate::model::config::UnetConfig;
use crate::model::step::{conditions, prediction_watching};
use crate::tensor::Shape;

/// The compiled network. It takes batches of one size, and the last image fills up the last batch.
pub struct Predictor {
    config: UnetConfig,
    program: Program,
    shape: Shape,
}

impl Predictor {
    /// Compiles the network for images of `image`'s height, width and channels, at most `batch` at once.
    ///
    /// # Errors
    /// Weights that do not fit the config; a failing engine.
    pub fn new(
        engine: &Engine,
        config: &UnetConfig,
        weights: &Weights,
        image: Shape,
        batch: usize,
    ) -> Result<Self, PlaygroundError> {
        Self::watching(engine, config, weights, image, batch, &[""; 0])
    }

    /// [`Self::new`] whose program keeps the values of these names, as of the last batch.
    pub(super) fn watching(
        engine: &Engine,
        config: &UnetConfig,
        weights: &Weights,
        image: Shape,
        batch: usize,
        names: &[impl AsRef<str>],
    ) -> Result<Self, PlaygroundError> {
        let shape = image.with_n(batch);
        let program = engine.compile_with(&prediction_watching(config, shape, names)?, weights)?;
        Ok(Self { config: config.clone(), program, shape })
    }

    /// The model's output for x `[N, H, W, C]`, a timestep per image and, for a class model, a label per image.
    ///
    /// # Errors
    /// A failing engine.
    pub async fn predict(
        &mut self,
        x: &[f32],
        timesteps: &[usize],
        labels: &[usize],
    ) -> Result<Vec<f32>, PlaygroundError> {
        let image = self.shape.len() / self.shape.n();
        let mut out = Vec::with_capacity(x.len());
        for first in (0..timesteps.len()).step_by(self.shape.n()) {
            let last = timesteps.len() - 1;
            let rows: Vec<usize> = (first..first + self.shape.n()).map(|row| row.min(last)).collect();
            let batch: Vec<f32> = rows.iter().flat_map(|row| &x[row * image..][..image]).copied().collect();
            let times: Vec<usize> = rows.iter().map(|&row| timesteps[row]).collect();
            // A model without classes is given none.
            let labels: Vec<usize> = rows.iter().filter_map(|&row| labels.get(row).copied()).collect();
            self.program.write("sample", &batch)?;
            for (name, values) in conditions(&self.config, &times, &labels) {
                self.program.write(name, &values)?;
            }
            self.program.run()?;
            let eps = self.program.read("eps").await?;
            let wanted = (timesteps.len() - first).min(self.shape.n());
            out.extend_from_slice(&eps[..wanted * image]);
        }
        Ok(out)
    }

    /// The compiled network, to look at what it costs.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}
