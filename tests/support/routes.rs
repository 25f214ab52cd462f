//! The goldens, and every route by which their numbers can be had: one row here is compared on all of them.
//!
//! A browser shares none of this code, for it has neither files nor processes: `tests/web.rs` carries its goldens along, and the
//! page itself, which Playwright drives in JavaScript (`tests/page/`), shows no numbers that PyTorch has written down.

use super::compare;
use super::golden::{self, NETS, engine, images, integers, largest, relative, series};
use noisette::checkpoint::{self, TensorFile};
use noisette::diffusion::{Convention, SamplerConfig, SamplerKind, Spacing};
use noisette::engine::Program;
use noisette::graph::Graph;
use noisette::model::step::{Objective, prediction};
use noisette::model::unet::sinusoid;
use noisette::playground::{Noise, Session, Settings, sampler_config};
use noisette::tensor::Shape;
use noisette::train::optimizer::gradients;
use pollster::block_on;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// How a golden's numbers are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The library on the CPU engine.
    Cpu,
    /// The same, where a run's images go through the network one by one.
    OneByOne,
    /// The library on the GPU engine.
    Gpu,
    /// The program with `--engine` this.
    CommandLine(&'static str),
}

impl Route {
    fn engine(self) -> &'static str {
        match self {
            Self::Cpu | Self::OneByOne => "cpu",
            Self::Gpu => "gpu",
            Self::CommandLine(engine) => engine,
        }
    }

    /// What a command of the program writes.
    fn command(self, command: &str, arguments: &str, output: &str) -> TensorFile {
        let folder = tempfile::tempdir().expect("a folder");
        let (out, engine) = (folder.path().join("out.safetensors"), self.engine());
        let line = format!("{command} {arguments} --engine {engine} {output} {}", out.display());
        let done = Command::new(env!("CARGO_BIN_EXE_noisette")).args(line.split_whitespace()).output();
        let done = done.expect("the program starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "noisette {line}\n{said}");
        assert!(said.contains(&format!("engine: {engine} (")), "noisette {line}\n{said}");
        checkpoint::read_tensors(out).expect("what the program wrote")
    }
}

/// The golden networks, none of which is left out.
fn nets() -> [&'static str; 2] {
    let mut found = entries(&golden::dir("."));
    found.retain(|name| golden::dir(name).join("predict.safetensors").exists());
    let mut rows = NETS;
    rows.sort_unstable();
    assert_eq!(found, rows, "the golden networks");
    NETS
}

/// The names in a folder, in order.
fn entries(dir: &Path) -> Vec<String> {
    let entries =
        std::fs::read_dir(dir).expect("a folder of goldens").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().expect("a plain name")).collect();
    names.sort_unstable();
    names
}

/// A program with a golden network's weights, the timesteps' sinusoid and, for a class model, the labels of a golden file.
fn compile(route: Route, net: &str, graph: &Graph, file: &TensorFile) -> Program {
    let (model, specs) = (golden::checkpoint(net), graph.parameters());
    let weights = model.load_parameters(&specs).expect("the golden weights fit");
    let mut program = engine(route.engine()).compile(graph).expect("the graph compiles");
    for (spec, values) in specs.iter().zip(&weights) {
        write(&mut program, &spec.name, values);
    }
    let numbers = |name: &str| integers(file, name).iter().map(|&value| value as f32).collect::<Vec<_>>();
    write(&mut program, "sinusoid", &sinusoid(&model.config, &numbers("timestep")));
    let labels = numbers("class_labels");
    assert_eq!(labels.is_empty(), model.config.num_class_embeds.is_none());
    if !labels.is_empty() {
        write(&mut program, "class_labels", &labels);
    }
    program
}

fn write(program: &mut Program, leaf: &str, values: &[f32]) {
    program.write(leaf, values).unwrap_or_else(|error| panic!("{leaf}: {error}"));
}

fn read(program: &mut Program, name: &str) -> Vec<f32> {
    block_on(program.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// PyTorch's ε of each network.
pub fn predictions(route: Route) {
    for net in nets() {
        let file = golden::tensors(net, "predict.safetensors");
        let (shape, expected) = images(&file, "eps");
        let found = match route {
            Route::CommandLine(_) => {
                let (weights, input) = (golden::dir(net), golden::dir(net).join("predict.safetensors"));
                let arguments = format!("--weights {} --input {}", weights.display(), input.display());
                let found = route.command("predict", &arguments, "--out");
                assert_eq!(found.tensors.len(), 1, "{route:?}, {net}");
                let (found_shape, eps) = images(&found, "eps");
                assert_eq!(found_shape, shape, "{route:?}, {net}");
                eps
            }
            _ => {
                let graph = prediction(&golden::checkpoint(net).config, shape);
                let mut program = compile(route, net, &graph, &file);
                write(&mut program, "sample", &images(&file, "sample").1);
                program.run().expect("it runs");
                read(&mut program, "eps")
            }
        };
        let error = largest(&found, &expected);
        assert!(error <= 1e-4, "{route:?}, {net}: the prediction is off by {error:.1e}");
    }
}

/// PyTorch's loss and gradients of each network.
pub fn losses_and_gradients(route: Route) {
    for net in nets() {
        let file = golden::tensors(net, "gradients.safetensors");
        let (loss, found) = match route {
            Route::CommandLine(_) => {
                let (weights, input) = (golden::dir(net), golden::dir(net).join("gradients.safetensors"));
                let arguments = format!("--weights {} --input {}", weights.display(), input.display());
                let found = route.command("gradients", &arguments, "--out");
                let of = |name: &String, extents: &[usize]| {
                    let (shape, values) = found.f32(name, extents.len()).unwrap_or_else(|error| panic!("{error}"));
                    (name.clone(), (shape.to_vec(), values.to_vec()))
                };
                let parameters = golden::checkpoint(net).tensors;
                assert_eq!(found.tensors.len(), parameters.len() + 1, "{route:?}, {net}");
                let gradients = parameters.iter().map(|(name, (shape, _))| of(name, shape)).collect();
                (found.f32("loss", 1).expect("a loss").1.to_vec(), gradients)
            }
            _ => gradients_of(route, net, &file),
        };
        let error = relative(&loss, file.f32("loss", 1).expect("a loss").1);
        assert!(error <= 1e-5, "{route:?}, {net}: the loss is off by {error:.1e}");
        assert_eq!(found.len(), file.tensors.keys().filter(|name| name.starts_with("grad.")).count());
        assert!(!found.is_empty());
        for (parameter, (shape, gradient)) in found {
            let (expected_shape, expected) =
                file.f32(&format!("grad.{parameter}"), shape.len()).expect("PyTorch has this gradient");
            assert_eq!(shape, expected_shape, "{route:?}, {net}: {parameter}");
            if parameter.ends_with("to_k.bias") {
                // Zero but for rounding: every row of the softmax ignores what is added to all of its logits.
                assert!(gradient.iter().all(|g| g.abs() <= 1e-5), "{route:?}, {net}: {parameter} has a gradient");
                continue;
            }
            let error = relative(&gradient, expected);
            assert!(error <= 1e-3, "{route:?}, {net}: the gradient of {parameter} is off by {error:.1e}");
        }
    }
}

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn gradients_of(route: Route, net: &str, file: &TensorFile) -> (Vec<f32>, Tensors) {
    let model = golden::checkpoint(net);
    let (shape, x_0) = images(file, "sample");
    let graph = gradients(&model.config, shape, Objective::default());
    let mut program = compile(route, net, &graph, file);
    let schedule = model.scheduler.schedule().expect("a schedule");
    let pair = |t: usize| [schedule.sqrt_alpha_bar(t) as f32, schedule.sqrt_one_minus_alpha_bar(t) as f32];
    let coefficients: Vec<f32> = integers(file, "timestep").into_iter().flat_map(pair).collect();
    write(&mut program, "x_0", &x_0);
    write(&mut program, "noise", &images(file, "noise").1);
    write(&mut program, "noise_coefficients", &coefficients);
    program.run().expect("it runs");
    let specs = graph.parameters();
    let found: Vec<_> = specs.iter().map(|spec| read(&mut program, &format!("grad.{}", spec.name))).collect();
    (read(&mut program, "loss"), checkpoint::store_parameters(&specs, &found).into_iter().collect())
}

/// diffusers' whole runs: network, file, rule, η.
const RUNS: [(&str, &str, SamplerKind, f64); 5] = [
    ("rgb", "sample_ddpm.safetensors", SamplerKind::Ddpm, 0.0),
    ("rgb", "sample_ddim.safetensors", SamplerKind::Ddim, 0.0),
    ("grey", "sample_ddpm.safetensors", SamplerKind::Ddpm, 0.0),
    ("grey", "sample_ddim.safetensors", SamplerKind::Ddim, 0.0),
    ("grey", "sample_guided.safetensors", SamplerKind::Ddim, 0.5),
];

/// A golden run: what is asked for, and the states it leads through.
struct Run {
    net: &'static str,
    settings: Settings,
    /// The file with x_T, the noise of every step and the labels; or the seed of all noise, and the class of all images.
    start: Result<String, (u64, usize)>,
    /// Of all images, NHWC.
    shape: Shape,
    states: Vec<Vec<f32>>,
}

impl Run {
    fn noise(&self, x: Option<&[f32]>) -> Noise {
        match &self.start {
            Ok(file) => {
                let file = golden::tensors(self.net, file);
                let x = x.map_or_else(|| images(&file, "x_T").1, <[f32]>::to_vec);
                Noise::Given { x, steps: Some(series(&file, "noise").1), seed: 0 }
            }
            Err((seed, _)) => Noise::Seed(*seed),
        }
    }

    fn session(&self, route: Route) -> Session {
        let mut model = golden::checkpoint(self.net);
        model.config.sample_size = [self.shape.h(), self.shape.w()];
        let mut session = Session::new(engine(route.engine()), model).expect("a session");
        if route == Route::OneByOne {
            session.set_images_at_once(1);
        }
        session
    }

    /// Timesteps and states by a route.
    fn follow(&self, route: Route) -> (Vec<usize>, Vec<Vec<f32>>) {
        if let Route::CommandLine(_) = route {
            let found = route.command("sample", &self.arguments(), "--trace");
            assert_eq!(found.tensors.keys().collect::<Vec<_>>(), ["timesteps", "x"]);
            let (shape, states) = series(&found, "x");
            assert_eq!(shape, self.shape);
            return (integers(&found, "timesteps"), states);
        }
        let mut session = self.session(route);
        session.start(&self.settings, self.noise(None)).expect("a run");
        let (mut timesteps, mut states) = (Vec::new(), Vec::new());
        while let Some(frame) = block_on(session.step()).expect("a step") {
            if let Some(clip) = self.settings.sampler.clip {
                assert!(frame.x0.iter().all(|v| f64::from(v.abs()) <= clip), "x̂_0 is clipped");
            }
            timesteps.push(frame.timestep);
            states.push(frame.x);
        }
        (timesteps, states)
    }

    fn arguments(&self) -> String {
        let SamplerConfig { kind, steps, spacing, convention, eta, .. } = &self.settings.sampler;
        let start = match &self.start {
            Ok(file) => format!("--init {}", golden::dir(self.net).join(file).display()),
            Err((seed, class)) => format!("--seed {seed} --class {class} --count {}", self.shape.n()),
        };
        let eta = if *kind == SamplerKind::Ddim { format!("--eta {eta}") } else { String::new() };
        let (kind, spacing, convention) = (kind.name(), spacing.name(), convention.name());
        format!(
            "--weights {} {start} --sampler {kind} --steps {steps} --spacing {spacing} --as {convention} {eta} --guidance {}",
            golden::dir(self.net).display(),
            self.settings.guidance
        )
    }
}

/// diffusers' whole runs through the networks, with diffusers' noise.
///
/// From x_T on, these untrained networks amplify a rounding error of ε (1e-6) by 1/√ᾱ and more, here and in PyTorch alike.
/// So where a run can be begun at any step, each step is compared from diffusers' own previous state, and the whole run with
/// room for that.
pub fn runs(route: Route) {
    for net in nets() {
        let mut found = entries(&golden::dir(net));
        found.retain(|name| name.starts_with("sample_"));
        let mut rows: Vec<&str> = RUNS.iter().filter(|row| row.0 == net).map(|row| row.1).collect();
        rows.sort_unstable();
        assert!(found == rows && !rows.is_empty(), "the runs of {net}: {found:?}");
    }
    for (net, name, kind, eta) in RUNS {
        let what = format!("{route:?}, {net}, {name}");
        let file = golden::tensors(net, name);
        let (shape, states) = series(&file, "x");
        let labels = integers(&file, "class_labels");
        let settings = Settings {
            classes: (0..shape.n()).map(|i| labels.get(i).copied()).collect(),
            guidance: file.f32("guidance", 1).map_or(1.0, |(_, values)| f64::from(values[0])),
            sampler: sampler_config(&golden::checkpoint(net).scheduler, kind, states.len(), eta),
        };
        let run = Run { net, settings, start: Ok(name.to_owned()), shape, states };
        let (timesteps, states) = run.follow(route);
        assert_eq!(timesteps, integers(&file, "timesteps"), "{what}");
        assert!(states.len() == run.states.len() && !states.is_empty(), "{what}");
        for (step, (state, expected)) in states.iter().zip(&run.states).enumerate() {
            let error = largest(state, expected);
            assert!(error <= 3e-4, "{what}: after {} steps x is off by {error:.1e}", step + 1);
            if matches!(route, Route::Cpu | Route::OneByOne) {
                let wide: Vec<f64> = expected.iter().map(|&v| f64::from(v)).collect();
                compare::close(state, &wide, 2e-4).unwrap_or_else(|why| panic!("{what}, step {}: {why}", step + 1));
            }
        }
        if let Route::CommandLine(_) = route {
            continue;
        }
        let mut session = run.session(route);
        for (step, expected) in run.states.iter().enumerate() {
            let before = step.checked_sub(1).map(|before| run.states[before].as_slice());
            session.start_after(&run.settings, run.noise(before), step).expect("a run");
            let frame = block_on(session.step()).expect("a step").expect("a step is left");
            let error = largest(&frame.x, expected);
            assert!(error <= 1e-5, "{what}: step {} is off by {error:.1e}", frame.step);
        }
    }
}

/// diffusers' runs of a distilled model, which the program follows with no flag, or with another number of steps that the model
/// names.
pub fn students(route: Route) {
    let model = golden::checkpoint("fast");
    let suggested = &model.scheduler.suggested;
    assert_eq!((suggested.steps, suggested.valid_steps.as_slice()), (Some(4), [2, 4].as_slice()));
    let mut found = entries(&golden::dir("fast"));
    found.retain(|name| name.starts_with("sample_"));
    assert_eq!(found, ["sample_2.safetensors", "sample_4.safetensors"], "a run for each number of steps");
    for steps in [4, 2] {
        let name = format!("sample_{steps}.safetensors");
        let file = golden::tensors("fast", &name);
        let (shape, expected) = series(&file, "x");
        let (timesteps, states) = if let Route::CommandLine(_) = route {
            let folder = golden::dir("fast");
            let (weights, init) = (folder.display(), folder.join(&name));
            let flag = if steps == 4 { "" } else { "--steps 2" };
            let arguments = format!("--weights {weights} --init {} {flag}", init.display());
            let found = route.command("sample", &arguments, "--trace");
            (integers(&found, "timesteps"), series(&found, "x").1)
        } else {
            let sampler = SamplerConfig { steps, ..suggested.over(model.scheduler.sampler(4)) };
            let classes = integers(&file, "class_labels").into_iter().map(Some).collect();
            let guidance = suggested.guidance_to_sample().expect("a scale");
            let settings = Settings { classes, guidance, sampler };
            Run { net: "fast", settings, start: Ok(name.clone()), shape, states: expected.clone() }.follow(route)
        };
        assert_eq!(timesteps, integers(&file, "timesteps"), "{route:?}, {name}");
        assert_eq!(states.len(), steps, "{route:?}, {name}");
        for (step, (x, expected)) in states.iter().zip(&expected).enumerate() {
            let error = largest(x, expected);
            assert!(error <= 3e-4, "{route:?}, {name}: after {} steps x is off by {error:.1e}", step + 1);
        }
    }
}

/// Steps, images and class of the traces, and the seed of their noise.
const TRACES: (usize, usize, usize, u64) = (6, 2, 3, 5);

/// Every sampler's whole run from fixed noise, against what it was when walks replaced the samplers before them. A trace's
/// name says what it is of, so a new one needs no row at all.
pub fn traces(route: Route) {
    let file = checkpoint::read_tensors(golden::dir("traces.safetensors")).expect("the golden traces");
    assert_eq!(file.tensors.len(), 28);
    let (steps, count, class, seed) = TRACES;
    let model = golden::checkpoint("grey");
    for name in file.tensors.keys() {
        let parts: Vec<&str> = name.split('.').collect();
        let &[sampler, spacing, convention, guidance] = parts.as_slice() else { panic!("{name}") };
        let (sampler, eta) = sampler.strip_suffix("-eta1").map_or((sampler, 0.0), |sampler| (sampler, 1.0));
        let kind = SamplerKind::from_name(sampler).expect("a sampler");
        let sampler = SamplerConfig {
            spacing: Spacing::from_name(spacing).expect("a spacing"),
            convention: Convention::from_name(convention).expect("a convention"),
            ..sampler_config(&model.scheduler, kind, steps, eta)
        };
        let guidance = guidance.strip_prefix("guidance").expect("a scale").parse().expect("a number");
        let settings = Settings { classes: vec![Some(class); count], guidance, sampler };
        let (shape, states) = series(&file, name);
        assert_eq!((shape, states.len()), (model.config.image_shape().with_n(count), steps), "{name}");
        let run = Run { net: "grey", settings, start: Err((seed, class)), shape, states };
        let (_, states) = run.follow(route);
        assert_eq!(states.len(), steps, "{route:?}, {name}");
        for (step, (x, expected)) in states.iter().zip(&run.states).enumerate() {
            let error = largest(x, expected);
            // Unclipped, the states of these random weights grow.
            let scale = expected.iter().fold(1.0, |max: f64, x| max.max(f64::from(x.abs())));
            assert!(error <= 2e-4 * scale, "{route:?}, {name}: step {step} is off by {error:.1e} of {scale:.1}");
        }
    }
}
