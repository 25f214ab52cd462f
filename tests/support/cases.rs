//! One row per op: awkward sizes (batches of two and more, H ≠ W, channels that fill no vec4, images that fill no
//! workgroup), random affine parameters, random cotangents.
//!
//! A case is a graph with an output `y` and, for every leaf that has a gradient, an output `d.<leaf>`: the gradient of
//! Σ `cotangent`·y, which makes every gradient op part of some case.

use noisette::graph::{Graph, Id};
use noisette::ops::fuse;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use std::collections::{BTreeSet, HashMap};

/// A graph, and values for its leaves.
pub struct Case {
    /// The row and the sizes.
    pub name: String,
    /// Outputs `y` and `d.<leaf>`.
    pub graph: Graph,
    /// Values of all leaves.
    pub leaves: HashMap<String, Vec<f32>>,
    /// Leaves that have an output `d.<leaf>`.
    pub differentiated: Vec<String>,
}

impl Case {
    /// The leaves in f64, for the oracle.
    pub fn leaves_f64(&self) -> HashMap<String, Vec<f64>> {
        self.leaves.iter().map(|(name, v)| (name.clone(), v.iter().map(|&x| f64::from(x)).collect())).collect()
    }

    /// Names of the ops it computes.
    pub fn ops(&self) -> BTreeSet<&'static str> {
        self.graph.operations().map(|node| node.op.name()).collect()
    }
}

/// What a leaf is filled with.
#[derive(Clone, Copy)]
enum Fill {
    /// Normal numbers of this size; the leaf has a gradient.
    Normal(f32),
    /// Normal numbers; no gradient is asked for.
    Data,
    /// Between 0.1 and 1.1; no gradient.
    Positive,
    /// These numbers, again and again; no gradient.
    Given(&'static [f32]),
}

use Fill::{Data, Given, Normal, Positive};

/// Coefficients of a move, each with a weight of its own, and a clip that clips some.
const MOVE: [f32; 16] = [1.2, -0.7, 0.9, 0.4, 0.8, 0.3, 0.6, -0.5, 0.7, -0.4, 0.2, 0.35, 0.9, 0.45, 0.0, 0.0];
/// Coefficients of what is remembered, in three slots.
const REMEMBER: [f32; 32] = [
    1.2, -0.7, 0.9, 0.4, 0.8, 0.0, 0.0, 0.0, 0.3, 0.6, -0.5, 0.0, 0.7, -0.4, 0.2, 0.0, 0.1, -0.6, 0.9, 0.0, -0.3, 0.8,
    0.5, 0.0, 0.4, 0.25, -0.15, 0.0, 0.65, 0.55, -0.45, 0.0,
];

fn s(n: usize, h: usize, w: usize, c: usize) -> Shape {
    Shape::new(n, h, w, c)
}

/// Collects cases; each gets random numbers of its own.
struct Rows(Vec<Case>);

impl Rows {
    /// A row: a graph over leaves `a`, `b`, `c`, … of these shapes.
    fn row(&mut self, name: &str, leaves: &[(Shape, Fill)], build: impl Fn(&mut Graph, &[Id]) -> Id) {
        let mut rng = Rng::stream(7, self.0.len() as u64);
        let mut g = Graph::new();
        let mut values = HashMap::new();
        let mut fill = |name: &str, shape: Shape, fill: Fill| {
            let value = match fill {
                Normal(size) => rng.normals(shape.len()).into_iter().map(|v| size * v).collect(),
                Data => rng.normals(shape.len()),
                Positive => (0..shape.len()).map(|_| 0.1 + rng.uniform() as f32).collect(),
                Given(numbers) => numbers.iter().copied().cycle().take(shape.len()).collect(),
            };
            values.insert(name.to_owned(), value);
        };
        let names: Vec<String> = (b'a'..).take(leaves.len()).map(|letter| char::from(letter).to_string()).collect();
        let mut ids = Vec::new();
        for (name, &(shape, kind)) in names.iter().zip(leaves) {
            fill(name, shape, kind);
            ids.push(g.input(name, shape));
        }
        let y = build(&mut g, &ids);
        let shape = g.shape(y);
        let is_trained = |&(_, (_, fill)): &(_, &(Shape, Fill))| matches!(fill, Normal(_));
        let inputs = ids.iter().zip(&names).zip(leaves).map(|((&id, name), leaf)| ((id, name.clone()), leaf));
        let mut trained: Vec<(Id, String)> = inputs.filter(is_trained).map(|(named, _)| named).collect();
        for parameter in g.parameters() {
            fill(&parameter.name, parameter.shape, Normal(0.5));
            trained.push((parameter.id, parameter.name));
        }
        let mut results = vec![("y".to_owned(), y)];
        let mut differentiated = Vec::new();
        if !trained.is_empty() {
            fill("cotangent", shape, Data);
            let cotangent = g.input("cotangent", shape);
            let wrt: Vec<Id> = trained.iter().map(|(id, _)| *id).collect();
            let gradients = g.gradients(y, cotangent, &wrt);
            for ((_, leaf), gradient) in trained.into_iter().zip(gradients) {
                let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient for {leaf}"));
                results.push((format!("d.{leaf}"), gradient));
                differentiated.push(leaf);
            }
        }
        for (name, id) in results {
            g.output(&name, id);
        }
        let shapes: Vec<String> = leaves.iter().map(|(shape, _)| shape.to_string()).collect();
        let name = format!("{name} of {}", shapes.join(", "));
        self.0.push(Case { name, graph: g, leaves: values, differentiated });
    }
}

impl Rows {
    /// The last row's graph after `fuse`.
    fn fuse_last(&mut self) {
        let case = self.0.last_mut().expect("there is a row");
        case.graph = fuse(&case.graph);
    }
}

/// All cases: the ops, a graph in which values are used twice, and what is only looked at.
pub fn all() -> Vec<Case> {
    let mut rows = Rows(Vec::new());
    let r = &mut rows;

    // x, weight, stride, padding
    for (x, w, stride, padding) in [
        (s(2, 5, 7, 3), s(3, 3, 3, 6), 1, (1, 1)),
        (s(2, 6, 5, 6), s(3, 3, 6, 1), 2, (1, 1)),
        (s(3, 7, 6, 8), s(3, 3, 8, 10), 2, (0, 1)),
        (s(2, 3, 5, 1), s(1, 1, 1, 8), 1, (0, 0)),
        (s(2, 4, 3, 5), s(3, 2, 5, 9), 1, (1, 1)),
        (s(2, 35, 3, 12), s(1, 3, 12, 4), 1, (1, 1)),
        (s(5, 1, 1, 6), s(1, 1, 6, 11), 1, (0, 0)),
        (s(70, 1, 2, 12), s(1, 1, 12, 12), 1, (0, 0)),
        // More than one tile of the tiled kernels in pixels, in channels and in the sum; padding that reaches far.
        (s(3, 9, 10, 42), s(3, 3, 42, 43), 1, (1, 1)),
        (s(2, 19, 17, 34), s(2, 3, 34, 18), 2, (1, 2)),
        (s(4, 11, 11, 17), s(3, 3, 17, 20), 1, (1, 1)),
        (s(65, 1, 2, 17), s(1, 1, 17, 18), 1, (0, 0)),
    ] {
        let leaves = [(x, Normal(1.0)), (w, Normal(0.5)), (Shape::vector(w.c()), Normal(1.0))];
        r.row("conv2d", &leaves, |g, l| g.conv2d(l[0], l[1], l[2], stride, padding));
    }
    // A bias for each image.
    for (x, w) in [(s(3, 5, 3, 6), s(3, 3, 6, 5)), (s(3, 1, 5, 3), s(1, 1, 3, 9))] {
        let leaves = [(x, Normal(1.0)), (w, Normal(0.5)), (s(x.n(), 1, 1, w.c()), Normal(1.0))];
        r.row("conv2d", &leaves, |g, l| g.conv2d(l[0], l[1], l[2], 1, (w.n() / 2, w.n() / 2)));
    }
    // What fuse lets a convolution do besides: an upsampled image, a skip connection, a residual, on every way it may go.
    for (x, w) in [(s(2, 3, 5, 6), s(3, 3, 6, 7)), (s(3, 3, 2, 32), s(3, 3, 32, 16))] {
        let vector = Shape::vector(w.c());
        r.row("conv2d of an upsampled image", &[(x, Data), (w, Data), (vector, Data)], |g, l| {
            let wide = g.upsample(l[0]);
            g.conv2d(wide, l[1], l[2], 1, (1, 1))
        });
        r.fuse_last();
    }
    for (a, b, k, co) in [(8, 5, 1, 6), (4, 6, 3, 9), (16, 32, 3, 16), (36, 28, 1, 33), (16, 16, 1, 16)] {
        let (a, b, w) = (s(2, 7, 5, a), s(2, 7, 5, b), s(k, k, a + b, co));
        r.row("conv2d of two", &[(a, Data), (b, Data), (w, Data), (Shape::vector(co), Data)], |g, l| {
            let joined = g.concat(l[0], l[1]);
            g.conv2d(joined, l[2], l[3], 1, (k / 2, k / 2))
        });
        r.fuse_last();
    }
    for (x, w, stride) in [
        (s(2, 5, 7, 3), s(3, 3, 3, 6), 2),
        (s(3, 9, 5, 16), s(3, 3, 16, 16), 1),
        (s(9, 4, 3, 16), s(3, 3, 16, 48), 1),
        (s(3, 11, 4, 8), s(1, 1, 8, 10), 1),
        (s(2, 19, 4, 8), s(1, 1, 8, 16), 1),
    ] {
        let vector = Shape::vector(w.c());
        let y = s(x.n(), x.h().div_ceil(stride), x.w().div_ceil(stride), w.c());
        r.row("conv2d with a residual", &[(x, Data), (w, Data), (vector, Data), (y, Data)], |g, l| {
            let h = g.conv2d(l[0], l[1], l[2], stride, (w.n() / 2, w.n() / 2));
            g.add(h, l[3])
        });
        r.fuse_last();
    }
    r.row("linear", &[(s(3, 1, 1, 7), Normal(1.0))], |g, l| g.linear("fc", l[0], 5));

    for (x, groups) in [
        (s(2, 3, 5, 6), 2),
        (s(2, 4, 3, 8), 2),
        (s(3, 5, 2, 1), 1),
        (s(2, 9, 8, 12), 3),
        (s(3, 5, 11, 6), 2),
        (s(2, 2, 3, 3), 3),
        (s(2, 2, 3, 10), 5),
    ] {
        let affine = Shape::vector(x.c());
        let leaves = [(x, Normal(2.0)), (affine, Normal(1.0)), (affine, Normal(1.0))];
        r.row("group_norm", &leaves, |g, l| {
            let shifted = g.scale(l[0], 1.5);
            g.group_norm(shifted, l[1], l[2], groups, 1e-2)
        });
    }

    for (x, groups) in [(s(2, 3, 5, 6), 2), (s(2, 4, 3, 9), 3)] {
        let affine = Shape::vector(x.c());
        r.row("group_norm with silu", &[(x, Data), (affine, Data), (affine, Data)], |g, l| {
            let h = g.group_norm(l[0], l[1], l[2], groups, 1e-2);
            g.silu(h)
        });
        r.fuse_last();
    }

    for (a, b, groups) in [(s(2, 3, 5, 8), s(2, 3, 5, 4), 3), (s(2, 9, 8, 4), s(2, 9, 8, 6), 2)] {
        let affine = Shape::vector(a.c() + b.c());
        r.row("group_norm of two", &[(a, Data), (b, Data), (affine, Data), (affine, Data)], |g, l| {
            let joined = g.concat(l[0], l[1]);
            g.group_norm(joined, l[2], l[3], groups, 1e-2)
        });
        r.fuse_last();
    }
    // Images so few and large that threads share one.
    let (a, b, affine) = (s(2, 33, 32, 8), s(2, 33, 32, 8), Shape::vector(16));
    r.row("group_norm of two", &[(a, Data), (b, Data), (affine, Data), (affine, Data)], |g, l| {
        let joined = g.concat(l[0], l[1]);
        let h = g.group_norm(joined, l[2], l[3], 4, 1e-2);
        g.silu(h)
    });
    r.fuse_last();

    for (x, heads) in [
        (s(2, 3, 5, 6), 2),
        (s(2, 4, 3, 8), 1),
        (s(2, 9, 8, 8), 2),
        (s(2, 3, 2, 3), 3),
        (s(2, 2, 3, 12), 6),
        (s(2, 2, 3, 5), 5),
        (s(2, 2, 3, 144), 2),
        (s(2, 1, 3, 68), 1),
        (s(2, 13, 5, 65), 1),
        (s(5, 4, 3, 8), 4),
        (s(3, 11, 10, 3), 3),
        (s(2, 3, 1, 1), 1),
        // More than one tile of the tiled kernel in keys, in queries and in channels, for each of its widths.
        (s(2, 12, 11, 8), 1),
        (s(2, 8, 9, 12), 1),
        (s(2, 5, 7, 40), 2),
        (s(2, 13, 5, 36), 1),
        (s(2, 4, 4, 36), 1),
        (s(2, 2, 4, 72), 2),
        (s(2, 3, 6, 268), 1),
    ] {
        let leaves = [(x, Normal(1.0)), (x, Normal(1.0)), (x, Normal(1.0))];
        r.row("attention", &leaves, |g, l| g.attention(l[0], l[1], l[2], heads));
    }
    for (x, c, heads) in [(s(2, 3, 5, 6), 6, 2), (s(2, 3, 4, 8), 8, 1), (s(3, 1, 5, 5), 5, 1), (s(5, 9, 9, 6), 24, 4)] {
        let (w, b) = (s(1, 1, x.c(), c), Shape::vector(c));
        r.row("attention of one image", &[x, w, w, w, b, b, b].map(|shape| (shape, Data)), |g, l| {
            let [q, k, v] = [0, 1, 2].map(|m| g.conv2d(l[0], l[1 + m], l[4 + m], 1, (0, 0)));
            g.attention(q, k, v, heads)
        });
        r.fuse_last();
    }
    // Logits of a few hundred, of which exp alone would make infinity.
    let x = (s(2, 2, 3, 4), Data);
    r.row("attention", &[x, x, x], |g, l| {
        let q = g.scale(l[0], 200.0);
        g.attention(q, l[1], l[2], 1)
    });

    for x in [s(2, 3, 5, 3), s(3, 5, 11, 6)] {
        r.row("silu", &[(x, Normal(3.0))], |g, l| g.silu(l[0]));
        r.row("add", &[(x, Normal(1.0)), (x, Normal(1.0))], |g, l| g.add(l[0], l[1]));
        r.row("scale", &[(x, Normal(1.0))], |g, l| g.scale(l[0], -0.3));
        let e = s(x.n(), 1, 1, x.c());
        r.row("add_channels", &[(x, Normal(1.0)), (e, Normal(1.0))], |g, l| g.add_channels(l[0], l[1]));
        r.row("sum_pixels", &[(x, Normal(1.0))], |g, l| g.sum_pixels(l[0]));
        r.row("upsample", &[(x, Normal(1.0))], |g, l| g.upsample(l[0]));
        r.row("repeat_images", &[(x, Normal(1.0))], |g, l| g.repeat_images(l[0], 3));
        r.row("sum_images", &[(x, Normal(1.0))], |g, l| g.sum_images(l[0]));
        r.row("fold_images", &[(x.with_n(3 * x.n()), Normal(1.0))], |g, l| g.fold_images(l[0], 3));
        let alphas = (s(x.n(), 1, 1, 2), Data);
        r.row("noised", &[(x, Normal(1.0)), (x, Normal(1.0)), alphas], |g, l| g.noised(l[0], l[1], l[2]));
        r.row("mse", &[(x, Normal(1.0)), (x, Normal(1.0))], |g, l| g.mse(l[0], l[1]));
        r.row("mae", &[(x, Normal(1.0)), (x, Normal(1.0))], |g, l| g.mae(l[0], l[1]));
    }
    r.row("sum_pixels", &[(s(2, 9, 8, 6), Normal(1.0))], |g, l| g.sum_pixels(l[0]));
    r.row("mae", &[(s(2, 10, 16, 3), Normal(1.0)), (s(2, 10, 16, 3), Normal(1.0))], |g, l| g.mae(l[0], l[1]));
    r.row("mse", &[(s(2, 10, 16, 3), Normal(1.0)), (s(2, 10, 16, 3), Normal(1.0))], |g, l| g.mse(l[0], l[1]));

    for (a, b) in [(3, 6), (4, 3), (6, 1), (8, 8), (1, 2), (5, 7)] {
        let (a, b) = (s(2, 7, 11, a), s(2, 7, 11, b));
        r.row("concat", &[(a, Normal(1.0)), (b, Normal(1.0))], |g, l| g.concat(l[0], l[1]));
    }
    for (c, start, count) in [(8, 1, 5), (9, 4, 4), (7, 0, 3), (6, 3, 3), (12, 5, 7)] {
        r.row("slice_channels", &[(s(2, 8, 11, c), Normal(1.0))], |g, l| g.slice_channels(l[0], start, count));
    }

    // Repeated labels, the last row, and labels beyond the table, which pick it too.
    for (rows, c) in [(5, 6), (13, 106), (1, 1)] {
        let labels = (s(13, 1, 1, 1), Given(&[0.0, 4.0, 2.0, 4.0, 10.0, 7.0, 12.0]));
        r.row("embedding", &[(s(1, 1, rows, c), Normal(1.0)), labels], |g, l| g.embedding(l[0], l[1]));
    }

    for x in [s(2, 3, 5, 3), s(3, 5, 11, 6)] {
        let w = (Shape::SCALAR, Given(&[2.5]));
        r.row("guidance", &[(x.with_n(2 * x.n()), Data), w], |g, l| g.guidance(l[0], l[1]));
        let k = (Shape::vector(16), Given(&MOVE));
        let (slots, known) = ((x.with_n(3 * x.n()), Data), (x.with_n(2 * x.n()), Data));
        let move_x = |g: &mut Graph, l: &[Id], slots, known| g.move_x([l[0], l[1], l[2], l[3]], slots, known);
        r.row("move", &[(x, Data), (x, Data), (x, Data), k], |g, l| move_x(g, l, None, None));
        r.row("move", &[(x, Data), (x, Data), (x, Data), k, slots], |g, l| move_x(g, l, Some(l[4]), None));
        r.row("move", &[(x, Data), (x, Data), (x, Data), k, known], |g, l| move_x(g, l, None, Some(l[4])));
        // A mask of exactly ½ keeps.
        let half = (x.with_n(2 * x.n()), Given(&[0.5, 0.7, 0.5, 0.25, -0.3]));
        r.row("move", &[(x, Data), (x, Data), (x, Data), k, half], |g, l| move_x(g, l, None, Some(l[4])));
        r.row("move", &[(x, Data), (x, Data), (x, Data), k, slots, known], |g, l| move_x(g, l, Some(l[4]), Some(l[5])));
        let k = (Shape::vector(32), Given(&REMEMBER));
        r.row("remember", &[(x, Data), (x, Data), slots, k], |g, l| g.remember(l[0], l[1], l[2], l[3]));
        let rate = (Shape::SCALAR, Given(&[0.3]));
        r.row("lerp", &[(x, Data), (x, Data), rate], |g, l| g.lerp(l[0], l[1], l[2]));
        r.row("lerp_square", &[(x, Data), (x, Data), rate], |g, l| g.lerp_square(l[0], l[1], l[2]));
        for k in [&[0.1, 1.7, 0.2, 0.05], &[0.2, 0.6, 0.0, 0.0]] {
            let k = (Shape::vector(4), Given(k));
            r.row("adam", &[(x, Data), (x, Data), (x, Positive), k], |g, l| g.adam(l[0], l[1], l[2], l[3]));
        }
        // A norm beyond its bound, one within, and one so small that the 1e-6 in the formula counts.
        for (norm, bound) in [(&[6.25], &[0.8]), (&[0.25], &[0.8]), (&[1e-12], &[1e-6])] {
            let (norm, bound) = ((Shape::SCALAR, Given(norm)), (Shape::SCALAR, Given(bound)));
            r.row("clip_norm", &[(x, Data), norm, bound], |g, l| g.clip_norm(l[0], l[1], l[2]));
        }
    }
    let so_far = (Shape::SCALAR, Given(&[3.5]));
    for x in [s(3, 10, 11, 3), s(2, 3, 1, 6)] {
        r.row("sum_squares", &[(x, Data), so_far], |g, l| g.sum_squares(l[0], l[1]));
    }

    let x = s(2, 4, 6, 6);
    let weight = s(3, 3, 6, 6);
    let (affine, time) = (Shape::vector(6), s(2, 1, 1, 6));
    let leaves =
        [x, affine, affine, weight, affine, time].map(|shape| (shape, Normal(if shape == weight { 0.3 } else { 1.0 })));
    r.row("residual block", &leaves, |g, l| {
        let h = g.group_norm(l[0], l[1], l[2], 3, 1e-5);
        let h = g.silu(h);
        let h = g.conv2d(h, l[3], l[4], 1, (1, 1));
        let h = g.add_channels(h, l[5]);
        let h = g.add(h, l[0]);
        // The skip connection comes back after a trip through the lower resolution.
        let low = g.conv2d(h, l[3], l[4], 2, (1, 1));
        let up = g.upsample(low);
        let joined = g.concat(up, h);
        let cut = g.slice_channels(joined, 3, 6);
        g.attention(cut, h, l[0], 2)
    });

    // Heads that share a vec4 and heads that do not, keys that fill none, more than one vec4 of heads and of channels.
    for (x, heads) in [
        (s(2, 3, 5, 6), 2),
        (s(2, 4, 3, 8), 1),
        (s(3, 2, 3, 40), 2),
        (s(2, 2, 3, 5), 5),
        (s(2, 1, 3, 68), 1),
        (s(5, 4, 3, 24), 4),
        (s(2, 11, 10, 3), 3),
        (s(2, 1, 1, 4), 2),
    ] {
        let leaves = [(x, Data), (x, Data)];
        r.row("attention_probabilities", &leaves, |g, l| g.attention_probabilities(l[0], l[1], heads));
    }
    rows.0
}
