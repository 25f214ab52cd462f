//! Winograd's convolution F(2×2, 3×3) (Lavin & Gray 2015): 3×3, stride one, with 16 multiplications for each four outputs
//! and pair of channels instead of 36.
//!
//! The windows d are 4×4 and step by two. U = G·g·Gᵀ of a kernel, V = Bᵀ·d·B of a window and y = Aᵀ·(Σ_c U ⊙ V)·A, whose sums over
//! channels are 16 matrix products of windows by channels. The weight's gradient is dg = Gᵀ·(Σ V ⊙ A·dy·Aᵀ)·G over
//! all windows. All factors are 0, ±1 and ½, so it is about as exact as summing directly.

use super::parallel::{for_each_chunk, with_scratch};
use super::simd::{BaseVector, Vector};
#[cfg(target_arch = "x86_64")]
use super::simd::{Isa, isa};
use super::tile::{Layout, Tiles};
use super::window::{Source, Window};
use crate::tensor::Shape;
use std::ops::Range;

/// Products: the values of a transformed window.
const PRODUCTS: usize = 16;
/// Windows to a matrix product, about: enough rows for its tiles, few enough for the caches.
const FORWARD_WINDOWS: usize = 32;
const GRADIENT_WINDOWS: usize = 56;
/// Values between the matrices of a transform beside their own, so that they do not all fall on the same lines of the cache.
const GAP: usize = 16;

/// A grid of windows of one image, and where their transforms go.
#[derive(Clone, Copy)]
struct Grid {
    rows: usize,
    columns: usize,
    /// Channels of a window, a multiple of the vector.
    c: usize,
    /// From one of the 16 matrices to the next.
    plane: usize,
}

/// The two sums and two differences of Bᵀ.
///
/// # Safety
/// The vector unit exists.
#[inline(always)]
unsafe fn b<T: Vector>(d: [T; 4]) -> [T; 4] {
    // SAFETY: by the caller's promise.
    unsafe { [d[0].sub(d[2]), d[1].add(d[2]), d[2].sub(d[1]), d[1].sub(d[3])] }
}

/// Aᵀ.
///
/// # Safety
/// The vector unit exists.
#[inline(always)]
unsafe fn a<T: Vector>(m: [T; 4]) -> [T; 2] {
    // SAFETY: by the caller's promise.
    unsafe { [m[0].add(m[1]).add(m[2]), m[1].sub(m[2]).sub(m[3])] }
}

/// G.
///
/// # Safety
/// The vector unit exists.
#[inline(always)]
unsafe fn g<T: Vector>(w: [T; 3]) -> [T; 4] {
    // SAFETY: by the caller's promise.
    unsafe {
        let half = T::splat(0.5);
        let (outer, inner) = (half.mul(w[0].add(w[2])), half.mul(w[1]));
        [w[0], outer.add(inner), outer.sub(inner), w[2]]
    }
}

/// Gᵀ.
///
/// # Safety
/// The vector unit exists.
#[inline(always)]
unsafe fn g_transposed<T: Vector>(u: [T; 4]) -> [T; 3] {
    // SAFETY: by the caller's promise.
    unsafe {
        let half = T::splat(0.5);
        let sum = half.mul(u[1].add(u[2]));
        [u[0].add(sum), half.mul(u[1].sub(u[2])), sum.add(u[3])]
    }
}

/// Bᵀ·d·B of all windows of a strip with `width` columns.
///
/// # Safety
/// The strip has 2·rows + 2 rows, `width` ≥ 2·columns + 2; out has 16 planes; the vector unit exists.
#[inline(always)]
unsafe fn input<T: Vector>(grid: Grid, strip: *const f32, width: usize, out: *mut f32) {
    // SAFETY: window (r, c) reaches row 2r + 3 and column 2c + 3 of the strip, channels stay below `grid.c`.
    unsafe {
        for window in 0..grid.rows * grid.columns {
            let (row, column) = (window / grid.columns, window % grid.columns);
            let from = strip.add((2 * row * width + 2 * column) * grid.c);
            let to = out.add(window * grid.c);
            for k in (0..grid.c).step_by(T::LANES) {
                let d = |i: usize, j: usize| T::load(from.add((i * width + j) * grid.c + k));
                let columns: [[T; 4]; 4] = std::array::from_fn(|j| b([d(0, j), d(1, j), d(2, j), d(3, j)]));
                for i in 0..4 {
                    let v = b(std::array::from_fn(|j| columns[j][i]));
                    for j in 0..4 {
                        v[j].store(to.add((4 * i + j) * grid.plane + k));
                    }
                }
            }
        }
    }
}

/// Aᵀ·m·A + bias + residual of all windows, to an image of `h`×`w` pixels from the grid's first on.
///
/// # Safety
/// m has 16 planes, bias and each pixel of y `grid.c` channels; residual is as long as y, or null for none; the vector unit
/// exists.
#[inline(always)]
unsafe fn output<T: Vector>(
    grid: Grid,
    m: *const f32,
    bias: *const f32,
    residual: *const f32,
    y: *mut f32,
    h: usize,
    w: usize,
) {
    // SAFETY: pixels outside y are left out.
    unsafe {
        for window in 0..grid.rows * grid.columns {
            let (row, column) = (2 * (window / grid.columns), 2 * (window % grid.columns));
            let from = m.add(window * grid.c);
            let first = (row * w + column) * grid.c;
            let (below, right) = (row + 1 < h, column + 1 < w);
            for k in (0..grid.c).step_by(T::LANES) {
                let store = |value: T, at: usize| {
                    let at = first + at * grid.c + k;
                    let value = if residual.is_null() { value } else { value.add(T::load(residual.add(at))) };
                    value.store(y.add(at));
                };
                let m = |i: usize, j: usize| T::load(from.add((4 * i + j) * grid.plane + k));
                let columns: [[T; 2]; 4] = std::array::from_fn(|j| a([m(0, j), m(1, j), m(2, j), m(3, j)]));
                let bias = T::load(bias.add(k));
                let upper = a(std::array::from_fn(|j| columns[j][0]));
                let lower = a(std::array::from_fn(|j| columns[j][1]));
                store(upper[0].add(bias), 0);
                if right {
                    store(upper[1].add(bias), 1);
                }
                if below {
                    store(lower[0].add(bias), w);
                }
                if below && right {
                    store(lower[1].add(bias), w + 1);
                }
            }
        }
    }
}

/// A·dy·Aᵀ of all windows of an image of `h`×`w` pixels.
///
/// # Safety
/// out has 16 planes, each pixel of dy `grid.c` channels; the vector unit exists.
#[inline(always)]
unsafe fn gradient<T: Vector>(grid: Grid, dy: *const f32, h: usize, w: usize, out: *mut f32) {
    // SAFETY: pixels outside dy count as zero.
    unsafe {
        for window in 0..grid.rows * grid.columns {
            let (row, column) = (2 * (window / grid.columns), 2 * (window % grid.columns));
            let from = dy.add((row * w + column) * grid.c);
            let to = out.add(window * grid.c);
            let (below, right) = (row + 1 < h, column + 1 < w);
            for k in (0..grid.c).step_by(T::LANES) {
                let pixel = |there: bool, at: usize| {
                    if there { T::load(from.add(at * grid.c + k)) } else { T::splat(0.0) }
                };
                let e = [[pixel(true, 0), pixel(right, 1)], [pixel(below, w), pixel(below && right, w + 1)]];
                let zero = T::splat(0.0);
                let spread = |e: [T; 2]| [e[0], e[0].add(e[1]), e[0].sub(e[1]), zero.sub(e[1])];
                let columns = [spread([e[0][0], e[1][0]]), spread([e[0][1], e[1][1]])];
                for i in 0..4 {
                    let v = spread([columns[0][i], columns[1][i]]);
                    for j in 0..4 {
                        v[j].store(to.add((4 * i + j) * grid.plane + k));
                    }
                }
            }
        }
    }
}

/// G·g·Gᵀ of `len` kernels whose nine taps lie `len` apart, as 16 planes.
///
/// # Safety
/// w has 9·len values, out 16·len; the vector unit exists; len is a multiple of the vector.
#[inline(always)]
unsafe fn weight<T: Vector>(w: *const f32, len: usize, out: *mut f32) {
    // SAFETY: by the caller's promise.
    unsafe {
        for k in (0..len).step_by(T::LANES) {
            let w = |i: usize, j: usize| T::load(w.add((3 * i + j) * len + k));
            let columns: [[T; 4]; 3] = std::array::from_fn(|j| g([w(0, j), w(1, j), w(2, j)]));
            for i in 0..4 {
                let u = g(std::array::from_fn(|j| columns[j][i]));
                for j in 0..4 {
                    u[j].store(out.add((4 * i + j) * len + k));
                }
            }
        }
    }
}

/// Gᵀ·dU·G of `len` kernels: from 16 planes to nine taps.
///
/// # Safety
/// u has 16·len values, out 9·len; the vector unit exists; len is a multiple of the vector.
#[inline(always)]
unsafe fn weight_gradient<T: Vector>(u: *const f32, len: usize, out: *mut f32) {
    // SAFETY: by the caller's promise.
    unsafe {
        for k in (0..len).step_by(T::LANES) {
            let u = |i: usize, j: usize| T::load(u.add((4 * i + j) * len + k));
            let columns: [[T; 3]; 4] = std::array::from_fn(|j| g_transposed([u(0, j), u(1, j), u(2, j), u(3, j)]));
            for i in 0..3 {
                let w = g_transposed(std::array::from_fn(|j| columns[j][i]));
                for j in 0..3 {
                    w[j].store(out.add((3 * i + j) * len + k));
                }
            }
        }
    }
}

/// Compiles a transform for each instruction set and picks the best one of this machine.
macro_rules! per_isa {
    ($($name:ident = $generic:ident($($arg:ident: $ty:ty),*);)*) => {$(
        /// # Safety
        /// That of the transform, but for the vector unit, which is looked for.
        unsafe fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                unsafe fn avx512($($arg: $ty),*) {
                    // SAFETY: the caller's promise is passed on.
                    unsafe { $generic::<std::arch::x86_64::__m512>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($arg: $ty),*) {
                    // SAFETY: the caller's promise is passed on.
                    unsafe { $generic::<std::arch::x86_64::__m256>($($arg),*) }
                }
                match isa() {
                    // SAFETY: the caller's promise is passed on; `isa` has found the features on this machine.
                    Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    Isa::Base => {}
                }
            }
            // SAFETY: the caller's promise is passed on; this vector is everywhere.
            unsafe { $generic::<BaseVector>($($arg),*) }
        }
    )*};
}

per_isa! {
    transform_input = input(grid: Grid, strip: *const f32, width: usize, out: *mut f32);
    transform_output = output(
        grid: Grid, m: *const f32, bias: *const f32, residual: *const f32, y: *mut f32, h: usize, w: usize);
    transform_gradient = gradient(grid: Grid, dy: *const f32, h: usize, w: usize, out: *mut f32);
    transform_weight = weight(w: *const f32, len: usize, out: *mut f32);
    transform_weight_gradient = weight_gradient(u: *const f32, len: usize, out: *mut f32);
}

/// What a convolution is made of.
#[derive(Clone, Copy)]
struct Operands<'a> {
    x: Source<'a>,
    weight: &'a [f32],
    bias: &'a [f32],
    residual: &'a [f32],
}

/// A 3×3 convolution of stride one.
#[derive(Clone, Copy)]
pub struct Winograd {
    tiles: Tiles,
    /// The convolution, with y rounded up to whole windows: fills strips.
    even: Window,
    y: Shape,
}

impl Winograd {
    /// The same convolution this way, where that pays: channels that fill vectors, and images of more than a few windows.
    pub fn new(window: Window) -> Option<Self> {
        const FEWEST_WINDOWS: usize = 4;
        let (x, y, lanes) = (window.x, window.y, window.tiles.lanes);
        let fits = window.kernel == (3, 3) && window.stride == 1 && window.spread == 1;
        let full = |c: usize| c >= 16 && c.is_multiple_of(lanes);
        let even = Shape::new(y.n(), y.h().next_multiple_of(2), y.w().next_multiple_of(2), y.c());
        (fits && full(x.c()) && full(y.c()) && even.pixels() / 4 >= FEWEST_WINDOWS).then_some(Self {
            tiles: window.tiles,
            even: Window { y: even, ..window },
            y,
        })
    }

    /// Values of a transformed weight.
    pub fn weight_len(&self) -> usize {
        PRODUCTS * self.even.x.c() * self.y.c()
    }

    /// Transforms a weight `[3, 3, ci, co]` to 16 matrices `[ci, co]`.
    pub fn pack(&self, weight: &[f32], out: &mut [f32]) {
        let len = self.even.x.c() * self.y.c();
        assert!(weight.len() == 9 * len && out.len() == PRODUCTS * len);
        // SAFETY: the lengths are those asked for; `new` has seen to whole vectors.
        unsafe { transform_weight(weight.as_ptr(), len, out.as_mut_ptr()) };
    }

    fn grid(&self, rows: usize, c: usize, windows: usize) -> Grid {
        Grid { rows, columns: self.even.y.w() / 2, c, plane: windows * c + GAP }
    }

    /// Rows of windows, and windows, of an image.
    fn extents(&self) -> (usize, usize) {
        (self.even.y.h() / 2, self.even.y.pixels() / 4)
    }

    /// Images to a matrix product, and rows of windows of an image: many small images, or a part of a large one.
    fn group(&self, windows: usize) -> (usize, usize) {
        let (rows, all) = self.extents();
        ((windows / all).max(1), (windows * rows / all).clamp(1, rows))
    }

    /// y = x ∗ weight + bias + residual; weight is packed, bias one row of channels or one for each image, residual of y's
    /// length or empty.
    pub fn run(&self, x: Source, weight: &[f32], bias: &[f32], residual: &[f32], y: &mut [f32]) {
        assert!(residual.is_empty() || residual.len() == y.len());
        assert!(self.even.holds(x) && weight.len() == self.weight_len() && y.len() == self.y.len());
        assert!(bias.len() == self.y.c() || bias.len() == self.y.n() * self.y.c());
        let (rows, _) = self.extents();
        let (together, mut part) = self.group(FORWARD_WINDOWS);
        let (image_len, row_len) = (self.y.pixels() * self.y.c(), self.y.w() * self.y.c());
        let operands = Operands { x, weight, bias, residual };
        if self.y.n() >= 8 {
            for_each_chunk(y, together * image_len, |i, y| {
                if part == rows {
                    return self.block(operands, i * together, 0..rows, y);
                }
                for (r, y) in y.chunks_mut(2 * part * row_len).enumerate() {
                    self.block(operands, i, r * part..rows.min((r + 1) * part), y);
                }
            });
            return;
        }
        // Few images: their parts keep many cores busy.
        part = part.min(rows.div_ceil(8));
        for (image, y) in y.chunks_exact_mut(image_len).enumerate() {
            for_each_chunk(y, 2 * part * row_len, |r, y| {
                self.block(operands, image, r * part..rows.min((r + 1) * part), y);
            });
        }
    }

    /// Computes these rows of windows of all images from `first` on that y holds.
    fn block(&self, operands: Operands, first: usize, rows: Range<usize>, y: &mut [f32]) {
        let Operands { x, weight, bias, residual } = operands;
        let (ci, co) = (self.even.x.c(), self.y.c());
        let h = self.y.h().min(2 * rows.end) - 2 * rows.start;
        let part_len = h * self.y.w() * co;
        let images = y.len() / part_len;
        let windows = rows.len() * self.even.y.w() / 2;
        let (from, to) = (self.grid(rows.len(), ci, images * windows), self.grid(rows.len(), co, images * windows));
        let strip_len = self.even.strip_h(2 * rows.len()) * self.even.strip_w() * ci;
        with_scratch(strip_len + PRODUCTS * (from.plane + to.plane) + co, |scratch| {
            let (strip, rest) = scratch.split_at_mut(strip_len);
            let (v, rest) = rest.split_at_mut(PRODUCTS * from.plane);
            let (m, zeros) = rest.split_at_mut(PRODUCTS * to.plane);
            zeros.fill(0.0);
            self.transform_images(x, first, images, &rows, from, strip, v);
            let layout = Layout { a_row: ci, a_k: 1, b_k: co, k: ci, init_row: 0, c_row: co };
            for product in 0..PRODUCTS {
                let (v, m) = (&v[product * from.plane..], &mut m[product * to.plane..]);
                let u = &weight[product * ci * co..][..ci * co];
                self.tiles.cover(images * windows, co, |kernel, p, _rows, column, _width| {
                    let (a, b, c) = (&v[p * ci..], &u[column..], &mut m[p * co + column..]);
                    // SAFETY: the plane of v has images·windows rows of ci, that of m as many of co, u has ci of co,
                    // zeros one, and the cover stays within.
                    unsafe {
                        kernel(layout, a.as_ptr(), b.as_ptr(), &[(0, 0)], zeros[column..].as_ptr(), c.as_mut_ptr())
                    };
                });
            }
            for (i, y) in y.chunks_exact_mut(part_len).enumerate() {
                let bias = if bias.len() == co { bias } else { &bias[(first + i) * co..][..co] };
                let m = &m[i * windows * co..];
                assert!(m.len() >= (PRODUCTS - 1) * to.plane + windows * co);
                let residual = match residual {
                    [] => std::ptr::null(),
                    all => all[((first + i) * self.y.h() + 2 * rows.start) * self.y.w() * co..][..part_len].as_ptr(),
                };
                // SAFETY: m is as long as asserted, y has h rows and w columns, and so has the residual, if any.
                unsafe { transform_output(to, m.as_ptr(), bias.as_ptr(), residual, y.as_mut_ptr(), h, self.y.w()) };
            }
        });
    }

    /// V of rows of windows of several images.
    fn transform_images(
        &self,
        x: Source,
        first: usize,
        images: usize,
        rows: &Range<usize>,
        grid: Grid,
        strip: &mut [f32],
        v: &mut [f32],
    ) {
        for i in 0..images {
            self.even.fill_strip(self.even.image(x, first + i), 2 * rows.start, 2 * rows.len(), strip);
            let windows = grid.rows * grid.columns;
            let v = &mut v[i * windows * grid.c..];
            assert!(strip.len() >= (2 * grid.rows + 2) * self.even.strip_w() * grid.c);
            assert!(v.len() >= (PRODUCTS - 1) * grid.plane + windows * grid.c);
            // SAFETY: strip and v are as long as asserted; a strip is as wide as the windows reach.
            unsafe { transform_input(grid, strip.as_ptr(), self.even.strip_w(), v.as_mut_ptr()) };
        }
    }

    /// Parts of the batch for the weight's gradient, each summed by one task.
    pub fn gradient_parts(&self) -> usize {
        // Sums should stay in the caches, and be worth their adding up.
        const SUM_VALUES: usize = 1 << 21;
        const FEWEST_WINDOWS: usize = 256;
        let worth = (self.y.n() * self.extents().1 / FEWEST_WINDOWS).max(4);
        (SUM_VALUES / self.weight_len()).clamp(1, 16).min(worth).min(self.y.n())
    }

    /// dw of (x, dy); sums holds [`Winograd::gradient_parts`] times [`Winograd::weight_len`] values of no meaning.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], sums: &mut [f32], out: &mut [f32]) {
        let (parts, len, n) = (self.gradient_parts(), self.even.x.c() * self.y.c(), self.y.n());
        for_each_chunk(sums, PRODUCTS * len, |part, sums| {
            sums.fill(0.0);
            self.add_images(x, dy, part * n / parts..(part + 1) * n / parts, sums);
        });
        let (sum, others) = sums.split_at_mut(PRODUCTS * len);
        for_each_chunk(sum, len, |product, sum| {
            for other in others.chunks_exact(PRODUCTS * len) {
                for (s, o) in sum.iter_mut().zip(&other[product * len..][..len]) {
                    *s += o;
                }
            }
        });
        assert!(sum.len() == PRODUCTS * len && out.len() == 9 * len);
        // SAFETY: the lengths are as asserted; `new` has seen to whole vectors.
        unsafe { transform_weight_gradient(sum.as_ptr(), len, out.as_mut_ptr()) };
    }

    /// Adds Σ V ⊙ A·dy·Aᵀ of some images to 16 matrices `[ci, co]`.
    fn add_images(&self, x: &[f32], dy: &[f32], images: Range<usize>, sums: &mut [f32]) {
        let (ci, co) = (self.even.x.c(), self.y.c());
        let (all_rows, _) = self.extents();
        let (together, part) = self.group(GRADIENT_WINDOWS);
        let windows = part * self.even.y.w() / 2;
        let (from, to) = (self.grid(part, ci, together * windows), self.grid(part, co, together * windows));
        let strip_len = self.even.strip_h(2 * part) * self.even.strip_w() * ci;
        with_scratch(strip_len + PRODUCTS * (from.plane + to.plane), |scratch| {
            let (strip, rest) = scratch.split_at_mut(strip_len);
            let (v, e) = rest.split_at_mut(PRODUCTS * from.plane);
            for first in images.clone().step_by(together) {
                let count = together.min(images.end - first);
                for row in (0..all_rows).step_by(part) {
                    let rows = row..all_rows.min(row + part);
                    let (from, to) = (Grid { rows: rows.len(), ..from }, Grid { rows: rows.len(), ..to });
                    let windows = rows.len() * from.columns;
                    self.transform_images(x.into(), first, count, &rows, from, strip, v);
                    for i in 0..count {
                        let at = ((first + i) * self.y.h() + 2 * row) * self.y.w() * co;
                        let h = self.y.h().min(2 * rows.end) - 2 * row;
                        let (dy, e) = (&dy[at..][..h * self.y.w() * co], &mut e[i * windows * co..]);
                        assert!(e.len() >= (PRODUCTS - 1) * to.plane + windows * co);
                        // SAFETY: dy has h rows and w columns, e is as long as asserted.
                        unsafe { transform_gradient(to, dy.as_ptr(), h, self.y.w(), e.as_mut_ptr()) };
                    }
                    let layout = Layout { a_row: 1, a_k: ci, b_k: co, k: count * windows, init_row: co, c_row: co };
                    for (product, sum) in sums.chunks_exact_mut(ci * co).enumerate() {
                        let (v, e) = (&v[product * from.plane..], &e[product * to.plane..]);
                        self.tiles.cover(ci, co, |kernel, p, _rows, column, _width| {
                            let sum = sum[p * co + column..].as_mut_ptr();
                            // SAFETY: the planes of v and e have count·windows rows of ci and of co, sum has ci of co,
                            // and the cover stays within.
                            unsafe { kernel(layout, v[p..].as_ptr(), e[column..].as_ptr(), &[(0, 0)], sum, sum) };
                        });
                    }
                }
            }
        });
    }
}
