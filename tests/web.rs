//! In a browser, in a worker as on the page: both engines against each other, the oracle, PyTorch and the native program.
//!
//! `wasm-pack test --headless --chrome`. There has to be a WebGPU adapter; SwiftShader will do.
#![cfg(target_arch = "wasm32")]

mod support;

use noisette::checkpoint::{Checkpoint, TensorFile};
use noisette::diffusion::SamplerKind;
use noisette::engine::cpu::interpret;
use noisette::engine::{Choice, Engine, Kind};
use noisette::model::init::initialise;
use noisette::model::step;
use noisette::playground::{Noise, Session, Settings, sampler_config};
use noisette::rng::Rng;
use noisette::tensor::{Shape, nchw_to_nhwc};
use noisette::train::{TrainOptions, Trainer};
use support::{cases, compare, noise};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// The class-conditional network of the goldens, and a file beside its weights.
fn grey() -> Checkpoint {
    let config = include_bytes!("golden/grey/config.json");
    let scheduler = include_bytes!("golden/grey/scheduler_config.json");
    let weights = include_bytes!("golden/grey/diffusion_pytorch_model.safetensors");
    Checkpoint::from_bytes(config, Some(scheduler), weights).expect("a diffusers folder")
}

fn tensors(bytes: &[u8]) -> TensorFile {
    TensorFile::from_bytes(bytes).expect("a safetensors file")
}

/// `[.., C, H, W]` of one channel, which is `[.., H, W, C]` too.
fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Both engines. `gpu` takes any adapter, and a browser without one fails the test.
async fn engines() -> [Engine; 2] {
    let gpu = Engine::open(Choice::Gpu).await.expect("a WebGPU adapter; start Chromium with --enable-unsafe-webgpu");
    assert_eq!(gpu.describe().engine, Kind::Gpu);
    [Engine::open(Choice::Cpu).await.expect("the CPU is there"), gpu]
}

#[wasm_bindgen_test]
fn noise_has_the_bits_it_has_natively() {
    assert_eq!(noise::fingerprint(), noise::FINGERPRINT);
}

#[wasm_bindgen_test]
async fn every_op_agrees_with_the_oracle() {
    let engines = engines().await;
    let cases = cases::all();
    let mut failures = Vec::new();
    for case in &cases {
        let expected = interpret::<f64>(&case.graph, &case.leaves_f64());
        for engine in &engines {
            let mut program = engine.compile(&case.graph).expect("a small graph");
            for (name, values) in &case.leaves {
                program.write(name, values).expect("a value that fits");
            }
            program.run().expect("a run");
            for (name, _) in case.graph.outputs() {
                let found = program.read(name).await.expect("a value");
                if let Err(why) = compare::close(&found, &expected[name], 1e-4) {
                    failures.push(format!("{}, {}, {name}: {why}", engine.describe().engine, case.name));
                }
            }
        }
    }
    assert!(cases.len() > 50, "{} cases are too few to be all", cases.len());
    assert!(failures.is_empty(), "{} results differ:\n{}", failures.len(), failures.join("\n"));
}

/// What `support::routes` compares outside a browser, where goldens are files.
#[wasm_bindgen_test]
async fn a_prediction_is_pytorchs() {
    let (model, golden) = (grey(), tensors(include_bytes!("golden/grey/predict.safetensors")));
    let (shape, sample) = golden.f32("sample", 4).expect("images");
    let (_, timesteps) = golden.i64("timestep", 1).expect("timesteps");
    let (_, labels) = golden.i64("class_labels", 1).expect("labels");
    let (_, expected) = golden.f32("eps", 4).expect("noise");
    let shape = Shape::new(shape[0], shape[2], shape[3], shape[1]);
    let graph = step::prediction(&model.config, shape);
    let parameters = model.load_parameters(&graph.parameters()).expect("the parameters fit");
    let numbers = |values: &[i64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
    let sinusoid = noisette::model::unet::sinusoid(&model.config, &numbers(timesteps));
    for engine in engines().await {
        let mut program = engine.compile(&graph).expect("a small network");
        for (spec, values) in graph.parameters().iter().zip(&parameters) {
            program.write(&spec.name, values).expect("a parameter");
        }
        program.write("sample", &nchw_to_nhwc(sample, shape)).expect("images");
        program.write("sinusoid", &sinusoid).expect("timesteps");
        program.write("class_labels", &numbers(labels)).expect("labels");
        program.run().expect("a run");
        let found = program.read("eps").await.expect("noise");
        compare::close(&found, &f64s(&nchw_to_nhwc(expected, shape)), 1e-4)
            .unwrap_or_else(|why| panic!("{}: {why}", engine.describe().engine));
    }
}

#[wasm_bindgen_test]
async fn a_guided_run_is_diffusers() {
    let golden = tensors(include_bytes!("golden/grey/sample_guided.safetensors"));
    let (shape, x) = golden.f32("x_T", 4).expect("the start");
    let (_, noise) = golden.f32("noise", 5).expect("noise");
    let (_, labels) = golden.i64("class_labels", 1).expect("labels");
    let (_, guidance) = golden.f32("guidance", 1).expect("a scale");
    let (states_shape, states) = golden.f32("x", 5).expect("states");
    assert_eq!((shape[1], shape[0]), (1, labels.len()), "one channel, one label an image");
    for engine in engines().await {
        let name = engine.describe().engine;
        let model = grey();
        let sampler = sampler_config(&model.scheduler, SamplerKind::Ddim, states_shape[0], 0.5);
        let classes = labels.iter().map(|&label| Some(label as usize)).collect();
        let settings = Settings { classes, guidance: f64::from(guidance[0]), sampler };
        let steps = Some(noise.chunks_exact(x.len()).map(<[f32]>::to_vec).collect());
        let mut session = Session::new(engine, model).expect("the parameters fit");
        session.start(&settings, Noise::Given { x: x.to_vec(), steps, seed: 0 }).expect("a run");
        let mut expected = states.chunks_exact(x.len());
        while let Some(frame) = session.step().await.expect("a step") {
            let state = expected.next().expect("as many states as steps");
            compare::close(&frame.x, &f64s(state), 2e-4)
                .unwrap_or_else(|why| panic!("{name}, step {}: {why}", frame.step));
        }
        assert!(expected.next().is_none(), "{name} stopped early");
    }
}

#[wasm_bindgen_test]
async fn training_takes_the_same_steps_on_both_engines() {
    let model = grey();
    let [h, w] = model.config.sample_size;
    let options = TrainOptions { batch: 3, steps: 5, warmup: 0, ..TrainOptions::default() };
    let graph = step::prediction(&model.config, Shape::new(1, h, w, model.config.channels));
    let weights = initialise(&graph, 5);
    let x_0: Vec<f32> = (0..3 * h * w).map(|i| if i % 7 < 3 { 1.0 } else { -0.5 }).collect();
    let noise = Rng::new(6).normals(3 * h * w);
    let mut losses = Vec::new();
    for engine in engines().await {
        let schedule = model.scheduler.schedule().expect("a schedule");
        let prediction = model.scheduler.prediction_type;
        let mut trainer =
            Trainer::new(&engine, &model.config, schedule, prediction, options.clone(), &weights).expect("a trainer");
        let mut own = Vec::new();
        for _ in 0..options.steps {
            // The same timesteps and noise every time: by chance one batch is easier than another.
            let step = trainer.step_with(&x_0, &[0, 4, 9], &[100, 400, 800], &[false, true, false], &noise).await;
            own.push(step.expect("a step").loss);
        }
        losses.push(own);
    }
    assert!(losses[0][4] < losses[0][0], "nothing was learnt: {:?}", losses[0]);
    compare::close(&losses[1], &f64s(&losses[0]), 1e-4).expect("equal losses");
}
