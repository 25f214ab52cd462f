//! Nearest-neighbour upsampling by two, and its gradient, the sum over 2×2 pixels.

use super::fast::elementwise;
use crate::graph::{Dispatch, Fast, Graph, Id, Op, View, index};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of both kernels.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    /// Extents of the small image.
    h: u32,
    w: u32,
    /// `vec4<f32>` per pixel.
    c4: u32,
}

impl Params {
    fn new(small: Shape) -> Self {
        Self { n: small.n() as u32, h: small.h() as u32, w: small.w() as u32, c4: small.vec4_channels() as u32 }
    }
}

/// `[N, H, W, C]` → `[N, 2H, 2W, C]`: y[i, j] = x[⌊i/2⌋, ⌊j/2⌋].
#[derive(Debug)]
pub(super) struct Upsample;

impl Upsample {
    fn reference<T: Float>(&self, inputs: &[View<T>], y: Shape, out: &mut [T]) {
        for_each(y, |n, i, j, c| out[index(y, n, i, j, c)] = inputs[0].at(n, i / 2, j / 2, c));
    }
}

fn for_each(shape: Shape, mut f: impl FnMut(usize, usize, usize, usize)) {
    for n in 0..shape.n() {
        for i in 0..shape.h() {
            for j in 0..shape.w() {
                for c in 0..shape.c() {
                    f(n, i, j, c);
                }
            }
        }
    }
}

impl Op for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let x = inputs[0];
        Shape::new(x.n(), 2 * x.h(), 2 * x.w(), x.c())
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::per_item(self.name(), &Params::new(inputs[0]), out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, _inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        vec![Some(g.apply(UpsampleGrad, &[cotangent]))]
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::Upsample(inputs[0])))
    }
}

/// `[N, 2H, 2W, C]` → `[N, H, W, C]`: the sum over each 2×2 block.
#[derive(Debug)]
struct UpsampleGrad;

impl UpsampleGrad {
    fn reference<T: Float>(&self, inputs: &[View<T>], x: Shape, out: &mut [T]) {
        out.fill(T::zero());
        for_each(inputs[0].shape, |n, i, j, c| {
            let at = index(x, n, i / 2, j / 2, c);
            out[at] = out[at] + inputs[0].at(n, i, j, c);
        });
    }
}

impl Op for UpsampleGrad {
    fn name(&self) -> &'static str {
        "upsample_grad"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let y = inputs[0];
        assert!(y.h().is_multiple_of(2) && y.w().is_multiple_of(2), "an upsampled image has even extents, not {y}");
        Shape::new(y.n(), y.h() / 2, y.w() / 2, y.c())
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::per_item(self.name(), &Params::new(out), out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, _inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        vec![Some(g.upsample(cotangent))]
    }

    fn fast_f32(&self, _inputs: &[Shape], out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::UpsampleGrad(out)))
    }
}

impl Graph {
    /// Each pixel four times: `[N, 2H, 2W, C]`.
    pub fn upsample(&mut self, x: Id) -> Id {
        self.apply(Upsample, &[x])
    }
}
