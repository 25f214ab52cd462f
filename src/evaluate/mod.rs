//! How good a model is: the squared error of what it predicts, and the bound on the likelihood in bits per dimension.
//!
//! An [`Evaluation`] is a model on an engine and the pictures it is asked about. What is drawn depends on the seed alone, so that
//! two models are measured alike. It knows no clock, and tells how far it is by calling back.

mod bound;
mod error;
mod squared;

pub use bound::{Bound, BoundSettings, Bounding, Estimate, Look};
pub use error::EvaluateError;
pub use squared::{RangeError, SquaredError, SquaredErrorSettings};

use crate::checkpoint::Checkpoint;
use crate::data::{self, Dataset};
use crate::diffusion::{Schedule, forward};
use crate::engine::{Engine, Weights};
use crate::playground::Predictor;
use crate::tensor::Shape;

/// A model on an engine, and the pictures it is measured on.
pub struct Evaluation<'a> {
    engine: &'a Engine,
    checkpoint: &'a Checkpoint,
    weights: &'a Weights,
    dataset: &'a Dataset,
    schedule: Schedule,
}

impl<'a> Evaluation<'a> {
    /// Measures `checkpoint`, whose parameters are `weights` (see [`crate::playground::load`]), on pictures of its height, width
    /// and channels, with labels that are the model's. Of the checkpoint only config and scheduler count.
    ///
    /// # Errors
    /// Pictures of another size; a label that the model does not have; a schedule that is none.
    pub fn new(
        engine: &'a Engine,
        checkpoint: &'a Checkpoint,
        weights: &'a Weights,
        dataset: &'a Dataset,
    ) -> Result<Self, EvaluateError> {
        let ([h, w], c) = (checkpoint.config.sample_size, checkpoint.config.channels);
        let (expected, found) = ([h, w, c], [dataset.height, dataset.width, dataset.channels]);
        if expected != found {
            return Err(EvaluateError::Size { expected, found });
        }
        let rows = checkpoint.config.num_class_embeds.unwrap_or(usize::MAX);
        if let Some(&found) = dataset.labels.iter().find(|&&label| usize::from(label) >= rows) {
            return Err(EvaluateError::Label { found, rows });
        }
        Ok(Self { engine, checkpoint, weights, dataset, schedule: checkpoint.scheduler.schedule()? })
    }

    /// The network for at most `batch` images at once.
    fn predictor(&self, batch: usize) -> Result<Predictor, EvaluateError> {
        let image = Shape::new(1, self.dataset.height, self.dataset.width, self.dataset.channels);
        Ok(Predictor::new(self.engine, &self.checkpoint.config, self.weights, image, batch)?)
    }

    /// Refuses a number of pictures that is none, or more than there are.
    fn check_images(&self, wanted: usize) -> Result<(), EvaluateError> {
        let found = self.dataset.len();
        if (1..=found).contains(&wanted) { Ok(()) } else { Err(EvaluateError::Images { wanted, found }) }
    }

    /// x_t of the pictures at `indices`, noised to a timestep each, and the network's output for them; all `[N, H, W, C]`.
    async fn look(
        &self,
        predictor: &mut Predictor,
        indices: &[usize],
        timesteps: &[usize],
        noise: &[f32],
    ) -> Result<(Vec<f32>, Vec<f32>), EvaluateError> {
        let len = self.dataset.image_len();
        let mut x_0 = vec![0.0; indices.len() * len];
        data::fill_x0(self.dataset, indices, &mut x_0);
        let mut x_t = x_0.clone();
        for (i, &t) in timesteps.iter().enumerate() {
            let range = i * len..(i + 1) * len;
            forward::noised(&self.schedule, t, &x_0[range.clone()], &noise[range.clone()], &mut x_t[range]);
        }
        let outputs = predictor.predict(&x_t, timesteps, &data::labels(self.dataset, indices)).await?;
        Ok((x_t, outputs))
    }
}
