//! Does this machine compute rightly, and how fast: every op of training and sampling on an engine against the
//! references, and the time of a prediction and of a training step. The page's "Check this machine" and its benchmark are this.

mod timing;

pub use timing::{Benchmark, Timing, Work, least_step, median};

use crate::engine::cpu::interpret_all;
use crate::engine::{Engine, EngineError};
use crate::graph::Graph;
use crate::model::config::UnetConfig;
use crate::model::step::{Objective, Sampling, sampling_step};
use crate::model::{config::BlockType, init::initialise};
use crate::rng::Rng;
use crate::tensor::Shape;
use crate::train::optimizer::training_step;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The largest error that passes, relative to the largest value of a result.
pub const TOLERANCE: f64 = 1e-4;

/// How many results of each op are compared.
const RESULTS_PER_OP: usize = 6;

/// What became of one op.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpReport {
    /// The op, which is also the kernel's name, or that of its second kernel.
    pub name: String,
    /// Results compared.
    pub results: usize,
    /// The largest error among them, relative to the largest value of the result; `None` if one was not a number.
    pub worst_error: Option<f64>,
    /// Whether the error is within [`TOLERANCE`].
    pub passed: bool,
}

/// A net with every kind of layer, small enough for the slowest adapter.
fn net() -> UnetConfig {
    UnetConfig {
        sample_size: [8, 8],
        channels: 3,
        block_out_channels: vec![8, 12],
        down_block_types: vec![BlockType::Plain, BlockType::Attention],
        up_block_types: vec![BlockType::Attention, BlockType::Plain],
        attention_head_dim: Some(4),
        norm_num_groups: 4,
        num_class_embeds: Some(5),
        null_class: Some(4),
        class_names: Vec::new(),
        ..UnetConfig::digits()
    }
}

/// Values for every leaf that make sense.
fn leaves(graph: &Graph) -> HashMap<String, Vec<f32>> {
    let mut rng = Rng::new(11);
    let parameters = graph.parameters().into_iter().map(|spec| spec.name).zip(initialise(graph, 5));
    let mut values: HashMap<String, Vec<f32>> = parameters.collect();
    for (name, _, shape) in graph.leaves() {
        let len = shape.len();
        values.entry(name.to_owned()).or_insert_with(|| match name {
            "class_labels" => (0..len).map(|i| (i % 5) as f32).collect(),
            "adam" => vec![1e-3, 1.0, 1e-8, 0.0],
            "m_rate" | "v_rate" | "ema_rate" | "max_norm" => vec![0.25],
            _ if name.starts_with("adam_v.") => (0..len).map(|_| 0.01 + rng.uniform() as f32).collect(),
            _ => rng.normals(len),
        });
    }
    values
}

/// The ops that fusing leaves nothing of in the other graphs, what is computed only to be watched, and another loss.
fn rest(shape: Shape) -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", shape);
    let e = g.input("e", Shape::new(shape.n(), 1, 1, shape.c()));
    let sum = g.add_channels(x, e);
    let scaled = g.scale(sum, -0.3);
    g.output("y", scaled);
    let z = g.input("z", shape);
    let probabilities = g.attention_probabilities(scaled, z, shape.c());
    g.output("probabilities", probabilities);
    let loss = g.mae(scaled, z);
    g.output("loss", loss);
    for gradient in g.gradients_of_scalar(loss, &[scaled]).into_iter().flatten() {
        g.output("gradient", gradient);
    }
    g
}

/// The graph with some results of every op as its outputs, named `op/node`, and no others; or only of ops that have a second
/// kernel, by whose name they go.
fn with_results(mut graph: Graph, tiled: bool, found: &mut BTreeMap<&'static str, usize>) -> Graph {
    let mut results = Vec::new();
    for node in graph.operations() {
        let second = || node.op.dispatch_tiled(&node.inputs, node.shape).map(|dispatch| dispatch.shader);
        let Some(kernel) = (if tiled { second() } else { Some(node.op.name()) }) else { continue };
        let count = found.entry(kernel).or_default();
        if *count < RESULTS_PER_OP {
            *count += 1;
            results.push((format!("{kernel}/{}", node.id.0), node.id));
        }
    }
    for (name, id) in results {
        graph.output(&name, id);
    }
    graph
}

/// Compares every op of a training step and of a guided sampling step on `engine` with its f64 reference: on a GPU with both
/// kernels, where it has two.
///
/// # Errors
/// Those of the engine; a wrong result is a report, not an error.
pub async fn check_ops(engine: &Engine) -> Result<Vec<OpReport>, EngineError> {
    let shape = Shape::new(2, 8, 8, 3);
    let mut found = BTreeMap::new();
    let mut reports: BTreeMap<String, OpReport> = BTreeMap::new();
    let steps = || {
        [
            training_step(&net(), shape, Objective { velocity: true, ..Objective::default() }),
            sampling_step(&net(), shape, Sampling { guided: true, remembers: true, known: true }),
        ]
    };
    let plain = steps().into_iter().chain([rest(shape)]).map(|graph| (graph, false));
    for (graph, tiled) in plain.chain(steps().map(|graph| (graph, true))) {
        let graph = with_results(graph, tiled, &mut found);
        let program = if tiled { engine.compile_tiled(&graph)? } else { Some(engine.compile(&graph)?) };
        let Some(mut program) = program else { continue };
        let leaves = leaves(&graph);
        for (name, values) in &leaves {
            program.write(name, values)?;
        }
        program.run()?;
        let wide = leaves.into_iter().map(|(name, v)| (name, v.into_iter().map(f64::from).collect())).collect();
        let expected = interpret_all::<f64>(&graph, &wide);
        for (name, id) in graph.outputs() {
            let Some((op, _)) = name.split_once('/') else { continue };
            let error = relative_error(&program.read(name).await?, &expected[id.index()]);
            let first = || OpReport { name: op.to_owned(), results: 0, worst_error: Some(0.0), passed: true };
            let report = reports.entry(op.to_owned()).or_insert_with(first);
            report.results += 1;
            report.worst_error = report.worst_error.zip(error).map(|(a, b)| a.max(b));
            report.passed = report.worst_error.is_some_and(|error| error <= TOLERANCE);
        }
    }
    Ok(reports.into_values().collect())
}

/// The largest error relative to the largest expected value, unless something is not a number.
fn relative_error(found: &[f32], expected: &[f64]) -> Option<f64> {
    let finite =
        found.len() == expected.len() && found.iter().all(|v| v.is_finite()) && expected.iter().all(|v| v.is_finite());
    let scale = expected.iter().fold(1e-3, |max: f64, v| max.max(v.abs()));
    let error = || found.iter().zip(expected).fold(0.0, |max: f64, (&f, &e)| max.max((f64::from(f) - e).abs()));
    finite.then(|| error() / scale)
}

#[cfg(test)]
mod tests {
    use super::relative_error;

    #[test]
    fn what_is_not_a_number_has_no_error_that_could_pass() {
        assert_eq!(relative_error(&[1.0, 2.0], &[1.0, 2.0]), Some(0.0));
        assert_eq!(relative_error(&[1.0, 3.0], &[1.0, 2.0]), Some(0.5));
        assert_eq!(relative_error(&[1.0, f32::NAN], &[1.0, 2.0]), None);
        assert_eq!(relative_error(&[1.0, 2.0], &[1.0, f64::NAN]), None);
        assert_eq!(relative_error(&[1.0], &[1.0, 2.0]), None);
    }
}
