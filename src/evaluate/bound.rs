//! Bits per dimension: the bound of DDPM's equation 5 on test images, estimated with its Monte-Carlo error.

use super::{EvaluateError, Evaluation};
use crate::diffusion::forward::from_pixel;
use crate::diffusion::objective;
use crate::diffusion::posterior::{Posterior, Reading};
use crate::rng::Rng;

/// Stream of the seed for what the bound draws, apart from that of the squared error.
const STREAM: u64 = 1;

/// Mean and standard error of a mean, in bits per dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean over the images.
    pub mean: f64,
    /// Its standard error: of images, timesteps and noise together; nothing for one image.
    pub error: Option<f64>,
}

impl Estimate {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
        Self { mean, error }
    }
}

/// The bound and its parts, in bits per dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Timesteps looked at for each image, beside timestep 0.
    pub timesteps: usize,
    /// L_T + Σ L_{t−1} + L_0.
    pub total: Estimate,
    /// L_T, exact for each image.
    pub prior: Estimate,
    /// Σ L_{t−1} over the timesteps 1…T−1, from some of them.
    pub denoising: Estimate,
    /// L_0, timestep 0.
    pub decoder: Estimate,
}

/// What the bound is computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundSettings {
    /// How many pictures, the first ones.
    pub images: usize,
    /// Timesteps looked at for each, beside timestep 0; of a schedule with fewer, all.
    pub timesteps: usize,
    /// Decides timesteps and noise.
    pub seed: u64,
}

impl Evaluation<'_> {
    /// Estimates the bound for p_θ as the checkpoint's scheduler has it: its variance, and x̂_0 clipped if it clips. All
    /// timesteps of an image go through the network together; `progress` is told how many images are done so far.
    ///
    /// # Errors
    /// Fewer pictures than asked for; a failing engine.
    pub async fn bound(
        &self,
        settings: &BoundSettings,
        mut progress: impl FnMut(usize),
    ) -> Result<Bound, EvaluateError> {
        self.check_images(settings.images)?;
        let (scheduler, schedule, dataset) = (&self.checkpoint.scheduler, &self.schedule, self.dataset);
        let timesteps = settings.timesteps.min(schedule.timesteps() - 1);
        let mut predictor = self.predictor(timesteps + 1)?;
        let (choice, prediction) = (scheduler.variance_type, scheduler.prediction_type);
        let limit = scheduler.clip_sample.then_some(scheduler.clip_sample_range);
        let proposal = match schedule.timesteps() {
            1 => Vec::new(),
            _ => objective::timestep_proposal(schedule, choice),
        };
        let mut rng = Rng::stream(settings.seed, STREAM);
        let (mut prior, mut denoising, mut decoder) = (Vec::new(), Vec::new(), Vec::new());
        for image in 0..settings.images {
            // Timestep 0, then the sampled ones with what each stands for.
            let mut looks = vec![(0, 1.0)];
            looks.extend(sample(&proposal, timesteps, &mut rng));
            let times: Vec<usize> = looks.iter().map(|&(t, _)| t).collect();
            let noise = rng.normals(times.len() * dataset.image_len());
            let indices = vec![image; times.len()];
            let (x_t, outputs) = self.look(&mut predictor, &indices, &times, &noise).await?;
            let x_0: Vec<f64> = dataset.image(image).iter().map(|&byte| f64::from(from_pixel(byte))).collect();
            let bits = |nats: f64| objective::bits_per_dim(nats, x_0.len());
            let mut sum = 0.0;
            for (i, &(t, weight)) in looks.iter().enumerate() {
                let range = i * x_0.len()..(i + 1) * x_0.len();
                let x_t: Vec<f64> = x_t[range.clone()].iter().map(|&x| f64::from(x)).collect();
                let read = Reading::new(prediction, schedule.alpha_bar(t)).x0;
                let x0 = |(x, &output): (&f64, &f32)| {
                    let x0 = read.0 * x + read.1 * f64::from(output);
                    limit.map_or(x0, |limit| x0.clamp(-limit, limit))
                };
                let x0: Vec<f64> = x_t.iter().zip(&outputs[range]).map(x0).collect();
                let variance = objective::model_variance(schedule, choice, t);
                if t == 0 {
                    // The posterior's mean at timestep 0 is x̂_0 itself.
                    decoder.push(bits(objective::decoder_term(dataset.image(image), &x0, variance)));
                    continue;
                }
                let q = Posterior::at(schedule, t);
                let mean: Vec<f64> = x0.iter().zip(&x_t).map(|(&x0, &x_t)| q.mean(x0, x_t)).collect();
                sum += weight * objective::denoising_term(schedule, t, &x_0, &x_t, &mean, variance);
            }
            denoising.push(bits(sum));
            prior.push(bits(objective::prior_term(schedule, &x_0)));
            progress(image + 1);
        }
        let total: Vec<f64> = (0..settings.images).map(|i| prior[i] + denoising[i] + decoder[i]).collect();
        let [total, prior, denoising, decoder] = [total, prior, denoising, decoder].map(|values| Estimate::of(&values));
        Ok(Bound { timesteps, total, prior, denoising, decoder })
    }
}

/// `count` timesteps from the proposal over 1…T−1, one in each of `count` equal parts of its mass, each with the weight that
/// makes the weighted sum of anything over them an unbiased estimate of its sum over all.
fn sample(proposal: &[f64], count: usize, rng: &mut Rng) -> Vec<(usize, f64)> {
    if proposal.is_empty() {
        return Vec::new();
    }
    let (mut t, mut below) = (0, 0.0);
    let one = |k: usize| {
        let at = (k as f64 + rng.uniform()) / count as f64;
        while t + 1 < proposal.len() && below + proposal[t] <= at {
            below += proposal[t];
            t += 1;
        }
        (t + 1, 1.0 / (count as f64 * proposal[t]))
    };
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::{Schedule, Variance};

    #[test]
    fn few_timesteps_stand_for_all_of_them() {
        let schedule = Schedule::ddpm_linear(50, 1e-4, 0.02).expect("a schedule");
        let proposal = objective::timestep_proposal(&schedule, Variance::FixedSmall);
        let value = |t: usize| 1.0 / t as f64 + 0.1;
        let exact: f64 = (1..50).map(value).sum();
        let mut rng = Rng::new(3);
        let estimates: Vec<f64> = (0..2000)
            .map(|_| sample(&proposal, 5, &mut rng).into_iter().map(|(t, weight)| weight * value(t)).sum())
            .collect();
        let estimate = Estimate::of(&estimates);
        let error = estimate.error.expect("many runs");
        assert!((estimate.mean - exact).abs() <= 4.0 * error && error < 0.02 * exact, "{estimate:?} for {exact}");
    }

    #[test]
    fn one_image_has_no_error_and_equal_images_have_none_between_them() {
        assert_eq!(Estimate::of(&[2.0]), Estimate { mean: 2.0, error: None });
        assert_eq!(Estimate::of(&[2.0, 2.0]), Estimate { mean: 2.0, error: Some(0.0) });
        assert_eq!(Estimate::of(&[1.0, 3.0]), Estimate { mean: 2.0, error: Some(1.0) });
    }
}
