//! How good a model is, as the library measures it. What the numbers should be is the command line's tests' question.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::checkpoint::Checkpoint;
use noisette::data::Dataset;
use noisette::diffusion::forward::{from_pixel, noised};
use noisette::diffusion::objective::simple_loss;
use noisette::engine::{Engine, Weights};
use noisette::evaluate::{BoundSettings, EvaluateError, Evaluation, RangeError, SquaredErrorSettings};
use noisette::playground::{Session, load};
use noisette::rng::Rng;
use noisette::web::job::Tensor;
use noisette::web::measure::{BOUND, Measure, Measurement, ROUNDS, spread};
use noisette::web::noise::curve::x_0_error;
use support::golden::{self, engine};

fn data(count: usize, side: usize) -> Dataset {
    let mut rng = Rng::new(3);
    let images = (0..count * side * side).map(|_| rng.below(256) as u8).collect();
    Dataset { images, labels: (0..count).map(|i| (i % 10) as u8).collect(), height: side, width: side, channels: 1 }
}

fn model() -> (Engine, Checkpoint, Weights) {
    let (engine, model) = (engine("cpu"), golden::checkpoint("grey"));
    let weights = load(&engine, &model).expect("weights");
    (engine, model, weights)
}

#[test]
fn it_tells_how_far_it_is_and_all_ranges_together_are_the_whole() {
    let ((engine, model, weights), data) = (model(), data(70, 8));
    let evaluation = Evaluation::new(&engine, &model, &weights, &data).expect("they fit");
    let settings = SquaredErrorSettings { images: 70, draws: 1, seed: 2 };
    let mut told = Vec::new();
    let error = pollster::block_on(evaluation.squared_error(&settings, |done| told.push(done))).expect("an error");
    assert_eq!(told, [64, 70]);
    assert!(error.ranges.len() == 10 && error.ranges.iter().all(|range| range.images.abs_diff(7) <= 1), "{error:?}");
    let sum = |range: &RangeError| range.mse.expect("images") * range.images as f64;
    let mean = error.ranges.iter().map(sum).sum::<f64>() / 70.0;
    assert!((mean / error.mse - 1.0).abs() <= 1e-12 && error.mse > 0.1, "{error:?}");
    assert_eq!((error.ranges[0].timesteps, error.ranges[9].timesteps), ((0, 99), (900, 999)));

    let settings = BoundSettings { images: 3, timesteps: 2000, seed: 2 };
    let (mut told, most) = (Vec::new(), BoundSettings { timesteps: 4, ..settings });
    let bound = pollster::block_on(evaluation.bound(&most, |done| told.push(done))).expect("a bound");
    assert!(told == [1, 2, 3] && bound.timesteps == 4, "{told:?}");
    let parts = bound.prior.mean + bound.denoising.mean + bound.decoder.mean;
    assert!((parts / bound.total.mean - 1.0).abs() <= 1e-12 && bound.total.mean > 1.0, "{bound:?}");
    let mut other = model.clone();
    other.scheduler.num_train_timesteps = 5;
    let evaluation = Evaluation::new(&engine, &other, &weights, &data).expect("a shorter schedule");
    let bound = pollster::block_on(evaluation.bound(&settings, |_| ())).expect("a bound");
    assert_eq!(bound.timesteps, 4, "a schedule of five steps has no more beside timestep 0");
}

/// Puts the questions of a measurement one by one, as a worker of the page does: at what, and the numbers that there are.
fn measure(session: &mut Session, what: Measure, x_0: &[f32], epsilon: &[f32]) -> Vec<(usize, Vec<f32>)> {
    let shape = session.image_shape();
    let tensor = |(name, values): (&str, &[f32])| Tensor::new(name, shape, values.to_vec());
    let mut tensors = [("x0", x_0), ("epsilon", epsilon)].map(tensor).to_vec();
    let mut measurement =
        Measurement::begin(what, &mut tensors, session.scheduler(), shape.len()).expect("a measurement");
    let mut measured = Vec::new();
    while let Some((timestep, x_t)) = measurement.ask() {
        let answer = pollster::block_on(session.predict(&x_t, timestep, None)).expect("an answer");
        let (at, tensor) = measurement.take(&answer.epsilon, &answer.x0).expect("an answer to that");
        measured.push((at, tensor.map_or_else(Vec::new, |tensor| tensor.values)));
    }
    measured
}

fn x_0(data: &Dataset) -> Vec<f32> {
    data.image(0).iter().map(|&byte| from_pixel(byte)).collect()
}

#[test]
fn the_bound_of_one_picture_question_by_question_is_that_of_so_many_copies() {
    let (engine, model, weights) = model();
    let mut data = data(1, 8);
    let null = model.config.null_class.expect("a null class") as u8;
    (data.images, data.labels) = (data.images.repeat(ROUNDS), vec![null; ROUNDS]);
    let evaluation = Evaluation::new(&engine, &model, &weights, &data).expect("they fit");
    let bound = pollster::block_on(evaluation.bound(&BOUND, |_| ())).expect("a bound");
    let mut session = Session::new(engine.clone(), model.clone()).expect("a session");
    let mut measured = measure(&mut session, Measure::Bits, &x_0(&data), &[]);
    assert!(measured.iter().map(|(at, _)| *at).eq(1..=ROUNDS * (BOUND.timesteps + 1)), "{measured:?}");
    let (_, bits) = measured.pop().expect("the last one");
    assert!(measured.iter().all(|(_, none)| none.is_empty()));
    let error = bound.total.error.expect("several rounds");
    let expected = [bound.total.mean, error, bound.prior.mean, bound.denoising.mean, bound.decoder.mean];
    for (found, expected) in bits.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{bits:?} {bound:?}");
    }
    assert!(bits.len() == 5 && bits[0] > 1.0 && bits[1] > 0.0, "{bits:?}");
}

#[test]
fn losses_are_those_of_the_predictions() {
    let (engine, model, _) = model();
    let mut session = Session::new(engine, model).expect("a session");
    let (schedule, len) = (session.schedule().clone(), session.image_shape().len());
    let (x_0, epsilon) = (x_0(&data(1, 8)), Rng::new(1).normals(len));
    let measured = measure(&mut session, Measure::Losses, &x_0, &epsilon);
    let expected = spread(1000).into_iter().map(|t| {
        let mut x_t = vec![0.0; len];
        noised(&schedule, t, &x_0, &epsilon, &mut x_t);
        let answer = pollster::block_on(session.predict(&x_t, t, None)).expect("an answer");
        let loss = simple_loss(&epsilon, &answer.epsilon);
        let (found, error) = (x_0_error(&schedule, t + 1, loss), simple_loss(&x_0, &answer.x0));
        assert!((found / error - 1.0).abs() < 1e-2, "{found} for {error} at {t}");
        (t, vec![loss as f32])
    });
    assert_eq!(measured, expected.collect::<Vec<_>>());
    for (what, names, problem) in [
        (Measure::Losses, ["x0", "other"], "the measurement has no epsilon of 64 values"),
        (Measure::Bits, ["x", "epsilon"], "the measurement has no x0 of 64 values"),
    ] {
        let mut tensors = names.map(|name| Tensor::new(name, session.image_shape(), x_0.clone())).to_vec();
        let refused = Measurement::begin(what, &mut tensors, session.scheduler(), len);
        assert_eq!(refused.err().as_deref(), Some(problem));
    }
}

#[test]
fn what_cannot_be_measured_is_told() {
    let (engine, mut model, weights) = model();
    let text = |error: EvaluateError| error.to_string();
    let wide = data(2, 12);
    let error = Evaluation::new(&engine, &model, &weights, &wide).err().map(text);
    assert_eq!(error.as_deref(), Some("the pictures are 12×12×1, the model takes 8×8×1"));
    let rows = model.config.num_class_embeds.expect("classes");
    let mut unknown = data(2, 8);
    unknown.labels[1] = rows as u8;
    let error = Evaluation::new(&engine, &model, &weights, &unknown).err().map(text).expect("no such label");
    assert_eq!(error, format!("a picture has label {rows}, the model's are 0 to {}", rows - 1));

    let data = data(2, 8);
    let error = |model: &Checkpoint, weights: &Weights, images: usize, draws: usize| {
        let evaluation = Evaluation::new(&engine, model, weights, &data).expect("they fit");
        let settings = SquaredErrorSettings { images, draws, seed: 0 };
        pollster::block_on(evaluation.squared_error(&settings, |_| ())).err().map(text)
    };
    for images in [0, 3] {
        let expected = format!("{images} pictures are to be measured, expected 1 to 2");
        assert_eq!(error(&model, &weights, images, 1), Some(expected));
    }
    assert!(error(&model, &weights, 2, 0).is_some_and(|error| error.contains("noised 0 times")));
    assert_eq!(error(&model, &weights, 2, 1), None);
    for (_, values) in model.tensors.values_mut() {
        values.iter_mut().for_each(|value| *value = 1e38);
    }
    let ruined = load(&engine, &model).expect("finite weights");
    assert!(error(&model, &ruined, 2, 1).is_some_and(|error| error.contains("not finite")));
}
