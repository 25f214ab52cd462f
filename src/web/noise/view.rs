use super::state::{Loss, TILES};
use crate::diffusion::Schedule;
use crate::diffusion::forward::closed_form_paper;
use crate::web::app::App;
use crate::web::model::Samples;
use crate::web::page::dom::{self, Last};
use crate::web::page::paint;
use crate::web::sheet::Sheet;
use std::rc::Rc;
use web_sys::{Element, HtmlCanvasElement, HtmlElement, HtmlInputElement, HtmlLabelElement};

/// What the section has built.
#[derive(Default)]
pub struct View {
    /// The samples whose thumbnails stand there.
    samples: Option<Rc<Samples>>,
    /// The model whose curve is drawn.
    curve: Last<String>,
    problem: Last<String>,
    loss: Last<Option<Loss>>,
    /// t, T, and the weights at t.
    numbers: Last<(usize, usize, (f64, f64))>,
}

impl View {
    /// Shows the equation at t.
    pub fn show(&mut self, app: &App) {
        let (state, cx) = (&app.noise, &app.common);
        if self.problem.differs(state.problem.clone()) {
            dom::set_text("upload-error", &state.problem);
        }
        let (Some(shown), Some(model)) = (&state.shown, &cx.model) else { return };
        if self.samples.as_ref().is_none_or(|samples| !Rc::ptr_eq(samples, &cx.samples)) {
            build_thumbs(&cx.samples);
            self.samples = Some(cx.samples.clone());
        }
        if self.curve.differs(model.entry.name.clone()) {
            draw_curve(&model.schedule);
        }
        for (id, sheet) in [
            ("x0", &shown.x_0),
            ("epsilon", &shown.epsilon),
            ("xt", &shown.x_t),
            ("epsilon-hat", &shown.epsilon_hat),
            ("x0-hat", &shown.x_0_hat),
            ("film-strip", &shown.film),
        ] {
            paint::show(id, sheet);
        }
        if self.loss.differs(state.loss) {
            let text = match state.loss {
                None => String::new(),
                Some(Loss::None) => " · none at t = 0".to_owned(),
                Some(Loss::Of(loss)) => format!(" · loss {loss:.4}"),
            };
            dom::set_text("loss", &text);
        }
        let (t, last) = (cx.settings.t, model.schedule.timesteps());
        if self.numbers.differs((t, last, shown.weights)) {
            show_numbers(t, last, shown.weights);
        }
    }
}

/// t, and what follows from it.
fn show_numbers(t: usize, last: usize, (signal, sigma): (f64, f64)) {
    for (id, value) in [
        ("alpha-bar", signal * signal),
        ("sqrt-alpha-bar", signal),
        ("sqrt-one-minus", sigma),
        ("signal", signal),
        ("sigma", sigma),
    ] {
        dom::set_text(id, &format!("{value:.4}"));
    }
    let timestep = t.checked_sub(1).map_or("none".to_owned(), |timestep| timestep.to_string());
    dom::set_text("t-value", &t.to_string());
    dom::set_text("timestep", &timestep);
    dom::set_text("xt-caption", &format!("t = {t}"));
    dom::set_text("t-max", &last.to_string());
    let marks = dom::document().get_elements_by_class_name("t-now");
    (0..marks.length()).filter_map(|i| marks.item(i)).for_each(|mark| mark.set_text_content(Some(&t.to_string())));
    let spoken = if t == 0 { "t = 0, the picture itself".to_owned() } else { format!("t = {t}, timestep {timestep}") };
    dom::set_attribute(&dom::input("t"), "aria-valuetext", &spoken);
    let tile = (t * (TILES - 1) + last / 2) / last;
    dom::set_variable(&dom::by_id::<HtmlElement>("film-frame"), "--tile", &tile.to_string());
    let mark: Element = dom::by_id("share-t");
    let at = format!("{:.1}", 1000.0 * t as f64 / last as f64);
    dom::set_attribute(&mark, "x1", &at);
    dom::set_attribute(&mark, "x2", &at);
}

/// The curve of ᾱ over t.
fn draw_curve(schedule: &Schedule) {
    let last = schedule.timesteps();
    let point = |i: usize| {
        let (signal, _) = closed_form_paper(schedule, (i * last + 50) / 100);
        format!("L{} {:.2}", 10 * i, 100.0 * (1.0 - signal * signal))
    };
    let points: String = (0..=100).map(point).collect();
    dom::set_attribute(&dom::by_id("share"), "d", &format!("M0 100{points}L1000 100Z"));
}

/// One choice per sample.
fn build_thumbs(samples: &Samples) {
    let thumbs: Element = dom::by_id("thumbs");
    let old = thumbs.get_elements_by_tag_name("label");
    while let Some(label) = old.item(0) {
        label.remove();
    }
    for i in 0..samples.count() {
        let label: HtmlLabelElement = dom::create("label");
        let input: HtmlInputElement = dom::create("input");
        input.set_type("radio");
        input.set_name("picture");
        input.set_value(&i.to_string());
        dom::set_attribute(&input, "aria-label", samples.name(i));
        let canvas: HtmlCanvasElement = dom::create("canvas");
        dom::set_attribute(&canvas, "aria-hidden", "true");
        paint::draw(&canvas, &Sheet::new(samples.pixels(i).to_vec(), samples.shape, 1));
        let _ = label.append_child(&input).and_then(|_| label.append_child(&canvas));
        let _ = thumbs.append_child(&label);
    }
}
