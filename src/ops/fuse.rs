//! Rewrites that make a finished graph cheaper and leave its results as they are (`tests/fuse.rs` compares).
//!
//! - a convolution and the time embedding after it: one convolution whose bias is each image's own;
//! - a convolution and the residual added to it: one convolution that begins with the residual;
//! - upsampling and the convolution after it: one convolution that meets each pixel four times;
//! - a skip connection joined to an image that only norms and convolutions read: they read the two as one;
//! - the three linear layers before attention: one product;
//! - group norm followed by SiLU, where nothing else reads the norm: one pass;
//! - equal nodes become one, nodes that nothing depends on go.
//!
//! Differentiate first, fuse then: gradients are written in terms of the plain ops.

use super::attention::Attention;
use super::channels::Concat;
use super::conv2d::{Conv2d, LINEAR};
use super::group_norm::{GroupNorm, GroupNormStats};
use super::qkv::Qkv;
use super::reduce::AddChannels;
use super::resample::Upsample;
use super::silu::Silu;
use crate::graph::{Add, Graph, Id, Node, NodeKind, Op};
use std::any::Any;
use std::collections::HashMap;

/// The same graph, cheaper: same leaves, same outputs, same assignments.
pub fn fuse(graph: &Graph) -> Graph {
    let live = graph.live();
    // Who only watches reads nothing: a watched value that is fused away is computed once more.
    let unwatched = graph.unwatched();
    let mut readers = vec![0usize; graph.nodes().len()];
    let mut joins = vec![0usize; graph.nodes().len()];
    for (node, _) in graph.nodes().iter().zip(unwatched.live()).filter(|(_, live)| *live) {
        node.inputs().iter().for_each(|id| readers[id.index()] += 1);
        if as_op::<Conv2d>(node).is_some()
            || as_op::<GroupNorm>(node).is_some()
            || as_op::<GroupNormStats>(node).is_some()
        {
            joins[node.inputs()[0].index()] += 1;
        }
    }
    let kept = unwatched.outputs().iter().map(|(_, id)| id).chain(graph.assigns().iter().map(|(_, value)| value));
    kept.for_each(|id| readers[id.index()] += 1);

    let mut rewrite = Rewrite { old: graph, readers, joins, new: Graph::new(), seen: HashMap::new(), ids: Vec::new() };
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
    /// For each old node, how many read it as their first input and could read two halves of it instead.
    joins: Vec<usize>,
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
                let fused = self.time_into_bias(node).or_else(|| self.residual_into_convolution(node));
                let fused = fused.or_else(|| self.three_products_into_one(node));
                let fused = fused.or_else(|| self.silu_into_norm(node)).or_else(|| self.source_into_op(node));
                if let Some(fused) = fused {
                    return fused;
                }
                let inputs: Vec<Id> = inputs.iter().map(|&id| self.id(id)).collect();
                let key = (op.key(), inputs.clone());
                *self.seen.entry(key).or_insert_with(|| self.new.apply_arc(op.clone(), &inputs))
            }
        }
    }

    /// The two halves of x, if x is joined from two and all who read it can read those instead.
    fn halves(&self, x: Id) -> Option<[Id; 2]> {
        let (_, &[image, skip]) = as_op::<Concat>(self.old.node(x))? else { return None };
        let whole = self.old.shape(image).c().is_multiple_of(4);
        (whole && self.joins[x.index()] == self.readers[x.index()]).then_some([image, skip])
    }

    /// A convolution that takes what x is made of, where nobody else needs x.
    fn convolution(&mut self, node: &Node) -> Option<(Conv2d, Vec<Id>)> {
        let (conv, &[x, w, b]) = as_op::<Conv2d>(node)? else { return None };
        let mut conv = *conv;
        let mut inputs = vec![x];
        if let Some((_, &[small])) = as_op::<Upsample>(self.old.node(x))
            && self.readers[x.index()] == 1
        {
            (conv.upsample, inputs) = (true, vec![small]);
        } else if let Some(parts) = self.halves(x) {
            (conv.skip, inputs) = (true, parts.to_vec());
        }
        inputs.extend([w, b]);
        Some((conv, inputs.into_iter().map(|id| self.id(id)).collect()))
    }

    /// A convolution or a norm of what x is made of.
    fn source_into_op(&mut self, node: &Node) -> Option<Id> {
        let halves = node.inputs().first().and_then(|&x| self.halves(x));
        if let (Some((stats, _)), Some(halves)) = (as_op::<GroupNormStats>(node), halves) {
            let stats = GroupNormStats { skip: true, ..*stats };
            return Some(self.shared(stats, &halves.map(|id| self.id(id))));
        }
        if let (Some((norm, inputs)), Some(_)) = (self.norm(node), halves) {
            return Some(self.shared(norm, &inputs));
        }
        let (conv, inputs) = self.convolution(node)?;
        Some(self.shared(conv, &inputs))
    }

    /// A node of this op, unless there is an equal one.
    fn shared(&mut self, op: impl Op, inputs: &[Id]) -> Id {
        let key = ((&op as &dyn Op).key(), inputs.to_vec());
        *self.seen.entry(key).or_insert_with(|| self.new.apply(op, inputs))
    }

    /// conv2d(x, w, b) + e → conv2d(x, w, b + e).
    fn time_into_bias(&mut self, node: &Node) -> Option<Id> {
        let (_, &[sum, e]) = as_op::<AddChannels>(node)? else { return None };
        if self.readers[sum.index()] != 1 {
            return None;
        }
        let (conv, mut inputs) = self.convolution(self.old.node(sum))?;
        let (b, n) = (inputs.last_mut()?, self.old.shape(e).n());
        if self.new.shape(*b).n() != 1 {
            return None;
        }
        let each = self.new.repeat_images(*b, n);
        *b = self.new.add(each, self.ids[e.index()]?);
        Some(self.new.apply(conv, &inputs))
    }

    /// conv2d(x, w, b) + r, or r + conv2d(x, w, b) → one convolution.
    fn residual_into_convolution(&mut self, node: &Node) -> Option<Id> {
        let (_, &[first, second]) = as_op::<Add>(node)? else { return None };
        [(second, first), (first, second)].into_iter().find_map(|(sum, residual)| {
            if self.readers[sum.index()] != 1 {
                return None;
            }
            let (conv, mut inputs) = self.convolution(self.old.node(sum))?;
            inputs.push(self.id(residual));
            Some(self.new.apply(Conv2d { residual: true, ..conv }, &inputs))
        })
    }

    /// attention(x·W_q + b_q, x·W_k + b_k, x·W_v + b_v) → attention(qkv(x, …)).
    fn three_products_into_one(&mut self, node: &Node) -> Option<Id> {
        let (attention, products) = as_op::<Attention>(node)?;
        let (mut x, mut weights, mut biases) = (None, Vec::new(), Vec::new());
        for &product in products {
            let (conv, &[input, w, b]) = as_op::<Conv2d>(self.old.node(product))? else { return None };
            let kernel = self.old.shape(w);
            let linear = conv.conv == LINEAR && (kernel.n(), kernel.h()) == (1, 1);
            if !linear
                || self.old.shape(b).n() != 1
                || self.readers[product.index()] != 1
                || *x.get_or_insert(input) != input
            {
                return None;
            }
            weights.push(self.id(w));
            biases.push(self.id(b));
        }
        let mut inputs = vec![self.id(x?)];
        inputs.extend(weights);
        inputs.extend(biases);
        let packed = self.new.apply(Qkv, &inputs);
        Some(self.new.apply(attention.packed(), &[packed]))
    }

    /// A group norm that takes what x is made of, where nobody else needs x.
    fn norm(&self, node: &Node) -> Option<(GroupNorm, Vec<Id>)> {
        let (norm, inputs) = as_op::<GroupNorm>(node)?;
        let mut norm = *norm;
        let mut inputs = inputs.to_vec();
        if let Some(halves) = self.halves(inputs[0]) {
            norm.skip = true;
            inputs.splice(..1, halves);
        }
        Some((norm, inputs.into_iter().map(|id| self.id(id)).collect()))
    }

    /// silu(group_norm(…)) → one pass, unless somebody else reads the norm.
    fn silu_into_norm(&mut self, node: &Node) -> Option<Id> {
        let (_, &[norm]) = as_op::<Silu>(node)? else { return None };
        if self.readers[norm.index()] != 1 {
            return None;
        }
        let (norm, inputs) = self.norm(self.old.node(norm))?;
        Some(self.shared(GroupNorm { silu: true, ..norm }, &inputs))
    }
}
