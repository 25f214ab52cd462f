//! Multi-head self-attention over pixels, softmax(q·kᵀ/√d)·v (Vaswani et al. 2017), and its gradients.
//!
//! q, k, v are `[N, H, W, C]`; a token is a pixel, head m owns channels m·d .. (m+1)·d. The backward pass recomputes the
//! probabilities P from the row-wise log-sum-exp instead of keeping them (Dao et al. 2022).

use super::fast::attention as fast;
use crate::graph::{Dispatch, Fast, Graph, Id, Op, View, WORKGROUP};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of the kernels in this file.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    /// H·W.
    tokens: u32,
    heads: u32,
    head_dim: u32,
    /// Heads one workgroup sees to: all of them where heads share a `vec4<f32>`, else one.
    heads_per_group: u32,
    /// `vec4<f32>` of a token's result one workgroup works on at a time: 2, 4, 8 or 16.
    width: u32,
    /// 1/√d.
    scale: f32,
    /// Tokens before the first key, where queries, keys and values are one value.
    keys_from: u32,
    /// Likewise for values.
    values_from: u32,
}

/// Channels of a head that the plain kernel sees to at a time.
const WIDE: usize = 64;

/// What every op of this file knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) heads: usize,
}

impl Heads {
    fn dispatch(self, shader: &'static str, q: Shape) -> Dispatch {
        self.dispatch_packed(shader, q, false)
    }

    /// [`Heads::dispatch`], of one value of queries, keys and values if `packed`.
    fn dispatch_packed(self, shader: &'static str, q: Shape, packed: bool) -> Dispatch {
        let from = |part: usize| if packed { (part * q.n() * q.pixels()) as u32 } else { 0 };
        let head_dim = q.c() / self.heads;
        let heads_per_group = if head_dim.is_multiple_of(4) { 1 } else { self.heads };
        let width = Self::width(head_dim);
        let params = Params {
            n: q.n() as u32,
            tokens: q.pixels() as u32,
            heads: self.heads as u32,
            head_dim: head_dim as u32,
            heads_per_group: heads_per_group as u32,
            width: width as u32,
            scale: 1.0 / (head_dim as f32).sqrt(),
            keys_from: from(1),
            values_from: from(2),
        };
        // One workgroup per image, head (or all heads) and 64/width tokens.
        let blocks = q.pixels().div_ceil(WORKGROUP / width);
        Dispatch::groups(shader, &params, q.n() * (self.heads / heads_per_group) * blocks)
    }

    /// [`Params::width`] for heads of this many channels.
    fn width(head_dim: usize) -> usize {
        head_dim.div_ceil(4).next_power_of_two().clamp(2, 16)
    }

    /// Multiplications of `products` products of all queries with all keys, or of the like.
    pub(super) fn multiply_adds(q: Shape, products: usize) -> usize {
        products * q.n() * q.pixels() * q.pixels() * q.c()
    }

    /// The same as [`Op::gpu_work`]: with their exponentials and barriers these products take about eight times as long as
    /// those of a convolution (lavapipe), and probabilities that are computed again count, too.
    pub(super) fn gpu_work(q: Shape, products: usize) -> usize {
        8 * Self::multiply_adds(q, products)
    }

    /// Position of (image, token, head's channel 0).
    fn at(self, shape: Shape, n: usize, token: usize, head: usize) -> usize {
        (n * shape.pixels() + token) * shape.c() + head * (shape.c() / self.heads)
    }

    /// Logits q_i·k_j/√d for all j.
    fn logits<T: Float>(self, q: View<T>, k: View<T>, n: usize, head: usize, i: usize) -> Vec<T> {
        let d = q.shape.c() / self.heads;
        let scale = super::number::<T>(d as f64).sqrt().recip();
        let query = &q.data[self.at(q.shape, n, i, head)..][..d];
        let dot = |j| {
            let key = &k.data[self.at(k.shape, n, j, head)..][..d];
            query.iter().zip(key).fold(T::zero(), |sum, (&a, &b)| sum + a * b) * scale
        };
        (0..k.shape.pixels()).map(dot).collect()
    }

    /// P_ij for all j, from the log-sum-exp of row i.
    pub(super) fn probabilities<T: Float>(
        self,
        q: View<T>,
        k: View<T>,
        lse: View<T>,
        n: usize,
        head: usize,
        i: usize,
    ) -> Vec<T> {
        let lse = lse.data[(n * q.shape.pixels() + i) * self.heads + head];
        self.logits(q, k, n, head, i).into_iter().map(|logit| (logit - lse).exp()).collect()
    }

    /// dS_ij = P_ij·(dO_i·v_j − dO_i·O_i), the gradient of the logits, for all j; inputs are (q, k, v, lse, o, do).
    fn grad_logits<T: Float>(self, inputs: &[View<T>], n: usize, head: usize, i: usize) -> Vec<T> {
        let [q, k, v, lse, o, d_o] = [inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5]];
        let d = q.shape.c() / self.heads;
        let row = |x: View<T>, token| self.at(x.shape, n, token, head);
        let dot = |a: &[T], b: &[T]| a.iter().zip(b).fold(T::zero(), |sum, (&a, &b)| sum + a * b);
        let d_o = &d_o.data[row(d_o, i)..][..d];
        let mean = dot(d_o, &o.data[row(o, i)..][..d]);
        let p = self.probabilities(q, k, lse, n, head, i);
        p.into_iter().enumerate().map(|(j, p)| p * (dot(d_o, &v.data[row(v, j)..][..d]) - mean)).collect()
    }

    pub(super) fn for_each(self, shape: Shape, mut f: impl FnMut(usize, usize, usize)) {
        for n in 0..shape.n() {
            for head in 0..self.heads {
                for i in 0..shape.pixels() {
                    f(n, head, i);
                }
            }
        }
    }

    fn scale<T: Float>(self, shape: Shape) -> T {
        super::number::<T>((shape.c() / self.heads) as f64).sqrt().recip()
    }
}

/// o = softmax(q·kᵀ/√d)·v, of (q, k, v), or of what [`Qkv`](super::qkv::Qkv) makes of the three.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attention {
    heads: Heads,
    /// Whether there is one input, `[3·N, H, W, C]`: `fuse` sets it.
    packed: bool,
}

impl Attention {
    /// With the plain kernel.
    fn plain(&self, out: Shape) -> Dispatch {
        let bound = if self.packed { vec![0; 3] } else { vec![0, 1, 2] };
        Dispatch { operands: Some(bound), ..self.heads.dispatch_packed(self.name(), out, self.packed) }
    }

    /// The same, of one input.
    pub(super) fn packed(self) -> Self {
        Self { packed: true, ..self }
    }

    fn reference<T: Float>(&self, inputs: &[View<T>], shape: Shape, out: &mut [T]) {
        let part = |i: usize| match self.packed {
            true => View { shape, data: &inputs[0].data[i * shape.len()..][..shape.len()] },
            false => inputs[i],
        };
        let [q, k, v] = [part(0), part(1), part(2)];
        let heads = self.heads;
        let d = shape.c() / heads.heads;
        out.fill(T::zero());
        heads.for_each(shape, |n, head, i| {
            let logits = heads.logits(q, k, n, head, i);
            let max = logits.iter().fold(T::neg_infinity(), |a, &b| a.max(b));
            let sum = logits.iter().fold(T::zero(), |sum, &l| sum + (l - max).exp());
            let at = heads.at(shape, n, i, head);
            for (j, &logit) in logits.iter().enumerate() {
                let p = (logit - max).exp() / sum;
                for c in 0..d {
                    out[at + c] = out[at + c] + p * v.data[heads.at(v.shape, n, j, head) + c];
                }
            }
        });
    }
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let (q, heads) = (inputs[0], self.heads.heads);
        assert_eq!(q.c() % heads, 0, "{heads} heads divide {} channels", q.c());
        if self.packed {
            assert!(inputs.len() == 1 && q.n().is_multiple_of(3), "{q} is no queries, keys and values");
            return q.with_n(q.n() / 3);
        }
        assert!(inputs == [q; 3], "q, k and v have one shape");
        q
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        // For wide heads the plain kernel computes the logits several times, and the other one is faster everywhere.
        let is_wide = out.c() / self.heads.heads > WIDE;
        let tiled = is_wide.then(|| self.dispatch_tiled(inputs, out)).flatten();
        tiled.unwrap_or_else(|| self.plain(out))
    }

    /// Keys and values of a tile are other ones than in the plain kernel, and so is the moment at which sums are scaled
    /// down: the two agree up to rounding.
    fn dispatch_tiled(&self, _inputs: &[Shape], out: Shape) -> Option<Dispatch> {
        let head_dim = out.c() / self.heads.heads;
        // Where heads share a vec4 there is the plain kernel alone.
        head_dim.is_multiple_of(4).then(|| {
            // Four queries for each invocation, and a number of invocations for each four.
            let blocks = out.pixels().div_ceil(4 * WORKGROUP / Heads::width(head_dim));
            let workgroups = out.n() * self.heads.heads * blocks;
            Dispatch { shader: "attention_tiled", workgroups, ..self.plain(out) }
        })
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], output: Id, cotangent: Id) -> Vec<Option<Id>> {
        assert!(!self.packed, "graphs are differentiated first and fused then");
        let [q, k, v] = [inputs[0], inputs[1], inputs[2]];
        let lse = g.apply(AttentionLse(self.heads), &[q, k]);
        let all = [q, k, v, lse, output, cotangent];
        let dq = g.apply(AttentionGradQ(self.heads), &all);
        let dk = g.apply(AttentionGradK(self.heads), &all);
        let dv = g.apply(AttentionGradV(self.heads), &[q, k, lse, cotangent]);
        vec![Some(dq), Some(dk), Some(dv)]
    }

    fn multiply_adds(&self, _inputs: &[Shape], out: Shape) -> usize {
        Heads::multiply_adds(out, 2)
    }

    fn gpu_work(&self, _inputs: &[Shape], out: Shape) -> usize {
        Heads::gpu_work(out, 2)
    }

    fn fast_f32(&self, _inputs: &[Shape], out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(fast::Forward { heads: fast::Heads::new(out, self.heads.heads), packed: self.packed }))
    }
}

/// log Σ_j exp(q_i·k_j/√d), of (q, k): `[N, H, W, heads]`.
#[derive(Debug)]
pub(super) struct AttentionLse(pub(super) Heads);

impl AttentionLse {
    fn reference<T: Float>(&self, inputs: &[View<T>], _shape: Shape, out: &mut [T]) {
        let [q, k] = [inputs[0], inputs[1]];
        self.0.for_each(q.shape, |n, head, i| {
            let logits = self.0.logits(q, k, n, head, i);
            let max = logits.iter().fold(T::neg_infinity(), |a, &b| a.max(b));
            let sum = logits.iter().fold(T::zero(), |sum, &l| sum + (l - max).exp());
            out[(n * q.shape.pixels() + i) * self.0.heads + head] = max + sum.ln();
        });
    }
}

impl Op for AttentionLse {
    fn name(&self) -> &'static str {
        "attention_lse"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0].with_c(self.0.heads)
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        // One invocation per token and four heads, which share a vec4 of the output.
        let items = out.vec4_len();
        let mut dispatch = self.0.dispatch(self.name(), inputs[0]);
        dispatch.workgroups = items.div_ceil(WORKGROUP);
        dispatch
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn gpu_work(&self, inputs: &[Shape], _out: Shape) -> usize {
        Heads::gpu_work(inputs[0], 1)
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(fast::Lse(fast::Heads::new(inputs[0], self.0.heads))))
    }
}

/// dq_i = Σ_j dS_ij·k_j/√d, of (q, k, v, lse, o, do).
#[derive(Debug)]
struct AttentionGradQ(Heads);

impl AttentionGradQ {
    fn reference<T: Float>(&self, inputs: &[View<T>], shape: Shape, out: &mut [T]) {
        let d = shape.c() / self.0.heads;
        let scale: T = self.0.scale(shape);
        out.fill(T::zero());
        self.0.for_each(shape, |n, head, i| {
            let ds = self.0.grad_logits(inputs, n, head, i);
            let at = self.0.at(shape, n, i, head);
            for (j, &ds) in ds.iter().enumerate() {
                for c in 0..d {
                    let key = inputs[1].data[self.0.at(shape, n, j, head) + c];
                    out[at + c] = out[at + c] + ds * key * scale;
                }
            }
        });
    }
}

impl Op for AttentionGradQ {
    fn name(&self) -> &'static str {
        "attention_grad_q"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], _out: Shape) -> Dispatch {
        self.0.dispatch(self.name(), inputs[0])
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn multiply_adds(&self, inputs: &[Shape], _out: Shape) -> usize {
        // Both dP and dQ; recomputing P is this implementation's choice and does not count.
        Heads::multiply_adds(inputs[0], 2)
    }

    fn gpu_work(&self, inputs: &[Shape], _out: Shape) -> usize {
        Heads::gpu_work(inputs[0], 3)
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(fast::GradQ(fast::Heads::new(inputs[0], self.0.heads))))
    }
}

/// dk_j = Σ_i dS_ij·q_i/√d, of (q, k, v, lse, o, do).
#[derive(Debug)]
struct AttentionGradK(Heads);

impl AttentionGradK {
    fn reference<T: Float>(&self, inputs: &[View<T>], shape: Shape, out: &mut [T]) {
        let d = shape.c() / self.0.heads;
        let scale: T = self.0.scale(shape);
        out.fill(T::zero());
        self.0.for_each(shape, |n, head, i| {
            let ds = self.0.grad_logits(inputs, n, head, i);
            for (j, &ds) in ds.iter().enumerate() {
                for c in 0..d {
                    let query = inputs[0].data[self.0.at(shape, n, i, head) + c];
                    let at = self.0.at(shape, n, j, head) + c;
                    out[at] = out[at] + ds * query * scale;
                }
            }
        });
    }
}

impl Op for AttentionGradK {
    fn name(&self) -> &'static str {
        "attention_grad_k"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[1]
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], _out: Shape) -> Dispatch {
        self.0.dispatch(self.name(), inputs[0])
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn multiply_adds(&self, inputs: &[Shape], _out: Shape) -> usize {
        Heads::multiply_adds(inputs[0], 1)
    }

    fn gpu_work(&self, inputs: &[Shape], _out: Shape) -> usize {
        Heads::gpu_work(inputs[0], 3)
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(fast::GradK(fast::Heads::new(inputs[0], self.0.heads))))
    }
}

/// dv_j = Σ_i P_ij·do_i, of (q, k, lse, do).
#[derive(Debug)]
struct AttentionGradV(Heads);

impl AttentionGradV {
    fn reference<T: Float>(&self, inputs: &[View<T>], shape: Shape, out: &mut [T]) {
        let [q, k, lse, d_o] = [inputs[0], inputs[1], inputs[2], inputs[3]];
        let d = shape.c() / self.0.heads;
        out.fill(T::zero());
        self.0.for_each(shape, |n, head, i| {
            let p = self.0.probabilities(q, k, lse, n, head, i);
            for (j, &p) in p.iter().enumerate() {
                for c in 0..d {
                    let at = self.0.at(shape, n, j, head) + c;
                    out[at] = out[at] + p * d_o.data[self.0.at(shape, n, i, head) + c];
                }
            }
        });
    }
}

impl Op for AttentionGradV {
    fn name(&self) -> &'static str {
        "attention_grad_v"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[3]
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], _out: Shape) -> Dispatch {
        self.0.dispatch(self.name(), inputs[0])
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn multiply_adds(&self, inputs: &[Shape], _out: Shape) -> usize {
        Heads::multiply_adds(inputs[0], 1)
    }

    fn gpu_work(&self, inputs: &[Shape], _out: Shape) -> usize {
        Heads::gpu_work(inputs[0], 2)
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(fast::GradV(fast::Heads::new(inputs[0], self.0.heads))))
    }
}

impl Graph {
    /// softmax(q·kᵀ/√d)·v over the pixels of each image, for each of `heads` heads; all `[N, H, W, C]`.
    pub fn attention(&mut self, q: Id, k: Id, v: Id, heads: usize) -> Id {
        self.apply(Attention { heads: Heads { heads }, packed: false }, &[q, k, v])
    }
}
