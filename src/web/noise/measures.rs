//! What is measured of the picture, shown: the loss at every t, bits per dimension; and the button that takes its noise away.

use super::curve::{self, x_0_error};
use crate::web::app::App;
use crate::web::model::Model;
use crate::web::page::dom::{self, Last};
use web_sys::Element;

/// What has been built.
#[derive(Default)]
pub struct View {
    curve: Last<(Vec<(usize, f64)>, String)>,
    marked: Last<usize>,
    words: Last<[String; 3]>,
    remark: Last<&'static str>,
}

impl View {
    /// Shows it, with what is to be known at these weights.
    pub fn show(&mut self, app: &App, model: &Model, weights: (f64, f64)) {
        let (state, cx) = (&app.noise, &app.common);
        let measuring = [&state.curve.ticket, &state.bits.ticket].map(Option::is_some);
        // A run that is paused leaves the worker free.
        let waits = app.generate.run.as_ref().is_some_and(|run| run.active() && !run.paused);
        dom::set_enabled("take", cx.can_generate());
        for (id, texts, on) in [
            ("measure", ["Measure", "Stop measuring"], measuring[0]),
            ("bits", ["Bits per dimension", "Stop counting bits"], measuring[1]),
        ] {
            dom::set_enabled(id, cx.pool.opened());
            dom::set_text(id, texts[usize::from(on)]);
        }
        let (curve, bits) = (state.curve.status(waits), state.bits.words(waits));
        if self.words.differs([curve.clone(), bits.clone(), model.entry.name.clone()]) {
            dom::set_text("curve-status", &curve);
            dom::set_math(&dom::by_id("bits-status"), &bits);
        }
        // Where the schedule is not the network's, the curve is at the t that the network is asked at.
        let t = state.timestep.map_or(0, |timestep| timestep + 1);
        let remark = if t == 0 { "" } else { curve::remark(weights) };
        if self.remark.differs(remark) {
            dom::set_math(&dom::by_id("loss-remark"), remark);
        }
        let last = model.schedule.timesteps();
        if self.marked.differs(1000 * t / last) {
            let mark: Element = dom::by_id("curve-t");
            let at = (1000 * t / last).to_string();
            dom::set_attribute(&mark, "x1", &at);
            dom::set_attribute(&mark, "x2", &at);
        }
        if self.curve.differs((state.curve.losses.clone(), model.entry.name.clone())) {
            dom::set_shown("loss-curve", !state.curve.losses.is_empty());
            for (id, points) in ["curve-loss", "curve-x0"].into_iter().zip(state.curve.lines(&model.schedule)) {
                dom::set_attribute(&dom::by_id(id), "points", &points);
            }
            let rows: Element = dom::by_id("curve-rows");
            rows.set_text_content(None);
            for &(t, loss) in &state.curve.losses {
                let row: Element = dom::create("tr");
                let error = x_0_error(&model.schedule, t, loss);
                for text in [t.to_string(), number(loss), number(error)] {
                    let cell: Element = dom::create("td");
                    cell.set_text_content(Some(&text));
                    let _ = row.append_child(&cell);
                }
                let _ = rows.append_child(&row);
            }
        }
    }
}

/// Two or more digits of a number of any size.
fn number(value: f64) -> String {
    if !(0.001..1e4).contains(&value) { format!("{value:.1e}") } else { format!("{value:.4}") }
}
