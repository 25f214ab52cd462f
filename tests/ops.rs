//! The CPU engine's ops: fast paths against the f64 references, and laws that hold whatever the code looks like.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::engine::cpu::{Program, interpret};
use noisette::graph::{Graph, Id};
use noisette::model::config::UnetConfig;
use noisette::model::step::{Objective, prediction, training_loss};
use noisette::ops::fuse;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use std::collections::HashMap;
use support::{cases, compare};

/// Largest error of an f32 result, relative to the result's largest value.
const TOLERANCE: f64 = 2e-5;

type Leaves = HashMap<String, Vec<f32>>;

fn s(n: usize, h: usize, w: usize, c: usize) -> Shape {
    Shape::new(n, h, w, c)
}

/// All outputs of a graph on the CPU engine.
fn run(graph: &Graph, leaves: &Leaves) -> HashMap<String, Vec<f32>> {
    let mut program = Program::compile(graph).expect("there is memory");
    for (name, values) in leaves {
        program.write(graph.leaf(name).unwrap_or_else(|| panic!("there is a leaf {name}")), values);
    }
    program.run();
    graph.outputs().iter().map(|(name, id)| (name.clone(), program.read(*id).to_vec())).collect()
}

/// What is wrong with the CPU engine's results, if anything.
fn check(name: &str, graph: &Graph, leaves: &Leaves) -> Vec<String> {
    let wide = leaves.iter().map(|(name, v)| (name.clone(), v.iter().map(|&v| f64::from(v)).collect())).collect();
    let expected = interpret::<f64>(graph, &wide);
    let found = run(graph, leaves);
    assert!(!found.is_empty(), "{name} has outputs");
    let problem = |(output, values): (&String, &Vec<f32>)| {
        compare::close(values, &expected[output], TOLERANCE).err().map(|why| format!("{name}: {output}: {why}"))
    };
    found.iter().filter_map(problem).collect()
}

/// A graph y = f(a, b, …) of random leaves, with outputs `y` and `d.a`, `d.b`, … for a random cotangent.
fn random(shapes: &[Shape], build: impl Fn(&mut Graph, &[Id]) -> Id) -> (Graph, Leaves) {
    let mut rng = Rng::new(11);
    let mut g = Graph::new();
    let mut leaves = Leaves::new();
    let names: Vec<String> = (b'a'..).take(shapes.len()).map(|letter| char::from(letter).to_string()).collect();
    let mut leaf = |g: &mut Graph, name: &str, shape: Shape| {
        leaves.insert(name.to_owned(), rng.normals(shape.len()));
        g.input(name, shape)
    };
    let ids: Vec<Id> = names.iter().zip(shapes).map(|(name, shape)| leaf(&mut g, name, *shape)).collect();
    let y = build(&mut g, &ids);
    let shape = g.shape(y);
    let cotangent = leaf(&mut g, "cotangent", shape);
    g.output("y", y);
    for (name, gradient) in names.iter().zip(g.gradients(y, cotangent, &ids)) {
        if let Some(gradient) = gradient {
            g.output(&format!("d.{name}"), gradient);
        }
    }
    (g, leaves)
}

#[test]
fn every_op_agrees_with_its_reference() {
    let cases = cases::all();
    assert!(cases.len() > 50, "there are {} cases", cases.len());
    let problems: Vec<String> = cases.iter().flat_map(|case| check(&case.name, &case.graph, &case.leaves)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Sizes at which the fast paths change their way: full and broken vectors, tiles and strips.
#[test]
fn convolutions_of_real_sizes_agree_with_the_reference() {
    type Row = (Shape, usize, usize, usize, (usize, usize));
    let rows: [Row; 29] = [
        // x, co, kernel, stride, padding
        (s(1, 28, 28, 1), 32, 3, 1, (1, 1)),
        (s(2, 28, 28, 16), 16, 3, 1, (1, 1)),
        (s(1, 28, 28, 32), 1, 3, 1, (1, 1)),
        (s(1, 28, 28, 8), 17, 3, 1, (1, 1)),
        (s(2, 14, 14, 33), 64, 3, 1, (1, 1)),
        (s(1, 14, 14, 64), 32, 3, 1, (1, 1)),
        (s(3, 7, 7, 64), 64, 3, 1, (1, 1)),
        (s(1, 7, 7, 17), 80, 3, 1, (1, 1)),
        (s(2, 32, 32, 3), 32, 3, 1, (1, 1)),
        (s(1, 16, 32, 12), 65, 3, 1, (1, 1)),
        (s(2, 28, 28, 16), 32, 3, 2, (1, 1)),
        (s(1, 28, 28, 17), 16, 3, 2, (0, 1)),
        (s(2, 14, 14, 32), 64, 3, 2, (0, 1)),
        (s(1, 14, 14, 20), 33, 3, 2, (1, 1)),
        (s(3, 7, 9, 16), 17, 3, 2, (1, 1)),
        (s(2, 8, 6, 16), 80, 3, 2, (0, 1)),
        (s(1, 28, 28, 32), 64, 1, 1, (0, 0)),
        (s(2, 14, 14, 96), 32, 1, 1, (0, 0)),
        (s(3, 7, 7, 64), 17, 1, 1, (0, 0)),
        (s(1, 1, 1, 128), 64, 1, 1, (0, 0)),
        (s(5, 1, 1, 32), 80, 1, 1, (0, 0)),
        (s(64, 1, 1, 48), 16, 1, 1, (0, 0)),
        // Winograd's way: odd extents, other paddings, several images or only a part of one at a time.
        (s(2, 7, 9, 16), 32, 3, 1, (1, 1)),
        (s(2, 9, 5, 32), 16, 3, 1, (0, 0)),
        (s(2, 5, 6, 16), 48, 3, 1, (2, 2)),
        (s(2, 6, 5, 48), 16, 3, 1, (0, 1)),
        (s(9, 7, 7, 16), 64, 3, 1, (1, 1)),
        (s(13, 5, 4, 64), 16, 3, 1, (1, 1)),
        (s(8, 28, 26, 32), 16, 3, 1, (1, 1)),
    ];
    let mut problems = Vec::new();
    for (x, co, kernel, stride, padding) in rows {
        let shapes = [x, s(kernel, kernel, x.c(), co), Shape::vector(co)];
        let (graph, leaves) = random(&shapes, |g, l| g.conv2d(l[0], l[1], l[2], stride, padding));
        let name = format!("conv2d of {x} to {co} by {kernel}×{kernel}, stride {stride}, padding {padding:?}");
        problems.extend(check(&name, &graph, &leaves));
    }
    // A bias for each image.
    for (x, co) in [(s(9, 7, 5, 16), 32), (s(2, 28, 28, 32), 16)] {
        let shapes = [x, s(3, 3, x.c(), co), s(x.n(), 1, 1, co)];
        let (graph, leaves) = random(&shapes, |g, l| g.conv2d(l[0], l[1], l[2], 1, (1, 1)));
        problems.extend(check(&format!("conv2d of {x} to {co} with a bias for each image"), &graph, &leaves));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn other_ops_of_real_sizes_agree_with_their_references() {
    let mut problems = Vec::new();
    for (x, groups) in [
        (s(2, 28, 28, 32), 8),
        (s(1, 14, 14, 96), 8),
        (s(3, 7, 7, 64), 32),
        (s(1, 32, 31, 20), 1),
        (s(9, 15, 14, 80), 8),
    ] {
        let affine = Shape::vector(x.c());
        let (graph, leaves) = random(&[x, affine, affine], |g, l| {
            let normalised = g.group_norm(l[0], l[1], l[2], groups, 1e-5);
            g.silu(normalised)
        });
        problems.extend(check(&format!("group norm of {x} in {groups}"), &graph, &leaves));
    }
    for (x, heads) in [
        (s(2, 7, 7, 64), 8),
        (s(1, 14, 14, 64), 1),
        (s(3, 8, 8, 48), 3),
        (s(2, 4, 16, 34), 2),
        (s(9, 16, 10, 16), 1),
        (s(1, 17, 18, 16), 2),
    ] {
        let (graph, leaves) = random(&[x; 3], |g, l| g.attention(l[0], l[1], l[2], heads));
        problems.extend(check(&format!("attention of {x} with {heads} heads"), &graph, &leaves));
    }
    for (a, b) in [(32, 64), (64, 17), (16, 1)] {
        let (graph, leaves) = random(&[s(2, 14, 14, a), s(2, 14, 14, b)], |g, l| {
            let joined = g.concat(l[0], l[1]);
            g.upsample(joined)
        });
        problems.extend(check(&format!("concat of {a} and {b} channels"), &graph, &leaves));
    }
    for c in [16, 31, 64] {
        let (graph, leaves) = random(&[s(3, 14, 13, c), s(3, 1, 1, c)], |g, l| g.add_channels(l[0], l[1]));
        problems.extend(check(&format!("time added to {c} channels"), &graph, &leaves));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Work is split by shapes: how many threads take part changes no bit.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let shapes = [s(5, 14, 14, 32), s(3, 3, 32, 48), Shape::vector(48), Shape::vector(48), Shape::vector(48)];
    let (graph, leaves) = random(&shapes, |g, l| {
        let h = g.conv2d(l[0], l[1], l[2], 1, (1, 1));
        let h = g.group_norm(h, l[3], l[4], 8, 1e-5);
        let h = g.silu(h);
        g.attention(h, h, h, 6)
    });
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| run(&graph, &leaves))
    };
    let one = with_threads(1);
    assert_eq!(one.len(), 6, "y and five gradients");
    for threads in [2, 3, 7] {
        for (name, values) in with_threads(threads) {
            let same = values.iter().zip(&one[&name]).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{name} differs between 1 and {threads} threads");
        }
    }
}

/// ⟨A·x, y⟩ = ⟨x, Aᵀ·y⟩ for what is linear in its first operand.
#[test]
fn gradients_of_linear_ops_are_their_adjoints() {
    let x = s(3, 6, 5, 7);
    let zero = Shape::vector(9);
    type Build = Box<dyn Fn(&mut Graph, &[Id]) -> Id>;
    let conv = |stride: usize, padding: (usize, usize)| -> Build {
        Box::new(move |g, l| {
            let zeros = g.constant(0.0, zero);
            g.conv2d(l[0], l[1], zeros, stride, padding)
        })
    };
    let rows: Vec<(&str, Vec<Shape>, Build)> = vec![
        ("conv2d", vec![x, s(3, 3, 7, 9)], conv(1, (1, 1))),
        ("conv2d with stride 2", vec![x, s(3, 3, 7, 9)], conv(2, (1, 1))),
        ("conv2d padded right and below", vec![x, s(3, 3, 7, 9)], conv(2, (0, 1))),
        ("linear", vec![x, s(1, 1, 7, 9)], conv(1, (0, 0))),
        (
            "conv2d, in its weight",
            vec![s(3, 3, 7, 9), x],
            Box::new(move |g, l| {
                let zeros = g.constant(0.0, zero);
                g.conv2d(l[1], l[0], zeros, 1, (1, 1))
            }),
        ),
        ("upsample", vec![x], Box::new(|g, l| g.upsample(l[0]))),
        ("slice", vec![x], Box::new(|g, l| g.slice_channels(l[0], 2, 4))),
        ("sum over pixels", vec![x], Box::new(|g, l| g.sum_pixels(l[0]))),
        ("sum over images", vec![x], Box::new(|g, l| g.sum_images(l[0]))),
        ("repetition", vec![x], Box::new(|g, l| g.repeat_images(l[0], 3))),
        ("scale", vec![x], Box::new(|g, l| g.scale(l[0], -1.7))),
        ("attention, in v", vec![x, x, x], Box::new(|g, l| g.attention(l[1], l[2], l[0], 7))),
    ];
    for (name, shapes, build) in rows {
        let (graph, leaves) = random(&shapes, build);
        let found = run(&graph, &leaves);
        let dot = |a: &[f32], b: &[f32]| -> (f64, f64) {
            assert!(a.len() == b.len() && !a.is_empty(), "{name}");
            let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
            products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p * p))
        };
        let ((left, size), (right, _)) = (dot(&found["y"], &leaves["cotangent"]), dot(&leaves["a"], &found["d.a"]));
        let error = (left - right).abs() / size.sqrt();
        assert!(error <= 1e-5, "{name}: {left} and {right}");
    }
}

/// The value of a graph whose leaves are these.
fn value(leaves: &[(Shape, Vec<f32>)], build: impl Fn(&mut Graph, &[Id]) -> Id) -> Vec<f32> {
    let mut g = Graph::new();
    let names: Vec<String> = (0..leaves.len()).map(|i| format!("leaf {i}")).collect();
    let ids: Vec<Id> = names.iter().zip(leaves).map(|(name, (shape, _))| g.input(name, *shape)).collect();
    let y = build(&mut g, &ids);
    g.output("y", y);
    run(&g, &names.into_iter().zip(leaves.iter().map(|(_, values)| values.clone())).collect()).remove("y").expect("y")
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    let wide: Vec<f64> = expected.iter().map(|&v| f64::from(v)).collect();
    compare::close(found, &wide, 1e-6).unwrap_or_else(|why| panic!("{what}: {why}"));
}

#[test]
fn a_delta_kernel_shifts_the_image() {
    let x = s(2, 5, 7, 3);
    let values = Rng::new(1).normals(x.len());
    for (u, v) in [(0, 0), (0, 2), (1, 1), (2, 1)] {
        let w = s(3, 3, 3, 3);
        let mut kernel = vec![0.0; w.len()];
        (0..3).for_each(|c| kernel[((u * 3 + v) * 3 + c) * 3 + c] = 1.0);
        let bias = vec![0.5, -1.0, 2.0];
        let leaves = [(x, values.clone()), (w, kernel), (Shape::vector(3), bias.clone())];
        let found = value(&leaves, |g, l| g.conv2d(l[0], l[1], l[2], 1, (1, 1)));
        let mut expected = Vec::new();
        for n in 0..2 {
            for (i, j) in (0..5).flat_map(|i| (0..7).map(move |j| (i, j))) {
                for c in 0..3 {
                    // Output (i, j) reads the image at (i + u − 1, j + v − 1), and nothing beyond its border.
                    let (row, column) = ((i + u).wrapping_sub(1), (j + v).wrapping_sub(1));
                    let inside = row < 5 && column < 7;
                    let pixel = if inside { values[((n * 5 + row) * 7 + column) * 3 + c] } else { 0.0 };
                    expected.push(pixel + bias[c]);
                }
            }
        }
        close(&found, &expected, &format!("tap ({u}, {v})"));
    }
}

#[test]
fn group_norm_of_a_constant_is_the_shift_and_ignores_scale_and_offset_of_its_input() {
    let x = s(2, 4, 3, 6);
    let (scale, shift) = (vec![3.0, -2.0, 1.0, 0.5, 4.0, -1.0], vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
    let affine = Shape::vector(6);
    let norm = |values: Vec<f32>, eps: f32| {
        let leaves = [(x, values), (affine, scale.clone()), (affine, shift.clone())];
        value(&leaves, |g, l| g.group_norm(l[0], l[1], l[2], 3, eps))
    };
    let expected: Vec<f32> = shift.iter().copied().cycle().take(x.len()).collect();
    close(&norm(vec![0.0; x.len()], 1e-5), &expected, "zero");
    // Elsewhere x·γ/σ and the shift cancel up to the rounding of the larger.
    let wide: Vec<f64> = expected.iter().map(|&v| f64::from(v)).collect();
    compare::close(&norm(vec![0.75; x.len()], 1e-2), &wide, 1e-5).expect("a constant");

    let values = Rng::new(2).normals(x.len());
    let moved = values.iter().map(|v| 8.0 * v + 4.0).collect();
    let (plain, moved) = (norm(values, 1e-12), norm(moved, 1e-12));
    let wide: Vec<f64> = plain.iter().map(|&v| f64::from(v)).collect();
    compare::close(&moved, &wide, 1e-5).expect("normalisation undoes scale and offset");
    // Each group of each image has mean 0 and variance 1 before the affine parameters.
    for (n, group) in (0..2).flat_map(|n| (0..3).map(move |group| (n, group))) {
        let member = |p: usize, c: usize| f64::from((plain[(n * 12 + p) * 6 + c] - shift[c]) / scale[c]);
        let members = (0..12).flat_map(|p| (2 * group..2 * group + 2).map(move |c| (p, c)));
        let (sum, squares) =
            members.fold((0.0, 0.0), |(sum, squares), (p, c)| (sum + member(p, c), squares + member(p, c).powi(2)));
        assert!((sum / 24.0).abs() <= 1e-5 && (squares / 24.0 - 1.0).abs() <= 1e-5, "{sum} {squares}");
    }
}

#[test]
fn attention_without_preference_is_the_mean_and_with_certainty_a_choice() {
    let shape = s(2, 3, 5, 6);
    let mut rng = Rng::new(3);
    let (k, v) = (rng.normals(shape.len()), rng.normals(shape.len()));
    let leaves = [(shape, vec![0.0; shape.len()]), (shape, k), (shape, v.clone())];
    let found = value(&leaves, |g, l| g.attention(l[0], l[1], l[2], 2));
    let mut expected = Vec::new();
    for n in 0..2 {
        let mean = |c: usize| (0..15).map(|p| f64::from(v[(n * 15 + p) * 6 + c])).sum::<f64>() / 15.0;
        (0..15).for_each(|_| expected.extend((0..6).map(|c| mean(c) as f32)));
    }
    close(&found, &expected, "queries of zero");

    // Token i's key and query are 20 at channel i and 0 elsewhere: it attends to itself alone.
    let shape = s(2, 2, 2, 4);
    let own: Vec<f32> = (0..shape.len()).map(|i| if i / 4 % 4 == i % 4 { 20.0 } else { 0.0 }).collect();
    let v = rng.normals(shape.len());
    let leaves = [(shape, own.clone()), (shape, own), (shape, v.clone())];
    close(&value(&leaves, |g, l| g.attention(l[0], l[1], l[2], 1)), &v, "certain queries");
}

#[test]
fn small_ops_give_what_one_works_out_by_hand() {
    let line = Shape::vector(4);
    let silu = value(&[(line, vec![0.0, 1.0, -1.0, 30.0])], |g, l| g.silu(l[0]));
    close(&silu, &[0.0, 0.731_058_6, -0.268_941_43, 30.0], "silu");
    let far = value(&[(line, vec![-100.0, 100.0, -1e4, 1e4])], |g, l| g.silu(l[0]));
    close(&far, &[0.0, 100.0, 0.0, 1e4], "silu far from zero");

    let square = value(&[(s(1, 2, 2, 1), vec![1.0, 2.0, 3.0, 4.0])], |g, l| g.upsample(l[0]));
    let rows = [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0];
    close(&square, &rows, "upsample");

    let (a, b) = ((s(2, 1, 1, 1), vec![1.0, 4.0]), (s(2, 1, 1, 2), vec![2.0, 3.0, 5.0, 6.0]));
    close(&value(&[a, b], |g, l| g.concat(l[0], l[1])), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "concat");

    let (x, y) = ((s(1, 1, 2, 2), vec![1.0, 2.0, 3.0, 4.0]), (s(1, 1, 2, 2), vec![0.0, 2.0, 5.0, 1.0]));
    close(&value(&[x, y], |g, l| g.mse(l[0], l[1])), &[(1.0 + 0.0 + 4.0 + 9.0) / 4.0], "mse");

    let table = (s(1, 1, 3, 2), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let labels = (s(3, 1, 1, 1), vec![2.0, 0.0, 2.0]);
    close(&value(&[table, labels], |g, l| g.embedding(l[0], l[1])), &[5.0, 6.0, 1.0, 2.0, 5.0, 6.0], "embedding");

    // ε_∅ + w·(ε_c − ε_∅): those with the class come first.
    let both = (s(2, 1, 1, 2), vec![3.0, 1.0, 1.0, 2.0]);
    let w = (Shape::SCALAR, vec![2.5]);
    close(&value(&[both, w], |g, l| g.guidance(l[0], l[1])), &[6.0, -0.5], "guidance");

    let (x0, eps) = ((s(2, 1, 1, 1), vec![1.0, -2.0]), (s(2, 1, 1, 1), vec![10.0, 20.0]));
    let mixed = value(&[x0, eps, (s(2, 1, 1, 2), vec![0.6, 0.8, 1.0, 0.0])], |g, l| g.noised(l[0], l[1], l[2]));
    close(&mixed, &[8.6, -2.0], "noised");
}

/// Adam's first step has the size of the learning rate, whatever the gradient's.
#[test]
fn optimizer_ops_give_what_one_works_out_by_hand() {
    let line = Shape::vector(3);
    let (p, g1) = ((line, vec![1.0, -2.0, 0.5]), vec![1e-3, -7.0, 40.0]);
    let m = (line, g1.iter().map(|g| 0.1 * g).collect::<Vec<f32>>());
    let v = (line, g1.iter().map(|g| 0.001 * g * g).collect::<Vec<f32>>());
    let (lr, beta1, beta2) = (1e-2, 0.9, 0.999_f32);
    let k = (Shape::vector(4), vec![lr / (1.0 - beta1), 1.0 / (1.0 - beta2).sqrt(), 1e-12, 0.0]);
    let moved = value(&[p, m, v, k], |g, l| g.adam(l[0], l[1], l[2], l[3]));
    close(&moved, &[1.0 - lr, -2.0 + lr, 0.5 - lr], "adam");

    let gradient = (line, vec![3.0, 0.0, -4.0]);
    for (bound, expected) in [(1.0, [0.6, 0.0, -0.8]), (5.5, [3.0, 0.0, -4.0])] {
        let clipped = value(&[gradient.clone(), (Shape::SCALAR, vec![bound])], |g, l| {
            let zero = g.constant(0.0, Shape::SCALAR);
            let norm_squared = g.sum_squares(l[0], zero);
            g.clip_norm(l[0], norm_squared, l[1])
        });
        close(&clipped, &expected, "the clipped gradient");
    }
    let rate = (Shape::SCALAR, vec![0.25]);
    let (a, b) = ((line, vec![1.0, 2.0, -4.0]), (line, vec![5.0, 2.0, 4.0]));
    close(&value(&[a.clone(), b.clone(), rate.clone()], |g, l| g.lerp(l[0], l[1], l[2])), &[2.0, 2.0, -2.0], "lerp");
    let squares = value(&[a, b, rate], |g, l| g.lerp_square(l[0], l[1], l[2]));
    close(&squares, &[7.0, 2.5, 1.0], "lerp of squares");
}

/// Fusing changes how products are written, not how many there are.
#[test]
fn multiplications_are_counted() {
    let x = s(2, 6, 5, 7);
    let (graph, _) = random(&[x, s(3, 3, 7, 9), Shape::vector(9)], |g, l| g.conv2d(l[0], l[1], l[2], 2, (1, 1)));
    assert_eq!(graph.multiply_adds(), 3 * 2 * 3 * 3 * 9 * 7 * 9, "forward, and as much for each gradient");
    let (graph, _) = random(&[s(2, 3, 5, 6); 3], |g, l| g.attention(l[0], l[1], l[2], 2));
    assert_eq!(graph.multiply_adds(), (2 + 4) * 2 * 15 * 15 * 6, "two products forward, four backward");

    let config = UnetConfig::digits();
    let one = prediction(&config, s(1, 28, 28, 1)).multiply_adds();
    assert!((189_000_000..192_000_000).contains(&one), "the digits' network takes 0.19 GMAC per image, not {one}");
    let (loss, _) = training_loss(&config, s(4, 28, 28, 1), Objective::default());
    assert_eq!(loss.multiply_adds(), 4 * one);
    assert_eq!(fuse(&loss).multiply_adds(), 4 * one);
}
