//! What a step of training tells: its numbers, or why there are none.

use crate::engine::EngineError;

/// Ranges of timesteps that errors are told apart by.
pub const BUCKETS: usize = 10;

/// The range, of [`BUCKETS`] equal ones, in which timestep `t` of `timesteps` lies.
pub fn bucket(t: usize, timesteps: usize) -> usize {
    t * BUCKETS / timesteps
}

/// The first timestep of range `k` and its last one; one before the first if it is empty, as some are of fewer timesteps than
/// ranges.
pub fn bucket_range(k: usize, timesteps: usize) -> (usize, usize) {
    let first = |k: usize| (k * timesteps).div_ceil(BUCKETS);
    (first(k), first(k + 1).saturating_sub(1))
}

/// How well the model did on one image of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageError {
    /// The timestep to which it was noised.
    pub timestep: usize,
    /// The mean squared error of the prediction.
    pub error: f32,
}

/// What a step reports.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The step just taken; the first is 1.
    pub step: u64,
    /// What is minimised, of this batch: the mean squared error, unless the options say otherwise.
    pub loss: f32,
    /// The gradient's norm before clipping.
    pub grad_norm: f32,
    /// The learning rate used.
    pub lr: f64,
    /// The error of each image.
    pub errors: Vec<ImageError>,
}

/// What can stop training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The loss or the gradient is not a number any more.
    #[error(
        "at step {step} the {what} is {value}, and the worst image is one at timestep {timestep} (in the range {} to {}): \
         go back to the last checkpoint and lower the learning rate",
        .range.0, .range.1
    )]
    NotFinite {
        /// The step.
        step: u64,
        /// "loss" or "gradient's norm".
        what: &'static str,
        /// What it was.
        value: f32,
        /// The timestep of the image with the largest error.
        timestep: usize,
        /// The first and last timestep of the tenth in which that lies.
        range: (usize, usize),
    },
    /// A model that predicts something there is no loss for.
    #[error("a model that predicts {found} cannot be trained here: expected epsilon or v_prediction")]
    Prediction {
        /// What its scheduler_config.json says that it predicts.
        found: &'static str,
    },
    /// A step towards a given v by a model that predicts something else.
    #[error("a step towards a given v takes a model that predicts v_prediction, found one that predicts {found}")]
    Velocity {
        /// What it predicts.
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

impl TrainError {
    pub(super) fn not_finite(
        step: u64,
        what: &'static str,
        value: f32,
        errors: &[ImageError],
        timesteps: usize,
    ) -> Self {
        // What is no number is worse than any.
        let badness = |image: &ImageError| if image.error.is_nan() { f32::INFINITY } else { image.error };
        let worst = errors.iter().max_by(|a, b| badness(a).total_cmp(&badness(b)));
        let timestep = worst.map_or(0, |image| image.timestep);
        let range = bucket_range(bucket(timestep, timesteps), timesteps);
        Self::NotFinite { step, what, value, timestep, range }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_the_ranges_that_the_error_names() {
        for timesteps in [10, 11, 37, 1000] {
            for t in 0..timesteps {
                let errors = [(0, 1.0), (t, f32::NAN)].map(|(timestep, error)| ImageError { timestep, error });
                let error = TrainError::not_finite(3, "loss", f32::NAN, &errors, timesteps);
                let TrainError::NotFinite { timestep, range: (first, last), .. } = error else { panic!("{error}") };
                assert!(timestep == t && first <= t && t <= last, "{t} of {timesteps} in {first} to {last}");
                assert_eq!([first, last].map(|t| bucket(t, timesteps)), [bucket(t, timesteps); 2]);
            }
        }
    }
}
