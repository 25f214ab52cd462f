//! Which buffer holds which value: a plan by liveness, made once per program, for both engines.

use crate::graph::{Graph, Id, NodeKind};
use crate::tensor::Shape;

/// A free buffer at most this many times as large as a value may hold it.
const LOOSEST_FIT: usize = 4;

/// A plan: nodes whose values are never needed at the same time share a buffer.
pub(super) struct Plan {
    /// The buffer of each node; dead nodes have none.
    pub slot: Vec<Option<usize>>,
    /// Size of each buffer, in the caller's unit.
    pub sizes: Vec<usize>,
    /// The size of the largest set of values that are alive at one time.
    pub live: usize,
}

impl Plan {
    /// Plans the values of a graph, which take `size(shape)`, but for those that lie `elsewhere`.
    ///
    /// Leaves, constants, outputs and assigned values keep a buffer of their own; an op's output never shares one with
    /// its inputs.
    pub fn new(graph: &Graph, size: impl Fn(Shape) -> usize, elsewhere: impl Fn(Id) -> bool) -> Self {
        let nodes = graph.nodes();
        let live = graph.live();
        let mut last_use: Vec<usize> = (0..nodes.len()).collect();
        for (i, node) in nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
            for input in node.inputs() {
                last_use[input.index()] = i;
            }
        }
        let kept = graph.outputs().iter().map(|(_, id)| id).chain(graph.assigns().iter().map(|(_, value)| value));
        for id in kept {
            last_use[id.index()] = usize::MAX;
        }
        for (i, node) in nodes.iter().enumerate() {
            if !matches!(node.kind, NodeKind::Op { .. }) {
                last_use[i] = usize::MAX;
            }
        }

        let mut plan = Self { slot: vec![None; nodes.len()], sizes: Vec::new(), live: 0 };
        let mut free: Vec<usize> = Vec::new();
        let mut now: usize =
            (0..nodes.len()).filter(|&i| live[i] && nodes[i].inputs().is_empty()).map(|i| size(nodes[i].shape)).sum();
        for (i, node) in nodes.iter().enumerate() {
            if !live[i] {
                continue;
            }
            let needed = size(node.shape);
            if matches!(node.kind, NodeKind::Op { .. }) {
                now += needed;
                plan.live = plan.live.max(now);
            }
            if elsewhere(Id(i as u32)) {
                plan.slot[i] = None;
            } else if matches!(node.kind, NodeKind::Op { .. }) {
                plan.slot[i] = Some(plan.take(&mut free, needed));
            } else {
                // Not even a buffer that is free by now: a leaf holds its value from before the run.
                plan.slot[i] = Some(plan.take(&mut Vec::new(), needed));
            }
            for (nth, id) in node.inputs().iter().enumerate().filter(|(_, id)| last_use[id.index()] == i) {
                if !node.inputs()[..nth].contains(id) {
                    now -= size(graph.shape(*id));
                    free.extend(plan.slot[id.index()]);
                }
            }
        }
        plan
    }

    /// The free buffer that fits best, the largest smaller one enlarged, or a new one. A small value does not keep a large
    /// buffer from the large value that comes next.
    fn take(&mut self, free: &mut Vec<usize>, needed: usize) -> usize {
        let size = |i: &usize| self.sizes[free[*i]];
        let fits = |i: &usize| (needed..=LOOSEST_FIT * needed).contains(&size(i));
        let fitting = (0..free.len()).filter(fits).min_by_key(size);
        let largest = (0..free.len()).filter(|i| size(i) < needed).max_by_key(size);
        match fitting.or(largest) {
            Some(i) => {
                let slot = free.swap_remove(i);
                self.sizes[slot] = self.sizes[slot].max(needed);
                slot
            }
            None => {
                self.sizes.push(needed);
                self.sizes.len() - 1
            }
        }
    }
}
