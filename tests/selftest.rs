//! The check of a machine covers every kernel and passes on both engines.
#![cfg(not(target_arch = "wasm32"))]

use noisette::engine::gpu::KERNELS;
use noisette::engine::{Choice, Engine, Program};
use noisette::graph::Graph;
use noisette::model::config::UnetConfig;
use noisette::model::step::Objective;
use noisette::selftest::{Benchmark, Work, check_ops, least_step};
use noisette::tensor::Shape;
use noisette::train::optimizer::training_step;
use pollster::block_on;
use std::collections::BTreeSet;

#[test]
fn every_kernel_passes_on_both_engines() {
    for choice in [Choice::Cpu, Choice::Gpu] {
        let engine = block_on(Engine::open(choice)).expect("the tests need an adapter, such as lavapipe");
        let reports = block_on(check_ops(&engine)).expect("the check runs");
        for report in &reports {
            assert!(report.passed && report.results > 0, "{choice:?}: {report:?}");
        }
        let checked: BTreeSet<&str> = reports.iter().map(|report| report.name.as_str()).collect();
        // The CPU has one way to do each op.
        let is_there = |name: &&str| choice == Choice::Gpu || !name.ends_with("_tiled");
        let missing: Vec<_> =
            KERNELS.iter().map(|(name, _)| *name).filter(is_there).filter(|name| !checked.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?} are not checked");
    }
}

#[test]
fn kernels_for_large_work_run_on_small_work_when_asked_for() {
    let engine = block_on(Engine::open(Choice::Gpu)).expect("the tests need an adapter, such as lavapipe");
    let mut g = Graph::new();
    let [x, w] =
        [("x", Shape::new(2, 3, 3, 4)), ("w", Shape::new(1, 1, 4, 4))].map(|(name, shape)| g.input(name, shape));
    let b = g.input("b", Shape::vector(4));
    let y = g.conv2d(x, w, b, 1, (0, 0));
    g.output("y", y);
    let kernels = |mut program: Program| {
        let mut names = Vec::new();
        program.run_with(|name| names.push(name)).expect("a run");
        names
    };
    assert_eq!(kernels(engine.compile(&g).expect("a small graph")), ["conv2d"]);
    assert_eq!(kernels(engine.compile_tiled(&g).expect("a small graph").expect("a GPU's")), ["conv2d_tiled"]);
}

#[test]
fn predictions_and_training_steps_are_timed_and_compared() {
    let clock = std::time::Instant::now();
    let now = || clock.elapsed().as_secs_f64() * 1e3;
    for work in [Work::Predict, Work::Train] {
        let config = UnetConfig { block_out_channels: vec![8, 8, 8], ..UnetConfig::digits() };
        let benchmark = Benchmark::new(config, work);
        for choice in [Choice::Cpu, Choice::Gpu] {
            let engine = block_on(Engine::open(choice)).expect("the tests need an adapter, such as lavapipe");
            let timing = block_on(benchmark.time(&engine, 2, 20.0, now)).expect("it runs");
            assert!(timing.work == work && timing.batch == 2 && timing.ms > 0.0 && timing.runs >= 1, "{timing:?}");
            assert!(timing.passed && timing.worst_error.is_some_and(|error| error < 1e-4), "{timing:?}");
        }
        let engine = block_on(Engine::open(Choice::Cpu)).expect("there is always a CPU");
        let slow = block_on(benchmark.time(&engine, 1, 0.0, now)).expect("it runs");
        assert_eq!(slow.runs, 1, "where there is no time, the first run is all");
    }
}

#[test]
fn the_digits_training_step_of_sixteen_is_right() {
    let engine = block_on(Engine::open(Choice::Cpu)).expect("there is always a CPU");
    let benchmark = Benchmark::new(UnetConfig::digits(), Work::Train);
    let timing = block_on(benchmark.time(&engine, 16, 0.0, || 0.0)).expect("it runs");
    assert!(timing.passed && timing.worst_error.is_some_and(|error| error < 1e-4), "{timing:?}");
}

#[test]
fn what_a_training_step_takes_at_least_is_no_more_than_it_takes() {
    let engine = block_on(Engine::open(Choice::Cpu)).expect("there is always a CPU");
    let config = UnetConfig::digits();
    let (milliseconds, bytes) = least_step(&config, 16, 2.0);
    assert!((2.5..=3.0).contains(&(milliseconds / 32.0)), "{milliseconds} ms");
    let step = training_step(&config, config.image_shape().with_n(16), Objective::default());
    let live = engine.compile(&step).expect("there is memory").cost().live_bytes as f64;
    assert!(bytes >= 0.1 * live && bytes <= live, "{bytes} of {live}");
    // 35.7 million parameters, five values each.
    let (_, original) = least_step(&UnetConfig::ddpm_cifar10(), 16, 1.0);
    assert!((700e6..730e6).contains(&original), "{original}");
}
