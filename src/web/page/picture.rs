//! Pictures for x_0 that the browser decodes: a model's own samples, and whatever the visitor brings.

use super::{dom, paint};
use crate::data::fit::{self, Part, Pixels};
use crate::data::whole::{self, Flaw};
use crate::tensor::Shape;
use crate::web::model::Samples;
use crate::web::models::Entry;
use crate::web::noise::own::{LARGEST as KEPT, Picture};
use js_sys::Uint8Array;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, HtmlCanvasElement, HtmlImageElement, Url};

/// Where the samples of other models lie.
const FOLDER: &str = "samples/";
/// Sample pictures have at most this many pixels across.
const LARGEST_SAMPLE: usize = 1024;
/// A canvas has at most this many pixels across: browsers on phones refuse larger ones. Of a larger picture they make a smaller.
const CANVAS: usize = 4096;
/// Bytes of the largest file that is read.
const LARGEST: f64 = 100e6;

/// The sample pictures of a model: one row of square pictures. The digits, where it has none.
///
/// # Errors
/// One sentence, if they are not there or no such row.
pub async fn samples(entry: &Entry) -> Result<Samples, String> {
    if entry.pictures.is_empty() {
        return Ok(Samples::digits());
    }
    let address = format!("{FOLDER}{}.png", entry.name);
    let unusable = || format!("{address} does not hold {} square pictures in a row", entry.pictures.len());
    let image = HtmlImageElement::new().map_err(|_| unusable())?;
    image.set_src(&address);
    JsFuture::from(image.decode()).await.map_err(|_| unusable())?;
    let (n, side) = (entry.pictures.len(), image.natural_height() as usize);
    if side == 0 || side > LARGEST_SAMPLE || image.natural_width() as usize != n * side {
        return Err(unusable());
    }
    let mut bytes = Vec::with_capacity(n * side * side * 3);
    for i in 0..n {
        let part = Part { top: 0, left: i * side, height: side, width: side };
        let (rgba, size) = pixels_of(&image, part).ok_or_else(unusable)?;
        bytes.extend(fit::fit(&Pixels::new(&rgba, size, 4).ok_or_else(unusable)?, [side; 2], 3));
    }
    Ok(Samples::new(bytes, Shape::new(1, side, side, 3), entry.pictures.clone()))
}

/// The part of a picture file that a model of this shape wants: its middle, and no more pixels than are kept. What training makes of
/// such pixels is x_0 (see [`fit`]).
///
/// # Errors
/// One sentence, if the file is cut off or damaged, or the browser cannot read it as a picture.
pub async fn open(file: &File, shape: Shape) -> Result<Picture, String> {
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
    // Only what is to be seen is decoded into our own memory.
    let part = fit::part([height, width], [shape.h(), shape.w()]);
    let (rgba, found) = pixels_of(&image, part).ok_or_else(unreadable)?;
    let picture = Pixels::new(&rgba, found, 4).ok_or_else(unreadable)?;
    let longer = found[0].max(found[1]).max(KEPT);
    let size = found.map(|side| (side * KEPT / longer).max(1));
    Ok(Picture { size, rgb: fit::fit_part(&picture, size, 3) })
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

/// A part of a picture as RGBA bytes `[H, W, 4]`, with H and W: those of the part, unless a canvas cannot be so large.
fn pixels_of(image: &HtmlImageElement, part: Part) -> Option<(Vec<u8>, [usize; 2])> {
    let shrink = part.height.max(part.width).div_ceil(CANVAS).max(1);
    let [height, width] = [part.height, part.width].map(|side| (side / shrink).max(1));
    let canvas: HtmlCanvasElement = dom::create("canvas");
    canvas.set_width(width as u32);
    canvas.set_height(height as u32);
    let context = paint::context(&canvas)?;
    let (to_w, to_h) = (width as f64, height as f64);
    let [left, top, part_w, part_h] = [part.left, part.top, part.width, part.height].map(|side| side as f64);
    context
        .draw_image_with_html_image_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            image, left, top, part_w, part_h, 0.0, 0.0, to_w, to_h,
        )
        .ok()?;
    Some((context.get_image_data(0.0, 0.0, to_w, to_h).ok()?.data().0, [height, width]))
}
