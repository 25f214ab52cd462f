//! What each pixel attends to, softmax(q·kᵀ/√d), for people to look at: attention itself keeps no probabilities.

use super::attention::{AttentionLse, Heads};
use crate::graph::{Dispatch, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of `attention_probabilities.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    /// H·W.
    tokens: u32,
    heads: u32,
    head_dim: u32,
    /// 1/√d.
    scale: f32,
}

/// P_ij = exp(q_i·k_j/√d − lse_i), of (q, k, lse): `[N·heads, H, W, H·W]`, a channel for each key.
#[derive(Debug)]
struct AttentionProbabilities(Heads);

impl AttentionProbabilities {
    fn reference<T: Float>(&self, inputs: &[View<T>], shape: Shape, out: &mut [T]) {
        let [q, k, lse] = [inputs[0], inputs[1], inputs[2]];
        let mut rows = out.chunks_exact_mut(shape.c());
        self.0.for_each(q.shape, |n, head, i| {
            let row = rows.next().expect("a row for each image, head and query");
            row.copy_from_slice(&self.0.probabilities(q, k, lse, n, head, i));
        });
    }
}

impl Op for AttentionProbabilities {
    fn name(&self) -> &'static str {
        "attention_probabilities"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let (q, heads) = (inputs[0], self.0.heads);
        assert_eq!(q.c() % heads, 0, "{heads} heads divide {} channels", q.c());
        assert!(inputs == [q, q, q.with_c(heads)], "q and k have one shape");
        Shape::new(q.n() * heads, q.h(), q.w(), q.pixels())
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let (q, heads) = (inputs[0], self.0.heads);
        let head_dim = q.c() / heads;
        let params = Params {
            n: q.n() as u32,
            tokens: q.pixels() as u32,
            heads: heads as u32,
            head_dim: head_dim as u32,
            scale: 1.0 / (head_dim as f32).sqrt(),
        };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    /// It is looked at, not trained through.
    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        vec![None, None, None]
    }

    fn multiply_adds(&self, inputs: &[Shape], _out: Shape) -> usize {
        Heads::multiply_adds(inputs[0], 1)
    }

    fn gpu_work(&self, inputs: &[Shape], _out: Shape) -> usize {
        Heads::gpu_work(inputs[0], 1)
    }
}

impl Graph {
    /// The probabilities by which each pixel attends to the others, softmax(q·kᵀ/√d) for each of `heads` heads, of q and k
    /// `[N, H, W, C]`: `[N·heads, H, W, H·W]`. Head m of image n is number n·heads + m; its pixel is the query, its channels
    /// are the keys, row by row.
    pub fn attention_probabilities(&mut self, q: Id, k: Id, heads: usize) -> Id {
        let heads = Heads { heads };
        let lse = self.apply(AttentionLse(heads), &[q, k]);
        self.apply(AttentionProbabilities(heads), &[q, k, lse])
    }
}
