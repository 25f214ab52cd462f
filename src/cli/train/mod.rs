//! `train`: from a data set to a diffusers folder.

mod labels;
mod start;

use super::run::{self, RunFolder};
use super::{Failure, counted, open_engine};
use crate::engine::Choice;
use crate::model::step::{Objective, training_loss};
use crate::tensor::Shape;
use crate::train::Trainer;
use start::Start;
use std::path::PathBuf;
use std::process::ExitCode;

/// Train a model on a data set; writes the averaged weights as a diffusers folder.
///
/// DATA is MNIST's four IDX files (or others that go by their names, as EMNIST's do), plain or .gz, there or in a folder below; or a
/// folder of PNG, JPEG, GIF, WebP and BMP files of any size, known by their content, which are cropped around the centre and
/// resized, with one sub-folder for each class if there are classes. Unless there are train/ and test/ (or training/, testing/,
/// val/, valid/, validation/, dev/, also with _set behind it), every 20th picture of a class is left for evaluate. Of an animation the first frame counts. What is taken,
/// and what is left out and why, is said first. A label without pictures is no class of a new network.
///
/// Everything else that decides a run is its recipe, a TOML file: optimizer, learning rate, noise, loss, network, and what
/// is kept. Each setting has a default, --recipe reads some or all, --set and the flags below override them, and the
/// whole is written to OUT/recipe.toml with a word on each: run it for one step to see what there is. Without a network
/// in the recipe it is made for the data: the widths of weights/digits, the pictures' size and channels, and one label
/// more than there are classes, the null class: guidance needs it, and label_dropout, which teaches it, above 0.
///
/// OUT is a model at all times: it is saved at once, every two minutes, on Ctrl-C or SIGTERM, and at the end. Beside the
/// model lie metrics.jsonl, loss.svg, samples/ (from the same noise each time; the weights at the left, their average at the right)
/// and checkpoints/ to go back to. --resume goes on with exactly the losses of an unbroken run; with a larger --steps the
/// cosine becomes longer, too, so that the learning rate of a finished run rises once more. One process at a time trains in a
/// folder; an interrupted one ends with status 130.
///
/// Example: noisette train --data data/mnist --out runs/digits --steps 5000 --set loss=l1 --set min_snr_gamma=5
#[derive(clap::Args)]
pub struct Args {
    /// Folder with the data: MNIST's IDX files, or pictures.
    #[arg(long)]
    data: PathBuf,
    /// Folder to write the model and the run to.
    #[arg(long)]
    out: PathBuf,
    /// TOML file with the recipe, or with some of its settings.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// A setting of the recipe: lr=2e-4, prediction=v_prediction, net.layers_per_block=2. May be given often.
    #[arg(long, value_name = "SETTING=VALUE")]
    set: Vec<String>,
    /// The net, as diffusers' config.json (UNet2DModel), or the folder of a model with it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Height and width of the pictures for a new net; without it that of the files if all have one of at most 32 that the net can take, else 32.
    #[arg(long, conflicts_with_all = ["resume", "config", "from"], value_parser = clap::value_parser!(u64).range(4..=256))]
    size: Option<u64>,
    /// Start from the weights of this diffusers folder or file, with a fresh optimizer. IDX data bring their own names of classes.
    #[arg(long, conflicts_with_all = ["resume", "config"])]
    from: Option<PathBuf>,
    /// Where to compute: auto, gpu or cpu.
    #[arg(long, default_value = "auto")]
    engine: Choice,
    /// Images per step.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch: Option<u64>,
    /// Steps of the whole run; the learning rate falls to zero along a half cosine by the last.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Peak learning rate.
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Decides start values, order of images, timesteps and noise.
    #[arg(long, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Go on with the run in --out; a larger --steps makes it longer.
    #[arg(long)]
    resume: bool,
    /// With --resume: go on from this step's checkpoint, and forget what came after it.
    #[arg(long, value_name = "STEP", requires = "resume")]
    back_to: Option<u64>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let Start { folder, mut progress, data, source } = Start::new(&args)?;
    let engine = open_engine(args.engine)?;
    let description = engine.describe();
    progress.engine = format!("{} ({})", description.engine, description.adapter);

    let (checkpoint, options) = (&folder.checkpoint, folder.recipe.options.clone());
    let config = &checkpoint.config;
    let [h, w] = config.sample_size;
    let weights = match checkpoint.tensors.is_empty() {
        true => folder.recipe.start_values(),
        false => {
            let (graph, _) = training_loss(config, Shape::new(1, h, w, config.channels), Objective::default());
            checkpoint.load_parameters(&graph.parameters())?
        }
    };
    let (schedule, prediction) = (checkpoint.scheduler.schedule()?, checkpoint.scheduler.prediction_type);
    let mut trainer = Trainer::new(&engine, config, schedule, prediction, options, &weights)?;
    if let Some(source) = source {
        RunFolder::restore(&source, &mut trainer, &mut progress)?;
        // The state may be further than the file that tells of it.
        start::check_unfinished(&folder.dir, progress.step, trainer.options().steps)?;
    }
    let values: usize = trainer.parameters().iter().map(|spec| spec.shape.len()).sum();
    let images = counted(data.len(), "image");
    say!("{images} of {h}×{w}×{}, {values} parameters", config.channels);
    let end = run::drive(&engine, &folder, &data, &mut trainer, progress)?;
    Ok(run::status(end, "train", &args.data, &args.out, args.engine, &engine))
}
