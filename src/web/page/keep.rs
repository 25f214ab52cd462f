//! What the browser keeps of the visitor's own picture, for the next time the page is opened.

use super::dom;
use web_sys::Storage;

/// Under which name.
const NAME: &str = "noisette-own-picture";

/// The browser's storage; some browsers have none, or none for this visit.
fn storage() -> Option<Storage> {
    dom::window().local_storage().ok().flatten()
}

/// What is kept.
pub fn read() -> Option<String> {
    storage()?.get_item(NAME).ok().flatten()
}

/// Keeps a text in the place of what was kept, or nothing; false if the browser does not.
pub fn write(text: Option<&str>) -> bool {
    // An old picture is none of the visitor's any more, whatever becomes of the new one.
    let removed = storage().map(|storage| (storage.remove_item(NAME), storage));
    match (text, removed) {
        (None, _) => true,
        (Some(text), Some((_, storage))) => storage.set_item(NAME, text).is_ok(),
        (Some(_), None) => false,
    }
}
