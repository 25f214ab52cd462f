//! The engine's side of a measurement: one question at a time, so that whatever somebody waits for comes between two of them.

use super::Worker;
use crate::web::job::{News, Tensor, Ticket};
use crate::web::measure::{Measure, Measurement};

impl Worker {
    /// Takes a measurement to the others that wait.
    pub(super) fn begin_measuring(&mut self, ticket: Ticket, what: Measure, mut tensors: Vec<Tensor>) {
        let Some(session) = &self.session else { return self.lacks_engine(ticket) };
        match Measurement::begin(what, &mut tensors, session.scheduler(), session.image_shape().len()) {
            Ok(measurement) => self.measurements.push_back((ticket, measurement)),
            Err(message) => self.tell(ticket, News::Failed { message }, &[]),
        }
    }

    /// Puts the next question of the first one.
    pub(super) async fn measure(&mut self) {
        let (Some((ticket, measurement)), Some(session)) = (self.measurements.front_mut(), &mut self.session) else {
            return self.measurements.clear();
        };
        let ticket = *ticket;
        let Some((timestep, x_t)) = measurement.ask() else {
            self.measurements.pop_front();
            return self.tell(ticket, News::Done, &[]);
        };
        match session.predict(&x_t, timestep, None).await {
            Ok(answer) => {
                let measured = measurement.take(&answer.epsilon, &answer.x0);
                measured.into_iter().for_each(|measured| self.tell(ticket, News::Measured(measured), &[]));
            }
            Err(error) => {
                self.measurements.pop_front();
                self.fail(ticket, &error);
            }
        }
    }
}
