//! The trainer: the same losses everywhere, whatever happens in between, and a sentence where it cannot go on.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::checkpoint::Checkpoint;
use noisette::diffusion::Prediction;
use noisette::engine::Engine;
use noisette::model::init::{initialise, start_at_zero};
use noisette::model::step::{Objective, training_loss};
use noisette::model::unet::sinusoid;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use noisette::train::recipe_text::{RECIPE_FILE, read_written};
use noisette::train::saved::{self, RUN_FILE};
use noisette::train::state::STATE_FILE;
use noisette::train::{Loss, Progress, Recipe, StepReport, TrainOptions, Trainer};
use std::collections::HashMap;
use support::golden::{self, ENGINES, engine, relative};

/// A batch of three images of 8×8.
const SHAPE: Shape = Shape::new(3, 8, 8, 1);

fn options() -> TrainOptions {
    TrainOptions { batch: 3, steps: 10, lr: 2e-3, warmup: 4, seed: 5, label_dropout: 0.4, ..TrainOptions::default() }
}

/// A trainer of the class-conditional golden network, from start values of a seed.
fn trainer_of(engine: &Engine, options: TrainOptions) -> Trainer {
    let prediction = golden::checkpoint("grey").scheduler.prediction_type;
    trainer_for(engine, options, prediction)
}

fn trainer_for(engine: &Engine, options: TrainOptions, prediction: Prediction) -> Trainer {
    let Checkpoint { config, scheduler, .. } = golden::checkpoint("grey");
    let (graph, _) = training_loss(&config, SHAPE, Objective::default());
    let schedule = scheduler.schedule().expect("a schedule");
    let weights = initialise(&graph, options.seed);
    Trainer::new(engine, &config, schedule, prediction, options, &weights).expect("a trainer")
}

/// Ways to train that differ in more than a number.
fn recipes() -> Vec<(TrainOptions, Prediction)> {
    let recipe =
        |loss, min_snr_gamma, flip, prediction| (TrainOptions { loss, min_snr_gamma, flip, ..options() }, prediction);
    vec![
        recipe(Loss::L2, None, false, Prediction::Epsilon),
        recipe(Loss::L2, Some(5.0), true, Prediction::VPrediction),
        recipe(Loss::L1, None, true, Prediction::VPrediction),
        recipe(Loss::L1, Some(2.0), false, Prediction::Epsilon),
        (TrainOptions { weight_decay: 0.1, cosine_decay: false, ..options() }, Prediction::Epsilon),
    ]
}

/// Step `k`'s pictures and classes.
fn batch(k: u64) -> (Vec<f32>, Vec<usize>) {
    let mut rng = Rng::stream(99, k);
    let x_0 = rng.normals(SHAPE.len()).into_iter().map(|x| x.clamp(-1.0, 1.0)).collect();
    (x_0, (0..SHAPE.n()).map(|_| rng.below(10)).collect())
}

fn step(trainer: &mut Trainer) -> StepReport {
    let (x_0, labels) = batch(trainer.step_count());
    pollster::block_on(trainer.step(&x_0, &labels)).expect("a step")
}

fn steps(trainer: &mut Trainer, count: usize) -> Vec<StepReport> {
    (0..count).map(|_| step(trainer)).collect()
}

fn state(trainer: &mut Trainer) -> HashMap<String, Vec<f32>> {
    pollster::block_on(trainer.state()).expect("the state").into_iter().collect()
}

/// The bits of all values, so that NaN equals itself and −0 does not equal 0.
fn bits(state: &HashMap<String, Vec<f32>>) -> Vec<(&String, Vec<u32>)> {
    let mut all: Vec<_> = state.iter().map(|(name, v)| (name, v.iter().map(|x| x.to_bits()).collect())).collect();
    all.sort();
    all
}

#[test]
fn both_engines_have_the_same_ten_losses() {
    for (options, prediction) in recipes() {
        let run = |name| steps(&mut trainer_for(&engine(name), options.clone(), prediction), 10);
        let [cpu, gpu] = ENGINES.map(run);
        for (cpu, gpu) in cpu.iter().zip(&gpu) {
            let loss = relative(&[gpu.loss], &[cpu.loss]);
            let norm = relative(&[gpu.grad_norm], &[cpu.grad_norm]);
            // The sign of an error near zero, which is the gradient of l1, is a matter of rounding.
            let limit = if options.loss == Loss::L1 { 1e-2 } else { 1e-4 };
            assert!(loss <= 1e-4 && norm <= limit, "{cpu:?} and {gpu:?}");
            assert!(cpu.loss > 0.0 && cpu.grad_norm > 0.0 && cpu.lr == gpu.lr, "{cpu:?} and {gpu:?}");
            let errors = [cpu, gpu].map(|r| r.errors.iter().map(|image| image.error).collect::<Vec<_>>());
            assert!(errors[0].len() == 3 && relative(&errors[1], &errors[0]) <= 1e-4, "{cpu:?} and {gpu:?}");
        }
        assert!(cpu.windows(2).all(|pair| pair[0].loss != pair[1].loss), "every step has a batch of its own");
    }
}

/// The loss, put together from what the model predicts: weights, squares or not, and the target.
#[test]
fn a_loss_is_what_the_recipe_says() {
    let Checkpoint { config, scheduler, .. } = golden::checkpoint("grey");
    let schedule = scheduler.schedule().expect("a schedule");
    let engine = engine("cpu");
    let (x_0, labels) = batch(3);
    let noise = Rng::new(8).normals(SHAPE.len());
    let timesteps = [4, 400, 950];
    let step = |options: TrainOptions, prediction| {
        let mut trainer = trainer_for(&engine, options, prediction);
        pollster::block_on(trainer.step_with(&x_0, &labels, &timesteps, &[false; 3], &noise)).expect("a step")
    };
    // What the freshly initialised model predicts.
    let graph = noisette::model::step::prediction(&config, SHAPE);
    let weights = initialise(&graph, options().seed);
    let mut program = engine.compile(&graph).expect("a program");
    for (spec, values) in graph.parameters().iter().zip(&weights) {
        program.write(&spec.name, values).expect("a parameter");
    }
    let image = SHAPE.len() / 3;
    let mix = |a: &[f32], b: &[f32], of: &dyn Fn(usize) -> (f64, f64)| -> Vec<f32> {
        let value = |i: usize| {
            let (p, q) = of(timesteps[i / image]);
            (p * f64::from(a[i]) + q * f64::from(b[i])) as f32
        };
        (0..a.len()).map(value).collect()
    };
    let (alpha, sigma) = (|t| schedule.sqrt_alpha_bar(t), |t| schedule.sqrt_one_minus_alpha_bar(t));
    let x_t = mix(&x_0, &noise, &|t| (alpha(t), sigma(t)));
    program.write("sample", &x_t).expect("x_t");
    let times = timesteps.map(|t| t as f32);
    program.write("sinusoid", &noisette::model::unet::sinusoid(&config, &times)).expect("times");
    program.write("class_labels", &labels.iter().map(|&l| l as f32).collect::<Vec<_>>()).expect("labels");
    program.run().expect("a run");
    let predicted = pollster::block_on(program.read("eps")).expect("the prediction");
    let mut seen = 0;
    for prediction in [Prediction::Epsilon, Prediction::VPrediction] {
        let target = match prediction {
            Prediction::Epsilon => noise.clone(),
            _ => mix(&noise, &x_0, &|t| (alpha(t), -sigma(t))),
        };
        for loss in [Loss::L2, Loss::L1] {
            for min_snr_gamma in [None, Some(5.0)] {
                let weight = |t: usize| match (min_snr_gamma, prediction) {
                    (None, _) => 1.0,
                    (Some(gamma), Prediction::Epsilon) => f64::min(1.0, gamma / schedule.snr(t)),
                    (Some(gamma), _) => schedule.snr(t).min(gamma) / (schedule.snr(t) + 1.0),
                };
                let error = |i: usize| f64::from(predicted[i]) - f64::from(target[i]);
                let cost = |i: usize| {
                    weight(timesteps[i / image]) * if loss == Loss::L1 { error(i).abs() } else { error(i).powi(2) }
                };
                let expected = (0..SHAPE.len()).map(cost).sum::<f64>() / SHAPE.len() as f64;
                let report = step(TrainOptions { loss, min_snr_gamma, ..options() }, prediction);
                let off = (f64::from(report.loss) / expected - 1.0).abs();
                assert!(off <= 1e-5, "{prediction:?} {loss:?} {min_snr_gamma:?}: {}, expected {expected}", report.loss);
                for (n, found) in report.errors.iter().enumerate() {
                    let expected = (n * image..(n + 1) * image).map(|i| error(i).powi(2)).sum::<f64>() / image as f64;
                    let off = (f64::from(found.error) / expected - 1.0).abs();
                    assert!(off <= 1e-5 && found.timestep == timesteps[n], "{found:?}, expected {expected}");
                }
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 8);
}

/// Mirrored or not, by chance: with all else alike, the losses of a symmetric picture are the same, those of another are not.
#[test]
fn a_mirrored_picture_is_another_picture() {
    let engine = engine("cpu");
    let losses = |flip: bool, symmetric: bool| -> Vec<f32> {
        let mut trainer = trainer_of(&engine, TrainOptions { flip, ..options() });
        let (mut x_0, labels) = batch(0);
        if symmetric {
            for row in x_0.chunks_exact_mut(8) {
                (0..4).for_each(|i| row[7 - i] = row[i]);
            }
        }
        (0..3).map(|_| pollster::block_on(trainer.step(&x_0, &labels)).expect("a step").loss).collect()
    };
    assert_eq!(losses(true, true), losses(false, true));
    assert_ne!(losses(true, false), losses(false, false));
}

#[test]
fn a_resumed_run_is_the_unbroken_one_to_the_bit() {
    for (name, (options, prediction)) in ENGINES.iter().flat_map(|name| recipes().into_iter().map(move |r| (name, r))) {
        let engine = engine(name);
        let trainer = || trainer_for(&engine, options.clone(), prediction);
        let mut unbroken = trainer();
        let losses = steps(&mut unbroken, 6);

        let mut first = trainer();
        steps(&mut first, 3);
        let saved = state(&mut first);
        drop(first);
        // Whatever it did before is overwritten.
        let mut second = trainer();
        steps(&mut second, 1);
        second.restore(3, |name| saved.get(name).map(Vec::as_slice)).expect("its own state");
        assert_eq!(steps(&mut second, 3), losses[3..], "{name}");
        assert_eq!(bits(&state(&mut second)), bits(&state(&mut unbroken)), "{name}");
    }
}

/// Everything that going on takes passes through bytes, without a folder or a parser of TOML.
#[test]
fn a_run_saved_as_files_goes_on_as_if_unbroken() {
    let engine = engine("cpu");
    let model = golden::checkpoint("grey");
    let mut recipe = Recipe::new(model.config.clone());
    (recipe.options, recipe.scheduler) = (options(), model.scheduler.clone());
    let losses = steps(&mut trainer_of(&engine, options()), 6);
    let mut first = trainer_of(&engine, options());
    steps(&mut first, 3);
    let progress = Progress { step: 3, seconds: 1.5, engine: "cpu".to_owned(), ..Progress::default() };
    let files = pollster::block_on(saved::to_files(&model, &recipe, &progress, &mut first)).expect("files");
    let file = |name: &str| &files.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no {name}")).1[..];

    let (config, scheduler) = (file("config.json"), file("scheduler_config.json"));
    let again = Checkpoint::from_bytes(config, Some(scheduler), file("diffusion_pytorch_model.safetensors"));
    let again = again.expect("a model");
    let found = Progress::from_bytes(file(RUN_FILE), RUN_FILE).expect("a run");
    assert_eq!((found.step, found.seconds, &found.engine[..]), (3, 1.5, "cpu"));
    assert_eq!(found.recipe(&again, None).expect("its recipe"), recipe);
    let mut second = trainer_of(&engine, options());
    steps(&mut second, 1);
    second.restore_bytes(file(STATE_FILE)).expect("its own state");
    assert_eq!(second.step_count(), 3);
    assert_eq!(steps(&mut second, 3), losses[3..]);
    assert_eq!(bits(&state(&mut second)).len(), 4 * second.parameters().len());

    // What lies beside may have been edited where that changes nothing that was done.
    let text = std::str::from_utf8(file(RECIPE_FILE)).expect("a text");
    let with = |key: &str, value: serde_json::Value| {
        let mut settings = read_written(text).expect("a recipe");
        settings.insert(key.to_owned(), value);
        found.recipe(&again, Some(("mine.toml", &settings))).map_err(|error| error.to_string())
    };
    assert_eq!(with("keep", 7.into()), Ok(Recipe { keep: 7, ..recipe.clone() }));
    let error = with("lr", 1.0.into()).expect_err("another rate");
    assert_eq!(error, "mine.toml was changed after the run was saved: `lr` is 0.002 in the run and 1.0 here");
    let mut other = again.clone();
    other.config.class_names = vec!["nought".to_owned()];
    let error = found.recipe(&other, None).expect_err("another model").to_string();
    assert!(error.starts_with("recipe.toml does not belong to the run's own configs: `_class_names` is"), "{error}");
    let error = Progress::from_bytes(b"{", "mine.json").expect_err("half a file").to_string();
    assert!(error.starts_with("mine.json is not a saved run: "), "{error}");
    assert!(Progress { recipe: None, ..found }.recipe(&again, None).is_err(), "nothing says how it was trained");
    let cut = &file(STATE_FILE)[..1000];
    assert!(second.restore_bytes(cut).is_err() && second.step_count() == 6, "what cannot be read changes nothing");
}

#[test]
fn a_state_of_another_model_is_refused() {
    let mut trainer = trainer_of(&engine("cpu"), options());
    let mut saved = state(&mut trainer);
    let moment = saved.keys().find(|name| name.starts_with("adam_v.")).expect("second moments").clone();
    saved.get_mut(&moment).expect("it").push(0.0);
    for _ in 0..2 {
        let error = trainer.restore(3, |name| saved.get(name).map(Vec::as_slice)).expect_err("it does not fit");
        assert!(error.to_string().contains(&moment), "{error}");
        saved.remove(&moment);
    }
    assert_eq!(trainer.step_count(), 0);
}

#[test]
fn a_seed_decides_everything() {
    let engine = engine("cpu");
    let run = |seed: u64| steps(&mut trainer_of(&engine, TrainOptions { seed, ..options() }), 4);
    assert_eq!(run(5), run(5));
    let (a, b) = (run(5), run(6));
    assert!(a.iter().zip(&b).all(|(a, b)| a.loss != b.loss));
}

/// With everything random held fast, the loss of one batch goes towards zero.
#[test]
fn one_batch_is_learned_by_heart() {
    let options = TrainOptions { lr: 5e-3, warmup: 0, cosine_decay: false, ..options() };
    let mut trainer = trainer_of(&engine("cpu"), options);
    let (x_0, labels) = batch(0);
    let noise = Rng::new(1).normals(SHAPE.len());
    let mut losses = Vec::new();
    for _ in 0..250 {
        let step = trainer.step_with(&x_0, &labels, &[700, 300, 900], &[false; 3], &noise);
        losses.push(pollster::block_on(step).expect("a step").loss);
    }
    let last = losses[losses.len() - 1];
    assert!(last.is_finite() && last < 0.05 * losses[0], "from {} to {last}", losses[0]);
}

#[test]
fn a_step_takes_its_timesteps_evenly_where_it_is_told_to() {
    let thirds = |stratified_timesteps| {
        let mut trainer = trainer_of(&engine("cpu"), TrainOptions { stratified_timesteps, ..options() });
        let of = |report: StepReport| {
            let mut thirds: Vec<_> = report.errors.iter().map(|error| error.timestep * 3 / 1000).collect();
            thirds.sort_unstable();
            thirds
        };
        steps(&mut trainer, 12).into_iter().map(of).collect::<Vec<_>>()
    };
    assert!(thirds(true).iter().all(|thirds| *thirds == [0, 1, 2]));
    assert!(thirds(false).iter().any(|thirds| *thirds != [0, 1, 2]));
}

#[test]
fn what_is_no_number_stops_training_with_a_sentence() {
    for name in ENGINES {
        let plain = TrainOptions { stratified_timesteps: false, ..options() };
        let mut trainer = trainer_of(&engine(name), plain);
        step(&mut trainer);
        let (mut x_0, labels) = batch(1);
        x_0[7] = f32::NAN;
        let error = pollster::block_on(trainer.step(&x_0, &labels)).expect_err("the loss is not a number");
        let text = error.to_string();
        assert!(text.contains("step 2") && text.contains("NaN") && text.contains("learning rate"), "{name}: {text}");
        // x_0's eighth value belongs to the first image.
        let worst = noisette::rng::Rng::stream(options().seed, 2).below(1000);
        let range = format!("at timestep {worst} (in the range {} to {})", worst / 100 * 100, worst / 100 * 100 + 99);
        assert!(text.contains(&range), "{name}: {range} is not in {text}");
        assert_eq!(trainer.step_count(), 1, "{name}: the step does not count");
    }
}

#[test]
fn a_model_that_predicts_x_0_is_refused() {
    let Checkpoint { config, scheduler, .. } = golden::checkpoint("grey");
    let schedule = scheduler.schedule().expect("a schedule");
    let trainer = Trainer::new(&engine("cpu"), &config, schedule, Prediction::Sample, options(), &[]);
    let text = trainer.err().expect("there is no loss for it").to_string();
    assert!(text.contains("sample") && text.contains("epsilon"), "{text}");
}

#[test]
fn a_dropped_label_is_the_label_that_means_none() {
    let engine = engine("cpu");
    let (x_0, labels) = batch(0);
    let noise = Rng::new(1).normals(SHAPE.len());
    let loss = |labels: &[usize], dropped: [bool; 3]| {
        let mut trainer = trainer_of(&engine, options());
        let step = trainer.step_with(&x_0, labels, &[10, 500, 990], &dropped, &noise);
        pollster::block_on(step).expect("a step").loss
    };
    let none = golden::checkpoint("grey").config.null_class.expect("a null class");
    assert_eq!(loss(&labels, [false, true, true]), loss(&[labels[0], none, none], [false; 3]));
    assert_ne!(loss(&labels, [false, true, true]), loss(&labels, [false; 3]));
}

/// The share of dropped labels in training is the one asked for: with all dropped, labels do not matter, with none they do.
#[test]
fn labels_are_dropped_as_often_as_asked() {
    let engine = engine("cpu");
    let loss = |label_dropout: f64, labels: [usize; 3]| {
        let mut trainer = trainer_of(&engine, TrainOptions { label_dropout, ..options() });
        pollster::block_on(trainer.step(&batch(0).0, &labels)).expect("a step").loss
    };
    assert_eq!(loss(1.0, [1, 2, 3]), loss(1.0, [4, 5, 6]));
    assert_ne!(loss(0.0, [1, 2, 3]), loss(0.0, [4, 5, 6]));
}

/// ema ← ema + (1 − decay)·(weights − ema), with the decay approached as (1 + n)/(10 + n).
#[test]
fn the_average_follows_the_weights() {
    for name in ENGINES {
        let mut trainer = trainer_of(&engine(name), TrainOptions { ema_decay: 0.25, ..options() });
        let read = |trainer: &mut Trainer, averaged: bool| {
            pollster::block_on(trainer.read_weights(averaged)).expect("the weights").concat()
        };
        let mut average: Vec<f64> = read(&mut trainer, true).into_iter().map(f64::from).collect();
        for n in 1..=4 {
            step(&mut trainer);
            let decay = f64::min(0.25, (1.0 + f64::from(n)) / (10.0 + f64::from(n)));
            for (a, w) in average.iter_mut().zip(read(&mut trainer, false)) {
                *a += (1.0 - decay) * (f64::from(w) - *a);
            }
        }
        let expected: Vec<f32> = average.iter().map(|&a| a as f32).collect();
        let error = relative(&read(&mut trainer, true), &expected);
        assert!(error <= 1e-6, "{name}: {error}");
    }
}

#[test]
fn the_learning_rate_rises_and_falls() {
    let options = TrainOptions { lr: 1.0, warmup: 10, steps: 110, ..options() };
    for (step, expected) in [(1, 0.1), (5, 0.5), (10, 1.0), (60, 0.5), (110, 0.0), (500, 0.0)] {
        let found = options.learning_rate(step);
        assert!((found - expected).abs() <= 1e-12, "step {step}: {found}, expected {expected}");
    }
    let steady = TrainOptions { cosine_decay: false, warmup: 0, ..options };
    assert_eq!((steady.learning_rate(1), steady.learning_rate(110)), (1.0, 1.0));
}

#[test]
fn start_values_come_from_the_seed_and_have_the_spread_of_pytorchs() {
    let (graph, _) = training_loss(&golden::checkpoint("grey").config, SHAPE, Objective::default());
    let weights = initialise(&graph, 3);
    assert_eq!(weights, initialise(&graph, 3));
    let other = initialise(&graph, 4);
    let mut varied = 0;
    for ((spec, values), other) in graph.parameters().iter().zip(&weights).zip(&other) {
        let affine = spec.name.contains("norm");
        if affine {
            let expected = if spec.name.ends_with("weight") { 1.0 } else { 0.0 };
            assert!(values.iter().all(|&v| v == expected), "{}", spec.name);
            continue;
        }
        assert_ne!(values, other, "{}", spec.name);
        if values.len() >= 200 && !spec.name.contains("class_embedding") {
            let bound = 1.0 / (values.len() as f64 / spec.shape.c() as f64).sqrt();
            let variance = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len() as f64;
            let expected = bound * bound / 3.0;
            assert!((variance / expected - 1.0).abs() <= 0.3, "{}: {variance}, expected {expected}", spec.name);
            assert!(values.iter().all(|v| f64::from(v.abs()) <= bound * 1.000_001), "{}", spec.name);
            varied += 1;
        }
    }
    assert!(varied > 5, "{varied} weights are large enough to tell");
}

#[test]
fn a_network_that_starts_at_zero_predicts_zero_and_every_block_of_it_is_the_identity() {
    let config = golden::checkpoint("grey").config;
    let (graph, _) = training_loss(&config, SHAPE, Objective::default());
    let before = initialise(&graph, 3);
    let mut weights = before.clone();
    start_at_zero(&graph, &mut weights);
    let mut zeros = Vec::new();
    for ((spec, weights), before) in graph.parameters().iter().zip(&weights).zip(&before) {
        if weights != before {
            assert!(weights.iter().all(|&w| w == 0.0), "{}", spec.name);
            zeros.push(spec.name.clone());
        }
    }
    let (blocks, attentions) = (2 * config.block_out_channels.len() * config.layers_per_block, 1);
    assert!(zeros.len() > 2 * (blocks + attentions), "{zeros:?}");
    for name in ["conv_out.weight", "mid_block.attentions.0.to_out.0.weight", "up_blocks.0.resnets.0.conv2.bias"] {
        assert!(zeros.iter().any(|zero| zero == name), "{name} is not in {zeros:?}");
    }
    let mut program = engine("cpu").compile(&noisette::model::step::prediction(&config, SHAPE)).expect("a program");
    for (spec, values) in graph.parameters().iter().zip(&weights) {
        program.write(&spec.name, values).expect("a parameter");
    }
    program.write("sample", &Rng::new(1).normals(SHAPE.len())).expect("a sample");
    program.write("sinusoid", &sinusoid(&config, &[1.0, 40.0, 999.0])).expect("timesteps");
    if config.num_class_embeds.is_some() {
        program.write("class_labels", &[0.0, 1.0, 0.0]).expect("labels");
    }
    program.run().expect("a run");
    let predicted = pollster::block_on(program.read("eps")).expect("a prediction");
    assert!(predicted.iter().all(|&p| p == 0.0), "{predicted:?}");
}
