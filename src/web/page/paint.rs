//! Numbers to pixels: values as 8-bit pixels, and 8-bit pixels onto a canvas.

use super::dom;
use crate::diffusion::forward::to_pixel;
use crate::tensor::Shape;
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

/// Noise is shown at this fraction of its size: two standard deviations are black and white.
pub const NOISE_SCALE: f32 = 0.5;

/// `[1, H, W, C]` as bytes: three channels as they are, of others the first as grey.
pub fn pixels(values: &[f32], shape: Shape) -> Vec<u8> {
    match shape.c() {
        1 | 3 => values.iter().map(|&v| to_pixel(v)).collect(),
        c => values.chunks_exact(c).map(|pixel| to_pixel(pixel[0])).collect(),
    }
}

/// The same for noise.
pub fn noise_pixels(values: &[f32], shape: Shape) -> Vec<u8> {
    let smaller: Vec<f32> = values.iter().map(|v| v * NOISE_SCALE).collect();
    pixels(&smaller, shape)
}

/// A sheet of images of H×W pixels, `columns` side by side. Cells without an image stay transparent.
pub fn sheet(canvas: &HtmlCanvasElement, images: &[&[u8]], shape: Shape, columns: usize) {
    let (h, w) = (shape.h(), shape.w());
    let rows = images.len().div_ceil(columns).max(1);
    let (width, height) = (columns * w, rows * h);
    let mut rgba = vec![0; 4 * width * height];
    for (i, image) in images.iter().enumerate() {
        let (top, left) = (i / columns * h, i % columns * w);
        let channels = image.len() / (h * w);
        for (p, pixel) in image.chunks_exact(channels.max(1)).enumerate() {
            let at = 4 * ((top + p / w) * width + left + p % w);
            let [r, g, b] = if let &[r, g, b] = pixel { [r, g, b] } else { [pixel[0]; 3] };
            rgba[at..at + 4].copy_from_slice(&[r, g, b, 255]);
        }
    }
    if (canvas.width(), canvas.height()) != (width as u32, height as u32) {
        canvas.set_width(width as u32);
        canvas.set_height(height as u32);
    }
    let data = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&rgba), width as u32, height as u32);
    if let (Ok(data), Some(context)) = (data, context(canvas)) {
        let _ = context.put_image_data(&data, 0.0, 0.0);
    }
}

/// One image.
pub fn image(id: &str, image: &[u8], shape: Shape) {
    sheet(&dom::by_id(id), &[image], shape, 1);
}

/// Makes a picture blank.
pub fn clear(id: &str) {
    let canvas: HtmlCanvasElement = dom::by_id(id);
    if let Some(context) = context(&canvas) {
        context.clear_rect(0.0, 0.0, f64::from(canvas.width()), f64::from(canvas.height()));
    }
}

/// The canvas' 2D context.
pub fn context(canvas: &HtmlCanvasElement) -> Option<CanvasRenderingContext2d> {
    canvas.get_context("2d").ok().flatten()?.dyn_into().ok()
}
