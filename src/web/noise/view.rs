use super::lens::{self, Pixel};
use super::own_view;
use super::panels::Panels;
use super::state::Loss;
use crate::diffusion::Schedule;
use crate::web::app::App;
use crate::web::model::Samples;
use crate::web::page::dom::{self, Last};
use crate::web::page::{paint, thumbs};
use std::rc::Rc;
use web_sys::HtmlElement;

/// What the section has built.
#[derive(Default)]
pub struct View {
    /// The samples whose thumbnails stand there.
    samples: Option<Rc<Samples>>,
    problem: Last<String>,
    own: own_view::View,
    loss: Last<Option<Loss>>,
    /// t, T and tiles of the film; √ᾱ_t, and the timestep asked at.
    numbers: Last<([usize; 3], f64, Option<usize>)>,
    pixel: Last<Option<Pixel>>,
    lens: Last<([usize; 2], [usize; 2])>,
    measures: super::measures::View,
    panels: Panels,
}

impl View {
    /// Shows the equation at t.
    pub fn show(&mut self, app: &App) {
        let (state, cx) = (&app.noise, &app.common);
        if self.problem.differs(state.problem.clone()) {
            dom::set_text("upload-error", &state.problem);
        }
        self.panels.show(app);
        let (Some(shown), Some(model)) = (&state.shown, &cx.model) else { return };
        let rebuilt = self.samples.as_ref().is_none_or(|samples| !Rc::ptr_eq(samples, &cx.samples));
        if rebuilt {
            thumbs::build("thumbs", "picture", &cx.samples, |i| cx.samples.name(i).to_owned());
            self.samples = Some(cx.samples.clone());
        }
        self.own.show(app, rebuilt);
        for (id, sheet) in [
            ("x0", &shown.x_0),
            ("epsilon", &shown.epsilon),
            ("weighted-x0", &shown.weighted[0]),
            ("weighted-epsilon", &shown.weighted[1]),
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
                Some(Loss::None) => ": none at t = 0".to_owned(),
                Some(Loss::Of(loss)) => format!(", loss {loss:.4}"),
            };
            dom::set_text("loss", &text);
        }
        self.measures.show(app, model, shown.weights);
        let Some(last) = state.schedule.as_ref().map(Schedule::timesteps) else { return };
        let numbers = [cx.settings.t, last, cx.tiles];
        if self.numbers.differs((numbers, shown.weights.0, state.timestep)) {
            show_numbers(numbers, shown.weights, state.timestep);
        }
        let pixel = Pixel::of(state, cx);
        if self.pixel.differs(pixel.clone()) {
            show_pixel(pixel.as_ref());
        }
        let size = [cx.shape.w(), cx.shape.h()];
        if self.lens.differs((cx.lens, size)) {
            show_lens(cx.lens, size);
        }
    }
}

/// t, and what follows from it.
fn show_numbers([t, last, tiles]: [usize; 3], (signal, sigma): (f64, f64), timestep: Option<usize>) {
    for (id, value) in [("signal", signal), ("sigma", sigma)] {
        dom::set_text(id, &format!("{value:.4}"));
    }
    let timestep = timestep.map_or("none".to_owned(), |timestep| timestep.to_string());
    dom::set_text("x0-words", if t == 0 { "" } else { ", fainter" });
    dom::set_text("t-value", &t.to_string());
    dom::set_text("xt-caption", &format!("t = {t}"));
    dom::set_text("t-max", &last.to_string());
    dom::set_text("t-all", &last.to_string());
    let marks = dom::document().get_elements_by_class_name("t-now");
    (0..marks.length()).filter_map(|i| marks.item(i)).for_each(|mark| mark.set_text_content(Some(&t.to_string())));
    let spoken = if t == 0 { "t = 0, the picture itself".to_owned() } else { format!("t = {t}, timestep {timestep}") };
    dom::set_attribute(&dom::input("t"), "aria-valuetext", &spoken);
    let line: HtmlElement = dom::by_id("t-line");
    let tile = (t * (tiles - 1) + last / 2) / last;
    dom::set_variable(&line, "--columns", &tiles.to_string());
    dom::set_variable(&line, "--tile", &tile.to_string());
}

/// The sum for the pixel under the lens.
fn show_pixel(pixel: Option<&Pixel>) {
    let Some(pixel) = pixel else { return };
    let [x_t, x_0, epsilon] = pixel.values;
    let (signal, sigma) = pixel.weights;
    for (id, text) in [
        ("pixel-xt", lens::number(x_t)),
        ("pixel-signal", format!("{signal:.4}")),
        ("pixel-x0", lens::factor(x_0)),
        ("pixel-sigma", format!("{sigma:.4}")),
        ("pixel-epsilon", lens::factor(epsilon)),
        ("pixel-guess", pixel.guess()),
    ] {
        dom::set_text(id, &text);
    }
    for (id, value) in [("swatch-xt", x_t), ("swatch-x0", x_0), ("swatch-epsilon", epsilon)] {
        let grey = 127.5 * (value.clamp(-1.0, 1.0) + 1.0);
        dom::set_variable(&dom::by_id(id), "background", &format!("rgb({grey:.0} {grey:.0} {grey:.0})"));
    }
}

/// The lens, which stands over the same pixel everywhere.
fn show_lens(lens: [usize; 2], size: [usize; 2]) {
    let main: HtmlElement = dom::by_id("main");
    for (name, number) in [("--column", lens[0]), ("--row", lens[1]), ("--across", size[0]), ("--down", size[1])] {
        dom::set_variable(&main, name, &number.to_string());
    }
    for (id, at, size) in [("lens-x", lens[0], size[0]), ("lens-y", lens[1], size[1])] {
        let input = dom::input(id);
        dom::set_attribute(&input, "max", &(size - 1).to_string());
        dom::set_value(&input, &at.to_string());
    }
}
