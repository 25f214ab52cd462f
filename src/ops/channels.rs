//! Joining two images along the channels (the U-Net's skip connections), and cutting channels out, its gradient.

use super::fast::elementwise;
use crate::graph::{Dispatch, Fast, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of `concat.wgsl`: pixels of the whole batch, channels of a, of b.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ConcatParams {
    /// N·H·W.
    pixels: u32,
    ca: u32,
    cb: u32,
}

/// `[N, H, W, Ca]`, `[N, H, W, Cb]` → `[N, H, W, Ca + Cb]`.
#[derive(Debug)]
pub(super) struct Concat;

impl Concat {
    fn reference<T: Float>(&self, inputs: &[View<T>], out_shape: Shape, out: &mut [T]) {
        let [a, b] = [inputs[0], inputs[1]];
        let (ca, cb) = (a.shape.c(), b.shape.c());
        for (pixel, row) in out.chunks_exact_mut(out_shape.c()).enumerate() {
            row[..ca].copy_from_slice(&a.data[pixel * ca..][..ca]);
            row[ca..].copy_from_slice(&b.data[pixel * cb..][..cb]);
        }
    }
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[0].with_c(0), inputs[1].with_c(0), "concat joins images of one size");
        inputs[0].with_c(inputs[0].c() + inputs[1].c())
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let params = ConcatParams {
            pixels: (out.n() * out.pixels()) as u32,
            ca: inputs[0].c() as u32,
            cb: inputs[1].c() as u32,
        };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        let (ca, cb) = (g.shape(inputs[0]).c(), g.shape(inputs[1]).c());
        vec![Some(g.slice_channels(cotangent, 0, ca)), Some(g.slice_channels(cotangent, ca, cb))]
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::Concat { ca: inputs[0].c(), cb: inputs[1].c() }))
    }
}

/// `Params` of `slice_channels.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct SliceParams {
    /// N·H·W.
    pixels: u32,
    /// Channels of the input.
    c: u32,
    start: u32,
    /// Channels of the output.
    count: u32,
}

/// Channels `from .. from + count` of x.
#[derive(Debug)]
struct SliceChannels {
    from: usize,
    count: usize,
}

impl SliceChannels {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let c = inputs[0].shape.c();
        for (pixel, row) in out.chunks_exact_mut(self.count).enumerate() {
            row.copy_from_slice(&inputs[0].data[pixel * c + self.from..][..self.count]);
        }
    }
}

impl Op for SliceChannels {
    fn name(&self) -> &'static str {
        "slice_channels"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert!(self.from + self.count <= inputs[0].c(), "{self:?} lies inside {}", inputs[0]);
        inputs[0].with_c(self.count)
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let params = SliceParams {
            pixels: (out.n() * out.pixels()) as u32,
            c: inputs[0].c() as u32,
            start: self.from as u32,
            count: self.count as u32,
        };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        let x = g.shape(inputs[0]);
        let mut padded = cotangent;
        if self.from > 0 {
            let before = g.constant(0.0, x.with_c(self.from));
            padded = g.concat(before, padded);
        }
        let rest = x.c() - self.from - self.count;
        if rest > 0 {
            let after = g.constant(0.0, x.with_c(rest));
            padded = g.concat(padded, after);
        }
        vec![Some(padded)]
    }

    fn fast_f32(&self, inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::Slice { c: inputs[0].c(), from: self.from, count: self.count }))
    }
}

impl Graph {
    /// a and b side by side along the channels.
    pub fn concat(&mut self, a: Id, b: Id) -> Id {
        self.apply(Concat, &[a, b])
    }

    /// Channels `from .. from + count` of x.
    pub fn slice_channels(&mut self, x: Id, from: usize, count: usize) -> Id {
        self.apply(SliceChannels { from, count }, &[x])
    }
}
