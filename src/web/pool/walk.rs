//! A walk as the pool keeps it: where it stands, who computes it, and how far it may go.
//!
//! A walk that is paused stays in its workers' sessions, with what it remembers of earlier steps: they only take no further step
//! until they may. So a pause changes no result. Workers that are lost meanwhile are made up for as ever, and those in their
//! place go as far as the walk has come and no further.

use super::gather::{Gather, split};
use super::{Order, Pool, WorkerId};
use crate::playground::Settings;
use crate::web::job::{Job, Tensor, Ticket};
use crate::web::messages::ToWorker;

/// A walk in progress.
#[derive(Debug)]
pub(super) struct Walk {
    pub ticket: Ticket,
    /// Its number among the workers: another one each time it begins anew, so that late news of the time before are known.
    pub number: Ticket,
    pub settings: Settings,
    pub seed: u64,
    pub watch: Vec<String>,
    pub fast: bool,
    pub looks_back: bool,
    /// Which worker computes which share.
    pub of: Vec<WorkerId>,
    pub gather: Gather,
    /// How it was begun: after so many steps, at this x.
    pub start: Point,
    /// How far it has come.
    pub now: Point,
    /// The furthest it ever was: one that has begun anew is on its way there.
    pub reached: usize,
    /// Steps after which it waits; without them it goes on to its end.
    pub until: Option<usize>,
}

/// Steps done, and x after them, `[N, H, W, C]`; without one the noise of the seed.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub step: usize,
    pub x: Option<Tensor>,
}

impl Walk {
    /// Has it wait after so many steps. After its last there is nothing to wait for.
    pub fn stop_at(&mut self, until: Option<usize>) {
        self.until = until.filter(|&step| step < self.settings.sampler.steps);
    }
}

impl Pool {
    /// Pauses a walk where it is. Steps that are on their way may still come.
    pub fn pause(&mut self, ticket: Ticket) {
        self.allow(ticket, |walk| Some(walk.reached));
    }

    /// Lets a walk take one more step than it was to, or of one that goes on the next, and pauses it there.
    pub fn step(&mut self, ticket: Ticket) {
        self.allow(ticket, |walk| Some(walk.until.map_or(walk.reached, |until| until.max(walk.reached)) + 1));
    }

    /// Lets a walk go on to its end.
    pub fn go_on(&mut self, ticket: Ticket) {
        self.allow(ticket, |_| None);
    }

    /// Says anew after how many steps a walk waits, to those that compute it as well.
    fn allow(&mut self, ticket: Ticket, until: impl Fn(&Walk) -> Option<usize>) {
        let Some(walk) = self.walk.as_mut().filter(|walk| walk.ticket == ticket) else { return };
        walk.stop_at(until(walk));
        let (ticket, until) = (walk.number, walk.until);
        for worker in walk.of.iter().copied().filter(|&worker| self.workers.knows(worker)) {
            self.orders.push(Order::Send(worker, ToWorker::Until { ticket, until }, Vec::new()));
        }
    }

    /// Begins the walk where it stands, or anew if it looks back, with all workers that have an engine. Without any it waits for
    /// the first.
    pub(super) fn resume(&mut self) {
        self.suspend();
        let number = self.number();
        let of = self.workers.with_engine(self.walk.as_ref().is_some_and(|walk| walk.fast));
        let Some(walk) = self.walk.as_mut().filter(|_| !of.is_empty()) else { return };
        if walk.looks_back {
            // What was remembered is gone with the worker.
            walk.now = walk.start.clone();
        }
        let ranges = split(walk.settings.classes.len(), of.len());
        walk.number = number;
        walk.gather = Gather::new(&ranges, walk.now.step);
        walk.of = of[..ranges.len()].to_vec();
        for (&worker, images) in walk.of.iter().zip(ranges) {
            let share = walk.now.x.as_ref().map(|x| {
                let len = x.values.len() / x.shape.n().max(1);
                let values = x.values.get(images.start * len..images.end * len).unwrap_or_default();
                Tensor::new(&x.name, x.shape.with_n(images.len()), values.to_vec())
            });
            let (settings, watch) = (walk.settings.clone(), walk.watch.clone());
            let Walk { seed, fast, looks_back, until, .. } = *walk;
            let job = Job::Walk { settings, seed, after: walk.now.step, until, images, watch, fast, looks_back };
            let message = ToWorker::Begin { ticket: number, job };
            self.orders.push(Order::Send(worker, message, share.into_iter().collect()));
        }
    }

    /// Ends the walk wherever it is computed; it stands where it is.
    pub(super) fn suspend(&mut self) {
        if let Some(walk) = &mut self.walk {
            let ticket = walk.number;
            for worker in std::mem::take(&mut walk.of).into_iter().filter(|&worker| self.workers.knows(worker)) {
                self.orders.push(Order::Send(worker, ToWorker::End { ticket }, Vec::new()));
            }
        }
    }
}
