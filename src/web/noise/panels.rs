//! The panels under the equation: the schedule, how x_t is reached, and the numbers of x_t.

use super::hand::{HANDLES, Hand};
use super::plot::{self, Histogram};
use super::schedule::{Curve, Forward, Plan};
use super::state::State;
use crate::web::app::{App, Common};
use crate::web::page::dom::{self, Last};
use crate::web::plural;
use web_sys::{Element, HtmlInputElement};

/// What the panels have built.
#[derive(Default)]
pub struct Panels {
    /// The choice whose curve is drawn, and the model's name.
    curve: Last<(Forward, String, usize)>,
    /// t, the timestep asked at, ᾱ_t, and whether x_t is there.
    facts: Last<(usize, Option<usize>, f64, bool)>,
    histogram: Last<Histogram>,
    roads: Last<Option<[Histogram; 2]>>,
    playing: Last<bool>,
    handles: Vec<HtmlInputElement>,
}

impl Panels {
    /// Shows them.
    pub fn show(&mut self, app: &App) {
        let (state, cx) = (&app.noise, &app.common);
        let (Some(shown), Some(schedule), Some(model)) = (&state.shown, &state.schedule, &cx.model) else { return };
        let (forward, last) = (cx.settings.forward, schedule.timesteps());
        let drawn = self.curve.differs((forward, model.entry.name.clone(), last));
        if drawn {
            dom::set_attribute(&dom::by_id("share"), "d", &plot::area(schedule, forward.curve));
            let axis = match forward.curve {
                Curve::AlphaBar => "ᾱ from 1 down to 0: picture below, noise above",
                Curve::Snr => "SNR from 10⁴ down to 10⁻⁴, dashed where it is 1",
            };
            dom::set_text("curve-axis", axis);
            dom::set_text("curve-end", &last.to_string());
            dom::set_class("plan", "snr", forward.curve == Curve::Snr);
        }
        self.show_handles(forward, last, drawn);
        let alpha_bar = shown.weights.0 * shown.weights.0;
        if self.facts.differs((cx.settings.t, state.timestep, alpha_bar, state.waiting)) || drawn {
            show_facts(state, cx, alpha_bar, last);
        }
        if self.histogram.differs(shown.histogram) {
            show_histogram(&shown.histogram);
        }
        dom::set_shown("roads", state.chain.is_some());
        if self.roads.differs(shown.roads) {
            show_roads(shown.roads.as_ref());
        }
        if self.playing.differs(state.playing.is_some()) {
            let word = if state.playing.is_some() { "Pause" } else { "Play" };
            dom::set_text("play", word);
            dom::set_attribute(&dom::by_id("play"), "aria-label", &format!("{word} t"));
        }
    }

    /// The handles, where the curve of ᾱ is drawn by hand. One that was dragged too far goes back.
    fn show_handles(&mut self, forward: Forward, last: usize, drawn: bool) {
        let shown = forward.plan == Plan::Hand && forward.curve == Curve::AlphaBar;
        dom::set_shown("hand", shown);
        if !shown {
            return;
        }
        if self.handles.is_empty() {
            let hand: Element = dom::by_id("hand");
            self.handles.extend((0..HANDLES).filter_map(|handle| build_handle(&hand, handle)));
        }
        for (handle, (input, value)) in self.handles.iter().zip(forward.hand.hundredths()).enumerate() {
            let text = value.to_string();
            dom::set_value(input, &text);
            if drawn {
                dom::set_attribute(input, "aria-label", &format!("alpha bar at t = {}", Hand::t(handle, last)));
                dom::set_attribute(input, "aria-valuetext", &format!("0.{value:02}"));
            }
        }
    }
}

fn build_handle(hand: &Element, handle: usize) -> Option<HtmlInputElement> {
    let input: HtmlInputElement = dom::create("input");
    input.set_type("range");
    dom::set_attribute(&input, "autocomplete", "off");
    dom::set_variable(&input, "--at", &format!("{}%", 100 * (handle + 1) / (HANDLES + 1)));
    hand.append_child(&input).ok().map(|_| input)
}

/// ᾱ_t, SNR, the timestep, and whom the network takes this noise for.
fn show_facts(state: &State, cx: &Common, alpha_bar: f64, last: usize) {
    let t = cx.settings.t;
    dom::set_text("alpha-bar", &format!("{alpha_bar:.4}"));
    dom::set_text("snr", &ratio(alpha_bar / (1.0 - alpha_bar)));
    let asked = state.timestep.map_or("none".to_owned(), |timestep| timestep.to_string());
    dom::set_text("timestep", &asked);
    let note = match (&cx.model, state.timestep) {
        (Some(model), _) if cx.settings.forward.as_trained() => format!("as {} was trained", model.entry.title),
        (_, Some(timestep)) => format!("the network is asked at timestep {timestep}, whose ᾱ is nearest"),
        _ => "at t = 0 there is nothing to ask the network".to_owned(),
    };
    dom::set_text("plan-note", &note);
    let steps = plural(t, "small step");
    let came = state.chain.as_ref().filter(|_| state.waiting).map(|chain| chain.t());
    dom::set_text(
        "road-note",
        &match came {
            Some(came) => format!("step {came} of {t} …"),
            None => format!("{steps}, or one big one: the same distribution."),
        },
    );
    let mark: Element = dom::by_id("share-t");
    let at = (t * plot::SIDE / last).to_string();
    dom::set_attribute(&mark, "x1", &at);
    dom::set_attribute(&mark, "x2", &at);
}

/// A ratio with about three digits.
fn ratio(of: f64) -> String {
    match of {
        of if of.is_infinite() => "∞".to_owned(),
        of if of < 5e-5 => "< 0.0001".to_owned(),
        of => format!(
            "{of:.0$}",
            if of < 0.1 {
                4
            } else if of < 100.0 {
                2
            } else {
                0
            }
        ),
    }
}

fn show_histogram(histogram: &Histogram) {
    dom::set_attribute(&dom::by_id("hist-bars"), "d", &histogram.bars());
    dom::set_attribute(&dom::by_id("hist-bell"), "d", &plot::bell());
    let std = format!("{:.2}", histogram.std);
    dom::set_text("hist-std", &std);
    let label = format!("Histogram of x_t beside N(0, 1), standard deviation {std}");
    dom::set_attribute(&dom::by_id("hist"), "aria-label", &label);
}

/// The noise of both roads side by side; their place is kept.
fn show_roads(roads: Option<&[Histogram; 2]>) {
    dom::set_class("roads", "waiting", roads.is_none());
    let Some(roads) = roads else { return };
    for ((bars, text), road) in [("steps-bars", "steps-numbers"), ("once-bars", "once-numbers")].into_iter().zip(roads)
    {
        dom::set_attribute(&dom::by_id::<Element>(bars), "d", &road.bars());
        dom::set_text(text, &format!("mean {:.2}, std {:.2}", road.mean, road.std));
    }
    for bell in ["steps-bell", "once-bell"] {
        dom::set_attribute(&dom::by_id(bell), "d", &plot::bell());
    }
}
