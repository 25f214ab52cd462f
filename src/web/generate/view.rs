use super::facts;
use super::numbers::Numbers;
use super::state::Film;
use super::{Line, State};
use crate::diffusion::walk::Rule;
use crate::web::app::{App, Common};
use crate::web::model::Samples;
use crate::web::page::dom::{self, Last};
use crate::web::page::{paint, thumbs};
use crate::web::plural;
use crate::web::settings::{Class, Limits, Sampling};
use std::rc::Rc;
use web_sys::{Element, HtmlElement, HtmlProgressElement};

/// What the section has built.
#[derive(Default)]
pub struct View {
    /// The classes that can be chosen, by the model that has them.
    classes: Last<(Option<String>, Limits)>,
    /// The samples that stand for them, and the one that is chosen.
    pictures: Last<Option<*const Samples>>,
    class: Last<Class>,
    facts: Last<Vec<(&'static str, String)>>,
    algorithm: Last<Vec<(bool, String)>>,
    lit: Last<Option<Line>>,
    /// Columns and rows of the grid.
    grid: Last<[usize; 2]>,
    old: Last<Option<[String; 2]>>,
    caption: Last<Option<String>>,
    /// Images of the grid by name, the chosen one, and what of its film is shown.
    picks: Last<Vec<String>>,
    pick: Last<usize>,
    moment: Last<Option<([usize; 5], String)>>,
    numbers: Last<Numbers>,
    state: Last<&'static str>,
    meaning: Last<(Sampling, Class, Limits, bool)>,
    fast: Last<String>,
}

impl View {
    /// Shows the pictures, the run, and what can be asked for.
    pub fn show(&mut self, app: &App) {
        let (state, cx) = (&app.generate, &app.common);
        if self.classes.differs((cx.model.as_ref().map(|model| model.entry.name.clone()), cx.limits())) {
            fill_classes(cx);
        }
        // Samples that are one of each class show what can be asked for.
        let pictures = Some(Rc::as_ptr(&cx.samples)).filter(|_| cx.samples.count() == cx.limits().classes);
        if self.pictures.differs(pictures) {
            dom::set_shown("by-picture", pictures.is_some());
            thumbs::build("class-pictures", "class-picture", &cx.samples, |i| format!("class {}", cx.class_name(i)));
            self.class = Last::default();
        }
        if self.class.differs(cx.settings.class) {
            dom::check_radio(&dom::by_id("class-pictures"), &cx.settings.class.to_string());
        }
        let facts = facts::facts(cx);
        if self.facts.differs(facts.clone()) {
            write_facts(&facts);
        }
        let others = self.algorithm.differs(state.algorithm.clone());
        if others {
            write_algorithm(&state.algorithm);
        }
        if self.lit.differs(state.lit) || others {
            light(state.lit);
        }
        if self.numbers.differs(state.numbers.clone()) || others {
            write_numbers(&state.numbers);
        }
        if let Some(grid) = &state.grid {
            paint::show("images", grid);
            let size = [grid.columns, grid.rows()];
            let frame: HtmlElement = dom::by_id("grid");
            if self.grid.differs(size) {
                dom::set_variable(&frame, "--columns", &size[0].to_string());
                dom::set_variable(&frame, "--rows", &size[1].to_string());
            }
            self.show_picks(state, grid.count());
        }
        let kind = match &state.run {
            _ if cx.status.failed => "failed",
            Some(_) if cx.running => "running",
            Some(_) if cx.status.text.starts_with("Done") => "done",
            _ if cx.status.text == "Ready." => "idle",
            _ => "said",
        };
        if self.state.differs(kind) {
            dom::set_attribute(&dom::by_id("status"), "data-state", kind);
        }
        let old = state.changes.clone().filter(|_| !cx.running);
        if self.old.differs(old.clone()) {
            dom::set_class("grid", "old", old.is_some());
            let from = state.run.as_ref().is_some_and(|run| run.request.from.is_some());
            let press = if from { "Take it away once more" } else { "Press Generate" };
            let text = old.map(|[made, now]| format!("Made with {made}. {press} to see {now}."));
            dom::set_text("old", &text.unwrap_or_default());
        }
        if self.caption.differs(state.caption.clone()) {
            let usual = "Every picture starts as noise of its own. Press Generate.";
            dom::set_text("grid-caption", state.caption.as_deref().unwrap_or(usual));
        }
        dom::by_id::<HtmlProgressElement>("progress").set_value(state.progress);
        dom::set_text("now", &state.now);
        dom::set_enabled("go", cx.can_generate());
        dom::set_enabled("stop", cx.running);
        let paused = state.run.as_ref().is_some_and(|run| run.active() && run.paused);
        dom::set_text("pause", if paused { "Play" } else { "Pause" });
        dom::set_enabled("pause", cx.running);
        dom::set_enabled("one-step", cx.running || cx.can_generate());
        dom::set_enabled("save", state.run.is_some());
        self.show_film(state.film.as_ref());
        let fast = cx.wanted_student().is_some() && state.not_for.is_none();
        if self.meaning.differs((cx.settings.sampling, cx.settings.class, cx.limits(), fast)) {
            explain(cx, fast);
        }
        let (text, there) = fast_meaning(app);
        if self.fast.differs(text.clone()) {
            dom::set_text("fast-meaning", &text);
            dom::set_enabled("fast", there);
        }
    }

    fn show_film(&mut self, film: Option<&Film>) {
        // A thumb that was dragged beyond what is there comes back to the newest step.
        film.into_iter().for_each(|film| dom::set_value(&dom::input("step"), &film.at.to_string()));
        let what = |film: &Film| ([film.of, film.at, film.last, film.end, film.tiles.columns], film.caption.clone());
        if !self.moment.differs(film.map(what)) {
            return;
        }
        // What lies below the film stays where it is.
        dom::set_class("run", "waiting", film.is_none());
        let Some(film) = film else { return };
        let name = film.images.get(film.of).map_or("", String::as_str);
        dom::set_text("film-of", name);
        let line: HtmlElement = dom::by_id("run");
        dom::set_variable(&line, "--columns", &film.tiles.columns.to_string());
        dom::set_variable(&line, "--tile", &film.tile().to_string());
        paint::show("run-strip", &film.tiles);
        let slider = dom::input("step");
        dom::set_attribute(&slider, "max", &film.end.to_string());
        dom::set_value(&slider, &film.at.to_string());
        dom::set_attribute(&slider, "aria-valuetext", &film.caption);
        dom::set_text("step-caption", &film.caption);
        dom::fill(&slider);
    }

    /// One choice per picture, over the grid.
    fn show_picks(&mut self, state: &State, count: usize) {
        let film = state.film.as_ref();
        let name = |i: usize| film.and_then(|film| film.images.get(i).cloned()).unwrap_or(format!("picture {}", i + 1));
        let fieldset: Element = dom::by_id("picks");
        let (chosen, names) = (film.map_or(0, |film| film.of), (0..count).map(name).collect::<Vec<_>>());
        let others = self.picks.differs(names.clone());
        if others {
            thumbs::clear(&fieldset);
            for (i, name) in names.iter().enumerate() {
                thumbs::radio(&fieldset, "pick", &i.to_string(), name);
            }
        }
        if self.pick.differs(chosen) || others {
            dom::check_radio(&fieldset, &chosen.to_string());
            let grid: HtmlElement = dom::by_id("grid");
            let columns = state.grid.as_ref().map_or(1, |grid| grid.columns);
            dom::set_variable(&grid, "--at-column", &(chosen % columns).to_string());
            dom::set_variable(&grid, "--at-row", &(chosen / columns).to_string());
        }
    }
}

/// Writes the numbers under the lines.
fn write_numbers(numbers: &Numbers) {
    let items = dom::by_id::<Element>("algorithm").get_elements_by_tag_name("small");
    for (i, text) in numbers.iter().enumerate() {
        if let Some(item) = items.item(i as u32) {
            item.set_text_content(Some(text));
        }
    }
}

/// The model's classes as choices.
fn fill_classes(cx: &Common) {
    let limits = cx.limits();
    let option = |value: &str, text: &str| (value.to_owned(), text.to_owned());
    let mut options = vec![option("each", if limits.classes == 0 { "this model has none" } else { "each in turn" })];
    options.extend((0..limits.classes).map(|class| (class.to_string(), cx.class_name(class))));
    if limits.none && limits.classes > 0 {
        options.push(option("none", "none"));
    }
    dom::set_options(&dom::select("class"), options);
}

/// What the settings mean; `fast` if the student generates.
fn explain(cx: &Common, fast: bool) {
    let (settings, limits) = (&cx.settings, cx.limits());
    dom::set_enabled("eta", Rule::of(settings.sampling.sampler).allows.eta);
    dom::set_enabled("class", limits.classes > 0);
    let guides = limits.classes > 0 && limits.none;
    dom::set_enabled("guidance", guides);
    // A link may say it more finely than the slider.
    dom::set_text("guidance-value", &format!("{:?}", settings.sampling.guidance));
    let meaning = match settings.sampling.guidance {
        _ if !guides => "this model cannot be guided",
        _ if fast => "built into the fast student; one evaluation a step",
        _ if settings.class == Class::None => "no class is asked for; one evaluation a step",
        0.0 => "the class is not looked at",
        w if w < 1.0 => "the class counts for less than it was trained to",
        1.0 => "the class as trained; one evaluation a step",
        _ => "the class is exaggerated; two evaluations a step",
    };
    dom::set_text("guidance-meaning", meaning);
}

/// What the switch means, and whether there is anything to switch.
fn fast_meaning(app: &App) -> (String, bool) {
    let (cx, not_for) = (&app.common, &app.generate.not_for);
    let Some(teacher) = &cx.model else { return (String::new(), false) };
    let title = &teacher.entry.title;
    let text = match (cx.wanted_student(), not_for) {
        _ if !teacher.entry.fast => "there is no student of this model".to_owned(),
        (None, _) if cx.settings.model.fast => "the student is being loaded".to_owned(),
        (None, _) => format!("{title} itself generates; its student needs fewer steps"),
        (Some(_), None) => {
            format!("{}, distilled from {title}", plural(cx.settings.sampling.steps, "step"))
        }
        (Some(student), Some(found)) => {
            let guidance = student.scheduler.suggested.guidance.unwrap_or(1.0);
            let steps = student.valid_steps();
            format!(
                "not for {found}, so {title} itself generates; the student knows {steps} steps of DDIM, classes, guidance {guidance}"
            )
        }
    };
    (text, teacher.entry.fast)
}

/// Writes what is to be known of the model.
fn write_facts(facts: &[(&str, String)]) {
    let list: Element = dom::by_id("facts");
    list.set_text_content(None);
    for (word, text) in facts {
        for (tag, text) in [("dt", *word), ("dd", text)] {
            let item: Element = dom::create(tag);
            item.set_text_content(Some(text));
            let _ = list.append_child(&item);
        }
    }
}

/// Writes the algorithm.
fn write_algorithm(lines: &[(bool, String)]) {
    let list: Element = dom::by_id("algorithm");
    list.set_text_content(None);
    for (inner, text) in lines {
        let item: Element = dom::create("li");
        item.set_class_name(if *inner { "inner" } else { "" });
        let line: Element = dom::create("span");
        dom::set_math(&line, text);
        let _ = item.append_child(&line);
        let numbers: Element = dom::create("small");
        let _ = item.append_child(&numbers);
        let _ = list.append_child(&item);
    }
}

/// Lights a line, or none.
fn light(line: Option<Line>) {
    let items = dom::by_id::<Element>("algorithm").children();
    for i in 0..items.length() {
        let Some(item) = items.item(i) else { continue };
        // x̂_0 follows from ε̂ at once.
        if line.is_some_and(|line| line as u32 == i || (line == Line::Move && i == 3)) {
            dom::set_attribute(&item, "aria-current", "step");
        } else {
            let _ = item.remove_attribute("aria-current");
        }
    }
}
