//! Bits per dimension of the picture that is there, on demand: Ho et al.'s equation 5, estimated from a few timesteps.

use super::State;
use crate::evaluate::Bound;
use crate::web::app::{Common, Message};
use crate::web::job::{Job, News, Tensor, Ticket};
use crate::web::measure::{Measure, Measured};
use crate::web::pool::Told;

/// Estimates, and timesteps of each beside timestep 0: so many evaluations as a person waits for.
const ROUNDS: usize = 8;
const TIMESTEPS: usize = 4;

/// The bits, as far as they are counted.
#[derive(Debug, Default)]
pub struct Bits {
    /// The measurement in progress.
    pub ticket: Option<Ticket>,
    /// Evaluations so far.
    pub done: usize,
    /// What has come of it.
    pub bound: Option<Bound>,
    /// Why it ended before it was complete.
    pub problem: String,
    /// Of which x_0.
    measured: Vec<f32>,
}

/// Takes in what has happened.
pub fn update(state: &mut State, message: &Message, cx: &mut Common) {
    match message {
        Message::Adopted { .. } => clear(&mut state.bits, cx),
        Message::CountBits => {
            // Pressed again it ends.
            if let Some(ticket) = state.bits.ticket.take() {
                cx.pool.end(ticket);
                return state.bits = Bits::default();
            }
            if cx.pool.opened() && cx.model.is_some() {
                let x_0 = Tensor::new("x0", cx.shape, state.x_0.clone());
                let what = Measure::Bits { rounds: ROUNDS, timesteps: TIMESTEPS, seed: 0 };
                let ticket = Some(cx.pool.begin(Job::Measure(what), vec![x_0]));
                state.bits = Bits { ticket, measured: state.x_0.clone(), ..Bits::default() };
            }
        }
        Message::Told(Told::News(ticket, news, _)) if state.bits.ticket == Some(*ticket) => {
            let bits = &mut state.bits;
            match news {
                News::Measured(Measured::Looked(done)) => bits.done = bits.done.max(*done),
                News::Measured(Measured::Bound(bound)) => bits.bound = Some(*bound),
                News::Done => bits.ticket = None,
                News::Failed { message } => {
                    bits.ticket = None;
                    bits.problem = format!("Error: {}.", message.trim_end_matches('.'));
                }
                _ => {}
            }
        }
        _ => {}
    }
}

/// The picture may be another one: then these are not its bits.
pub fn renew(state: &mut State, cx: &mut Common) {
    if state.bits.measured != state.x_0 {
        clear(&mut state.bits, cx);
    }
}

fn clear(bits: &mut Bits, cx: &mut Common) {
    std::mem::take(bits).ticket.into_iter().for_each(|ticket| cx.pool.end(ticket));
}

impl Bits {
    /// What they are, or how far it is, in words; `_{…}` stands for subscripts.
    pub fn words(&self, running: bool) -> String {
        let evaluations = ROUNDS * (TIMESTEPS + 1);
        match &self.bound {
            Some(Bound { total, prior, denoising, decoder, .. }) => format!(
                "{:.2}{} bits per dimension: L_{{T}} {:.4}, Σ L_{{t−1}} {:.2}, L_{{0}} {:.2}. Stored as it is, the picture takes 8. \
                 Estimated from {evaluations} evaluations at timesteps by chance, ± one standard error.",
                total.mean,
                total.error.map_or(String::new(), |error| format!(" ± {error:.2}")),
                prior.mean,
                denoising.mean,
                decoder.mean,
            ),
            None if !self.problem.is_empty() => self.problem.clone(),
            None if self.ticket.is_none() => String::new(),
            None => {
                let wait = if running { ", when the run has ended" } else { "" };
                format!("{} of {evaluations} evaluations{wait}", self.done)
            }
        }
    }
}
