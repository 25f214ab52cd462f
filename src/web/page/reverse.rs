//! Section 2: a run's pictures as they form, and its film when it is over.

use super::algorithm::{self, Line};
use super::forward::TILES;
use super::{App, dom, paint};
use crate::diffusion::walk::Rule;
use crate::playground::start_noise;
use crate::tensor::Shape;
use crate::web::algorithm::{Shown, lines};
use crate::web::changes::changes;
use crate::web::protocol::Request;
use crate::web::state::CHANCE;
use web_sys::{HtmlElement, HtmlProgressElement};

/// Pixels of recorded frames are kept up to about this many bytes; of longer runs only every k-th step.
const FILM_BYTES: usize = 64 << 20;

/// A run, in progress or over.
pub struct Run {
    id: u32,
    request: Request,
    active: bool,
    /// The last state, to go on from.
    x: Vec<f32>,
    step: usize,
    /// Milliseconds of all steps together, and of the time around them.
    computed: f64,
    began: f64,
    film: Vec<Recorded>,
}

/// The pixels after a step.
struct Recorded {
    step: usize,
    /// The timestep the network was asked at; none for the noise at the start.
    timestep: Option<usize>,
    pixels: Vec<u8>,
}

impl Run {
    fn count(&self) -> usize {
        self.request.classes.len()
    }
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

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

impl App {
    /// Whether a run is in progress.
    pub fn running(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.active)
    }

    /// Shows the noise that the next run would begin with, as long as there is no run to look at.
    pub fn preview_noise(&self) {
        if self.run.is_none() && self.model.is_some() {
            let x = start_noise(self.state.seed, self.shape.with_n(self.state.count));
            self.draw_grid(&paint::pixels(&x, self.shape.with_n(self.state.count)));
            algorithm::light(None);
        }
    }

    fn draw_grid(&self, pixels: &[u8]) {
        let image = pixels_of_one(self.shape);
        let images: Vec<&[u8]> = pixels.chunks_exact(image).collect();
        let columns = columns(images.len());
        paint::sheet(&dom::by_id("images"), &images, self.shape, columns);
        let grid: HtmlElement = dom::by_id("grid");
        dom::set_variable(&grid, "--columns", &columns.to_string());
        dom::set_variable(&grid, "--rows", &images.len().div_ceil(columns).to_string());
    }

    /// What the controls ask for.
    fn request(&self) -> Request {
        let (state, how) = (&self.state, &self.state.sampling);
        let classes = self.limits().classes;
        let classes: Vec<_> = (0..state.count).map(|image| state.class.of(image, classes)).collect();
        Request {
            // There is nothing to guide towards without a class.
            guidance: if classes.iter().any(Option::is_some) { how.guidance } else { 1.0 },
            classes,
            sampler: how.sampler.name().to_owned(),
            steps: how.steps,
            spacing: how.spacing.name().to_owned(),
            convention: how.convention.name().to_owned(),
            eta: if Rule::of(how.sampler).allows.eta { how.eta } else { 0.0 },
            seed: state.seed,
        }
    }

    /// Shows the algorithm of the run in progress, or of the one that the controls ask for; nothing before the model is known.
    pub fn show_algorithm(&self) {
        let Some(model) = &self.model else { return };
        let running = self.run.as_ref().filter(|run| run.active).map(|run| run.request.clone());
        let request = running.unwrap_or_else(|| self.request());
        let class = request.guidance != 0.0 || model.config.null_class.is_none();
        let class = class && request.classes.iter().any(Option::is_some);
        let guided = class && request.guidance != 1.0 && model.config.null_class.is_some();
        algorithm::show(&lines(&Shown {
            sampler: &request.sampler_config(&model.scheduler),
            schedule: &model.schedule,
            guided: guided.then_some(request.guidance),
            class,
        }));
    }

    /// In which settings the pictures shown, or being made, differ from the controls: theirs, and what the controls say.
    pub fn changes(&self) -> Option<[String; 2]> {
        changes(&self.run.as_ref()?.request, &self.request(), |class| self.class_name(class))
    }

    /// Marks pictures of other settings than the controls have, and says so.
    pub fn mark_old(&self) {
        let changes = self.changes().filter(|_| !self.running());
        dom::by_id::<HtmlElement>("grid").set_class_name(if changes.is_some() { "grid old" } else { "grid" });
        let text = changes.map(|[made, now]| format!("Made with {made}. Press Generate to see {now}."));
        dom::set_text("old", &text.unwrap_or_default());
    }

    /// Takes a new seed from the system's randomness.
    pub fn throw_dice(&mut self) {
        match getrandom::u32() {
            Ok(drawn) => {
                self.state.seed = u64::from(drawn % CHANCE);
                self.show_controls();
            }
            Err(error) => self.error(&format!("the browser gives no random numbers ({error}), so the seed stays")),
        }
    }

    /// Whether there is an engine and a model, and neither has anything else to do.
    fn can_generate(&self) -> bool {
        self.engine.opened() && !self.running() && self.loading.is_none()
    }

    /// Begins a run with what the controls say. From the same noise as the last one only if the seed is to be kept.
    pub fn generate(&mut self) {
        if !self.can_generate() {
            return;
        }
        if !self.read_controls() {
            dom::focus_on("input[aria-invalid=true]");
            return;
        }
        // A seed that nothing was made of yet is new enough: its noise is what the grid shows.
        let used = self.run.as_ref().is_some_and(|run| run.request.seed == self.state.seed);
        if used && !self.state.keep_seed {
            self.throw_dice();
        }
        // However it was begun, the address holds the seed of what is shown.
        self.write_address();
        let (state, request) = (&self.state, self.request());
        let id = self.run.as_ref().map_or(0, |run| run.id) + 1;
        let x = start_noise(state.seed, self.shape.with_n(state.count));
        let film = vec![Recorded { step: 0, timestep: None, pixels: paint::pixels(&x, self.shape) }];
        let began = dom::now();
        let (images, steps) = (plural(state.count, "image"), plural(request.steps, "step"));
        self.status(&format!("Generating {images} in {steps} with {}.", Rule::of(state.sampling.sampler).title));
        self.run = Some(Run { id, request: request.clone(), active: true, x, step: 0, computed: 0.0, began, film });
        self.draw_grid(&self.run.as_ref().map_or(Vec::new(), |run| run.film[0].pixels.clone()));
        self.caption_grid();
        self.mark_old();
        show_film(false);
        self.show_algorithm();
        algorithm::light(Some(Line::Start));
        self.show_progress(0.0);
        self.renew_buttons();
        self.engine.begin(id, &request, 0, None);
    }

    /// Goes on with the run in progress, on the workers that are there now.
    pub fn resume(&mut self) {
        let Some(run) = self.run.as_ref().filter(|run| run.active) else { return };
        self.engine.begin(run.id, &run.request, run.step, Some(&run.x));
    }

    /// Ends the run where it is.
    pub fn stop(&mut self) {
        self.engine.end_run();
        let Some(run) = self.run.as_mut().filter(|run| run.active) else { return };
        run.active = false;
        let text = format!("Stopped after step {} of {}.", run.step, run.request.steps);
        self.status(&text);
        self.close_run();
    }

    /// Some images of a step are there.
    pub fn show_part(&mut self, id: u32, step: usize, done: usize, of: usize) {
        let Some(run) = self.run.as_ref().filter(|run| run.active && run.id == id) else { return };
        let parts = (step.saturating_sub(1)) as f64 + done as f64 / of.max(1) as f64;
        self.show_progress(parts / run.request.steps as f64);
        algorithm::light(Some(Line::Predict));
    }

    /// A step is there.
    pub fn show_frame(&mut self, id: u32, step: usize, timestep: usize, milliseconds: f64, x: Vec<f32>) {
        let shape = self.shape;
        let Some(run) = self.run.as_mut().filter(|run| run.active && run.id == id) else { return };
        if x.len() != run.count() * shape.len() {
            return;
        }
        let pixels = paint::pixels(&x, shape);
        (run.x, run.step, run.computed) = (x, step, run.computed + milliseconds);
        let steps = run.request.steps;
        let every = (steps * pixels.len()).div_ceil(FILM_BYTES).max(1);
        if step.is_multiple_of(every) || step == steps {
            run.film.push(Recorded { step, timestep: Some(timestep), pixels: pixels.clone() });
        }
        let mean = run.computed / step as f64;
        self.draw_grid(&pixels);
        self.show_progress(step as f64 / steps as f64);
        dom::set_text("now", &format!("step {step} of {steps} · timestep {timestep}"));
        self.engine.step_took(mean);
        algorithm::light(Some(Line::Move));
    }

    /// The last step is done.
    pub fn finish_run(&mut self, id: u32) {
        let Some(run) = self.run.as_mut().filter(|run| run.active && run.id == id) else { return };
        run.active = false;
        let (images, steps) = (plural(run.count(), "image"), plural(run.request.steps, "step"));
        let (mean, total) = (run.computed / run.request.steps as f64, (dom::now() - run.began) / 1000.0);
        let text = format!("Done: {images} in {steps}, {} ms a step, {total:.1} s in all.", milliseconds(mean));
        self.status(&text);
        self.close_run();
        algorithm::light(Some(Line::Return));
    }

    /// Forgets the run, whose pictures are another model's.
    pub fn forget_run(&mut self) {
        self.engine.end_run();
        self.run = None;
        show_film(false);
        dom::set_text("now", "");
        self.mark_old();
        dom::set_text("grid-caption", "Every picture starts as noise of its own. Press Generate.");
        self.show_progress(0.0);
    }

    /// The run has failed.
    pub fn fail_run(&mut self) {
        if let Some(run) = &mut self.run {
            run.active = false;
        }
        self.close_run();
    }

    /// What a run leaves behind: buttons, and a film if it came anywhere.
    fn close_run(&mut self) {
        self.renew_buttons();
        self.show_algorithm();
        self.mark_old();
        dom::set_text("now", "");
        let Some(run) = &self.run else { return };
        let last = run.film.len() - 1;
        show_film(last > 0);
        let step = dom::input("step");
        step.set_max(&last.to_string());
        step.set_value(&last.to_string());
        let choice = dom::select("film-of");
        choice.set_text_content(None);
        for (i, class) in run.request.classes.iter().enumerate() {
            let name = class.map_or(String::new(), |class| format!(" · {}", self.class_name(class)));
            dom::add_option(&choice, &i.to_string(), &format!("{}{name}", i + 1));
        }
        self.renew_run_film();
        self.scrub();
    }

    /// The eleven tiles of the run, of the image chosen.
    pub fn renew_run_film(&self) {
        let Some(run) = &self.run else { return };
        let image = pixels_of_one(self.shape);
        let which = dom::select("film-of").selected_index().max(0) as usize;
        let last = run.film.len() - 1;
        let tile = |i: usize| {
            let at = (i * last + (TILES - 1) / 2) / (TILES - 1);
            run.film[at].pixels.get(which * image..(which + 1) * image)
        };
        let tiles: Vec<&[u8]> = (0..TILES).filter_map(tile).collect();
        paint::sheet(&dom::by_id("run-strip"), &tiles, self.shape, TILES);
    }

    /// Shows the run as it was at the slider's step.
    pub fn scrub(&self) {
        let Some(run) = self.run.as_ref().filter(|run| !run.active) else { return };
        let slider = dom::input("step");
        let last = run.film.len() - 1;
        let at = (slider.value_as_number().max(0.0) as usize).min(last);
        let recorded = &run.film[at];
        self.draw_grid(&recorded.pixels);
        let text = match recorded.timestep {
            None => "the noise at the start".to_owned(),
            Some(timestep) => format!("step {} of {} · timestep {timestep}", recorded.step, run.request.steps),
        };
        dom::set_text("step-caption", &text);
        dom::set_attribute(&slider, "aria-valuetext", &text);
        let tile = (at * (TILES - 1) + last / 2).checked_div(last).unwrap_or(0);
        dom::set_variable(&dom::by_id::<HtmlElement>("run-frame"), "--tile", &tile.to_string());
    }

    /// Generate and Stop, as the moment allows.
    pub fn renew_buttons(&self) {
        dom::set_enabled("generate", self.can_generate());
        dom::set_enabled("stop", self.running());
    }

    fn caption_grid(&self) {
        let Some(run) = &self.run else { return };
        let named = run.request.classes.iter().flatten().map(|&class| self.class_name(class)).collect::<Vec<_>>();
        let asked = if named.len() == run.count() && !named.iter().all(|name| *name == named[0]) {
            format!("Asked for: {}.", named.join(" "))
        } else if let Some(name) = named.first() {
            format!("Asked for: {name}, every time from other noise.")
        } else {
            "Asked for nothing in particular.".to_owned()
        };
        dom::set_text("grid-caption", &asked);
    }

    fn show_progress(&self, part: f64) {
        dom::by_id::<HtmlProgressElement>("progress").set_value(part);
    }
}

/// Shows the run's film, or keeps its place: what lies below stays where it is.
fn show_film(shown: bool) {
    dom::set_class("run", "waiting", !shown);
}

/// Bytes of one image as it is recorded.
fn pixels_of_one(shape: Shape) -> usize {
    shape.pixels() * if shape.c() == 3 { 3 } else { 1 }
}

/// A time for people: two digits are enough.
pub fn milliseconds(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}
