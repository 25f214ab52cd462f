//! Which engine runs, what the page says about it, and what happens when it stops.

use super::link::{Link, News};
use super::model::Model;
use super::reverse::milliseconds;
use super::{App, Shared, dom};
use crate::engine::Choice;
use crate::web::protocol::{Command, Event, Stage};
use crate::web::state::engine_name;
use js_sys::Uint8Array;
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;
use web_sys::Element;

/// Workers that may fail before the page gives up.
const RESTARTS: u32 = 3;

/// The worker and the engine in it.
#[derive(Default)]
pub struct EngineSide {
    link: Option<Link>,
    /// The worker listens.
    ready: bool,
    /// What was asked of the worker.
    choice: Choice,
    /// What it opened: "gpu" or "cpu", and the text for people.
    opened: Option<(String, String)>,
    /// Why it is not what one might expect.
    note: Option<String>,
    failures: u32,
    step: Option<f64>,
    prediction: Option<f64>,
}

impl EngineSide {
    /// Whether an engine waits for work.
    pub fn opened(&self) -> bool {
        self.opened.is_some()
    }

    /// Sends a command, if there is a worker that listens.
    pub fn send(&self, command: &Command, bytes: Option<Uint8Array>) {
        if let Some(link) = self.link.as_ref().filter(|_| self.ready) {
            link.send(command, bytes);
        }
    }

    /// A step took this long on average.
    pub fn step_took(&mut self, milliseconds: f64) {
        self.step = Some(milliseconds);
        self.show();
    }

    /// A prediction for one image took this long.
    pub fn predicted_in(&mut self, milliseconds: f64) {
        self.prediction = Some(milliseconds);
        if self.step.is_none() {
            self.show();
        }
    }

    fn open(&self, model: &Model) {
        let (config, scheduler) = (model.config_text.clone(), model.scheduler_text.clone());
        let command = Command::Open { engine: engine_name(self.choice).to_owned(), config, scheduler };
        self.send(&command, Some(model.weights.slice(0, model.weights.length())));
    }

    fn show(&self) {
        let Some((_, text)) = &self.opened else { return };
        let time = match (self.step, self.prediction) {
            (Some(step), _) => format!(" · {} ms a step", milliseconds(step)),
            (None, Some(one)) => format!(" · {} ms a prediction", milliseconds(one)),
            (None, None) => String::new(),
        };
        badge(&format!("{text}{time}"), "ready");
        dom::set_text("engine-note", self.note.as_deref().unwrap_or_default());
        dom::set_shown("engine-note", self.note.is_some());
    }
}

fn badge(text: &str, state: &str) {
    dom::set_text("badge-text", text);
    let badge: Element = dom::by_id("badge");
    dom::set_attribute(&badge, "data-state", state);
    dom::set_attribute(&badge, "title", text);
}

/// Starts a worker for the engine of the visitor's choice, in place of the present one.
pub fn choose(app: &Shared) {
    let mut page = app.borrow_mut();
    page.engine.failures = 0;
    page.engine.note = None;
    page.engine.choice = page.state.engine;
    drop(page);
    start(app);
}

/// Starts a worker for `engine.choice`.
fn start(app: &Shared) {
    let weak = Rc::downgrade(app);
    let receive: Rc<dyn Fn(News)> = Rc::new(move |news| {
        if let Some(app) = weak.upgrade() {
            hear(&app, news);
        }
    });
    let mut page = app.borrow_mut();
    let old = page.engine.link.take();
    // The old worker may be the one whose message is being handled: let that end first.
    spawn_local(async move { drop(old) });
    (page.engine.ready, page.engine.opened) = (false, None);
    (page.engine.step, page.engine.prediction) = (None, None);
    badge("starting", "loading");
    page.renew_buttons();
    match Link::start(receive) {
        Ok(link) => page.engine.link = Some(link),
        Err(message) => page.give_up(&message),
    }
}

/// Hands the model to a worker that is waiting for it.
pub fn open(app: &Shared) {
    let page = app.borrow();
    if let Some(model) = page.model.as_ref().filter(|_| page.engine.ready && !page.engine.opened()) {
        badge("opening the engine", "loading");
        page.engine.open(model);
    }
}

fn hear(app: &Shared, news: News) {
    let (event, bytes) = match news {
        News::Event(event, bytes) => (event, bytes),
        News::Gone(message) => return replace(app, &message),
    };
    let mut page = app.borrow_mut();
    match event {
        Event::Ready => {
            page.engine.ready = true;
            drop(page);
            open(app);
        }
        Event::Opened { engine, adapter, software, note } => page.welcome(engine, &adapter, software, note),
        Event::Predicted { id, milliseconds } => {
            page.show_prediction(id, &crate::web::wire::floats_of(&bytes), milliseconds);
        }
        Event::Part { run, step, done, of } => page.show_part(run, step, done, of),
        Event::Frame { run, step, timestep, milliseconds, .. } => {
            page.show_frame(run, step, timestep, milliseconds, crate::web::wire::floats_of(&bytes));
        }
        Event::Finished { run } => page.finish_run(run),
        Event::Failed { message, fatal: true, .. } | Event::Panicked { message } => {
            drop(page);
            replace(app, &message);
        }
        Event::Failed { during: Stage::Opening, message, .. } => page.give_up(&message),
        Event::Failed { during, message, .. } => {
            if during == Stage::Generating {
                page.fail_run();
            }
            page.error(&message);
        }
    }
}

/// The engine has stopped: starts a worker on the next one, which goes on where this one was.
fn replace(app: &Shared, message: &str) {
    let mut page = app.borrow_mut();
    let engine = &mut page.engine;
    engine.failures += 1;
    // A worker that never came to listen will not do so the next time either.
    if engine.failures > RESTARTS || !engine.ready {
        return page.give_up(message);
    }
    let was_gpu = engine.opened.as_ref().map_or(engine.choice != Choice::Cpu, |(name, _)| name == "gpu");
    let name = if was_gpu { "WebGPU" } else { "The CPU engine" };
    engine.choice = Choice::Cpu;
    engine.note = Some(format!("{name} stopped working, so the CPU goes on where it was. ({message})"));
    drop(page);
    start(app);
}

impl App {
    /// An engine is open.
    fn welcome(&mut self, engine: String, adapter: &str, software: bool, note: Option<String>) {
        let name = if engine == "gpu" { "WebGPU" } else { "CPU" };
        let software = if software { " (software)" } else { "" };
        self.engine.opened = Some((engine, format!("{name} · {adapter}{software}")));
        if let Some(why) = note {
            self.engine.note = Some(format!("auto took the CPU: {why}"));
        }
        self.engine.show();
        if self.running() {
            self.resume();
        } else if !self.failed {
            self.status("Ready.");
        }
        self.renew_buttons();
        self.ask();
    }

    /// There is no engine, and the page says why; another one can be chosen.
    fn give_up(&mut self, message: &str) {
        let old = self.engine.link.take();
        spawn_local(async move { drop(old) });
        (self.engine.ready, self.engine.opened) = (false, None);
        dom::set_shown("engine-note", false);
        badge("no engine", "failed");
        self.fail_run();
        self.error(&format!("{message}; another engine can be chosen above"));
    }
}
