//! Pictures for x_0: ten digits of MNIST's test set, a model's own samples, and whatever the visitor brings.

use super::{dom, paint};
use crate::data::idx::parse_images;
use crate::data::whole::{self, Flaw};
use crate::diffusion::forward::{from_pixel, to_pixel};
use crate::tensor::Shape;
use crate::web::models::Entry;
use js_sys::Uint8Array;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, HtmlCanvasElement, HtmlImageElement, Url};

/// MNIST's own file format; see the README beside the file.
const SAMPLES: &[u8] = include_bytes!("../../../web/samples/digits-idx3-ubyte");
/// Where the samples of other models lie.
const FOLDER: &str = "samples/";
/// A picture is looked at in at most this many pixels across.
const LOOK: usize = 1024;
/// Bytes of the largest file that is read.
const LARGEST: f64 = 100e6;
/// What a grey model sees of red, green and blue.
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

/// Sample pictures, all of one size.
pub struct Samples {
    bytes: Vec<u8>,
    /// `[1, H, W, C]`, one channel or three.
    pub shape: Shape,
    /// What each of them shows.
    names: Vec<String>,
}

impl Samples {
    /// The digits, which are part of the program.
    pub fn digits() -> Self {
        // It is a file of MNIST; an error could only be described, which takes code that nothing else here needs.
        let (bytes, [n, h, w]) = parse_images(SAMPLES, "digits-idx3-ubyte").unwrap_or_default();
        Self { bytes, shape: Shape::new(1, h, w, 1), names: (0..n).map(|i| format!("Digit {i}")).collect() }
    }

    /// A model's own: one row of square pictures. The digits, where it has none.
    ///
    /// # Errors
    /// One sentence, if they are not there or no such row.
    pub async fn of(entry: &Entry) -> Result<Self, String> {
        if entry.pictures.is_empty() {
            return Ok(Self::digits());
        }
        let address = format!("{FOLDER}{}.png", entry.name);
        let unusable = || format!("{address} does not hold {} square pictures in a row", entry.pictures.len());
        let image = HtmlImageElement::new().map_err(|_| unusable())?;
        image.set_src(&address);
        JsFuture::from(image.decode()).await.map_err(|_| unusable())?;
        let (n, side) = (entry.pictures.len(), image.natural_height() as usize);
        if side == 0 || side > LOOK || image.natural_width() as usize != n * side {
            return Err(unusable());
        }
        let row = rescale(&image, n * side, side, Shape::new(1, side, n * side, 3)).ok_or_else(unusable)?;
        let pixel = |i: usize, p: usize| (p / side * n * side + i * side + p % side) * 3;
        let places = (0..n).flat_map(|i| (0..side * side).map(move |p| pixel(i, p)));
        let bytes = places.flat_map(|at| row[at..at + 3].iter().map(|&v| to_pixel(v))).collect();
        Ok(Self { bytes, shape: Shape::new(1, side, side, 3), names: entry.pictures.clone() })
    }

    /// Their number.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// What one of them shows.
    pub fn name(&self, i: usize) -> &str {
        &self.names[i]
    }

    /// One of them.
    pub fn pixels(&self, i: usize) -> &[u8] {
        &self.bytes[i * self.shape.len()..][..self.shape.len()]
    }

    /// One of them as a model's x_0, `[1, H, W, C]` in [−1, 1]: of another size the nearest pixel; a colour as the grey of its
    /// brightness unless the model has three channels, and grey in all channels alike.
    pub fn x_0(&self, i: usize, shape: Shape) -> Vec<f32> {
        let (pixels, c) = (self.pixels(i), self.shape.c());
        let pixel = |p: usize| {
            let (y, x) = (p / shape.w() * self.shape.h() / shape.h(), p % shape.w() * self.shape.w() / shape.w());
            let pixel = &pixels[(y * self.shape.w() + x) * c..][..c];
            match (shape.c(), pixel) {
                (3, &[r, g, b]) => vec![from_pixel(r), from_pixel(g), from_pixel(b)],
                (n, &[r, g, b]) => vec![from_pixel(grey([r, g, b].map(f32::from)).round() as u8); n],
                (n, _) => vec![from_pixel(pixel[0]); n],
            }
        };
        (0..shape.pixels()).flat_map(pixel).collect()
    }
}

/// The brightness of a colour.
fn grey(rgb: [f32; 3]) -> f32 {
    rgb.iter().zip(GREY).map(|(v, share)| v * share).sum()
}

/// The middle of a picture file as x_0, `[1, H, W, C]` in [−1, 1]: grey unless the model has three channels, transparent places
/// white as paper.
///
/// # Errors
/// One sentence, if the file is cut off or damaged, or the browser cannot read it as a picture.
pub async fn open(file: &File, shape: Shape) -> Result<Vec<f32>, String> {
    let name = file.name();
    let unreadable = || format!("“{name}” is not a picture that this browser can read");
    match whole::check(&bytes(file).await?) {
        // The browser may know what we do not.
        Ok(_) | Err(Flaw::Unknown | Flaw::Unread(_)) => {}
        Err(flaw) => return Err(format!("“{name}” cannot be used: {flaw}")),
    }
    let url = Url::create_object_url_with_blob(file).map_err(|_| unreadable())?;
    let image = HtmlImageElement::new().map_err(|_| unreadable())?;
    image.set_src(&url);
    let decoded = JsFuture::from(image.decode()).await;
    let _ = Url::revoke_object_url(&url);
    decoded.map_err(|_| unreadable())?;
    let (width, height) = (image.natural_width() as usize, image.natural_height() as usize);
    if width == 0 || height == 0 {
        return Err(format!("“{name}” is a picture without a size"));
    }
    rescale(&image, width, height, shape).ok_or_else(unreadable)
}

/// What is in a file.
async fn bytes(file: &File) -> Result<Vec<u8>, String> {
    let name = file.name();
    if file.size() > LARGEST {
        return Err(format!("“{name}” has {:.0} MB, expected at most {:.0}", file.size() / 1e6, LARGEST / 1e6));
    }
    let buffer = JsFuture::from(file.array_buffer()).await;
    let buffer = buffer.map_err(|error| format!("“{name}” could not be read: {}", dom::reason(&error)))?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

/// The largest part of the picture with the model's proportions, averaged down to its size.
fn rescale(image: &HtmlImageElement, width: usize, height: usize, shape: Shape) -> Option<Vec<f32>> {
    let (h, w) = (shape.h(), shape.w());
    let scale = (width as f64 / w as f64).min(height as f64 / h as f64);
    let (cut_w, cut_h) = (scale * w as f64, scale * h as f64);
    let (left, top) = ((width as f64 - cut_w) / 2.0, (height as f64 - cut_h) / 2.0);
    // The browser brings it near, then every pixel is the mean of a k×k block.
    let k = (scale.ceil() as usize).clamp(1, (LOOK / h.max(w)).max(1));
    let canvas: HtmlCanvasElement = dom::create("canvas");
    canvas.set_width((k * w) as u32);
    canvas.set_height((k * h) as u32);
    let context = paint::context(&canvas)?;
    context.set_fill_style_str("#fff");
    context.fill_rect(0.0, 0.0, (k * w) as f64, (k * h) as f64);
    let (to_w, to_h) = ((k * w) as f64, (k * h) as f64);
    context
        .draw_image_with_html_image_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            image, left, top, cut_w, cut_h, 0.0, 0.0, to_w, to_h,
        )
        .ok()?;
    let rgba = context.get_image_data(0.0, 0.0, to_w, to_h).ok()?.data().0;
    let mut values = Vec::with_capacity(shape.len());
    for p in 0..shape.pixels() {
        let mut sum = [0.0; 3];
        for i in 0..k * k {
            let (y, x) = (p / w * k + i / k, p % w * k + i % k);
            let at = 4 * (y * k * w + x);
            (0..3).for_each(|c| sum[c] += f32::from(rgba[at + c]));
        }
        let rgb = sum.map(|sum| sum / (k * k) as f32);
        let pixel = if shape.c() == 3 { rgb.to_vec() } else { vec![grey(rgb); shape.c()] };
        values.extend(pixel.iter().map(|v| v.round()).map(|v| from_pixel(v as u8)));
    }
    Some(values)
}
