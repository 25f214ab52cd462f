//! Fused graphs compute what the plain ones compute, with less work.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::checkpoint;
use noisette::engine::cpu::interpret;
use noisette::graph::{Graph, Node, NodeKind};
use noisette::model::config::UnetConfig;
use noisette::model::step::{Objective, training_loss};
use noisette::model::unet::unet;
use noisette::ops::fuse;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use std::collections::HashMap;

/// Random values for every leaf; labels and variances have to make sense, so they are positive and small.
fn leaves(graph: &Graph) -> HashMap<String, Vec<f64>> {
    let mut rng = Rng::new(3);
    let value = |name: &str, rng: &mut Rng, len: usize| -> Vec<f64> {
        match name {
            "class_labels" => (0..len).map(|i| i as f64).collect(),
            _ => (0..len).map(|_| 0.5 * f64::from(rng.normal())).collect(),
        }
    };
    graph.leaves().map(|(name, _, shape)| (name.to_owned(), value(name, &mut rng, shape.len()))).collect()
}

/// Compares all results of the two graphs in f64, where only the order of sums may differ.
fn same(name: &str, plain: &Graph, fused: &Graph, leaves: &HashMap<String, Vec<f64>>) {
    let (expected, found) = (interpret(plain, leaves), interpret(fused, leaves));
    assert_eq!(expected.len(), found.len(), "{name}: the results are the same ones");
    assert!(!expected.is_empty(), "{name}: there is something to compare");
    for (key, expected) in expected {
        let found: Vec<f64> = found.get(&key).unwrap_or_else(|| panic!("{name}: {key} is gone")).clone();
        let scale = expected.iter().fold(1e-5f64, |m, v| m.max(v.abs())); // key biases have no gradient but rounding
        assert_eq!(expected.len(), found.len());
        for (e, f) in expected.iter().zip(found) {
            let error = (e - f).abs() / scale;
            assert!(error <= 1e-10, "{name}: {key} is {f} instead of {e}");
        }
    }
}

/// How often each op is computed.
fn ops(graph: &Graph) -> HashMap<&'static str, usize> {
    let mut counts = HashMap::new();
    graph.operations().for_each(|node| *counts.entry(node.op.name()).or_default() += 1);
    counts
}

fn computed(graph: &Graph) -> usize {
    ops(graph).values().sum()
}

#[test]
fn every_case_keeps_its_results() {
    let cases = support::cases::all();
    assert!(cases.len() > 50, "there are cases");
    for case in cases {
        same(&case.name, &case.graph, &fuse(&case.graph), &case.leaves_f64());
    }
}

/// The UNet of a golden folder, as it is written, for two images of 8×8.
fn plain(config: &UnetConfig) -> Graph {
    let mut g = Graph::new();
    let x = g.input("sample", Shape::new(2, 8, 8, config.channels));
    let sinusoid = g.input("sinusoid", Shape::new(2, 1, 1, config.block_out_channels[0]));
    let labels = config.num_class_embeds.map(|_| g.input("class_labels", Shape::new(2, 1, 1, 1)));
    let eps = unet(&mut g, config, x, sinusoid, labels);
    g.output("eps", eps);
    g
}

#[test]
fn unets_keep_their_results_and_lose_work() {
    for name in ["rgb", "grey"] {
        let config = checkpoint::read_dir(format!("tests/golden/{name}")).expect("a golden folder").config;
        let graph = plain(&config);
        let fused = fuse(&graph);
        same(name, &graph, &fused, &leaves(&graph));
        let named = |ending: &str| graph.parameters().iter().filter(|spec| spec.name.ends_with(ending)).count();
        let (blocks, attentions) = (named("conv2.weight"), named("to_q.weight"));
        // A skip connection that does not begin on a vec4 is joined as before.
        let is_join = |node: &&Node| matches!(&node.kind, NodeKind::Op { op, .. } if op.name() == "concat");
        let begins_vec4 = |node: &&Node| graph.shape(node.inputs()[0]).c().is_multiple_of(4);
        let joins = graph.nodes().iter().filter(is_join).filter(begins_vec4).count();
        let wide = ops(&graph)["upsample"];
        assert!(blocks >= 6 && attentions >= 2 && joins >= 3 && wide >= 1, "{name} has something to fuse");
        // Each residual block loses the SiLU of both norms; adding the time becomes two tiny ops instead of one pass.
        let mut expected = computed(&graph) - 2 * blocks - 1 + blocks;
        // Residuals (and the class) are added by the convolutions before them, skip connections and upsampled images are
        // read in place.
        expected -= usize::from(config.num_class_embeds.is_some()) + blocks + attentions + joins + wide;
        // Queries, keys and values are one product.
        expected -= 2 * attentions;
        assert_eq!(computed(&fused), expected, "{name}: ops of the fused graph");
        assert_eq!(ops(&fused).get("concat").copied().unwrap_or(0), ops(&graph)["concat"] - joins, "{name}");
        assert!(!ops(&fused).contains_key("upsample"), "{name}");

        let shape = Shape::new(2, 8, 8, config.channels);
        let (mut graph, loss) = training_loss(&config, shape, Objective::default());
        let specs = graph.parameters();
        let ids: Vec<_> = specs.iter().map(|spec| spec.id).collect();
        let gradients = graph.gradients_of_scalar(loss, &ids);
        for (spec, gradient) in specs.iter().zip(gradients) {
            graph.output(&format!("grad.{}", spec.name), gradient.expect("every parameter has a gradient"));
        }
        let fused = fuse(&graph);
        same(name, &graph, &fused, &leaves(&graph));
    }
}

#[test]
fn equal_and_dead_nodes_go() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::new(1, 2, 3, 4));
    let a = g.silu(x);
    let b = g.silu(x);
    let sum = g.add(a, b);
    g.scale(sum, 3.0);
    g.output("y", sum);
    let fused = fuse(&g);
    assert_eq!(fused.nodes().len(), 3, "x, silu(x), silu(x) + silu(x)");
    same("equal nodes", &g, &fused, &leaves(&g));
}

#[test]
fn what_others_read_is_not_taken_apart() {
    let mut g = Graph::new();
    let [x, skip] = ["x", "skip"].map(|name| g.input(name, Shape::new(2, 3, 2, 4)));
    let [w, wide_w] = [("w", 4), ("wide_w", 8)].map(|(name, ci)| g.input(name, Shape::new(3, 3, ci, 4)));
    let b = g.input("b", Shape::vector(4));
    let joined = g.concat(x, skip);
    let up = g.upsample(x);
    let h = g.conv2d(joined, wide_w, b, 1, (1, 1));
    let sum = g.add(h, x);
    let wide = g.conv2d(up, w, b, 1, (1, 1));
    for (name, id) in [("joined", joined), ("up", up), ("h", h), ("sum", sum), ("wide", wide)] {
        g.output(name, id);
    }
    let fused = fuse(&g);
    // To the letter: an op that reads the parts of what is there anyway computes the same.
    let forms = |graph: &Graph| graph.operations().map(|node| format!("{:?}", node.op)).collect::<Vec<_>>();
    assert_eq!(forms(&fused), forms(&g), "nothing could be fused");
    same("values read twice", &g, &fused, &leaves(&g));
}

#[test]
fn a_norm_that_others_read_stays() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::new(2, 3, 2, 4));
    let [scale, shift] = ["scale", "shift"].map(|name| g.input(name, Shape::vector(4)));
    let norm = g.group_norm(x, scale, shift, 2, 1e-5);
    let active = g.silu(norm);
    let y = g.add(norm, active);
    g.output("y", y);
    let fused = fuse(&g);
    assert_eq!(computed(&fused), computed(&g), "nothing could be fused");
    same("a norm read twice", &g, &fused, &leaves(&g));
}
