//! Looking inside a network: what is watched is what the network computes, and watching changes nothing else.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::diffusion::SamplerKind;
use noisette::engine::Engine;
use noisette::engine::cpu::{interpret, interpret_all};
use noisette::graph::{Graph, WatchError};
use noisette::model::config::UnetConfig;
use noisette::model::step::{
    Sampling, prediction, prediction_watching, sampling_step, sampling_step_watching, watchable,
};
use noisette::model::unet::{sinusoid, unet};
use noisette::playground::{Frame, Noise, Session, Settings, sampler_config};
use noisette::rng::Rng;
use noisette::tensor::Shape;
use pollster::block_on;
use std::collections::{BTreeMap, HashMap};
use support::{compare, golden};

/// Largest error of an engine, relative to the value's largest.
const TOLERANCE: f64 = 1e-4;

fn config(net: &str) -> UnetConfig {
    golden::checkpoint(net).config
}

/// Two images that are not square.
fn images(config: &UnetConfig) -> Shape {
    Shape::new(2, 8, 12, config.channels)
}

fn names(config: &UnetConfig) -> Vec<String> {
    watchable(config, images(config)).into_iter().map(|(name, _)| name).collect()
}

/// The prediction as it is written, with all there is to watch.
fn plain(config: &UnetConfig, shape: Shape) -> Graph {
    let mut g = Graph::new();
    let (x, n) = (g.input("sample", shape), shape.n());
    let sinusoid = g.input("sinusoid", Shape::new(n, 1, 1, config.block_out_channels[0]));
    let labels = config.num_class_embeds.map(|_| g.input("class_labels", Shape::new(n, 1, 1, 1)));
    let eps = unet(&mut g, config, x, sinusoid, labels);
    g.output("eps", eps);
    g.watch(&names(config)).expect("its own names");
    g
}

/// Values for every leaf.
fn leaves(graph: &Graph) -> HashMap<String, Vec<f32>> {
    let mut rng = Rng::new(3);
    let mut value = |name: &str, len: usize| match name {
        "class_labels" => (0..len).map(|i| i as f32).collect(),
        _ => rng.normals(len).into_iter().map(|v| 0.5 * v).collect(),
    };
    graph.leaves().map(|(name, _, shape)| (name.to_owned(), value(name, shape.len()))).collect()
}

fn wide(leaves: &HashMap<String, Vec<f32>>) -> HashMap<String, Vec<f64>> {
    leaves.iter().map(|(name, v)| (name.clone(), v.iter().map(|&x| f64::from(x)).collect())).collect()
}

/// All outputs of a graph on an engine, by name.
fn run(engine: &str, graph: &Graph, leaves: &HashMap<String, Vec<f32>>) -> BTreeMap<String, Vec<f32>> {
    let mut program = golden::engine(engine).compile(graph).expect("a small graph");
    leaves.iter().for_each(|(name, values)| program.write(name, values).expect("a leaf"));
    program.run().expect("a run");
    let mut read = |name: &String| (name.clone(), block_on(program.read(name)).expect("a value"));
    graph.outputs().iter().map(|(name, _)| read(name)).collect()
}

fn assert_same(what: &str, found: &[f64], expected: &[f64]) {
    assert!(found.len() == expected.len() && !expected.is_empty(), "{what}: {} values", found.len());
    let scale = expected.iter().fold(1e-6, |max: f64, v| max.max(v.abs()));
    let error = found.iter().zip(expected).map(|(f, e)| (f - e).abs() / scale);
    assert!(error.clone().all(|error| error <= 1e-10), "{what}: {:?}", error.fold(0.0, f64::max));
}

#[test]
fn names_are_the_scopes_of_the_checkpoint() {
    let config = config("grey");
    let shape = |n, h, w, c| Shape::new(n, h, w, c);
    // Two images, three heads of four channels, 24 pixels at the lower resolution.
    let (large, small, probabilities) = (shape(2, 8, 12, 8), shape(2, 4, 6, 12), shape(6, 4, 6, 24));
    let expected = [
        ("time_embedding", shape(2, 1, 1, 20)),
        ("class_embedding", shape(2, 1, 1, 20)),
        ("conv_in", large),
        ("down_blocks.0.resnets.0", large),
        ("down_blocks.0.downsamplers.0", shape(2, 4, 6, 8)),
        ("down_blocks.1.resnets.0", small),
        ("down_blocks.1.attentions.0.probabilities", probabilities),
        ("down_blocks.1.attentions.0", small),
        ("mid_block.resnets.0", small),
        ("mid_block.attentions.0.probabilities", probabilities),
        ("mid_block.attentions.0", small),
        ("mid_block.resnets.1", small),
        ("mid_block", small),
        ("up_blocks.0.resnets.0", small),
        ("up_blocks.0.attentions.0.probabilities", probabilities),
        ("up_blocks.0.attentions.0", small),
        ("up_blocks.0.resnets.1", small),
        ("up_blocks.0.attentions.1.probabilities", probabilities),
        ("up_blocks.0.attentions.1", small),
        ("up_blocks.0.upsamplers.0", shape(2, 8, 12, 12)),
        ("up_blocks.1.resnets.0", large),
        ("up_blocks.1.resnets.1", large),
        ("conv_norm_out", large),
        ("conv_out", shape(2, 8, 12, 1)),
    ];
    assert_eq!(watchable(&config, images(&config)), expected.map(|(name, shape)| (name.to_owned(), shape)));
    for net in golden::NETS {
        let config = self::config(net);
        let parameters = prediction(&config, images(&config)).parameters();
        for name in names(&config) {
            let scope = format!("{}.", name.trim_end_matches(".probabilities"));
            assert!(parameters.iter().any(|spec| spec.name.starts_with(&scope)), "{net} has no parameters in {name}");
        }
    }
}

#[test]
fn watched_values_are_those_of_the_plain_graph_on_every_engine() {
    for net in golden::NETS {
        let config = config(net);
        let shape = images(&config);
        let plain = plain(&config, images(&config));
        let leaves = leaves(&plain);
        let expected = interpret(&plain, &wide(&leaves));
        let watched = prediction_watching(&config, shape, &names(&config)).expect("its own names");
        assert_eq!(watched.outputs().len(), names(&config).len() + 1, "and ε");

        let fused = interpret(&watched, &wide(&leaves));
        assert_eq!(fused.len(), expected.len(), "{net}");
        expected.iter().for_each(|(name, values)| assert_same(&format!("{net}, {name}"), &fused[name], values));
        for engine in golden::ENGINES {
            let found = run(engine, &watched, &leaves);
            assert_eq!(found.len(), expected.len(), "{net}");
            for (name, values) in &found {
                compare::close(values, &expected[name], TOLERANCE)
                    .unwrap_or_else(|why| panic!("{net}, {engine}, {name}: {why}"));
            }
            let unwatched = run(engine, &prediction(&config, shape), &leaves);
            let same: Vec<f64> = unwatched["eps"].iter().map(|&v| f64::from(v)).collect();
            compare::close(&found["eps"], &same, 1e-5).unwrap_or_else(|why| panic!("{net}, {engine}: {why}"));
        }
    }
}

/// What is fused depends on what is kept: every name on its own, too.
#[test]
fn one_name_at_a_time_changes_no_result() {
    for net in golden::NETS {
        let config = config(net);
        let shape = images(&config);
        let plain = plain(&config, images(&config));
        let leaves = wide(&leaves(&plain));
        let expected = interpret(&plain, &leaves);
        let unwatched = prediction(&config, shape);
        let eps = interpret(&unwatched, &leaves).remove("eps").expect("the prediction");
        for (name, of) in watchable(&config, shape) {
            let watched = prediction_watching(&config, shape, &[&name]).expect("one of its names");
            let [_, (output, id)] = watched.outputs() else { panic!("ε and {name}") };
            assert_eq!((output, watched.shape(*id)), (&name, of));
            let found = interpret(&watched, &leaves);
            assert_same(&format!("{net}, {name}"), &found[&name], &expected[&name]);
            assert_same(&format!("{net}, ε with {name}"), &found["eps"], &eps);
            // A block's result is there anyway.
            if ["resnets", "attentions", "samplers"].iter().any(|part| name.contains(part))
                && !name.ends_with("probabilities")
            {
                let count = [&watched, &unwatched].map(|graph| graph.operations().count());
                assert_eq!(count[0], count[1], "{net}, {name} costs operations");
            }
        }
    }
}

#[test]
fn a_guided_step_is_watched_too() {
    let config = config("grey");
    let shape = images(&config);
    let guided = Sampling { guided: true, remembers: true, known: true };
    let names = ["mid_block.attentions.0.probabilities", "mid_block", "conv_out"];
    let watched = sampling_step_watching(&config, shape, guided, &names).expect("names of the network");
    let unwatched = sampling_step(&config, shape, guided);
    let mut leaves = leaves(&unwatched);
    leaves.insert("class_labels".to_owned(), vec![1.0, 2.0, 10.0, 10.0]);
    let expected = interpret(&unwatched, &wide(&leaves));
    let values = interpret(&watched, &wide(&leaves));
    for name in ["x", "eps", "slots"] {
        assert_same(name, &values[name], &expected[name]);
    }
    assert_eq!(values["conv_out"].len(), 2 * shape.len(), "with the class, then without");
    let w = f64::from(leaves["guidance"][0]);
    let (with, without) = values["conv_out"].split_at(shape.len());
    let eps: Vec<f64> = with.iter().zip(without).map(|(c, u)| u + w * (c - u)).collect();
    assert_same("ε of conv_out", &values["eps"], &eps);
    for engine in golden::ENGINES {
        for (name, found) in run(engine, &watched, &leaves) {
            compare::close(&found, &values[&name], TOLERANCE).unwrap_or_else(|why| panic!("{engine}, {name}: {why}"));
        }
    }
}

#[test]
fn what_nobody_watches_is_not_there() {
    let forms = |graph: &Graph| graph.operations().map(|node| format!("{:?}", node.op)).collect::<Vec<_>>();
    for net in golden::NETS {
        let config = config(net);
        let shape = images(&config);
        let mut g = Graph::new();
        let x = g.input("sample", shape);
        let sinusoid = g.input("sinusoid", Shape::new(2, 1, 1, config.block_out_channels[0]));
        let labels = config.num_class_embeds.map(|_| g.input("class_labels", Shape::new(2, 1, 1, 1)));
        let eps = unet(&mut g, &config, x, sinusoid, labels);
        g.output("eps", eps);
        assert_eq!(g.operations().count(), g.nodes().iter().filter(|node| node.leaf_name().is_none()).count());
        let is_watched = |form: &String| form.contains("Probabilities") || form.contains("Lse");
        assert!(!forms(&g).iter().any(is_watched), "{net}");
        let none = prediction_watching(&config, shape, &[""; 0]).expect("no name at all");
        assert_eq!(forms(&none), forms(&prediction(&config, shape)), "{net}");
        let of = Sampling { guided: true, ..Sampling::default() };
        let none = sampling_step_watching(&config, shape, of, &[""; 0]).expect("no name at all");
        let without = sampling_step(&config, shape, of);
        assert_eq!((forms(&none), none.outputs()), (forms(&without), without.outputs()), "{net}");
        let all = prediction_watching(&config, shape, &names(&config)).expect("its own names");
        let count = names(&config).iter().filter(|name| name.ends_with("probabilities")).count();
        assert_eq!(forms(&all).iter().filter(|form| is_watched(form)).count(), 2 * count, "{net}");
    }
}

#[test]
fn an_unknown_name_is_an_error_that_says_what_there_is() {
    let config = config("rgb");
    let shape = images(&config);
    let error = prediction_watching(&config, shape, &["conv_in", "mid_blok"]).expect_err("a slip of the pen");
    let WatchError::Unknown { name, known } = &error;
    assert_eq!((name.as_str(), known), ("mid_blok", &names(&config)));
    let text = error.to_string();
    assert!(text.contains("\"mid_blok\"") && text.contains("mid_block.resnets.1, mid_block, "), "{text}");
    let step = sampling_step_watching(&config, shape, Sampling::default(), &["class_embedding"]);
    assert!(step.is_err(), "a network without classes has no such value");

    let twice = prediction_watching(&config, shape, &["conv_in", "eps", "mid_block", "conv_in"]).expect("its names");
    let outputs: Vec<&str> = twice.outputs().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(outputs, ["eps", "conv_in", "mid_block"], "each once");
    let mut plain = plain(&config, images(&config));
    assert!(plain.watch(&["conv_in", "nothing"]).is_err());
    assert_eq!(plain.outputs().len(), names(&config).len() + 1, "the graph is as it was");
    plain.watch(&names(&config)).expect("watched already");
    assert_eq!(plain.outputs().len(), names(&config).len() + 1);
}

#[test]
fn probabilities_are_those_that_attention_weighs_values_with() {
    let (shape, heads) = (Shape::new(2, 3, 5, 6), 3);
    let mut g = Graph::new();
    let [q, k, v] = ["q", "k", "v"].map(|name| g.input(name, shape));
    let (mixed, p) = (g.attention(q, k, v, heads), g.attention_probabilities(q, k, heads));
    g.output("mixed", mixed);
    g.output("p", p);
    assert_eq!(g.shape(p), Shape::new(2 * heads, 3, 5, 15));
    let leaves = leaves(&g);
    for engine in golden::ENGINES {
        let found = run(engine, &g, &leaves);
        let (p, v) = (&found["p"], &leaves["v"]);
        assert!(p.iter().all(|&p| (0.0..=1.0).contains(&p)), "{engine}");
        assert!(p.chunks_exact(15).all(|row| (row.iter().sum::<f32>() - 1.0).abs() <= 1e-5), "{engine}");
        let mut expected = Vec::new();
        for (n, i) in (0..2).flat_map(|n| (0..15).map(move |i| (n, i))) {
            for c in 0..6 {
                let row = &p[((n * heads + c / 2) * 15 + i) * 15..][..15];
                let value = |j: usize| f64::from(v[(n * 15 + j) * 6 + c]);
                expected.push(row.iter().enumerate().map(|(j, &p)| f64::from(p) * value(j)).sum());
            }
        }
        compare::close(&found["mixed"], &expected, 1e-5).unwrap_or_else(|why| panic!("{engine}: {why}"));
    }
}

#[test]
fn the_interpreter_keeps_every_value() {
    let config = config("grey");
    let graph = plain(&config, images(&config));
    let leaves = wide(&leaves(&graph));
    let (outputs, all) = (interpret(&graph, &leaves), interpret_all(&graph, &leaves));
    assert_eq!(all.len(), graph.nodes().len());
    assert!(graph.nodes().iter().zip(&all).all(|(node, value)| value.len() == node.shape.len()));
    assert!(graph.outputs().iter().all(|(name, id)| outputs[name] == all[id.index()]));
}

/// Three images, of which two go through the network together, or all.
const CLASSES: [Option<usize>; 3] = [Some(3), None, Some(7)];

fn session(engine: &Engine, net: &str) -> Session {
    Session::new(engine.clone(), golden::checkpoint(net)).expect("a session")
}

/// The frames of a short run from seed 5.
fn frames(session: &mut Session, net: &str, guidance: f64) -> Vec<Frame> {
    let classes = if net == "grey" { CLASSES } else { [None; 3] };
    let sampler = sampler_config(session.scheduler(), SamplerKind::DpmSolverPp2M, 4, 0.0);
    let settings = Settings { classes: classes.to_vec(), guidance, sampler };
    session.start(&settings, Noise::Seed(5)).expect("a run");
    std::iter::from_fn(|| block_on(session.step()).expect("a step")).collect()
}

/// What there is to watch in the prediction for some images, by the oracle.
fn oracle(net: &str, graph: &Graph, x: &[f32], timestep: usize, labels: &[usize]) -> HashMap<String, Vec<f64>> {
    let model = golden::checkpoint(net);
    let specs = graph.parameters();
    let parameters = model.load_parameters(&specs).expect("the golden weights fit");
    let mut leaves: HashMap<_, _> = specs.into_iter().map(|spec| spec.name).zip(parameters).collect();
    leaves.insert("sample".to_owned(), x.to_vec());
    leaves.insert("sinusoid".to_owned(), sinusoid(&model.config, &vec![timestep as f32; labels.len()]));
    leaves.insert("class_labels".to_owned(), labels.iter().map(|&label| label as f32).collect());
    interpret(graph, &wide(&leaves))
}

#[test]
fn frames_carry_what_the_network_computed_at_their_step() {
    for (net, guidance) in [("rgb", 1.0), ("grey", 1.0), ("grey", 2.5)] {
        let config = config(net);
        let null = config.null_class.unwrap_or(0);
        let mut labels = CLASSES.map(|class| class.unwrap_or(null)).to_vec();
        if guidance != 1.0 {
            labels.extend([null; 3]);
        }
        let mut names = names(&config);
        let graph = plain(&config, config.image_shape().with_n(labels.len()));
        // Asked for in any order, handed out in that of the computation.
        names.reverse();
        for (engine, at_once) in golden::ENGINES.into_iter().flat_map(|engine| [(engine, 2), (engine, 16)]) {
            let mut session = session(&golden::engine(engine), net);
            session.set_images_at_once(at_once);
            session.watch(&names).expect("names of the network");
            let mut x = noisette::playground::start_noise(5, config.image_shape().with_n(3));
            let frames = frames(&mut session, net, guidance);
            assert_eq!(frames.len(), 4);
            for frame in frames {
                let what = format!("{net}, guidance {guidance}, {engine} by {at_once}, step {}", frame.step);
                let x_t = x.repeat(labels.len() / 3);
                let expected = oracle(net, &graph, &x_t, frame.timestep, &labels);
                let of = watchable(&config, config.image_shape().with_n(labels.len()));
                let found: Vec<_> = frame.watched.iter().map(|value| (value.name.clone(), value.shape)).collect();
                assert_eq!(found, of, "{what}");
                for value in &frame.watched {
                    assert_eq!(value.values.len(), value.shape.len(), "{what}");
                    compare::close(&value.values, &expected[&value.name], TOLERANCE)
                        .unwrap_or_else(|why| panic!("{what}, {}: {why}", value.name));
                }
                x = frame.x;
            }
        }
    }
}

#[test]
fn predictions_carry_what_the_network_computed() {
    let config = config("grey");
    let shape = config.image_shape();
    let x = Rng::new(8).normals(shape.len());
    let expected = oracle("grey", &plain(&config, shape), &x, 300, &[4]);
    for engine in golden::ENGINES {
        let mut session = session(&golden::engine(engine), "grey");
        let without = block_on(session.predict(&x, 300, Some(4))).expect("a prediction");
        assert!(without.watched.is_empty());
        session.watch(&names(&config)).expect("names of the network");
        let with = block_on(session.predict(&x, 300, Some(4))).expect("a prediction");
        assert_eq!((&with.epsilon, &with.x0), (&without.epsilon, &without.x0), "{engine}");
        let found: Vec<_> = with.watched.iter().map(|value| (value.name.clone(), value.shape)).collect();
        assert_eq!(found, watchable(&config, shape), "{engine}");
        for value in &with.watched {
            compare::close(&value.values, &expected[&value.name], TOLERANCE)
                .unwrap_or_else(|why| panic!("{engine}, {}: {why}", value.name));
        }
    }
}

#[test]
fn watching_moves_no_bit_of_a_run() {
    for (net, engine) in golden::NETS.into_iter().flat_map(|net| golden::ENGINES.map(|engine| (net, engine))) {
        let names = names(&config(net));
        let engine_itself = golden::engine(engine);
        let guidance = if net == "grey" { 2.5 } else { 1.0 };
        let unwatched = frames(&mut session(&engine_itself, net), net, guidance);
        let mut session = session(&engine_itself, net);
        let all = std::iter::once(names.clone());
        let mut differing = Vec::new();
        for names in all.chain(names.iter().map(|name| vec![name.clone()])).chain([vec![]]) {
            session.watch(&names).expect("names of the network");
            let watched = frames(&mut session, net, guidance);
            assert!(watched.iter().all(|frame| frame.watched.len() == names.len()));
            let states = |frames: &[Frame]| frames.iter().map(|f| (f.x.clone(), f.x0.clone())).collect::<Vec<_>>();
            if states(&watched) != states(&unwatched) {
                differing.push(names);
            }
        }
        assert!(differing.is_empty(), "{net}, {engine}: x is not the same with {differing:?}");
    }
}

#[test]
fn a_session_watches_only_what_there_is() {
    let mut session = session(&Engine::Cpu(None), "rgb");
    session.watch(&["conv_in"]).expect("a name of the network");
    let error = session.watch(&["mid_block", "mid_blok"]).expect_err("a slip of the pen").to_string();
    let start = "the network has no value called \"mid_blok\" to watch, but 3";
    assert!(error.starts_with(start) && error.contains(" such as mid_block.resnets.0, "), "{error}");
    assert!(error.len() < 300 && !error.contains("conv_in"), "{error}");
    let frames = frames(&mut session, "rgb", 1.0);
    assert!(frames.iter().all(|frame| frame.watched.len() == 1 && frame.watched[0].name == "conv_in"));
}
