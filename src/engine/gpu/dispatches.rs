//! What is dispatched for a graph, in order, and what each dispatch binds: an op, a group or a chain of ops, with the kernel
//! that suits the adapter, whole or in parts.

use super::arena::Arenas;
use super::merged_sums::MergedSums;
use super::split::{Part, split};
use super::{memory, throughput};
use crate::graph::{Dispatch, Graph, Id, NodeKind};
use crate::tensor::Shape;

/// A dispatch and the values it binds: their nodes, and their bytes, which may go on through the neighbours in an arena.
pub(super) type Bound = (Part, Vec<(Id, usize)>);

/// All dispatches for the ops that have a place for their values.
pub(super) fn dispatches(
    graph: &Graph,
    has_place: impl Fn(Id) -> bool,
    arenas: &Arenas,
    merged_sums: &MergedSums,
    software: bool,
    fewest_tiled: usize,
) -> Vec<Bound> {
    let mut dispatches = Vec::new();
    for (node, id) in graph.nodes().iter().zip((0..).map(Id)) {
        let NodeKind::Op { op, inputs } = &node.kind else { continue };
        if !has_place(id) {
            continue;
        }
        let mut shapes: Vec<Shape> = inputs.iter().map(|&id| graph.shape(id)).collect();
        let mut out = node.shape;
        let mut bound: Vec<(Id, usize)> =
            inputs.iter().chain([&id]).map(|&id| (id, memory::bytes(graph.shape(id)))).collect();
        if let Some(group) = arenas.group(id) {
            if group.members.iter().any(|&member| member > id) {
                continue; // the last one does it for all
            }
            let (first, bytes) = (group.members[0], arenas.bytes(group));
            out = Shape::vector(bytes / 4);
            let values = graph.node(first).inputs()[..group.elementwise].iter();
            bound.iter_mut().zip(values).for_each(|(to, &value)| *to = (value, bytes));
            if let Some(to) = bound.last_mut() {
                *to = (first, bytes);
            }
        } else if let Some(link) = merged_sums.link(id) {
            let [first, last] = link.values;
            shapes[0] = graph.shape(first);
            bound[0] = (first, memory::bytes(shapes[0]));
            if first != last {
                bound[0].1 = arenas.span(first, last);
                shapes[0] = Shape::vector(bound[0].1 / 4);
            }
            bound[1].0 = link.so_far;
        }
        let tiled = op.dispatch_tiled(&shapes, out);
        let dispatch = choose(fewest_tiled, op.dispatch(&shapes, out), tiled);
        let written = bound.split_off(inputs.len());
        let bound: Vec<_> = dispatch.bound(&bound).into_iter().chain(written).collect();
        let work = throughput::work(op.gpu_work(&shapes, out), &shapes, out);
        dispatches.extend(split(dispatch, work, software).into_iter().map(|part| (part, bound.clone())));
    }
    dispatches
}

/// Fewest workgroups that make a kernel with tiles in workgroup memory worth it on a kind of adapter. Below, smaller pieces
/// fill a GPU better; a software one keeps workgroup memory where it keeps everything else, and gains nothing.
pub(super) fn fewest_tiled(software: bool) -> usize {
    if software { usize::MAX } else { 128 }
}

/// The kernel of an op, of the one or two there are.
fn choose(fewest_tiled: usize, plain: Dispatch, tiled: Option<Dispatch>) -> Dispatch {
    tiled.filter(|tiled| tiled.workgroups >= fewest_tiled).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_shapes_on_hardware_are_tiled() {
        let dispatch = |shader, workgroups| Dispatch { shader, params: Vec::new(), operands: None, workgroups };
        let chosen = |software, workgroups| {
            choose(fewest_tiled(software), dispatch("plain", 9), Some(dispatch("tiled", workgroups))).shader
        };
        assert_eq!(chosen(false, 128), "tiled");
        assert_eq!(chosen(false, 127), "plain");
        assert_eq!(chosen(true, 128), "plain");
        assert_eq!(choose(0, dispatch("plain", 1000), None).shader, "plain");
    }
}
