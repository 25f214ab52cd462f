//! Numbers to pixels: values as 8-bit pixels, and sheets of them for a canvas to show.

use crate::diffusion::forward::to_pixel;
use crate::tensor::Shape;
use std::rc::Rc;

/// Noise is shown at this fraction of its size: two standard deviations are black and white.
const NOISE_SCALE: f32 = 0.5;

/// Images of one size for a canvas, `columns` side by side.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Height, width, and bytes of a pixel: 1 or 3.
    pub size: [usize; 3],
    /// Images side by side.
    pub columns: usize,
    /// One image after the other. Shared, so that it is seen at once whether a canvas shows them already.
    pub bytes: Rc<[u8]>,
}

impl Sheet {
    /// Images `[N, H, W, C]`: three channels as they are, of others the first as grey.
    pub fn of(values: &[f32], shape: Shape, columns: usize) -> Self {
        Self::new(pixels(values, shape), shape, columns)
    }

    /// The same of noise.
    pub fn of_noise(values: &[f32], shape: Shape) -> Self {
        let smaller: Vec<f32> = values.iter().map(|v| v * NOISE_SCALE).collect();
        Self::of(&smaller, shape, 1)
    }

    /// Images that are pixels already.
    pub fn new(bytes: Vec<u8>, shape: Shape, columns: usize) -> Self {
        let size = [shape.h(), shape.w(), pixel_bytes(shape)];
        Self { size, columns: columns.max(1), bytes: bytes.into() }
    }

    /// A blank one.
    pub fn blank(shape: Shape) -> Self {
        Self::new(Vec::new(), shape, 1)
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.size.iter().product::<usize>().max(1)
    }

    /// Rows of images.
    pub fn rows(&self) -> usize {
        self.count().div_ceil(self.columns).max(1)
    }

    /// All of it as RGBA bytes, with its width and height. Cells without an image are transparent.
    pub fn rgba(&self) -> (Vec<u8>, [usize; 2]) {
        let [h, w, channels] = self.size;
        let (width, height) = (self.columns * w, self.rows() * h);
        let mut rgba = vec![0; 4 * width * height];
        for (i, image) in self.bytes.chunks_exact((h * w * channels).max(1)).enumerate() {
            let (top, left) = (i / self.columns * h, i % self.columns * w);
            for (p, pixel) in image.chunks_exact(channels).enumerate() {
                let at = 4 * ((top + p / w) * width + left + p % w);
                let [r, g, b] = if let &[r, g, b] = pixel { [r, g, b] } else { [pixel[0]; 3] };
                rgba[at..at + 4].copy_from_slice(&[r, g, b, 255]);
            }
        }
        (rgba, [width, height])
    }
}

/// `[N, H, W, C]` as bytes.
pub fn pixels(values: &[f32], shape: Shape) -> Vec<u8> {
    match shape.c() {
        1 | 3 => values.iter().map(|&v| to_pixel(v)).collect(),
        c => values.chunks_exact(c).map(|pixel| to_pixel(pixel[0])).collect(),
    }
}

/// Bytes of a pixel as it is shown.
pub fn pixel_bytes(shape: Shape) -> usize {
    if shape.c() == 3 { 3 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_side_by_side_and_what_is_left_over_is_transparent() {
        let shape = Shape::new(1, 1, 2, 1);
        let sheet = Sheet::of(&[-1.0, 1.0, 0.0, 0.0, 1.0, -1.0], shape.with_n(3), 2);
        assert_eq!((sheet.count(), sheet.rows()), (3, 2));
        let (rgba, size) = sheet.rgba();
        assert_eq!(size, [4, 2]);
        let grey: Vec<u8> = rgba.chunks_exact(4).map(|p| p[0]).collect();
        assert_eq!(grey, [0, 255, 128, 128, 255, 0, 0, 0]);
        assert_eq!(rgba[6 * 4 + 3], 0, "there is no fourth image");
        assert_eq!(rgba[5 * 4 + 3], 255);
        assert_eq!(Sheet::blank(shape).rgba(), (vec![0; 8], [2, 1]));
    }

    #[test]
    fn colours_stay_and_of_other_channels_the_first_is_shown() {
        let colour = Sheet::of(&[-1.0, 0.0, 1.0], Shape::new(1, 1, 1, 3), 1);
        assert_eq!(colour.rgba().0, [0, 128, 255, 255]);
        let two = Sheet::of(&[1.0, -1.0], Shape::new(1, 1, 1, 2), 1);
        assert_eq!(two.rgba().0, [255, 255, 255, 255]);
        assert_eq!(Sheet::of_noise(&[2.0, -4.0], Shape::new(1, 1, 2, 1)).bytes[..], [255, 0]);
    }
}
