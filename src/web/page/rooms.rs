//! The bar's rooms: which one the visitor is in, how to get to another, and how much room a film has.

use super::{Shared, dispatch, dom};
use crate::web::app::Message;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{
    Element, IntersectionObserver, IntersectionObserverEntry, IntersectionObserverInit, ScrollIntoViewOptions,
    ScrollLogicalPosition,
};

/// A window is narrow up to here, as in the style sheet.
const NARROW: &str = "(max-width: 760px)";

/// Connects them.
pub fn listen(shared: &Shared) {
    let advanced: Element = dom::by_id("advanced");
    dom::on(&advanced.clone(), "click", move |_| {
        let open = advanced.get_attribute("aria-expanded").as_deref() == Some("true");
        dom::set_attribute(&advanced, "aria-expanded", if open { "false" } else { "true" });
    });
    watch();
    let narrow = |shared: &Shared| {
        let query = dom::window().match_media(NARROW).ok().flatten();
        let narrow = query.as_ref().is_some_and(|query| query.matches());
        dispatch(shared, Message::Narrow(narrow));
        query
    };
    if let Some(query) = narrow(shared) {
        let page = shared.clone();
        dom::on(&query, "change", move |_| drop(narrow(&page)));
    }
}

/// The bar's links to rooms.
fn links() -> Vec<Element> {
    let found = dom::document().query_selector_all(".rooms a").ok();
    let links = found.iter().flat_map(|found| (0..found.length()).filter_map(|i| found.item(i)?.dyn_into().ok()));
    links.collect()
}

/// Brings the pictures into sight where a screen is too small for them and the button.
pub fn show_pictures() {
    let narrow = dom::window().match_media(NARROW).ok().flatten().is_some_and(|query| query.matches());
    if narrow {
        let options = ScrollIntoViewOptions::new();
        options.set_block(ScrollLogicalPosition::Nearest);
        dom::by_id::<Element>("grid").scroll_into_view_with_scroll_into_view_options(&options);
    }
}

/// Marks the room that takes up the middle of the window.
fn watch() {
    let seen = Closure::<dyn FnMut(js_sys::Array)>::new(|entries: js_sys::Array| {
        for entry in entries.iter().filter_map(|entry| entry.dyn_into::<IntersectionObserverEntry>().ok()) {
            if entry.is_intersecting() {
                mark(&entry.target());
            }
        }
    });
    let options = IntersectionObserverInit::new();
    options.set_root_margin("-45% 0px -50% 0px");
    let Ok(observer) = IntersectionObserver::new_with_options(seen.as_ref().unchecked_ref(), &options) else { return };
    links()
        .iter()
        .filter_map(|link| dom::document().get_element_by_id(&hash(link)))
        .for_each(|room| observer.observe(&room));
    seen.forget();
}

/// The room that a link leads to.
fn hash(link: &Element) -> String {
    link.get_attribute("href").unwrap_or_default().trim_start_matches('#').to_owned()
}

fn mark(room: &Element) {
    for link in links() {
        let (to, here) = (hash(&link), hash(&link) == room.id());
        dom::set_class(&to, "here", here);
        if here {
            dom::set_attribute(&link, "aria-current", "location");
        } else {
            let _ = link.remove_attribute("aria-current");
        }
    }
}
