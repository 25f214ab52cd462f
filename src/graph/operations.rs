//! What of a graph is computed: the nodes that its outputs and assignments depend on.

use super::{Graph, Id, NodeKind, Op};
use crate::tensor::Shape;

/// A computed node that an output or an assignment depends on.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    /// The node.
    pub id: Id,
    /// The operation.
    pub op: &'a dyn Op,
    /// The shapes of its inputs.
    pub inputs: Vec<Shape>,
    /// The shape of its value.
    pub shape: Shape,
}

impl Graph {
    /// What is computed in a run, in order.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let nodes = self.nodes.iter().zip((0..).map(Id)).zip(self.live());
        nodes.filter_map(|((node, id), live)| match &node.kind {
            NodeKind::Op { op, inputs } if live => {
                let inputs = inputs.iter().map(|&id| self.shape(id)).collect();
                Some(Operation { id, op: op.as_ref(), inputs, shape: node.shape })
            }
            _ => None,
        })
    }

    /// The multiplications of one run; see [`Op::multiply_adds`].
    pub fn multiply_adds(&self) -> usize {
        self.operations().map(|node| node.op.multiply_adds(&node.inputs, node.shape)).sum()
    }

    /// For each node, whether an output or an assignment depends on it. Engines compute nothing else.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        for &(_, id) in &self.outputs {
            live[id.index()] = true;
        }
        for &(state, value) in &self.assigns {
            live[state.index()] = true;
            live[value.index()] = true;
        }
        for i in (0..self.nodes.len()).rev() {
            if live[i] {
                for input in self.nodes[i].inputs() {
                    live[input.index()] = true;
                }
            }
        }
        live
    }
}
