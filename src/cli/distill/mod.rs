//! `distill`: from a model that takes many steps to one that takes few.

mod start;

use super::run::{self, RunFolder};
use super::{Failure, counted, open_engine};
use crate::engine::Choice;
use crate::train::Distiller;
use start::Start;
use std::path::PathBuf;
use std::process::ExitCode;

/// Distil a model into one that needs few steps and no guidance; writes a diffusers folder.
///
/// Progressive distillation (Salimans & Ho 2022, algorithm 2): a student with the model's weights learns to take in one DDIM step what
/// its teacher takes in two, and then teaches the next, until it takes --steps. The first teacher is guided, so that
/// --guidance is in the student's weights, and the null class goes if it is the last label. The model must predict v
/// (prediction=v_prediction); DATA is what it was trained on, as for train.
///
/// Each halving sees --images pictures, with a fresh Adam whose rate falls to zero along a half cosine. There is no average of the
/// weights unless --set ema_decay=0.99, say, asks for one: the falling rate does its work. --set takes the settings of a recipe.
///
/// OUT is a run's folder as train makes one, a model at all times: saved at once, every two minutes, on Ctrl-C and at the
/// end; checkpoints/ keeps the student of every halving. --resume goes on with the numbers of an unbroken run, and needs neither
/// the model nor its other settings. A student is good for its own steps only: scheduler_config.json names them
/// (_valid_steps), and sample takes no others.
///
/// Example: noisette distill --weights runs/digits-v --data data/mnist --out runs/fast --steps 4 --guidance 1.5
#[derive(clap::Args)]
pub struct Args {
    /// Diffusers folder with the model that teaches, or its file of weights; with --resume it is not read again.
    #[arg(long, required_unless_present = "resume")]
    weights: Option<PathBuf>,
    /// Folder with the data: MNIST's IDX files, or pictures.
    #[arg(long)]
    data: PathBuf,
    /// Folder to write the model and the run to.
    #[arg(long)]
    out: PathBuf,
    /// Steps that the result takes from noise to picture.
    #[arg(long, allow_negative_numbers = true, required_unless_present = "resume", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    steps: Option<u64>,
    /// Guidance w of the teacher, -20 to 20, which the result has in it; 1 is none.
    #[arg(long, allow_negative_numbers = true, required_unless_present = "resume")]
    guidance: Option<f64>,
    /// Pictures that each halving sees; 100000 unless set.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    images: Option<u64>,
    /// Steps of the first teacher: --steps times 2, 4, 8 or so; by default the first of them from 16 on.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    from_steps: Option<u64>,
    /// Teach the result half as many steps as well, in one more halving; costs a little of what --steps reaches.
    #[arg(long)]
    and_half: bool,
    /// Numbers of steps, beside --steps, that sample is to allow: those at which you measured the result to hold, such as 2,8.
    #[arg(long, value_delimiter = ',')]
    valid_steps: Vec<usize>,
    /// Images per training step; 64 unless set.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch: Option<u64>,
    /// Learning rate at the beginning of each halving; 1e-4 unless set.
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Decides order of images, timesteps and noise.
    #[arg(long, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// A setting of the recipe: ema_decay=0.99, schedule=constant, horizontal_flip=true, sample_every=200. May be given often.
    #[arg(long, value_name = "SETTING=VALUE")]
    set: Vec<String>,
    /// Where to compute: auto, gpu or cpu.
    #[arg(long, default_value = "auto")]
    engine: Choice,
    /// Go on with the run in --out.
    #[arg(long)]
    resume: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let Start { folder, plan, mut progress, data, teacher } = Start::new(&args)?;
    let engine = open_engine(args.engine)?;
    let description = engine.describe();
    progress.engine = format!("{} ({})", description.engine, description.adapter);
    let options = folder.recipe.options.clone();
    let mut distiller = match teacher {
        Some(teacher) => Distiller::begin(&engine, &teacher, &plan, options)?,
        None => {
            let state = RunFolder::state(&folder.dir)?;
            Distiller::resume(&engine, &folder.checkpoint, &plan, options, &state)?
        }
    };
    // The state may be further than the file that tells of it.
    progress.step = distiller.trainer().step_count();
    start::check_unfinished(&plan, progress.step)?;
    let halvings: Vec<String> =
        std::iter::once(plan.from_steps).chain(plan.halvings()).map(|n| n.to_string()).collect();
    say!(
        "{}; {} steps of DDIM, {} for each halving, guidance {}",
        counted(data.len(), "image"),
        halvings.join(" to "),
        run::steps(plan.training_steps),
        plan.guidance
    );
    let end = run::drive(&engine, &folder, &data, &mut distiller, progress)?;
    Ok(run::status(end, "distill", &args.data, &args.out, args.engine, &engine))
}
