//! From here to PyTorch and back: both sides take the same steps from each other's folders (`tests/golden/round_trip.py`).
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::checkpoint::{self, Checkpoint};
use noisette::diffusion::Prediction;
use noisette::model::step::{Objective, training_loss};
use noisette::train::{TrainOptions, Trainer};
use support::golden::{self, ENGINES, engine, integers, relative, series};

/// Three steps from a folder on the batches beside it: our losses, PyTorch's, and the weights before and after.
fn three_steps(engine_name: &str, folder: &str) -> ([Vec<f32>; 2], [Checkpoint; 2]) {
    let start = golden::checkpoint(folder);
    let file = golden::tensors(folder, "steps.safetensors");
    let (shape, x_0) = series(&file, "sample");
    let (_, noise) = series(&file, "noise");
    let (timesteps, labels) = (integers(&file, "timestep"), integers(&file, "class_labels"));
    let n = shape.n();
    let options = TrainOptions {
        batch: n,
        lr: 1e-3,
        warmup: 0,
        cosine_decay: false,
        max_grad_norm: f64::INFINITY,
        ..TrainOptions::default()
    };
    let prediction = start.scheduler.prediction_type;
    assert_eq!(prediction, Prediction::VPrediction, "the folder keeps what the model predicts");
    let (graph, _) = training_loss(&start.config, shape, Objective::default());
    let weights = start.load_parameters(&graph.parameters()).expect("they fit");
    let schedule = start.scheduler.schedule().expect("a schedule");
    let engine = engine(engine_name);
    let mut trainer = Trainer::new(&engine, &start.config, schedule, prediction, options, &weights).expect("a trainer");
    let (mut losses, kept) = (Vec::new(), vec![false; n]);
    for (step, (x_0, noise)) in x_0.iter().zip(&noise).enumerate() {
        let of = step * n..(step + 1) * n;
        let step = trainer.step_with(x_0, &labels[of.clone()], &timesteps[of], &kept, noise);
        losses.push(pollster::block_on(step).expect("a step").loss);
    }
    let after = pollster::block_on(trainer.read_weights(false)).expect("the weights");
    let tensors = checkpoint::store_parameters(trainer.parameters(), &after);
    let expected = file.f32("losses", 1).expect("PyTorch's losses").1.to_vec();
    ([losses, expected], [start.clone(), Checkpoint { tensors, ..start }])
}

#[test]
fn what_was_written_here_trains_on_in_pytorch_and_what_was_written_there_trains_on_here() {
    let there = golden::checkpoint("round_trip/there");
    for engine in ENGINES {
        for folder in ["round_trip/here", "round_trip/there"] {
            let ([losses, expected], [before, after]) = three_steps(engine, folder);
            assert_eq!((losses.len(), expected.len()), (3, 3));
            for (step, (ours, theirs)) in losses.iter().zip(&expected).enumerate() {
                let error = relative(&[*ours], &[*theirs]);
                assert!(error <= 1e-4, "{engine}, {folder}, step {step}: loss {ours}, in PyTorch {theirs}");
            }
            if folder.ends_with("there") {
                continue;
            }
            // The folder that PyTorch wrote after its three steps holds what ours lead to.
            let mut compared = 0;
            for (name, (_, ours)) in &after.tensors {
                // A key bias has no gradient but rounding noise, of which Adam makes full steps.
                if name.ends_with("to_k.bias") {
                    continue;
                }
                let (start, theirs) = (&before.tensors[name].1, &there.tensors[name].1);
                let change = |to: &[f32]| -> Vec<f32> { to.iter().zip(start).map(|(a, b)| a - b).collect() };
                let error = relative(&change(ours), &change(theirs));
                assert!(error <= 2e-3, "{engine}: the change of {name} is off by {error:.1e}");
                compared += 1;
            }
            assert!(compared > 50, "{compared} parameters");
        }
    }
}
