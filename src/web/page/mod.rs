//! The browser's side: events become messages, what the page is becomes elements, and effects are done. What happens on a
//! message is decided in [`App::update`].

mod connection;
mod controls;
pub mod dom;
mod drop;
mod keep;
mod keys;
mod lens;
mod load_model;
mod pad;
pub mod paint;
mod panels;
mod picture;
mod rooms;
mod save;
mod sight;
pub mod thumbs;
mod touch;

use super::app::{App, Effect, Message, Status, Views};
use super::messages::ToWorker;
use super::model::Model;
use super::pool::Order;
use super::pool::workers::{Machine, WorkerId};
use connection::Connection;
use js_sys::{Function, Promise, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, File};

/// Milliseconds between a change and the new address.
const ADDRESS_DELAY: i32 = 250;

/// The page, and what of it only the browser can hold.
pub struct Page {
    app: App,
    views: Views,
    controls: controls::View,
    status: dom::Last<Status>,
    workers: Vec<(WorkerId, Connection)>,
    /// The safetensors files of models by name: of the one at hand and of its student, as long as it is, for as many workers as may come. They lie in
    /// the browser's memory and not the program's.
    weights: Vec<(String, Uint8Array)>,
}

type Shared = Rc<RefCell<Page>>;

/// Brings the page to life.
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        web_sys::console::error_1(&info.to_string().into());
        dom::set_text("status", &format!("Error: the page's program has a fault; please reload the page. ({info})"));
    }));
    let page = Rc::new(RefCell::new(Page {
        app: App::new(this_machine()),
        views: Views::default(),
        controls: controls::View::default(),
        status: dom::Last::default(),
        workers: Vec::new(),
        weights: Vec::new(),
    }));
    controls::listen(&page);
    listen(&page);
    keys::listen(&page);
    save::listen(&page);
    panels::listen();
    drop::listen(&page);
    lens::listen(&page);
    rooms::listen(&page);
    pad::listen(&page);
    touch::guard_sliders();
    sight::follow();
    dispatch(&page, Message::Kept(keep::read()));
    let (hash, memory) = address();
    dispatch(&page, Message::Begin(hash, memory));
    spawn_local(async move {
        if !has_gpu().await {
            dispatch(&page, Message::NoGpu);
        }
    });
}

/// Whether the browser has a GPU for us. The worker asks, too, but that takes until it runs.
async fn has_gpu() -> bool {
    let ask = || -> Result<Promise, JsValue> {
        let gpu = Reflect::get(&dom::window().navigator(), &"gpu".into())?;
        let request: Function = Reflect::get(&gpu, &"requestAdapter".into())?.dyn_into()?;
        request.call0(&gpu)?.dyn_into()
    };
    let Ok(adapter) = ask() else { return false };
    JsFuture::from(adapter).await.is_ok_and(|adapter| !adapter.is_null() && !adapter.is_undefined())
}

/// Takes in what has happened, shows it, and does what follows.
fn dispatch(page: &Shared, message: Message) {
    let effects = {
        let Page { app, views, controls, status, .. } = &mut *page.borrow_mut();
        let effects = app.update(message, dom::now());
        views.show(app);
        controls.show(app);
        if status.differs(app.common.status.clone()) {
            dom::set_text("status", &app.common.status.text);
            dom::set_class("status", "failed", app.common.status.failed);
        }
        effects
    };
    effects.into_iter().for_each(|effect| perform(page, effect));
}

/// Connects what is no control of a setting.
fn listen(page: &Shared) {
    let on = |id: &str, name: &str, act: fn(&Shared)| {
        let (page, element) = (page.clone(), dom::by_id::<Element>(id));
        dom::on(&element.clone(), name, move |_| {
            if !dom::is_off(&element) {
                act(&page);
            }
        });
    };
    on("upload", "change", |page| {
        let chooser = dom::input("upload");
        let file = chooser.files().and_then(|files| files.get(0));
        // So that the same file can be chosen again.
        chooser.set_value("");
        file.into_iter().for_each(|file| spawn_local(open_own(page.clone(), file)));
    });
    on("retry", "click", |page| dispatch(page, Message::Retry));
    on("go", "click", |page| {
        dispatch(page, Message::Generate(chance()));
        rooms::show_pictures();
    });
    on("dice", "click", |page| dispatch(page, Message::Dice(chance())));
    on("pause", "click", |page| dispatch(page, Message::Pause));
    on("one-step", "click", |page| dispatch(page, Message::Step(chance())));
    on("play", "click", |page| dispatch(page, Message::PlayNoise { calm: dom::wants_calm() }));
    on("t", "pointerdown", |page| dispatch(page, Message::Hold));
    let left = page.clone();
    dom::on(&dom::document(), "visibilitychange", move |_| {
        if dom::document().hidden() {
            dispatch(&left, Message::Hold);
        }
    });
    let drawn = page.clone();
    dom::on(&dom::by_id::<Element>("hand"), "input", move |event| {
        let handles = dom::inputs(&dom::by_id("hand"));
        let Some(at) = handles.iter().position(|handle| event.target().as_ref() == Some(handle.as_ref())) else {
            return;
        };
        dispatch(&drawn, Message::Handle(at, handles[at].value_as_number().max(0.0) as usize));
    });
    on("stop", "click", |page| dispatch(page, Message::Stop));
    on("take", "click", |page| dispatch(page, Message::Take { go: true }));
    on("measure", "click", |page| dispatch(page, Message::Measure));
    on("bits", "click", |page| dispatch(page, Message::CountBits));
    on("step", "input", |page| {
        let at = dom::input("step").value_as_number().max(0.0) as usize;
        dispatch(page, Message::Scrub(at));
    });
    on("picks", "change", |page| {
        let chosen = dom::inputs(&dom::by_id("picks")).iter().position(|radio| radio.checked());
        chosen.into_iter().for_each(|of| dispatch(page, Message::FilmOf(of)));
    });
    on("class-pictures", "change", |page| {
        let chosen = dom::inputs(&dom::by_id("class-pictures")).into_iter().find(|radio| radio.checked());
        chosen.into_iter().for_each(|radio| dispatch(page, Message::Control("class", radio.value())));
    });
    on("new-noise", "click", |page| dispatch(page, Message::NewNoise(chance())));
    on("check-start", "click", |page| {
        dispatch(page, Message::StartCheck(dom::window().navigator().user_agent().unwrap_or_default()));
    });
    on("check-end", "click", |page| dispatch(page, Message::EndCheck));
    on("copy", "click", |page| dispatch(page, Message::Copy(place())));
    // Whether a link was followed, an address typed or Back pressed.
    let followed = page.clone();
    dom::on(&dom::window(), "popstate", move |_| {
        let (hash, memory) = address();
        dispatch(&followed, Message::Address(hash, memory));
    });
}

/// What the browser says of the machine.
fn this_machine() -> Machine {
    let navigator = dom::window().navigator();
    let gigabytes = Reflect::get(&navigator, &"deviceMemory".into()).ok().and_then(|gigabytes| gigabytes.as_f64());
    let memory = gigabytes.map_or(Machine::default().memory, |gigabytes| 1e9 * gigabytes);
    Machine { cores: navigator.hardware_concurrency().max(1.0) as usize, memory }
}

/// A number by chance, or why there is none.
fn chance() -> Result<u32, String> {
    getrandom::u32().map_err(|error| error.to_string())
}

/// The address from `#` on, and the word that the page has left beside it.
fn address() -> (String, Option<u32>) {
    let window = dom::window();
    let left = window.history().and_then(|history| history.state()).ok().and_then(|state| state.as_f64());
    (window.location().hash().unwrap_or_default(), left.map(|left| left as u32))
}

/// The address up to `#`.
fn place() -> String {
    let location = dom::window().location();
    let [origin, path] = [location.origin(), location.pathname()].map(Result::unwrap_or_default);
    format!("{origin}{path}")
}

/// Takes a file of the visitor's for x_0.
async fn open_own(page: Shared, file: File) {
    let shape = page.borrow().app.common.shape;
    let opened = picture::open(&file, shape).await;
    dispatch(&page, Message::Own(file.name(), opened));
}

/// Does what only the browser can do.
fn perform(page: &Shared, effect: Effect) {
    match effect {
        Effect::Pool(order) => obey(page, order),
        Effect::FetchList => spawn_local(load_model::list(page.clone())),
        Effect::Fetch(entry) => spawn_local(load_model::fetch(page.clone(), entry)),
        Effect::FetchStudent(entry) => spawn_local(load_model::fetch_student(page.clone(), entry)),
        Effect::FetchStudentWeights(entry) => spawn_local(load_model::fetch_student_weights(page.clone(), entry)),
        Effect::Keep(text) => {
            if !keep::write(text.as_deref()) {
                dispatch(page, Message::NotKept);
            }
        }
        Effect::Frame => {
            let page = page.clone();
            let tell = Closure::once_into_js(move || dispatch(&page, Message::Frame));
            let _ = dom::window().request_animation_frame(tell.unchecked_ref());
        }
        Effect::WriteAddress { push, hash, memory } => {
            let Ok(history) = dom::window().history() else { return };
            let (memory, url) = (memory.into(), Some(&*hash));
            // A browser that refuses it leaves everything else as it is.
            let _ = if push {
                history.push_state_with_url(&memory, "", url)
            } else {
                history.replace_state_with_url(&memory, "", url)
            };
        }
        Effect::Wait => {
            let later = page.clone();
            let due = Closure::once_into_js(move || dispatch(&later, Message::Due));
            let _ =
                dom::window().set_timeout_with_callback_and_timeout_and_arguments_0(due.unchecked_ref(), ADDRESS_DELAY);
        }
        Effect::Show(room) => dom::by_id::<Element>(room.section()).scroll_into_view(),
        Effect::Copy(link) => spawn_local(save::copy(page.clone(), link)),
        Effect::Save(file) => {
            if let Err(message) = save::hand_over(&file) {
                dispatch(page, Message::NotSaved(message));
            }
        }
        Effect::GoTo(id) => {
            let section: web_sys::HtmlElement = dom::by_id(id);
            // So that who goes on with the keyboard goes on there.
            dom::set_attribute(&section, "tabindex", "-1");
            let _ = section.focus();
            section.scroll_into_view();
        }
        Effect::Focus(id) => drop(dom::by_id::<web_sys::HtmlElement>(id).focus()),
    }
}

/// Does something with a worker. What cannot be done is its end.
fn obey(page: &Shared, order: Order) {
    let (worker, done) = match order {
        Order::Start(worker) => {
            let weak = Rc::downgrade(page);
            let started = Connection::start(Rc::new(move |said| {
                let Some(page) = weak.upgrade() else { return };
                dispatch(
                    &page,
                    match said {
                        Ok((message, tensors)) => Message::Worker(worker, message, tensors),
                        Err(why) => Message::WorkerGone(worker, why),
                    },
                );
            }));
            (worker, started.map(|connection| page.borrow_mut().workers.push((worker, connection))))
        }
        Order::Open(worker, engine) => {
            let page = page.borrow();
            let Some((config, scheduler, file)) = page.files_of(page.app.common.model.as_ref()) else { return };
            let message = ToWorker::Open { engine, config, scheduler };
            (worker, page.send(worker, &message, &[], Some(file)))
        }
        Order::Load(worker) => {
            let page = page.borrow();
            let Some((config, scheduler, file)) = page.files_of(page.app.common.student.as_ref()) else { return };
            (worker, page.send(worker, &ToWorker::Load { config, scheduler }, &[], Some(file)))
        }
        Order::Send(worker, message, tensors) => (worker, page.borrow().send(worker, &message, &tensors, None)),
        Order::End(worker) => {
            let workers = &mut page.borrow_mut().workers;
            let at = workers.iter().position(|(other, _)| *other == worker);
            let ended = at.map(|at| workers.swap_remove(at));
            // It may be the one whose message is being handled: let that end first.
            return spawn_local(async move { std::mem::drop(ended) });
        }
    };
    if let Err(why) = done {
        dispatch(page, Message::WorkerGone(worker, why));
    }
}

impl Page {
    fn send(
        &self,
        worker: WorkerId,
        message: &ToWorker,
        tensors: &[super::job::Tensor],
        file: Option<Uint8Array>,
    ) -> Result<(), String> {
        let connection = self.workers.iter().find(|(other, _)| *other == worker);
        connection.map_or(Ok(()), |(_, connection)| connection.send(message, tensors, file))
    }

    /// The files of a model: two texts, and a copy of the weights, which will be the worker's.
    fn files_of(&self, model: Option<&Model>) -> Option<(String, Option<String>, Uint8Array)> {
        let model = model?;
        let (_, weights) = self.weights.iter().find(|(name, _)| *name == model.entry.name)?;
        let file = weights.slice(0, weights.length());
        Some((model.config_text.clone(), model.scheduler_text.clone(), file))
    }
}
