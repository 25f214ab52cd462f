//! Progressive distillation: the target by its exact law on Gaussian data, the step towards it, and a student that comes close to
//! its teacher, goes on after a break as if there had been none, and is refused where it cannot be.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::checkpoint::{Checkpoint, FileParameters, TensorFile};
use noisette::diffusion::walk::{DDIM, Inputs, Move, SLOTS};
use noisette::diffusion::{BetaSchedule, Prediction, Real, SamplerConfig, Schedule, forward};
use noisette::engine::Engine;
use noisette::model::step::prediction;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use noisette::train::distill::interval::sampler;
use noisette::train::distill::{Interval, Teacher, intervals, shared};
use noisette::train::{Distillation, Distiller, StepReport, TrainOptions, Trainer};
use support::golden::{self, engine, relative};

fn schedules() -> [Schedule; 2] {
    let of = |kind| Schedule::new(kind, 1000, 1e-4, 0.02).expect("a schedule");
    [of(BetaSchedule::Linear), of(BetaSchedule::SquaredcosCapV2)]
}

fn unclipped() -> SamplerConfig {
    SamplerConfig { clip: None, prediction: Prediction::VPrediction, ..SamplerConfig::default() }
}

/// (α, σ) of entry `k` of the trailing list of `n` among 1000 timesteps, and of x_0 itself behind the last.
fn level(schedule: &Schedule, n: usize, k: usize) -> (f64, f64) {
    if k == n {
        return (1.0, 0.0);
    }
    let t = (1000.0 - 1000.0 * k as f64 / n as f64).round_ties_even() as usize - 1;
    (schedule.alpha_bar(t).sqrt(), (1.0 - schedule.alpha_bar(t)).sqrt())
}

/// The v that a perfect network predicts of data that are normal with this mean and standard deviation.
fn exact_v((alpha, sigma): (f64, f64), mean: f64, deviation: f64, z: f64) -> f64 {
    let variance = (alpha * deviation).powi(2) + sigma * sigma;
    let x_0 = mean + alpha * deviation * deviation / variance * (z - alpha * mean);
    (alpha * z - x_0) / sigma
}

/// DDIM's step by the book (Song et al. 2021, equation 12 with σ = 0).
fn ddim((alpha, sigma): (f64, f64), (alpha_s, sigma_s): (f64, f64), z: f64, v: f64) -> f64 {
    alpha_s * (alpha * z - sigma * v) + sigma_s * (sigma * z + alpha * v)
}

/// Where a move of a walk leads.
fn take<T: Real>(step: &Move, x: &[T], output: &[T]) -> Vec<T> {
    let mut out = vec![T::of(0.0); x.len()];
    let inputs = Inputs { x, output, noise: &[], known: &[], mask: &[] };
    step.apply(inputs, &mut vec![T::of(0.0); SLOTS * x.len()], &mut out);
    out
}

#[test]
fn the_target_leads_in_one_step_where_the_exact_teacher_goes_in_two() {
    let (mean, deviation) = (0.3, 0.6);
    let mut worst = 0.0_f64;
    for schedule in schedules() {
        for n in [1, 2, 4, 8] {
            let all = intervals(&schedule, n, &unclipped()).expect("intervals");
            let student = DDIM.walk(&schedule, &sampler(n, &unclipped())).expect("a walk");
            assert_eq!((all.len(), student.moves.len()), (n, n));
            for (k, interval) in all.iter().enumerate() {
                let [t, mid, s] = [0, 1, 2].map(|j| level(&schedule, 2 * n, 2 * k + j));
                for z in [-1.7, 0.02, 0.9] {
                    let z_mid = ddim(t, mid, z, exact_v(t, mean, deviation, z));
                    let z_s = ddim(mid, s, z_mid, exact_v(mid, mean, deviation, z_mid));
                    // The library's two steps, then its target, then a step of the student's own walk.
                    let first = interval.step(0, &[z], &[exact_v(t, mean, deviation, z)]);
                    let second = interval.step(1, &first, &[exact_v(mid, mean, deviation, first[0])]);
                    let v = interval.target(&[z], &second);
                    let found = take(&student.moves[k], &[z], &v)[0];
                    worst = worst.max((found - z_s).abs()).max((second[0] - z_s).abs());
                    assert_eq!(student.moves[k].timestep, interval.timestep());
                    if s == (1.0, 0.0) {
                        let x_0 = t.0 * z - t.1 * v[0];
                        worst = worst.max((x_0 - z_s).abs());
                    }
                }
            }
        }
    }
    // A NaN anywhere would have passed `max`.
    assert!(worst.is_finite() && worst > 0.0 && worst <= 1e-12, "off by {worst:e}");
}

/// Of data with variance 1 the exact v is 0 everywhere, so that a DDIM step only turns: z_s = cos Δθ·z_t.
#[test]
fn of_standard_normal_data_the_gain_is_the_product_of_cosines() {
    for schedule in schedules() {
        for n in [1, 2, 4, 8] {
            for (k, interval) in intervals(&schedule, n, &unclipped()).expect("intervals").iter().enumerate() {
                let angle = |j: usize| {
                    let (alpha, sigma) = level(&schedule, 2 * n, j);
                    sigma.atan2(alpha)
                };
                let [t, mid, s] = [2 * k, 2 * k + 1, 2 * k + 2].map(angle);
                let gain = (t - mid).cos() * (mid - s).cos();
                let z = 0.7;
                let v = exact_v(level(&schedule, 2 * n, 2 * k), 0.0, 1.0, z);
                assert!(v.abs() <= 1e-12, "{v}");
                let first = interval.step(0, &[z], &[0.0]);
                let second = interval.step(1, &first, &[0.0]);
                // One step of the student with its target: cos(t − s)·z − sin(t − s)·v.
                let v = interval.target(&[z], &second)[0];
                let found = (t - s).cos() * z - (t - s).sin() * v;
                assert!((found / z - gain).abs() <= 1e-12, "{n} steps, {k}: {} for {gain}", found / z);
            }
        }
    }
}

#[test]
fn a_teacher_clips_as_its_scheduler_says() {
    let [schedule, _] = schedules();
    let clip = SamplerConfig { clip: Some(0.5), ..unclipped() };
    let all = intervals(&schedule, 2, &clip).expect("intervals");
    let (t, last) = (level(&schedule, 4, 0), &all[1]);
    let v_of = |x_0: f64, (alpha, sigma): (f64, f64)| (alpha * 0.8 - x_0) / sigma;
    let clipped = all[0].step(0, &[0.8], &[v_of(3.0, t)]);
    assert!((clipped[0] - all[0].step(0, &[0.8], &[v_of(0.5, t)])[0]).abs() <= 1e-12);
    assert_eq!(last.step(1, &[0.8], &[v_of(3.0, level(&schedule, 4, 3))]), [0.5], "the end is the clipped picture");
}

#[test]
fn lists_of_powers_of_two_fit_into_each_other() {
    for schedule in schedules() {
        for n in [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64, 128, 256, 500] {
            assert_eq!(intervals(&schedule, n, &unclipped()).expect("intervals").len(), n);
        }
        let error = intervals(&schedule, 512, &unclipped()).expect_err("1024 steps").to_string();
        assert_eq!(error, "sampling takes 1 to 1000 steps with this schedule, found 1024");
    }
}

/// Three images of 8×8.
const SHAPE: Shape = Shape::new(3, 8, 8, 1);

/// The class-conditional golden network, as if it predicted v.
fn model() -> Checkpoint {
    let mut model = golden::checkpoint("grey");
    model.scheduler.prediction_type = Prediction::VPrediction;
    model.scheduler.clip_sample = false;
    model
}

fn options(batch: usize, steps: u64, lr: f64) -> TrainOptions {
    TrainOptions { batch, steps, lr, warmup: 0, label_dropout: 0.0, ema_decay: 0.0, seed: 5, ..TrainOptions::default() }
}

fn plan(steps: usize, from_steps: usize, training_steps: u64) -> Distillation {
    Distillation {
        steps,
        from_steps,
        guidance: 1.5,
        and_half: false,
        training_steps,
        null_class: Some(10),
        valid_steps: vec![],
    }
}

/// Pictures and classes of step `k`.
fn batch(k: u64, n: usize) -> (Vec<f32>, Vec<usize>) {
    let mut rng = Rng::stream(99, k);
    let x_0 = rng.normals(n * 64).into_iter().map(|x| x.clamp(-1.0, 1.0)).collect();
    (x_0, (0..n).map(|_| rng.below(10)).collect())
}

fn trainer(engine: &Engine, prediction: Prediction) -> Trainer {
    let Checkpoint { config, scheduler, .. } = model();
    let values = model().load_parameters(&specs(&model())).expect("its weights");
    let options = TrainOptions { max_grad_norm: 1e9, ..options(3, 10, 1e-3) };
    Trainer::new(engine, &config, scheduler.schedule().expect("a schedule"), prediction, options, &values)
        .expect("a trainer")
}

fn specs(model: &Checkpoint) -> Vec<noisette::graph::ParamSpec> {
    prediction(&model.config, model.config.image_shape()).parameters()
}

/// A teacher of a model's weights.
fn teacher(engine: &Engine, model: &Checkpoint, n: usize, guidance: f64) -> Teacher {
    let specs = specs(model);
    let weights = engine.load(&specs, &model.load_parameters(&specs).expect("weights")).expect("room for them");
    Teacher::new(engine, &model.config, weights, SHAPE.with_n(n), guidance).expect("a teacher")
}

fn moments(trainer: &mut Trainer) -> Vec<f32> {
    let state = pollster::block_on(trainer.state()).expect("the state");
    state.into_iter().filter(|(name, _)| name.starts_with("adam_m.")).flat_map(|(_, values)| values).collect()
}

#[test]
fn a_step_towards_the_v_of_data_is_a_step_of_training() {
    let schedule = model().scheduler.schedule().expect("a schedule");
    let (x_0, labels) = batch(1, 3);
    let noise = Rng::new(8).normals(SHAPE.len());
    // The first and last timesteps turn by hardly anything, and by a right angle.
    let timesteps = [0, 480, 999];
    let rotate = |i: usize| {
        let (a, b) = forward::closed_form(&schedule, timesteps[i / 64]);
        let (x, e) = (f64::from(x_0[i]), f64::from(noise[i]));
        ((a * x + b * e) as f32, (a * e - b * x) as f32)
    };
    let (x_t, v): (Vec<f32>, Vec<f32>) = (0..SHAPE.len()).map(rotate).unzip();
    for name in golden::ENGINES {
        let engine = engine(name);
        let mut of_data = trainer(&engine, Prediction::VPrediction);
        let of_data_step = of_data.step_with(&x_0, &labels, &timesteps, &[false; 3], &noise);
        let expected = pollster::block_on(of_data_step).expect("a step");
        let mut towards = trainer(&engine, Prediction::VPrediction);
        let found = pollster::block_on(towards.step_towards(&x_t, &v, &timesteps, &labels)).expect("a step");
        let numbers = |report: &StepReport| {
            let errors = report.errors.iter().map(|image| image.error);
            [report.loss, report.grad_norm].into_iter().chain(errors).collect::<Vec<_>>()
        };
        let off = relative(&numbers(&found), &numbers(&expected));
        let gradients = relative(&moments(&mut towards), &moments(&mut of_data));
        assert!(off <= 1e-5 && gradients <= 1e-5, "{name}: {off:e}, {gradients:e}");
    }
}

/// Of targets that no picture has: the loss is the mean of squares, and the gradient is its slope.
#[test]
fn a_step_towards_any_v_goes_down_the_mean_square() {
    let engine = engine("cpu");
    let (x_t, labels) = (Rng::new(1).normals(SHAPE.len()), [4, 0, 9]);
    let v = Rng::new(2).normals(SHAPE.len());
    let timesteps = [999, 499, 31];
    let loss = |model: &Checkpoint| {
        let mut network = teacher(&engine, model, 3, 1.0);
        let predicted = pollster::block_on(network.predict(&x_t, &timesteps, &labels)).expect("a prediction");
        let squares = predicted.iter().zip(&v).map(|(&p, &v)| (f64::from(p) - f64::from(v)).powi(2));
        squares.sum::<f64>() / v.len() as f64
    };
    let mut trainer = trainer(&engine, Prediction::VPrediction);
    let report = pollster::block_on(trainer.step_towards(&x_t, &v, &timesteps, &labels)).expect("a step");
    let expected = loss(&model());
    assert!((f64::from(report.loss) / expected - 1.0).abs() <= 1e-5, "{} for {expected}", report.loss);

    // Adam's first moment after one step is (1 − β₁) times the gradient; along it the loss rises by its square.
    let gradient: Vec<f32> = moments(&mut trainer).iter().map(|m| m / 0.1).collect();
    let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    assert!((norm / f64::from(report.grad_norm) - 1.0).abs() <= 1e-4, "{norm} for {}", report.grad_norm);
    let moved = |by: f64| {
        let (mut at, mut moved) = (0, model());
        let values = moved.load_parameters(&specs(&moved)).expect("weights");
        let step = |values: Vec<f32>| -> Vec<f32> {
            let part = &gradient[at..at + values.len()];
            at += values.len();
            values.iter().zip(part).map(|(&x, &g)| (f64::from(x) + by * f64::from(g) / norm) as f32).collect()
        };
        let values: Vec<Vec<f32>> = values.into_iter().map(step).collect();
        moved.tensors = noisette::checkpoint::store_parameters(&specs(&moved), &values);
        loss(&moved)
    };
    let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
    assert!((slope / norm - 1.0).abs() <= 0.01, "{slope} along a gradient of {norm}");
}

#[test]
fn a_step_towards_v_needs_a_model_of_v_and_a_whole_batch() {
    let engine = engine("cpu");
    let whole = vec![0.0; SHAPE.len()];
    let mut of_noise = trainer(&engine, Prediction::Epsilon);
    let step = of_noise.step_towards(&whole, &whole, &[1, 2, 3], &[0, 1, 2]);
    let error = pollster::block_on(step).expect_err("it predicts the noise").to_string();
    assert_eq!(
        error,
        "a step towards a given v takes a model that predicts v_prediction, found one that predicts epsilon"
    );
    let mut trainer = trainer(&engine, Prediction::VPrediction);
    for (x, v, timesteps) in [(191, 192, 3), (192, 191, 3), (192, 192, 2)] {
        let step = trainer.step_towards(&whole[..x], &whole[..v], &[7; 3][..timesteps], &[0, 1, 2]);
        assert!(pollster::block_on(step).is_err() && trainer.step_count() == 0, "{x} {v} {timesteps}");
    }
}

/// Where two guided steps lead, put together from single predictions.
fn guided_steps(network: &mut Teacher, z: &[f32], intervals: &[Interval], labels: &[usize], w: f32) -> Vec<f32> {
    let mut z = z.to_vec();
    for which in 0..2 {
        let timesteps: Vec<usize> = intervals
            .iter()
            .map(|interval| [Some(interval.first), interval.second][which].expect("two steps").timestep)
            .collect();
        let mut predict =
            |labels: &[usize]| pollster::block_on(network.predict(&z, &timesteps, labels)).expect("a prediction");
        let (with, without) = (predict(labels), predict(&vec![10; labels.len()]));
        let output: Vec<f32> = with.iter().zip(&without).map(|(c, n)| n + w * (c - n)).collect();
        z = z
            .chunks(64)
            .zip(output.chunks(64))
            .zip(intervals)
            .flat_map(|((z, output), interval)| interval.step(which, z, output))
            .collect();
    }
    z
}

#[test]
fn a_guided_teacher_mixes_two_predictions_at_every_step() {
    let schedule = model().scheduler.schedule().expect("a schedule");
    let all = intervals(&schedule, 4, &unclipped()).expect("intervals");
    // Every picture at a level of its own.
    let (z, labels, chosen) = (Rng::new(6).normals(SHAPE.len()), [7, 2, 2], [all[3], all[0], all[2]]);
    for name in golden::ENGINES {
        let engine = engine(name);
        let expected = guided_steps(&mut teacher(&engine, &model(), 3, 1.0), &z, &chosen, &labels, 2.5);
        let mut guided = teacher(&engine, &model(), 3, 2.5);
        let found = pollster::block_on(guided.two_steps(&z, &chosen, &labels)).expect("two steps");
        let off = relative(&found, &expected);
        assert!(off <= 1e-5, "{name}: {off:e}");
        let plain = pollster::block_on(teacher(&engine, &model(), 3, 1.0).two_steps(&z, &chosen, &labels));
        assert!(relative(&plain.expect("two steps"), &expected) >= 1e-2, "guidance makes a difference here");
    }
}

/// The mean square between the student's one step and the guided teacher's two, over all levels and noise that nobody trained on.
fn held_back_error(engine: &Engine, student: &mut Teacher, all: &[Interval], w: f32) -> f64 {
    let n = 4 * all.len();
    let schedule = model().scheduler.schedule().expect("a schedule");
    let chosen: Vec<Interval> = (0..n).map(|i| all[i % all.len()]).collect();
    let timesteps: Vec<usize> = chosen.iter().map(Interval::timestep).collect();
    let (x_0, labels) = batch(12345, n);
    let noise = Rng::new(777).normals(x_0.len());
    let mut z = vec![0.0; x_0.len()];
    for (i, z) in z.chunks_exact_mut(64).enumerate() {
        forward::noised(&schedule, timesteps[i], &x_0[64 * i..][..64], &noise[64 * i..][..64], z);
    }
    let ends = guided_steps(&mut teacher(engine, &model(), n, 1.0), &z, &chosen, &labels, w);
    let v = pollster::block_on(student.predict(&z, &timesteps, &labels)).expect("a prediction");
    let walk = DDIM.walk(&schedule, &sampler(all.len(), &unclipped())).expect("a walk");
    let step = |i: usize| take(&walk.moves[i % all.len()], &z[64 * i..][..64], &v[64 * i..][..64]);
    let found: Vec<f32> = (0..n).flat_map(step).collect();
    found.iter().zip(&ends).map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>() / found.len() as f64
}

#[test]
fn a_halving_brings_the_student_close_to_two_steps_of_its_teacher() {
    let engine = engine("cpu");
    let plan = plan(2, 4, 150);
    let mut distiller =
        Distiller::begin(&engine, &model(), &plan, options(8, plan.total(), 2e-3)).expect("a distiller");
    let student = plan.student(&model());
    let all = distiller.intervals().to_vec();
    let error = |distiller: &mut Distiller| {
        let weights = distiller.trainer().weights(true);
        let mut network =
            Teacher::new(&engine, &student.config, weights, SHAPE.with_n(8), 1.0).expect("the student's network");
        held_back_error(&engine, &mut network, &all, 1.5)
    };
    let before = error(&mut distiller);
    for k in 0..plan.total() {
        let (x_0, labels) = batch(k, 8);
        pollster::block_on(distiller.step(&x_0, &labels)).expect("a step");
    }
    let after = error(&mut distiller);
    assert!(before.is_finite() && after <= 0.5 * before, "from {before:.2e} to {after:.2e}");
}

fn run(distiller: &mut Distiller, count: usize) -> Vec<StepReport> {
    let step = |_| {
        let (x_0, labels) = batch(distiller.trainer().step_count(), 3);
        pollster::block_on(distiller.step(&x_0, &labels)).expect("a step")
    };
    (0..count).map(step).collect()
}

#[test]
fn a_resumed_distillation_is_the_unbroken_one_to_the_bit() {
    let plan = plan(1, 4, 3);
    for (name, averaged) in golden::ENGINES.into_iter().zip([0.0, 0.9]) {
        let engine = engine(name);
        let options = TrainOptions { ema_decay: averaged, flip: true, ..options(3, plan.total(), 1e-3) };
        let begin = || Distiller::begin(&engine, &model(), &plan, options.clone()).expect("a distiller");
        let bytes = |distiller: &mut Distiller| pollster::block_on(distiller.to_bytes()).expect("its state");
        let mut unbroken = begin();
        let reports = run(&mut unbroken, 6);
        // A halving's rate begins anew, and falls towards 0 in each.
        let rates: Vec<f64> = reports.iter().map(|report| report.lr).collect();
        assert!(rates[0] == rates[3] && rates[2] < 0.3 * rates[0] && rates[5] == rates[2], "{rates:?}");
        let timesteps = |report: &StepReport| report.errors.iter().map(|image| image.timestep).collect::<Vec<_>>();
        assert!(reports[3..].iter().all(|report| timesteps(report) == [999; 3]), "one step begins at the last");
        for broken in [1, 3, 4] {
            let mut first = begin();
            run(&mut first, broken);
            let state = TensorFile::from_bytes(&bytes(&mut first)).expect("a state");
            let student = plan.student(&model());
            let mut second =
                Distiller::resume(&engine, &student, &plan, options.clone(), &state).expect("the same again");
            assert_eq!((second.trainer().step_count(), second.halving()), (broken as u64, (broken - 1) / 3));
            assert!(bytes(&mut second) == bytes(&mut first), "{name}: what is read is what was saved");
            assert_eq!(run(&mut second, 6 - broken), reports[broken..], "{name} after {broken}");
            assert!(bytes(&mut second) == bytes(&mut unbroken), "{name} after {broken}");
        }
    }
}

#[test]
fn the_student_is_the_teacher_without_its_null_class_and_says_what_it_is_for() {
    let plan = Distillation { valid_steps: vec![2, 8, 2], ..plan(4, 16, 1) };
    assert_eq!((plan.halvings(), plan.total()), (vec![8, 4], 2));
    for (steps, from) in [(4, 16), (8, 16), (16, 32), (1, 16), (3, 24), (5, 20), (20, 40)] {
        assert_eq!(Distillation::usual_from(steps), from, "{steps}");
    }
    let student = plan.student(&model());
    let rows = |tensors: &FileParameters| tensors["class_embedding.weight"].clone();
    let ((shape, values), (whole_shape, whole)) = (rows(&student.tensors), rows(&model().tensors));
    assert_eq!((shape, whole_shape), (vec![10, 20], vec![11, 20]));
    assert_eq!(values, whole[..200]);
    let net = &student.config;
    assert_eq!((net.num_class_embeds, net.null_class, net.class_names.len()), (Some(10), None, 10));
    assert_eq!(plan.teacher(net, 0), model().config);
    assert_eq!(plan.teacher(net, 1), *net);
    for (halving, steps, valid) in [(0, 8, vec![8]), (1, 4, vec![2, 4, 8])] {
        let suggested = plan.scheduler(&model().scheduler, halving).suggested;
        assert_eq!((suggested.steps, &suggested.valid_steps, suggested.guidance), (Some(steps), &valid, Some(1.5)));
        assert_eq!(suggested.guidance_to_sample(), Some(1.0));
    }
    // Between the others its label stays, so that theirs keep their meaning.
    let mut between = model();
    between.config.null_class = Some(4);
    let student = plan.student(&between);
    assert_eq!((student.config.num_class_embeds, student.config.null_class), (Some(11), None));
    assert_eq!(student.tensors, between.tensors);
    assert!(student.config.problems().is_empty(), "{:?}", student.config.problems());
}

#[test]
fn what_cannot_be_distilled_is_refused_with_a_sentence() {
    let refused = |plan: Distillation, change: &dyn Fn(&mut Checkpoint)| {
        let mut model = model();
        change(&mut model);
        plan.check(&model).expect_err("it cannot be").to_string()
    };
    let text = refused(plan(4, 16, 1), &|model| model.scheduler.prediction_type = Prediction::Epsilon);
    assert!(text.ends_with("expected a model that predicts v_prediction, found epsilon"), "{text}");
    let text = refused(plan(4, 16, 1), &|model| model.scheduler.prediction_type = Prediction::Sample);
    assert!(text.ends_with("found sample"), "{text}");
    for (steps, from) in [(4, 4), (4, 12), (3, 16), (8, 4), (0, 16), (4, 0)] {
        let text = refused(plan(steps, from, 1), &|_| ());
        assert!(text.contains("expected to begin with 2, 4, 8") && text.ends_with(&format!("found {from}")), "{text}");
    }
    assert!(refused(plan(1000, 2000, 1), &|_| ()).contains("1 to 1000 steps"));
    let beyond = Distillation { valid_steps: vec![0], ..plan(4, 8, 1) };
    assert!(refused(beyond, &|_| ()).contains("found 0"));
    let text = refused(plan(4, 16, 1), &|model| model.config.null_class = None);
    assert_eq!(text, "the model has no null class (_null_class in config.json), so guidance must be 1, found 1.5");
    let wild = Distillation { guidance: f64::NAN, ..plan(4, 8, 1) };
    assert!(refused(wild, &|_| ()).contains("from -20 to 20"));
    let plain = Distillation { guidance: 1.0, null_class: None, ..plan(4, 8, 1) };
    let mut without = model();
    without.config.null_class = None;
    assert!(plain.check(&without).is_ok());

    // A student may teach on, from the steps it was made for.
    let student = plan(4, 16, 1).student(&model());
    let mut made = student.clone();
    made.scheduler = plan(4, 16, 1).scheduler(&model().scheduler, 1);
    for (from, guidance, good) in [(4, 1.0, true), (4, 1.5, true), (8, 1.0, false), (4, 2.0, false)] {
        let plan = Distillation { guidance, null_class: None, ..plan(2, from, 1) };
        let checked = plan.check(&made);
        assert_eq!(checked.is_ok(), good, "{from} {guidance}: {checked:?}");
        assert_eq!(plan.scheduler(&made.scheduler, 0).suggested.guidance, Some(1.5), "what is in it stays");
    }
}

#[test]
fn a_shared_halving_keeps_what_only_the_longer_list_has() {
    for schedule in schedules() {
        let all = shared(&schedule, 4, &unclipped()).expect("intervals");
        let walk = DDIM.walk(&schedule, &sampler(4, &unclipped())).expect("a walk");
        let timesteps: Vec<usize> = walk.moves.iter().map(|step| step.timestep).collect();
        assert_eq!(all.iter().map(Interval::timestep).collect::<Vec<_>>(), timesteps);
        let halved = intervals(&schedule, 2, &unclipped()).expect("intervals");
        assert_eq!([all[0], all[2]], [halved[0], halved[1]], "the shorter list's go as far as two steps lead");
        for k in [1, 3] {
            // Whatever its teacher predicts is what it is to predict.
            let (z, v) = ([0.4_f64, -1.2], [0.7_f64, 0.1]);
            let z_s = all[k].step(1, &all[k].step(0, &z, &v), &[9.0, 9.0]);
            assert_eq!(z_s, take(&walk.moves[k], &z, &v), "one step of the longer list");
            let found = all[k].target(&z, &z_s);
            assert!(found.iter().zip(v).all(|(found, v)| (found - v).abs() <= 1e-12), "{k}: {found:?}");
        }
    }
}

#[test]
fn a_student_of_both_is_made_at_the_end_and_says_so() {
    let both = Distillation { and_half: true, ..plan(4, 16, 1) };
    assert_eq!(both.halvings(), [8, 4, 2]);
    let scheduler = |halving| both.scheduler(&model().scheduler, halving).suggested;
    assert_eq!((scheduler(1).steps, scheduler(1).valid_steps), (Some(4), vec![4]));
    assert_eq!((scheduler(2).steps, scheduler(2).valid_steps), (Some(4), vec![2, 4]));
    let again = Distillation { and_half: true, ..plan(4, 4, 1) };
    assert_eq!(again.halvings(), [2], "one that takes four already");
    assert!(again.check(&model()).is_ok());
    let error = plan(4, 4, 1).check(&model()).expect_err("nothing to do").to_string();
    assert!(error.starts_with("steps are halved again and again"), "{error}");
    let odd = Distillation { and_half: true, ..plan(3, 12, 1) };
    let error = odd.check(&model()).expect_err("half of three").to_string();
    assert_eq!(error, "a student of 3 steps cannot take half as many as well: expected an even number");
}

/// A shared halving lowers the error of two steps, and leaves that of the kept timesteps small.
#[test]
fn a_shared_halving_teaches_two_steps_and_forgets_little() {
    let engine = engine("cpu");
    let plan = Distillation { and_half: true, guidance: 1.0, ..plan(2, 2, 60) };
    let mut distiller = Distiller::begin(&engine, &model(), &plan, options(6, 60, 2e-3)).expect("a student");
    let [one, kept] = [0, 1].map(|k| distiller.intervals()[k]);
    let error = |distiller: &mut Distiller, interval: Interval| -> f64 {
        let (z, labels) = (Rng::new(77).normals(6 * 64), vec![1, 2, 3, 4, 5, 6]);
        let z_s = pollster::block_on(distiller.teacher().two_steps(&z, &[interval; 6], &labels)).expect("two steps");
        let target = interval.target(&z, &z_s);
        let values = pollster::block_on(distiller.trainer().read_weights(true)).expect("weights");
        let student = plan.student(&model());
        let weights = engine.load(&prediction(&student.config, SHAPE).parameters(), &values).expect("room");
        let mut student = Teacher::new(&engine, &student.config, weights, SHAPE.with_n(6), 1.0).expect("a network");
        let v = pollster::block_on(student.predict(&z, &[interval.timestep(); 6], &labels)).expect("v");
        v.iter().zip(&target).map(|(v, t)| f64::from(v - t).powi(2)).sum::<f64>() / v.len() as f64
    };
    let before = error(&mut distiller, one);
    assert!(error(&mut distiller, kept) <= 1e-9, "it begins as its teacher");
    for k in 0..60 {
        let (x_0, labels) = batch(k, 6);
        pollster::block_on(distiller.step(&x_0, &labels)).expect("a step");
    }
    let (after, forgotten) = (error(&mut distiller, one), error(&mut distiller, kept));
    assert!(after < 0.7 * before, "{before} → {after}");
    assert!(forgotten < 0.3 * before, "{forgotten} of {before}");
}
