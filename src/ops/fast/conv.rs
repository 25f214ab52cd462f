//! Convolution and its gradients by sliding windows, or Winograd's way where that pays.
//!
//! The gradient of the input is a convolution of the (spread) gradient of the output with the mirrored, transposed weight;
//! the gradient of the weight is the same tile summed over pixels.

use super::parallel::{for_each_chunk, with_scratch};
use super::tile::{Layout, Tiles};
pub use super::window::Form;
use super::window::{Source, Window, widen};
use super::winograd::Winograd;
use crate::graph::{Fast, Packing};
use crate::ops::Conv2dShape;
use crate::tensor::Shape;

/// `conv2d`: of (x, skip, w, b, residual), without those that its form does not have.
pub struct Forward {
    window: Window,
    /// Number of biases: one, or one for each image.
    biases: usize,
    /// Winograd's way, where it pays; then the weight comes packed.
    winograd: Option<Winograd>,
}

impl Forward {
    /// `x` is what is convolved: upsampled, and with the skip connection's channels.
    pub fn new(conv: Conv2dShape, form: Form, x: Shape, w: Shape, b: Shape, y: Shape) -> Self {
        let window = Window {
            tiles: Tiles::detect(),
            x,
            y,
            kernel: (w.n(), w.h()),
            stride: conv.stride,
            before: conv.padding.0,
            spread: 1,
            form,
        };
        let winograd = Winograd::new(window);
        // Flattened, the images would be one image with one bias.
        Self { window: if b.n() == 1 { window.flatten() } else { window }, biases: b.n(), winograd }
    }
}

impl Fast for Forward {
    fn packing(&self) -> Option<Packing> {
        let input = 1 + usize::from(self.window.form.skip > 0);
        self.winograd.map(|winograd| Packing { input, form: "winograd", len: winograd.weight_len() })
    }

    fn pack(&self, weight: &[f32], packed: &mut [f32]) {
        if let Some(winograd) = self.winograd {
            winograd.pack(weight, packed);
        }
    }

    fn scratch_len(&self) -> usize {
        let w = &self.window;
        if w.columns() == w.y.c() { 0 } else { (w.kernel.0 * w.kernel.1 * w.x.c() + self.biases) * w.columns() }
    }

    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], scratch: &mut [f32]) {
        let form = self.window.form;
        let (x, rest) = inputs.split_at(1 + usize::from(form.skip > 0));
        let x = Source { x: x[0], skip: x.get(1).copied().unwrap_or_default() };
        let (weight, bias, residual) = (rest[0], rest[1], rest.get(2).copied().unwrap_or_default());
        if let Some(winograd) = self.winograd {
            return winograd.run(x, weight, bias, residual, out);
        }
        let (co, columns) = (self.window.y.c(), self.window.columns());
        if columns == co {
            return self.window.run(x, weight, bias, residual, out);
        }
        let (wide, rest) = scratch.split_at_mut(weight.len() / co * columns);
        widen(weight, co, columns, wide);
        widen(bias, co, columns, rest);
        self.window.run(x, wide, &rest[..self.biases * columns], residual, out);
    }
}

/// `conv2d_grad_input`: of (dy, w).
pub struct GradInput {
    window: Window,
    winograd: Option<Winograd>,
}

impl GradInput {
    pub fn new(conv: Conv2dShape, x: Shape, w: Shape, y: Shape) -> Self {
        let window = Window {
            tiles: Tiles::detect(),
            x: y,
            y: x,
            kernel: (w.n(), w.h()),
            stride: 1,
            before: w.n() - 1 - conv.padding.0,
            spread: conv.stride,
            form: Form::default(),
        };
        Self { window: window.flatten(), winograd: Winograd::new(window) }
    }
}

impl Fast for GradInput {
    fn scratch_len(&self) -> usize {
        let w = &self.window;
        let packed = self.winograd.map_or(0, |winograd| winograd.weight_len());
        (w.kernel.0 * w.kernel.1 * w.x.c() + 1) * w.columns() + packed
    }

    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], scratch: &mut [f32]) {
        let [dy, weight] = [inputs[0], inputs[1]];
        let (co, ci, columns) = (self.window.x.c(), self.window.y.c(), self.window.columns());
        let taps = self.window.kernel.0 * self.window.kernel.1;
        let (turned, rest) = scratch.split_at_mut(taps * co * columns);
        let (zeros, rest) = rest.split_at_mut(columns);
        zeros.fill(0.0);
        for tap in 0..taps {
            // Mirrored in both directions is the reverse order of taps.
            let from = &weight[(taps - 1 - tap) * ci * co..][..ci * co];
            let to = &mut turned[tap * co * columns..][..co * columns];
            for (o, row) in to.chunks_exact_mut(columns).enumerate() {
                for c in 0..ci {
                    row[c] = from[c * co + o];
                }
                row[ci..].fill(0.0);
            }
        }
        if let Some(winograd) = self.winograd {
            let packed = &mut rest[..winograd.weight_len()];
            winograd.pack(turned, packed);
            return winograd.run(dy.into(), packed, zeros, &[], out);
        }
        self.window.run(dy.into(), turned, zeros, &[], out);
    }
}

/// `conv2d_grad_weight`: of (x, dy).
pub struct GradWeight {
    window: Window,
    /// Parts of the batch, each summed by one task, then added in order.
    parts: usize,
    winograd: Option<Winograd>,
}

impl GradWeight {
    pub fn new(conv: Conv2dShape, x: Shape, w: Shape, y: Shape) -> Self {
        let mut window = Window {
            tiles: Tiles::detect(),
            x,
            y,
            kernel: (w.n(), w.h()),
            stride: conv.stride,
            before: conv.padding.0,
            spread: 1,
            form: Form::default(),
        };
        let winograd = Winograd::new(window);
        if window.x.pixels() == 1 {
            window = window.flatten();
        }
        // Partial sums should stay in the caches: many for small weights, few for large ones.
        const PARTIAL_VALUES: usize = 1 << 21;
        let parts = (PARTIAL_VALUES / w.len()).clamp(1, 16).min(window.x.n());
        Self { window, parts, winograd }
    }

    fn rows(&self) -> usize {
        self.window.kernel.0 * self.window.kernel.1 * self.window.x.c()
    }

    /// Adds one image's part to `sums`, `[kh·kw·ci][columns]`.
    fn add_image(&self, x: &[f32], dy: &[f32], sums: &mut [f32]) {
        let w = &self.window;
        let (c, co, columns) = (w.x.c(), w.y.c(), w.columns());
        let strip_len = w.strip_h(w.y.h()) * w.strip_w() * c;
        let wide_len = if columns == co { 0 } else { w.y.pixels() * columns };
        with_scratch(strip_len + wide_len + 2 * w.y.h(), |scratch| {
            let (strip, wide) = scratch.split_at_mut(strip_len);
            w.fill_strip(x.into(), 0, w.y.h(), strip);
            let dy = if columns == co {
                dy
            } else {
                widen(dy, co, columns, &mut wide[..wide_len]);
                &wide[..wide_len]
            };
            let run = w.kernel.1 * c;
            let layout =
                Layout { a_row: 1, a_k: w.stride * c, b_k: columns, k: w.y.w(), init_row: columns, c_row: columns };
            assert!(dy.len() >= w.y.pixels() * columns);
            for u in 0..w.kernel.0 {
                let sums = &mut sums[u * run * columns..][..run * columns];
                w.tiles.cover(run, columns, |kernel, row, _rows, column, _width| {
                    for i in 0..w.y.h() {
                        let a = &strip[((i * w.stride + u) * w.strip_w()) * c + row..];
                        let b = &dy[i * w.y.w() * columns + column..];
                        let sum = sums[row * columns + column..].as_mut_ptr();
                        // SAFETY: a reaches (y.w − 1)·stride pixels and `run` values on, the end of this strip row; b
                        // y.w rows of `columns`; sums has `run` rows of `columns`, which the cover stays within.
                        unsafe { kernel(layout, a.as_ptr(), b.as_ptr(), &[(0, 0)], sum, sum) };
                    }
                });
            }
        });
    }
}

impl Fast for GradWeight {
    fn scratch_len(&self) -> usize {
        if let Some(winograd) = self.winograd {
            return winograd.gradient_parts() * winograd.weight_len();
        }
        self.parts * self.rows() * self.window.columns()
    }

    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], scratch: &mut [f32]) {
        let [x, dy] = [inputs[0], inputs[1]];
        if let Some(winograd) = self.winograd {
            let sums = &mut scratch[..winograd.gradient_parts() * winograd.weight_len()];
            return winograd.weight_gradient(x, dy, sums, out);
        }
        let w = self.window;
        let part_len = self.rows() * w.columns();
        let (x_len, y_len) = (w.x.pixels() * w.x.c(), w.y.pixels() * w.y.c());
        let sums = &mut scratch[..self.parts * part_len];
        for_each_chunk(sums, part_len, |part, sums| {
            sums.fill(0.0);
            for image in part * w.x.n() / self.parts..(part + 1) * w.x.n() / self.parts {
                self.add_image(&x[image * x_len..][..x_len], &dy[image * y_len..][..y_len], sums);
            }
        });
        let (co, columns) = (w.y.c(), w.columns());
        for_each_chunk(out, co * 64, |i, out| {
            for (r, row) in out.chunks_exact_mut(co).enumerate() {
                let at = (i * 64 + r) * columns;
                row.copy_from_slice(&sums[at..][..co]);
                for part in 1..self.parts {
                    for (o, s) in row.iter_mut().zip(&sums[part * part_len + at..][..co]) {
                        *o += s;
                    }
                }
            }
        });
    }
}
