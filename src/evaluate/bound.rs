//! Bits per dimension: the bound of DDPM's equation 5 on test images, estimated with its Monte-Carlo error.

use super::{EvaluateError, Evaluation};
use crate::checkpoint::SchedulerConfig;
use crate::data;
use crate::diffusion::forward::{self, from_pixel};
use crate::diffusion::posterior::{Posterior, Reading};
use crate::diffusion::{DiffusionError, Schedule, Variance, objective};
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

/// The bound of pictures one after the other, without the network: it says what to ask the network, and makes the bound of its
/// answers. So whoever asks can pause between two of them.
#[derive(Debug)]
pub struct Bounding {
    schedule: Schedule,
    choice: Variance,
    /// x̂_0 is clipped to ±this.
    limit: Option<f64>,
    timesteps: usize,
    proposal: Vec<f64>,
    rng: Rng,
    /// L_T, Σ L_{t−1} and L_0 of the pictures that are done.
    parts: [Vec<f64>; 3],
}

/// A question to the network about a picture.
#[derive(Debug)]
pub struct Look {
    /// 0…T−1.
    pub timestep: usize,
    /// x_t there, `[1, H, W, C]`.
    pub x_t: Vec<f32>,
    /// What it stands for in the sum.
    weight: f64,
}

impl Bounding {
    /// The bound for p_θ as a model's scheduler has it: its variance, and x̂_0 clipped if it clips. Of the settings the number of
    /// pictures is not looked at.
    ///
    /// # Errors
    /// A schedule that cannot be.
    pub fn new(scheduler: &SchedulerConfig, settings: &BoundSettings) -> Result<Self, DiffusionError> {
        let (schedule, choice) = (scheduler.schedule()?, scheduler.variance_type);
        let proposal = match schedule.timesteps() {
            1 => Vec::new(),
            _ => objective::timestep_proposal(&schedule, choice),
        };
        Ok(Self {
            timesteps: settings.timesteps.min(schedule.timesteps() - 1),
            schedule,
            choice,
            limit: scheduler.clip_sample.then_some(scheduler.clip_sample_range),
            proposal,
            rng: Rng::stream(settings.seed, STREAM),
            parts: Default::default(),
        })
    }

    /// Questions about each picture.
    pub fn looks_each(&self) -> usize {
        self.timesteps + 1
    }

    /// The questions about the next picture: timestep 0, then the sampled ones, all with noise of their own.
    pub fn looks(&mut self, pixels: &[u8]) -> Vec<Look> {
        let mut times = vec![(0, 1.0)];
        times.extend(sample(&self.proposal, self.timesteps, &mut self.rng));
        let x_0: Vec<f32> = pixels.iter().map(|&byte| from_pixel(byte)).collect();
        let look = |(timestep, weight)| {
            let (noise, mut x_t) = (self.rng.normals(x_0.len()), x_0.clone());
            forward::noised(&self.schedule, timestep, &x_0, &noise, &mut x_t);
            Look { timestep, x_t, weight }
        };
        times.into_iter().map(look).collect()
    }

    /// Nats of one answer, x̂_0 before it is clipped: L_0, or a part of Σ L_{t−1}.
    pub fn nats(&self, look: &Look, pixels: &[u8], x0: impl Iterator<Item = f64>) -> f64 {
        let x0: Vec<f64> = x0.map(|x0| self.limit.map_or(x0, |limit| x0.clamp(-limit, limit))).collect();
        let (schedule, t) = (&self.schedule, look.timestep);
        let variance = objective::model_variance(schedule, self.choice, t);
        if t == 0 {
            // The posterior's mean at timestep 0 is x̂_0 itself.
            return objective::decoder_term(pixels, &x0, variance);
        }
        let (x_0, q) = (f64s(pixels), Posterior::at(schedule, t));
        let x_t: Vec<f64> = look.x_t.iter().map(|&x| f64::from(x)).collect();
        let mean: Vec<f64> = x0.iter().zip(&x_t).map(|(&x0, &x_t)| q.mean(x0, x_t)).collect();
        look.weight * objective::denoising_term(schedule, t, &x_0, &x_t, &mean, variance)
    }

    /// Takes in the nats of all answers about a picture, in the order of the questions.
    pub fn picture(&mut self, pixels: &[u8], nats: &[f64]) {
        let decoder = nats.first().copied().unwrap_or_default();
        let denoising = nats.iter().skip(1).fold(0.0, |sum, nats| sum + nats);
        let prior = objective::prior_term(&self.schedule, &f64s(pixels));
        for (part, nats) in self.parts.iter_mut().zip([prior, denoising, decoder]) {
            part.push(objective::bits_per_dim(nats, pixels.len()));
        }
    }

    /// The bound of the pictures so far, of which there is one at least.
    pub fn bound(&self) -> Bound {
        let [prior, denoising, decoder] = &self.parts;
        let total: Vec<f64> = (0..prior.len()).map(|i| prior[i] + denoising[i] + decoder[i]).collect();
        let [total, prior, denoising, decoder] = [&total, prior, denoising, decoder].map(|of| Estimate::of(of));
        Bound { timesteps: self.timesteps, total, prior, denoising, decoder }
    }
}

/// x_0 of a picture.
fn f64s(pixels: &[u8]) -> Vec<f64> {
    pixels.iter().map(|&byte| f64::from(from_pixel(byte))).collect()
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
        let scheduler = &self.checkpoint.scheduler;
        let mut bounding = Bounding::new(scheduler, settings)?;
        let mut predictor = self.predictor(bounding.looks_each())?;
        for image in 0..settings.images {
            let pixels = self.dataset.image(image);
            let looks = bounding.looks(pixels);
            let times: Vec<usize> = looks.iter().map(|look| look.timestep).collect();
            let x_t: Vec<f32> = looks.iter().flat_map(|look| &look.x_t).copied().collect();
            let labels = data::labels(self.dataset, &vec![image; times.len()]);
            let outputs = predictor.predict(&x_t, &times, &labels).await?;
            let nats = |(look, output): (&Look, &[f32])| {
                let read = Reading::new(scheduler.prediction_type, self.schedule.alpha_bar(look.timestep)).x0;
                let pairs = look.x_t.iter().zip(output);
                bounding.nats(look, pixels, pairs.map(|(&x, &m)| read.0 * f64::from(x) + read.1 * f64::from(m)))
            };
            let nats: Vec<f64> = looks.iter().zip(outputs.chunks_exact(pixels.len())).map(nats).collect();
            bounding.picture(pixels, &nats);
            progress(image + 1);
        }
        Ok(bounding.bound())
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
