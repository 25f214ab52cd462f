//! Start values of the parameters: PyTorch's defaults for the layers that diffusers builds the UNet of, and Ho et al.'s zeros.

use crate::graph::{Graph, ParamKind, ParamSpec};
use crate::rng::Rng;

/// Start values of every parameter of a graph, in the order of [`Graph::parameters`].
///
/// Weights and biases are uniform in ±1/√fan_in (He et al. 2015 with a = √5), scales one, shifts zero, embeddings
/// normal. The same seed gives the same bits everywhere.
pub fn initialise(graph: &Graph, seed: u64) -> Vec<Vec<f32>> {
    graph.parameters().iter().enumerate().map(|(i, spec)| start(spec, &mut Rng::stream(seed, i as u64))).collect()
}

/// The last layers of what is added to something else, and of the network.
const LAST_LAYERS: [&str; 3] = ["conv2", "to_out.0", "conv_out"];

/// Sets the layers to zero that Ho et al. start there, given the values of [`initialise`]: the second convolution of every
/// residual block, attention's projection, and the network's last convolution. Every block then begins as the identity, and
/// the network predicts 0, the mean of its target.
pub fn start_at_zero(graph: &Graph, values: &mut [Vec<f32>]) {
    for (spec, values) in graph.parameters().iter().zip(values) {
        let layer = spec.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        if LAST_LAYERS.iter().any(|last| layer == *last || layer.ends_with(&format!(".{last}"))) {
            values.fill(0.0);
        }
    }
}

fn start(spec: &ParamSpec, rng: &mut Rng) -> Vec<f32> {
    let len = spec.shape.len();
    let mut uniform = |fan_in: usize| {
        let bound = 1.0 / (fan_in as f64).sqrt();
        (0..len).map(|_| ((2.0 * rng.uniform() - 1.0) * bound) as f32).collect()
    };
    match spec.kind {
        ParamKind::Conv | ParamKind::Linear => uniform(spec.shape.len() / spec.shape.c()),
        ParamKind::Bias { fan_in } => uniform(fan_in),
        ParamKind::Scale => vec![1.0; len],
        ParamKind::Shift => vec![0.0; len],
        ParamKind::Embedding => rng.normals(len),
    }
}
