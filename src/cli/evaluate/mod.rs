//! `evaluate`: how well a model predicts noise on images it was not trained on.

mod bound;

use super::dataset::load_data;
use super::{Failure, check_output, open_engine, print, weights, write_file};
use crate::checkpoint::Checkpoint;
use crate::data::{self, Dataset, Split};
use crate::diffusion::{forward, posterior::Reading, schedule::Schedule};
use crate::engine::Choice;
use crate::playground::{Predictor, load};
use crate::rng::Rng;
use crate::tensor::Shape;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::path::PathBuf;

/// Images that go through the network at once.
const BATCH: usize = 64;
/// Ranges of timesteps with an error of their own.
const BUCKETS: usize = 10;
/// Images for the bound unless told otherwise.
const BOUND_IMAGES: usize = 200;
/// Stream of the seed for the noise of the squared error; the bound draws from [`bound::STREAM`].
const STREAM: u64 = 2;

/// Measure the error of the predicted noise on the test images of a data set.
///
/// Every test image is noised once, to a timestep and with noise that depend on --seed and the image's place alone, so that
/// two models are measured alike; timesteps are spread evenly. Of few images --draws makes more, with other timesteps and noise. The figure is the mean of (noise - predicted noise)^2 over
/// all images and pixels, and over those in each tenth of the timesteps. A model with classes is told each image's class.
///
/// Then the bound on the likelihood in bits per dimension (Ho et al. 2020, equation 5): what L_T, the sum of L_(t-1) and L_0
/// contribute, on the first --bound-images of these images, with the standard error that comes of looking at some timesteps
/// and images only. It is the bound of the model's own sampler: its variance, and x_0 clipped if it clips.
///
/// Example: noisette evaluate --weights weights/digits --data data/mnist --out evaluation.json
#[derive(clap::Args)]
pub struct Args {
    /// Diffusers folder with the model, or its file of weights.
    #[arg(long)]
    weights: PathBuf,
    /// Folder with the data: MNIST's IDX files, or pictures (see train --help).
    #[arg(long)]
    data: PathBuf,
    /// Where to compute: auto, gpu or cpu.
    #[arg(long, default_value = "auto")]
    engine: Choice,
    /// Take only this many images, the first ones.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    images: Option<u64>,
    /// How often each image is noised and measured.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=1000))]
    draws: u64,
    /// Test images for the bound on the likelihood, the first ones; 0 leaves it out, 200 at most unless told otherwise.
    #[arg(long, allow_negative_numbers = true)]
    bound_images: Option<usize>,
    /// Timesteps looked at for each of them.
    #[arg(long, default_value_t = 15, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=1000))]
    bound_timesteps: u64,
    /// Decides timesteps and noise.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// JSON file to write the figures to.
    #[arg(long)]
    out: Option<PathBuf>,
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

    /// Nothing for a mean of nothing, which JSON writes as null.
    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), Failure> {
    let checkpoint = weights::open(&args.weights)?;
    let dataset = load_data(&args.data, &checkpoint.config, Split::Test)?;
    let count = args.images.map_or(dataset.len(), |images| images as usize);
    let bound_images = args.bound_images.unwrap_or(BOUND_IMAGES.min(count));
    for (name, wanted) in [("--images", count), ("--bound-images", bound_images)] {
        let there = dataset.len();
        if wanted > there {
            let images = if there == 1 { "image" } else { "images" };
            return Err(format!("{name} is {wanted}, but {} has {there} test {images}", args.data.display()).into());
        }
    }
    if bound_images > count {
        return Err(format!("--bound-images is {bound_images}, expected at most the {count} of --images").into());
    }
    let schedule = checkpoint.scheduler.schedule()?;
    if let Some(path) = &args.out {
        check_output(&[&args.weights], path)?;
    }
    let engine = open_engine(args.engine)?;
    let description = engine.describe();
    let image = Shape::new(1, dataset.height, dataset.width, dataset.channels);
    let noised = count * args.draws as usize;
    let weights = load(&engine, &checkpoint)?;
    let mut predictor = Predictor::new(&engine, &checkpoint.config, &weights, image, BATCH.min(noised))?;
    let buckets = measure(&mut predictor, &checkpoint, &schedule, &dataset, count, noised, args.seed)?;
    let total = Mean::of(&buckets).value().filter(|mse| mse.is_finite());
    let mse = total.ok_or("the predictions are not finite: the weights are damaged, or the engine is")?;
    let mut table = "timesteps          images    error\n".to_owned();
    // The first timestep that falls into a bucket.
    let from = |b: usize| (b * schedule.timesteps()).div_ceil(BUCKETS);
    let mut rows = Vec::new();
    for (b, bucket) in buckets.iter().enumerate() {
        let (images, mse) = (bucket.count / image.len(), bucket.value());
        let error = mse.map_or("-".to_owned(), |mse| format!("{mse:.5}"));
        table += &format!("{:>7} to {:<7} {images:>6} {error:>8}\n", from(b), from(b + 1) - 1);
        rows.push(json!({ "from": from(b), "to": from(b + 1) - 1, "images": images, "mse": mse }));
    }
    print(&format!("{table}{:<18} {noised:>6} {mse:>8.5}\n", "all"))?;
    let mut report = json!({
        "mse": mse,
        "images": count,
        "draws": args.draws,
        "seed": args.seed,
        "engine": description.engine,
        "adapter": description.adapter,
        "buckets": rows,
    });
    if bound_images > 0 {
        let settings = bound::Settings {
            images: bound_images,
            timesteps: (args.bound_timesteps as usize).min(schedule.timesteps() - 1),
            seed: args.seed,
        };
        drop(predictor);
        // All timesteps of an image go through the network together.
        let mut predictor = Predictor::new(&engine, &checkpoint.config, &weights, image, settings.timesteps + 1)?;
        let bar = progress(settings.images)?;
        let bound = bound::estimate(&mut predictor, &checkpoint, &schedule, &dataset, &settings, || bar.inc(1))?;
        bar.finish_and_clear();
        print(&bound.table(&settings))?;
        report["bits_per_dim"] = bound.json(&settings);
    }
    if let Some(path) = &args.out {
        write_file(path, format!("{report:#}\n").into_bytes())?;
        say!("saved {}", path.display());
    }
    Ok(())
}

fn progress(images: usize) -> Result<ProgressBar, Failure> {
    let bar = ProgressBar::new(images as u64);
    bar.set_style(ProgressStyle::with_template("{bar:32} {pos}/{len} images, {eta} left")?);
    Ok(bar)
}

/// The squared error of the predicted noise on the first `count` images, by tenths of the timesteps, when `noised` are noised:
/// all of them in order, and again from the first.
fn measure(
    predictor: &mut Predictor,
    checkpoint: &Checkpoint,
    schedule: &Schedule,
    dataset: &Dataset,
    count: usize,
    noised: usize,
    seed: u64,
) -> Result<[Mean; BUCKETS], Failure> {
    let timesteps = timesteps(noised, schedule.timesteps(), seed);
    let mut rng = Rng::stream(seed, STREAM);
    let bar = progress(noised)?;
    let mut buckets = [Mean::default(); BUCKETS];
    for first in (0..noised).step_by(BATCH) {
        let indices: Vec<usize> = (first..noised.min(first + BATCH)).map(|i| i % count).collect();
        let times = &timesteps[first..first + indices.len()];
        let noise = rng.normals(indices.len() * dataset.image_len());
        let errors = squared_errors(predictor, checkpoint, schedule, dataset, &indices, times, &noise)?;
        for (sum, &t) in errors.iter().zip(times) {
            let bucket = &mut buckets[t * BUCKETS / schedule.timesteps()];
            bucket.sum += sum;
            bucket.count += dataset.image_len();
        }
        bar.inc(indices.len() as u64);
    }
    bar.finish_and_clear();
    Ok(buckets)
}

/// The timesteps of the first `count` images, of `all`: u + i·φ modulo 1 with the golden ratio φ and u from the seed, which
/// spreads any number of neighbours as evenly as can be, and does not depend on `count`.
fn timesteps(count: usize, all: usize, seed: u64) -> Vec<usize> {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let first = Rng::new(seed).uniform();
    (0..count).map(|i| ((first + i as f64 * golden).fract() * all as f64) as usize).collect()
}

/// Σ (ε − ε̂)² of each image, noised to its timestep.
fn squared_errors(
    predictor: &mut Predictor,
    checkpoint: &Checkpoint,
    schedule: &Schedule,
    dataset: &Dataset,
    indices: &[usize],
    timesteps: &[usize],
    noise: &[f32],
) -> Result<Vec<f64>, Failure> {
    let len = dataset.image_len();
    let (x_t, outputs) = look(predictor, schedule, dataset, indices, timesteps, noise)?;
    let error = |(i, &t): (usize, &usize)| {
        let read = Reading::new(checkpoint.scheduler.prediction_type, schedule.alpha_bar(t)).epsilon;
        let of = |p: usize| {
            let predicted = read.0 * f64::from(x_t[p]) + read.1 * f64::from(outputs[p]);
            (f64::from(noise[p]) - predicted).powi(2)
        };
        (i * len..(i + 1) * len).map(of).sum()
    };
    Ok(timesteps.iter().enumerate().map(error).collect())
}

/// x_t of images noised to a timestep each, and the network's output for them.
fn look(
    predictor: &mut Predictor,
    schedule: &Schedule,
    dataset: &Dataset,
    indices: &[usize],
    timesteps: &[usize],
    noise: &[f32],
) -> Result<(Vec<f32>, Vec<f32>), Failure> {
    let len = dataset.image_len();
    let mut x_0 = vec![0.0; indices.len() * len];
    data::fill_x0(dataset, indices, &mut x_0);
    let mut x_t = x_0.clone();
    for (i, &t) in timesteps.iter().enumerate() {
        let range = i * len..(i + 1) * len;
        forward::noised(schedule, t, &x_0[range.clone()], &noise[range.clone()], &mut x_t[range]);
    }
    let outputs = pollster::block_on(predictor.predict(&x_t, timesteps, &data::labels(dataset, indices)))?;
    Ok((x_t, outputs))
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
