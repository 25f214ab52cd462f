//! A drawing pad under a mouse, a pen, a finger or keys, and the panel that it lies in. What a hand does within a frame is told at
//! once: a pen moves several times as often as a screen shows it.

use super::{Shared, dispatch, dom};
use crate::web::app::Message;
use crate::web::draw::Act;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Element, Event, HtmlElement, HtmlInputElement, KeyboardEvent, Node, PointerEvent};

/// The panel, its button, and the place of both.
const PANEL: &str = "draw-panel";
const BUTTON: &str = "draw";
const PLACE: &str = "drawing";

/// A hand on the pad.
#[derive(Default)]
struct Hand {
    /// Which pointer draws: of two fingers the first.
    pointer: Option<i32>,
    /// Where it has been since the last frame.
    places: Vec<[f32; 2]>,
    /// The next frame will tell.
    awaits: bool,
}

/// Connects the pad, its tools and its panel.
pub fn listen(shared: &Shared) {
    let act = |act: Act| Message::Draw(act);
    watch(shared, "pad", act);
    let on = |id: &'static str, name: &str, made: fn(&Event) -> Option<Act>| {
        let (page, element) = (shared.clone(), dom::by_id::<Element>(id));
        dom::on(&element.clone(), name, move |event| {
            if let Some(made) = made(&event).filter(|_| !dom::is_off(&element)) {
                dispatch(&page, act(made));
            }
        });
    };
    on("undo", "click", |_| Some(Act::Undo));
    on("clear", "click", |_| Some(Act::Clear));
    on("brush", "input", |_| Some(Act::Erase(false)));
    on("eraser", "input", |_| Some(Act::Erase(true)));
    on("colours", "input", |event| Some(Act::Colour(radio(event)?.value().parse().ok()?)));
    let page = shared.clone();
    dom::on(&dom::by_id::<Element>("forget"), "click", move |_| dispatch(&page, Message::Forget));
    // The visitor's own picture is no sample, and has no number.
    let page = shared.clone();
    dom::on_capture(&dom::by_id::<Element>("thumbs"), "input", move |event| {
        if radio(&event).is_some_and(|radio| radio.value().is_empty()) {
            event.stop_propagation();
            dispatch(&page, Message::ChooseOwn);
        }
    });
    fold(shared);
}

fn radio(event: &Event) -> Option<HtmlInputElement> {
    event.target()?.dyn_into().ok()
}

/// Opens the panel and closes it: by its button, Escape, and a click somewhere else.
fn fold(shared: &Shared) {
    dom::on(&dom::by_id::<Element>(BUTTON), "click", |_| {
        let open = !is_open();
        show(open);
        if open {
            let _ = dom::by_id::<HtmlElement>("pad").focus();
        }
    });
    let page = shared.clone();
    dom::on_capture(&dom::document(), "keydown", move |event| {
        if is_open() && key(&event).as_deref() == Some("Escape") {
            // The run goes on.
            event.prevent_default();
            dispatch(&page, Message::Draw(Act::Up));
            show(false);
            let _ = dom::by_id::<HtmlElement>(BUTTON).focus();
        }
    });
    // A stroke that ends beside the panel is no click there.
    let began_inside = Rc::new(Cell::new(false));
    let began = began_inside.clone();
    dom::on_capture(&dom::document(), "pointerdown", move |event| began.set(is_inside(&event)));
    dom::on(&dom::document(), "click", move |event| {
        if !is_inside(&event) && !began_inside.get() {
            show(false);
        }
    });
}

fn is_open() -> bool {
    !dom::by_id::<HtmlElement>(PANEL).hidden()
}

fn show(open: bool) {
    dom::set_shown(PANEL, open);
    dom::set_attribute(&dom::by_id(BUTTON), "aria-expanded", if open { "true" } else { "false" });
}

fn is_inside(event: &Event) -> bool {
    let target = event.target().and_then(|target| target.dyn_into::<Node>().ok());
    dom::by_id::<Node>(PLACE).contains(target.as_ref())
}

fn key(event: &Event) -> Option<String> {
    event.dyn_ref::<KeyboardEvent>().map(KeyboardEvent::key)
}

/// Tells the page what is done on the pad of that id.
pub fn watch(shared: &Shared, id: &'static str, message: fn(Act) -> Message) {
    let pad: Element = dom::by_id(id);
    let hand: Rc<RefCell<Hand>> = Rc::default();
    let tell = {
        let (page, hand) = (shared.clone(), hand.clone());
        move |act: Option<Act>| {
            let places = std::mem::take(&mut hand.borrow_mut().places);
            if !places.is_empty() {
                dispatch(&page, message(Act::Move(places)));
            }
            act.into_iter().for_each(|act| dispatch(&page, message(act)));
        }
    };
    let (held, told, element) = (hand.clone(), tell.clone(), pad.clone());
    dom::on(&pad, "pointerdown", move |event| {
        let Some(event) = event.dyn_ref::<PointerEvent>() else { return };
        if held.borrow().pointer.is_some() || event.button() != 0 {
            return;
        }
        held.borrow_mut().pointer = Some(event.pointer_id());
        let _ = element.set_pointer_capture(event.pointer_id());
        told(Some(Act::Down(place(&element, event))));
    });
    let (held, told, element) = (hand.clone(), tell.clone(), pad.clone());
    dom::on(&pad, "pointermove", move |event| {
        let Some(event) = event.dyn_ref::<PointerEvent>().filter(|event| holds(&held, event)) else { return };
        let mut hand = held.borrow_mut();
        hand.places.extend(all_of(event).iter().map(|event| place(&element, event)));
        if !std::mem::replace(&mut hand.awaits, true) {
            let (held, told) = (held.clone(), told.clone());
            let frame = Closure::once_into_js(move || {
                held.borrow_mut().awaits = false;
                told(None);
            });
            let _ = dom::window().request_animation_frame(frame.unchecked_ref());
        }
    });
    for (name, act) in [("pointerup", Act::Up), ("pointercancel", Act::Cancel)] {
        let (held, told) = (hand.clone(), tell.clone());
        dom::on(&pad, name, move |event| {
            if event.dyn_ref::<PointerEvent>().is_some_and(|event| holds(&held, event)) {
                held.borrow_mut().pointer = None;
                told(Some(act.clone()));
            }
        });
    }
    let told = tell.clone();
    dom::on(&pad, "keydown", move |event| {
        let Some(event) = event.dyn_ref::<KeyboardEvent>() else { return };
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let act = match event.key().as_str() {
            "ArrowLeft" => Act::Step([-1, 0]),
            "ArrowRight" => Act::Step([1, 0]),
            "ArrowUp" => Act::Step([0, -1]),
            "ArrowDown" => Act::Step([0, 1]),
            // Held, or pressed once to begin and once to end.
            " " | "Enter" if !event.repeat() => Act::Press,
            " " | "Enter" => return event.prevent_default(),
            _ => return,
        };
        event.prevent_default();
        told(Some(act));
    });
    let told = tell.clone();
    dom::on(&pad, "keyup", move |event| {
        if key(&event).as_deref() == Some(" ") {
            told(Some(Act::Up));
        }
    });
    let held = hand.clone();
    dom::on(&pad, "blur", move |_| {
        if held.borrow().pointer.is_none() {
            tell(Some(Act::Up));
        }
    });
}

fn holds(hand: &Rc<RefCell<Hand>>, event: &PointerEvent) -> bool {
    hand.borrow().pointer == Some(event.pointer_id())
}

/// Where a pointer is within the pad, [0, 1]² in its bounds.
fn place(pad: &Element, event: &PointerEvent) -> [f32; 2] {
    let bounds = pad.get_bounding_client_rect();
    let share = |at: i32, from: f64, length: f64| ((f64::from(at) - from) / length.max(1.0)) as f32;
    [share(event.client_x(), bounds.left(), bounds.width()), share(event.client_y(), bounds.top(), bounds.height())]
}

/// The moves of which the browser has made this one, where it tells of them.
fn all_of(event: &PointerEvent) -> Vec<PointerEvent> {
    let there = js_sys::Reflect::has(event, &"getCoalescedEvents".into()).unwrap_or_default();
    let all = if there { event.get_coalesced_events().to_vec() } else { Vec::new() };
    let all: Vec<PointerEvent> = all.into_iter().filter_map(|event| event.dyn_into().ok()).collect();
    if all.is_empty() { vec![event.clone()] } else { all }
}
