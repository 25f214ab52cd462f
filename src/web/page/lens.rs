//! The lens: a pointer over a picture puts it over a pixel, and two numbers do so for whoever has none. A press on a film's tile
//! jumps there.

use super::{Shared, dispatch, dom};
use crate::web::app::Message;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlCanvasElement, PointerEvent};

/// Connects it.
pub fn listen(shared: &Shared) {
    for name in ["pointermove", "pointerdown"] {
        let page = shared.clone();
        dom::on(&dom::document(), name, move |event| {
            // A finger that moves scrolls; one that taps points.
            let Some(event) = event.dyn_ref::<PointerEvent>() else { return };
            if event.type_() == "pointermove" && event.pointer_type() == "touch" {
                return;
            }
            if let Some(pixel) = under(&page, event).filter(|pixel| *pixel != page.borrow().app.common.lens) {
                dispatch(&page, Message::Point(pixel));
            }
        });
    }
    for id in ["lens-x", "lens-y"] {
        let page = shared.clone();
        dom::on(&dom::by_id::<Element>(id), "input", move |_| {
            let at = |id| dom::input(id).value().parse::<usize>().ok();
            let (Some(column), Some(row)) = (at("lens-x"), at("lens-y")) else { return };
            let [_, height, width, _] = page.borrow().app.common.shape.0;
            dispatch(&page, Message::Point([column.min(width - 1), row.min(height - 1)]));
        });
    }
    for (id, message) in [("film-strip", Message::TimeTile as fn(usize) -> Message), ("run-strip", Message::FilmTile)] {
        let page = shared.clone();
        dom::on(&dom::by_id::<Element>(id), "click", move |event| {
            let Some(event) = event.dyn_ref::<PointerEvent>() else { return };
            let canvas: HtmlCanvasElement = dom::by_id(id);
            let width = page.borrow().app.common.shape.w() as f64;
            let tile = part(&canvas, event)[0] * f64::from(canvas.width()) / width;
            dispatch(&page, message(tile.max(0.0) as usize));
        });
    }
}

/// Where on an element a pointer is, in parts of its width and height.
fn part(element: &Element, event: &PointerEvent) -> [f64; 2] {
    let place = element.get_bounding_client_rect();
    [
        (f64::from(event.client_x()) - place.left()) / place.width().max(1.0),
        (f64::from(event.client_y()) - place.top()) / place.height().max(1.0),
    ]
}

/// The column and row of the pixel that a pointer is over, in whichever of the images side by side on that canvas.
fn under(page: &Shared, event: &Event) -> Option<[usize; 2]> {
    let event: &PointerEvent = event.dyn_ref()?;
    let around = event.target()?.dyn_into::<Element>().ok()?.closest("[data-lens]").ok()??;
    let canvas: HtmlCanvasElement = around.query_selector("canvas").ok()??.dyn_into().ok()?;
    let [_, height, width, _] = page.borrow().app.common.shape.0;
    let [x, y] = part(&canvas, event);
    let pixel = |part: f64, all: u32, size: usize| {
        let at = (part * f64::from(all)).floor();
        (at >= 0.0 && at < f64::from(all)).then(|| at as usize % size.max(1))
    };
    Some([pixel(x, canvas.width(), width)?, pixel(y, canvas.height(), height)?])
}
