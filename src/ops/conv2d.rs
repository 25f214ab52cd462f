//! Two-dimensional convolution (cross-correlation, as everyone calls it) over NHWC, and its two gradients.
//!
//! y[n, i, j, o] = b[o] + Σ_{u, v, c} x[n, i·s + u − p, j·s + v − p, c] · w[u, v, c, o], zero outside x.
//!
//! `fuse` lets the forward pass do what stands around it in a U-Net at the same time: read an upsampled x, read x and a skip
//! connection as one image, add a residual to y.

use super::fast::conv;
use crate::graph::{Dispatch, Fast, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// What a convolution is besides its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dShape {
    /// Step between outputs, in rows and in columns.
    pub stride: usize,
    /// Zeros before and after, in rows and in columns. `(1, 1)` is symmetric; `(0, 1)` is right and bottom only, the
    /// padding of the original DDPM's downsampling.
    pub padding: (usize, usize),
}

/// Every pixel by itself: with a 1×1 kernel, a linear layer.
pub(super) const LINEAR: Conv2dShape = Conv2dShape { stride: 1, padding: (0, 0) };

impl Conv2dShape {
    /// The shape of y for the shapes of x and w.
    pub fn output(&self, x: Shape, w: Shape) -> Shape {
        assert_eq!(x.c(), w.w(), "a convolution's weight {w} has as many inputs as its image {x} has channels");
        let extent = |size: usize, kernel: usize| {
            let padded = size + self.padding.0 + self.padding.1;
            assert!(padded >= kernel, "a {kernel}-wide kernel does not fit {size} padded by {:?}", self.padding);
            (padded - kernel) / self.stride + 1
        };
        Shape::new(x.n(), extent(x.h(), w.n()), extent(x.w(), w.h()), w.c())
    }

    /// Multiplications of y, and as many of either gradient; those with padding count.
    fn multiply_adds(w: Shape, y: Shape) -> usize {
        y.n() * y.pixels() * w.len()
    }

    /// The place in x of tap `u` for output `i`, if it is inside.
    fn source(&self, i: usize, u: usize, size: usize) -> Option<usize> {
        (i * self.stride + u).checked_sub(self.padding.0).filter(|&p| p < size)
    }

    /// Calls `f(u, v, x's row and column, y's row and column)` for every pair that meets inside x.
    fn for_each_pair(&self, x: Shape, w: Shape, y: Shape, mut f: impl FnMut([usize; 2], [usize; 2], [usize; 2])) {
        for i in 0..y.h() {
            for j in 0..y.w() {
                for u in 0..w.n() {
                    for v in 0..w.h() {
                        let (Some(row), Some(col)) = (self.source(i, u, x.h()), self.source(j, v, x.w())) else {
                            continue;
                        };
                        f([u, v], [row, col], [i, j]);
                    }
                }
            }
        }
    }
}

/// `Params` of the two gradients' kernels.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    /// Extents of x.
    h: u32,
    w: u32,
    ci: u32,
    /// Extents of y.
    out_h: u32,
    out_w: u32,
    co: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride: u32,
    /// Zeros before the first row and column.
    padding: u32,
}

impl Params {
    fn new(conv: Conv2dShape, x: Shape, w: Shape, y: Shape) -> Self {
        Self {
            n: x.n() as u32,
            h: x.h() as u32,
            w: x.w() as u32,
            ci: x.c() as u32,
            out_h: y.h() as u32,
            out_w: y.w() as u32,
            co: y.c() as u32,
            kernel_h: w.n() as u32,
            kernel_w: w.h() as u32,
            stride: conv.stride as u32,
            padding: conv.padding.0 as u32,
        }
    }
}

/// `Params` of `conv2d.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ForwardParams {
    n: u32,
    /// Extents of what is convolved: x, upsampled where it is, with the channels of the skip connection.
    h: u32,
    w: u32,
    ci: u32,
    /// Extents of y.
    out_h: u32,
    out_w: u32,
    co: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride: u32,
    /// Zeros before the first row and column.
    padding: u32,
    /// `vec4<f32>` from one image's bias to the next: 0 for one bias for all.
    bias_step: u32,
    /// 1: x has half the extents, and each of its pixels is met four times.
    upsample: u32,
    /// Channels that come from x; the rest come from the skip connection.
    from_x: u32,
    /// 1: the residual is added.
    residual: u32,
}

/// Invocations that cover an image in tiles of four neighbouring pixels by eight channels.
fn tiles(out: Shape) -> usize {
    (out.n() * out.pixels()).div_ceil(4) * out.c().div_ceil(8)
}

/// Workgroups that cover an image in tiles of 128 neighbouring pixels by 32 channels.
fn large_tiles(out: Shape) -> usize {
    (out.n() * out.pixels()).div_ceil(128) * out.c().div_ceil(32)
}

/// y of (x, skip, w, b, residual), of which skip and residual need not be there; b is one for all images, or one for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conv2d {
    pub(super) conv: Conv2dShape,
    /// Whether x is upsampled by two first, nearest neighbours.
    pub(super) upsample: bool,
    /// Whether a skip connection's channels follow those of x, which fill whole `vec4<f32>`.
    pub(super) skip: bool,
    /// Whether a residual of y's shape is added.
    pub(super) residual: bool,
}

/// What a convolution takes.
#[derive(Clone, Copy)]
struct Operands<T> {
    x: T,
    skip: Option<T>,
    w: T,
    b: T,
    residual: Option<T>,
}

impl Conv2d {
    fn plain(conv: Conv2dShape) -> Self {
        Self { conv, upsample: false, skip: false, residual: false }
    }

    fn operands<T: Copy>(&self, inputs: &[T]) -> Operands<T> {
        let [skip, residual] = [self.skip, self.residual].map(usize::from);
        let (w, b) = (1 + skip, 2 + skip);
        assert_eq!(inputs.len(), 3 + skip + residual, "a convolution has as many inputs as it says");
        Operands {
            x: inputs[0],
            skip: self.skip.then(|| inputs[1]),
            w: inputs[w],
            b: inputs[b],
            residual: self.residual.then(|| inputs[b + 1]),
        }
    }

    /// The image that is convolved.
    fn source(&self, operands: &Operands<Shape>) -> Shape {
        let x = operands.x;
        let scale = 1 + usize::from(self.upsample);
        Shape::new(x.n(), scale * x.h(), scale * x.w(), x.c() + operands.skip.map_or(0, |skip| skip.c()))
    }

    fn reference<T: Float>(&self, inputs: &[View<T>], y: Shape, out: &mut [T]) {
        let Operands { x, skip, w, b, residual } = self.operands(inputs);
        let source = self.source(&self.operands(&inputs.iter().map(|view| view.shape).collect::<Vec<_>>()));
        let scale = 1 + usize::from(self.upsample);
        let value = |n, row, col, c| match skip {
            Some(skip) if c >= x.shape.c() => skip.at(n, row / scale, col / scale, c - x.shape.c()),
            _ => x.at(n, row / scale, col / scale, c),
        };
        for n in 0..y.n() {
            for pixel in 0..y.pixels() {
                let at = (n * y.pixels() + pixel) * y.c();
                let row = if b.shape.n() == 1 { 0 } else { n };
                out[at..at + y.c()].copy_from_slice(&b.data[row * y.c()..][..y.c()]);
            }
            self.conv.for_each_pair(source, w.shape, y, |[u, v], [row, col], [i, j]| {
                let at = ((n * y.h() + i) * y.w() + j) * y.c();
                for c in 0..source.c() {
                    let value = value(n, row, col, c);
                    for o in 0..y.c() {
                        out[at + o] = out[at + o] + value * w.at(u, v, c, o);
                    }
                }
            });
        }
        if let Some(residual) = residual {
            out.iter_mut().zip(residual.data).for_each(|(o, &r)| *o = *o + r);
        }
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let operands = self.operands(inputs);
        let Operands { x, skip, w, b, residual } = operands;
        let out = self.conv.output(self.source(&operands), w);
        assert!(b.pixels() == 1 && b.c() == out.c(), "a convolution to {out} has no bias of shape {b}");
        assert!(b.n() == 1 || b.n() == out.n(), "a bias is one for all images or one for each, not {b}");
        if let Some(skip) = skip {
            assert_eq!(skip.with_c(0), x.with_c(0), "a skip connection has the extents of x");
            assert!(x.c().is_multiple_of(4), "a skip connection begins on a vec4, not after {x}");
        }
        assert!(residual.is_none_or(|r| r == out), "a residual has the shape of y, {out}");
        out
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let operands = self.operands(inputs);
        let Operands { x, w, b, .. } = operands;
        let source = self.source(&operands);
        let params = ForwardParams {
            n: source.n() as u32,
            h: source.h() as u32,
            w: source.w() as u32,
            ci: source.c() as u32,
            out_h: out.h() as u32,
            out_w: out.w() as u32,
            co: out.c() as u32,
            kernel_h: w.n() as u32,
            kernel_w: w.h() as u32,
            stride: self.conv.stride as u32,
            padding: self.conv.padding.0 as u32,
            bias_step: if b.n() == 1 { 0 } else { out.vec4_channels() as u32 },
            upsample: u32::from(self.upsample),
            from_x: x.c() as u32,
            residual: u32::from(self.residual),
        };
        // What is missing is x once more, which the kernel does not look at.
        let places: Vec<usize> = (0..inputs.len()).collect();
        let Operands { x, skip, w, b, residual } = self.operands(&places);
        let bound = vec![x, skip.unwrap_or(x), w, b, residual.unwrap_or(x)];
        Dispatch { operands: Some(bound), ..Dispatch::per_item(self.name(), &params, tiles(out)) }
    }

    fn dispatch_tiled(&self, inputs: &[Shape], out: Shape) -> Option<Dispatch> {
        let plain = self.dispatch(inputs, out);
        Some(Dispatch { shader: "conv2d_tiled", workgroups: large_tiles(out), ..plain })
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        assert!(!(self.upsample || self.skip || self.residual), "graphs are differentiated first and fused then");
        let (x, w) = (g.shape(inputs[0]), g.shape(inputs[1]));
        let dx = g.apply(Conv2dGradInput { conv: self.conv, x }, &[cotangent, inputs[1]]);
        let dw = g.apply(Conv2dGradWeight { conv: self.conv, w }, &[inputs[0], cotangent]);
        let mut db = g.sum_pixels(cotangent);
        if g.shape(inputs[2]).n() == 1 {
            db = g.sum_images(db);
        }
        vec![Some(dx), Some(dw), Some(db)]
    }

    fn multiply_adds(&self, inputs: &[Shape], out: Shape) -> usize {
        Conv2dShape::multiply_adds(self.operands(inputs).w, out)
    }

    fn fast_f32(&self, inputs: &[Shape], out: Shape) -> Option<Box<dyn Fast>> {
        let operands = self.operands(inputs);
        let form = conv::Form {
            skip: operands.skip.map_or(0, |skip| skip.c()),
            upsample: self.upsample,
            residual: self.residual,
        };
        let source = self.source(&operands);
        Some(Box::new(conv::Forward::new(self.conv, form, source, operands.w, operands.b, out)))
    }
}

/// dx of (dy, w).
#[derive(Debug)]
struct Conv2dGradInput {
    conv: Conv2dShape,
    x: Shape,
}

impl Conv2dGradInput {
    fn reference<T: Float>(&self, inputs: &[View<T>], x: Shape, out: &mut [T]) {
        let [dy, w] = [inputs[0], inputs[1]];
        out.fill(T::zero());
        for n in 0..x.n() {
            self.conv.for_each_pair(x, w.shape, dy.shape, |[u, v], [row, col], [i, j]| {
                for c in 0..x.c() {
                    let mut sum = T::zero();
                    for o in 0..dy.shape.c() {
                        sum = sum + dy.at(n, i, j, o) * w.at(u, v, c, o);
                    }
                    let at = crate::graph::index(x, n, row, col, c);
                    out[at] = out[at] + sum;
                }
            });
        }
    }
}

impl Op for Conv2dGradInput {
    fn name(&self) -> &'static str {
        "conv2d_grad_input"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(self.conv.output(self.x, inputs[1]), inputs[0], "dy has the shape of y");
        self.x
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params::new(self.conv, out, inputs[1], inputs[0]);
        Dispatch::per_item(self.name(), &params, tiles(out))
    }

    fn dispatch_tiled(&self, inputs: &[Shape], out: Shape) -> Option<Dispatch> {
        let plain = self.dispatch(inputs, out);
        Some(Dispatch { shader: "conv2d_grad_input_tiled", workgroups: large_tiles(out), ..plain })
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn multiply_adds(&self, inputs: &[Shape], _out: Shape) -> usize {
        Conv2dShape::multiply_adds(inputs[1], inputs[0])
    }

    fn fast_f32(&self, inputs: &[Shape], out: Shape) -> Option<Box<dyn Fast>> {
        // The fast path turns the weight round: it takes kernels as high as wide that reach over all of the padding.
        let (w, padding) = (inputs[1], self.conv.padding.0);
        (w.n() == w.h() && padding < w.n())
            .then(|| Box::new(conv::GradInput::new(self.conv, out, w, inputs[0])) as Box<dyn Fast>)
    }
}

/// dw of (x, dy).
#[derive(Debug)]
struct Conv2dGradWeight {
    conv: Conv2dShape,
    w: Shape,
}

impl Conv2dGradWeight {
    fn reference<T: Float>(&self, inputs: &[View<T>], w: Shape, out: &mut [T]) {
        let [x, dy] = [inputs[0], inputs[1]];
        out.fill(T::zero());
        for n in 0..x.shape.n() {
            self.conv.for_each_pair(x.shape, w, dy.shape, |[u, v], [row, col], [i, j]| {
                for c in 0..x.shape.c() {
                    let value = x.at(n, row, col, c);
                    for o in 0..dy.shape.c() {
                        let at = crate::graph::index(w, u, v, c, o);
                        out[at] = out[at] + value * dy.at(n, i, j, o);
                    }
                }
            });
        }
    }
}

impl Op for Conv2dGradWeight {
    fn name(&self) -> &'static str {
        "conv2d_grad_weight"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(self.conv.output(inputs[0], self.w), inputs[1], "dy has the shape of y");
        self.w
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params::new(self.conv, inputs[0], out, inputs[1]);
        let taps = out.n() * out.h();
        Dispatch::groups(self.name(), &params, taps * out.w().div_ceil(8) * out.c().div_ceil(8))
    }

    fn dispatch_tiled(&self, inputs: &[Shape], out: Shape) -> Option<Dispatch> {
        let workgroups = out.n() * out.h() * out.w().div_ceil(16) * out.c().div_ceil(16);
        Some(Dispatch { shader: "conv2d_grad_weight_tiled", workgroups, ..self.dispatch(inputs, out) })
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn multiply_adds(&self, inputs: &[Shape], out: Shape) -> usize {
        Conv2dShape::multiply_adds(out, inputs[1])
    }

    fn fast_f32(&self, inputs: &[Shape], out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(conv::GradWeight::new(self.conv, inputs[0], out, inputs[1])))
    }
}

impl Graph {
    /// Convolution of x `[N, H, W, ci]` with w `[kh, kw, ci, co]` and bias `[1, 1, 1, co]`, or `[N, 1, 1, co]` for one of
    /// each image's own; see [`Conv2dShape`].
    pub fn conv2d(&mut self, x: Id, w: Id, b: Id, stride: usize, padding: (usize, usize)) -> Id {
        self.apply(Conv2d::plain(Conv2dShape { stride, padding }), &[x, w, b])
    }
}
