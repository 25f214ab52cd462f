//! `train`: from a data set to a diffusers folder.

pub(super) use super::dataset::load_data;
use super::{Failure, dataset, open_engine};
use crate::checkpoint::{self, Checkpoint, Dtype, SchedulerConfig, TensorFile, WEIGHTS_FILE};
use crate::data::{self, Batches, Dataset, Split};
use crate::engine::Choice;
use crate::model::config::{CONFIG_FILE, UnetConfig};
use crate::model::{init::initialise, step::training_loss};
use crate::tensor::Shape;
use crate::train::{StepReport, TrainOptions, Trainer};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// File with the options and the progress of a run.
const RUN_FILE: &str = "training.json";
/// File with the weights, Adam's moments and the averages of a run.
const STATE_FILE: &str = "training_state.safetensors";
/// File with one line of numbers per logged step.
const METRICS_FILE: &str = "metrics.jsonl";
/// Steps between two lines of metrics.
const LOG_EVERY: u64 = 10;
/// Time between two checkpoints.
const SAVE_EVERY: Duration = Duration::from_secs(120);

/// Train a model on a data set; writes the averaged weights as a diffusers folder.
///
/// The folder is saved every two minutes, on Ctrl-C and at the end, together with what --resume needs to go on with
/// exactly the losses of an unbroken run. Without --config the net is made for the data: the widths of weights/digits,
/// with the pictures' size and channels, and one label more than there are classes, which means none.
///
/// DATA is MNIST's four IDX files (or others that go by their names), plain or .gz; or a folder of PNG and JPEG files of
/// any size, cropped around the centre and resized, with one sub-folder for each class if there are classes. What is not in
/// train/ and test/ is divided: every 20th picture of a class is left for evaluate.
///
/// Example: noisette train --data data/mnist --out runs/digits --steps 5000
#[derive(clap::Args)]
pub struct Args {
    /// Folder with the data: MNIST's IDX files, or pictures.
    #[arg(long)]
    data: PathBuf,
    /// Folder to write the model and the run to.
    #[arg(long)]
    out: PathBuf,
    /// The net, as diffusers' config.json (UNet2DModel).
    #[arg(long, conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Height and width of the pictures for a new net; 32 unless all files have one smaller size.
    #[arg(long, conflicts_with_all = ["resume", "config", "from"], value_parser = clap::value_parser!(u64).range(4..=256))]
    size: Option<u64>,
    /// Start from the weights of this diffusers folder, with a fresh optimizer.
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
}

/// What a run is and how far it got, saved beside its weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    options: TrainOptions,
    /// Steps taken.
    step: u64,
    /// Training time so far.
    seconds: f64,
    /// Engine and adapter of the last part.
    engine: String,
}

impl Run {
    fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(RUN_FILE);
        let text = fs::read(&path).map_err(|e| format!("there is no run to resume in {}: {e}", path.display()))?;
        serde_json::from_slice(&text).map_err(|e| format!("{} is not a saved run: {e}", path.display()).into())
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), Failure> {
    let (checkpoint, mut run) = start(&args)?;
    let config = &checkpoint.config;
    let dataset = load_data(&args.data, config, Split::Train)?;
    let engine = open_engine(args.engine)?;
    let description = engine.describe();
    run.engine = format!("{} ({})", description.engine, description.adapter);

    let [h, w] = config.sample_size;
    let (graph, _) = training_loss(config, Shape::new(1, h, w, config.channels), false);
    let weights = match checkpoint.tensors.is_empty() {
        true => initialise(&graph, run.options.seed),
        false => checkpoint.load_parameters(&graph.parameters())?,
    };
    let schedule = checkpoint.scheduler.schedule()?;
    let prediction = checkpoint.scheduler.prediction_type;
    let mut trainer = Trainer::new(&engine, config, schedule, prediction, run.options.clone(), &weights)?;
    if args.resume {
        let state = checkpoint::read_tensors(args.out.join(STATE_FILE))?;
        trainer.restore(run.step, |name| state.f32(name, 4).ok().map(|(_, values)| values))?;
    }
    let values: usize = trainer.parameters().iter().map(|spec| spec.shape.len()).sum();
    say!("{} images of {h}×{w}×{}, {values} parameters", dataset.len(), config.channels);
    drive(&args.out, &checkpoint, &dataset, &mut trainer, run)
}

/// The checkpoint to start from (without weights for a new model) and the run to begin or to go on with.
fn start(args: &Args) -> Result<(Checkpoint, Run), Failure> {
    let (checkpoint, mut run) = if args.resume {
        (checkpoint::read_dir(&args.out)?, Run::read(&args.out)?)
    } else {
        if args.out.join(RUN_FILE).exists() {
            let text = "there is a run already: go on with --resume, or choose another --out";
            return Err(format!("{}: {text}", args.out.display()).into());
        }
        if let Some(file) = [WEIGHTS_FILE, CONFIG_FILE].iter().find(|file| args.out.join(file).exists()) {
            let text = format!("there is a {file} already, which training would overwrite: choose another --out");
            return Err(format!("{}: {text}", args.out.display()).into());
        }
        let checkpoint = match (&args.from, &args.config) {
            (Some(dir), _) => checkpoint::read_dir(dir)?,
            (None, Some(path)) => {
                let text = fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
                new_checkpoint(UnetConfig::from_json(&text)?)
            }
            (None, None) => new_checkpoint(dataset::suitable_net(&args.data, args.size.map(|size| size as usize))?),
        };
        let options = TrainOptions::default();
        (checkpoint, Run { options, step: 0, seconds: 0.0, engine: String::new() })
    };
    let options = &mut run.options;
    let fixed = [
        ("--batch", args.batch.is_some_and(|batch| batch as usize != options.batch)),
        ("--lr", args.lr.is_some_and(|lr| lr != options.lr)),
        ("--seed", args.seed.is_some_and(|seed| seed != options.seed)),
    ];
    if let Some((name, _)) = fixed.iter().find(|(_, changed)| args.resume && *changed) {
        return Err(format!("a resumed run keeps its {name}; to change it, start a new run with --from").into());
    }
    options.batch = args.batch.map_or(options.batch, |batch| batch as usize);
    options.steps = args.steps.unwrap_or(options.steps);
    options.lr = args.lr.unwrap_or(options.lr);
    options.seed = args.seed.unwrap_or(options.seed);
    if !(options.lr > 0.0 && options.lr.is_finite()) {
        return Err(format!("--lr is {}, expected a number above 0", options.lr).into());
    }
    if run.step >= options.steps {
        let text = format!("the run has its {} steps already: give a larger --steps to go on", options.steps);
        return Err(text.into());
    }
    Ok((checkpoint, run))
}

fn new_checkpoint(config: UnetConfig) -> Checkpoint {
    Checkpoint { config, scheduler: SchedulerConfig::default(), assumed_scheduler: false, tensors: Default::default() }
}

/// The loop: batches in, numbers and checkpoints out, until the steps are done or Ctrl-C.
fn drive(
    out: &Path,
    checkpoint: &Checkpoint,
    dataset: &Dataset,
    trainer: &mut Trainer,
    mut run: Run,
) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed))?;
    let options = run.options.clone();
    let batch = options.batch;
    let mut batches = Batches::resume(dataset.len(), options.seed, trainer.step_count() * batch as u64);
    let mut x_0 = vec![0.0; batch * dataset.image_len()];
    fs::create_dir_all(out).map_err(|e| format!("cannot create {}: {e}", out.display()))?;
    let path = out.join(METRICS_FILE);
    forget_after(&path, run.step).map_err(|e| format!("cannot rewrite {}: {e}", path.display()))?;
    let mut metrics = OpenOptions::new().create(true).append(true).open(&path)?;

    let bar = ProgressBar::new(options.steps).with_position(trainer.step_count());
    bar.set_style(ProgressStyle::with_template("{bar:32} {pos}/{len} steps, {msg}, {eta} left")?);
    let started = Instant::now();
    let before = (run.seconds, trainer.step_count());
    let mut saved = Instant::now();
    let mut smooth = None;
    while trainer.step_count() < options.steps && !stop.load(Ordering::Relaxed) {
        let indices = batches.next_batch(batch);
        data::fill_x0(dataset, &indices, &mut x_0);
        let report = pollster::block_on(trainer.step(&x_0, &data::labels(dataset, &indices)))?;
        let elapsed = started.elapsed().as_secs_f64();
        let rate = (report.step - before.1) as f64 * batch as f64 / elapsed;
        let loss = f64::from(report.loss);
        let average = smooth.map_or(loss, |s| 0.98 * s + 0.02 * loss);
        smooth = Some(average);
        run.step = report.step;
        run.seconds = before.0 + elapsed;
        bar.set_position(report.step);
        bar.set_message(format!("loss {average:.4}, {rate:.1} images/s"));
        if report.step % LOG_EVERY == 0 || report.step == 1 {
            log(&mut metrics, &report, batch, rate).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        }
        if saved.elapsed() > SAVE_EVERY {
            save(out, checkpoint, trainer, &run)?;
            saved = Instant::now();
        }
    }
    save(out, checkpoint, trainer, &run)?;
    bar.abandon();
    say!("saved {} after step {} of {}", out.display(), run.step, options.steps);
    Ok(())
}

/// Takes lines out of the metrics that come after `step`: a run that was killed had gone on after its last checkpoint.
fn forget_after(path: &Path, step: u64) -> std::io::Result<()> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(()) };
    let is_before = |line: &&str| {
        let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
        value.and_then(|value| value["step"].as_u64()).is_some_and(|s| s <= step)
    };
    let kept: String = text.lines().filter(is_before).flat_map(|line| [line, "\n"]).collect();
    fs::write(path, kept)
}

fn log(file: &mut impl Write, report: &StepReport, batch: usize, rate: f64) -> std::io::Result<()> {
    let line = serde_json::json!({
        "step": report.step,
        "samples": report.step * batch as u64,
        "loss": report.loss,
        "grad_norm": report.grad_norm,
        "lr": report.lr,
        "samples_per_s": rate,
    });
    writeln!(file, "{line}")
}

/// Writes the averaged weights and what `--resume` needs, all or nothing.
fn save(out: &Path, checkpoint: &Checkpoint, trainer: &mut Trainer, run: &Run) -> Result<(), Failure> {
    let averaged = pollster::block_on(trainer.weights(true))?;
    let tensors = checkpoint::store_parameters(trainer.parameters(), &averaged);
    let mut files = Checkpoint { tensors, ..checkpoint.clone() }.to_files(Dtype::F32)?;
    let mut state = TensorFile::new();
    let shapes: Vec<Shape> = trainer.parameters().iter().flat_map(|spec| [spec.shape; 4]).collect();
    for ((name, values), shape) in pollster::block_on(trainer.state())?.into_iter().zip(shapes) {
        state.insert_f32(name, &shape.0, values);
    }
    files.push((STATE_FILE.to_owned(), state.to_bytes(Dtype::F32)?));
    files.push((RUN_FILE.to_owned(), serde_json::to_vec_pretty(run)?));
    checkpoint::replace_files(out, &files)?;
    Ok(())
}
