//! Convolution and its gradients as register tiles over NHWC, without an im2col buffer.
//!
//! Each task copies the rows it needs into a zero-padded strip; the window of an output pixel is then `kh` contiguous
//! runs of `kw·ci` values, read in place. The gradient of the input is a convolution of the (spread) gradient of the
//! output with the mirrored, transposed weight; the gradient of the weight is the same tile summed over pixels.

use super::parallel::{for_each_chunk, with_scratch};
use super::tile::{Layout, Tiles};
use super::winograd::Winograd;
use crate::graph::Fast;
use crate::ops::Conv2dShape;
use crate::tensor::Shape;

/// A convolution in the form the tiles take: a dense window sliding over a padded strip.
#[derive(Clone, Copy)]
pub struct Window {
    pub tiles: Tiles,
    /// Extents of the source.
    pub x: Shape,
    /// Extents of the result.
    pub y: Shape,
    pub kernel: (usize, usize),
    pub stride: usize,
    /// Zeros before the first row and column of the source.
    pub before: usize,
    /// Distance between source pixels in the strip: more than one spreads them, with zeros between.
    pub spread: usize,
    /// What else is done on the way.
    pub form: Form,
}

/// What a convolution does besides.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// The last channels of the source that come from a second value.
    pub skip: usize,
    /// Whether the source is one of half the extents, upsampled.
    pub upsample: bool,
    /// Whether a value of y's shape is added.
    pub residual: bool,
}

/// A source as it is stored: all of it, or one image.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub x: &'a [f32],
    /// Empty where there is no skip connection.
    pub skip: &'a [f32],
}

impl<'a> From<&'a [f32]> for Source<'a> {
    fn from(x: &'a [f32]) -> Self {
        Self { x, skip: &[] }
    }
}

impl Window {
    /// 1×1 products have no rows and columns: the pixels of a batch are one long row.
    fn flatten(mut self) -> Self {
        if self.kernel == (1, 1)
            && self.stride == 1
            && self.before == 0
            && self.spread == 1
            && self.x.pixels() == self.y.pixels()
            && !self.form.upsample
        {
            self.x = Shape::new(1, 1, self.x.n() * self.x.pixels(), self.x.c());
            self.y = Shape::new(1, 1, self.y.n() * self.y.pixels(), self.y.c());
        }
        self
    }

    fn is_product(&self) -> bool {
        self.kernel == (1, 1)
            && self.stride == 1
            && self.before == 0
            && self.spread == 1
            && self.y.h() == 1
            && !self.form.upsample
    }

    /// Values of the whole source that x stores, and that the skip connection does.
    fn source_len(&self) -> (usize, usize) {
        let pixels = self.x.n() * self.x.pixels();
        let stored = if self.form.upsample { pixels / 4 } else { pixels };
        (stored * (self.x.c() - self.form.skip), stored * self.form.skip)
    }

    /// One image of a source.
    pub fn image<'a>(&self, source: Source<'a>, n: usize) -> Source<'a> {
        let (x, skip) = self.source_len();
        let (x, skip) = (x / self.x.n(), skip / self.x.n());
        Source { x: &source.x[n * x..][..x], skip: &source.skip[n * skip..][..skip] }
    }

    /// Whether the source is all there is.
    pub fn holds(&self, source: Source) -> bool {
        (source.x.len(), source.skip.len()) == self.source_len()
    }

    /// Columns of the strip.
    pub fn strip_w(&self) -> usize {
        (self.y.w() - 1) * self.stride + self.kernel.1
    }

    /// Rows of the strip for `rows` rows of y.
    pub fn strip_h(&self, rows: usize) -> usize {
        (rows - 1) * self.stride + self.kernel.0
    }

    /// Fills the strip for rows `from .. from + rows` of y of one image.
    pub fn fill_strip(&self, image: Source, from: usize, rows: usize, strip: &mut [f32]) {
        if self.form.skip > 0 || self.form.upsample {
            return self.fill_strip_joined(image, from, rows, strip);
        }
        let image = image.x;
        let (c, width) = (self.x.c(), self.strip_w() * self.x.c());
        for (r, line) in strip.chunks_exact_mut(width).take(self.strip_h(rows)).enumerate() {
            let source = (from * self.stride + r).checked_sub(self.before);
            let source = source.filter(|p| p % self.spread == 0 && p / self.spread < self.x.h());
            let Some(row) = source.map(|p| p / self.spread) else {
                line.fill(0.0);
                continue;
            };
            let row = &image[row * self.x.w() * c..][..self.x.w() * c];
            let start = self.before * c;
            if self.spread == 1 {
                let end = (start + row.len()).min(width);
                line[..start].fill(0.0);
                line[start..end].copy_from_slice(&row[..end - start]);
                line[end..].fill(0.0);
            } else {
                line.fill(0.0);
                for (j, pixel) in row.chunks_exact(c).enumerate() {
                    let at = start + j * self.spread * c;
                    if at + c <= width {
                        line[at..at + c].copy_from_slice(pixel);
                    }
                }
            }
        }
    }

    /// [`Window::fill_strip`] of a source that is upsampled, or joined from two.
    fn fill_strip_joined(&self, image: Source, from: usize, rows: usize, strip: &mut [f32]) {
        assert_eq!(self.spread, 1, "only gradients are spread");
        let (c, width, scale) = (self.x.c(), self.strip_w() * self.x.c(), 1 + usize::from(self.form.upsample));
        let (from_x, stored_w) = (c - self.form.skip, self.x.w() / scale);
        for r in 0..self.strip_h(rows) {
            let (before, line) = strip[..(r + 1) * width].split_at_mut(r * width);
            let row = (from * self.stride + r).checked_sub(self.before).filter(|&p| p < self.x.h());
            let Some(row) = row else {
                line.fill(0.0);
                continue;
            };
            if r > 0 && row % scale > 0 {
                line.copy_from_slice(&before[(r - 1) * width..]); // the second row of the same pixels
                continue;
            }
            let end = ((self.before + self.x.w()) * c).min(width);
            line[..self.before * c].fill(0.0);
            line[end..].fill(0.0);
            for (j, pixel) in line[self.before * c..end].chunks_exact_mut(c).enumerate() {
                let at = row / scale * stored_w + j / scale;
                pixel[..from_x].copy_from_slice(&image.x[at * from_x..][..from_x]);
                pixel[from_x..].copy_from_slice(&image.skip[at * self.form.skip..][..self.form.skip]);
            }
        }
    }

    /// Columns of the weight as the tiles take it, filled up to whole vectors.
    fn columns(&self) -> usize {
        self.y.c().next_multiple_of(self.tiles.lanes)
    }

    /// Rows of y a task computes.
    fn task_rows(&self) -> usize {
        // Eight tasks keep many cores busy; a batch of eight images has them anyway.
        let tasks_per_image = 8usize.div_ceil(self.y.n());
        self.y.h().div_ceil(tasks_per_image)
    }

    /// y = window(x)·weight + bias; weight is `[kh·kw·ci][columns]`, bias `[columns]` or one such
    /// row for each image. The residual, of y's length or empty, is added.
    fn run(&self, x: Source, weight: &[f32], bias: &[f32], residual: &[f32], y: &mut [f32]) {
        assert_eq!(weight.len(), self.kernel.0 * self.kernel.1 * self.x.c() * self.columns());
        assert_eq!(bias.len() % self.columns(), 0);
        let biases = bias.len() / self.columns();
        assert!(biases == 1 || biases == self.y.n());
        assert!(self.holds(x));
        assert_eq!(y.len(), self.y.len());
        assert_eq!(residual.len(), if self.form.residual { y.len() } else { 0 });
        if self.is_product() && biases == 1 {
            const ROWS: usize = 112; // whole tiles of 14 and of 7 rows
            let (c, co) = (self.x.c(), self.y.c());
            for_each_chunk(y, ROWS * co, |i, y| {
                let rows = y.len() / co;
                let from_x = c - self.form.skip;
                let part = |c: usize| Window { x: self.x.with_c(c), ..*self };
                part(from_x).row(&x.x[i * ROWS * from_x..], from_x, weight, Start::Bias(bias), y, rows);
                if from_x < c {
                    let (skip, weight) = (c - from_x, &weight[from_x * self.columns()..]);
                    part(skip).row(&x.skip[i * ROWS * skip..], skip, weight, Start::Sums, y, rows);
                }
                add_residual(y, residual, i * ROWS * co);
            });
            return;
        }
        let rows = self.task_rows();
        let tasks = self.y.h().div_ceil(rows);
        // Images are whole chunks; an image's last task may be shorter, so the rows are cut inside.
        let image_len = self.y.pixels() * self.y.c();
        let row_len = self.y.w() * self.y.c();
        let work = |n: usize, from: usize, y: &mut [f32]| {
            let count = y.len() / row_len;
            with_scratch(self.strip_h(count) * self.strip_w() * self.x.c(), |strip| {
                self.fill_strip(self.image(x, n), from, count, strip);
                let bias = if biases == 1 { bias } else { &bias[n * self.columns()..][..self.columns()] };
                for (r, line) in y.chunks_exact_mut(row_len).enumerate() {
                    let window = &strip[r * self.stride * self.strip_w() * self.x.c()..];
                    self.row(window, self.stride * self.x.c(), weight, Start::Bias(bias), line, self.y.w());
                }
                add_residual(y, residual, n * image_len + from * row_len);
            });
        };
        if tasks == 1 {
            for_each_chunk(y, image_len, |image, y| work(image, 0, y));
        } else {
            for (image, y) in y.chunks_exact_mut(image_len).enumerate() {
                for_each_chunk(y, rows * row_len, |task, y| work(image, task * rows, y));
            }
        }
    }

    /// One row of `pixels` outputs whose windows start `step` values apart in `x`.
    fn row(&self, x: &[f32], step: usize, weight: &[f32], start: Start, y: &mut [f32], pixels: usize) {
        let (c, co, columns) = (self.x.c(), self.y.c(), self.columns());
        let run = self.kernel.1 * c;
        let strip_row = self.strip_w() * c;
        let taps: [(usize, usize); 16] = std::array::from_fn(|u| (u * strip_row, u * run * columns));
        let taps = &taps[..self.kernel.0];
        // The last window ends here; with it in bounds all are.
        assert!(
            x.len() >= (pixels - 1) * step + (self.kernel.0 - 1) * if self.kernel.0 > 1 { strip_row } else { 0 } + run
        );
        assert!(y.len() >= pixels * co);
        let init_row = if matches!(start, Start::Sums) { co } else { 0 };
        let layout = Layout { a_row: step, a_k: 1, b_k: columns, k: run, init_row, c_row: co };
        self.tiles.cover(pixels, columns, |kernel, p, rows, column, width| {
            let (a, b) = (&x[p * step..], &weight[column..]);
            if column + width <= co {
                let to = y[p * co + column..].as_mut_ptr();
                let init = if let Start::Bias(bias) = start { bias[column..].as_ptr() } else { to };
                // SAFETY: the windows of rows p .. p + rows end before the one asserted above; weight and bias have
                // `columns` columns; the tile's columns are inside y's rows, and a tile reads its start values before it
                // stores.
                unsafe { kernel(layout, a.as_ptr(), b.as_ptr(), taps, init, to) };
            } else {
                // The last vector reaches over the edge of y: compute into a corner of the stack and copy what counts.
                let (mut corner, count) = ([0.0f32; 14 * 64], co - column);
                let init = match start {
                    Start::Bias(bias) => bias[column..].as_ptr(),
                    Start::Sums => {
                        for r in 0..rows {
                            corner[r * width..][..count].copy_from_slice(&y[(p + r) * co + column..][..count]);
                        }
                        corner.as_mut_ptr()
                    }
                };
                let edge = Layout { c_row: width, init_row: if init_row == 0 { 0 } else { width }, ..layout };
                // SAFETY: as above; a tile has at most 14 rows and 64 columns.
                unsafe { kernel(edge, a.as_ptr(), b.as_ptr(), taps, init, corner.as_mut_ptr()) };
                for r in 0..rows {
                    y[(p + r) * co + column..][..count].copy_from_slice(&corner[r * width..][..count]);
                }
            }
        });
    }
}

/// What a sum begins with.
#[derive(Clone, Copy)]
enum Start<'a> {
    /// One row of columns for all pixels.
    Bias(&'a [f32]),
    /// What y holds.
    Sums,
}

/// Adds the part of the residual that begins at `from`, if there is one.
fn add_residual(y: &mut [f32], residual: &[f32], from: usize) {
    if !residual.is_empty() {
        y.iter_mut().zip(&residual[from..]).for_each(|(y, r)| *y += r);
    }
}

/// Copies rows of `co` values into rows of `columns`, the rest zero.
fn widen(rows: &[f32], co: usize, columns: usize, out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(co).zip(out.chunks_exact_mut(columns)) {
        out[..co].copy_from_slice(row);
        out[co..].fill(0.0);
    }
}

/// `conv2d`: of (x, skip, w, b, residual), without those that its form does not have.
pub struct Forward {
    window: Window,
    /// Number of biases: one, or one for each image.
    biases: usize,
    /// Winograd's way, where it pays, and its weight.
    winograd: Option<(Winograd, Vec<f32>)>,
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
        let winograd = Winograd::new(window).map(|winograd| (winograd, vec![0.0; winograd.weight_len()]));
        // Flattened, the images would be one image with one bias.
        Self { window: if b.n() == 1 { window.flatten() } else { window }, biases: b.n(), winograd }
    }
}

impl Fast for Forward {
    fn packs(&self) -> Option<usize> {
        self.winograd.as_ref().map(|_| 1 + usize::from(self.window.form.skip > 0))
    }

    fn prepare(&mut self, weight: &[f32]) {
        if let Some((winograd, packed)) = &mut self.winograd {
            winograd.pack(weight, packed);
        }
    }

    fn packed_len(&self) -> usize {
        self.winograd.as_ref().map_or(0, |(_, packed)| packed.len())
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
        if let Some((winograd, packed)) = &self.winograd {
            return winograd.run(x, packed, bias, residual, out);
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
