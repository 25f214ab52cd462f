//! `bench`: what this machine makes of a network, as a share of what it can multiply.

use super::{Failure, open_engine, print, weights};
use crate::checkpoint::{Checkpoint, SchedulerConfig, store_parameters};
use crate::engine::{Choice, Cost, Engine, Program, Weights};
use crate::graph::{Graph, NodeKind};
use crate::model::config::UnetConfig;
use crate::model::init::initialise;
use crate::model::step::{Objective, prediction};
use crate::playground::Predictor;
use crate::rng::Rng;
use crate::selftest::{Work, median};
use crate::tensor::Shape;
use crate::train::optimizer::training_step;
use crate::train::{TrainOptions, Trainer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Batches of the cases.
const PREDICT: [usize; 3] = [1, 16, 64];
const TRAIN: [usize; 2] = [16, 64];
/// Fewest timed runs of a case.
const MIN_RUNS: usize = 3;

/// Time a network's prediction and its training step on this machine.
///
/// Weights are random; time does not depend on them. GFLOP/s count two operations for each multiplication that the
/// convolutions and attention ask for, and stand beside the best that a matrix product reaches on the CPU in the same run
/// (the gemm crate, f32, all threads), or on a GPU the convolution kernel with a single tap. Machines are noisy: compare
/// ratios within one run. There follows where the time goes, kernel by kernel; on a GPU each is then waited for, which costs
/// more than it does in a run. Bytes are those of all inputs and outputs, each read or written once.
///
/// Example: noisette bench --engine cpu --work predict --batch 1
#[derive(clap::Args)]
pub struct Args {
    /// Where to compute: auto, gpu or cpu.
    #[arg(long, default_value = "auto")]
    engine: Choice,
    /// The net, as diffusers' config.json (UNet2DModel), or the folder of a model with it; without it that of weights/digits.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Only this work: predict or train.
    #[arg(long, value_parser = ["predict", "train"])]
    work: Option<String>,
    /// Only this many images at once, instead of 1, 16 and 64 to predict and 16 and 64 to train.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Seconds to spend on each case, at least; a case is run three times or more.
    #[arg(long, default_value_t = 3.0, allow_negative_numbers = true)]
    seconds: f64,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), Failure> {
    if !(0.0..=3600.0).contains(&args.seconds) {
        return Err(format!("--seconds is {}, expected 0 to 3600", args.seconds).into());
    }
    let config = match &args.config {
        Some(path) => weights::net(path)?,
        None => UnetConfig::digits(),
    };
    let bench = Bench::new(config, open_engine(args.engine)?, Duration::from_secs_f64(args.seconds))?;
    let description = bench.engine.describe();
    let before = peak_gflops(&bench.engine, bench.time)?;
    let mut cases = Vec::new();
    let wanted = |work: Work| args.work.as_deref().is_none_or(|only| only == work.name());
    let batches = |all: &[usize]| args.batch.map_or_else(|| all.to_vec(), |batch| vec![batch.into()]);
    for batch in batches(&PREDICT).into_iter().filter(|_| wanted(Work::Predict)) {
        cases.push(bench.predict(batch)?);
    }
    for batch in batches(&TRAIN).into_iter().filter(|_| wanted(Work::Train)) {
        cases.push(bench.train(batch)?);
    }
    // Machines change their pace: the best of both ends of the run.
    let peak = before.max(peak_gflops(&bench.engine, bench.time)?);
    if args.json {
        let report = json!({
            "engine": description.engine,
            "adapter": description.adapter,
            "threads": rayon::current_num_threads(),
            "peak_gflops": peak,
            "cases": cases.iter().map(Case::json).collect::<Vec<_>>(),
        });
        return print(&format!("{report:#}\n"));
    }
    let place = match bench.engine {
        Engine::Cpu(_) => match rayon::current_num_threads() {
            1 => "1 thread".to_owned(),
            threads => format!("{threads} threads"),
        },
        Engine::Gpu(_) => description.adapter.clone(),
    };
    let mut text = format!("best matrix product: {peak:.1} GFLOP/s on {place}\n\n");
    text += "work     batch         ms   images/s  GFLOP/s  of best  dispatches  peak MiB  live MiB\n";
    cases.iter().for_each(|case| text += &case.row(peak));
    cases.iter().for_each(|case| text += &case.table());
    print(&text)
}

/// A network to measure.
struct Bench {
    checkpoint: Checkpoint,
    engine: Engine,
    weights: Weights,
    image: Shape,
    time: Duration,
}

/// The measurement of one kind of work at one batch size.
struct Case {
    work: Work,
    batch: usize,
    /// Median.
    ms: f64,
    multiply_adds: usize,
    cost: Cost,
    /// What each kernel took in one run, the costliest first.
    kernels: Vec<Kernel>,
}

/// What a kernel took in one run, and what it had to do.
#[derive(Clone, Copy, Default)]
struct Kernel {
    name: &'static str,
    runs: usize,
    ms: f64,
    multiply_adds: usize,
    bytes: usize,
}

impl Kernel {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "runs": self.runs,
            "ms": self.ms,
            "gflops": self.gflops(),
            "bytes": self.bytes,
        })
    }

    /// Nothing for a kernel that does not count multiplications.
    fn gflops(&self) -> Option<f64> {
        (self.multiply_adds > 0).then(|| 2.0 * self.multiply_adds as f64 / (self.ms * 1e6))
    }
}

/// The work of each kernel of a graph.
fn kernels_of(graph: &Graph) -> BTreeMap<&'static str, Kernel> {
    let mut kernels: BTreeMap<_, Kernel> = BTreeMap::new();
    for (node, _) in graph.nodes().iter().zip(graph.live()).filter(|(_, live)| *live) {
        let NodeKind::Op { op, inputs } = &node.kind else { continue };
        let shapes: Vec<Shape> = inputs.iter().map(|&id| graph.shape(id)).collect();
        let kernel = kernels.entry(op.name()).or_default();
        kernel.name = op.name();
        kernel.runs += 1;
        kernel.multiply_adds += op.multiply_adds(&shapes, node.shape);
        kernel.bytes += shapes.iter().chain([&node.shape]).map(|shape| shape.len() * size_of::<f32>()).sum::<usize>();
    }
    kernels
}

impl Bench {
    fn new(config: UnetConfig, engine: Engine, time: Duration) -> Result<Self, Failure> {
        let image = config.image_shape();
        let graph = prediction(&config, image);
        let (parameters, values) = (graph.parameters(), initialise(&graph, 0));
        let weights = engine.load(&parameters, &values)?;
        let tensors = store_parameters(&parameters, &values);
        let checkpoint =
            Checkpoint { config, scheduler: SchedulerConfig::default(), assumed_scheduler: false, tensors };
        Ok(Self { checkpoint, engine, weights, image, time })
    }

    fn predict(&self, batch: usize) -> Result<Case, Failure> {
        let shape = self.image.with_n(batch);
        let graph = prediction(&self.checkpoint.config, shape);
        let x = Rng::new(1).normals(shape.len());
        let (timesteps, labels) = (vec![500; batch], vec![0; batch]);
        let mut predictor = Predictor::new(&self.engine, &self.checkpoint.config, &self.weights, self.image, batch)?;
        let ms = self.median(|| Ok(pollster::block_on(predictor.predict(&x, &timesteps, &labels)).map(drop)?))?;

        let program = predictor.program();
        let cost = program.cost();
        let kernels = kernels(&graph, program)?;
        Ok(Case { work: Work::Predict, batch, ms, multiply_adds: graph.multiply_adds(), cost, kernels })
    }

    fn train(&self, batch: usize) -> Result<Case, Failure> {
        let config = &self.checkpoint.config;
        let shape = self.image.with_n(batch);
        let graph = training_step(config, shape, Objective::default());
        let x_0: Vec<f32> = Rng::new(2).normals(shape.len()).into_iter().map(|x| x.clamp(-1.0, 1.0)).collect();
        let labels = vec![0; batch];
        let weights = self.checkpoint.load_parameters(&graph.parameters())?;
        let schedule = self.checkpoint.scheduler.schedule()?;
        let prediction = self.checkpoint.scheduler.prediction_type;
        // However fast the steps are, the rate does not fall to zero.
        let options = TrainOptions { batch, steps: u64::MAX, ..TrainOptions::default() };
        let mut trainer = Trainer::new(&self.engine, config, schedule, prediction, options, &weights)?;
        let ms = self.median(|| Ok(pollster::block_on(trainer.step(&x_0, &labels)).map(drop)?))?;
        let cost = trainer.cost();
        drop(trainer);

        let mut program = self.engine.compile(&graph)?;
        for (spec, values) in graph.parameters().iter().zip(&weights) {
            program.write(&spec.name, values)?;
        }
        program.write("x_0", &x_0)?;
        let kernels = kernels(&graph, &mut program)?;
        Ok(Case { work: Work::Train, batch, ms, multiply_adds: graph.multiply_adds(), cost, kernels })
    }

    /// The median time of `work` in milliseconds, after one run that does not count.
    fn median(&self, mut work: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
        work()?;
        let started = Instant::now();
        let mut times = Vec::new();
        while times.len() < MIN_RUNS || started.elapsed() < self.time {
            let begun = Instant::now();
            work()?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(median(&mut times))
    }
}

/// The time of each kernel of a program, averaged over a few runs after one that does not count.
fn kernels(graph: &Graph, program: &mut Program) -> Result<Vec<Kernel>, Failure> {
    let mut kernels = kernels_of(graph);
    program.run()?;
    for _ in 0..MIN_RUNS {
        let mut last = Instant::now();
        program.run_with(|name| {
            let now = Instant::now();
            let kernel = kernels.entry(name).or_insert_with(|| Kernel { name, ..Kernel::default() });
            kernel.ms += (now - last).as_secs_f64() * 1e3 / MIN_RUNS as f64;
            last = now;
        })?;
    }
    let mut kernels: Vec<Kernel> = kernels.into_values().collect();
    kernels.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    Ok(kernels)
}

impl Case {
    fn images_per_s(&self) -> f64 {
        1e3 * self.batch as f64 / self.ms
    }

    fn gflops(&self) -> f64 {
        2.0 * self.multiply_adds as f64 / (self.ms * 1e6)
    }

    fn json(&self) -> Value {
        json!({
            "work": self.work,
            "batch": self.batch,
            "ms": self.ms,
            "images_per_s": self.images_per_s(),
            "gflops": self.gflops(),
            "dispatches": self.cost.dispatches,
            "peak_bytes": self.cost.peak_bytes,
            "live_bytes": self.cost.live_bytes,
            "kernels": self.kernels.iter().map(Kernel::json).collect::<Vec<_>>(),
        })
    }

    fn row(&self, peak: f64) -> String {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        format!(
            "{:<8} {:>5} {:>10.2} {:>10.1} {:>8.1} {:>7.0}% {:>11} {:>9.1} {:>9.1}\n",
            self.work.name(),
            self.batch,
            self.ms,
            self.images_per_s(),
            self.gflops(),
            100.0 * self.gflops() / peak,
            self.cost.dispatches,
            mib(self.cost.peak_bytes),
            mib(self.cost.live_bytes),
        )
    }

    fn table(&self) -> String {
        let total: f64 = self.kernels.iter().map(|kernel| kernel.ms).sum();
        let title = format!("{} {}, kernel by kernel", self.work.name(), self.batch);
        let mut text = format!("\n{title:<28} runs         ms  GFLOP/s      MiB   share\n");
        for kernel in &self.kernels {
            let Kernel { name, runs, ms, bytes, .. } = kernel;
            let gflops = kernel.gflops().map_or("-".to_owned(), |gflops| format!("{gflops:.1}"));
            let mib = *bytes as f64 / f64::from(1 << 20);
            text += &format!("{name:<28} {runs:>4} {ms:>10.3} {gflops:>8} {mib:>8.1} {:>6.1}%\n", 100.0 * ms / total);
        }
        text
    }
}

/// The best GFLOP/s of matrix products m×k by k×n of several shapes.
fn peak_gflops(engine: &Engine, time: Duration) -> Result<f64, Failure> {
    let shapes = [(512, 512, 512), (1024, 1024, 1024), (128, 256, 1152), (64, 4096, 576)];
    let each = time / shapes.len() as u32;
    let mut best = 0.0;
    for shape in shapes {
        let found = match engine {
            Engine::Cpu(_) => product_gflops(shape, each),
            Engine::Gpu(_) => product_on_gpu(engine, shape, each)?,
        };
        best = f64::max(best, found);
    }
    Ok(best)
}

/// A matrix product on a GPU: a convolution whose kernel has one tap.
fn product_on_gpu(engine: &Engine, (m, n, k): (usize, usize, usize), time: Duration) -> Result<f64, Failure> {
    let mut graph = Graph::new();
    let (a, b) = (graph.input("a", Shape::new(1, 1, m, k)), graph.input("b", Shape::new(1, 1, k, n)));
    let zero = graph.constant(0.0, Shape::vector(n));
    let c = graph.conv2d(a, b, zero, 1, (0, 0));
    graph.output("c", c);
    let mut program = engine.compile(&graph)?;
    let mut rng = Rng::new(3);
    program.write("a", &rng.normals(m * k))?;
    program.write("b", &rng.normals(k * n))?;
    program.run_with(|_| {})?;
    let (mut best, mut runs) = (0.0, 0);
    let started = Instant::now();
    while runs < MIN_RUNS || started.elapsed() < time {
        let begun = Instant::now();
        program.run_with(|_| {})?;
        best = f64::max(best, 2.0 * (m * n * k) as f64 / begun.elapsed().as_secs_f64() / 1e9);
        runs += 1;
    }
    Ok(best)
}

fn product_gflops((m, n, k): (usize, usize, usize), time: Duration) -> f64 {
    let mut rng = Rng::new(3);
    let (a, b) = (rng.normals(m * k), rng.normals(k * n));
    let mut c = vec![0.0f32; m * n];
    let mut best = 0.0;
    for parallelism in [gemm::Parallelism::None, gemm::Parallelism::Rayon(0)] {
        let started = Instant::now();
        let mut runs = 0;
        while runs < MIN_RUNS || started.elapsed() < time / 2 {
            let begun = Instant::now();
            // SAFETY: row-major matrices: element (i, j) of one with q columns is at i·q + j, and a, b and c hold m·k, k·n
            // and m·n values; c is borrowed mutably and overlaps neither.
            unsafe {
                gemm::gemm(
                    m,
                    n,
                    k,
                    c.as_mut_ptr(),
                    1,
                    n as isize,
                    false,
                    a.as_ptr(),
                    1,
                    k as isize,
                    b.as_ptr(),
                    1,
                    n as isize,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    parallelism,
                );
            }
            best = f64::max(best, 2.0 * (m * n * k) as f64 / begun.elapsed().as_secs_f64() / 1e9);
            runs += 1;
        }
    }
    // A product nobody looks at might not be computed.
    std::hint::black_box(&c);
    best
}
