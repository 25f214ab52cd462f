//! What a step costs a GPU besides arithmetic: dispatches, which are counted, and objects, of which it may make none.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::checkpoint::read_dir;
use noisette::diffusion::{Prediction, SamplerKind};
use noisette::engine::gpu::{Gpu, Made};
use noisette::engine::{Engine, Program};
use noisette::graph::Graph;
use noisette::model::config::UnetConfig;
use noisette::model::init::initialise;
use noisette::model::step::{Objective, Sampling, prediction, sampling_step};
use noisette::playground::{Frame, Noise, Session, Settings, sampler_config};
use noisette::rng::Rng;
use noisette::tensor::Shape;
use noisette::train::optimizer::training_step;
use noisette::train::{TrainOptions, Trainer};
use pollster::block_on;
use support::{compare, gpu};

/// Dispatches of one run, at most. Whoever needs fewer lowers the number.
const PREDICTION: usize = 128;
const SAMPLING_STEP: usize = 130;
const GUIDED_STEP: usize = 143;
const TRAINING_STEP: usize = 718;

fn digits() -> (UnetConfig, Shape) {
    let config = UnetConfig::digits();
    let shape = Shape::new(1, config.sample_size[0], config.sample_size[1], config.channels);
    (config, shape)
}

/// What was made between two readings.
fn between(before: Made, after: Made) -> Made {
    Made {
        buffers: after.buffers - before.buffers,
        bind_groups: after.bind_groups - before.bind_groups,
        pipelines: after.pipelines - before.pipelines,
        encoders: after.encoders - before.encoders,
        passes: after.passes - before.passes,
        dispatches: after.dispatches - before.dispatches,
        submissions: after.submissions - before.submissions,
    }
}

fn made_by(gpu: &Gpu, work: impl FnOnce()) -> Made {
    let before = gpu.made();
    work();
    between(before, gpu.made())
}

/// What this work makes at last. On a busy machine a GPU seems slow for a while, and then its work is cut in other pieces,
/// which may need other buffers. What is made every time is made in the end, too.
fn once_settled(gpu: &Gpu, is_settled: impl Fn(Made) -> bool, mut work: impl FnMut()) -> Made {
    let mut made = made_by(gpu, &mut work);
    for _ in 0..20 {
        made = made_by(gpu, &mut work);
        if is_settled(made) {
            break;
        }
    }
    made
}

/// Nothing but an encoder for each submission.
fn assert_nothing_new(made: Made) {
    assert_eq!((made.buffers, made.bind_groups, made.pipelines), (0, 0, 0), "{made:?}");
    assert_eq!(made.encoders, made.submissions, "{made:?}");
    assert!(made.submissions > 0 && made.dispatches > 0, "nothing was done: {made:?}");
}

#[test]
fn a_step_takes_no_more_dispatches_than_it_did() {
    let gpu = gpu::open();
    let (config, shape) = digits();
    for (name, graph, most) in [
        ("a prediction", prediction(&config, shape), PREDICTION),
        (
            "a step of sampling",
            sampling_step(&config, shape, Sampling { remembers: true, known: true, ..Sampling::default() }),
            SAMPLING_STEP,
        ),
        (
            "a guided step",
            sampling_step(&config, shape, Sampling { guided: true, remembers: true, known: true }),
            GUIDED_STEP,
        ),
        ("a step of training", training_step(&config, shape.with_n(2), Objective::default()), TRAINING_STEP),
    ] {
        let mut program = gpu.compile(&graph).expect("a net of this size");
        let dispatches = program.cost().dispatches;
        println!("{name}: {dispatches} dispatches");
        assert!(dispatches <= most, "{name} takes {dispatches} dispatches, it took {most}");
        assert!(dispatches * 10 >= most * 9, "{name} takes {dispatches} dispatches: lower the number from {most}");
        let made = made_by(&gpu, || program.run().expect("a run"));
        assert_eq!(made.dispatches, dispatches, "{name} counts what it does");
        block_on(program.read(graph.outputs()[0].1)).expect("a value");
    }
}

/// y = 3·a + b, and the state a becomes y.
fn chain(shape: Shape) -> Graph {
    let mut g = Graph::new();
    let (a, b) = (g.state("a", shape), g.input("b", shape));
    let three = g.scale(a, 3.0);
    let y = g.add(three, b);
    g.assign(a, y);
    g.output("y", y);
    g
}

/// y after each of five runs, started in these portions.
fn chained(program: &mut Program, shape: Shape, portions: &[usize]) -> Vec<Vec<f32>> {
    let inputs: Vec<Vec<f32>> = (0..5).map(|i| Rng::stream(1, i).normals(shape.len())).collect();
    program.write("a", &Rng::new(2).normals(shape.len())).expect("a leaf");
    let mut rest = inputs.as_slice();
    let mut started = Vec::new();
    for &count in portions {
        let (now, later) = rest.split_at(count);
        let runs: Vec<Vec<&[f32]>> = now.iter().map(|b| vec![b.as_slice()]).collect();
        started.push(program.start(&["b"], &runs, &["y"]).expect("a start"));
        rest = later;
    }
    assert!(rest.is_empty(), "all of them were started");
    let finish = |started| block_on(program.finish(started)).expect("values");
    started.into_iter().flat_map(finish).map(|mut kept| kept.swap_remove(0)).collect()
}

#[test]
fn runs_started_together_are_the_runs_one_by_one() {
    for c in [1, 3, 4, 6] {
        let shape = Shape::new(2, 3, 5, c);
        let graph = chain(shape);
        let mut cpu = Engine::Cpu(None).compile(&graph).expect("a small graph");
        let expected = chained(&mut cpu, shape, &[1, 1, 1, 1, 1]);
        assert_eq!(expected.len(), 5);
        assert!(expected.windows(2).all(|pair| pair[0] != pair[1]), "every run is another");
        let mut gpu = Engine::Gpu(gpu::open()).compile(&graph).expect("a small graph");
        for portions in [&[5][..], &[1, 4], &[2, 2, 1], &[1, 1, 1, 1, 1]] {
            for program in [&mut cpu, &mut gpu] {
                let found = chained(program, shape, portions);
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    let expected: Vec<f64> = expected.iter().map(|&v| f64::from(v)).collect();
                    compare::close(found, &expected, 1e-6).unwrap_or_else(|why| panic!("{portions:?}: {why}"));
                }
            }
        }
    }
}

#[test]
fn what_was_started_and_does_not_fit_is_an_error() {
    let shape = Shape::vector(3);
    for engine in [Engine::Cpu(None), Engine::Gpu(gpu::open())] {
        let mut program = engine.compile(&chain(shape)).expect("a small graph");
        assert!(program.start(&["b"], &[vec![&[1.0; 3]], vec![&[1.0; 2]]], &["y"]).is_err(), "two values");
        assert!(program.start(&["c"], &[vec![&[1.0; 3]]], &["y"]).is_err(), "no leaf is called c");
        assert!(program.start(&["b"], &[vec![&[1.0; 3]]], &["z"]).is_err(), "no value is called z");
        let none = program.start(&["b"], &[], &["y"]).expect("no run at all");
        assert!(block_on(program.finish(none)).expect("nothing").is_empty());
    }
}

#[test]
fn short_runs_are_one_pass_and_share_a_submission() {
    let gpu = gpu::open();
    let shape = Shape::new(1, 2, 2, 4);
    let mut program = Engine::Gpu(gpu.clone()).compile(&chain(shape)).expect("a small graph");
    let made = once_settled(&gpu, |made| made.submissions == 1, || drop(chained(&mut program, shape, &[5])));
    assert_nothing_new(made);
    assert_eq!((made.submissions, made.passes, made.dispatches), (1, 5, 10));
    let made = made_by(&gpu, || drop(chained(&mut program, shape, &[2, 3])));
    assert_eq!(made.buffers, 1, "the second portion has a buffer of its own to come back through");
    let made = once_settled(&gpu, |made| made.submissions == 2, || drop(chained(&mut program, shape, &[2, 3])));
    assert_nothing_new(made);
    assert_eq!((made.submissions, made.passes), (2, 5));
}

fn grey() -> noisette::checkpoint::Checkpoint {
    read_dir(format!("{}/tests/golden/grey", env!("CARGO_MANIFEST_DIR"))).expect("a diffusers folder")
}

fn start(session: &mut Session, kind: SamplerKind, steps: usize) {
    let sampler = sampler_config(&grey().scheduler, kind, steps, 0.5);
    let settings = Settings { classes: vec![Some(3), None, Some(7)], guidance: 1.5, sampler };
    session.start(&settings, Noise::Seed(5)).expect("a run");
}

fn frames(session: &mut Session) -> Vec<Frame> {
    std::iter::from_fn(|| block_on(session.step()).expect("a step")).collect()
}

#[test]
fn replayed_steps_make_nothing() {
    let gpu = gpu::open();
    let mut session = Session::new(Engine::Gpu(gpu.clone()), grey()).expect("the parameters fit");
    let run = || {
        start(&mut session, SamplerKind::Ddim, 20);
        assert_eq!(frames(&mut session).len(), 20);
    };
    assert_nothing_new(once_settled(&gpu, |made| made.buffers == 0, run));

    let model = grey();
    let [h, w] = model.config.sample_size;
    let shape = Shape::new(2, h, w, model.config.channels);
    let weights = initialise(&prediction(&model.config, shape.with_n(1)), 5);
    let schedule = model.scheduler.schedule().expect("a schedule");
    let options = TrainOptions { batch: 2, steps: 10, ..TrainOptions::default() };
    let engine = Engine::Gpu(gpu.clone());
    let mut trainer =
        Trainer::new(&engine, &model.config, schedule, Prediction::Epsilon, options, &weights).expect("a trainer");
    let x_0 = vec![0.5; shape.len()];
    let mut step = || assert!(block_on(trainer.step(&x_0, &[1, 2])).expect("a step").loss.is_finite());
    step();
    let made = made_by(&gpu, || (0..3).for_each(|_| step()));
    assert_nothing_new(made);
    assert_eq!(made.dispatches, 3 * trainer.cost().dispatches);
}

#[test]
fn one_object_more_is_noticed() {
    let gpu = gpu::open();
    let shape = Shape::new(1, 2, 2, 4);
    let mut program = gpu.compile(&chain(shape)).expect("a small graph");
    let made = made_by(&gpu, || drop(gpu.compile(&chain(shape)).expect("a small graph")));
    // a, b, 3·a, y and Params; the pipelines are there.
    assert_eq!((made.buffers, made.bind_groups, made.pipelines), (5, 2, 0));
    assert!(std::panic::catch_unwind(|| assert_nothing_new(made)).is_err());
    let y = chain(shape).outputs()[0].1;
    let read = |program: &mut noisette::engine::gpu::Program| drop(block_on(program.read(y)).expect("a value"));
    program.run().expect("a run");
    let made = made_by(&gpu, || read(&mut program));
    assert_eq!(made.buffers, 1, "the first read makes a buffer");
    let made = made_by(&gpu, || read(&mut program));
    assert_eq!((made.buffers, made.encoders, made.submissions), (0, 1, 1), "the second does not");
}

#[test]
fn objects_are_made_where_they_are_counted() {
    let folder = format!("{}/src/engine/gpu", env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a source");
        let made = text.matches(".create_").count() - text.matches(".create_shader_module").count();
        let device = path.ends_with("device.rs");
        assert_eq!(made, if device { 4 } else { 0 }, "{}", path.display());
        assert_eq!(text.matches(".submit([").count(), usize::from(device), "{}", path.display());
        assert_eq!(text.matches(".begin_compute_pass(").count(), usize::from(device), "{}", path.display());
        files += 1;
    }
    assert!(files >= 6, "only {files} sources were read");
}

#[test]
fn steps_that_go_ahead_are_the_steps_one_by_one() {
    let gpu = gpu::open();
    for kind in [SamplerKind::Ddpm, SamplerKind::Ddim, SamplerKind::DpmSolverPp2M] {
        let mut ahead = Session::new(Engine::Gpu(gpu.clone()), grey()).expect("the parameters fit");
        let mut alone = Session::new(Engine::Cpu(None), grey()).expect("the parameters fit");
        // One image after another: no step goes ahead.
        alone.set_images_at_once(1);
        for session in [&mut ahead, &mut alone] {
            start(session, kind, 9);
        }
        let expected = frames(&mut alone);
        assert_eq!(expected.len(), 9);
        for round in 0..2 {
            let found = frames(&mut ahead);
            assert_eq!(found.len(), expected.len(), "{kind:?}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((found.step, found.timestep), (expected.step, expected.timestep));
                for (values, expected) in [(&found.x, &expected.x), (&found.x0, &expected.x0)] {
                    let expected: Vec<f64> = expected.iter().map(|&v| f64::from(v)).collect();
                    compare::close(values, &expected, 2e-4)
                        .unwrap_or_else(|why| panic!("{kind:?}, round {round}, step {}: {why}", found.step));
                }
            }
            // Now that the GPU's speed is known.
            start(&mut ahead, kind, 9);
        }
    }
}
