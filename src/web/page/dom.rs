//! The few things the page asks of the DOM.

use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, Element, Event, EventTarget, HtmlElement, HtmlInputElement, HtmlSelectElement, Window};

/// The window; there is one, or this would be the worker.
pub fn window() -> Window {
    web_sys::window().expect("the page has a window")
}

/// The document.
pub fn document() -> Document {
    window().document().expect("a window has a document")
}

/// The element of index.html with that id.
pub fn by_id<T: JsCast>(id: &str) -> T {
    let element = document().get_element_by_id(id);
    element.and_then(|e| e.dyn_into().ok()).unwrap_or_else(|| panic!("index.html has no fitting element called {id}"))
}

/// An input.
pub fn input(id: &str) -> HtmlInputElement {
    by_id(id)
}

/// A select.
pub fn select(id: &str) -> HtmlSelectElement {
    by_id(id)
}

/// The inputs in a group.
pub fn inputs(group: &Element) -> Vec<HtmlInputElement> {
    let inputs = group.get_elements_by_tag_name("input");
    (0..inputs.length()).filter_map(|i| inputs.item(i)?.dyn_into().ok()).collect()
}

/// Whether the visitor has asked the system for less movement.
pub fn wants_calm() -> bool {
    let query = window().match_media("(prefers-reduced-motion: reduce)");
    query.ok().flatten().is_some_and(|query| query.matches())
}

/// Replaces an element's text, if it is another.
pub fn set_text(id: &str, text: &str) {
    let element: Element = by_id(id);
    if element.text_content().as_deref() != Some(text) {
        element.set_text_content(Some(text));
    }
}

/// Shows an element or hides it.
pub fn set_shown(id: &str, shown: bool) {
    by_id::<HtmlElement>(id).set_hidden(!shown);
}

/// Enables or disables a control. A button that is off only says so, as browsers take the focus from one that is disabled: who
/// has pressed it would stand at the top of the page.
pub fn set_enabled(id: &str, enabled: bool) {
    let element: Element = by_id(id);
    let (name, value) = if element.tag_name() == "BUTTON" { ("aria-disabled", "true") } else { ("disabled", "") };
    if element.has_attribute(name) != enabled {
        return;
    }
    // Removing or setting an attribute fails only for names that are none.
    let _ = if enabled { element.remove_attribute(name) } else { element.set_attribute(name, value) };
}

/// Whether a button is off.
pub fn is_off(element: &Element) -> bool {
    element.has_attribute("aria-disabled")
}

/// Adds a class to an element's or takes it away.
pub fn set_class(id: &str, class: &str, set: bool) {
    let _ = by_id::<Element>(id).class_list().toggle_with_force(class, set);
}

/// Sets an attribute.
pub fn set_attribute(element: &Element, name: &str, value: &str) {
    let _ = element.set_attribute(name, value);
}

/// Sets a CSS variable.
pub fn set_variable(element: &HtmlElement, name: &str, value: &str) {
    let _ = element.style().set_property(name, value);
}

/// Sets a slider's or a number's value, if it is another.
pub fn set_value(input: &HtmlInputElement, value: &str) {
    if input.value() != value {
        input.set_value(value);
    }
}

/// Tells the style sheet how far along its track a slider's grip is, 0…1: on what the slider lies in, so that its neighbours know.
pub fn fill(slider: &HtmlInputElement) {
    let of = |name: &str| slider.get_attribute(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let (low, high) = (of("min"), of("max"));
    let at = (slider.value_as_number() - low) / (high - low).max(1e-9);
    if let Some(around) = slider.parent_element().and_then(|around| around.dyn_into::<HtmlElement>().ok()) {
        set_variable(&around, "--p", &format!("{at:.4}"));
    }
}

/// Chooses the radio of that value in a group.
pub fn check_radio(group: &Element, value: &str) {
    inputs(group).iter().for_each(|radio| radio.set_checked(radio.value() == value));
}

/// Replaces the options of a select by these values and texts.
pub fn set_options(select: &HtmlSelectElement, options: impl IntoIterator<Item = (String, String)>) {
    select.set_text_content(None);
    options.into_iter().for_each(|(value, text)| add_option(select, &value, &text));
}

/// Remembers what was shown last, so that only what is new is built.
pub struct Last<T>(Option<T>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Last<T> {
    /// Whether this is something else than the last time.
    pub fn differs(&mut self, now: T) -> bool {
        let differs = self.0.as_ref() != Some(&now);
        self.0 = Some(now);
        differs
    }
}

/// A new element.
pub fn create<T: JsCast>(tag: &str) -> T {
    let element = document().create_element(tag).ok();
    element.and_then(|e| e.dyn_into().ok()).unwrap_or_else(|| panic!("<{tag}> is an element of another kind"))
}

/// Calls `f` at every event of that name, for as long as the page is open.
pub fn on(target: &EventTarget, name: &str, f: impl FnMut(Event) + 'static) {
    let closure = Closure::<dyn FnMut(Event)>::new(f);
    let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    closure.forget();
}

/// The same, before the event's own element hears of it.
pub fn on_capture(target: &EventTarget, name: &str, f: impl FnMut(Event) + 'static) {
    let closure = Closure::<dyn FnMut(Event)>::new(f);
    let _ = target.add_event_listener_with_callback_and_bool(name, closure.as_ref().unchecked_ref(), true);
    closure.forget();
}

fn add_option(select: &HtmlSelectElement, value: &str, text: &str) {
    let option: web_sys::HtmlOptionElement = create("option");
    option.set_value(value);
    option.set_text(text);
    let _ = select.append_child(&option);
}

/// The text of a JavaScript error.
pub fn reason(error: &JsValue) -> String {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    message.or_else(|| error.as_string()).unwrap_or_else(|| format!("{error:?}"))
}

/// Writes text with `_{…}` for subscripts as the element's content.
pub fn set_math(element: &Element, text: &str) {
    element.set_text_content(None);
    for (i, part) in text.split("_{").enumerate() {
        let rest = match part.split_once('}').filter(|_| i > 0) {
            Some((subscript, rest)) => {
                let sub: Element = create("sub");
                sub.set_text_content(Some(subscript));
                let _ = element.append_child(&sub);
                rest
            }
            None => part,
        };
        let _ = element.append_child(&document().create_text_node(rest));
    }
}

/// Milliseconds since the page was opened.
pub fn now() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}
