//! A trainer's state as bytes: a safetensors file with the weights, Adam's moments and the averages by name, and the step they
//! belong to. Restored, a run goes on with exactly the losses of an unbroken one.

use super::{SavedError, TrainError, Trainer};
use crate::checkpoint::{Dtype, TensorFile};
use crate::tensor::Shape;

/// Name of the file in a run's folder.
pub const STATE_FILE: &str = "training_state.safetensors";
/// Name of the tensor with the number of steps taken.
const STEP: &str = "step";

impl Trainer {
    /// The state as it is now: of each parameter its values, both moments and the average, in the graph's layout and F32.
    ///
    /// # Errors
    /// A failing engine; values that are not finite.
    pub async fn to_bytes(&mut self) -> Result<Vec<u8>, SavedError> {
        Ok(self.tensors().await?.to_bytes(Dtype::F32)?)
    }

    /// The same as tensors by name.
    pub(super) async fn tensors(&mut self) -> Result<TensorFile, TrainError> {
        let mut file = TensorFile::new();
        let shapes: Vec<Shape> = self.parameters().iter().flat_map(|spec| [spec.shape; 4]).collect();
        for ((name, values), shape) in self.state().await?.into_iter().zip(shapes) {
            file.insert_f32(name, &shape.0, values);
        }
        file.insert_i64(STEP, &[1], vec![self.step_count() as i64]);
        Ok(file)
    }

    /// Goes back to the state that [`Trainer::to_bytes`] saved.
    ///
    /// # Errors
    /// Bytes that are no such file; tensors of another model.
    pub fn restore_bytes(&mut self, bytes: &[u8]) -> Result<(), SavedError> {
        Ok(self.restore_tensors(&TensorFile::from_bytes(bytes)?, 0)?)
    }

    /// The same with the file's tensors; one of a time when it had no step of its own was saved after `step` steps.
    ///
    /// # Errors
    /// Tensors of another model.
    pub fn restore_tensors(&mut self, file: &TensorFile, step: u64) -> Result<(), TrainError> {
        self.restore(self::step(file).unwrap_or(step), |name| file.f32(name, 4).ok().map(|(_, values)| values))
    }
}

/// The step that a saved state belongs to, if it says.
pub(super) fn step(file: &TensorFile) -> Option<u64> {
    file.i64(STEP, 1).ok().and_then(|(_, steps)| u64::try_from(*steps.first()?).ok())
}
