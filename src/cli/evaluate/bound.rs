//! Bits per dimension: the bound of DDPM's equation 5 on test images, estimated with its Monte-Carlo error.

use super::look;
use crate::checkpoint::Checkpoint;
use crate::cli::Failure;
use crate::data::Dataset;
use crate::diffusion::forward::from_pixel;
use crate::diffusion::posterior::{Posterior, Reading};
use crate::diffusion::{Schedule, objective};
use crate::playground::Predictor;
use crate::rng::Rng;
use serde_json::{Value, json};

/// Stream of the seed for what the bound draws, apart from that of the squared error.
pub const STREAM: u64 = 1;

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
pub struct Bound {
    /// L_T + Σ L_{t−1} + L_0.
    pub total: Estimate,
    /// L_T, exact for each image.
    pub prior: Estimate,
    /// Σ L_{t−1} over the timesteps 1…T−1, from some of them.
    pub denoising: Estimate,
    /// L_0, timestep 0.
    pub decoder: Estimate,
}

impl Bound {
    fn parts(&self) -> [(&'static str, &'static str, Estimate); 4] {
        [
            ("total", "bits per dimension", self.total),
            ("prior", "  L_T", self.prior),
            ("denoising", "  sum of L_(t-1)", self.denoising),
            ("decoder", "  L_0", self.decoder),
        ]
    }

    /// What it was computed from, and a line for each part.
    pub fn table(&self, settings: &Settings) -> String {
        let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let (images, timesteps) = (counted(settings.images, "image"), counted(settings.timesteps, "timestep"));
        let title = format!("bound on the likelihood, from {images} and {timesteps} of each:\n");
        let error = |estimate: Estimate| estimate.error.map_or(String::new(), |error| format!(" +- {error:.5}"));
        title + &self.parts().map(|(_, title, e)| format!("{title:<25} {:>8.5}{}\n", e.mean, error(e))).concat()
    }

    /// The same for programs.
    pub fn json(&self, settings: &Settings) -> Value {
        let mut report = json!({ "images": settings.images, "timesteps_per_image": settings.timesteps });
        for (name, _, estimate) in self.parts() {
            report[name] = json!({ "mean": estimate.mean, "standard_error": estimate.error });
        }
        report
    }
}

/// What the bound is computed with.
pub struct Settings {
    /// How many test images, the first ones.
    pub images: usize,
    /// Timesteps looked at for each.
    pub timesteps: usize,
    /// Decides timesteps and noise.
    pub seed: u64,
}

/// Estimates the bound for p_θ as the checkpoint's scheduler has it: its variance, and x̂_0 clipped if it clips. `done` is
/// called after each image.
pub fn estimate(
    predictor: &mut Predictor,
    checkpoint: &Checkpoint,
    schedule: &Schedule,
    dataset: &Dataset,
    settings: &Settings,
    mut done: impl FnMut(),
) -> Result<Bound, Failure> {
    let (choice, prediction) = (checkpoint.scheduler.variance_type, checkpoint.scheduler.prediction_type);
    let limit = checkpoint.scheduler.clip_sample.then_some(checkpoint.scheduler.clip_sample_range);
    let proposal = match schedule.timesteps() {
        1 => Vec::new(),
        _ => objective::timestep_proposal(schedule, choice),
    };
    let mut rng = Rng::stream(settings.seed, STREAM);
    let (mut prior, mut denoising, mut decoder) = (Vec::new(), Vec::new(), Vec::new());
    for image in 0..settings.images {
        // Timestep 0, then the sampled ones with what each stands for.
        let mut looks = vec![(0, 1.0)];
        looks.extend(sample(&proposal, settings.timesteps, &mut rng));
        let times: Vec<usize> = looks.iter().map(|&(t, _)| t).collect();
        let noise = rng.normals(times.len() * dataset.image_len());
        let (x_t, outputs) = look(predictor, schedule, dataset, &vec![image; times.len()], &times, &noise)?;
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
        done();
    }
    let total: Vec<f64> = (0..settings.images).map(|i| prior[i] + denoising[i] + decoder[i]).collect();
    let [total, prior, denoising, decoder] = [total, prior, denoising, decoder].map(|values| Estimate::of(&values));
    Ok(Bound { total, prior, denoising, decoder })
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
    use crate::diffusion::Variance;

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
