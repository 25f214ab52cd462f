//! `gradients`: the training loss of given images and its gradient, to compare with PyTorch's.

use super::batch::{Batch, images};
use super::{Failure, check_output, in_file, open_engine, weights};
use crate::checkpoint::{self, TensorFile};
use crate::diffusion::Prediction;
use crate::engine::Choice;
use crate::model::step::Objective;
use crate::playground::load;
use crate::train::Examples;
use crate::train::optimizer::gradients;
use std::path::PathBuf;

/// Compute the training loss of images from a file, and its gradient for every parameter.
///
/// The input is a safetensors file with `sample` [N, C, H, W] (x_0 in -1 to 1, F32), `noise` of the same shape,
/// `timestep` [N] (I64, 0 to T-1) and, for models with classes, `class_labels` [N] (I64). The output has `loss` [1],
/// the mean squared error between the noise and its prediction from x_t, and the gradient of every parameter under the
/// name and with the shape that it has in PyTorch.
///
/// Example: noisette gradients --weights weights/digits --input in.safetensors --out out.safetensors
#[derive(clap::Args)]
pub struct Args {
    /// Diffusers folder with the model, or its file of weights.
    #[arg(long)]
    weights: PathBuf,
    /// Safetensors file with images and noise.
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
    weights::say_without_dropout(&checkpoint.config, "these are the loss and the gradients");
    let (config, scheduler) = (&checkpoint.config, &checkpoint.scheduler);
    let velocity = match scheduler.prediction_type {
        Prediction::Epsilon => false,
        Prediction::VPrediction => true,
        Prediction::Sample => return Err("the loss of a model that predicts x_0 itself is not supported".into()),
    };
    let input = checkpoint::read_tensors(&args.input)?;
    let read = || {
        let batch = Batch::read(&input, &checkpoint)?;
        let (shape, noise) = images(&input, "noise", config)?;
        if shape != batch.shape {
            return Err(format!("noise has the shape {shape}, sample {} (as N, H, W, C)", batch.shape).into());
        }
        Ok((batch, noise))
    };
    let (batch, noise) = read().map_err(|error: Failure| in_file(&args.input, error))?;
    check_output(&[&args.weights, &args.input], &args.out)?;
    let engine = open_engine(args.engine)?;

    let graph = gradients(config, batch.shape, Objective { velocity, ..Objective::default() });
    let mut program = engine.compile_with(&graph, &load(&engine, &checkpoint)?)?;
    let Batch { sample: x_0, timesteps, labels, .. } = &batch;
    Examples { x_0, noise: &noise, timesteps, labels }.write(&mut program, config, &scheduler.schedule()?, velocity)?;
    program.run()?;

    let specs = graph.parameters();
    let mut values = Vec::with_capacity(specs.len());
    for spec in &specs {
        values.push(pollster::block_on(program.read(&format!("grad.{}", spec.name)))?);
    }
    let mut output = TensorFile::new();
    for (name, (shape, values)) in checkpoint::store_parameters(&specs, &values) {
        output.insert_f32(name, &shape, values);
    }
    let loss = pollster::block_on(program.read("loss"))?;
    say!("loss {}", loss[0]);
    output.insert_f32("loss", &[1], loss);
    checkpoint::write_tensors(&args.out, &output)?;
    say!("saved {}", args.out.display());
    Ok(())
}
