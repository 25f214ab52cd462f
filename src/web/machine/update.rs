use super::state::{Badge, Download, Missing, Running, State};
use super::student;
use crate::engine::{Choice, Description, Kind};
use crate::web::app::{Common, Described, Effect, Message};
use crate::web::link;
use crate::web::model::{Model, Samples};
use crate::web::models::{Entry, Which};
use crate::web::pool::Told;
use crate::web::settings::{Room, Settings};
use std::rc::Rc;

/// Takes in what has happened.
pub fn update(state: &mut State, message: &Message, cx: &mut Common) {
    student::update(state, message, cx);
    match message {
        Message::Begin(hash, memory) => {
            cx.say("Loading the network …");
            read_address(state, hash, *memory, cx);
            // A page that is loaded again is where it was.
            if memory.is_none() && cx.settings.room != Room::Noise {
                cx.want(Effect::Show(cx.settings.room));
            }
            cx.pool.choose(cx.settings.engine);
            cx.want(Effect::FetchList);
        }
        Message::Address(hash, memory) => follow_link(state, hash, *memory, cx),
        Message::Changed("engine") => {
            cx.status.failed = false;
            choose(state, cx);
        }
        Message::Control("model", name) => {
            // From now on Back stays with the present one.
            cx.changed_by("model", cx.settings.clone(), true);
            load(state, name, cx);
            state.download.iter_mut().for_each(|download| download.by_hand = true);
        }
        Message::Retry => {
            // The button goes; who pressed it stays beside it.
            cx.want(Effect::Focus("go"));
            let engine = state.missing == Some(Missing::Engine);
            cx.say(if engine { "Starting the engine …" } else { "Loading the network …" });
            match state.missing.take() {
                Some(Missing::Model(name)) => load(state, &name, cx),
                Some(Missing::Engine) => choose(state, cx),
                _ => cx.want(Effect::FetchList),
            }
        }
        Message::Copied(copied) => {
            let text = if *copied {
                "The link is copied."
            } else {
                "The link is in the address bar; the browser did not let it be copied."
            };
            cx.say(text);
        }
        Message::List(Ok(models)) => offer(state, models, cx),
        Message::List(Err(message)) => cannot_load(state, Missing::List, message, cx),
        Message::Described(name, found) if awaits(state, name) => match found {
            Ok(described) if cx.has_weights => state.described = Some(described.clone()),
            // Shown as far as it goes, before its weights are there.
            Ok(described) => adopt(state, described, cx),
            Err(message) => cannot_load(state, Missing::Model(name.clone()), message, cx),
        },
        Message::Arriving(name, loaded, total) if awaits(state, name) => {
            if let Some(download) = &mut state.download {
                (download.loaded, download.total) = (*loaded, *total);
            }
        }
        Message::Weights(name, bytes) if awaits(state, name) => match bytes {
            Ok(bytes) => arrive(state, *bytes, cx),
            Err(message) => cannot_load(state, Missing::Model(name.clone()), message, cx),
        },
        Message::StepTook(ms) => time(state, |running| running.step = Some(*ms)),
        Message::PredictionTook(ms) => time(state, |running| running.prediction = Some(*ms)),
        Message::Told(told) => hear(state, told, cx),
        _ => {}
    }
    cx.loading = state.download.is_some() || state.student.is_some();
}

/// Whether a model of this name is being fetched.
fn awaits(state: &State, name: &str) -> bool {
    state.download.as_ref().is_some_and(|download| download.name == name)
}

fn time(state: &mut State, take: impl Fn(&mut Running)) {
    if let Badge::Ready(running) = &mut state.badge {
        take(running);
    }
}

/// Starts the engine of the visitor's choice.
fn choose(state: &mut State, cx: &mut Common) {
    state.note = None;
    cx.pool.choose(cx.settings.engine);
}

/// Takes the settings from the address; what is for another model than the present one waits for it. Returns the model's name.
fn read_address(state: &mut State, hash: &str, memory: Option<u32>, cx: &mut Common) -> String {
    let (mut settings, mut problems) = link::parse(hash);
    state.linked = hash.contains("model=");
    problems.extend(known(state, &mut settings.model, state.linked, cx));
    // A link that names no picture leaves the visitor's own where it is.
    if (cx.settings.picture.is_none() || memory.is_some()) && !hash.contains("picture=") {
        settings.picture = None;
    }
    // Nor does it say what a check times.
    settings.timed_net = cx.settings.timed_net;
    // Where this page has written the address itself, it has left a word on what it does not say.
    memory.into_iter().for_each(|memory| settings.recall(memory));
    let name = settings.model.name.clone();
    match &cx.model {
        Some(present) if present.entry.name != name => {
            (state.expected, state.problems) = (Some(settings), problems);
            return name;
        }
        Some(present) => {
            let student = cx.student.as_ref().filter(|_| settings.model.fast);
            settings.follow(&student.unwrap_or(present).sampling());
            problems.extend(settings.fit(cx.limits()));
        }
        None => {}
    }
    state.problems.clone_from(&problems);
    cx.settle(settings);
    if !problems.is_empty() {
        cx.fail(&problems.join("; "));
    }
    name
}

fn follow_link(state: &mut State, hash: &str, memory: Option<u32>, cx: &mut Common) {
    let alone = link::room_alone(hash);
    cx.history.follow(alone.is_some());
    if let Some(room) = alone {
        // It is no word on anything else.
        state.expected.iter_mut().for_each(|settings| settings.room = room);
        return open(room, cx);
    }
    let (before, shown) = (cx.settings.engine, cx.settings.room);
    let name = read_address(state, hash, memory, cx);
    let present = cx.has_weights && cx.model.as_ref().is_some_and(|present| present.entry.name == name);
    let cancelled = present && state.download.take().is_some();
    if cancelled {
        // The model that was coming is wanted no more.
        (state.expected, state.described) = (None, None);
    }
    cx.settings.room = state.expected.as_ref().unwrap_or(&cx.settings).room;
    // On the way back the browser goes to where the visitor was.
    if memory.is_none() || cx.settings.room != shown {
        cx.want(Effect::Show(cx.settings.room));
    }
    if present {
        cx.bring_up();
    }
    // What was wrong with the link before is so no more.
    let mended = cx.status.failed && state.problems.is_empty() && cx.pool.opened();
    if present && !cx.running && (cancelled || mended) {
        cx.say("Ready.");
    }
    if cx.settings.engine != before {
        choose(state, cx);
    }
    if !present && !awaits(state, &name) {
        load(state, &name, cx);
    } else if let Some(entry) = entry(state, &name) {
        student::want(state, &entry, cx);
    }
}

fn open(room: Room, cx: &mut Common) {
    cx.settings.room = room;
    cx.want(Effect::Show(room));
    cx.bring_up();
}

/// Offers the models of the list, and loads the one that is asked for.
fn offer(state: &mut State, models: &[Entry], cx: &mut Common) {
    state.models = models.to_vec();
    state.missing = None;
    let mut which = cx.settings.model.clone();
    if let Some(problem) = known(state, &mut which, state.linked, cx) {
        state.problems.push(problem);
        cx.fail(&state.problems.join("; "));
    }
    cx.settings.model = which;
    load(state, &cx.settings.model.name.clone(), cx);
}

/// The entry of a model.
fn entry(state: &State, name: &str) -> Option<Entry> {
    state.models.iter().find(|entry| entry.name == name).cloned()
}

/// Takes another model for one that is not in the list, once there is a list, and a teacher for a student that there is none of.
/// Answers with a sentence, of a student only if a link has named it.
fn known(state: &State, which: &mut Which, linked: bool, cx: &Common) -> Option<String> {
    if state.models.is_empty() {
        return None;
    }
    let Some(entry) = entry(state, &which.name) else {
        let names: Vec<&str> = state.models.iter().map(|entry| entry.name.as_str()).collect();
        let problem = format!("there is no model “{which}” here, only {}", names.join(", "));
        *which = match (&cx.model, state.models.first()) {
            (Some(_), _) => cx.settings.model.clone(),
            (None, first) => {
                first.map_or(Settings::default().model, |entry| Which { name: entry.name.clone(), fast: entry.fast })
            }
        };
        return Some(problem);
    };
    let lacks = which.fast && !entry.fast;
    which.fast &= entry.fast;
    (lacks && linked).then(|| format!("{} has no fast student", entry.name))
}

/// Has a model fetched, if there is one of that name. Until it is there the present one stays; of two wishes the later one counts.
fn load(state: &mut State, name: &str, cx: &mut Common) {
    let Some(entry) = entry(state, name) else { return };
    state.expected.take_if(|settings| settings.model.name != name);
    (state.missing, state.described) = (None, None);
    if cx.has_weights && !cx.running {
        cx.say(format!("Loading {} …", entry.title));
    }
    state.download = Some(Download::new(entry.name.clone(), entry.title.clone()));
    cx.want(Effect::Fetch(entry.clone()));
    student::want(state, &entry, cx);
}

/// Stays with the model that is there, and offers to try again.
fn cannot_load(state: &mut State, missing: Missing, message: &str, cx: &mut Common) {
    state.missing = Some(missing);
    (state.download, state.expected, state.described) = (None, None, None);
    cx.history.commit("model", cx.now);
    if let Some(model) = &cx.model {
        cx.settings.model.name = model.entry.name.clone();
        state.student.take_if(|student| student.of != model.entry.name);
    }
    if cx.has_weights {
        student::want_present(state, cx);
    }
    cx.fail(message);
}

/// All of the model that was coming is there.
fn arrive(state: &mut State, bytes: f64, cx: &mut Common) {
    let by_hand = state.download.take().is_some_and(|download| download.by_hand);
    if let Some(described) = state.described.take() {
        let before = cx.settings.clone();
        adopt(state, &described, cx);
        state.note = None;
        if by_hand {
            cx.changed_by("model", before, false);
        }
    }
    cx.has_weights = true;
    let fast = cx.model.as_ref().is_some_and(|model| model.entry.fast);
    cx.pool.model(if fast { 2.0 * bytes } else { bytes }, cx.settings.engine);
    student::join(state, cx);
    cx.changed();
}

/// Fits the page to a model. What it does not allow is moved to what it does: an error if a link asked for it, a remark if
/// another model allowed it.
fn adopt(state: &mut State, Described { model, samples }: &Described, cx: &mut Common) {
    let first = cx.model.is_none();
    if !first {
        cx.status.failed = false;
    }
    let linked = state.expected.take();
    let by_link = first || linked.is_some();
    let mut settings = linked.unwrap_or_else(|| cx.settings.clone());
    let (samples, problem) = match samples {
        Ok(samples) => (samples.clone(), None),
        Err(problem) => (Samples::digits(), Some(problem)),
    };
    state.credit = model.entry.credit.clone().filter(|_| samples.shape.c() == 3);
    cx.samples = Rc::new(samples);
    settings.follow(&Model::sampling(model));
    cx.student = None;
    let other_shape = model.shape() != cx.shape;
    cx.shape = model.shape();
    settings.model.name = model.entry.name.clone();
    cx.model = Some(model.clone());
    let moved = settings.fit(cx.limits());
    cx.raise(Message::Adopted { first, other_shape });
    cx.settle(settings);
    match problem {
        Some(problem) => cx.fail(&format!("{problem}, so digits stand in")),
        None if by_link => {
            let wrong = [std::mem::take(&mut state.problems), moved].concat();
            if !wrong.is_empty() {
                cx.fail(&wrong.join("; "));
            }
        }
        None => state.moved = moved,
    }
    // One that was there went with the model before.
    student::want(state, &model.entry, cx);
    student::join(state, cx);
    cx.changed();
}

fn hear(state: &mut State, told: &Told, cx: &mut Common) {
    match told {
        Told::Starting(_) => {
            state.badge = Badge::Starting;
            state.missing.take_if(|missing| *missing == Missing::Engine);
        }
        Told::Waiting => state.badge = Badge::Waiting,
        Told::Opening => state.badge = Badge::Opening,
        Told::Opened(engine) => {
            if let Some(why) = &engine.note {
                state.note = Some(format!("auto took the CPU: {why}"));
            }
            show_engine(state, engine, 1);
            student::ready(state, cx);
        }
        Told::Workers(n) => time(state, |running| running.workers = *n),
        Told::WorkerLost { left, message } => {
            let rest = if *left == 1 { "one goes".to_owned() } else { format!("{left} go") };
            state.note = Some(format!("A worker stopped, so {rest} on without it. ({message})"));
        }
        Told::EngineLost { was, message } => {
            let what = match was {
                Kind::Gpu => "WebGPU stopped working, so the CPU goes on",
                Kind::Cpu => "The CPU engine stopped working, so another one goes on",
            };
            state.note = Some(format!("{what} in its place. ({message})"));
            if cx.settings.engine == Choice::Gpu {
                cx.settings.engine = Choice::Cpu;
                cx.changed();
            }
        }
        Told::FellBack { message } => {
            state.note = Some(format!("the CPU computes instead of WebGPU: {message}"));
            cx.settings.engine = Choice::Cpu;
            cx.fail(&format!("{message}; the CPU engine takes its place"));
            cx.changed();
        }
        Told::CameBack { engine, workers, message } => {
            show_engine(state, engine, *workers);
            cx.settings.engine = engine.engine.into();
            cx.fail(&format!("{message}; the {} engine goes on", engine.engine.title()));
            cx.changed();
        }
        Told::GaveUp { message } => {
            (state.badge, state.note) = (Badge::None, None);
            state.missing.get_or_insert(Missing::Engine);
            cx.fail(&format!("{message}; another engine can be chosen above"));
        }
        Told::StudentRefused { message } => student::give_up(state, message, cx),
        Told::News(..) => {}
    }
}

fn show_engine(state: &mut State, engine: &Description, workers: usize) {
    state.badge = Badge::Ready(Running { engine: engine.clone(), workers, step: None, prediction: None });
}
