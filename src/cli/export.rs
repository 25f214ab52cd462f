//! `export`: a model's folder with its numbers in another type.

use super::{Failure, keep_inputs, weights};
use crate::checkpoint::{self, Checkpoint, Dtype, SCHEDULER_FILE, WEIGHTS_FILE};
use crate::engine::Engine;
use crate::model::config::CONFIG_FILE;
use crate::playground::{Predictor, load};
use crate::rng::Rng;
use crate::tensor::Shape;
use crate::train::saved::RUN_FILE;
use half::f16;
use std::fs;
use std::path::PathBuf;

/// Write a model as a diffusers folder, with half or full precision.
///
/// F16 halves the size; the change this makes in the prediction for noise is measured and printed. Everything else of the
/// model stays: both configs, the class names, the null class. (Whatever type a folder has, networks compute
/// in F32.) A model that is there already is not replaced without --replace.
///
/// Example: noisette export --weights runs/digits --out weights/mine --dtype f16
#[derive(clap::Args)]
pub struct Args {
    /// Diffusers folder with the model, or its file of weights.
    #[arg(long)]
    weights: PathBuf,
    /// Folder to write.
    #[arg(long)]
    out: PathBuf,
    /// Type of the numbers.
    #[arg(long)]
    dtype: Target,
    /// Write over the model in --out.
    #[arg(long)]
    replace: bool,
}

/// A type on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Target {
    /// Two bytes a number.
    F16,
    /// Four bytes a number.
    F32,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), Failure> {
    for file in [WEIGHTS_FILE, CONFIG_FILE, SCHEDULER_FILE] {
        keep_inputs(&[&args.weights], &args.out.join(file))?;
    }
    if args.out.is_file() {
        return Err(format!("{} is a file, expected a folder for the model", args.out.display()).into());
    }
    if args.out.join(RUN_FILE).exists() {
        return Err(format!("{} is the folder of a training run: choose another --out", args.out.display()).into());
    }
    if let Some(file) = [WEIGHTS_FILE, CONFIG_FILE].iter().find(|file| !args.replace && args.out.join(file).exists()) {
        let out = args.out.display();
        return Err(format!("{out} has a {file} already: choose another --out, or write over it with --replace").into());
    }
    let checkpoint = weights::open(&args.weights)?;
    let image = checkpoint.config.image_shape();
    let dtype = match args.dtype {
        Target::F16 => Dtype::F16,
        Target::F32 => Dtype::F32,
    };
    checkpoint::write_dir(&args.out, &checkpoint, dtype)?;
    if dtype == Dtype::F16 {
        let (rms, largest) = rounding_error(&checkpoint, image)?;
        say!("F16 changes the prediction for noise by {rms:.1e} (root mean square), {largest:.1e} at most");
    }
    let bytes = fs::metadata(args.out.join(WEIGHTS_FILE))?.len();
    say!("saved {}: {bytes} bytes of weights", args.out.display());
    Ok(())
}

/// What rounding the parameters to F16 changes in the output for eight noise images, at timesteps from first to last.
fn rounding_error(checkpoint: &Checkpoint, image: Shape) -> Result<(f64, f64), Failure> {
    let mut rounded = checkpoint.clone();
    let values = rounded.tensors.values_mut().flat_map(|(_, values)| values);
    values.for_each(|value| *value = f16::from_f32(*value).to_f32());

    let count = 8;
    let x = Rng::new(0).normals(count * image.len());
    let last = checkpoint.scheduler.num_train_timesteps - 1;
    let timesteps: Vec<usize> = (0..count).map(|i| i * last / (count - 1)).collect();
    let classes = checkpoint.config.num_class_embeds.unwrap_or(1);
    let labels: Vec<usize> = (0..count).map(|i| i % classes).collect();
    let engine = Engine::Cpu(None);
    let predict = |checkpoint: &Checkpoint| -> Result<Vec<f32>, Failure> {
        let weights = load(&engine, checkpoint)?;
        let mut predictor = Predictor::new(&engine, &checkpoint.config, &weights, image, 1)?;
        Ok(pollster::block_on(predictor.predict(&x, &timesteps, &labels))?)
    };
    let (before, after) = (predict(checkpoint)?, predict(&rounded)?);
    let errors = before.iter().zip(&after).map(|(&a, &b)| f64::from((a - b).abs()));
    let (squares, largest) = errors.fold((0.0, 0.0), |(sum, max): (f64, f64), e| (sum + e * e, max.max(e)));
    Ok(((squares / before.len() as f64).sqrt(), largest))
}
