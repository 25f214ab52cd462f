//! Sums over the pixels of an image and over the images of a batch, and the repetition that is their gradient.
//!
//! A bias gradient is the sum over pixels, then over images; a time embedding's is the first of the two.

use super::fast::elementwise;
use crate::graph::{Dispatch, Fast, Graph, Id, Op, View};
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
    /// `vec4<f32>` per pixel.
    c4: u32,
}

impl Params {
    fn new(x: Shape) -> Self {
        Self { n: x.n() as u32, pixels: x.pixels() as u32, c4: x.vec4_channels() as u32 }
    }
}

/// `[N, H, W, C]` → `[N, 1, 1, C]`: Σ over pixels.
#[derive(Debug)]
struct SumPixels;

impl SumPixels {
    fn reference<T: Float>(&self, inputs: &[View<T>], out_shape: Shape, out: &mut [T]) {
        out.fill(T::zero());
        let (c, pixels) = (out_shape.c(), inputs[0].shape.pixels());
        for (i, &x) in inputs[0].data.iter().enumerate() {
            let at = i / (pixels * c) * c + i % c;
            out[at] = out[at] + x;
        }
    }
}

impl Op for SumPixels {
    fn name(&self) -> &'static str {
        "sum_pixels"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        Shape::new(inputs[0].n(), 1, 1, inputs[0].c())
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::groups(self.name(), &Params::new(inputs[0]), out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        let zeros = g.constant(0.0, g.shape(inputs[0]));
        vec![Some(g.add_channels(zeros, cotangent))]
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::SumPixels::new(inputs[0])))
    }
}

/// `Params` of `repeat_images.wgsl` and `fold_images.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct RepeatParams {
    /// Number of `vec4<f32>` in the smaller of the two values.
    len: u32,
    times: u32,
}

impl RepeatParams {
    fn new(small: Shape, times: usize) -> Self {
        Self { len: small.vec4_len() as u32, times: times as u32 }
    }
}

/// `[times·N, H, W, C]` → `[N, H, W, C]`: the sum over blocks of N images.
#[derive(Debug)]
struct FoldImages {
    times: usize,
}

impl FoldImages {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        out.fill(T::zero());
        for block in inputs[0].data.chunks_exact(out.len()) {
            for (o, &x) in out.iter_mut().zip(block) {
                *o = *o + x;
            }
        }
    }
}

impl Op for FoldImages {
    fn name(&self) -> &'static str {
        "fold_images"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[0].n() % self.times, 0, "{} images fold {} times", inputs[0].n(), self.times);
        inputs[0].with_n(inputs[0].n() / self.times)
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::per_item(self.name(), &RepeatParams::new(out, self.times), out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, _inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        vec![Some(g.repeat_images(cotangent, self.times))]
    }
}

/// `[N, H, W, C]` → `[times·N, H, W, C]`: the whole batch, again and again.
#[derive(Debug)]
struct RepeatImages {
    times: usize,
}

impl RepeatImages {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        for block in out.chunks_exact_mut(inputs[0].data.len()) {
            block.copy_from_slice(inputs[0].data);
        }
    }
}

impl Op for RepeatImages {
    fn name(&self) -> &'static str {
        "repeat_images"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0].with_n(inputs[0].n() * self.times)
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::per_item(self.name(), &RepeatParams::new(inputs[0], self.times), out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, _inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        vec![Some(g.fold_images(cotangent, self.times))]
    }
}

/// x `[N, H, W, C]` + e `[N, 1, 1, C]`: the time embedding, the same on every pixel.
#[derive(Debug)]
pub(super) struct AddChannels;

impl AddChannels {
    fn reference<T: Float>(&self, inputs: &[View<T>], x: Shape, out: &mut [T]) {
        for (i, o) in out.iter_mut().enumerate() {
            let at = i / (x.pixels() * x.c()) * x.c() + i % x.c();
            *o = inputs[0].data[i] + inputs[1].data[at];
        }
    }
}

impl Op for AddChannels {
    fn name(&self) -> &'static str {
        "add_channels"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let x = inputs[0];
        assert_eq!(inputs[1], Shape::new(x.n(), 1, 1, x.c()), "one number per image and channel is added to {x}");
        x
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        Dispatch::per_item(self.name(), &Params::new(out), out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, _inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        vec![Some(cotangent), Some(g.sum_pixels(cotangent))]
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::AddChannels::new(inputs[0])))
    }
}

impl Graph {
    /// Σ over the pixels of each image, `[N, 1, 1, C]`.
    pub fn sum_pixels(&mut self, x: Id) -> Id {
        if self.shape(x).pixels() == 1 { x } else { self.apply(SumPixels, &[x]) }
    }

    /// Σ over the images, `[1, H, W, C]`.
    pub fn sum_images(&mut self, x: Id) -> Id {
        self.fold_images(x, self.shape(x).n())
    }

    /// The sum over `times` equal blocks of images, `[N / times, H, W, C]`.
    pub fn fold_images(&mut self, x: Id, times: usize) -> Id {
        if times == 1 { x } else { self.apply(FoldImages { times }, &[x]) }
    }

    /// The whole batch `times` times, `[times·N, H, W, C]`.
    pub fn repeat_images(&mut self, x: Id, times: usize) -> Id {
        if times == 1 { x } else { self.apply(RepeatImages { times }, &[x]) }
    }

    /// x + e, where e `[N, 1, 1, C]` is the same on every pixel.
    pub fn add_channels(&mut self, x: Id, e: Id) -> Id {
        self.apply(AddChannels, &[x, e])
    }
}
