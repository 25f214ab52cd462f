//! The loss at every t, for the picture and the noise that are there: a curve that fills in, on demand. The library's workers put
//! one question after the other, behind everything that somebody waits for.

use super::State;
use crate::diffusion::Schedule;
use crate::web::app::{Common, Message};
use crate::web::job::{Job, News, Tensor, Ticket};
use crate::web::measure::{Measure, spread};
use crate::web::pool::Told;

/// The decades that the curve shows, as powers of ten; what lies beyond them lies at their edge.
const DECADES: (f64, f64) = (-4.0, 1.0);

/// The curve, as far as it is measured.
#[derive(Debug, Default)]
pub struct Curve {
    /// The measurement in progress.
    pub ticket: Option<Ticket>,
    /// The paper's t, and ‖ε − ε̂‖²/n there; t rises.
    pub losses: Vec<(usize, f64)>,
    /// How many there will be.
    pub of: usize,
    /// Why it ended before it was complete.
    pub problem: String,
    /// x_0 and ε of which it is.
    measured: [Vec<f32>; 2],
}

/// Takes in what has happened.
pub fn update(state: &mut State, message: &Message, cx: &mut Common) {
    match message {
        Message::Adopted { .. } => clear(&mut state.curve, cx),
        Message::Measure => {
            // Pressed again it ends.
            if let Some(ticket) = state.curve.ticket.take() {
                return cx.pool.end(ticket);
            }
            begin(state, cx);
        }
        Message::Told(Told::News(ticket, news, tensors)) if state.curve.ticket == Some(*ticket) => {
            let curve = &mut state.curve;
            match news {
                News::Measured { at: timestep } => {
                    let loss =
                        Tensor::take(&mut tensors.clone(), "loss", 1).map_or(f64::NAN, |loss| f64::from(loss[0]));
                    let t = timestep + 1;
                    // A worker that has taken another one's place begins anew.
                    match curve.losses.binary_search_by_key(&t, |(t, _)| *t) {
                        Ok(at) => curve.losses[at].1 = loss,
                        Err(at) => curve.losses.insert(at, (t, loss)),
                    }
                }
                News::Done => curve.ticket = None,
                News::Failed { message } => {
                    curve.ticket = None;
                    curve.problem = format!("Error: {}.", message.trim_end_matches('.'));
                }
                _ => {}
            }
        }
        _ => {}
    }
}

/// The picture or the noise may be another one: then this is not its curve.
pub fn renew(state: &mut State, cx: &mut Common) {
    let [x_0, epsilon] = &state.curve.measured;
    if *x_0 != state.x_0 || *epsilon != state.at_once {
        clear(&mut state.curve, cx);
    }
}

fn clear(curve: &mut Curve, cx: &mut Common) {
    std::mem::take(curve).ticket.into_iter().for_each(|ticket| cx.pool.end(ticket));
}

fn begin(state: &mut State, cx: &mut Common) {
    let Some(model) = cx.model.as_ref().filter(|_| cx.pool.opened()) else { return };
    let of = spread(model.schedule.timesteps()).len();
    let measured = [state.x_0.clone(), state.at_once.clone()];
    let tensors =
        ["x0", "epsilon"].into_iter().zip(&measured).map(|(name, values)| Tensor::new(name, cx.shape, values.clone()));
    let tensors = tensors.collect();
    let ticket = Some(cx.pool.begin(Job::Measure(Measure::Losses), tensors));
    state.curve = Curve { ticket, of, measured, ..Curve::default() };
}

impl Curve {
    /// Two lines within 1000×100: the loss, and (x_0 − x̂_0)²/n, which is the loss divided by ᾱ/(1 − ᾱ).
    pub fn lines(&self, schedule: &Schedule) -> [String; 2] {
        let (low, high) = DECADES;
        let place = |t: usize, value: f64| {
            let power = libm::log(value.max(f64::MIN_POSITIVE)) / std::f64::consts::LN_10;
            let (x, y) = (
                1000.0 * t as f64 / schedule.timesteps() as f64,
                100.0 * (high - power.clamp(low, high)) / (high - low),
            );
            format!("{x:.1},{y:.2} ")
        };
        let losses = self.losses.iter();
        [
            losses.clone().map(|&(t, loss)| place(t, loss)).collect(),
            losses.map(|&(t, loss)| place(t, x_0_error(schedule, t, loss))).collect(),
        ]
    }

    /// How far it is, in words.
    pub fn status(&self, running: bool) -> String {
        let so_far = format!("{} of {} points", self.losses.len(), self.of);
        match self.ticket {
            Some(_) if running => format!("{so_far}, when the run has ended"),
            Some(_) => so_far,
            None if !self.problem.is_empty() => self.problem.clone(),
            None if self.losses.len() < self.of => format!("Stopped: {so_far}"),
            None => String::new(),
        }
    }
}

/// (x_0 − x̂_0)²/n at the paper's t, where the loss is this: x_t holds both.
pub fn x_0_error(schedule: &Schedule, t: usize, loss: f64) -> f64 {
    loss / schedule.snr(t - 1)
}

/// What is to be known of a loss where there is almost no picture, or almost no noise, by their weights (√ᾱ, √(1 − ᾱ)).
pub fn remark((signal, sigma): (f64, f64)) -> &'static str {
    match (signal * signal, sigma * sigma) {
        (picture, _) if picture < 0.01 => "Nearly all of x_{t} is noise here, so ε̂ is easy and x̂_{0} a guess.",
        (_, noise) if noise > 0.0 && noise < 0.01 => {
            "Hardly any noise here: ε̂ is hard to find, but x̂_{0} is nearly the picture."
        }
        _ => "",
    }
}
