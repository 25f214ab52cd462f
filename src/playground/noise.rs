//! The random numbers of a run, drawn from a seed or given.

use crate::rng::Rng;
use crate::tensor::{Shape, nchw_to_nhwc};
use std::ops::Range;

/// Where the random numbers of a run come from.
#[derive(Clone, Debug)]
pub enum Noise {
    /// All of it from a seed.
    Seed(u64),
    /// x_T, and perhaps the noise of every step.
    Given {
        /// x_T, `[N, H, W, C]`.
        x: Vec<f32>,
        /// One entry per step, `[N, H, W, C]`; `None` draws them from the seed.
        steps: Option<Vec<Vec<f32>>>,
        /// For the steps that are not given. Their noise is that of [`Noise::Seed`], where x_T is drawn first.
        seed: u64,
    },
}

/// The x_T `[N, H, W, C]` that a run from this seed begins with.
pub fn start_noise(seed: u64, shape: Shape) -> Vec<f32> {
    draw_images(&mut Rng::new(seed), shape)
}

/// Noise for images, drawn in the order `[N, C, H, W]`.
pub(super) fn draw_images(rng: &mut Rng, shape: Shape) -> Vec<f32> {
    nchw_to_nhwc(&rng.normals(shape.len()), shape)
}

/// Draws noise for all images, and returns that of some of them.
pub(super) fn draw_part(rng: &mut Rng, shape: Shape, part: &Range<usize>) -> Vec<f32> {
    let mut drawn = draw_images(rng, shape);
    let image = shape.len() / shape.n();
    drawn.truncate(part.end * image);
    drawn.split_off(part.start * image)
}
