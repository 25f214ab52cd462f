//! A picture dropped or pasted anywhere on the page becomes x_0. A browser left alone would leave the page for what is dropped.

use super::{Shared, dom, open_own};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{ClipboardEvent, DataTransfer, DragEvent, Event, HtmlInputElement};

/// Takes what is dropped or pasted.
pub fn listen(shared: &Shared) {
    take_pasted(shared.clone());
    let page = dom::document();
    dom::on(&page, "dragover", |event| {
        if files(&event).is_some() {
            event.prevent_default();
            dom::set_class("noise", "awaits", true);
        }
    });
    dom::on(&page, "dragleave", |event| {
        // Between two elements of the page there is a second one; at its edge there is none.
        if event.dyn_ref::<DragEvent>().is_none_or(|event| event.related_target().is_none()) {
            dom::set_class("noise", "awaits", false);
        }
    });
    let shared = shared.clone();
    dom::on(&page, "drop", move |event| {
        dom::set_class("noise", "awaits", false);
        let Some(dropped) = files(&event) else { return };
        event.prevent_default();
        let file = dropped.files().and_then(|files| files.get(0));
        file.into_iter().for_each(|file| spawn_local(open_own(shared.clone(), file)));
    });
}

/// Takes a picture from the clipboard. Text goes into the field that it is pasted into.
fn take_pasted(shared: Shared) {
    dom::on(&dom::document(), "paste", move |event| {
        let clipboard = event.dyn_ref::<ClipboardEvent>().and_then(ClipboardEvent::clipboard_data);
        let Some(data) = clipboard else { return };
        let writes = event.target().is_some_and(|target| target.is_instance_of::<HtmlInputElement>());
        let Some(file) = data.files().and_then(|files| files.get(0)) else { return };
        if !(writes && data.types().includes(&"text/plain".into(), 0)) {
            event.prevent_default();
            spawn_local(open_own(shared.clone(), file));
        }
    });
}

/// What is dragged, if there are files in it: text may be dropped into a field.
fn files(event: &Event) -> Option<DataTransfer> {
    let dragged = event.dyn_ref::<DragEvent>()?.data_transfer()?;
    dragged.types().includes(&"Files".into(), 0).then_some(dragged)
}
