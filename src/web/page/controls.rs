//! Between the table of controls and their elements: what they say goes to the page, and what it makes of it comes back.

use super::dom::{self, Last};
use super::{Shared, dispatch};
use crate::web::app::{App, Common, Message};
use crate::web::controls::{CONTROLS, Kind};
use crate::web::model::Samples;
use crate::web::settings::{Limits, Settings};
use std::rc::Rc;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlInputElement, HtmlSelectElement};

/// Listens to every control.
pub fn listen(page: &Shared) {
    for control in CONTROLS {
        let Some(id) = control.id else { continue };
        let element: Element = dom::by_id(id);
        let shared = page.clone();
        dom::on(&element, "input", move |_| {
            if let Some(text) = read(id) {
                dispatch(&shared, Message::Control(id, text));
            }
        });
        let shared = page.clone();
        dom::on(&element, "change", move |_| dispatch(&shared, Message::Committed(id)));
    }
}

/// What a control says.
fn read(id: &str) -> Option<String> {
    let element: Element = dom::by_id(id);
    if let Some(select) = element.dyn_ref::<HtmlSelectElement>() {
        return Some(select.value());
    }
    match element.dyn_ref::<HtmlInputElement>() {
        Some(input) if input.type_() == "checkbox" => Some(input.checked().to_string()),
        Some(input) => Some(input.value()),
        None => dom::inputs(&element).into_iter().find(HtmlInputElement::checked).map(|radio| radio.value()),
    }
}

/// What decides what the controls show.
#[derive(PartialEq)]
struct Shown {
    settings: Settings,
    limits: Limits,
    /// Ids of those that say what they cannot mean.
    invalid: Vec<&'static str>,
    /// The model that was chosen and is coming.
    coming: Option<String>,
    /// What can be chosen, which sections build: models, and samples by where they lie.
    models: usize,
    samples: *const Samples,
}

/// What the controls show.
#[derive(Default)]
pub struct View(Last<Shown>);

impl View {
    /// Shows every control as the settings have it, if any of them are new.
    pub fn show(&mut self, app: &App) {
        let cx = &app.common;
        let coming = app.machine.download.as_ref().filter(|download| download.by_hand);
        let shown = Shown {
            settings: cx.settings.clone(),
            limits: cx.limits(),
            invalid: cx.invalid.iter().map(|(id, _)| *id).collect(),
            coming: coming.map(|download| download.name.clone()),
            models: app.machine.models.len(),
            samples: Rc::as_ptr(&cx.samples),
        };
        let coming = shown.coming.clone();
        if self.0.differs(shown) {
            show(cx, coming);
        }
    }
}

/// One that says what it cannot mean is left as it is, and marked.
fn show(cx: &Common, coming: Option<String>) {
    for control in CONTROLS {
        let Some(id) = control.id else { continue };
        let most = match control.kind {
            Kind::Timesteps(_) => Some(cx.limits().timesteps),
            Kind::Time => Some(cx.settings.last(cx.limits().timesteps)),
            _ => None,
        };
        if let Some(most) = most {
            dom::set_attribute(&dom::by_id(id), "max", &most.to_string());
        }
        let text = control.text(&cx.settings);
        let text = match id {
            "model" => coming.clone().unwrap_or(text),
            "timesteps" => cx.settings.last(cx.limits().timesteps).to_string(),
            "class" if cx.limits().classes == 0 => "each".to_owned(),
            _ => text,
        };
        let element: Element = dom::by_id(id);
        if let Some(select) = element.dyn_ref::<HtmlSelectElement>() {
            if select.value() != text {
                select.set_value(&text);
            }
        } else if let Some(input) = element.dyn_ref::<HtmlInputElement>() {
            show_input(input, &text, cx.invalid.iter().any(|(other, _)| *other == id));
        } else {
            dom::check_radio(&element, &text);
        }
    }
}

fn show_input(input: &HtmlInputElement, text: &str, invalid: bool) {
    if input.type_() == "checkbox" {
        return input.set_checked(text == "true");
    }
    if invalid {
        return dom::set_attribute(input, "aria-invalid", "true");
    }
    let _ = input.remove_attribute("aria-invalid");
    // Who types 1.50 is not to find 1.5 under the fingers.
    let number = |text: &str| text.trim().parse::<f64>().ok();
    if number(&input.value()) != number(text) {
        input.set_value(text);
    }
    if input.type_() == "range" {
        dom::fill(input);
    }
}
