//! Rewrites that make a finished graph cheaper and leave its results as they are (`tests/fuse.rs` compares).
//!
//! - a convolution followed by the time embedding: one convolution whose bias is each image's own;
//! - group norm followed by SiLU, where nothing else reads the norm: one pass;
//! - equal nodes become one, nodes that nothing depends on go.
//!
//! Differentiate first, fuse then: gradients are written in terms of the plain ops.

use super::conv2d::Conv2d;
use super::group_norm::GroupNorm;
use super::silu::Silu;
use super::sums::AddChannels;
use crate::graph::{Graph, Id, Node, NodeKind, Op};
use std::any::Any;
use std::collections::HashMap;

/// The same graph, cheaper: same leaves, same outputs, same assignments.
pub fn fuse(graph: &Graph) -> Graph {
    let live = graph.live();
    let mut readers = vec![0usize; graph.nodes().len()];
    for (node, _) in graph.nodes().iter().zip(&live).filter(|(_, live)| **live) {
        node.inputs().iter().for_each(|id| readers[id.index()] += 1);
    }
    let kept = graph.outputs().iter().map(|(_, id)| id).chain(graph.assigns().iter().map(|(_, value)| value));
    kept.for_each(|id| readers[id.index()] += 1);

    let mut rewrite = Rewrite { old: graph, readers, new: Graph::new(), seen: HashMap::new(), ids: Vec::new() };
    for (node, live) in graph.nodes().iter().zip(live) {
        let id = if live || node.leaf_name().is_some() { Some(rewrite.node(node)) } else { None };
        rewrite.ids.push(id);
    }
    for (name, id) in graph.outputs() {
        let id = rewrite.id(*id);
        rewrite.new.output(name, id);
    }
    for &(state, value) in graph.assigns() {
        let (state, value) = (rewrite.id(state), rewrite.id(value));
        rewrite.new.assign(state, value);
    }
    rewrite.new
}

/// A graph being rewritten.
struct Rewrite<'a> {
    old: &'a Graph,
    /// For each old node, how many read it.
    readers: Vec<usize>,
    new: Graph,
    /// New nodes by what they are.
    seen: HashMap<(String, Vec<Id>), Id>,
    /// The new node of each old one.
    ids: Vec<Option<Id>>,
}

/// The op of a node as a `T`, with its inputs.
fn as_op<T: Op>(node: &Node) -> Option<(&T, &[Id])> {
    let NodeKind::Op { op, inputs } = &node.kind else { return None };
    let any: &dyn Any = op.as_ref();
    any.downcast_ref::<T>().map(|op| (op, inputs.as_slice()))
}

impl Rewrite<'_> {
    fn id(&self, old: Id) -> Id {
        self.ids[old.index()].expect("inputs of live nodes are live and come first")
    }

    fn node(&mut self, node: &Node) -> Id {
        match &node.kind {
            NodeKind::Input { name } => self.new.input(name, node.shape),
            NodeKind::State { name } => self.new.state(name, node.shape),
            NodeKind::Parameter { name, kind } => self.new.parameter(name, *kind, node.shape),
            NodeKind::Constant { value } => {
                let key = (format!("constant {:x} {}", value.to_bits(), node.shape), Vec::new());
                *self.seen.entry(key).or_insert_with(|| self.new.constant(*value, node.shape))
            }
            NodeKind::Op { op, inputs } => {
                if let Some(fused) = self.time_into_bias(node).or_else(|| self.silu_into_norm(node)) {
                    return fused;
                }
                let inputs: Vec<Id> = inputs.iter().map(|&id| self.id(id)).collect();
                let key = (format!("{op:?}"), inputs.clone());
                *self.seen.entry(key).or_insert_with(|| self.new.apply_arc(op.clone(), &inputs))
            }
        }
    }

    /// conv2d(x, w, b) + e → conv2d(x, w, b + e).
    fn time_into_bias(&mut self, node: &Node) -> Option<Id> {
        let (_, &[sum, e]) = as_op::<AddChannels>(node)? else { return None };
        let (conv, &[x, w, b]) = as_op::<Conv2d>(self.old.node(sum))? else { return None };
        if self.readers[sum.index()] != 1 || self.old.shape(b).n() != 1 {
            return None;
        }
        let (conv, n) = (conv.conv, self.old.shape(e).n());
        let [x, w, b, e] = [x, w, b, e].map(|id| self.id(id));
        let each = self.new.repeat_images(b, n);
        let bias = self.new.add(each, e);
        Some(self.new.conv2d(x, w, bias, conv.stride, conv.padding))
    }

    /// silu(group_norm(…)) → one pass, unless somebody else reads the norm.
    fn silu_into_norm(&mut self, node: &Node) -> Option<Id> {
        let (_, &[norm]) = as_op::<Silu>(node)? else { return None };
        let (op, inputs) = as_op::<GroupNorm>(self.old.node(norm))?;
        if self.readers[norm.index()] != 1 {
            return None;
        }
        let groups = op.groups;
        let inputs: Vec<Id> = inputs.iter().map(|&id| self.id(id)).collect();
        Some(self.new.apply(GroupNorm { groups, silu: true }, &inputs))
    }
}
