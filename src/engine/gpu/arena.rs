//! Many small values treated alike, side by side in one buffer: one dispatch for all of them.
//!
//! An optimizer does the same with every parameter, element by element. Its parameters, gradients, moments and averages lie
//! in a buffer each, the arenas, where every parameter has the same place, its lane. A group of ops then is a single op
//! over as many values as all of its members have; what fills up a lane is zero and stays so. No bit of a result changes.

use crate::engine::sorting::by_key;
use crate::graph::{Graph, Id, NodeKind, Op};
use crate::tensor::Shape;
use std::collections::{HashMap, HashSet};

/// Ops of a graph that are done together.
pub(super) struct Group {
    /// The members, one for each lane from `first` on.
    pub members: Vec<Id>,
    /// The first lane.
    first: usize,
    /// How many of the first inputs are taken element by element.
    pub elementwise: usize,
}

/// Which values lie in arenas, and which ops are done together.
#[derive(Default)]
pub(super) struct Arenas {
    /// Arena and lane of each node that lies in one.
    place: HashMap<Id, (usize, usize)>,
    /// Where each lane begins, in bytes, and where the last one ends.
    lanes: Vec<usize>,
    /// How many arenas there are.
    count: usize,
    groups: Vec<Group>,
}

/// A member in the making.
struct Member {
    key: usize,
    node: Id,
    lane: usize,
}

/// The op of a node that works element by element, its inputs, and how many of them are taken so.
fn elementwise(graph: &Graph, node: Id) -> Option<(&dyn Op, &[Id], usize)> {
    let NodeKind::Op { op, inputs } = &graph.node(node).kind else { return None };
    op.elementwise().map(|count| (op.as_ref(), inputs.as_slice(), count))
}

impl Arenas {
    /// Finds what can be done together; lanes begin at multiples of `alignment` bytes, and no arena is larger than `most`.
    /// Values that lie `elsewhere` stay there.
    pub fn new(
        graph: &Graph,
        bytes: impl Fn(Shape) -> usize,
        alignment: usize,
        most: usize,
        elsewhere: impl Iterator<Item = Id>,
    ) -> Self {
        let mut barred: HashSet<Id> = elsewhere.collect();
        loop {
            let mut arenas = Self::without(graph, &bytes, alignment, &barred);
            if !arenas.lay_out(graph) || !arenas.keeps_order(graph) || arenas.sizes().iter().any(|&size| size > most) {
                return Self::default();
            }
            let misplaced = arenas.misplaced(graph);
            if misplaced.is_empty() {
                return arenas;
            }
            barred.extend(misplaced);
        }
    }

    /// Lanes and groups, leaving the values that are `barred` where they are.
    fn without(graph: &Graph, bytes: impl Fn(Shape) -> usize, alignment: usize, barred: &HashSet<Id>) -> Self {
        let mut lane_of: HashMap<Id, usize> = HashMap::new();
        let mut members: Vec<Member> = Vec::new();
        let mut keys: HashMap<(String, Vec<Id>), usize> = HashMap::new();
        let mut shapes: Vec<Shape> = Vec::new(); // of each lane
        for (i, _) in graph.live().iter().enumerate().filter(|(_, live)| **live) {
            let node = Id(i as u32);
            let Some((op, inputs, count)) = elementwise(graph, node) else { continue };
            if inputs[..count].iter().chain([&node]).any(|id| barred.contains(id)) {
                continue;
            }
            let fresh = keys.len();
            let key = *keys.entry((op.key(), inputs[count..].to_vec())).or_insert(fresh);
            // All of its values belong to one lane, where there is no member of its kind yet.
            let mut found: Vec<usize> = inputs[..count].iter().filter_map(|id| lane_of.get(id).copied()).collect();
            found.dedup();
            let lane = match found[..] {
                [] => shapes.len(),
                [lane] if !members.iter().any(|m| (m.lane, m.key) == (lane, key)) => lane,
                _ => continue,
            };
            if lane == shapes.len() {
                shapes.push(graph.shape(node));
            }
            lane_of.extend(inputs[..count].iter().chain([&node]).map(|&id| (id, lane)));
            members.push(Member { key, node, lane });
        }

        // Lanes with the most members first, so that the lanes of each group are neighbours.
        let others = |lane: usize| members.iter().filter(|member| member.lane != lane).count();
        let order = by_key((0..shapes.len()).collect(), |&lane| (others(lane), 0));
        let mut new_number = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| new_number[old] = new);

        let mut arenas = Self { lanes: vec![0], ..Self::default() };
        for &lane in &order {
            let begin = arenas.lanes[arenas.lanes.len() - 1];
            arenas.lanes.push((begin + bytes(shapes[lane])).next_multiple_of(alignment));
        }
        for key in 0..keys.len() {
            let own = members.iter().filter(|m| m.key == key).map(|m| (new_number[m.lane], m.node)).collect();
            let own: Vec<(usize, Id)> = by_key(own, |&(lane, node)| (lane, node.index()));
            let neighbours = own.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0);
            if let [(first, node), _, ..] = own[..]
                && neighbours
                && let Some((_, _, elementwise)) = elementwise(graph, node)
            {
                let members = own.iter().map(|&(_, node)| node).collect();
                arenas.groups.push(Group { members, first, elementwise });
            }
        }
        arenas
    }

    /// Gives every value its arena: inputs at one position of a group's members share one, and so do their outputs. False if
    /// a value would have to be in two places, or two values in one.
    fn lay_out(&mut self, graph: &Graph) -> bool {
        for group in &self.groups {
            for position in 0..=group.elementwise {
                let value =
                    |node: Id| if position < group.elementwise { graph.node(node).inputs()[position] } else { node };
                let column: Vec<Id> = group.members.iter().map(|&node| value(node)).collect();
                let known = column.iter().find_map(|id| self.place.get(id)).map(|&(arena, _)| arena);
                let arena = known.unwrap_or(self.count);
                self.count = self.count.max(arena + 1);
                for (lane, &id) in (group.first..).zip(&column) {
                    if *self.place.entry(id).or_insert((arena, lane)) != (arena, lane) {
                        return false;
                    }
                }
            }
        }
        let places: Vec<(usize, usize)> = by_key(self.place.values().copied().collect(), |&place| place);
        places.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// Whether every group can be done where its last member stands: no other op needs a result before.
    fn keeps_order(&self, graph: &Graph) -> bool {
        let mut when: HashMap<Id, Id> = HashMap::new();
        for group in &self.groups {
            let last = group.members.iter().copied().max().unwrap_or(Id(0));
            when.extend(group.members.iter().map(|&node| (node, last)));
        }
        let time = |node: Id| when.get(&node).copied().unwrap_or(node);
        (0..graph.nodes().len() as u32).map(Id).all(|node| {
            graph.node(node).inputs().iter().all(|&input| !when.contains_key(&input) || time(input) < time(node))
        })
    }

    /// Values computed from others of the same arena: a kernel cannot read a buffer that it writes.
    fn misplaced(&self, graph: &Graph) -> Vec<Id> {
        let arena = |node: Id| self.place.get(&node).map(|&(arena, _)| arena);
        let ids = (0..graph.nodes().len() as u32).map(Id);
        let is_misplaced = |&node: &Id| {
            let own = arena(node);
            own.is_some() && graph.node(node).inputs().iter().any(|&input| arena(input) == own)
        };
        ids.filter(is_misplaced).collect()
    }

    /// The bytes of each arena.
    pub fn sizes(&self) -> Vec<usize> {
        vec![self.lanes.last().copied().unwrap_or(0); self.count]
    }

    /// Arena and first byte of a value.
    pub fn place(&self, node: Id) -> Option<(usize, usize)> {
        self.place.get(&node).map(|&(arena, lane)| (arena, self.lanes[lane]))
    }

    /// The group a node belongs to.
    pub fn group(&self, node: Id) -> Option<&Group> {
        self.groups.iter().find(|group| group.members.contains(&node))
    }

    /// Whether the second value lies right behind the first.
    pub fn are_neighbours(&self, first: Id, second: Id) -> bool {
        let place = |node| self.place.get(&node);
        place(first).zip(place(second)).is_some_and(|(&(a, lane), &(b, next))| (a, lane + 1) == (b, next))
    }

    /// The bytes from the beginning of one lane to the end of another.
    pub fn span(&self, first: Id, last: Id) -> usize {
        self.lanes[self.place[&last].1 + 1] - self.lanes[self.place[&first].1]
    }

    /// The bytes of all the lanes of a group.
    pub fn bytes(&self, group: &Group) -> usize {
        self.lanes[group.first + group.members.len()] - self.lanes[group.first]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Dispatch, View};

    /// a + b − c, where c is one number for all.
    #[derive(Debug)]
    struct Sum;

    impl Op for Sum {
        fn name(&self) -> &'static str {
            "sum"
        }
        fn shape(&self, inputs: &[Shape]) -> Shape {
            inputs[0]
        }
        fn reference_f32(&self, _: &[View<f32>], _: Shape, _: &mut [f32]) {}
        fn reference_f64(&self, _: &[View<f64>], _: Shape, _: &mut [f64]) {}
        fn dispatch(&self, _: &[Shape], _: Shape) -> Dispatch {
            Dispatch { shader: "sum", params: Vec::new(), operands: None, workgroups: 1 }
        }
        fn vjp(&self, _: &mut Graph, _: &[Id], _: Id, _: Id) -> Vec<Option<Id>> {
            Vec::new()
        }
        fn elementwise(&self) -> Option<usize> {
            Some(2)
        }
    }

    fn arenas(graph: &Graph) -> Arenas {
        Arenas::new(graph, |shape| shape.vec4_len() * 16, 256, 1 << 20, std::iter::empty())
    }

    /// For each of some sizes the states a and b, and a ← a + b − c, then b ← a' + b − d.
    fn optimizer(sizes: &[usize]) -> (Graph, Vec<[Id; 4]>) {
        let mut g = Graph::new();
        let (c, d) = (g.input("c", Shape::SCALAR), g.input("d", Shape::SCALAR));
        let mut lanes = Vec::new();
        for (i, &size) in sizes.iter().enumerate() {
            let [a, b] = ["a", "b"].map(|name| g.state(&format!("{name}{i}"), Shape::vector(size)));
            let a_next = g.apply(Sum, &[a, b, c]);
            let b_next = g.apply(Sum, &[a_next, b, d]);
            g.assign(a, a_next);
            g.assign(b, b_next);
            lanes.push([a, b, a_next, b_next]);
        }
        (g, lanes)
    }

    #[test]
    fn what_is_treated_alike_lies_side_by_side() {
        let (graph, lanes) = optimizer(&[3, 100, 65]);
        let arenas = arenas(&graph);
        assert_eq!(arenas.sizes(), [256 + 512 + 512; 4]);
        for (ids, begin) in lanes.iter().zip([0, 256, 768]) {
            let places = ids.map(|id| arenas.place(id).expect("in an arena"));
            assert!(places.iter().all(|(_, at)| *at == begin), "{places:?}");
            let mut of: Vec<_> = places.iter().map(|(arena, _)| *arena).collect();
            of.sort_unstable();
            assert_eq!(of, [0, 1, 2, 3]);
        }
        for k in [2, 3] {
            let group = arenas.group(lanes[0][k]).expect("a group");
            assert_eq!(group.members, lanes.iter().map(|ids| ids[k]).collect::<Vec<_>>());
            assert_eq!(arenas.bytes(group), 1280);
        }
    }

    #[test]
    fn what_belongs_to_two_is_left_alone() {
        let (mut graph, lanes) = optimizer(&[4, 4]);
        // A third that shares b with the first.
        let (a, c) = (graph.state("a2", Shape::vector(4)), graph.leaf("c").expect("a leaf"));
        let third = graph.apply(Sum, &[a, lanes[0][1], c]);
        graph.assign(a, third);
        let arenas = arenas(&graph);
        assert!(arenas.group(third).is_none() && arenas.place(a).is_none());
        assert_eq!(arenas.group(lanes[1][2]).expect("a group").members.len(), 2);
    }

    #[test]
    fn a_value_made_of_its_neighbour_stays_outside() {
        let mut g = Graph::new();
        let c = g.input("c", Shape::SCALAR);
        let gradient = g.input("x", Shape::vector(4));
        let first = g.add(gradient, gradient);
        let second = g.add(first, gradient);
        let third = g.add(gradient, second);
        let mut next = Vec::new();
        for (i, gradient) in [first, second, third].into_iter().enumerate() {
            let a = g.state(&format!("a{i}"), Shape::vector(4));
            next.push(g.apply(Sum, &[a, gradient, c]));
            g.assign(a, next[i]);
        }
        let arenas = arenas(&g);
        // The second is made of the first, and the third of the second.
        assert!([second, third].iter().all(|&id| arenas.place(id).is_none()));
        assert!(next.iter().all(|&id| arenas.group(id).is_none()), "one alone is no group");
    }

    #[test]
    fn a_result_that_is_needed_early_is_computed_early() {
        let mut g = Graph::new();
        let c = g.input("c", Shape::SCALAR);
        let [a, b, d, e] = ["a", "b", "d", "e"].map(|name| g.state(name, Shape::vector(4)));
        let first = g.apply(Sum, &[a, b, c]);
        // An op that is no member stands between the two members and reads the first.
        let between = g.add(first, first);
        let second = g.apply(Sum, &[d, between, c]);
        g.assign(a, first);
        g.assign(d, second);
        g.assign(e, between);
        assert!(arenas(&g).group(first).is_none());
        // Too large for a buffer.
        let (graph, lanes) = optimizer(&[64, 64]);
        assert!(
            Arenas::new(&graph, |shape| shape.vec4_len() * 16, 256, 500, std::iter::empty())
                .place(lanes[0][0])
                .is_none()
        );
    }
}
