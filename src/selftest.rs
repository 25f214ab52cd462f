//! Does this machine compute rightly, and how fast: every op of training and sampling on an engine against the
//! references, and the time of a prediction. The page's "Check this machine" and its benchmark are this.

use crate::engine::cpu::{interpret, interpret_all};
use crate::engine::{Engine, EngineError};
use crate::graph::Graph;
use crate::model::config::UnetConfig;
use crate::model::step::{Objective, Sampling, conditions, prediction, sampling_step};
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

/// A larger net's prediction is timed but not compared: its f64 reference would take minutes.
const COMPARED_PARAMETERS: usize = 4_000_000;

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

/// The time of a prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Images at once.
    pub batch: usize,
    /// Median milliseconds for all of them.
    pub ms: f64,
    /// Runs it is the median of: one, the very first, where a run is slow.
    pub runs: usize,
    /// The largest error of ε relative to its largest value; `None` for a net too large to compare, or if one was not a number.
    pub worst_error: Option<f64>,
    /// Whether all numbers are finite and the error, where there is one, is within [`TOLERANCE`].
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
    let finite = found.len() == expected.len() && found.iter().all(|v| v.is_finite());
    let scale = expected.iter().fold(1e-3, |max: f64, v| max.max(v.abs()));
    let error = || found.iter().zip(expected).fold(0.0, |max: f64, (&f, &e)| max.max((f64::from(f) - e).abs()));
    finite.then(|| error() / scale)
}

/// A network whose predictions are timed. Its weights are random: they do not change the time.
pub struct Benchmark {
    config: UnetConfig,
    /// In the order of the graph's parameters, which is the same for every batch.
    parameters: Vec<Vec<f32>>,
    /// One noised image, `[1, H, W, C]`.
    sample: Vec<f32>,
    /// Its ε by the f64 references, unless the net is too large.
    expected: Option<Vec<f64>>,
}

impl Benchmark {
    /// Draws the weights, and computes ε of one image by the references unless the net is large; that takes a while.
    pub fn new(config: UnetConfig) -> Self {
        let [h, w] = config.sample_size;
        let graph = prediction(&config, Shape::new(1, h, w, config.channels));
        let parameters = initialise(&graph, 1);
        let sample = Rng::new(2).normals(h * w * config.channels);
        let mut benchmark = Self { config, parameters, sample, expected: None };
        if benchmark.parameters.iter().map(Vec::len).sum::<usize>() <= COMPARED_PARAMETERS {
            let leaves = benchmark.leaves(&graph, 1);
            let wide = leaves.into_iter().map(|(name, v)| (name, v.into_iter().map(f64::from).collect())).collect();
            benchmark.expected = interpret::<f64>(&graph, &wide).remove("eps");
        }
        benchmark
    }

    /// Every leaf of the prediction of a batch: the same image over and over.
    fn leaves(&self, graph: &Graph, batch: usize) -> Vec<(String, Vec<f32>)> {
        let parameters = graph.parameters().into_iter().map(|spec| spec.name).zip(self.parameters.iter().cloned());
        let mut leaves: Vec<(String, Vec<f32>)> = parameters.collect();
        leaves.push(("sample".to_owned(), self.sample.repeat(batch)));
        let conditions = conditions(&self.config, &vec![500; batch], &vec![0; batch]);
        leaves.extend(conditions.into_iter().map(|(name, values)| (name.to_owned(), values)));
        leaves
    }

    /// The median time of predictions of `batch` images, for about `budget` milliseconds but at least three times, after one
    /// that is not counted, unless it alone takes half the budget: then it is the measurement. `now` is a clock in milliseconds.
    ///
    /// # Errors
    /// Those of the engine; a wrong result is a report, not an error.
    pub async fn time(
        &self,
        engine: &Engine,
        batch: usize,
        budget: f64,
        now: impl Fn() -> f64,
    ) -> Result<Timing, EngineError> {
        let [h, w] = self.config.sample_size;
        let graph = prediction(&self.config, Shape::new(batch, h, w, self.config.channels));
        let mut program = engine.compile(&graph)?;
        for (name, values) in self.leaves(&graph, batch) {
            program.write(&name, &values)?;
        }
        let begin = now();
        program.run()?;
        let found = program.read("eps").await?;
        let first = now() - begin;
        let mut times = Vec::new();
        while 2.0 * first < budget && (times.len() < 3 || now() - begin < budget) {
            let start = now();
            program.run()?;
            program.read("eps").await?;
            times.push(now() - start);
        }
        if times.is_empty() {
            times.push(first);
        }
        let middle = times.len() / 2;
        let (_, &mut median, _) = times.select_nth_unstable_by(middle, f64::total_cmp);
        let finite = found.iter().all(|v| v.is_finite());
        let worst_error = self.expected.as_ref().and_then(|one| relative_error(&found, &one.repeat(batch)));
        let passed = finite && (self.expected.is_none() || worst_error.is_some_and(|error| error <= TOLERANCE));
        Ok(Timing { batch, ms: median, runs: times.len(), worst_error, passed })
    }
}

#[cfg(test)]
mod tests {
    use super::relative_error;

    #[test]
    fn what_is_not_a_number_has_no_error_that_could_pass() {
        assert_eq!(relative_error(&[1.0, 2.0], &[1.0, 2.0]), Some(0.0));
        assert_eq!(relative_error(&[1.0, 3.0], &[1.0, 2.0]), Some(0.5));
        assert_eq!(relative_error(&[1.0, f32::NAN], &[1.0, 2.0]), None);
        assert_eq!(relative_error(&[1.0], &[1.0, 2.0]), None);
    }
}
