//! What a training step draws beside its noise: timesteps, and which images are mirrored.

use crate::rng::Rng;
use crate::tensor::Shape;

/// A timestep of 0…`all`−1 for each of `n` images, all equally likely.
///
/// Stratified, image k's is drawn from one of `n` equal parts of the range, a part of its own: the loss, whose size hangs on
/// the timestep more than on anything else, then varies less from batch to batch, and its mean is the same.
pub fn draw_timesteps(rng: &mut Rng, n: usize, all: usize, stratified: bool) -> Vec<usize> {
    if !stratified {
        return (0..n).map(|_| rng.below(all)).collect();
    }
    let part = |k: usize| (((k as f64 + rng.uniform()) / n as f64 * all as f64) as usize).min(all - 1);
    let mut timesteps: Vec<usize> = (0..n).map(part).collect();
    // Which image gets which part must not hang on its place in the batch.
    rng.shuffle(&mut timesteps);
    timesteps
}

/// Copies `x_0` to `out`, each image with its columns in reverse as often as not.
pub fn mirror_some(x_0: &[f32], shape: Shape, rng: &mut Rng, out: &mut [f32]) {
    out.copy_from_slice(x_0);
    let row = shape.w() * shape.c();
    for image in out.chunks_exact_mut(shape.pixels() * shape.c()) {
        if rng.uniform() < 0.5 {
            for row in image.chunks_exact_mut(row) {
                mirror(row, shape.c());
            }
        }
    }
}

/// The pixels of a row, of `c` values each, in reverse order.
fn mirror(row: &mut [f32], c: usize) {
    row.reverse();
    row.chunks_exact_mut(c).for_each(<[f32]>::reverse);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stratified_timesteps_are_one_of_each_part_and_all_are_equally_likely() {
        let (n, all) = (7, 100);
        let mut rng = Rng::new(4);
        let mut seen = vec![0u32; all];
        let mut firsts = [0u32; 7];
        for _ in 0..7000 {
            let drawn = draw_timesteps(&mut rng, n, all, true);
            firsts[drawn[0] * n / all] += 1;
            let mut sorted = drawn.clone();
            sorted.sort_unstable();
            for (k, &t) in sorted.iter().enumerate() {
                let (low, high) = (k as f64 * 100.0 / 7.0, (k + 1) as f64 * 100.0 / 7.0);
                assert!((low.floor()..high).contains(&(t as f64)), "{t} is not in part {k}");
                seen[t] += 1;
            }
        }
        // 490 each with a standard deviation of 22, or a little less; 1000 each with one of 29.
        assert!(seen.iter().all(|count| (380..600).contains(count)), "{seen:?}");
        assert!(firsts.iter().all(|count| (850..1150).contains(count)), "{firsts:?}");
        let plain: Vec<usize> = draw_timesteps(&mut Rng::new(9), 3, all, false);
        let mut rng = Rng::new(9);
        assert_eq!(plain, [rng.below(all), rng.below(all), rng.below(all)], "as runs of old drew them");
    }

    #[test]
    fn half_of_the_images_are_mirrored_and_channels_keep_their_order() {
        let shape = Shape::new(400, 2, 3, 2);
        let x: Vec<f32> = (0..shape.len()).map(|i| i as f32).collect();
        let mut out = vec![0.0; shape.len()];
        mirror_some(&x, shape, &mut Rng::new(3), &mut out);
        let mut mirrored = 0;
        for (i, image) in out.chunks_exact(12).enumerate() {
            let first = (12 * i) as f32;
            let plain: Vec<f32> = (0..12).map(|k| first + k as f32).collect();
            let back = [4, 5, 2, 3, 0, 1, 10, 11, 8, 9, 6, 7].map(|k| first + k as f32);
            assert!(image == plain || image == back, "image {i} is {image:?}");
            mirrored += usize::from(image == back);
        }
        assert!((160..=240).contains(&mirrored), "{mirrored} of 400");
    }
}
