//! A window sliding over an image as register tiles over NHWC, without an im2col buffer.
//!
//! Each task copies the rows it needs into a zero-padded strip; the window of an output pixel is then `kh` contiguous
//! runs of `kw·ci` values, read in place.

use super::parallel::{for_each_chunk, with_scratch};
use super::tile::{Layout, Tiles};
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
    pub fn flatten(mut self) -> Self {
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
    pub fn columns(&self) -> usize {
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
    pub fn run(&self, x: Source, weight: &[f32], bias: &[f32], residual: &[f32], y: &mut [f32]) {
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
pub fn widen(rows: &[f32], co: usize, columns: usize, out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(co).zip(out.chunks_exact_mut(columns)) {
        out[..co].copy_from_slice(row);
        out[co..].fill(0.0);
    }
}
