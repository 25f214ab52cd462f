//! The queries, keys and values of attention as one product: three linear layers of one image.
//!
//! q, k, v = x·W_m + b_m for m = 1, 2, 3. `fuse` makes it of three layers that nothing but one attention reads; it has no gradient.

use super::conv2d::LINEAR;
use super::fast::conv;
use crate::graph::{Dispatch, Fast, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of `qkv.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    /// N·H·W.
    pixels: u32,
    ci: u32,
    co: u32,
}

/// `[3·N, H, W, co]`, all queries, then all keys, then all values, of x `[N, H, W, ci]`, three weights `[1, 1, ci, co]` and three
/// biases `[1, 1, 1, co]`.
#[derive(Debug)]
pub(super) struct Qkv;

impl Qkv {
    fn reference<T: Float>(&self, inputs: &[View<T>], shape: Shape, out: &mut [T]) {
        let x = inputs[0];
        for (m, out) in out.chunks_exact_mut(shape.len() / 3).enumerate() {
            let (w, b) = (inputs[1 + m], inputs[4 + m]);
            for (x, y) in x.data.chunks_exact(x.shape.c()).zip(out.chunks_exact_mut(shape.c())) {
                y.copy_from_slice(b.data);
                for (&x, row) in x.iter().zip(w.data.chunks_exact(shape.c())) {
                    y.iter_mut().zip(row).for_each(|(y, &w)| *y = *y + x * w);
                }
            }
        }
    }
}

impl Op for Qkv {
    fn name(&self) -> &'static str {
        "qkv"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let (x, w, b) = (inputs[0], inputs[1], inputs[4]);
        assert!(inputs[1..4] == [w; 3] && inputs[4..] == [b; 3], "the three products have one shape");
        assert!(w == Shape::new(1, 1, x.c(), w.c()) && b == Shape::vector(w.c()), "{w} and {b} do not fit {x}");
        Shape::new(3 * x.n(), x.h(), x.w(), w.c())
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let pixels = inputs[0].n() * inputs[0].pixels();
        let params = Params { pixels: pixels as u32, ci: inputs[0].c() as u32, co: out.c() as u32 };
        Dispatch::per_item(self.name(), &params, pixels.div_ceil(4) * out.vec4_channels())
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        unreachable!("graphs are differentiated first and fused then")
    }

    fn multiply_adds(&self, inputs: &[Shape], out: Shape) -> usize {
        out.n() * out.pixels() * inputs[1].len()
    }

    fn fast_f32(&self, inputs: &[Shape], out: Shape) -> Option<Box<dyn Fast>> {
        let y = out.with_n(inputs[0].n());
        let product = || conv::Forward::new(LINEAR, conv::Form::default(), inputs[0], inputs[1], inputs[4], y);
        Some(Box::new(Three([product(), product(), product()])))
    }
}

/// The three products, one after the other: the image stays in the caches.
struct Three([conv::Forward; 3]);

impl Fast for Three {
    fn scratch_len(&self) -> usize {
        self.0[0].scratch_len()
    }

    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], scratch: &mut [f32]) {
        let len = out.len() / 3;
        for (m, (product, out)) in self.0.iter_mut().zip(out.chunks_exact_mut(len)).enumerate() {
            product.run(&[inputs[0], inputs[1 + m], inputs[4 + m]], out, scratch);
        }
    }
}
