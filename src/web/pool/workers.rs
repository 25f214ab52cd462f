//! Workers that belong together: the first of them leads. And how many a machine has use for.

use crate::engine::Description;

/// The number of a worker; no two ever have the same.
pub type WorkerId = u32;

/// More workers than this would cost more memory than they save time.
const MOST_WORKERS: usize = 8;
/// Bytes of a worker beside its model: the program, its values, what the browser needs.
const WORKER: f64 = 64e6;
/// A worker holds the file, the weights, and what it packs of them.
const COPIES: f64 = 4.0;
/// The part of the machine's memory that the workers may take.
const PART: f64 = 0.25;

/// What the browser says of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Processor cores.
    pub cores: usize,
    /// Bytes of memory; browsers that do not say are taken to have 4 GB.
    pub memory: f64,
}

impl Default for Machine {
    fn default() -> Self {
        Self { cores: 1, memory: 4e9 }
    }
}

impl Machine {
    /// Workers that a model of so many bytes has use for here.
    pub fn workers(&self, model: f64) -> usize {
        let room = PART * self.memory / (WORKER + COPIES * model);
        self.cores.min(MOST_WORKERS).min(room as usize).max(1)
    }
}

/// A worker, and how far it has come.
#[derive(Debug)]
pub struct Worker {
    /// Its number.
    pub id: WorkerId,
    /// It listens.
    ready: bool,
    /// It was handed the model.
    asked: bool,
    /// It has an engine and the model.
    opened: bool,
    /// It has the model's student as well.
    fast: bool,
}

impl Worker {
    /// One that is being started.
    pub fn new(id: WorkerId) -> Self {
        Self { id, ready: false, asked: false, opened: false, fast: false }
    }
}

/// Workers that belong together, in the order in which they were started.
#[derive(Debug, Default)]
pub struct Workers {
    /// The first one leads.
    pub all: Vec<Worker>,
    /// What the leader has opened.
    pub engine: Option<Description>,
}

impl Workers {
    /// The one that leads.
    pub fn leader(&self) -> Option<WorkerId> {
        self.all.first().map(|worker| worker.id)
    }

    /// Whether it listens.
    pub fn leader_listens(&self) -> bool {
        self.all.first().is_some_and(|worker| worker.ready)
    }

    /// Whether a worker is one of these.
    pub fn knows(&self, id: WorkerId) -> bool {
        self.all.iter().any(|worker| worker.id == id)
    }

    /// A worker listens. Answers whether that is new.
    pub fn is_ready(&mut self, id: WorkerId) -> bool {
        let worker = self.all.iter_mut().find(|worker| worker.id == id);
        worker.is_some_and(|worker| !std::mem::replace(&mut worker.ready, true))
    }

    /// Whether the leader was not handed the model before; it is now.
    pub fn ask_leader(&mut self) -> bool {
        self.all.first_mut().is_some_and(|leader| !std::mem::replace(&mut leader.asked, true))
    }

    /// Those but the leader that listen and were not handed the model before.
    pub fn ask_others(&mut self) -> Vec<WorkerId> {
        let waiting = self.all.iter_mut().skip(1).filter(|worker| worker.ready);
        waiting.filter_map(|worker| (!std::mem::replace(&mut worker.asked, true)).then_some(worker.id)).collect()
    }

    /// A worker has an engine.
    pub fn has_opened(&mut self, id: WorkerId) {
        self.all.iter_mut().filter(|worker| worker.id == id).for_each(|worker| {
            (worker.ready, worker.asked, worker.opened) = (true, true, true);
        });
    }

    /// A worker has the student.
    pub fn has_student(&mut self, id: WorkerId) {
        self.all.iter_mut().filter(|worker| worker.id == id).for_each(|worker| worker.fast = true);
    }

    /// Those that have opened one, whether or not the leader has.
    pub fn have_opened(&self) -> impl Iterator<Item = WorkerId> {
        self.all.iter().filter(|worker| worker.opened).map(|worker| worker.id)
    }

    /// Those with an engine, if the leader has one; or only those with the student.
    pub fn with_engine(&self, fast: bool) -> Vec<WorkerId> {
        let opened = self.all.iter().filter(|worker| worker.opened && self.engine.is_some());
        opened.filter(|worker| worker.fast || !fast).map(|worker| worker.id).collect()
    }

    /// Their number.
    pub fn opened(&self) -> usize {
        self.with_engine(false).len()
    }

    /// A worker is of no more use.
    pub fn dismiss(&mut self, id: WorkerId) {
        self.all.retain(|worker| worker.id != id);
    }
}

#[cfg(test)]
mod tests {
    use super::Machine;

    #[test]
    fn there_are_as_many_workers_as_cores_and_memory_allow_and_one_at_least() {
        let of = |cores, memory, model| Machine { cores, memory }.workers(model);
        assert_eq!(of(2, 4e9, 4.5e6), 2);
        assert_eq!(of(64, 64e9, 4.5e6), 8);
        assert_eq!(of(8, 4e9, 140e6), 1, "the original DDPM's 140 MB four times over are more than half of 1 GB");
        assert_eq!(of(8, 8e9, 140e6), 3);
        assert_eq!(of(8, 0.5e9, 4.5e6), 1);
        assert_eq!(of(8, 0.0, 4.5e6), 1);
    }
}
