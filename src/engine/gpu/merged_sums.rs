//! A sum over many values in a few dispatches.
//!
//! The norm of the gradient is such a sum. The graph has a chain of ops for it, which add one parameter's gradient after the
//! other. Most gradients lie side by side in an arena, and one dispatch adds a whole row of them. Each of the others is
//! added by a dispatch of its own. The order of the sum is not the chain's, but it is fixed when the graph is compiled.

use super::arena::Arenas;
use crate::engine::sorting::by_key;
use crate::graph::{Graph, Id, NodeKind, Op};
use std::collections::{HashMap, HashSet};

/// One dispatch of a chain.
#[derive(Debug, PartialEq)]
pub(super) struct Link {
    /// The first and the last of the values it adds, which lie side by side.
    pub values: [Id; 2],
    /// The node that has the sum of the link before, or what the chain begins with.
    pub so_far: Id,
}

/// All chains of a graph. Their sums are needed later than the graph says, so they last for a whole run.
#[derive(Default)]
pub(super) struct MergedSums {
    members: HashSet<Id>,
    links: HashMap<Id, Link>,
}

/// An op that adds something of its first input to its second, with both.
fn accumulating(graph: &Graph, node: Id) -> Option<(&dyn Op, Id, Id)> {
    match &graph.node(node).kind {
        NodeKind::Op { op, inputs } if op.accumulates() => Some((op.as_ref(), inputs[0], inputs[1])),
        _ => None,
    }
}

impl MergedSums {
    /// Finds the chains. One begins with a leaf or a constant, and ends where a sum has another use.
    pub fn new(graph: &Graph, arenas: &Arenas) -> Self {
        let live = graph.live();
        let nodes: Vec<Id> = (0..live.len() as u32).map(Id).filter(|id| live[id.index()]).collect();
        let mut users: HashMap<Id, Vec<Id>> = HashMap::new();
        for &node in &nodes {
            graph.node(node).inputs().iter().for_each(|&input| users.entry(input).or_default().push(node));
        }
        let outputs = graph.outputs().iter().map(|(_, id)| *id);
        let kept: HashSet<Id> = outputs.chain(graph.assigns().iter().map(|&(_, value)| value)).collect();
        let next = |&member: &Id| -> Option<Id> {
            let (op, ..) = accumulating(graph, member)?;
            let &[user] = users.get(&member)?.as_slice() else { return None };
            let (next, _, sum) = accumulating(graph, user)?;
            let alike = op.key() == next.key();
            (alike && sum == member && !kept.contains(&member)).then_some(user)
        };

        let mut merged_sums = Self::default();
        for &begin in &nodes {
            let Some((_, _, start)) = accumulating(graph, begin) else { continue };
            if !matches!(graph.node(start).kind, NodeKind::Op { .. }) {
                let members: Vec<Id> = std::iter::successors(Some(begin), next).collect();
                merged_sums.add(graph, arenas, &members, start);
            }
        }
        merged_sums
    }

    /// Makes links of the members of a chain.
    fn add(&mut self, graph: &Graph, arenas: &Arenas, members: &[Id], start: Id) {
        let value = |member: Id| graph.node(member).inputs()[0];
        // By their places. A value that is added twice has two members at one place: the second stays alone.
        let at = |member: Id| arenas.place(value(member)).map_or((0, 0), |(arena, at)| (arena + 1, at));
        let sorted = by_key(members.to_vec(), |&member| at(member));
        let mut runs: Vec<Vec<Id>> = Vec::new();
        for member in sorted {
            let goes_on = |run: &Vec<Id>| arenas.are_neighbours(value(run[run.len() - 1]), value(member));
            match runs.iter_mut().find(|run| goes_on(run)) {
                Some(run) => run.push(member),
                None => runs.push(vec![member]),
            }
        }
        // Each is done where its last member stands, and all of them in that order.
        let place = |run: &Vec<Id>| run.iter().copied().max().unwrap_or(start);
        let runs = by_key(runs, |run| (place(run).index(), 0));
        if runs.len() == members.len() {
            return;
        }
        let mut so_far = start;
        for run in &runs {
            let values = [value(run[0]), value(run[run.len() - 1])];
            self.links.insert(place(run), Link { values, so_far });
            so_far = place(run);
        }
        self.members.extend(members);
    }

    /// Whether a node belongs to a chain. It has a value only if it has a [`Link`].
    pub fn has(&self, node: Id) -> bool {
        self.members.contains(&node)
    }

    /// The dispatch in this node's place, if there is one.
    pub fn link(&self, node: Id) -> Option<&Link> {
        self.links.get(&node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    /// Gradients of some sizes, and then the first again; the sum of their squares, and what is clipped by it.
    fn clipped(sizes: &[usize]) -> (Graph, Vec<Id>, Vec<Id>) {
        let mut g = Graph::new();
        let bound = g.input("bound", Shape::SCALAR);
        let mut sum = g.constant(0.0, Shape::SCALAR);
        let mut gradients: Vec<Id> =
            sizes.iter().enumerate().map(|(i, &size)| g.input(&format!("g{i}"), Shape::vector(size))).collect();
        gradients.insert(1, gradients[0]);
        let mut members = Vec::new();
        for &gradient in &gradients {
            sum = g.sum_squares(gradient, sum);
            members.push(sum);
        }
        for (i, &gradient) in gradients.iter().enumerate() {
            let out = g.clip_norm(gradient, sum, bound);
            g.output(&format!("c{i}"), out);
        }
        (g, gradients, members)
    }

    fn merged_sums(graph: &Graph) -> MergedSums {
        MergedSums::new(graph, &Arenas::new(graph, |shape| shape.vec4_len() * 16, 256, 1 << 20, std::iter::empty()))
    }

    #[test]
    fn neighbours_are_one_link_and_what_is_left_another() {
        let (graph, gradients, members) = clipped(&[3, 100, 65]);
        let merged_sums = merged_sums(&graph);
        assert!(members.iter().all(|&member| merged_sums.has(member)));
        assert_eq!(merged_sums.links.len(), 2);
        let start = graph.node(members[0]).inputs()[1];
        let again = Link { values: [gradients[1]; 2], so_far: start };
        assert_eq!(merged_sums.link(members[1]), Some(&again));
        let others = Link { values: [gradients[0], gradients[3]], so_far: members[1] };
        assert_eq!(merged_sums.link(members[3]), Some(&others));
    }

    #[test]
    fn a_sum_that_is_needed_by_itself_ends_a_chain() {
        let (mut graph, _, members) = clipped(&[3, 100, 65, 7]);
        graph.output("so far", members[2]);
        let merged_sums = merged_sums(&graph);
        assert!(members[..3].iter().all(|&member| merged_sums.has(member)));
        // The rest begins with a result that may not last.
        assert!(!members[3..].iter().any(|&member| merged_sums.has(member)));
    }

    #[test]
    fn values_apart_are_summed_apart() {
        let mut g = Graph::new();
        let [a, b] = ["a", "b"].map(|name| g.input(name, Shape::vector(5)));
        let zero = g.constant(0.0, Shape::SCALAR);
        let first = g.sum_squares(a, zero);
        let second = g.sum_squares(b, first);
        g.output("sum", second);
        assert!(merged_sums(&g).members.is_empty(), "no arena holds them");
    }
}
