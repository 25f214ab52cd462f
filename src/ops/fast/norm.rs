//! Group normalisation, an image at a time: sums per channel first, which vectorise, then per group.

use super::parallel::{for_each_chunk, with_scratch};
use super::simd::{exp, for_each_isa};
use crate::graph::Fast;
use crate::tensor::Shape;
use std::ops::Range;

for_each_isa! {
    /// sum[c] = Σ over pixels of x. Four pixels at a time: each step waits for the last one's sum.
    fn channel_sums(x: &[f32], sum: &mut [f32]) {
        let c = sum.len();
        sum.fill(0.0);
        let fours = x.chunks_exact(4 * c);
        for pixel in fours.remainder().chunks_exact(c) {
            for (s, &x) in sum.iter_mut().zip(pixel) {
                *s += x;
            }
        }
        for four in fours {
            let (first, second) = four.split_at(2 * c);
            let ((x0, x1), (x2, x3)) = (first.split_at(c), second.split_at(c));
            for ((s, (&x0, &x1)), (&x2, &x3)) in sum.iter_mut().zip(x0.iter().zip(x1)).zip(x2.iter().zip(x3)) {
                *s += (x0 + x1) + (x2 + x3);
            }
        }
    }

    /// sum[c] = Σ over pixels of (x − mean[c])², likewise.
    fn channel_squares(x: &[f32], mean: &[f32], sum: &mut [f32]) {
        let c = sum.len();
        sum.fill(0.0);
        let fours = x.chunks_exact(4 * c);
        for pixel in fours.remainder().chunks_exact(c) {
            for ((s, &x), &m) in sum.iter_mut().zip(pixel).zip(mean) {
                *s += (x - m) * (x - m);
            }
        }
        for four in fours {
            let (first, second) = four.split_at(2 * c);
            let ((x0, x1), (x2, x3)) = (first.split_at(c), second.split_at(c));
            let pixels = x0.iter().zip(x1).zip(x2.iter().zip(x3));
            for ((s, &m), ((&x0, &x1), (&x2, &x3))) in sum.iter_mut().zip(mean).zip(pixels) {
                let [a, b, c, d] = [x0 - m, x1 - m, x2 - m, x3 - m];
                *s += (a * a + b * b) + (c * c + d * d);
            }
        }
    }

    /// sum[c] = Σ over pixels of dy, product[c] = Σ over pixels of dy·(x − mean[c]).
    fn channel_products(x: &[f32], dy: &[f32], mean: &[f32], sum: &mut [f32], product: &mut [f32]) {
        let c = mean.len();
        sum.fill(0.0);
        product.fill(0.0);
        for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact(c)) {
            let sums = sum.iter_mut().zip(product.iter_mut());
            for (((s, p), (&x, &dy)), &m) in sums.zip(x.iter().zip(dy)).zip(mean) {
                *s += dy;
                *p += dy * (x - m);
            }
        }
    }

    /// out = (x − mean[c])·a[c] + b[c], to the channels from `first` on of pixels of `all`. The mean goes first: where it is
    /// far from zero, x·a − mean·a would lose digits.
    fn affine(x: &[f32], mean: &[f32], a: &[f32], b: &[f32], first: usize, all: usize, out: &mut [f32]) {
        let c = a.len();
        for (x, out) in x.chunks_exact(c).zip(out.chunks_exact_mut(all)) {
            let out = &mut out[first..first + c];
            for ((o, (&x, &m)), (&a, &b)) in out.iter_mut().zip(x.iter().zip(mean)).zip(a.iter().zip(b)) {
                *o = (x - m) * a + b;
            }
        }
    }

    /// out = y·σ(y) of y = (x − mean[c])·a[c] + b[c], likewise.
    fn affine_silu(x: &[f32], mean: &[f32], a: &[f32], b: &[f32], first: usize, all: usize, out: &mut [f32]) {
        let c = a.len();
        for (x, out) in x.chunks_exact(c).zip(out.chunks_exact_mut(all)) {
            let out = &mut out[first..first + c];
            for ((o, (&x, &m)), (&a, &b)) in out.iter_mut().zip(x.iter().zip(mean)).zip(a.iter().zip(b)) {
                let y = (x - m) * a + b;
                *o = y / (1.0 + exp::<FMA>(-y));
            }
        }
    }

    /// out = dy·a[c] + (x − mean[c])·b[c] + d[c].
    fn affine2(x: &[f32], dy: &[f32], mean: &[f32], a: &[f32], b: &[f32], d: &[f32], out: &mut [f32]) {
        let c = a.len();
        for ((x, dy), out) in x.chunks_exact(c).zip(dy.chunks_exact(c)).zip(out.chunks_exact_mut(c)) {
            let factors = mean.iter().zip(a).zip(b.iter().zip(d));
            for ((o, (&x, &dy)), ((&m, &a), (&b, &d))) in out.iter_mut().zip(x.iter().zip(dy)).zip(factors) {
                *o = dy * a + (x - m) * b + d;
            }
        }
    }
}

/// The part of `values` that belongs to image `n`.
fn image(values: &[f32], shape: Shape, n: usize) -> &[f32] {
    let len = shape.pixels() * shape.c();
    &values[n * len..][..len]
}

/// The statistic `which` (0 mean, 1 reciprocal deviation) of the group of channel `c` of image `n`.
fn stat(stats: &[f32], n: usize, groups: usize, group: usize, which: usize) -> f32 {
    stats[(n * groups + group) * 2 + which]
}

/// An image that may be two side by side.
#[derive(Clone, Copy)]
pub struct Joined {
    pub whole: Shape,
    /// Channels that come from the first.
    pub from_x: usize,
}

impl Joined {
    /// Some pixels of one image: each part's values, and where its channels begin and end.
    fn parts<'a>(
        &self,
        inputs: &[&'a [f32]],
        n: usize,
        pixels: Range<usize>,
    ) -> impl Iterator<Item = (&'a [f32], Range<usize>)> {
        let (from_x, c) = (self.from_x, self.whole.c());
        let first = n * self.whole.pixels() + pixels.start;
        let cut = |values: &'a [f32], c: usize| &values[first * c..][..pixels.len() * c];
        let skip = (c > from_x).then(|| (cut(inputs[1], c - from_x), from_x..c));
        std::iter::once((cut(inputs[0], from_x), 0..from_x)).chain(skip)
    }

    /// Inputs before the others.
    fn count(&self) -> usize {
        1 + usize::from(self.whole.c() > self.from_x)
    }
}

/// `group_norm_stats`.
pub struct Stats {
    pub x: Joined,
    pub groups: usize,
    pub eps: f32,
}

impl Stats {
    /// Whether images are so few and large that threads share one.
    fn is_shared(&self) -> bool {
        few_large(self.x.whole)
    }

    /// The statistics of one image, whose parts threads share; partial holds [`PARTS`] rows of channels.
    fn shared(&self, inputs: &[&[f32]], n: usize, partial: &mut [f32], out: &mut [f32]) {
        let (pixels, c, groups) = (self.x.whole.pixels(), self.x.whole.c(), self.groups);
        let per_group = c / groups;
        let count = (pixels * per_group) as f32;
        let parts = |i: usize| self.x.parts(inputs, n, i * pixels / PARTS..(i + 1) * pixels / PARTS);
        let of_group = |partial: &[f32], group: usize| -> f32 {
            let rows = partial.chunks_exact(c).map(|row| row[group * per_group..][..per_group].iter().sum::<f32>());
            rows.sum::<f32>() / count
        };
        for_each_chunk(partial, c, |i, sum| parts(i).for_each(|(x, part)| channel_sums(x, &mut sum[part])));
        for group in 0..groups {
            out[group * 2] = of_group(partial, group);
        }
        let stats = &*out;
        for_each_chunk(partial, c, |i, sum| {
            with_scratch(c, |mean| {
                mean.iter_mut().enumerate().for_each(|(k, mean)| *mean = stats[k / per_group * 2]);
                parts(i).for_each(|(x, part)| channel_squares(x, &mean[part.clone()], &mut sum[part]));
            });
        });
        for group in 0..groups {
            out[group * 2 + 1] = 1.0 / (of_group(partial, group) + self.eps).sqrt();
        }
    }
}

/// Parts of a large image.
const PARTS: usize = 8;

/// Whether images of this shape are too few to keep many cores busy and worth being cut in [`PARTS`].
fn few_large(x: Shape) -> bool {
    x.n() < 8 && x.pixels() >= PARTS && x.pixels() * x.c() >= 16_384
}

impl Fast for Stats {
    fn scratch_len(&self) -> usize {
        if self.is_shared() { PARTS * self.x.whole.c() } else { 0 }
    }

    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], scratch: &mut [f32]) {
        let (pixels, c, groups) = (self.x.whole.pixels(), self.x.whole.c(), self.groups);
        if self.is_shared() {
            for (n, out) in out.chunks_exact_mut(groups * 2).enumerate() {
                self.shared(inputs, n, &mut scratch[..PARTS * c], out);
            }
            return;
        }
        let per_group = c / groups;
        let count = (pixels * per_group) as f32;
        for_each_chunk(out, groups * 2, |n, out| {
            with_scratch(2 * c, |scratch| {
                let (sum, mean) = scratch.split_at_mut(c);
                let parts = || self.x.parts(inputs, n, 0..pixels);
                parts().for_each(|(x, part)| channel_sums(x, &mut sum[part]));
                for group in 0..groups {
                    let range = group * per_group..(group + 1) * per_group;
                    let group_mean = sum[range.clone()].iter().sum::<f32>() / count;
                    mean[range].fill(group_mean);
                    out[group * 2] = group_mean;
                }
                parts().for_each(|(x, part)| channel_squares(x, &mean[part.clone()], &mut sum[part]));
                for group in 0..groups {
                    let squares: f32 = sum[group * per_group..(group + 1) * per_group].iter().sum();
                    out[group * 2 + 1] = 1.0 / (squares / count + self.eps).sqrt();
                }
            });
        });
    }
}

/// `group_norm`.
pub struct Apply {
    pub x: Joined,
    pub groups: usize,
    /// Whether SiLU follows.
    pub silu: bool,
}

impl Fast for Apply {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let (x, rest) = inputs.split_at(self.x.count());
        let (stats, scale, shift) = (rest[0], rest[1], rest[2]);
        let (pixels, c) = (self.x.whole.pixels(), self.x.whole.c());
        let per_group = c / self.groups;
        let some = |n: usize, pixels: Range<usize>, out: &mut [f32]| {
            with_scratch(2 * c, |scratch| {
                let (mean, a) = scratch.split_at_mut(c);
                for i in 0..c {
                    let group = i / per_group;
                    mean[i] = stat(stats, n, self.groups, group, 0);
                    a[i] = scale[i] * stat(stats, n, self.groups, group, 1);
                }
                let run = if self.silu { affine_silu } else { affine };
                for (x, part) in self.x.parts(x, n, pixels) {
                    let first = part.start;
                    run(x, &mean[part.clone()], &a[part.clone()], &shift[part], first, c, out);
                }
            });
        };
        if few_large(self.x.whole) {
            let step = pixels.div_ceil(PARTS);
            for (n, out) in out.chunks_exact_mut(pixels * c).enumerate() {
                for_each_chunk(out, step * c, |i, out| some(n, i * step..i * step + out.len() / c, out));
            }
            return;
        }
        for_each_chunk(out, pixels * c, |n, out| some(n, 0..pixels, out));
    }
}

/// `group_norm_grad_stats`.
pub struct GradStats {
    pub x: Shape,
    pub groups: usize,
}

impl Fast for GradStats {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let [x, stats, scale, dy] = [inputs[0], inputs[1], inputs[2], inputs[3]];
        let c = self.x.c();
        let per_group = c / self.groups;
        let count = (self.x.pixels() * per_group) as f32;
        for_each_chunk(out, self.groups * 2, |n, out| {
            with_scratch(3 * c, |scratch| {
                let (mean, rest) = scratch.split_at_mut(c);
                let (sum, product) = rest.split_at_mut(c);
                for i in 0..c {
                    mean[i] = stat(stats, n, self.groups, i / per_group, 0);
                }
                channel_products(image(x, self.x, n), image(dy, self.x, n), mean, sum, product);
                for group in 0..self.groups {
                    let range = group * per_group..(group + 1) * per_group;
                    let weighted = |values: &[f32]| range.clone().map(|i| values[i] * scale[i]).sum::<f32>() / count;
                    out[group * 2] = weighted(sum);
                    out[group * 2 + 1] = weighted(product) * stat(stats, n, self.groups, group, 1);
                }
            });
        });
    }
}

/// `group_norm_grad_input`.
pub struct GradInput {
    pub x: Shape,
    pub groups: usize,
}

impl Fast for GradInput {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let [x, stats, scale, dy, means] = [inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]];
        let c = self.x.c();
        let per_group = c / self.groups;
        for_each_chunk(out, self.x.pixels() * c, |n, out| {
            with_scratch(4 * c, |scratch| {
                let (mean, rest) = scratch.split_at_mut(c);
                let (a, rest) = rest.split_at_mut(c);
                let (b, d) = rest.split_at_mut(c);
                for i in 0..c {
                    let group = i / per_group;
                    let rstd = stat(stats, n, self.groups, group, 1);
                    mean[i] = stat(stats, n, self.groups, group, 0);
                    let (first, second) =
                        (stat(means, n, self.groups, group, 0), stat(means, n, self.groups, group, 1));
                    // r·(γ·dy − first − (x − μ)·r·second), gathered by what multiplies dy, x − μ and nothing.
                    a[i] = rstd * scale[i];
                    b[i] = -rstd * rstd * second;
                    d[i] = -rstd * first;
                }
                affine2(image(x, self.x, n), image(dy, self.x, n), mean, a, b, d, out);
            });
        });
    }
}

/// `group_norm_grad_scale`.
pub struct GradScale {
    pub x: Shape,
    pub groups: usize,
}

impl Fast for GradScale {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let [x, stats, dy] = [inputs[0], inputs[1], inputs[2]];
        let c = self.x.c();
        let per_group = c / self.groups;
        for_each_chunk(out, c, |n, out| {
            with_scratch(2 * c, |scratch| {
                let (mean, sum) = scratch.split_at_mut(c);
                for i in 0..c {
                    mean[i] = stat(stats, n, self.groups, i / per_group, 0);
                }
                channel_products(image(x, self.x, n), image(dy, self.x, n), mean, sum, out);
                for i in 0..c {
                    out[i] *= stat(stats, n, self.groups, i / per_group, 1);
                }
            });
        });
    }
}
