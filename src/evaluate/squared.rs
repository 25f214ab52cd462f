//! The squared error of the predicted noise: training's simple loss (Ho et al. 2020, equation 14), with timesteps and noise that
//! are the same for every model.

use super::{EvaluateError, Evaluation};
use crate::diffusion::posterior::Reading;
use crate::playground::Predictor;
use crate::rng::Rng;
use crate::train::{BUCKETS, bucket, bucket_range};

/// Images that go through the network at once.
const BATCH: usize = 64;
/// Stream of the seed for the noise; the bound draws from one of its own.
const STREAM: u64 = 2;

/// What the squared error is measured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SquaredErrorSettings {
    /// How many pictures, the first ones.
    pub images: usize,
    /// How often each is noised and measured, with other timesteps and noise; at least 1.
    pub draws: usize,
    /// Decides timesteps and noise, together with a picture's place.
    pub seed: u64,
}

/// The mean of (ε − ε̂)² over all images and pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct SquaredError {
    /// Over all timesteps.
    pub mse: f64,
    /// Over each tenth of the timesteps.
    pub ranges: Vec<RangeError>,
}

/// The error in a range of timesteps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeError {
    /// The first timestep and the last one.
    pub timesteps: (usize, usize),
    /// How many images were noised to one of them.
    pub images: usize,
    /// The mean; nothing without images.
    pub mse: Option<f64>,
}

/// Sum and number of squared errors.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn of(means: &[Self]) -> Self {
        means.iter().fold(Self::default(), |a, b| Self { sum: a.sum + b.sum, count: a.count + b.count })
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Evaluation<'_> {
    /// Measures the squared error of the predicted noise. All pictures are noised in order, and again from the first if there
    /// are more draws; `progress` is told how many are done so far.
    ///
    /// # Errors
    /// Fewer pictures than asked for; a failing engine; a prediction that is not finite.
    pub async fn squared_error(
        &self,
        settings: &SquaredErrorSettings,
        mut progress: impl FnMut(usize),
    ) -> Result<SquaredError, EvaluateError> {
        self.check_images(settings.images)?;
        if settings.draws == 0 {
            return Err(EvaluateError::Draws { found: 0 });
        }
        let (noised, all, len) =
            (settings.images * settings.draws, self.schedule.timesteps(), self.dataset.image_len());
        let mut predictor = self.predictor(BATCH.min(noised))?;
        let timesteps = timesteps(noised, all, settings.seed);
        let mut rng = Rng::stream(settings.seed, STREAM);
        let mut buckets = [Mean::default(); BUCKETS];
        for first in (0..noised).step_by(BATCH) {
            let indices: Vec<usize> = (first..noised.min(first + BATCH)).map(|i| i % settings.images).collect();
            let times = &timesteps[first..first + indices.len()];
            let noise = rng.normals(indices.len() * len);
            let errors = self.squared_errors(&mut predictor, &indices, times, &noise).await?;
            for (sum, &t) in errors.iter().zip(times) {
                let bucket = &mut buckets[bucket(t, all)];
                bucket.sum += sum;
                bucket.count += len;
            }
            progress(first + indices.len());
        }
        let mse = Mean::of(&buckets).value().filter(|mse| mse.is_finite()).ok_or(EvaluateError::NotFinite)?;
        let range = |(k, mean): (usize, &Mean)| RangeError {
            timesteps: bucket_range(k, all),
            images: mean.count / len,
            mse: mean.value(),
        };
        Ok(SquaredError { mse, ranges: buckets.iter().enumerate().map(range).collect() })
    }

    /// Σ (ε − ε̂)² of each image, noised to its timestep.
    async fn squared_errors(
        &self,
        predictor: &mut Predictor,
        indices: &[usize],
        timesteps: &[usize],
        noise: &[f32],
    ) -> Result<Vec<f64>, EvaluateError> {
        let len = self.dataset.image_len();
        let (x_t, outputs) = self.look(predictor, indices, timesteps, noise).await?;
        let error = |(i, &t): (usize, &usize)| {
            let read = Reading::new(self.checkpoint.scheduler.prediction_type, self.schedule.alpha_bar(t)).epsilon;
            let of = |p: usize| {
                let predicted = read.0 * f64::from(x_t[p]) + read.1 * f64::from(outputs[p]);
                (f64::from(noise[p]) - predicted).powi(2)
            };
            (i * len..(i + 1) * len).map(of).sum()
        };
        Ok(timesteps.iter().enumerate().map(error).collect())
    }
}

/// The timesteps of the first `count` images, of `all`: u + i·φ modulo 1 with the golden ratio φ and u from the seed, which
/// spreads any number of neighbours as evenly as can be, and does not depend on `count`.
fn timesteps(count: usize, all: usize, seed: u64) -> Vec<usize> {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let first = Rng::new(seed).uniform();
    (0..count).map(|i| ((first + i as f64 * golden).fract() * all as f64) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::timesteps;

    #[test]
    fn timesteps_are_spread_evenly_however_many_images_there_are() {
        let whole = timesteps(10_000, 1000, 7);
        for count in [10, 91, 1000, 10_000] {
            let some = timesteps(count, 1000, 7);
            assert_eq!(some, whole[..count], "images keep their timesteps");
            let mut found = [0; 10];
            some.iter().for_each(|t| found[t / 100] += 1);
            assert!(found.iter().all(|&n| usize::abs_diff(n, count / 10) <= 2), "{found:?}");
        }
        assert_ne!(timesteps(10, 1000, 8), whole[..10]);
        assert_eq!(timesteps(3, 1, 0), [0; 3]);
    }
}
