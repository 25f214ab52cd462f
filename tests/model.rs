//! PyTorch and diffusers against both engines: predictions, losses, gradients, optimizer steps, sampling runs.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::checkpoint::{self, SchedulerConfig};
use noisette::diffusion::walk::Walk;
use noisette::diffusion::{Prediction, SamplerKind};
use noisette::engine::Program;
use noisette::graph::Graph;
use noisette::model::step::Objective;
use noisette::playground::sampler_config;
use noisette::tensor::{Shape, nchw_to_nhwc, nhwc_to_nchw};
use noisette::train::optimizer::gradients;
use noisette::train::{TrainOptions, Trainer};
use serde_json::Value;
use support::golden::{self, ENGINES, engine, integers, largest, relative, series};
use support::routes::{self, Route};

const LIBRARY: [Route; 2] = [Route::Cpu, Route::Gpu];

fn write(program: &mut Program, leaf: &str, values: &[f32]) {
    program.write(leaf, values).unwrap_or_else(|error| panic!("{leaf}: {error}"));
}

fn read(program: &mut Program, name: &str) -> Vec<f32> {
    pollster::block_on(program.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn predictions_are_pytorchs() {
    LIBRARY.into_iter().for_each(routes::predictions);
}

#[test]
fn losses_and_gradients_are_pytorchs() {
    LIBRARY.into_iter().for_each(routes::losses_and_gradients);
}

#[test]
fn sampling_runs_are_diffusers() {
    LIBRARY.into_iter().chain([Route::OneByOne]).for_each(routes::runs);
    LIBRARY.into_iter().chain([Route::OneByOne]).for_each(routes::students);
}

/// Ten steps of Adam on given batches: losses, gradient norms, and what has changed after three steps.
#[test]
fn adams_steps_are_pytorchs() {
    for name in ENGINES {
        let engine = engine(name);
        for (net, prefix, max_grad_norm) in [
            ("rgb", "", f64::INFINITY),
            ("grey", "", f64::INFINITY),
            ("rgb", "clipped_", 1.0),
            ("grey", "clipped_", 1.0),
        ] {
            let what = format!("{name}, {net}{}", if prefix.is_empty() { "" } else { ", clipped" });
            let file = golden::tensors(net, "adam.safetensors");
            let golden = golden::checkpoint(net);
            let (shape, x_0) = series(&file, "sample");
            let (_, noise) = series(&file, "noise");
            let timesteps = integers(&file, "timestep");
            let labels = integers(&file, "class_labels");
            let options = TrainOptions {
                batch: shape.n(),
                lr: 1e-3,
                warmup: 0,
                cosine_decay: false,
                max_grad_norm,
                ..TrainOptions::default()
            };
            let graph = gradients(&golden.config, shape, Objective::default());
            let start = golden.load_parameters(&graph.parameters()).expect("the golden weights fit");
            let schedule = golden.scheduler.schedule().expect("a schedule");
            let config = &golden.config;
            let mut trainer =
                Trainer::new(&engine, config, schedule, Prediction::Epsilon, options, &start).expect("a trainer");

            let n = shape.n();
            let kept = vec![false; n]; // no label is dropped
            let (mut losses, mut norms, mut change) = (Vec::new(), Vec::new(), Vec::new());
            for step in 0..x_0.len() {
                let labels = labels.get(step * n..(step + 1) * n).unwrap_or_default();
                let timesteps = &timesteps[step * n..(step + 1) * n];
                let step_with = trainer.step_with(&x_0[step], labels, timesteps, &kept, &noise[step]);
                let report = pollster::block_on(step_with).expect("a step");
                losses.push(report.loss);
                norms.push(report.grad_norm);
                if step == 2 {
                    let now = pollster::block_on(trainer.read_weights(false)).expect("the weights");
                    let difference =
                        |(now, start): (Vec<f32>, &Vec<f32>)| now.iter().zip(start).map(|(a, b)| a - b).collect();
                    change = now.into_iter().zip(&start).map(difference).collect();
                }
            }
            let expected = |kind: &str| file.f32(&format!("{prefix}{kind}"), 1).expect("PyTorch's ten").1;
            assert_eq!(losses.len(), 10);
            for (kind, found) in [("losses", &losses), ("norms", &norms)] {
                for (step, (found, expected)) in found.iter().zip(expected(kind)).enumerate() {
                    let error = relative(&[*found], &[*expected]);
                    assert!(error <= 1e-4, "{what}: {kind}, step {step}: {found}, expected {expected}");
                }
            }
            let changes = checkpoint::store_parameters(trainer.parameters(), &change);
            let mut compared = 0;
            for (parameter, (shape, change)) in &changes {
                // Adam makes full steps of the rounding noise that is a key bias's gradient.
                if parameter.ends_with("to_k.bias") {
                    continue;
                }
                let Ok((_, expected)) = file.f32(&format!("{prefix}change.{parameter}"), shape.len()) else {
                    assert!(net == "rgb" && !prefix.is_empty(), "PyTorch's change of {parameter} is there");
                    continue;
                };
                let error = relative(change, expected);
                assert!(error <= 2e-3, "{what}: the change of {parameter} is off by {error:.1e}");
                compared += 1;
            }
            assert!(compared > 50 || (net == "rgb" && !prefix.is_empty()), "{what}: {compared} parameters");
        }
    }
}

/// The noise that the golden script and this test both work out.
struct Lcg(u64);

impl Lcg {
    fn values(&mut self, n: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 40) as f64 / f64::from(1 << 24) - 0.5) as f32
        };
        (0..n).map(|_| next() * 12f32.sqrt()).collect()
    }
}

/// The exact denoiser of data ~ N(mean, 0.64), mean = 0.3 in the first channel and 0.2 less in each further one; x is NCHW.
fn gaussian_model(x: &[f32], shape: Shape, alpha_bar: f64, prediction: Prediction) -> Vec<f32> {
    let (signal, noise) = (alpha_bar.sqrt() as f32, (1.0 - alpha_bar).sqrt() as f32);
    let alpha_bar = alpha_bar as f32;
    let variance = alpha_bar * 0.64 + (1.0 - alpha_bar);
    let output = |(i, &x): (usize, &f32)| {
        let mean = 0.3 - 0.2 * (i / shape.pixels() % shape.c()) as f32;
        let eps = noise * (x - signal * mean) / variance;
        let x0 = (signal * 0.64 * x + (1.0 - alpha_bar) * mean) / variance;
        match prediction {
            Prediction::Epsilon => eps,
            Prediction::Sample => x0,
            Prediction::VPrediction => signal * eps - noise * x0,
        }
    };
    x.iter().enumerate().map(output).collect()
}

/// The schedulers alone, through each engine's reverse step, with a network whose answer is known.
#[test]
fn scheduler_trajectories_are_diffusers() {
    let text = std::fs::read(golden::dir("trajectories.json")).expect("the golden cases");
    let cases: Vec<Value> = serde_json::from_slice(&text).expect("JSON");
    let file = checkpoint::read_tensors(golden::dir("trajectories.safetensors")).expect("the golden states");
    assert!(cases.len() >= 16);
    for engine_name in ENGINES {
        let engine = engine(engine_name);
        for case in &cases {
            let name = case["name"].as_str().expect("a name");
            let scheduler = SchedulerConfig::from_json(case["scheduler"].to_string().as_bytes()).expect("a scheduler");
            let number = |key: &str| case[key].as_u64().expect("a number") as usize;
            let steps = number("steps");
            if engine_name == "gpu" && steps == 1000 && name != "ddpm_1000" {
                continue; // one of the long ones is enough there: the coefficients come from the same place
            }
            let eta = case["eta"].as_f64().expect("eta");
            let (extents, _) = file.f32(&format!("{name}.x_T"), 4).expect("x_T");
            let shape = Shape::new(extents[0], extents[2], extents[3], extents[1]);
            let config = sampler_config(&scheduler, scheduler.kind, steps, eta);
            let schedule = scheduler.schedule().expect("a schedule");
            let walk = Walk::new(&schedule, &config).expect("a walk");
            assert_eq!(walk.timesteps(), integers(&file, &format!("{name}.timesteps")), "{name}");

            let mut g = Graph::new();
            let [x, output, noise] = ["x", "output", "noise"].map(|leaf| match leaf {
                "x" => g.state(leaf, shape),
                _ => g.input(leaf, shape),
            });
            let coefficients = g.input("coefficients", Shape::vector(16));
            let next = g.move_x([x, output, noise, coefficients], None, None);
            g.assign(x, next);
            let mut program = engine.compile(&g).expect("the graph compiles");

            let mut lcg = Lcg(case["lcg_seed"].as_u64().expect("a seed"));
            let mut state = lcg.values(shape.len());
            write(&mut program, "x", &nchw_to_nhwc(&state, shape));
            let kept: Vec<usize> =
                case["kept"].as_array().expect("a list").iter().map(|k| k.as_u64().expect("a step") as usize).collect();
            let (_, expected) = file.f32(&format!("{name}.x"), 5).expect("the states");
            assert_eq!(expected.len(), kept.len() * shape.len());
            let tolerance = if scheduler.kind == SamplerKind::Ddim { 1e-5 } else { 2e-4 };
            assert!(!walk.looks_back(), "{name}");
            for (i, step) in walk.moves.iter().enumerate() {
                let alpha_bar = schedule.alpha_bar(step.timestep);
                let answer = gaussian_model(&state, shape, alpha_bar, scheduler.prediction_type);
                write(&mut program, "output", &nchw_to_nhwc(&answer, shape));
                write(&mut program, "noise", &nchw_to_nhwc(&lcg.values(shape.len()), shape));
                write(&mut program, "coefficients", &step.packed());
                program.run().expect("it runs");
                state = nhwc_to_nchw(&read(&mut program, "x"), shape);
                if let Some(k) = kept.iter().position(|&kept| kept == i) {
                    let error = largest(&state, &expected[k * shape.len()..][..shape.len()]);
                    assert!(error <= tolerance, "{engine_name}, {name}: step {i} is off by {error:.1e}");
                }
            }
        }
    }
}
