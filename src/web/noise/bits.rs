//! Bits per dimension of the picture that is there, on demand: Ho et al.'s equation 5, estimated from a few timesteps.

use super::State;
use crate::web::app::{Common, Message};
use crate::web::job::{Job, News, Tensor, Ticket};
use crate::web::measure::{BOUND, Measure, ROUNDS};
use crate::web::pool::Told;

/// The bits, as far as they are counted.
#[derive(Debug, Default)]
pub struct Bits {
    /// The measurement in progress.
    pub ticket: Option<Ticket>,
    /// Evaluations so far.
    pub done: usize,
    /// What has come of it: L, its standard error, L_T, Σ L_{t−1} and L_0.
    pub bound: Option<Vec<f32>>,
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
                let ticket = Some(cx.pool.begin(Job::Measure(Measure::Bits), vec![x_0]));
                state.bits = Bits { ticket, measured: state.x_0.clone(), ..Bits::default() };
            }
        }
        Message::Told(Told::News(ticket, news, tensors)) if state.bits.ticket == Some(*ticket) => {
            let bits = &mut state.bits;
            match news {
                News::Measured { at: done } => {
                    bits.done = bits.done.max(*done);
                    bits.bound = Tensor::take(&mut tensors.clone(), "bits", 5);
                }
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
        let evaluations = ROUNDS * (BOUND.timesteps + 1);
        match self.bound.as_deref() {
            Some(&[total, error, prior, denoising, decoder]) => format!(
                "{total:.2} ± {error:.2} bits per dimension: L_{{T}} {prior:.4}, Σ L_{{t−1}} {denoising:.2}, L_{{0}} {decoder:.2}. \
                 Stored as it is, the picture takes 8. Estimated from {evaluations} evaluations at timesteps by chance, \
                 ± one standard error."
            ),
            _ if !self.problem.is_empty() => self.problem.clone(),
            _ if self.ticket.is_none() => String::new(),
            _ => {
                let wait = if running { ", when the run has ended" } else { "" };
                format!("{} of {evaluations} evaluations{wait}", self.done)
            }
        }
    }
}
