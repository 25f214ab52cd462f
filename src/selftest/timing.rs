//! The time of a prediction and of a training step, with what they should come to.

use super::{TOLERANCE, relative_error};
use crate::engine::cpu::interpret;
use crate::engine::{Engine, EngineError, Program};
use crate::graph::Graph;
use crate::model::config::UnetConfig;
use crate::model::init::initialise;
use crate::model::step::{Objective, conditions, prediction};
use crate::rng::Rng;
use crate::tensor::Shape;
use crate::train::optimizer::{FIRST_MOMENT, gradients, training_step};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A larger net's work is timed but not compared: its f64 reference would take minutes.
const COMPARED_PARAMETERS: usize = 4_000_000;

/// 1 − β₁ and 1 − β₂, as usual.
const RATES: [f32; 2] = [0.1, 0.001];
/// Adam's learning rate and ε. With the usual ε of 1e-8 the first step is lr·sign(g), and a gradient that should be 0 decides it
/// by its rounding.
const LR: f32 = 1e-3;
const ADAM_EPS: f32 = 1e-3;
/// The gradient's norm is cut down to this.
const MAX_NORM: f32 = 1.0;

/// What is timed, under the names of `noisette bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// ε of a batch.
    Predict,
    /// Loss, gradients, clipping, Adam and the moving average of the weights.
    Train,
}

impl Work {
    /// The name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Train => "train",
        }
    }

    /// What is read after every run; of a step it is what the trainer reads.
    fn outputs(self) -> &'static [&'static str] {
        match self {
            Self::Predict => &["eps"],
            Self::Train => &["loss", "grad_norm_squared", "errors"],
        }
    }
}

/// The time of a prediction or a training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Which of them.
    pub work: Work,
    /// Images at once.
    pub batch: usize,
    /// Median milliseconds for all of them.
    pub ms: f64,
    /// Runs it is the median of: one, the very first, where a run is slow.
    pub runs: usize,
    /// The largest error relative to the largest value of a result: of ε, or of the loss, the clipped gradients and the new
    /// parameters of the first step; `None` for a net too large to compare, or if one was not a number.
    pub worst_error: Option<f64>,
    /// Whether all numbers are finite and the error, where there is one, is within [`TOLERANCE`].
    pub passed: bool,
}

/// A network whose work is timed. Its weights are random: they do not change the time.
pub struct Benchmark {
    config: UnetConfig,
    work: Work,
    /// In the order of the graph's parameters, which is the same for every batch.
    parameters: Vec<Vec<f32>>,
    /// Results for one image by the f64 references, by name, unless the net is too large.
    expected: Option<HashMap<String, Vec<f64>>>,
}

impl Benchmark {
    /// Draws the weights, and computes what one image should come to by the references unless the net is large; that takes a
    /// while.
    pub fn new(config: UnetConfig, work: Work) -> Self {
        let graph = graph(&config, work, 1);
        let parameters = initialise(&graph, 1);
        let mut benchmark = Self { config, work, parameters, expected: None };
        if benchmark.parameters.iter().map(Vec::len).sum::<usize>() <= COMPARED_PARAMETERS {
            let leaves = benchmark.leaves(&graph, 1);
            let wide = leaves.into_iter().map(|(name, v)| (name, v.into_iter().map(f64::from).collect())).collect();
            benchmark.expected = Some(match work {
                Work::Predict => interpret::<f64>(&graph, &wide),
                Work::Train => {
                    let graph = gradients(&benchmark.config, image(&benchmark.config, 1), Objective::default());
                    first_step(&wide, interpret::<f64>(&graph, &wide))
                }
            });
        }
        benchmark
    }

    /// Every leaf that is not zero: the same image over and over, whose loss and gradients are those of one.
    fn leaves(&self, graph: &Graph, batch: usize) -> Vec<(String, Vec<f32>)> {
        let parameters = graph.parameters().into_iter().map(|spec| spec.name).zip(self.parameters.iter().cloned());
        let mut leaves: Vec<(String, Vec<f32>)> = parameters.collect();
        let normals = |seed: u64| Rng::new(seed).normals(image(&self.config, 1).len()).repeat(batch);
        let mut inputs = conditions(&self.config, &vec![500; batch], &vec![0; batch]);
        match self.work {
            Work::Predict => inputs.push(("sample", normals(2))),
            Work::Train => inputs.extend([
                ("x_0", normals(2)),
                ("noise", normals(3)),
                ("noise_coefficients", [0.8, 0.6].repeat(batch)),
                ("adam", vec![LR / RATES[0], 1.0 / RATES[1].sqrt(), ADAM_EPS, 0.0]),
                ("m_rate", vec![RATES[0]]),
                ("v_rate", vec![RATES[1]]),
                ("ema_rate", vec![RATES[1]]),
                ("max_norm", vec![MAX_NORM]),
            ]),
        }
        leaves.extend(inputs.into_iter().map(|(name, values)| (name.to_owned(), values)));
        leaves
    }

    /// The median time of `batch` images, for about `budget` milliseconds but at least three runs, after one that is compared
    /// and not counted, unless it alone takes half the budget: then it is the measurement. `now` is a clock in milliseconds.
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
        let graph = graph(&self.config, self.work, batch);
        let mut program = engine.compile(&graph)?;
        for (name, values) in self.leaves(&graph, batch) {
            program.write(&name, &values)?;
        }
        let start = now();
        let finite = self.run(&mut program).await?;
        let first = now() - start;
        let worst_error = self.worst_error(&mut program).await?;
        let begin = now() - first;
        let mut times = Vec::new();
        while 2.0 * first < budget && (times.len() < 3 || now() - begin < budget) {
            let start = now();
            self.run(&mut program).await?;
            times.push(now() - start);
        }
        if times.is_empty() {
            times.push(first);
        }
        let passed = finite && (self.expected.is_none() || worst_error.is_some_and(|error| error <= TOLERANCE));
        Ok(Timing { work: self.work, batch, ms: median(&mut times), runs: times.len(), worst_error, passed })
    }

    /// One run, and whether what is read of it is finite.
    async fn run(&self, program: &mut Program) -> Result<bool, EngineError> {
        program.run()?;
        let mut finite = true;
        for name in self.work.outputs() {
            finite &= program.read(name).await?.iter().all(|v| v.is_finite());
        }
        Ok(finite)
    }

    /// The largest error of what is expected, after one run.
    async fn worst_error(&self, program: &mut Program) -> Result<Option<f64>, EngineError> {
        let mut worst = self.expected.as_ref().map(|_| 0.0);
        for (name, one) in self.expected.iter().flatten() {
            let found = program.read(name).await?;
            // Of ε there is one for each image, of all else one.
            let error = relative_error(&found, &one.repeat(found.len() / one.len()));
            worst = worst.zip(error).map(|(a, b): (f64, f64)| a.max(b));
        }
        Ok(worst)
    }
}

/// The shape of a batch.
fn image(config: &UnetConfig, batch: usize) -> Shape {
    config.image_shape().with_n(batch)
}

fn graph(config: &UnetConfig, work: Work, batch: usize) -> Graph {
    match work {
        Work::Predict => prediction(config, image(config, batch)),
        Work::Train => training_step(config, image(config, batch), Objective::default()),
    }
}

/// What the first step should come to, of the leaves and of the loss with its gradients: both, and of every parameter
/// Adam's first moment m = (1 − β₁)·g, g clipped, and its value p − lr·g/(|g| + ε), since both moments begin at zero.
fn first_step(leaves: &HashMap<String, Vec<f64>>, mut of: HashMap<String, Vec<f64>>) -> HashMap<String, Vec<f64>> {
    let gradients: Vec<(String, Vec<f64>)> =
        leaves.keys().filter_map(|name| Some((name.clone(), of.remove(&format!("grad.{name}"))?))).collect();
    let norm_squared: f64 = gradients.iter().flat_map(|(_, g)| g).map(|g| g * g).sum();
    let clip = (f64::from(MAX_NORM) / (norm_squared.sqrt() + 1e-6)).min(1.0);
    let [rate, lr, eps] = [RATES[0], LR, ADAM_EPS].map(f64::from);
    for (name, mut values) in gradients {
        values.iter_mut().for_each(|g| *g *= clip);
        let moved = leaves[&name].iter().zip(&values).map(|(p, g)| p - lr * g / (g.abs() + eps)).collect();
        values.iter_mut().for_each(|g| *g *= rate);
        of.insert(format!("{FIRST_MOMENT}{name}"), values);
        of.insert(name, moved);
    }
    of.insert("grad_norm_squared".to_owned(), vec![norm_squared]);
    of
}

/// What a training step of `batch` images takes at least, where ε of one takes `epsilon_ms`: milliseconds, if it multiplies as
/// fast as a prediction does, and bytes, of every parameter's value, gradient, two moments and average.
pub fn least_step(config: &UnetConfig, batch: usize, epsilon_ms: f64) -> (f64, f64) {
    let [predict, train] = [Work::Predict, Work::Train].map(|work| graph(config, work, 1));
    let parameters: usize = predict.parameters().iter().map(|spec| spec.shape.len()).sum();
    let ratio = train.multiply_adds() as f64 / predict.multiply_adds().max(1) as f64;
    (epsilon_ms * ratio * batch as f64, (5 * parameters * size_of::<f32>()) as f64)
}

/// The median of some times, the mean of the middle two of an even number; NaN of none.
pub fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    let at = |i: usize| times.get(i).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(times.len().saturating_sub(1) / 2), at(times.len() / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollster::block_on;

    fn small(work: Work) -> Benchmark {
        Benchmark::new(UnetConfig { block_out_channels: vec![8, 8, 8], ..UnetConfig::digits() }, work)
    }

    fn passes(benchmark: &Benchmark) -> bool {
        block_on(benchmark.time(&Engine::Cpu(None), 2, 0.0, || 0.0)).expect("it runs").passed
    }

    #[test]
    fn a_step_with_one_wrong_result_does_not_pass() {
        let mut benchmark = small(Work::Train);
        assert!(passes(&benchmark));
        let names: Vec<String> = benchmark.expected.as_ref().expect("a small net").keys().cloned().collect();
        assert!(names.len() > 100, "a loss, a norm, errors, and two of every parameter: {}", names.len());
        for wanted in ["loss", "grad_norm_squared", "adam_m.conv_in.weight", "conv_out.bias"] {
            let expected = benchmark.expected.as_mut().expect("a small net");
            let right = expected.get_mut(wanted).expect(wanted);
            let kept = right.clone();
            // Relative to the largest value, or to 1e-3 where all are smaller.
            right[0] += 2e-4 * kept.iter().fold(1e-3, |max: f64, v| max.max(v.abs()));
            assert!(!passes(&benchmark), "{wanted} is off");
            benchmark.expected.as_mut().expect("a small net").insert(wanted.to_owned(), kept);
        }
    }

    #[test]
    fn what_is_not_a_number_does_not_pass_even_where_nothing_is_compared() {
        for work in [Work::Predict, Work::Train] {
            let mut benchmark = small(work);
            benchmark.expected = None;
            assert!(passes(&benchmark));
            benchmark.parameters[0][0] = f32::NAN;
            assert!(!passes(&benchmark), "{work:?}");
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert!(median(&mut []).is_nan());
        assert_eq!([median(&mut [3.0, 1.0, 2.0]), median(&mut [4.0, 1.0])], [2.0, 2.5]);
    }
}
