//! Which engine runs, what the page says about it, and what happens when it stops.

use super::crew::{self, Crew};
use super::link::News;
use super::model::Model;
use super::reverse::milliseconds;
use super::{App, Shared, dom};
use crate::engine::{Choice, Description, Kind};
use crate::web::protocol::{Command, Event, Request, Stage};
use crate::web::wire;
use js_sys::Uint8Array;
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;
use web_sys::Element;

/// Workers that may fail before the page gives up.
const RESTARTS: u32 = 3;
/// The worker that leads.
const LEADER: usize = 0;

/// The workers and the engine in them.
#[derive(Default)]
pub struct EngineSide {
    crew: Crew,
    /// Number of the crew: news of another one are none. And how many there have been.
    era: u32,
    eras: u32,
    /// What was asked of the leader.
    choice: Choice,
    /// What it opened, and the text for people.
    opened: Option<(Kind, String)>,
    /// Why it is not what one might expect.
    note: Option<String>,
    failures: u32,
    step: Option<f64>,
    prediction: Option<f64>,
    /// The crew that worked before the visitor chose another engine, until that one works.
    former: Option<Former>,
}

/// A crew with an engine, set aside.
struct Former {
    crew: Crew,
    era: u32,
    opened: (Kind, String),
}

impl EngineSide {
    fn title(&self) -> &'static str {
        self.opened.as_ref().map_or(Kind::Cpu, |(engine, _)| *engine).title()
    }

    /// Whether an engine waits for work.
    pub fn opened(&self) -> bool {
        self.opened.is_some()
    }

    /// Sends the leader a command, if it listens.
    pub fn send(&self, command: &Command, bytes: Option<Uint8Array>) {
        self.crew.send(LEADER, command, bytes);
    }

    /// Begins a run after so many steps, whose state is x.
    pub fn begin(&mut self, run: u32, request: &Request, after: usize, x: Option<&[f32]>) {
        self.crew.begin(run, request, after, x);
    }

    /// Ends the run wherever it is.
    pub fn end_run(&mut self) {
        self.crew.end();
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

    /// Sets the crew that works aside, to come back to if the next one does not.
    fn set_aside(&mut self) {
        if let Some(opened) = self.opened.take() {
            let mut crew = std::mem::take(&mut self.crew);
            crew.end();
            self.former = Some(Former { crew, era: self.era, opened });
        }
    }

    /// Hands a worker the model.
    fn open(&self, number: usize, choice: Choice, model: &Model) {
        let Some(weights) = &model.weights else { return };
        let (config, scheduler) = (model.config_text.clone(), model.scheduler_text.clone());
        let command = Command::Open { engine: choice, config, scheduler };
        self.crew.send(number, &command, Some(weights.slice(0, weights.length())));
    }

    fn show(&self) {
        let Some((_, text)) = &self.opened else { return };
        let text = match self.crew.opened() {
            0 | 1 => text.clone(),
            // One thread in each of them.
            n => format!("{}, {n} workers", text.trim_end_matches(", 1 thread")),
        };
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

/// Starts a worker for the engine of the visitor's choice; the present ones go on if it does not work.
pub fn choose(app: &Shared) {
    app.borrow_mut().engine.set_aside();
    begin(app);
}

/// Starts a worker for another model, in place of the present ones.
pub fn renew(app: &Shared) {
    app.borrow_mut().engine.former = None;
    begin(app);
}

fn begin(app: &Shared) {
    let mut page = app.borrow_mut();
    page.engine.failures = 0;
    page.engine.note = None;
    page.engine.choice = page.state.engine;
    drop(page);
    start(app);
}

/// Starts a worker for `engine.choice`.
fn start(app: &Shared) {
    let mut page = app.borrow_mut();
    page.dismiss_all();
    (page.engine.step, page.engine.prediction) = (None, None);
    badge("starting", "loading");
    page.renew_buttons();
    let hired = page.hire(app);
    drop(page);
    if let Err(message) = hired {
        fall_back(app, &message);
    }
}

/// The engine asked for cannot be had: the one that worked goes on, or the CPU's begins, and the page says so. Without either
/// there is none.
fn fall_back(app: &Shared, message: &str) {
    let mut page = app.borrow_mut();
    if let Some(former) = page.engine.former.take() {
        page.dismiss_all();
        page.come_back(former);
        let title = page.engine.title();
        page.error(&format!("{message}; the {title} engine goes on"));
        return page.changed(app);
    }
    if page.engine.choice != Choice::Gpu {
        return page.give_up(message);
    }
    page.engine.choice = Choice::Cpu;
    page.engine.note = Some(format!("the CPU computes instead of WebGPU: {message}"));
    page.show_engine(Choice::Cpu);
    page.error(&format!("{message}; the CPU engine takes its place"));
    page.changed(app);
    drop(page);
    start(app);
}

/// Hands the model to a worker that is waiting for it.
pub fn open(app: &Shared) {
    let page = app.borrow();
    let waits = page.has_weights() && page.engine.crew.listens() && !page.engine.opened();
    if let Some(model) = page.model.as_ref().filter(|_| waits) {
        badge("opening the engine", "loading");
        page.engine.open(LEADER, page.engine.choice, model);
    }
}

fn hear(app: &Shared, number: usize, news: News) {
    let (event, bytes) = match news {
        News::Event(event, bytes) => (event, bytes),
        News::Gone(message) => return lose(app, number, &message),
    };
    let mut page = app.borrow_mut();
    let crew = &mut page.engine.crew;
    match event {
        Event::Ready if number == LEADER => {
            crew.is_ready(number);
            drop(page);
            open(app);
        }
        Event::Ready => {
            crew.is_ready(number);
            let page = &*page;
            page.model.iter().for_each(|model| page.engine.open(number, Choice::Cpu, model));
        }
        Event::Opened { engine } if number == LEADER => {
            crew.has_opened(number);
            let several = engine.several_workers;
            page.welcome(engine);
            // Those that a browser does not start are done without.
            (1..if several { crew::wanted() } else { 1 }).for_each(|_| drop(page.hire(app)));
        }
        Event::Opened { .. } => {
            crew.has_opened(number);
            page.engine.show();
        }
        Event::Predicted { id, milliseconds } => page.show_prediction(id, &wire::floats_of(&bytes), milliseconds),
        Event::Part { run, step, done, .. } => {
            if let Some((run, step, done, of)) = crew.part(number, run, step, done) {
                page.show_part(run, step, done, of);
            }
        }
        Event::Frame { run, step, timestep, milliseconds, .. } => {
            let whole = crew.frame(number, run, (step, timestep, milliseconds), wire::floats_of(&bytes));
            if let Some((run, whole)) = whole {
                page.show_frame(run, whole.step, whole.timestep, whole.milliseconds, whole.x);
            }
        }
        Event::Finished { run } => {
            if let Some(run) = crew.finish(number, run) {
                page.finish_run(run);
            }
        }
        Event::Failed { message, fatal: true, .. } | Event::Panicked { message } => {
            drop(page);
            lose(app, number, &message);
        }
        Event::Failed { during: Stage::Opening, message, .. } if number == LEADER => {
            drop(page);
            fall_back(app, &message);
        }
        Event::Failed { during: Stage::Opening, message, .. } => {
            drop(page);
            lose(app, number, &message);
        }
        Event::Failed { during, message, .. } => {
            if during == Stage::Generating {
                page.engine.end_run();
                page.fail_run();
            }
            page.error(&message);
        }
        Event::Check(_) => {}
    }
}

/// A worker has stopped. Without the leader another one starts on the next engine; without one of the others the rest do its
/// share. Either way a run goes on where it was.
fn lose(app: &Shared, number: usize, message: &str) {
    let mut page = app.borrow_mut();
    let engine = &mut page.engine;
    if number != LEADER {
        let needed = engine.crew.dismiss(number);
        if needed && engine.opened() {
            engine.note =
                Some(format!("A worker stopped, so {} on without it. ({message})", rest(engine.crew.opened())));
            page.resume();
        }
        return page.engine.show();
    }
    engine.failures += 1;
    // A worker that never came to listen will not do so the next time either.
    if engine.failures > RESTARTS || !engine.crew.listens() {
        drop(page);
        return fall_back(app, message);
    }
    let was_gpu = engine.opened.as_ref().map_or(engine.choice != Choice::Cpu, |(kind, _)| *kind == Kind::Gpu);
    let name = if was_gpu { "WebGPU" } else { "The CPU engine" };
    engine.choice = Choice::Cpu;
    engine.note = Some(format!("{name} stopped working, so the CPU goes on where it was. ({message})"));
    if page.state.engine == Choice::Gpu {
        page.show_engine(Choice::Cpu);
        page.changed(app);
    }
    drop(page);
    start(app);
}

fn rest(workers: usize) -> String {
    if workers == 1 { "one goes".to_owned() } else { format!("{workers} go") }
}

impl App {
    /// Starts one more worker.
    fn hire(&mut self, app: &Shared) -> Result<(), String> {
        let (weak, era) = (Rc::downgrade(app), self.engine.era);
        self.engine.crew.hire(move |number, news| {
            if let Some(app) = weak.upgrade()
                && app.borrow().engine.era == era
            {
                hear(&app, number, news);
            }
        })
    }

    /// Ends all workers.
    fn dismiss_all(&mut self) {
        let old = std::mem::take(&mut self.engine.crew);
        // One of them may be the one whose message is being handled: let that end first.
        spawn_local(async move { drop(old) });
        self.engine.eras += 1;
        self.engine.era = self.engine.eras;
        self.engine.opened = None;
    }

    /// The engine that worked before works again, and goes on with the run if there is one.
    fn come_back(&mut self, former: Former) {
        let choice = Choice::from(former.opened.0);
        let engine = &mut self.engine;
        (engine.crew, engine.era, engine.opened, engine.choice) =
            (former.crew, former.era, Some(former.opened), choice);
        engine.show();
        self.show_engine(choice);
        self.resume();
        self.renew_buttons();
        self.ask();
    }

    /// The control shows the engine that runs.
    fn show_engine(&mut self, choice: Choice) {
        self.state.engine = choice;
        dom::select("engine").set_value(choice.name());
    }

    /// An engine is open.
    fn welcome(&mut self, of: Description) {
        let software = if of.software { " (software)" } else { "" };
        let text = format!("{} · {}{software}", of.engine.title(), of.adapter);
        self.engine.opened = Some((of.engine, text));
        // The one before is of no more use.
        self.engine.former = None;
        if let Some(why) = of.note {
            self.engine.note = Some(format!("auto took the CPU: {why}"));
        }
        self.engine.show();
        if self.running() {
            self.resume();
        } else if !self.failed {
            let moved = std::mem::take(&mut self.moved);
            self.status(&if moved.is_empty() { "Ready.".to_owned() } else { format!("Ready; {}.", moved.join("; ")) });
        }
        self.renew_buttons();
        self.ask();
    }

    /// There is no engine, and the page says why; another one can be chosen.
    fn give_up(&mut self, message: &str) {
        self.dismiss_all();
        dom::set_shown("engine-note", false);
        badge("no engine", "failed");
        self.fail_run();
        self.error(&format!("{message}; another engine can be chosen above"));
    }
}
