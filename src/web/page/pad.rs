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
    // A stroke that ends beside the panel is no click there.
    let began_inside = Rc::new(Cell::new(false));
    for name in ["keydown", "pointerdown", "click"] {
        let (page, began_inside) = (shared.clone(), began_inside.clone());
        dom::on_capture(&dom::document(), name, move |event| {
            let button: HtmlElement = dom::by_id(BUTTON);
            let open = !dom::by_id::<HtmlElement>(PANEL).hidden();
            match name {
                "keydown" if open && key(&event).as_deref() == Some("Escape") => {
                    // The run goes on.
                    event.prevent_default();
                    dispatch(&page, Message::Draw(Act::Up));
                    show(false);
                    let _ = button.focus();
                }
                "pointerdown" => began_inside.set(is_inside(PLACE, &event)),
                "click" if is_inside(BUTTON, &event) => {
                    show(!open);
                    if !open {
                        let _ = dom::by_id::<HtmlElement>("pad").focus();
                    }
                }
                "click" if open && !is_inside(PLACE, &event) && !began_inside.get() => show(false),
                _ => {}
            }
        });
    }
}

fn show(open: bool) {
    dom::set_shown(PANEL, open);
    dom::set_attribute(&dom::by_id(BUTTON), "aria-expanded", if open { "true" } else { "false" });
}

fn is_inside(id: &str, event: &Event) -> bool {
    let target = event.target().and_then(|target| target.dyn_into::<Node>().ok());
    dom::by_id::<Node>(id).contains(target.as_ref())
}

fn key(event: &Event) -> Option<String> {
    event.dyn_ref::<KeyboardEvent>().map(KeyboardEvent::key)
}

/// Tells the page what is done on the pad of that id.
pub fn watch(shared: &Shared, id: &'static str, message: fn(Act) -> Message) {
    let pad: Element = dom::by_id(id);
    let (pointer, places, awaits) = Default::default();
    let hand = Rc::new(Hand { page: shared.clone(), message, pad: pad.clone(), pointer, places, awaits });
    for name in ["pointerdown", "pointermove", "pointerup", "pointercancel", "keydown", "keyup", "blur"] {
        let hand = hand.clone();
        dom::on(&pad, name, move |event| {
            if let Some(event) = event.dyn_ref::<PointerEvent>() {
                point(&hand, name, event);
            } else if let Some(event) = event.dyn_ref::<KeyboardEvent>() {
                press(&hand, name, event);
            } else if hand.pointer.get().is_none() {
                hand.tell(Some(Act::Up));
            }
        });
    }
}

/// A hand on a pad.
struct Hand {
    page: Shared,
    message: fn(Act) -> Message,
    pad: Element,
    /// Which pointer draws: of two fingers the first.
    pointer: Cell<Option<i32>>,
    /// Where it has been since the last frame.
    places: RefCell<Vec<[f32; 2]>>,
    /// The next frame will tell.
    awaits: Cell<bool>,
}

impl Hand {
    /// Tells where it has been, and what it does now.
    fn tell(&self, act: Option<Act>) {
        let places = self.places.take();
        let been = (!places.is_empty()).then_some(Act::Move(places));
        been.into_iter().chain(act).for_each(|act| dispatch(&self.page, (self.message)(act)));
    }

    /// Where a pointer is within the pad, [0, 1]² in its bounds.
    fn place(&self, event: &PointerEvent) -> [f32; 2] {
        let bounds = self.pad.get_bounding_client_rect();
        let share = |at: i32, from: f64, length: f64| ((f64::from(at) - from) / length.max(1.0)) as f32;
        [share(event.client_x(), bounds.left(), bounds.width()), share(event.client_y(), bounds.top(), bounds.height())]
    }
}

/// What a mouse, a pen or a finger does.
fn point(hand: &Rc<Hand>, name: &str, event: &PointerEvent) {
    let id = event.pointer_id();
    if name == "pointerdown" {
        if hand.pointer.get().is_none() && event.button() == 0 {
            hand.pointer.set(Some(id));
            let _ = hand.pad.set_pointer_capture(id);
            hand.tell(Some(Act::Down(hand.place(event))));
        }
        return;
    }
    if hand.pointer.get() != Some(id) {
        return;
    }
    if name == "pointermove" {
        hand.places.borrow_mut().extend(all_of(event).iter().map(|event| hand.place(event)));
        if !hand.awaits.replace(true) {
            let hand = hand.clone();
            let frame = Closure::once_into_js(move || {
                hand.awaits.set(false);
                hand.tell(None);
            });
            let _ = dom::window().request_animation_frame(frame.unchecked_ref());
        }
        return;
    }
    hand.pointer.set(None);
    hand.tell(Some(if name == "pointerup" { Act::Up } else { Act::Cancel }));
}

/// What a key does.
fn press(hand: &Hand, name: &str, event: &KeyboardEvent) {
    let act = match (name, event.key().as_str()) {
        _ if event.ctrl_key() || event.meta_key() || event.alt_key() => return,
        ("keyup", " ") => return hand.tell(Some(Act::Up)),
        ("keyup", _) => return,
        (_, "ArrowLeft") => Some(Act::Step([-1, 0])),
        (_, "ArrowRight") => Some(Act::Step([1, 0])),
        (_, "ArrowUp") => Some(Act::Step([0, -1])),
        (_, "ArrowDown") => Some(Act::Step([0, 1])),
        // Space is held; Enter is pressed once to begin and once to end.
        (_, " " | "Enter") => (!event.repeat()).then_some(Act::Press),
        _ => return,
    };
    event.prevent_default();
    hand.tell(act);
}

/// The moves of which the browser has made this one, where it tells of them.
fn all_of(event: &PointerEvent) -> Vec<PointerEvent> {
    let there = js_sys::Reflect::has(event, &"getCoalescedEvents".into()).unwrap_or_default();
    let all = if there { event.get_coalesced_events().to_vec() } else { Vec::new() };
    let all: Vec<PointerEvent> = all.into_iter().filter_map(|event| event.dyn_into().ok()).collect();
    if all.is_empty() { vec![event.clone()] } else { all }
}
