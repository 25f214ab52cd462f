//! The engine's side of a measurement: one question at a time, so that whatever somebody waits for comes between two of them.

use super::{Prediction, Worker};
use crate::playground::{PlaygroundError, Predicted};
use crate::web::job::{News, Tensor, Ticket};
use crate::web::measure::{Measure, Measurement};

impl Worker {
    /// Takes a measurement to the others that wait.
    pub(super) fn begin_measuring(&mut self, ticket: Ticket, what: Measure, mut tensors: Vec<Tensor>) {
        let Some(session) = &self.session else { return self.lacks_engine(ticket) };
        match Measurement::begin(what, &mut tensors, session.scheduler(), session.image_shape().len()) {
            Ok(measurement) => self.measurements.push((ticket, measurement)),
            Err(message) => self.tell(ticket, News::Failed { message }, &[]),
        }
    }

    /// The next question of the first one.
    pub(super) fn question(&mut self) -> Option<Prediction> {
        while let Some((ticket, measurement)) = self.measurements.first_mut() {
            let ticket = *ticket;
            if let Some((timestep, x)) = measurement.ask() {
                return Some(Prediction { ticket, timestep, x });
            }
            self.measurements.remove(0);
            self.tell(ticket, News::Done, &[]);
        }
        None
    }

    /// Takes in an answer, if it was a measurement that asked.
    pub(super) fn measured(&mut self, ticket: Ticket, answer: &Result<Predicted, PlaygroundError>) -> bool {
        let Some(at) = self.measurements.iter().position(|(other, _)| *other == ticket) else { return false };
        let Ok(answer) = answer else {
            self.measurements.remove(at);
            return false;
        };
        if let Some((at, tensor)) = self.measurements[at].1.take(&answer.epsilon, &answer.x0) {
            self.tell(ticket, News::Measured { at }, tensor.as_slice());
        }
        true
    }
}
