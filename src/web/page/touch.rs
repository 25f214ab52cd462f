//! Sliders under a finger: a swipe along the page that begins on one scrolls the page and leaves the slider alone. Only a finger
//! that moves sideways drags it, or one that taps it. The style sheet's `touch-action: pan-y` leaves the scrolling to the browser.

use super::dom;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement, PointerEvent};

/// A finger has decided what it does after so many CSS pixels.
const DECIDED: f64 = 6.0;

/// A finger on a slider.
struct Touch {
    slider: HtmlInputElement,
    pointer: i32,
    from: (f64, f64),
    /// What the slider was at before, and what the browser has made of it since.
    value: String,
    wanted: Option<String>,
    /// It drags the slider.
    sideways: bool,
}

impl Touch {
    fn of(event: &Event) -> Option<Self> {
        let event: &PointerEvent = event.dyn_ref()?;
        // A handle of the curve goes up and down, and the page does not scroll under it.
        let upright = |slider: &HtmlInputElement| slider.closest("#hand").is_ok_and(|hand| hand.is_some());
        let slider = slider_of(event).filter(|slider| event.pointer_type() != "mouse" && !upright(slider))?;
        let from = (event.client_x().into(), event.client_y().into());
        let value = slider.value();
        Some(Self { slider, pointer: event.pointer_id(), from, value, wanted: None, sideways: false })
    }

    /// What the slider shows from now on, as if it had been dragged there.
    fn settle(&self, value: &str) {
        if self.slider.value() != value {
            self.slider.set_value(value);
            if let Ok(input) = Event::new("input") {
                let _ = self.slider.dispatch_event(&input);
            }
        }
    }
}

fn slider_of(event: &Event) -> Option<HtmlInputElement> {
    event.target()?.dyn_into::<HtmlInputElement>().ok().filter(|input| input.type_() == "range")
}

/// Watches over every slider of the page.
pub fn guard_sliders() {
    let held: Rc<RefCell<Option<Touch>>> = Rc::default();
    let on = |name: &str, act: fn(&mut Option<Touch>, &Event)| {
        let held = held.clone();
        // While the page is told of a value by a slider that is let go, the finger is not held any more.
        dom::on_capture(&dom::document(), name, move |event| {
            if let Ok(mut held) = held.try_borrow_mut() {
                act(&mut held, &event);
            }
        });
    };
    on("pointerdown", |held, event| *held = Touch::of(event));
    on("pointermove", |held, event| {
        if let (Some(touch), Some(event)) = (held, event.dyn_ref::<PointerEvent>())
            && event.pointer_id() == touch.pointer
        {
            let across = (f64::from(event.client_x()) - touch.from.0).abs();
            let along = (f64::from(event.client_y()) - touch.from.1).abs();
            touch.sideways |= across > DECIDED && across > along;
        }
    });
    on("input", |held, event| {
        let Some(touch) = held.as_mut().filter(|touch| !touch.sideways) else { return };
        if slider_of(event).as_ref() == Some(&touch.slider) {
            event.stop_immediate_propagation();
            touch.wanted = Some(touch.slider.value());
            touch.slider.set_value(&touch.value);
        }
    });
    // A finger that is lifted where it came down has tapped.
    on("pointerup", |held, _| {
        if let Some(touch) = held.take().filter(|touch| !touch.sideways)
            && let Some(wanted) = &touch.wanted
        {
            touch.settle(wanted);
        }
    });
    // The browser has taken the finger for a scroll.
    on("pointercancel", |held, _| {
        if let Some(touch) = held.take() {
            touch.settle(&touch.value);
        }
    });
}
