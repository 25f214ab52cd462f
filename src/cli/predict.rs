//! `predict`: the network's output for given images, to look at or to compare with PyTorch's.

use super::batch::Batch;
use super::{Failure, check_output, in_file, open_engine, weights};
use crate::checkpoint::{self, TensorFile};
use crate::engine::Choice;
use crate::playground::{Predictor, load};
use crate::tensor::nhwc_to_nchw;
use std::path::PathBuf;

/// Pixels that go through the network at once.
const PIXELS_AT_ONCE: usize = 1 << 16;

/// Run the network once on images from a file.
///
/// The input is a safetensors file with `sample` [N, C, H, W] (x_t, F32), `timestep` [N] (I64, 0 to T-1) and, for models
/// with classes, `class_labels` [N] (I64). The output has `eps` [N, C, H, W]: the predicted noise, or whatever else
/// the model's scheduler_config.json says that it predicts. In PyTorch this is
/// `UNet2DModel.from_pretrained(DIR)(sample, timestep, class_labels).sample`.
///
/// Example: noisette predict --weights weights/digits --input in.safetensors --out out.safetensors
#[derive(clap::Args)]
pub struct Args {
    /// Diffusers folder with the model, or its file of weights.
    #[arg(long)]
    weights: PathBuf,
    /// Safetensors file with the images.
    #[arg(long)]
    input: PathBuf,
    /// Safetensors file to write.
    #[arg(long)]
    out: PathBuf,
    /// Where to compute: auto, gpu or cpu.
    #[arg(long, default_value = "auto")]
    engine: Choice,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), Failure> {
    let checkpoint = weights::open(&args.weights)?;
    let input = checkpoint::read_tensors(&args.input)?;
    let batch = Batch::read(&input, &checkpoint).map_err(|error| in_file(&args.input, error))?;
    let shape = batch.shape;
    check_output(&[&args.weights, &args.input], &args.out)?;
    let engine = open_engine(args.engine)?;
    let at_once = (PIXELS_AT_ONCE / shape.pixels()).clamp(1, shape.n().min(64));
    let mut predictor = Predictor::new(&engine, &checkpoint.config, &load(&engine, &checkpoint)?, shape, at_once)?;
    let eps = pollster::block_on(predictor.predict(&batch.sample, &batch.timesteps, &batch.labels))?;
    let mut output = TensorFile::new();
    output.insert_f32("eps", &[shape.n(), shape.c(), shape.h(), shape.w()], nhwc_to_nchw(&eps, shape));
    checkpoint::write_tensors(&args.out, &output)?;
    say!("saved {}", args.out.display());
    Ok(())
}
