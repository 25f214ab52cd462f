//! `evaluate`: how well a model predicts noise on images it was not trained on.

use super::dataset::load_data;
use super::{Failure, check_output, counted, open_engine, print, weights, write_file};
use crate::data::Split;
use crate::engine::Choice;
use crate::evaluate::{Bound, BoundSettings, Estimate, Evaluation, RangeError, SquaredError, SquaredErrorSettings};
use crate::playground::load;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Images for the bound unless told otherwise.
const BOUND_IMAGES: usize = 200;

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

/// Runs the command.
pub fn run(args: Args) -> Result<(), Failure> {
    let checkpoint = weights::open(&args.weights)?;
    let dataset = load_data(&args.data, &checkpoint.config, Split::Test)?;
    let images = args.images.map_or(dataset.len(), |images| images as usize);
    let bound_images = args.bound_images.unwrap_or(BOUND_IMAGES.min(images));
    for (name, wanted) in [("--images", images), ("--bound-images", bound_images)] {
        let there = dataset.len();
        if wanted > there {
            let there = counted(there, "test image");
            return Err(format!("{name} is {wanted}, but {} has {there}", args.data.display()).into());
        }
    }
    if bound_images > images {
        return Err(format!("--bound-images is {bound_images}, expected at most the {images} of --images").into());
    }
    // A schedule that is none is found out before an engine is opened.
    checkpoint.scheduler.schedule()?;
    if let Some(path) = &args.out {
        check_output(&[&args.weights], path)?;
    }
    let engine = open_engine(args.engine)?;
    let description = engine.describe();
    let weights = load(&engine, &checkpoint)?;
    let evaluation = Evaluation::new(&engine, &checkpoint, &weights, &dataset)?;
    let settings = SquaredErrorSettings { images, draws: args.draws as usize, seed: args.seed };
    let bar = progress(images * settings.draws)?;
    let error = pollster::block_on(evaluation.squared_error(&settings, |done| bar.set_position(done as u64)))?;
    bar.finish_and_clear();
    print(&error_table(&error))?;
    let range = |range: &RangeError| {
        let (from, to) = range.timesteps;
        json!({ "from": from, "to": to, "images": range.images, "mse": range.mse })
    };
    let mut report = json!({
        "mse": error.mse,
        "images": images,
        "draws": args.draws,
        "seed": args.seed,
        "engine": description.engine,
        "adapter": description.adapter,
        "buckets": error.ranges.iter().map(range).collect::<Vec<_>>(),
    });
    if bound_images > 0 {
        let timesteps = args.bound_timesteps as usize;
        let settings = BoundSettings { images: bound_images, timesteps, seed: args.seed };
        let bar = progress(bound_images)?;
        let bound = pollster::block_on(evaluation.bound(&settings, |done| bar.set_position(done as u64)))?;
        bar.finish_and_clear();
        print(&bound_table(&bound, bound_images))?;
        report["bits_per_dim"] = bound_json(&bound, bound_images);
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

/// A line for each range of timesteps, and one for all.
fn error_table(error: &SquaredError) -> String {
    let mut table = "timesteps          images    error\n".to_owned();
    for RangeError { timesteps: (from, to), images, mse } in &error.ranges {
        let mse = mse.map_or("-".to_owned(), |mse| format!("{mse:.5}"));
        table += &format!("{from:>7} to {to:<7} {images:>6} {mse:>8}\n");
    }
    let images: usize = error.ranges.iter().map(|range| range.images).sum();
    format!("{table}{:<18} {images:>6} {:>8.5}\n", "all", error.mse)
}

/// The bound and its parts, with the names that they have in JSON and in the table.
fn parts(bound: &Bound) -> [(&'static str, &'static str, Estimate); 4] {
    [
        ("total", "bits per dimension", bound.total),
        ("prior", "  L_T", bound.prior),
        ("denoising", "  sum of L_(t-1)", bound.denoising),
        ("decoder", "  L_0", bound.decoder),
    ]
}

/// What it was computed from, and a line for each part.
fn bound_table(bound: &Bound, images: usize) -> String {
    let (images, timesteps) = (counted(images, "image"), counted(bound.timesteps, "timestep"));
    let title = format!("bound on the likelihood, from {images} and {timesteps} of each:\n");
    let error = |estimate: Estimate| estimate.error.map_or(String::new(), |error| format!(" +- {error:.5}"));
    title + &parts(bound).map(|(_, title, e)| format!("{title:<25} {:>8.5}{}\n", e.mean, error(e))).concat()
}

/// The same for programs.
fn bound_json(bound: &Bound, images: usize) -> Value {
    let mut report = json!({ "images": images, "timesteps_per_image": bound.timesteps });
    for (name, _, estimate) in parts(bound) {
        report[name] = json!({ "mean": estimate.mean, "standard_error": estimate.error });
    }
    report
}
