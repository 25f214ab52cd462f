use super::clock::Clock;
use super::state::{Line, Recorded, Run, State};
use super::{film, from_here, link, numbers, pace, save};
use crate::diffusion::SamplerConfig;
use crate::diffusion::walk::lines::{Shown, lines};
use crate::diffusion::walk::{Move, Rule};
use crate::playground::{Settings, sampler_config, start_noise};
use crate::web::app::{Common, Effect, Message};
use crate::web::changes::{Request, changes};
use crate::web::job::{Job, News, Tensor, Ticket};
use crate::web::model::Model;
use crate::web::pool::Told;
use crate::web::settings as web;
use crate::web::sheet::Sheet;
use crate::web::{milliseconds, plural};
use std::rc::Rc;

/// Seeds that chance brings: short enough to be read aloud.
const CHANCE: u32 = 1_000_000;

/// Takes in what has happened.
pub fn update(state: &mut State, message: &Message, cx: &mut Common) {
    match message {
        Message::Adopted { first, .. } if !first => forget(state, cx),
        Message::Settled => settings_changed(state, cx),
        Message::Changed(id) => {
            match *id {
                // Who types a seed means this one.
                "seed" => cx.settings.keep_seed = true,
                "class" | "sampler" | "steps" | "count" | "guidance" | "eta" => {}
                _ => return,
            }
            settings_changed(state, cx);
        }
        Message::Dice(chance) => {
            if cx.invalid.is_empty() {
                throw_dice(chance, cx);
                settings_changed(state, cx);
                cx.changed();
            } else {
                cx.name_invalid();
            }
        }
        Message::Generate(chance) => generate(state, chance, None, cx),
        Message::Pause => pace::pause(state, cx),
        Message::Step(chance) => pace::step(state, chance, cx),
        Message::TakeFrom { x, t, of } => from_here::take(state, x, *t, *of, cx),
        Message::Stop => stop(state, cx),
        Message::Begin(hash, _) | Message::Address(hash, _) => link::follow(state, hash, cx),
        // The model of the link cannot be had, and its run is not another one's. The first model can be tried again.
        Message::Described(_, Err(_)) | Message::Weights(_, Err(_)) if cx.has_weights => state.wanted = None,
        // Whoever takes the controls in hand decides when.
        Message::Control(..) => state.wanted = None,
        Message::Copy(address) => {
            // The browser may not let it be copied: then it is to be in the address bar.
            cx.bring_up();
            link::copy(state, address, cx);
        }
        Message::Copied(copied) => link::copied(state, *copied, cx),
        Message::Save(what, address) => save::save(state, *what, address, cx),
        Message::NotSaved(why) => cx.fail(why),
        Message::Scrub(at) => film::scrub(state, *at),
        Message::FilmOf(of) => film::of(state, *of, cx),
        Message::FilmTile(tile) => {
            let at = state.film.as_ref().map(|film| film.moment(*tile));
            at.into_iter().for_each(|at| film::scrub(state, at));
        }
        Message::Narrow(_) => film::redraw(state, cx),
        Message::Told(Told::News(ticket, news, tensors)) => hear(state, *ticket, news, tensors, cx),
        _ => {}
    }
    cx.running = state.run.as_ref().is_some_and(Run::active);
    link::run(state, cx);
    cx.running = state.run.as_ref().is_some_and(Run::active);
    state.numbers = match (&state.run, &state.film, &cx.model) {
        (Some(run), Some(film), Some(model)) => {
            numbers::numbers(run, film, cx.under_lens(), cx.shape.len(), &model.schedule, &state.algorithm)
        }
        _ => Default::default(),
    };
}

/// What follows from the settings without any computing.
fn settings_changed(state: &mut State, cx: &Common) {
    // As long as there is no run to look at, the noise that the next one would begin with.
    if state.run.is_none() && cx.model.is_some() {
        state.grid = Some(as_pixels(&start(cx), cx));
        state.lit = None;
    }
    explain(state, cx);
}

/// The noise that a run begins with.
fn start(cx: &Common) -> Vec<f32> {
    start_noise(cx.settings.seed, cx.shape.with_n(cx.settings.count))
}

fn as_pixels(x: &[f32], cx: &Common) -> Sheet {
    let count = x.len() / cx.shape.len();
    Sheet::of(x, cx.shape.with_n(count), columns(count))
}

/// Images side by side for a number of images.
fn columns(count: usize) -> usize {
    match count {
        0..=5 => count.max(1),
        6 | 9 => 3,
        7 | 8 | 11 | 12 | 16 => 4,
        _ => 5,
    }
}

/// What the controls ask for, once the model is known; and what of it the fast student that is wanted was not made for.
fn request(cx: &Common) -> Option<(Request, Option<String>)> {
    let (model, how) = (cx.model.as_ref()?, &cx.settings.sampling);
    let classes = model.config.classes();
    let classes: Vec<_> = (0..cx.settings.count).map(|image| cx.settings.class.of(image, classes)).collect();
    let eta = if Rule::of(how.sampler).allows.eta { how.eta } else { 0.0 };
    // There is nothing to guide towards without a class.
    let guidance = if classes.iter().any(Option::is_some) { how.guidance } else { 1.0 };
    let sampler = |of: &Model| SamplerConfig {
        spacing: how.spacing,
        convention: how.convention,
        ..sampler_config(&of.scheduler, how.sampler, how.steps, eta)
    };
    let request = |of, fast| {
        let settings = Settings { classes: classes.clone(), guidance, sampler: sampler(of) };
        Request { settings, seed: cx.settings.seed, fast, from: None }
    };
    let Some(student) = cx.wanted_student() else { return Some((request(model, false), None)) };
    Some(match student.made_for(&sampler(student), guidance, &classes) {
        Ok(()) => (request(student, true), None),
        Err(not_for) => (request(model, false), Some(not_for)),
    })
}

/// The algorithm of the run in progress, or of the one that the controls ask for; and in what the pictures differ from these.
fn explain(state: &mut State, cx: &Common) {
    let (Some(model), Some((asked, not_for))) = (&cx.model, request(cx)) else { return };
    state.not_for = not_for;
    let run = state.run.as_ref();
    let active = run.filter(|run| run.active());
    let Request { settings: shown, fast, .. } = active.map_or(&asked, |run| &run.request);
    let class = shown.guidance != 0.0 || model.config.null_class.is_none();
    let class = class && shown.classes.iter().any(Option::is_some);
    let guided = class && !fast && shown.guidance != 1.0 && model.config.null_class.is_some();
    state.algorithm = lines(&Shown {
        sampler: &shown.sampler,
        schedule: &model.schedule,
        guided: guided.then_some(shown.guidance),
        class,
    })
    .to_vec();
    state.changes = run.and_then(|Run { request: made, .. }| {
        // Another run from the same x_t, whatever the seed of others is.
        let again = made.settings.sampler.from.zip(made.from).and_then(|(t, from)| from_here::request(cx, t, from));
        let again = again.map(|again| Request { seed: made.seed, ..again });
        changes(made, again.as_ref().unwrap_or(&asked), |class| cx.class_name(class))
    });
}

/// Takes a new seed from chance.
fn throw_dice(chance: &Result<u32, String>, cx: &mut Common) {
    match chance {
        Ok(drawn) => cx.settings.seed = u64::from(drawn % CHANCE),
        Err(why) => cx.fail(&format!("the browser gives no random numbers ({why}), so the seed stays")),
    }
}

/// Begins a run with what the controls say. From the same noise as the last one only if the seed
/// is to be kept.
pub(super) fn generate(state: &mut State, chance: &Result<u32, String>, until: Option<usize>, cx: &mut Common) {
    if !cx.can_generate() {
        return;
    }
    if let Some(&(id, _)) = cx.invalid.first() {
        cx.want(Effect::Focus(id));
        return cx.name_invalid();
    }
    // A seed that nothing was made of yet is new enough: its noise is what the grid shows.
    let of_seed = |run: &Run| run.request.seed == cx.settings.seed && run.request.from.is_none();
    let used = state.run.as_ref().is_some_and(of_seed);
    if used && !cx.settings.keep_seed {
        throw_dice(chance, cx);
    }
    begin(state, until, cx);
}

/// Begins a run with the settings as they are, which waits after `until` steps.
pub(super) fn begin(state: &mut State, until: Option<usize>, cx: &mut Common) {
    let Some((request, not_for)) = request(cx) else { return };
    let settings = &request.settings;
    let (images, steps) = (plural(settings.classes.len(), "image"), plural(settings.sampler.steps, "step"));
    let teacher = if not_for.is_some() { ", by the teacher" } else { "" };
    cx.say(format!("Generating {images} in {steps} with {}{teacher}.", Rule::of(settings.sampler.kind).title));
    let (made, noise) = (cx.settings.clone(), start(cx));
    launch(state, request, made, noise, false, until, cx);
}

/// Begins a run that was made with these settings, and begins with this x: it is given, or the noise of the seed.
pub(super) fn launch(
    state: &mut State,
    request: Request,
    made: web::Settings,
    x: Vec<f32>,
    given: bool,
    until: Option<usize>,
    cx: &mut Common,
) {
    // However it was begun, the address holds the seed of what is shown.
    cx.bring_up();
    let Request { mut settings, seed, fast, .. } = request.clone();
    if fast {
        // It is in the weights.
        settings.guidance = 1.0;
    }
    let images = 0..settings.classes.len();
    let walk = cx.model.as_ref().map(|model| Rule::of(settings.sampler.kind).walk(&model.schedule, &settings.sampler));
    // What no walk can be made of the worker refuses.
    let moves = walk.and_then(Result::ok).map_or_else(Vec::new, |walk| walk.moves);
    let looks_back = moves.iter().any(Move::looks_back);
    let job = Job::Walk { settings, seed, after: 0, until, images, watch: Vec::new(), fast, looks_back };
    let tensors = given.then(|| Tensor::new("x", cx.shape.with_n(x.len() / cx.shape.len()), x.clone()));
    let ticket = Some(cx.pool.begin(job, tensors.into_iter().collect()));
    let (pixels, x_0) = (as_pixels(&x, cx), Rc::from([]));
    let record = vec![Recorded { step: 0, timestep: None, pixels, x: x.into(), x_0 }];
    let (clock, paused) = (Clock::start(cx.now), until.is_some());
    state.run = Some(Run { ticket, request, made, moves, step: 0, computed: 0.0, clock, paused, record, newest: None });
    state.caption = Some(caption(state, cx));
    (state.lit, state.progress) = (Some(Line::Start), 0.0);
    film::begin(state, cx);
    explain(state, cx);
}

/// What was asked for, in words.
fn caption(state: &State, cx: &Common) -> String {
    let classes = state.run.iter().flat_map(|run| &run.request.settings.classes);
    let named: Vec<Option<String>> = classes.map(|class| class.map(|class| cx.class_name(class))).collect();
    match named.first() {
        Some(Some(first)) if named.iter().all(|name| name.as_ref() == Some(first)) => {
            format!("Asked for: {first}, every time from other noise.")
        }
        Some(Some(_)) => format!("Asked for: {}.", named.into_iter().flatten().collect::<Vec<_>>().join(" ")),
        _ => "Asked for nothing in particular.".to_owned(),
    }
}

/// Ends the run where it is.
pub(super) fn stop(state: &mut State, cx: &mut Common) {
    state.wanted = None;
    let Some(run) = &mut state.run else { return };
    let Some(ticket) = run.ticket.take() else { return };
    cx.pool.end(ticket);
    cx.say(format!("Stopped after step {} of {}.", run.step, run.steps()));
    close(state, cx);
}

/// Forgets the run, whose pictures are another model's.
fn forget(state: &mut State, cx: &mut Common) {
    if let Some(ticket) = state.run.take().and_then(|run| run.ticket) {
        cx.pool.end(ticket);
        cx.say("The run has ended with its model.");
    }
    *state = State { wanted: state.wanted.take(), ..State::default() };
}

fn hear(state: &mut State, ticket: Ticket, news: &News, tensors: &[Tensor], cx: &mut Common) {
    let Some(run) = state.run.as_mut().filter(|run| run.ticket == Some(ticket)) else { return };
    match news {
        News::Part { step, done, of } => {
            let parts = step.saturating_sub(1) as f64 + *done as f64 / (*of).max(1) as f64;
            state.progress = parts / run.steps() as f64;
            state.lit = Some(Line::Predict);
        }
        // A walk that has begun anew comes to where it was.
        News::Frame { step, .. } if *step <= run.step => {}
        News::Frame { step, timestep, milliseconds } => {
            let shape = cx.shape.with_n(run.count());
            let mut tensors = tensors.to_vec();
            let [x, x_0] = ["x", "x0"].map(|name| Tensor::take(&mut tensors, name, shape.len()));
            let (Some(x), Some(x_0)) = (x, x_0) else { return };
            let pixels = as_pixels(&x, cx);
            (run.step, run.computed) = (*step, run.computed + milliseconds);
            run.clock.step(cx.now);
            run.keep(Recorded { step: *step, timestep: Some(*timestep), pixels, x: x.into(), x_0: x_0.into() });
            if run.paused && *step < run.steps() {
                run.clock.pause(cx.now);
                cx.say(pace::where_it_waits(run));
            }
            state.progress = *step as f64 / run.steps() as f64;
            state.lit = Some(Line::Move);
            cx.raise(Message::StepTook(run.computed / *step as f64));
            state.now = pace::pace(state, cx);
            film::grow(state, cx);
        }
        News::Done => {
            let (images, steps) = (plural(run.count(), "image"), plural(run.steps(), "step"));
            let (mean, total) = (run.computed / run.steps() as f64, run.clock.elapsed(cx.now) / 1000.0);
            run.ticket = None;
            cx.say(format!("Done: {images} in {steps}, {} ms a step, {total:.1} s in all.", milliseconds(mean)));
            close(state, cx);
            state.lit = Some(Line::Return);
        }
        News::Failed { message } => {
            run.ticket = None;
            cx.fail(message);
            close(state, cx);
        }
        News::Predicted { .. } | News::Measured { .. } | News::Check(_) => {}
    }
}

/// What a run leaves behind: its film, if it came anywhere.
fn close(state: &mut State, cx: &Common) {
    state.now.clear();
    explain(state, cx);
    // Where not every step is kept, the last one is what the pictures are.
    if let Some(run) = &mut state.run {
        run.keep_newest();
    }
    film::close(state, cx);
}
