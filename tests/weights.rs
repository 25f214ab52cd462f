//! Parameters lie on an engine once, however many programs use them, and all of them see what is written.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::engine::{Engine, EngineError, Program, Weights};
use noisette::graph::Graph;
use noisette::model::config::UnetConfig;
use noisette::model::init::initialise;
use noisette::model::step::{Sampling, prediction, sampling_step};
use noisette::model::unet::sinusoid;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use noisette::train::{TrainOptions, Trainer};
use support::gpu;

const IMAGE: Shape = Shape::new(1, 12, 12, 1);

fn engines() -> [Engine; 2] {
    [Engine::Cpu(None), Engine::Gpu(gpu::open())]
}

fn graph(batch: usize) -> Graph {
    prediction(&UnetConfig::digits(), IMAGE.with_n(batch))
}

/// ε of the same images by a program for that many at once.
fn predict(program: &mut Program, batch: usize) -> Vec<f32> {
    let config = UnetConfig::digits();
    program.write("sample", &Rng::new(5).normals(IMAGE.len()).repeat(batch)).expect("a sample");
    program.write("sinusoid", &sinusoid(&config, &vec![300.0; batch])).expect("timesteps");
    program.write("class_labels", &vec![3.0; batch]).expect("labels");
    program.run().expect("a run");
    pollster::block_on(program.read("eps")).expect("a result")
}

/// What a program of its own makes of these parameters.
fn alone(engine: &Engine, values: &[Vec<f32>], batch: usize) -> Vec<f32> {
    let graph = graph(batch);
    let mut program = engine.compile(&graph).expect("a small net");
    for (spec, values) in graph.parameters().iter().zip(values) {
        program.write(&spec.name, values).expect("a parameter");
    }
    predict(&mut program, batch)
}

#[test]
fn a_predictor_and_samplers_of_two_sizes_count_the_model_once() {
    let config = UnetConfig::digits();
    for engine in engines() {
        let specs = graph(1).parameters();
        let values = initialise(&graph(1), 0);
        let weights = engine.load(&specs, &values).expect("small weights");
        let graphs = [
            graph(1),
            sampling_step(&config, IMAGE.with_n(2), Sampling { guided: true, ..Sampling::default() }),
            sampling_step(&config, IMAGE.with_n(5), Sampling { remembers: true, ..Sampling::default() }),
        ];
        let programs = graphs.each_ref().map(|graph| engine.compile_with(graph, &weights).expect("a small net"));
        let bytes = 4 * values.iter().map(Vec::len).sum::<usize>();
        // Padded or packed it is more, but never two models.
        assert!((bytes..4 * bytes).contains(&weights.bytes()), "{} bytes of {bytes}", weights.bytes());
        for program in &programs {
            let cost = program.cost();
            assert!(cost.peak_bytes > cost.weight_bytes, "{cost:?}");
            assert!(cost.weight_bytes <= weights.bytes(), "a program counts no more than there is");
        }
        let before = weights.bytes();
        let more = engine.compile_with(&graphs[0], &weights).expect("one more");
        assert_eq!(weights.bytes(), before, "another program adds no weights and no packed form");
        assert_eq!(more.cost().weight_bytes, before, "all of them are in its cost");
    }
}

#[test]
fn every_program_sees_what_is_written() {
    for engine in engines() {
        let specs = graph(1).parameters();
        let mut values = initialise(&graph(1), 0);
        let weights = engine.load(&specs, &values).expect("small weights");
        let mut programs = [1, 3].map(|n| (n, engine.compile_with(&graph(n), &weights).expect("a small net")));
        for (n, program) in &mut programs {
            assert_eq!(predict(program, *n), alone(&engine, &values, *n));
        }
        // All of them, those that are packed included.
        values = initialise(&graph(1), 1);
        for (spec, values) in specs.iter().zip(&values) {
            weights.write(&spec.name, values).expect("a parameter");
        }
        for (n, program) in &mut programs {
            assert_eq!(predict(program, *n), alone(&engine, &values, *n), "after a write to the weights");
        }
        // Through one program to the other.
        let last = specs.len() - 1;
        values[last] = vec![0.5; values[last].len()];
        programs[0].1.write(&specs[last].name, &values[last]).expect("a parameter");
        assert_eq!(predict(&mut programs[1].1, 3), alone(&engine, &values, 3), "after a write to the other program");
        assert_eq!(pollster::block_on(weights.read(&specs[last].name)).expect("a parameter"), values[last]);
    }
}

#[test]
fn the_weights_of_a_run_and_their_average_follow_its_steps() {
    let config = UnetConfig { sample_size: [12, 12], ..UnetConfig::digits() };
    for engine in engines() {
        let schedule = noisette::diffusion::Schedule::ddpm_linear(1000, 1e-4, 0.02).expect("a schedule");
        let options = TrainOptions { batch: 2, ema_decay: 0.5, warmup: 0, ..TrainOptions::default() };
        let specs = graph(1).parameters();
        let start = initialise(&graph(1), 0);
        let prediction = noisette::diffusion::Prediction::Epsilon;
        let mut trainer = Trainer::new(&engine, &config, schedule, prediction, options, &start).expect("a trainer");
        let mut programs = [false, true].map(|averaged| {
            let weights: Weights = trainer.weights(averaged);
            assert_eq!(weights.entries().len(), specs.len());
            engine.compile_with(&graph(2), &weights).expect("a small net")
        });
        let first = programs.each_mut().map(|program| predict(program, 2));
        assert_eq!(first[0], first[1], "the average starts at the weights");
        for step in 0..3 {
            pollster::block_on(trainer.step(&Rng::new(step).normals(2 * IMAGE.len()), &[1, 7])).expect("a step");
            for (averaged, program) in [false, true].into_iter().zip(&mut programs) {
                let values = pollster::block_on(trainer.read_weights(averaged)).expect("the weights");
                assert_eq!(predict(program, 2), alone(&engine, &values, 2), "averaged: {averaged}");
            }
        }
        let last = programs.each_mut().map(|program| predict(program, 2));
        assert_ne!(last[0], last[1], "the average lags behind");
        assert_ne!(last[0], first[0]);
    }
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let [cpu, gpu] = engines();
    let specs = graph(1).parameters();
    let values = initialise(&graph(1), 0);
    let weights = cpu.load(&specs[1..], &values[1..]).expect("most of the weights");
    let refused = |result: Result<Program, EngineError>| result.err().expect("a refusal").to_string();
    let text = refused(cpu.compile_with(&graph(1), &weights));
    assert!(text.starts_with("the weights have no conv_in.weight of shape") || text.contains(&specs[0].name), "{text}");
    refused(gpu.compile_with(&graph(1), &cpu.load(&specs, &values).expect("weights")));
    assert!(weights.write("nothing", &[]).is_err());
    assert!(weights.write(&specs[1].name, &[0.0]).is_err());
}
