//! What the visitor takes away: a link, and the files that Save offers, of which the button opens three choices.

use super::{Shared, dispatch, dom, panels, place};
use crate::web::app::Message;
use crate::web::save::{File, What};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, BlobPropertyBag, Element, HtmlAnchorElement, Url};

/// The choices, by their buttons.
const CHOICES: [(&str, What); 3] =
    [("save-pictures", What::Pictures), ("save-run", What::Run), ("save-settings", What::Settings)];
/// Milliseconds until a browser has surely taken a file.
const TAKEN: i32 = 60_000;

/// Connects them.
pub fn listen(shared: &Shared) {
    for (id, what) in CHOICES {
        let page = shared.clone();
        dom::on(&dom::by_id::<Element>(id), "click", move |_| {
            panels::close("save");
            dispatch(&page, Message::Save(what, place()));
        });
    }
}

/// Hands a file to the visitor.
///
/// # Errors
/// One sentence, where the browser refuses.
pub fn hand_over(file: &File) -> Result<(), String> {
    let refused = |error| format!("the browser does not take {}: {}", file.name, dom::reason(&error));
    let options = BlobPropertyBag::new();
    options.set_type(file.kind);
    let parts = Array::of1(&Uint8Array::from(&file.bytes[..]));
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &options).map_err(refused)?;
    let url = Url::create_object_url_with_blob(&blob).map_err(refused)?;
    let link: HtmlAnchorElement = dom::create("a");
    link.set_href(&url);
    link.set_download(&file.name);
    link.click();
    let free = Closure::once_into_js(move || drop(Url::revoke_object_url(&url)));
    let _ = dom::window().set_timeout_with_callback_and_timeout_and_arguments_0(free.unchecked_ref(), TAKEN);
    Ok(())
}

/// Copies a link.
pub async fn copy(page: Shared, link: String) {
    let clipboard = dom::window().navigator().clipboard();
    // Browsers keep the clipboard from pages that did not come over https.
    let there = !JsValue::from(&clipboard).is_undefined();
    let copied = there && JsFuture::from(clipboard.write_text(&link)).await.is_ok();
    dispatch(&page, Message::Copied(copied));
}
