//! Section 1: x_0 + ε = x_t, computed here within the frame; ε̂ and x̂_0 follow from the worker.

use super::{App, dom, paint};
use crate::diffusion::forward::closed_form_paper;
use crate::diffusion::{Schedule, objective};
use crate::rng::Rng;
use crate::web::protocol::Command;
use crate::web::wire;
use web_sys::{Element, HtmlElement};

/// Tiles of a film.
pub const TILES: usize = 11;

/// The pictures of the equation, `[1, H, W, C]` each.
#[derive(Default)]
pub struct Forward {
    /// x_0.
    pub x_0: Vec<f32>,
    epsilon: Vec<f32>,
    x_t: Vec<f32>,
    /// Number of the last request, and of the last answer.
    asked: u32,
}

impl App {
    /// Draws ε from its seed, and everything that depends on it.
    pub fn renew_noise(&mut self) {
        if self.model.is_none() {
            return;
        }
        self.forward.epsilon = Rng::new(self.state.noise).normals(self.shape.len());
        paint::image("epsilon", &paint::noise_pixels(&self.forward.epsilon, self.shape), self.shape);
        self.renew_film();
        self.renew_x_t();
    }

    /// Takes the chosen sample for x_0, unless the visitor's own picture is there. Nothing before a model is known, whose pictures
    /// they are.
    pub fn renew_picture(&mut self) {
        if self.model.is_none() {
            return;
        }
        if let Some(picture) = self.state.picture {
            self.forward.x_0 = self.samples.x_0(picture.min(self.samples.count() - 1), self.shape);
        }
        paint::image("x0", &paint::pixels(&self.forward.x_0, self.shape), self.shape);
    }

    /// x_t for the paper's t: √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε.
    fn x_at(&self, schedule: &Schedule, t: usize) -> Vec<f32> {
        let (signal, sigma) = closed_form_paper(schedule, t);
        let (signal, sigma) = (signal as f32, sigma as f32);
        self.forward.x_0.iter().zip(&self.forward.epsilon).map(|(&x, &e)| signal * x + sigma * e).collect()
    }

    /// The eleven tiles over the slider.
    fn renew_film(&self) {
        let Some(schedule) = self.schedule() else { return };
        let last = schedule.timesteps();
        let tile =
            |i: usize| paint::pixels(&self.x_at(schedule, (i * last + (TILES - 1) / 2) / (TILES - 1)), self.shape);
        let tiles: Vec<Vec<u8>> = (0..TILES).map(tile).collect();
        let tiles: Vec<&[u8]> = tiles.iter().map(Vec::as_slice).collect();
        paint::sheet(&dom::by_id("film-strip"), &tiles, self.shape, TILES);
    }

    /// x_t and its numbers; asks the worker for ε̂.
    pub fn renew_x_t(&mut self) {
        let Some(schedule) = self.schedule() else { return };
        let (t, last) = (self.state.t, schedule.timesteps());
        let (signal, sigma) = closed_form_paper(schedule, t);
        self.forward.x_t = self.x_at(schedule, t);
        paint::image("xt", &paint::pixels(&self.forward.x_t, self.shape), self.shape);
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
        let spoken =
            if t == 0 { "t = 0, the picture itself".to_owned() } else { format!("t = {t}, timestep {timestep}") };
        dom::set_attribute(&dom::input("t"), "aria-valuetext", &spoken);
        let tile = (t * (TILES - 1) + last / 2) / last;
        dom::set_variable(&dom::by_id::<HtmlElement>("film-frame"), "--tile", &tile.to_string());
        let mark: Element = dom::by_id("share-t");
        let at = format!("{:.1}", 1000.0 * t as f64 / last as f64);
        dom::set_attribute(&mark, "x1", &at);
        dom::set_attribute(&mark, "x2", &at);
        self.ask();
    }

    /// The curve of ᾱ over t, drawn once for a schedule.
    pub fn draw_shares(&self) {
        let Some(schedule) = self.schedule() else { return };
        let last = schedule.timesteps();
        let point = |i: usize| {
            let (signal, _) = closed_form_paper(schedule, (i * last + 50) / 100);
            format!("L{} {:.2}", 10 * i, 100.0 * (1.0 - signal * signal))
        };
        let points: String = (0..=100).map(point).collect();
        dom::set_attribute(&dom::by_id("share"), "d", &format!("M0 100{points}L1000 100Z"));
    }

    /// Asks for ε̂ at the present t, if there is anybody to ask.
    pub fn ask(&mut self) {
        self.forward.asked = self.forward.asked.wrapping_add(1);
        let Some(timestep) = self.state.t.checked_sub(1) else {
            // x_0 is x_0: no noise to find, and no timestep to ask at.
            paint::clear("epsilon-hat");
            paint::image("x0-hat", &paint::pixels(&self.forward.x_0, self.shape), self.shape);
            dom::set_text("loss", " · none at t = 0");
            return;
        };
        if self.engine.opened() {
            let command = Command::Predict { id: self.forward.asked, timestep };
            self.engine.send(&command, Some(wire::bytes_of(&self.forward.x_t)));
        }
    }

    /// Shows ε̂ and x̂_0, if they answer the last question.
    pub fn show_prediction(&mut self, id: u32, both: &[f32], milliseconds: f64) {
        let n = self.shape.len();
        if both.len() != 2 * n {
            return;
        }
        self.engine.predicted_in(milliseconds);
        // What was asked last is still to come; until then an answer that is a moment late is nearer than none.
        let late = id != self.forward.asked;
        if late && self.state.t == 0 {
            return;
        }
        let (epsilon, x_0) = both.split_at(n);
        paint::image("epsilon-hat", &paint::noise_pixels(epsilon, self.shape), self.shape);
        paint::image("x0-hat", &paint::pixels(x_0, self.shape), self.shape);
        if !late {
            let loss = objective::simple_loss(&self.forward.epsilon, epsilon);
            dom::set_text("loss", &format!(" · loss {loss:.4}"));
        }
    }
}
