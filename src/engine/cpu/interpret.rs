//! The interpreter: every op by its reference, in f64 the oracle.

use crate::graph::{Graph, NodeKind, Op, View};
use crate::tensor::Shape;
use num_traits::Float;
use std::collections::HashMap;

/// Types the references are generic over.
pub trait Number: Float {
    /// Runs an op's reference in this type.
    fn reference(op: &dyn Op, inputs: &[View<Self>], shape: Shape, out: &mut [Self]);
}

impl Number for f32 {
    fn reference(op: &dyn Op, inputs: &[View<Self>], shape: Shape, out: &mut [Self]) {
        op.reference_f32(inputs, shape, out);
    }
}

impl Number for f64 {
    fn reference(op: &dyn Op, inputs: &[View<Self>], shape: Shape, out: &mut [Self]) {
        op.reference_f64(inputs, shape, out);
    }
}

/// Runs a graph once by its references: leaves by name in, all outputs and assigned values (under the leaf's name) out.
///
/// Panics when a leaf is missing or of the wrong length: this is the oracle of tests, not a part of the product's paths.
pub fn interpret<T: Number>(graph: &Graph, leaves: &HashMap<String, Vec<T>>) -> HashMap<String, Vec<T>> {
    let values = interpret_all(graph, leaves);
    let outputs = graph.outputs().iter().map(|(name, id)| (name.clone(), values[id.index()].clone()));
    let assigned = graph.assigns().iter().map(|(state, value)| {
        (graph.node(*state).leaf_name().expect("a leaf").to_owned(), values[value.index()].clone())
    });
    outputs.chain(assigned).collect()
}

/// [`interpret`] that keeps the value of every node, by its index: nothing for those that nothing depends on.
pub fn interpret_all<T: Number>(graph: &Graph, leaves: &HashMap<String, Vec<T>>) -> Vec<Vec<T>> {
    evaluate(graph, leaves, |op, inputs, shape| {
        let mut out = vec![T::zero(); shape.len()];
        T::reference(op, inputs, shape, &mut out);
        out
    })
}

/// [`interpret_all`] with a way of one's own to compute an op of its inputs and the shape of its value.
pub fn evaluate<T: Float>(
    graph: &Graph,
    leaves: &HashMap<String, Vec<T>>,
    mut compute: impl FnMut(&dyn Op, &[View<T>], Shape) -> Vec<T>,
) -> Vec<Vec<T>> {
    let mut values: Vec<Vec<T>> = Vec::with_capacity(graph.nodes().len());
    for (node, live) in graph.nodes().iter().zip(graph.live()) {
        let value = match &node.kind {
            _ if !live => Vec::new(),
            NodeKind::Constant { value } => vec![T::from(*value).expect("an f32"); node.shape.len()],
            NodeKind::Op { op, inputs } => {
                let views: Vec<View<T>> =
                    inputs.iter().map(|id| View { shape: graph.shape(*id), data: &values[id.index()] }).collect();
                compute(op.as_ref(), &views, node.shape)
            }
            _ => {
                let name = node.leaf_name().expect("neither op nor constant");
                let value = leaves.get(name).unwrap_or_else(|| panic!("the leaf {name} is missing"));
                assert_eq!(value.len(), node.shape.len(), "{name} has the shape {}", node.shape);
                value.clone()
            }
        };
        values.push(value);
    }
    values
}
