//! Measurements as the pool keeps them. The leader has all of them, and puts their questions when it has nothing better to do. One
//! whose leader is lost begins anew with the next: its answers are the same.

use super::{Order, Pool, Told};
use crate::web::job::{Job, News, Tensor, Ticket};
use crate::web::measure::Measure;
use crate::web::messages::ToWorker;

/// A measurement that is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub ticket: Ticket,
    pub what: Measure,
    pub tensors: Vec<Tensor>,
}

impl Pool {
    /// Has the leader measure; without an engine it waits for one.
    pub(super) fn measure(&mut self, asked: Asked) {
        self.send_measurement(&asked);
        self.measurements.push(asked);
    }

    fn send_measurement(&mut self, Asked { ticket, what, tensors }: &Asked) {
        if let (true, Some(leader)) = (self.opened(), self.workers.leader()) {
            let message = ToWorker::Begin { ticket: *ticket, job: Job::Measure(*what) };
            self.orders.push(Order::Send(leader, message, tensors.clone()));
        }
    }

    /// Has the new leader measure what is not measured yet.
    pub(super) fn resume_measurements(&mut self) {
        let all = std::mem::take(&mut self.measurements);
        all.iter().for_each(|asked| self.send_measurement(asked));
        self.measurements = all;
    }

    /// The leader is not to measure any more; the next one is.
    pub(super) fn suspend_measurements(&mut self) {
        let Some(leader) = self.workers.leader() else { return };
        let end = |asked: &Asked| Order::Send(leader, ToWorker::End { ticket: asked.ticket }, Vec::new());
        self.orders.extend(self.measurements.iter().map(end));
    }

    /// Nobody wants it any more.
    pub(super) fn end_measurement(&mut self, ticket: Ticket) {
        let Some(at) = self.measurements.iter().position(|asked| asked.ticket == ticket) else { return };
        self.measurements.remove(at);
        if let (true, Some(leader)) = (self.opened(), self.workers.leader()) {
            self.orders.push(Order::Send(leader, ToWorker::End { ticket }, Vec::new()));
        }
    }

    /// Whether that is one.
    pub(super) fn measures(&self, ticket: Ticket) -> bool {
        self.measurements.iter().any(|asked| asked.ticket == ticket)
    }

    pub(super) fn hear_of_measurement(&mut self, ticket: Ticket, news: News, tensors: Vec<Tensor>) {
        if matches!(news, News::Done | News::Failed { .. }) {
            self.measurements.retain(|asked| asked.ticket != ticket);
        }
        self.told.push(Told::News(ticket, news, tensors));
    }
}
