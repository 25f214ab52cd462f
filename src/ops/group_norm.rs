//! Group normalisation (Wu & He 2018): each image's channels are normalised in groups, then scaled and shifted.
//!
//! x̂ = (x − μ)/√(σ² + eps), y = x̂·γ + β, with μ and σ² over the H·W·(C/G) values of a group of one image.
//! The statistics are a node of their own, so the backward pass uses them again.

use super::fast::norm;
use crate::graph::{Dispatch, Fast, Graph, Id, Op, View, index};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of the kernels in this file.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    /// H·W.
    pixels: u32,
    /// Channels, not filled up.
    c: u32,
    groups: u32,
    eps: f32,
    /// 1: SiLU after the normalisation.
    silu: u32,
}

impl Params {
    fn new(x: Shape, groups: usize, eps: f32) -> Self {
        Self { n: x.n() as u32, pixels: x.pixels() as u32, c: x.c() as u32, groups: groups as u32, eps, silu: 0 }
    }
}

/// Mean and 1/√(variance + eps) of every group: `[N, H, W, C]` → `[N, 1, G, 2]`.
#[derive(Debug)]
struct GroupNormStats {
    groups: usize,
    eps: f32,
}

impl GroupNormStats {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let x = inputs[0];
        let count = super::number::<T>((x.shape.pixels() * x.shape.c() / self.groups) as f64);
        for n in 0..x.shape.n() {
            for group in 0..self.groups {
                let mut sum = T::zero();
                for_group(x.shape, self.groups, n, group, |at, _| sum = sum + x.data[at]);
                let mean = sum / count;
                let mut squares = T::zero();
                for_group(x.shape, self.groups, n, group, |at, _| squares = squares + (x.data[at] - mean).powi(2));
                let at = (n * self.groups + group) * 2;
                out[at] = mean;
                out[at + 1] = T::one() / (squares / count + super::number(f64::from(self.eps))).sqrt();
            }
        }
    }
}

/// Calls `f(position, channel)` for every value of a group.
fn for_group(x: Shape, groups: usize, n: usize, group: usize, mut f: impl FnMut(usize, usize)) {
    let per_group = x.c() / groups;
    for pixel in 0..x.pixels() {
        for c in group * per_group..(group + 1) * per_group {
            f((n * x.pixels() + pixel) * x.c() + c, c);
        }
    }
}

impl Op for GroupNormStats {
    fn name(&self) -> &'static str {
        "group_norm_stats"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let x = inputs[0];
        assert_eq!(x.c() % self.groups, 0, "{} groups divide {} channels", self.groups, x.c());
        Shape::new(x.n(), 1, self.groups, 2)
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::groups(self.name(), &Params::new(inputs[0], self.groups, self.eps), out.n() * self.groups)
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        unreachable!("group_norm's gradient passes through the statistics by itself")
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(norm::Stats { x: inputs[0], groups: self.groups, eps: self.eps }))
    }
}

/// y, or y·σ(y), of (x, statistics, γ, β).
#[derive(Debug)]
pub(super) struct GroupNorm {
    pub(super) groups: usize,
    /// Whether SiLU follows at once: `fuse` sets it.
    pub(super) silu: bool,
}

impl GroupNorm {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let [x, stats, scale, shift] = [inputs[0], inputs[1], inputs[2], inputs[3]];
        for n in 0..x.shape.n() {
            for group in 0..self.groups {
                let (mean, rstd) = (stats.at(n, 0, group, 0), stats.at(n, 0, group, 1));
                for_group(x.shape, self.groups, n, group, |at, c| {
                    let y = (x.data[at] - mean) * rstd * scale.data[c] + shift.data[c];
                    out[at] = if self.silu { y / (T::one() + (-y).exp()) } else { y };
                });
            }
        }
    }
}

impl Op for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params { silu: u32::from(self.silu), ..Params::new(inputs[0], self.groups, 0.0) };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        assert!(!self.silu, "graphs are differentiated first and fused then");
        let [x, stats, scale] = [inputs[0], inputs[1], inputs[2]];
        let groups = self.groups;
        let means = g.apply(GroupNormGradStats { groups }, &[x, stats, scale, cotangent]);
        let dx = g.apply(GroupNormGradInput { groups }, &[x, stats, scale, cotangent, means]);
        let dscale = g.apply(GroupNormGradScale { groups }, &[x, stats, cotangent]);
        let dscale = g.sum_images(dscale);
        let dshift = g.sum_pixels(cotangent);
        let dshift = g.sum_images(dshift);
        vec![Some(dx), None, Some(dscale), Some(dshift)]
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(norm::Apply { x: inputs[0], groups: self.groups, silu: self.silu }))
    }
}

/// Means over a group of γ·dy and of γ·dy·x̂, of (x, statistics, γ, dy): `[N, 1, G, 2]`.
#[derive(Debug)]
struct GroupNormGradStats {
    groups: usize,
}

impl GroupNormGradStats {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let [x, stats, scale, dy] = [inputs[0], inputs[1], inputs[2], inputs[3]];
        let count = super::number::<T>((x.shape.pixels() * x.shape.c() / self.groups) as f64);
        for n in 0..x.shape.n() {
            for group in 0..self.groups {
                let (mean, rstd) = (stats.at(n, 0, group, 0), stats.at(n, 0, group, 1));
                let (mut first, mut second) = (T::zero(), T::zero());
                for_group(x.shape, self.groups, n, group, |at, c| {
                    let term = dy.data[at] * scale.data[c];
                    first = first + term;
                    second = second + term * (x.data[at] - mean) * rstd;
                });
                let at = (n * self.groups + group) * 2;
                out[at] = first / count;
                out[at + 1] = second / count;
            }
        }
    }
}

impl Op for GroupNormGradStats {
    fn name(&self) -> &'static str {
        "group_norm_grad_stats"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[1]
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::groups(self.name(), &Params::new(inputs[0], self.groups, 0.0), out.n() * self.groups)
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(norm::GradStats { x: inputs[0], groups: self.groups }))
    }
}

/// dx = (γ·dy − mean(γ·dy) − x̂·mean(γ·dy·x̂))/√(σ² + eps), of (x, statistics, γ, dy, the two means).
#[derive(Debug)]
struct GroupNormGradInput {
    groups: usize,
}

impl GroupNormGradInput {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let [x, stats, scale, dy, means] = [inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]];
        for n in 0..x.shape.n() {
            for group in 0..self.groups {
                let (mean, rstd) = (stats.at(n, 0, group, 0), stats.at(n, 0, group, 1));
                let (first, second) = (means.at(n, 0, group, 0), means.at(n, 0, group, 1));
                for_group(x.shape, self.groups, n, group, |at, c| {
                    let normalised = (x.data[at] - mean) * rstd;
                    out[at] = rstd * (dy.data[at] * scale.data[c] - first - normalised * second);
                });
            }
        }
    }
}

impl Op for GroupNormGradInput {
    fn name(&self) -> &'static str {
        "group_norm_grad_input"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::per_item(self.name(), &Params::new(inputs[0], self.groups, 0.0), out.vec4_len())
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(norm::GradInput { x: inputs[0], groups: self.groups }))
    }
}

/// Σ over pixels of dy·x̂, of (x, statistics, dy): `[N, 1, 1, C]`.
#[derive(Debug)]
struct GroupNormGradScale {
    groups: usize,
}

impl GroupNormGradScale {
    fn reference<T: Float>(&self, inputs: &[View<T>], out_shape: Shape, out: &mut [T]) {
        let [x, stats, dy] = [inputs[0], inputs[1], inputs[2]];
        out.fill(T::zero());
        for n in 0..x.shape.n() {
            for group in 0..self.groups {
                let (mean, rstd) = (stats.at(n, 0, group, 0), stats.at(n, 0, group, 1));
                for_group(x.shape, self.groups, n, group, |at, c| {
                    let sum = &mut out[index(out_shape, n, 0, 0, c)];
                    *sum = *sum + dy.data[at] * (x.data[at] - mean) * rstd;
                });
            }
        }
    }
}

impl Op for GroupNormGradScale {
    fn name(&self) -> &'static str {
        "group_norm_grad_scale"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        Shape::new(inputs[0].n(), 1, 1, inputs[0].c())
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::groups(self.name(), &Params::new(inputs[0], self.groups, 0.0), out.vec4_len())
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(norm::GradScale { x: inputs[0], groups: self.groups }))
    }
}

impl Graph {
    /// Group normalisation of x `[N, H, W, C]` with scale γ and shift β `[1, 1, 1, C]`.
    pub fn group_norm(&mut self, x: Id, scale: Id, shift: Id, groups: usize, eps: f32) -> Id {
        assert_eq!(self.shape(scale), Shape::vector(self.shape(x).c()), "one scale per channel");
        let stats = self.apply(GroupNormStats { groups, eps }, &[x]);
        self.apply(GroupNorm { groups, silu: false }, &[x, stats, scale, shift])
    }
}
