//! Memory-bound ops: plain loops that vectorise, in chunks that threads share.

use super::parallel::for_each_chunk;
use super::simd::{exp, for_each_isa};
use crate::graph::Fast;
use crate::tensor::Shape;

/// Values per task: small enough for the first-level cache, large enough to be worth a task.
const CHUNK: usize = 8192;

/// `silu`.
pub struct Silu;

for_each_isa! {
    fn silu(x: &[f32], out: &mut [f32]) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = x / (1.0 + exp::<FMA>(-x));
        }
    }

    fn silu_grad(x: &[f32], dy: &[f32], out: &mut [f32]) {
        for ((o, &x), &dy) in out.iter_mut().zip(x).zip(dy) {
            let sigmoid = 1.0 / (1.0 + exp::<FMA>(-x));
            *o = dy * sigmoid * (1.0 + x * (1.0 - sigmoid));
        }
    }

    fn adam(p: &[f32], m: &[f32], v: &[f32], k: &[f32], out: &mut [f32]) {
        let (rate, correction, eps, decay) = (k[0], k[1], k[2], k[3]);
        for (((o, &p), &m), &v) in out.iter_mut().zip(p).zip(m).zip(v) {
            *o = p - decay * p - rate * m / (v.sqrt() * correction + eps);
        }
    }

    fn lerp(a: &[f32], b: &[f32], rate: f32, out: &mut [f32]) {
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *o = a + rate * (b - a);
        }
    }

    fn lerp_square(v: &[f32], g: &[f32], rate: f32, out: &mut [f32]) {
        for ((o, &v), &g) in out.iter_mut().zip(v).zip(g) {
            *o = v + rate * (g * g - v);
        }
    }

    fn add_row(x: &[f32], row: &[f32], out: &mut [f32]) {
        for ((o, &x), &r) in out.iter_mut().zip(x).zip(row) {
            *o = x + r;
        }
    }

    fn add_pixels(pixels: &[f32], sum: &mut [f32]) {
        sum.fill(0.0);
        for pixel in pixels.chunks_exact(sum.len()) {
            for (s, &x) in sum.iter_mut().zip(pixel) {
                *s += x;
            }
        }
    }
}

impl Fast for Silu {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        for_each_chunk(out, CHUNK, |i, out| silu(&inputs[0][i * CHUNK..][..out.len()], out));
    }
}

/// `silu_grad`.
pub struct SiluGrad;

impl Fast for SiluGrad {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        for_each_chunk(out, CHUNK, |i, out| {
            silu_grad(&inputs[0][i * CHUNK..][..out.len()], &inputs[1][i * CHUNK..][..out.len()], out);
        });
    }
}

/// `adam`.
pub struct Adam;

impl Fast for Adam {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        for_each_chunk(out, CHUNK, |i, out| {
            let part = |k: usize| &inputs[k][i * CHUNK..][..out.len()];
            adam(part(0), part(1), part(2), inputs[3], out);
        });
    }
}

/// `lerp`.
pub struct Lerp;

impl Fast for Lerp {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        for_each_chunk(out, CHUNK, |i, out| {
            lerp(&inputs[0][i * CHUNK..][..out.len()], &inputs[1][i * CHUNK..][..out.len()], inputs[2][0], out);
        });
    }
}

/// `lerp_square`.
pub struct LerpSquare;

impl Fast for LerpSquare {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        for_each_chunk(out, CHUNK, |i, out| {
            lerp_square(&inputs[0][i * CHUNK..][..out.len()], &inputs[1][i * CHUNK..][..out.len()], inputs[2][0], out);
        });
    }
}

/// `clip_norm`.
pub struct ClipNorm;

impl Fast for ClipNorm {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let factor = (inputs[2][0] / (inputs[1][0].sqrt() + 1e-6)).min(1.0);
        for (o, &g) in out.iter_mut().zip(inputs[0]) {
            *o = g * factor;
        }
    }
}

/// Sums f(i) over 0..len in blocks of 1024, so that the error does not grow with the length.
fn blocked_sum(len: usize, f: impl Fn(usize) -> f32) -> f32 {
    let block = |from: usize| {
        let mut lanes = [0.0f32; 16];
        for i in from..(from + 1024).min(len) {
            lanes[i % 16] += f(i);
        }
        lanes.iter().map(|&x| f64::from(x)).sum::<f64>()
    };
    (0..len).step_by(1024).map(block).sum::<f64>() as f32
}

/// `sum_squares`.
pub struct SumSquares;

impl Fast for SumSquares {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let x = inputs[0];
        out[0] = inputs[1][0] + blocked_sum(x.len(), |i| x[i] * x[i]);
    }
}

/// `mse`.
pub struct Mse;

impl Fast for Mse {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let (x, y) = (inputs[0], &inputs[1][..inputs[0].len()]);
        out[0] = blocked_sum(x.len(), |i| (x[i] - y[i]) * (x[i] - y[i])) / x.len() as f32;
    }
}

/// `sum_pixels`.
pub struct SumPixels {
    image: usize,
    c: usize,
}

impl SumPixels {
    pub fn new(x: Shape) -> Self {
        Self { image: x.pixels() * x.c(), c: x.c() }
    }
}

impl Fast for SumPixels {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        for_each_chunk(out, self.c, |n, sum| add_pixels(&inputs[0][n * self.image..][..self.image], sum));
    }
}

/// `add_channels`.
pub struct AddChannels {
    image: usize,
    c: usize,
}

impl AddChannels {
    pub fn new(x: Shape) -> Self {
        Self { image: x.pixels() * x.c(), c: x.c() }
    }
}

impl Fast for AddChannels {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        for_each_chunk(out, self.image, |n, out| {
            let row = &inputs[1][n * self.c..][..self.c];
            let x = &inputs[0][n * self.image..][..self.image];
            for (out, x) in out.chunks_exact_mut(self.c).zip(x.chunks_exact(self.c)) {
                add_row(x, row, out);
            }
        });
    }
}

/// `concat`.
pub struct Concat {
    pub ca: usize,
    pub cb: usize,
}

impl Fast for Concat {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let (ca, cb) = (self.ca, self.cb);
        for_each_chunk(out, 128 * (ca + cb), |i, out| {
            for (r, row) in out.chunks_exact_mut(ca + cb).enumerate() {
                let pixel = i * 128 + r;
                row[..ca].copy_from_slice(&inputs[0][pixel * ca..][..ca]);
                row[ca..].copy_from_slice(&inputs[1][pixel * cb..][..cb]);
            }
        });
    }
}

/// `slice_channels`.
pub struct Slice {
    pub c: usize,
    pub from: usize,
    pub count: usize,
}

impl Fast for Slice {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        for_each_chunk(out, 128 * self.count, |i, out| {
            for (r, row) in out.chunks_exact_mut(self.count).enumerate() {
                row.copy_from_slice(&inputs[0][(i * 128 + r) * self.c + self.from..][..self.count]);
            }
        });
    }
}

/// `upsample`; holds the shape of the small image.
pub struct Upsample(pub Shape);

impl Fast for Upsample {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let (c, row) = (self.0.c(), self.0.w() * self.0.c());
        for_each_chunk(out, 4 * row, |i, out| {
            let (first, second) = out.split_at_mut(2 * row);
            for (pair, x) in first.chunks_exact_mut(2 * c).zip(inputs[0][i * row..][..row].chunks_exact(c)) {
                pair[..c].copy_from_slice(x);
                pair[c..].copy_from_slice(x);
            }
            second.copy_from_slice(first);
        });
    }
}

/// `upsample_grad`; holds the shape of the small image.
pub struct UpsampleGrad(pub Shape);

impl Fast for UpsampleGrad {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let (c, row) = (self.0.c(), self.0.w() * self.0.c());
        for_each_chunk(out, row, |i, out| {
            let (first, second) = inputs[0][i * 4 * row..][..4 * row].split_at(2 * row);
            for (j, o) in out.chunks_exact_mut(c).enumerate() {
                let (a, b) = (&first[2 * j * c..][..2 * c], &second[2 * j * c..][..2 * c]);
                for k in 0..c {
                    o[k] = a[k] + a[c + k] + b[k] + b[c + k];
                }
            }
        });
    }
}
