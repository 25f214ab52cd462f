//! Keys and the wheel: Enter in a number generates, Escape stops, and the wheel scrolls the page, over a number as well.

use super::{Shared, chance, dispatch, dom};
use crate::web::app::Message;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Element, Event, HtmlInputElement, KeyboardEvent};

/// Connects them.
pub fn listen(shared: &Shared) {
    let page = shared.clone();
    dom::on(&dom::document(), "keydown", move |event| {
        // Escape first leaves what is open inside the page or the browser: a list of choices, a word being written.
        if key(&event) == Some("Escape".to_owned()) {
            dispatch(&page, Message::Stop);
        }
    });
    let page = shared.clone();
    dom::on(&dom::by_id::<Element>("generate"), "keydown", move |event| {
        if key(&event) == Some("Enter".to_owned()) && number_of(&event).is_some() {
            dispatch(&page, Message::Generate(chance()));
        }
    });
    dom::on_capture(&dom::document(), "wheel", |event| {
        if let Some(number) = number_of(&event).filter(|number| !number.read_only()) {
            keep(number);
        }
    });
}

/// The key, unless somebody has made use of it already or it writes a word.
fn key(event: &Event) -> Option<String> {
    let event: &KeyboardEvent = event.dyn_ref()?;
    (!event.default_prevented() && !event.is_composing() && !event.repeat()).then(|| event.key())
}

fn number_of(event: &Event) -> Option<HtmlInputElement> {
    event.target()?.dyn_into::<HtmlInputElement>().ok().filter(|input| input.type_() == "number")
}

/// Keeps a number from this turn of the wheel: browsers turn none that is read-only, and scroll the page instead.
fn keep(number: HtmlInputElement) {
    number.set_read_only(true);
    let release = Closure::once_into_js(move || number.set_read_only(false));
    let _ = dom::window().set_timeout_with_callback(release.unchecked_ref());
}
