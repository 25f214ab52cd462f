//! Shapes and host values. Everything has four axes, in NHWC order, so that one type serves images, weights and scalars.

use std::fmt;

/// The four extents of a value, NHWC: images, rows, columns, channels.
///
/// | value | shape |
/// |---|---|
/// | batch of images | `[N, H, W, C]` |
/// | convolution weight | `[kh, kw, ci, co]` |
/// | linear weight | `[1, 1, in, out]` |
/// | bias, affine parameter | `[1, 1, 1, C]` |
/// | one number per image | `[N, 1, 1, 1]` |
/// | scalar | `[1, 1, 1, 1]` |
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape(pub [usize; 4]);

impl Shape {
    /// The shape of a single number.
    pub const SCALAR: Self = Self([1; 4]);

    /// `[n, h, w, c]`.
    pub const fn new(n: usize, h: usize, w: usize, c: usize) -> Self {
        Self([n, h, w, c])
    }

    /// `[1, 1, 1, c]`: a bias, an affine parameter, a table of coefficients.
    pub const fn vector(c: usize) -> Self {
        Self([1, 1, 1, c])
    }

    /// Images in the batch.
    pub const fn n(&self) -> usize {
        self.0[0]
    }

    /// Rows.
    pub const fn h(&self) -> usize {
        self.0[1]
    }

    /// Columns.
    pub const fn w(&self) -> usize {
        self.0[2]
    }

    /// Channels.
    pub const fn c(&self) -> usize {
        self.0[3]
    }

    /// Number of values.
    pub const fn len(&self) -> usize {
        self.0[0] * self.0[1] * self.0[2] * self.0[3]
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels of one image, H·W.
    pub const fn pixels(&self) -> usize {
        self.h() * self.w()
    }

    /// Groups of four channels, ⌈C/4⌉: the GPU engine stores `array<vec4<f32>>`, the rest filled with zeros.
    pub const fn vec4_channels(&self) -> usize {
        self.c().div_ceil(4)
    }

    /// Number of `vec4<f32>` the GPU engine stores for this shape.
    pub const fn vec4_len(&self) -> usize {
        self.n() * self.pixels() * self.vec4_channels()
    }

    /// The same shape with another number of images.
    pub const fn with_n(self, n: usize) -> Self {
        Self([n, self.0[1], self.0[2], self.0[3]])
    }

    /// The same shape with another number of channels.
    pub const fn with_c(self, c: usize) -> Self {
        Self([self.0[0], self.0[1], self.0[2], c])
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Reorders images from PyTorch's `[N, C, H, W]` to our `[N, H, W, C]`; `shape` is the NHWC one.
pub fn nchw_to_nhwc<T: Copy + Default>(values: &[T], shape: Shape) -> Vec<T> {
    let mut out = vec![T::default(); shape.len()];
    for_each_pair(shape, |nchw, nhwc| out[nhwc] = values[nchw]);
    out
}

/// Reorders images from our `[N, H, W, C]` to PyTorch's `[N, C, H, W]`; `shape` is the NHWC one.
pub fn nhwc_to_nchw<T: Copy + Default>(values: &[T], shape: Shape) -> Vec<T> {
    let mut out = vec![T::default(); shape.len()];
    for_each_pair(shape, |nchw, nhwc| out[nchw] = values[nhwc]);
    out
}

fn for_each_pair(shape: Shape, mut f: impl FnMut(usize, usize)) {
    let mut nchw = 0;
    for n in 0..shape.n() {
        for c in 0..shape.c() {
            for p in 0..shape.pixels() {
                f(nchw, (n * shape.pixels() + p) * shape.c() + c);
                nchw += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_round_trip() {
        let shape = Shape::new(2, 3, 5, 3);
        let values: Vec<usize> = (0..shape.len()).collect();
        let nhwc = nchw_to_nhwc(&values, shape);
        // Channel 1 of the first pixel stands H·W values further in NCHW.
        assert_eq!(nhwc[1], 15);
        assert_eq!(nhwc_to_nchw(&nhwc, shape), values);
    }
}
