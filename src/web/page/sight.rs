//! The status line stays in sight: its place is beside Generate, and while that is somewhere else it lies at the foot of the window.

use super::dom;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Element, HtmlElement, IntersectionObserver, IntersectionObserverEntry, ResizeObserver};

/// Moves the status line with the visitor.
pub fn follow() {
    let seen = Closure::<dyn FnMut(js_sys::Array)>::new(|entries: js_sys::Array| {
        let entry = entries.pop().dyn_into::<IntersectionObserverEntry>();
        entry.into_iter().for_each(|entry| place(!entry.is_intersecting()));
    });
    if let Ok(observer) = IntersectionObserver::new(seen.as_ref().unchecked_ref()) {
        observer.observe(&dom::by_id::<Element>("go"));
        seen.forget();
    }
    let grown = Closure::<dyn FnMut()>::new(make_room);
    if let Ok(observer) = ResizeObserver::new(grown.as_ref().unchecked_ref()) {
        observer.observe(&dom::by_id("status"));
        grown.forget();
    }
}

fn place(afar: bool) {
    let home: HtmlElement = dom::by_id("status-place");
    // Its place keeps its height, or what lies below would move, and Generate with it into sight and out again.
    let height = if afar { format!("{}px", home.offset_height()) } else { String::new() };
    dom::set_variable(&home, "min-height", &height);
    dom::set_class("status", "afar", afar);
    make_room();
}

/// Tells the style sheet how much of the window's foot the line takes.
fn make_room() {
    let line: HtmlElement = dom::by_id("status");
    let height = if line.class_list().contains("afar") { line.offset_height() } else { 0 };
    if let Some(root) = dom::document().document_element().and_then(|root| root.dyn_into::<HtmlElement>().ok()) {
        dom::set_variable(&root, "--foot", &format!("{height}px"));
    }
}
