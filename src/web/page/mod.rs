//! The visitor's side: the controls, what they do, and what the page says.

mod algorithm;
mod check;
mod crew;
mod dom;
mod drop;
mod engine;
mod forward;
mod keys;
mod link;
mod model;
mod paint;
mod picture;
mod reverse;
mod sight;
mod switch;
mod touch;

use super::models::Entry;
use super::state::{self, Class, Limits, Sampling, State, within};
use crate::diffusion::walk::Rule;
use crate::diffusion::{SamplerKind, Schedule};
use crate::engine::Choice;
use crate::tensor::Shape;
use model::Model;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, File, HtmlCanvasElement, HtmlInputElement, HtmlLabelElement};

/// Milliseconds between a change and the new address, as browsers limit how often it may change.
const ADDRESS_DELAY: i32 = 250;

/// The page's state.
struct App {
    state: State,
    /// The models that ship.
    models: Vec<Entry>,
    samples: picture::Samples,
    /// The visitor's own picture, in case the next model wants it in another size.
    own: Option<File>,
    /// What the page shows and the workers work with. Until it is known, nothing is computed that hangs on it.
    model: Option<Model>,
    /// The model that is being fetched.
    loading: Option<String>,
    /// The model that could not be.
    missing: Option<String>,
    /// What a link asks for with the model that is coming, and what is wrong with it.
    expected: Option<State>,
    problems: Vec<String>,
    /// What the last model's settings became with this one.
    moved: Vec<String>,
    /// `[1, H, W, C]` of the pictures.
    shape: Shape,
    forward: forward::Forward,
    run: Option<reverse::Run>,
    engine: engine::EngineSide,
    check: check::Check,
    /// The status line tells of an error.
    failed: bool,
    address_timer: Option<i32>,
}

type Shared = Rc<RefCell<App>>;

/// Brings the page to life.
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        web_sys::console::error_1(&info.to_string().into());
        dom::set_text("status", &format!("Error: the page's program has a fault; please reload the page. ({info})"));
    }));
    let samples = picture::Samples::digits();
    let shape = samples.shape;
    let app = Rc::new(RefCell::new(App {
        state: State::default(),
        models: Vec::new(),
        samples,
        own: None,
        model: None,
        loading: None,
        missing: None,
        expected: None,
        problems: Vec::new(),
        moved: Vec::new(),
        shape,
        forward: forward::Forward::default(),
        run: None,
        engine: engine::EngineSide::default(),
        check: check::Check::default(),
        failed: false,
        address_timer: None,
    }));
    {
        let mut page = app.borrow_mut();
        page.fill_classes();
        page.status("Loading the network …");
        page.read_address();
    }
    listen(&app);
    keys::listen(&app);
    drop::listen(&app);
    touch::guard_sliders();
    sight::follow();
    engine::choose(&app);
    spawn_local(switch::begin(app));
}

/// Connects every control.
fn listen(app: &Shared) {
    let on = |id: &str, name: &str, act: fn(&Shared)| {
        let (app, element) = (app.clone(), dom::by_id::<Element>(id));
        dom::on(&element.clone(), name, move |_| {
            if !dom::is_off(&element) {
                act(&app);
            }
        });
    };
    on("t", "input", |app| {
        let mut page = app.borrow_mut();
        page.state.t = (dom::input("t").value_as_number() as usize).min(page.limits().timesteps);
        page.renew_x_t();
        page.changed(app);
    });
    on("thumbs", "change", |app| {
        let mut page = app.borrow_mut();
        page.state.picture = checked_thumb();
        dom::set_text("upload-error", "");
        page.renew_picture();
        page.renew_noise();
        page.changed(app);
    });
    on("upload", "change", |app| {
        let chooser = dom::input("upload");
        let file = chooser.files().and_then(|files| files.get(0));
        // So that the same file can be chosen again.
        chooser.set_value("");
        file.into_iter().for_each(|file| spawn_local(upload(app.clone(), file)));
    });
    on("noise", "input", |app| {
        let mut page = app.borrow_mut();
        if page.read_controls() {
            page.renew_noise();
            page.changed(app);
        }
    });
    // Who types a seed means this one.
    on("seed", "input", |app| app.borrow_mut().keep_seed(true));
    on("lock", "change", |app| {
        let mut page = app.borrow_mut();
        page.keep_seed(dom::input("lock").checked());
        page.changed(app);
    });
    for id in ["class", "sampler", "steps", "seed", "count", "eta", "guidance"] {
        on(id, "input", |app| {
            let mut page = app.borrow_mut();
            if page.read_controls() {
                page.preview_noise();
                page.changed(app);
            }
        });
    }
    on("engine", "change", |app| {
        let mut page = app.borrow_mut();
        page.state.engine = dom::select("engine").value().parse().unwrap_or(Choice::Auto);
        page.failed = false;
        page.changed(app);
        drop(page);
        engine::choose(app);
    });
    on("model", "change", |app| {
        let name = dom::select("model").value();
        spawn_local(switch::load(app.clone(), name));
    });
    on("retry", "click", |app| spawn_local(switch::retry(app.clone())));
    on("generate", "click", |app| app.borrow_mut().generate());
    on("dice", "click", |app| {
        let mut page = app.borrow_mut();
        if page.read_controls() {
            page.throw_dice();
            page.preview_noise();
            page.changed(app);
        }
    });
    on("stop", "click", |app| app.borrow_mut().stop());
    on("step", "input", |app| app.borrow().scrub());
    on("film-of", "change", |app| app.borrow().renew_run_film());
    on("check-start", "click", check::start);
    on("check-end", "click", |app| app.borrow_mut().end_check());
    on("copy", "click", |app| {
        app.borrow_mut().write_address();
        spawn_local(copy_link(app.clone()));
    });
    let other = app.clone();
    dom::on(&dom::window(), "hashchange", move |_| {
        let mut page = other.borrow_mut();
        let before = page.state.engine;
        let name = page.read_address();
        let engine = page.state.engine;
        let present = page.has_weights() && page.model.as_ref().is_some_and(|present| present.entry.name == name);
        let coming = page.loading.as_ref() == Some(&name);
        if present && page.loading.is_some() {
            page.cancel_loading();
        }
        drop(page);
        if engine != before {
            engine::choose(&other);
        }
        if !present && !coming {
            spawn_local(switch::load(other.clone(), name));
        }
    });
}

fn checked_thumb() -> Option<usize> {
    let checked = dom::document().query_selector("#thumbs input:checked").ok().flatten()?;
    checked.dyn_into::<HtmlInputElement>().ok()?.value().parse().ok()
}

/// Takes the visitor's own picture for x_0.
async fn upload(app: Shared, file: File) {
    let shape = app.borrow().shape;
    let opened = picture::open(&file, shape).await;
    let mut page = app.borrow_mut();
    match opened {
        Ok(x_0) if page.shape == shape => {
            dom::set_text("upload-error", "");
            page.state.picture = None;
            page.forward.x_0 = x_0;
            page.show_controls();
            page.renew_picture();
            page.renew_noise();
            page.status(&format!("“{}” is x₀ now; it has not left your machine.", file.name()));
            page.own = Some(file);
            page.changed(&app);
        }
        Ok(_) => page.error("the model has changed meanwhile: please choose the picture again"),
        Err(message) => {
            dom::set_text("upload-error", &message);
            page.error(&message);
        }
    }
}

async fn copy_link(app: Shared) {
    let (link, clipboard) = (dom::window().location().href(), dom::window().navigator().clipboard());
    // Browsers keep the clipboard from pages that did not come over https.
    let copied = match link {
        Ok(link) if !JsValue::from(&clipboard).is_undefined() => {
            JsFuture::from(clipboard.write_text(&link)).await.is_ok()
        }
        _ => false,
    };
    let text = if copied {
        "The link is copied."
    } else {
        "The link is in the address bar; the browser did not let it be copied."
    };
    let mut page = app.borrow_mut();
    let of = if page.changes().is_some() {
        " It holds the settings as they are now, not those of the pictures shown."
    } else {
        ""
    };
    page.status(&format!("{text}{of}"));
}

impl App {
    /// β and ᾱ of the model, once it is known.
    fn schedule(&self) -> Option<&Schedule> {
        self.model.as_ref().map(|model| &model.schedule)
    }

    /// Whether the model is there as a whole.
    fn has_weights(&self) -> bool {
        self.model.as_ref().is_some_and(|model| model.weights.is_some())
    }

    /// What the model allows; what the digits allow until it is known.
    fn limits(&self) -> Limits {
        let pictures = self.samples.count();
        let default = Limits { timesteps: 1000, classes: 10, none: true, pictures };
        self.model.as_ref().map_or(default, |model| model.limits(pictures))
    }

    fn class_name(&self, class: usize) -> String {
        self.model.as_ref().map_or_else(|| class.to_string(), |model| model.class_name(class))
    }

    /// Writes the status line.
    fn status(&mut self, text: &str) {
        self.failed = false;
        dom::set_text("status", text);
        dom::set_class("status", "failed", false);
    }

    /// Writes an error into the status line.
    fn error(&mut self, message: &str) {
        self.failed = true;
        dom::set_text("status", &format!("Error: {}.", message.trim_end_matches('.')));
        dom::set_class("status", "failed", true);
    }

    /// One choice per sample.
    fn build_thumbs(&self) {
        let thumbs: Element = dom::by_id("thumbs");
        let old = thumbs.get_elements_by_tag_name("label");
        while let Some(label) = old.item(0) {
            label.remove();
        }
        for i in 0..self.samples.count() {
            let label: HtmlLabelElement = dom::create("label");
            let input: HtmlInputElement = dom::create("input");
            input.set_type("radio");
            input.set_name("picture");
            input.set_value(&i.to_string());
            dom::set_attribute(&input, "aria-label", self.samples.name(i));
            let canvas: HtmlCanvasElement = dom::create("canvas");
            dom::set_attribute(&canvas, "aria-hidden", "true");
            paint::sheet(&canvas, &[self.samples.pixels(i)], self.samples.shape, 1);
            let _ = label.append_child(&input).and_then(|_| label.append_child(&canvas));
            let _ = thumbs.append_child(&label);
        }
    }

    /// The model's classes as choices.
    fn fill_classes(&self) {
        let (limits, select) = (self.limits(), dom::select("class"));
        select.set_text_content(None);
        if limits.classes == 0 {
            dom::add_option(&select, "each", "this model has none");
            return;
        }
        dom::add_option(&select, "each", "each in turn");
        (0..limits.classes).for_each(|class| dom::add_option(&select, &class.to_string(), &self.class_name(class)));
        if limits.none {
            dom::add_option(&select, "none", "none");
        }
    }

    /// Takes the state from the address; what is for another model than the present one waits for it. Returns the model's name.
    fn read_address(&mut self) -> String {
        let hash = dom::window().location().hash().unwrap_or_default();
        let (mut state, mut problems) = State::parse(&hash);
        // Where this page has written the address itself, it has left a word on what stands in it.
        let memory = dom::window().history().and_then(|history| history.state()).ok().and_then(|state| state.as_f64());
        if let Some(memory) = memory {
            state.recall(memory as u32);
        }
        if !self.models.is_empty() && !self.models.iter().any(|entry| entry.name == state.model) {
            let (text, present) = self.unknown_model(&state.model);
            problems.push(text);
            state.model = present;
        }
        // A link that names no picture leaves the visitor's own where it is.
        if self.state.picture.is_none() && !hash.contains("picture=") {
            state.picture = None;
        }
        let name = state.model.clone();
        match &self.model {
            Some(present) if present.entry.name != name => {
                (self.expected, self.problems) = (Some(state), problems);
                return name;
            }
            Some(present) => {
                state.follow(&present.sampling());
                problems.extend(state.fit(self.limits()));
            }
            None => self.problems.clone_from(&problems),
        }
        self.state = state;
        self.show_state();
        if !problems.is_empty() {
            self.error(&problems.join("; "));
        }
        name
    }

    /// Whether Generate begins with the same seed every time.
    fn keep_seed(&mut self, keep: bool) {
        self.state.keep_seed = keep;
        dom::input("lock").set_checked(keep);
    }

    /// Everything that depends on the state, anew.
    fn show_state(&mut self) {
        self.show_controls();
        self.renew_picture();
        self.renew_noise();
        self.preview_noise();
    }

    /// The controls as the state has them.
    fn show_controls(&self) {
        let state = &self.state;
        for (id, value) in [
            ("t", state.t.to_string()),
            ("noise", state.noise.to_string()),
            ("steps", state.sampling.steps.to_string()),
            ("seed", state.seed.to_string()),
            ("count", state.count.to_string()),
            ("eta", state.sampling.eta.to_string()),
            ("guidance", state.sampling.guidance.to_string()),
        ] {
            let input = dom::input(id);
            input.set_value(&value);
            let _ = input.remove_attribute("aria-invalid");
        }
        let class = match state.class {
            Class::None if self.limits().classes == 0 => "each".to_owned(),
            class => class.to_string(),
        };
        dom::select("class").set_value(&class);
        dom::select("model").set_value(&state.model);
        dom::select("sampler").set_value(state.sampling.sampler.name());
        dom::input("lock").set_checked(state.keep_seed);
        dom::select("engine").set_value(state.engine.name());
        let thumbs = dom::by_id::<Element>("thumbs").get_elements_by_tag_name("input");
        for i in 0..thumbs.length() {
            if let Some(thumb) = thumbs.item(i).and_then(|thumb| thumb.dyn_into::<HtmlInputElement>().ok()) {
                thumb.set_checked(state.picture == Some(i as usize));
            }
        }
        self.explain();
    }

    /// What follows from the controls without any computing.
    fn explain(&self) {
        let state = &self.state;
        self.show_algorithm();
        self.mark_old();
        dom::set_enabled("eta", Rule::of(state.sampling.sampler).allows.eta);
        let limits = self.limits();
        dom::set_enabled("class", limits.classes > 0);
        let guides = limits.classes > 0 && limits.none;
        dom::set_enabled("guidance", guides);
        dom::set_text("guidance-value", &format!("{:.1}", state.sampling.guidance));
        let meaning = match state.sampling.guidance {
            _ if !guides => "this model cannot be guided",
            _ if state.class == Class::None => "no class is asked for; one evaluation a step",
            0.0 => "the class is not looked at",
            w if w < 1.0 => "the class counts for less than it was trained to",
            1.0 => "the class as trained; one evaluation a step",
            _ => "the class is exaggerated; two evaluations a step",
        };
        dom::set_text("guidance-meaning", meaning);
    }

    /// Takes the state from the controls. What a control cannot mean is marked, said in the status line, and not taken.
    fn read_controls(&mut self) -> bool {
        let last = self.limits().timesteps;
        let mut problems = Vec::new();
        let suggested = self.model.as_ref().map_or(Sampling::USUAL, Model::sampling);
        let state = &mut self.state;
        let mut how = state.sampling;
        let mut read = |id: &str, result: Result<(), String>| {
            let input = dom::input(id);
            dom::set_attribute(&input, "aria-invalid", if result.is_err() { "true" } else { "false" });
            problems.extend(result.err());
        };
        let text = |id: &str| dom::input(id).value();
        let mut take_seed = |id: &str, name: &str, to: &mut u64| {
            read(id, within(name, &text(id), state::SEEDS).map(|value| *to = value));
        };
        take_seed("noise", "Noise seed", &mut state.noise);
        take_seed("seed", "Seed", &mut state.seed);
        read("steps", within("Steps", &text("steps"), 1..=last).map(|value| how.steps = value));
        read("count", within("Count", &text("count"), state::COUNTS).map(|value| state.count = value));
        read("eta", within("η", &text("eta"), state::ETA).map(|value| how.eta = value));
        read("guidance", within("Guidance", &text("guidance"), state::GUIDANCE).map(|value| how.guidance = value));
        how.sampler = SamplerKind::from_name(&dom::select("sampler").value()).unwrap_or(SamplerKind::Ddim);
        state.choose(how, &suggested);
        state.class = match dom::select("class").value().as_str() {
            "none" => Class::None,
            class => class.parse().map_or(Class::Each, Class::One),
        };
        if problems.is_empty() {
            if self.failed && !self.running() {
                self.status("Ready.");
            }
            self.explain();
            return true;
        }
        self.error(&problems.join("; "));
        false
    }

    /// The address follows a change a moment later.
    fn changed(&mut self, app: &Shared) {
        if self.address_timer.is_some() {
            return;
        }
        let app = app.clone();
        let write = Closure::once_into_js(move || app.borrow_mut().write_address());
        let window = dom::window();
        let timer = window.set_timeout_with_callback_and_timeout_and_arguments_0(write.unchecked_ref(), ADDRESS_DELAY);
        self.address_timer = timer.ok();
    }

    fn write_address(&mut self) {
        self.address_timer = None;
        let Ok(history) = dom::window().history() else { return };
        // Too many changes at once are refused; the next one will do.
        let _ = history.replace_state_with_url(&self.state.memory().into(), "", Some(&self.state.hash()));
    }
}
