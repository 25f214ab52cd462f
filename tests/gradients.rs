//! Every gradient against central differences in f64, for random cotangents: each op by itself, and a whole UNet.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::engine::cpu::interpret;
use noisette::graph::{Graph, NodeKind};
use noisette::model::step::{Objective, training_loss};
use noisette::model::unet::sinusoid;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use noisette::train::optimizer::{gradients, training_step};
use std::collections::{BTreeSet, HashMap};
use support::{cases, golden};

type Leaves = HashMap<String, Vec<f64>>;

/// Half the distance between the two points of a difference, for values of about 1.
const STEP: f64 = 1e-5;
/// Largest error of a slope, relative to the gradient's norm along a direction of norm one.
const TOLERANCE: f64 = 1e-6;

/// The slope of Σ cotangent·y (or of y itself, where there is no cotangent) as `leaf` moves along `direction`.
fn slope(graph: &Graph, leaves: &Leaves, leaf: &str, direction: &[f64]) -> f64 {
    let at = |sign: f64| {
        let mut moved = leaves.clone();
        let values = moved.get_mut(leaf).expect("the leaf has values");
        values.iter_mut().zip(direction).for_each(|(value, d)| *value += sign * STEP * d);
        let y = interpret(graph, &moved).remove("y").expect("the output y");
        match leaves.get("cotangent") {
            Some(cotangent) => y.iter().zip(cotangent).map(|(y, c)| y * c).sum(),
            None => y[0],
        }
    };
    (at(1.0) - at(-1.0)) / (2.0 * STEP)
}

/// Directions of norm one: two random ones, in which every value counts, and three single values.
fn directions(len: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
    let mut directions: Vec<Vec<f64>> = (0..2)
        .map(|_| {
            let random: Vec<f64> = rng.normals(len).into_iter().map(f64::from).collect();
            let norm = random.iter().map(|d| d * d).sum::<f64>().sqrt();
            random.into_iter().map(|d| d / norm).collect()
        })
        .collect();
    for _ in 0..3 {
        let mut single = vec![0.0; len];
        single[rng.below(len)] = 1.0;
        directions.push(single);
    }
    directions
}

/// Compares ∂y/∂leaf with differences; a sentence where they differ.
fn compare(
    name: &str,
    graph: &Graph,
    leaves: &Leaves,
    leaf: &str,
    gradient: &[f64],
    directions: &[Vec<f64>],
) -> Option<String> {
    if gradient.len() != leaves[leaf].len() || gradient.iter().any(|g| !g.is_finite()) {
        return Some(format!("{name}: the gradient of {leaf} is not one finite number for each value"));
    }
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt().max(1e-3);
    directions.iter().find_map(|direction| {
        let expected = slope(graph, leaves, leaf, direction);
        let found: f64 = gradient.iter().zip(direction).map(|(g, d)| g * d).sum();
        let error = (found - expected).abs() / norm;
        let good = expected.is_finite() && error <= TOLERANCE;
        (!good).then(|| format!("{name}: along {leaf} the slope is {expected}, the gradient says {found}"))
    })
}

/// The graph that computes `y` of a case and nothing else.
fn without_gradients(graph: &Graph) -> Graph {
    let mut g = Graph::new();
    let mut ids = Vec::new();
    let y = graph.outputs().iter().find(|(name, _)| name == "y").expect("every case has an output y").1;
    for node in &graph.nodes()[..=y.index()] {
        ids.push(match &node.kind {
            NodeKind::Input { name } | NodeKind::State { name } => g.input(name, node.shape),
            NodeKind::Parameter { name, kind } => g.parameter(name, *kind, node.shape),
            NodeKind::Constant { value } => g.constant(*value, node.shape),
            NodeKind::Op { op, inputs } => {
                let inputs: Vec<_> = inputs.iter().map(|id| ids[id.index()]).collect();
                g.apply_arc(op.clone(), &inputs)
            }
        });
    }
    g.output("y", ids[y.index()]);
    g
}

#[test]
fn every_op_has_the_gradient_of_its_reference() {
    let mut rng = Rng::new(1);
    let (mut problems, mut compared) = (Vec::new(), 0);
    for case in cases::all().iter().filter(|case| !case.differentiated.is_empty()) {
        let leaves = case.leaves_f64();
        let found = interpret(&case.graph, &leaves);
        let plain = without_gradients(&case.graph);
        for leaf in &case.differentiated {
            let directions = directions(leaves[leaf].len(), &mut rng);
            compared += directions.len();
            let gradient = &found[&format!("d.{leaf}")];
            problems.extend(compare(&case.name, &plain, &leaves, leaf, gradient, &directions));
        }
    }
    assert!(compared > 500, "{compared} slopes were compared");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Names of the ops that a graph computes.
fn ops(graph: &Graph) -> BTreeSet<&'static str> {
    let live = graph.nodes().iter().zip(graph.live());
    let name = |(node, live): (&noisette::graph::Node, bool)| match &node.kind {
        NodeKind::Op { op, .. } if live => Some(op.name()),
        _ => None,
    };
    live.filter_map(name).collect()
}

/// What training computes is among the cases, so that no op's gradient goes unexamined.
#[test]
fn every_op_of_training_is_among_the_cases() {
    let known: BTreeSet<&str> = cases::all().iter().flat_map(|case| case.ops()).collect();
    let mut examined = 0;
    for net in golden::NETS {
        let config = golden::checkpoint(net).config;
        let shape = Shape::new(2, 8, 8, config.channels);
        let (loss, _) = training_loss(&config, shape, Objective::default());
        let used: BTreeSet<&str> =
            [loss, training_step(&config, shape, Objective::default())].iter().flat_map(ops).collect();
        let missing: Vec<_> = used.difference(&known).collect();
        assert!(missing.is_empty(), "{net} computes {missing:?}, of which there is no case");
        examined += used.len();
    }
    assert!(examined > 50, "{examined} ops");
}

/// x·x, x + x and x beside itself: what is used twice collects both shares.
#[test]
fn a_value_used_twice_collects_both_shares() {
    let shape = Shape::new(2, 3, 2, 3);
    let mut g = Graph::new();
    let x = g.input("x", shape);
    let cotangent = g.input("cotangent", shape);
    let twice = g.add(x, x);
    let joined = g.concat(twice, x);
    let back = g.slice_channels(joined, 2, 3); // the last channel of 2x, the first two of x
    let h = g.add(back, twice);
    let y = g.silu(h);
    g.output("y", y);
    let gradient = g.gradients(y, cotangent, &[x])[0].expect("y depends on x");
    g.output("d.x", gradient);
    let mut rng = Rng::new(2);
    let mut leaves = Leaves::new();
    for name in ["x", "cotangent"] {
        leaves.insert(name.to_owned(), rng.normals(shape.len()).into_iter().map(f64::from).collect());
    }
    let found = interpret(&g, &leaves).remove("d.x").expect("the gradient");
    let directions = directions(shape.len(), &mut rng);
    assert_eq!(compare("x twice", &without_gradients(&g), &leaves, "x", &found, &directions), None);
}

#[test]
fn what_does_not_matter_has_no_gradient() {
    let mut g = Graph::new();
    let (x, other) = (g.input("x", Shape::vector(3)), g.input("other", Shape::vector(3)));
    let y = g.silu(x);
    let seed = g.constant(1.0, Shape::vector(3));
    let later = g.add(y, other);
    let found = g.gradients(y, seed, &[x, other, later]);
    assert!(found[0].is_some() && found[1].is_none() && found[2].is_none());
}

/// The gradients that training uses, fused as they are, of both golden networks, for noise and for velocity.
#[test]
fn a_whole_unet_has_the_gradient_of_its_loss() {
    let mut rng = Rng::new(3);
    let (mut problems, mut compared) = (Vec::new(), 0);
    for (net, velocity) in [("rgb", false), ("grey", false), ("grey", true)] {
        let checkpoint = golden::checkpoint(net);
        let config = &checkpoint.config;
        let shape = Shape::new(2, 8, 4, config.channels);
        let objective = Objective { velocity, ..Objective::default() };
        let graph = gradients(config, shape, objective);
        let (mut plain, loss) = training_loss(config, shape, objective);
        plain.output("y", loss);

        let specs = plain.parameters();
        let weights = checkpoint.load_parameters(&specs).expect("the golden weights fit");
        let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
        let mut leaves: Leaves =
            specs.iter().map(|spec| spec.name.clone()).zip(weights.into_iter().map(widen)).collect();
        leaves.insert("x_0".to_owned(), widen(rng.normals(shape.len())));
        leaves.insert("noise".to_owned(), widen(rng.normals(shape.len())));
        leaves.insert("noise_coefficients".to_owned(), vec![0.8, 0.6, 0.3, 0.954]);
        leaves.insert("target_coefficients".to_owned(), vec![0.8, -0.6, 0.3, -0.954]);
        leaves.insert("sinusoid".to_owned(), widen(sinusoid(config, &[120.0, 700.0])));
        leaves.insert("class_labels".to_owned(), vec![4.0, 10.0]);
        leaves.retain(|name, _| plain.leaf(name).is_some());

        let found = interpret(&graph, &leaves);
        for spec in &specs {
            // One random direction for each parameter: all its values count.
            let directions = &directions(spec.shape.len(), &mut rng)[..1];
            let gradient = &found[&format!("grad.{}", spec.name)];
            problems.extend(compare(net, &plain, &leaves, &spec.name, gradient, directions));
            compared += 1;
        }
    }
    assert!(compared > 150, "{compared} parameters were compared");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
