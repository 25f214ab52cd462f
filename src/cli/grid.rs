//! Images as one PNG: a grid, every pixel a square of whole pixels.

use super::Failure;
use crate::diffusion::forward::to_pixel;
use crate::tensor::Shape;

/// Height and width an image is enlarged towards.
const TILE: usize = 112;
/// Grey of the lines between images.
const LINE: u8 = 32;

/// Whether images of so many channels can be drawn.
pub fn is_drawable(channels: usize) -> bool {
    color(channels).is_some()
}

fn color(channels: usize) -> Option<png::ColorType> {
    match channels {
        1 => Some(png::ColorType::Grayscale),
        3 => Some(png::ColorType::Rgb),
        _ => None,
    }
}

/// The bytes of a PNG with the images `[N, H, W, C]` (in [−1, 1], C = 1 or 3) in rows, as square a grid as may be.
pub fn png(images: &[f32], shape: Shape) -> Result<Vec<u8>, Failure> {
    png_in_columns(images, shape, (shape.n() as f64).sqrt().ceil() as usize)
}

/// [`png`] with so many images in a row.
pub fn png_in_columns(images: &[f32], shape: Shape, columns: usize) -> Result<Vec<u8>, Failure> {
    let color = color(shape.c()).ok_or_else(|| format!("a picture has 1 or 3 channels, not {}", shape.c()))?;
    let factor = (TILE / shape.h().max(shape.w())).max(1);
    let line = factor.div_ceil(2);
    let rows = shape.n().div_ceil(columns);
    let (cell_h, cell_w) = (shape.h() * factor + line, shape.w() * factor + line);
    let (height, width) = (rows * cell_h + line, columns * cell_w + line);
    let mut pixels = vec![LINE; height * width * shape.c()];
    for (i, image) in images.chunks_exact(shape.pixels() * shape.c()).enumerate() {
        let (top, left) = (i / columns * cell_h + line, i % columns * cell_w + line);
        for row in 0..shape.h() * factor {
            for column in 0..shape.w() * factor {
                let from = (row / factor * shape.w() + column / factor) * shape.c();
                let to = ((top + row) * width + left + column) * shape.c();
                for c in 0..shape.c() {
                    pixels[to + c] = to_pixel(image[from + c]);
                }
            }
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_has_its_place() {
        // Five images of 30×56: enlarged twice, in three columns and two rows, with lines one pixel wide.
        let shape = Shape::new(5, 30, 56, 3);
        let pixels = shape.pixels();
        let value = |image: usize, pixel: usize, c: usize| ((image * 31 + pixel * 7 + c * 11) % 256) as u8;
        let images: Vec<f32> = (0..shape.len())
            .map(|i| value(i / (3 * pixels), i / 3 % pixels, i % 3) as f32 / 255.0 * 2.0 - 1.0)
            .collect();
        let bytes = png(&images, shape).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut found = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut found).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (3 * 113 + 1, 2 * 61 + 1, png::ColorType::Rgb));
        let at = |x: usize, y: usize, c: usize| found[(y * info.width as usize + x) * 3 + c];
        for image in 0..5 {
            let (left, top) = (image % 3 * 113 + 1, image / 3 * 61 + 1);
            for (y, x) in [(0, 0), (1, 1), (2, 5), (59, 111)] {
                let pixel = y / 2 * 56 + x / 2;
                (0..3).for_each(|c| assert_eq!(at(left + x, top + y, c), value(image, pixel, c), "image {image}"));
            }
        }
        // The last place is empty, and lines stand between.
        assert_eq!((at(2 * 113 + 20, 61 + 20, 0), at(0, 0, 1), at(113, 30, 2)), (LINE, LINE, LINE));
        assert!(png(&images[..pixels * 2], shape.with_n(1).with_c(2)).is_err());
    }
}
