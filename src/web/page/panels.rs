//! Panels over the page: in an element `.opener` a button opens the `.sheet` beside it. Escape, a click somewhere else and a choice
//! inside it close it; nothing on the page moves.

use super::dom;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, KeyboardEvent, Node};

/// The buttons that open one, except the drawing pad's, which stays open while somebody draws.
const BUTTONS: [&str; 3] = ["save", "about", "by-picture"];

/// Connects them.
pub fn listen() {
    for id in BUTTONS {
        let button: HtmlElement = dom::by_id(id);
        dom::on(&button.clone(), "click", move |_| {
            if !dom::is_off(&button) {
                open(&button, sheet(&button).hidden());
            }
        });
        dom::on(&around(&dom::by_id(id)), "keydown", move |event| {
            let escape = event.dyn_ref::<KeyboardEvent>().is_some_and(|event| event.key() == "Escape");
            if escape && !sheet(&dom::by_id(id)).hidden() {
                // A run goes on.
                event.prevent_default();
                close(id);
            }
        });
    }
    dom::on(&dom::document(), "click", |event: Event| {
        let target = event.target().and_then(|target| target.dyn_into::<Node>().ok());
        for button in BUTTONS.map(dom::by_id::<HtmlElement>) {
            if !around(&button).contains(target.as_ref()) {
                open(&button, false);
            }
        }
    });
}

/// Closes the panel of this button. Who was in it stands at the button again.
pub fn close(button: &str) {
    let button: HtmlElement = dom::by_id(button);
    open(&button, false);
    let _ = button.focus();
}

fn open(button: &HtmlElement, open: bool) {
    sheet(button).set_hidden(!open);
    dom::set_attribute(button, "aria-expanded", if open { "true" } else { "false" });
}

/// The panel, which the button names.
fn sheet(button: &HtmlElement) -> HtmlElement {
    let id = button.get_attribute("aria-controls").unwrap_or_default();
    dom::by_id(&id)
}

/// Button and panel together.
fn around(button: &HtmlElement) -> Element {
    button.parent_element().unwrap_or_else(|| button.clone().into())
}
