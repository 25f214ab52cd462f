//! `sample`: from noise to images.

mod settings;

use super::batch::{images, labels};
use super::class::classes;
use super::{Failure, check_output, counted, grid, in_file, open_engine, weights, write_file};
use crate::checkpoint::{self, TensorFile};
use crate::diffusion::{Convention, SamplerKind, Spacing};
use crate::engine::Choice;
use crate::model::config::UnetConfig;
use crate::playground::{Noise, Session};
use crate::tensor::{Shape, nchw_to_nhwc, nhwc_to_nchw};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most images of one run.
const MAX_COUNT: u64 = 4096;

/// Generate images from noise and write them as a PNG.
///
/// What is not set follows the model's scheduler_config.json: the sampler, and with that one its steps, spacing, as, eta and
/// guidance, are what the file suggests (_sampler, _num_inference_steps, _timestep_spacing, _as, _eta, _guidance); with another
/// --sampler they are the usual ones. A line on stderr says what is used. The same seed, count and settings give the same noise
/// on every machine and engine, and in the page too.
///
/// A distilled model (see distill) is sampled in its own way: with one of its numbers of steps (_valid_steps) and nothing else, since its
/// guidance is in its weights and it knows no other noise levels.
///
/// --init reads a safetensors file with `x_T` [N, C, H, W] and, if you like, `class_labels` [N] (I64) and `noise` [steps,
/// N, C, H, W], the noise of each step; with that, nothing is drawn from the seed. --trace writes `timesteps` [steps] and
/// `x` [steps, N, C, H, W], the state after each step, just as a scheduler of diffusers leaves it. --raw writes `images`
/// [N, C, H, W] in -1 to 1.
///
/// --as diffusers, the default where nothing else is suggested, is diffusers' letter. It departs from the papers where the list of timesteps is no ladder of
/// equal rungs down to 0: with linspace, or with trailing where the steps do not divide T, its ddim steps to t - floor(T/n)
/// instead of the next entry; with trailing its ddpm of large variance leaves noise in the picture; and where x_0 is clipped its
/// ddim keeps the noise of the one that was not. --as paper goes from entry to entry of the list and ends at x_0.
///
/// Example: noisette sample --weights weights/digits --sampler ddim --steps 50 --count 10 --out grid.png
#[derive(clap::Args)]
pub struct Args {
    /// Diffusers folder with the model, or its file of weights.
    #[arg(long)]
    weights: PathBuf,
    /// How many images; 16 unless --init says otherwise.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=MAX_COUNT))]
    count: Option<u64>,
    /// The rule of a step: ddpm (ancestral), ddim (deterministic unless --eta is set), dpmsolver++ (second order) or ipndm (fourth order).
    #[arg(long, value_parser = named(SamplerKind::ALL, SamplerKind::name))]
    sampler: Option<SamplerKind>,
    /// Steps from noise to image; where none are suggested, for ddpm all there are, else 50.
    #[arg(long, allow_negative_numbers = true)]
    steps: Option<usize>,
    /// How the steps are spread over the timesteps.
    #[arg(long, value_parser = named(Spacing::ALL, Spacing::name))]
    spacing: Option<Spacing>,
    /// Whose letter the sampler follows: diffusers', or the papers', from entry to entry of the list and to x_0.
    #[arg(long = "as", value_parser = named(Convention::ALL, Convention::name))]
    convention: Option<Convention>,
    /// Share of noise that ddim adds at each step: 0, the usual, is none, 1 as much as ddpm.
    #[arg(long, allow_negative_numbers = true)]
    eta: Option<f64>,
    /// Whether the predicted x_0 is clipped to the range of pixels at every step.
    #[arg(long)]
    clip: Option<Clip>,
    /// Variance of ddpm's step: small is the posterior's, large the forward step's.
    #[arg(long)]
    variance: Option<VarianceName>,
    /// Which class, by its name (which comes first) or its number, or "none"; without it each in turn.
    #[arg(long, allow_negative_numbers = true)]
    class: Option<String>,
    /// Guidance w, -20 to 20, in eps = eps_none + w (eps_class - eps_none); 1, the usual, is off and costs one evaluation per step.
    #[arg(long, allow_negative_numbers = true)]
    guidance: Option<f64>,
    /// Decides all noise.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// Where to compute: auto, gpu or cpu.
    #[arg(long, default_value = "auto")]
    engine: Choice,
    /// Safetensors file to start from.
    #[arg(long)]
    init: Option<PathBuf>,
    /// Safetensors file to write every step to.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Safetensors file to write the images to.
    #[arg(long)]
    raw: Option<PathBuf>,
    /// PNG to write the images to, as a grid.
    #[arg(long, required_unless_present_any = ["raw", "trace"])]
    out: Option<PathBuf>,
}

/// `--clip`.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Clip {
    /// Clipped.
    On,
    /// As predicted.
    Off,
}

/// `--variance`.
#[derive(Clone, Copy, clap::ValueEnum)]
enum VarianceName {
    /// The posterior's.
    Small,
    /// The forward step's.
    Large,
}

/// Reads a value by its name in diffusers' files.
fn named<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl clap::builder::TypedValueParser<Value = T> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(all.iter().map(|&value| name(value)))
        .try_map(move |text| all.iter().copied().find(|&value| name(value) == text).ok_or("not one of the names"))
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), Failure> {
    let mut checkpoint = weights::open(&args.weights)?;
    let start = match &args.init {
        Some(path) => {
            let file = checkpoint::read_tensors(path)?;
            Start::read(&file, &checkpoint.config, &args).map_err(|error| in_file(path, error))?
        }
        None => Start::from_seed(&checkpoint.config, &args)?,
    };
    // The network takes any size that its blocks can halve; --init decides.
    checkpoint.config.sample_size = [start.shape.h(), start.shape.w()];
    let settings = settings::settings(&args, &checkpoint, &start)?;
    let is_guidable = checkpoint.config.null_class.is_some();
    check_outputs(&args, &checkpoint.config)?;
    let engine = open_engine(args.engine)?;
    let mut session = Session::new(engine, checkpoint)?;
    session.start(&settings, start.noise)?;
    say!("{}", settings::describe(&settings, is_guidable));
    settings::remarks(&args, &settings, session.schedule())?.iter().for_each(|remark| say!("{remark}"));
    let trace = drive(&mut session, args.trace.is_some())?;
    let x = session.x().unwrap_or_default();
    write(&args, start.shape, x, trace)
}

/// What a run starts from.
struct Start {
    /// NHWC.
    shape: Shape,
    classes: Vec<Option<usize>>,
    noise: Noise,
    /// Steps that noise is given for.
    steps: Option<usize>,
}

impl Start {
    fn from_seed(config: &UnetConfig, args: &Args) -> Result<Self, Failure> {
        let shape = config.image_shape().with_n(args.count.unwrap_or(16) as usize);
        let classes = classes(config, args.class.as_deref(), shape.n())?;
        Ok(Self { shape, classes, noise: Noise::Seed(args.seed), steps: None })
    }

    fn read(file: &TensorFile, config: &UnetConfig, args: &Args) -> Result<Self, Failure> {
        let (shape, x) = images(file, "x_T", config)?;
        if let Some(count) = args.count.filter(|&count| count != shape.n() as u64) {
            return Err(format!("x_T has {}, but --count is {count}", counted(shape.n(), "image")).into());
        }
        let classes = if file.tensors.contains_key("class_labels") {
            if args.class.is_some() {
                return Err("there are class_labels, so --class cannot be given too".into());
            }
            let labels = labels(file, shape.n(), config)?;
            labels.into_iter().map(|label| Some(label).filter(|_| config.null_class != Some(label))).collect()
        } else {
            classes(config, args.class.as_deref(), shape.n())?
        };
        let steps = if file.tensors.contains_key("noise") { Some(step_noise(file, shape)?) } else { None };
        let count = steps.as_ref().map(Vec::len);
        Ok(Self { shape, classes, noise: Noise::Given { x, steps, seed: args.seed }, steps: count })
    }
}

/// `noise` `[steps, N, C, H, W]` as one NHWC value per step.
fn step_noise(file: &TensorFile, shape: Shape) -> Result<Vec<Vec<f32>>, Failure> {
    let (found, values) = file.f32("noise", 5)?;
    let expected = [shape.n(), shape.c(), shape.h(), shape.w()];
    if found[1..] != expected || found[0] == 0 {
        return Err(format!("noise is {found:?}, expected {expected:?} for each step").into());
    }
    Ok(values.chunks_exact(shape.len()).map(|step| nchw_to_nhwc(step, shape)).collect())
}

/// Finds out before the work whether its results can be written.
fn check_outputs(args: &Args, config: &UnetConfig) -> Result<(), Failure> {
    if args.out.is_some() && !grid::is_drawable(config.channels) {
        let channels = config.channels;
        return Err(format!("a PNG holds images of 1 or 3 channels, the model's have {channels}: use --raw").into());
    }
    if let Some(path) = &args.out
        && path.extension().is_some_and(|end| !end.eq_ignore_ascii_case("png"))
    {
        return Err(format!("--out is {}, expected a name that ends in .png", path.display()).into());
    }
    let paths: Vec<&PathBuf> = [&args.out, &args.raw, &args.trace].into_iter().flatten().collect();
    let inputs: Vec<&Path> = args.init.iter().chain([&args.weights]).map(PathBuf::as_path).collect();
    let mut places = Vec::new();
    for path in paths {
        check_output(&inputs, path)?;
        // One file goes by many paths.
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let place = (std::fs::canonicalize(dir)?, path.file_name());
        if places.contains(&place) {
            let text = "expected --out, --raw and --trace to be different files";
            return Err(format!("two results would go to {}: {text}", path.display()).into());
        }
        places.push(place);
    }
    Ok(())
}

/// Every step's timestep and state.
type Trace = Vec<(usize, Vec<f32>)>;

fn drive(session: &mut Session, keep: bool) -> Result<Trace, Failure> {
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template("{bar:32} {pos}/{len} steps, {eta} left")?);
    let started = Instant::now();
    let mut trace = Trace::new();
    let mut steps = 0;
    while let Some(frame) = pollster::block_on(session.step())? {
        steps = frame.steps;
        bar.set_length(frame.steps as u64);
        bar.set_position(frame.step as u64);
        if keep {
            trace.push((frame.timestep, frame.x));
        }
    }
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let each = 1e3 * seconds / steps.max(1) as f64;
    say!("{} in {seconds:.1} s, {each:.1} ms each", counted(steps, "step"));
    Ok(trace)
}

fn write(args: &Args, shape: Shape, x: &[f32], trace: Trace) -> Result<(), Failure> {
    let extents = [shape.n(), shape.c(), shape.h(), shape.w()];
    if let Some(path) = &args.trace {
        let mut file = TensorFile::new();
        let steps = trace.len();
        file.insert_i64("timesteps", &[steps], trace.iter().map(|(timestep, _)| *timestep as i64).collect());
        let states = trace.iter().flat_map(|(_, x)| nhwc_to_nchw(x, shape)).collect();
        file.insert_f32("x", &[&[steps], &extents[..]].concat(), states);
        checkpoint::write_tensors(path, &file)?;
    }
    if let Some(path) = &args.raw {
        let mut file = TensorFile::new();
        // Without clipping a few values may lie beyond a pixel's range.
        let images = nhwc_to_nchw(x, shape).into_iter().map(|value| value.clamp(-1.0, 1.0)).collect();
        file.insert_f32("images", &extents, images);
        checkpoint::write_tensors(path, &file)?;
    }
    if let Some(path) = &args.out {
        write_file(path, grid::png(x, shape)?)?;
    }
    for path in [&args.trace, &args.raw, &args.out].into_iter().flatten() {
        say!("saved {}", path.display());
    }
    Ok(())
}
