//! Sheets of pixels onto canvases.

use super::dom;
use crate::web::sheet::Sheet;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

/// The id of a canvas, and the bytes that it shows.
type Shown = (&'static str, Rc<[u8]>);

thread_local! {
    /// What each canvas of index.html shows.
    static SHOWN: RefCell<Vec<Shown>> = RefCell::default();
}

/// Shows a sheet on the canvas of that id, if it does not show it already.
pub fn show(id: &'static str, sheet: &Sheet) {
    let shows = SHOWN.with_borrow_mut(|shown| {
        let shows = shown.iter().any(|(other, bytes)| *other == id && Rc::ptr_eq(bytes, &sheet.bytes));
        shown.retain(|(other, _)| *other != id);
        shown.push((id, sheet.bytes.clone()));
        shows
    });
    if !shows {
        draw(&dom::by_id(id), sheet);
    }
}

/// Draws a sheet.
pub fn draw(canvas: &HtmlCanvasElement, sheet: &Sheet) {
    let (rgba, [width, height]) = sheet.rgba();
    let (width, height) = (width as u32, height as u32);
    if (canvas.width(), canvas.height()) != (width, height) {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    let data = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&rgba), width, height);
    if let (Ok(data), Some(context)) = (data, context(canvas)) {
        let _ = context.put_image_data(&data, 0.0, 0.0);
    }
}

/// The canvas' 2D context.
pub fn context(canvas: &HtmlCanvasElement) -> Option<CanvasRenderingContext2d> {
    canvas.get_context("2d").ok().flatten()?.dyn_into().ok()
}
