//! The workers behind the page: one that leads, answers single questions and opens the engine of the visitor's choice, and on the
//! CPU one more per core, with which it shares out the images of a walk; a check has a worker of its own. They share no memory,
//! so that any host will do.
//!
//! The pool knows no browser and no view. It says what is to be done ([`Order`]) and what has happened ([`Told`]). A walk goes
//! on through the loss of workers and of engines: the pool keeps its last whole step and begins anew from there, or from the start
//! if the walk looks back, and who asked for it hears of the steps alone. One that is paused stays so, whoever computes it.

pub mod gather;
mod measurements;
mod walk;
pub mod workers;

use super::job::{Job, News, Tensor, Ticket};
use super::messages::{FromWorker, ToWorker};
use crate::engine::{Choice, Description, Kind};
use gather::Gather;
use measurements::Asked;
use walk::{Point, Walk};
use workers::{Machine, Worker, WorkerId, Workers};

/// Engines that may fail before the page gives up.
const RESTARTS: u32 = 3;

/// What is to be done with a worker.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there are few at a time, and none is kept")]
pub enum Order {
    /// Start one.
    Start(WorkerId),
    /// Hand it the model at hand, for this engine.
    Open(WorkerId, Choice),
    /// Hand it the student of the model at hand as well.
    Load(WorkerId),
    /// Send it a message.
    Send(WorkerId, ToWorker, Vec<Tensor>),
    /// End it.
    End(WorkerId),
}

/// What has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// A worker for this engine begins.
    Starting(Choice),
    /// It waits for the model.
    Waiting,
    /// It opens its engine.
    Opening,
    /// It has.
    Opened(Description),
    /// So many workers have an engine now.
    Workers(usize),
    /// One that had a share in a walk has stopped, and this many go on without it.
    WorkerLost {
        /// Those that go on.
        left: usize,
        /// Why.
        message: String,
    },
    /// The engine has stopped, and the CPU's begins in its place.
    EngineLost {
        /// Which it was, as far as was known.
        was: Kind,
        /// Why.
        message: String,
    },
    /// A GPU cannot be had, and the CPU's engine begins in its place.
    FellBack {
        /// Why.
        message: String,
    },
    /// The engine chosen cannot be had, and the one before goes on.
    CameBack {
        /// That one, with so many workers.
        engine: Description,
        /// How many.
        workers: usize,
        /// Why.
        message: String,
    },
    /// The student cannot be used.
    StudentRefused {
        /// Why.
        message: String,
    },
    /// There is no engine.
    GaveUp {
        /// Why.
        message: String,
    },
    /// News of a job, with its tensors.
    News(Ticket, News, Vec<Tensor>),
}

/// A check, in a worker of its own.
#[derive(Debug)]
struct Check {
    ticket: Ticket,
    worker: WorkerId,
    job: Option<Job>,
}

/// All workers.
#[derive(Debug, Default)]
pub struct Pool {
    machine: Machine,
    /// Bytes of the model at hand, once its weights are there.
    model: Option<f64>,
    /// No GPU is to be had, as far as the browser has said.
    no_gpu: bool,
    /// The weights of its student are there, too.
    student: bool,
    workers: Workers,
    /// Those that worked before the visitor chose another engine, until that one works.
    former: Option<Workers>,
    /// What is asked of the leader.
    choice: Choice,
    failures: u32,
    walk: Option<Walk>,
    prediction: Option<Ticket>,
    checks: Vec<Check>,
    measurements: Vec<Asked>,
    last_worker: WorkerId,
    last_ticket: Ticket,
    orders: Vec<Order>,
    told: Vec<Told>,
}

impl Pool {
    /// No workers yet, on such a machine.
    pub fn new(machine: Machine) -> Self {
        Self { machine, ..Self::default() }
    }

    /// Whether an engine waits for work.
    pub fn opened(&self) -> bool {
        self.workers.engine.is_some()
    }

    /// What is to be done and what has happened since the last call, each in its order.
    pub fn take(&mut self) -> (Vec<Order>, Vec<Told>) {
        (std::mem::take(&mut self.orders), std::mem::take(&mut self.told))
    }

    /// Starts a worker for the engine of the visitor's choice; the present ones go on if it does not work.
    pub fn choose(&mut self, choice: Choice) {
        if self.opened() {
            self.suspend();
            self.suspend_measurements();
            let present = std::mem::take(&mut self.workers);
            let before = self.former.replace(present);
            self.end_all(before);
        }
        (self.choice, self.failures) = (choice, 0);
        self.start();
    }

    /// The browser has no GPU for anybody: the CPU's workers need not wait until the leader has found that out.
    pub fn has_no_gpu(&mut self) {
        self.no_gpu = true;
        if !self.opened() && self.workers.leader().is_some() {
            self.hire_ahead();
        }
    }

    /// The weights of the model's student are there.
    pub fn student(&mut self) {
        self.student = true;
        // Those that are set aside may come back.
        let all = self.former.iter().chain([&self.workers]);
        self.orders.extend(all.flat_map(Workers::have_opened).map(Order::Load));
    }

    /// The model at hand is this large, its student included. Another one than before gets new workers.
    pub fn model(&mut self, bytes: f64, choice: Choice) {
        self.student = false;
        if self.model.replace(bytes).is_none() {
            // Those that were hired before its size was known.
            let most = self.machine.workers(bytes).min(self.workers.all.len());
            let needless = self.workers.all.drain(most..);
            self.orders.extend(needless.map(|worker| Order::End(worker.id)));
            return self.open();
        }
        let former = self.former.take();
        self.end_all(former);
        (self.choice, self.failures) = (choice, 0);
        self.start();
    }

    /// Begins a job. A prediction replaces one that still waits, a walk one in progress, a measurement none; a prediction without an
    /// engine to ask is never answered.
    pub fn begin(&mut self, job: Job, tensors: Vec<Tensor>) -> Ticket {
        let ticket = self.number();
        match job {
            Job::Predict { .. } => {
                if let (true, Some(leader)) = (self.opened(), self.workers.leader()) {
                    self.prediction = Some(ticket);
                    self.send(leader, ToWorker::Begin { ticket, job }, tensors);
                }
            }
            Job::Walk { settings, seed, after, until, watch, fast, looks_back, .. } => {
                self.suspend();
                let start = Point { step: after, x: tensors.into_iter().next() };
                let (number, of, gather, now) = (ticket, Vec::new(), Gather::new(&[], after), start.clone());
                let mut walk = Walk {
                    ticket,
                    number,
                    settings,
                    seed,
                    watch,
                    fast,
                    looks_back,
                    of,
                    gather,
                    start,
                    now,
                    reached: after,
                    until: None,
                };
                walk.stop_at(until);
                self.walk = Some(walk);
                self.resume();
            }
            Job::Measure(what) => self.measure(Asked { ticket, what, tensors }),
            Job::Check { .. } => {
                self.last_worker += 1;
                let worker = self.last_worker;
                self.checks.push(Check { ticket, worker, job: Some(job) });
                self.orders.push(Order::Start(worker));
            }
        }
        ticket
    }

    /// Ends a job, if it is in progress.
    pub fn end(&mut self, ticket: Ticket) {
        if self.walk.as_ref().is_some_and(|walk| walk.ticket == ticket) {
            self.suspend();
            self.walk = None;
        }
        self.prediction.take_if(|asked| *asked == ticket);
        self.end_measurement(ticket);
        let worker = self.checks.iter().find(|check| check.ticket == ticket).map(|check| check.worker);
        worker.into_iter().for_each(|worker| self.end_check(worker));
    }

    /// A worker has said something.
    pub fn hear(&mut self, worker: WorkerId, message: FromWorker, tensors: Vec<Tensor>) {
        if let Some(check) = self.checks.iter_mut().find(|check| check.worker == worker) {
            return match message {
                FromWorker::Ready => {
                    let (ticket, job) = (check.ticket, check.job.take());
                    job.into_iter().for_each(|job| self.send(worker, ToWorker::Begin { ticket, job }, tensors.clone()));
                }
                FromWorker::News { ticket, news } => {
                    if matches!(news, News::Done | News::Failed { .. }) {
                        self.end_check(worker);
                    }
                    self.told.push(Told::News(ticket, news, tensors));
                }
                FromWorker::Lost { message } => self.lose(worker, &message),
                FromWorker::Opened(_) | FromWorker::Loaded(_) | FromWorker::Refused { .. } => {}
            };
        }
        if !self.workers.knows(worker) {
            // One that is set aside or has been ended. Of the first kind its end is of interest, and what it has.
            return match (message, &mut self.former) {
                (FromWorker::Lost { message }, _) => self.lose(worker, &message),
                (FromWorker::Loaded(Ok(())), Some(former)) => former.has_student(worker),
                _ => {}
            };
        }
        let leads = self.workers.leader() == Some(worker);
        match message {
            FromWorker::Ready if !self.workers.is_ready(worker) => {}
            FromWorker::Ready => self.open(),
            FromWorker::Opened(engine) => {
                self.workers.has_opened(worker);
                if self.student {
                    self.orders.push(Order::Load(worker));
                }
                if leads { self.welcome(engine) } else { self.told.push(Told::Workers(self.workers.opened())) }
            }
            FromWorker::Loaded(Ok(())) => {
                self.workers.has_student(worker);
                // Before the first step there is nothing to lose: those that come a moment later take their share.
                let fresh = |walk: &Walk| walk.of.is_empty() || walk.now.step == walk.start.step;
                if self.walk.as_ref().is_some_and(|walk| walk.fast && fresh(walk)) {
                    self.resume();
                }
            }
            FromWorker::Loaded(Err(message)) => self.refuse_student(&message),
            FromWorker::Refused { message } if leads => self.fall_back(&message),
            FromWorker::Refused { message } | FromWorker::Lost { message } => self.lose(worker, &message),
            FromWorker::News { ticket, news } => self.hear_of(worker, ticket, news, tensors),
        }
    }

    fn hear_of(&mut self, worker: WorkerId, ticket: Ticket, news: News, tensors: Vec<Tensor>) {
        if self.prediction == Some(ticket) || matches!(news, News::Predicted { .. }) {
            // An answer that is late may still be of use: who asked knows whether it is.
            self.prediction.take_if(|asked| *asked == ticket);
            return self.told.push(Told::News(ticket, news, tensors));
        }
        if self.measures(ticket) {
            return self.hear_of_measurement(ticket, news, tensors);
        }
        let Some(walk) = self.walk.as_mut().filter(|walk| walk.number == ticket) else { return };
        let Some(share) = walk.of.iter().position(|&of| of == worker) else { return };
        let ticket = walk.ticket;
        match news {
            News::Part { step, done, .. } => {
                let (step, done, of) = walk.gather.part(share, step, done);
                self.told.push(Told::News(ticket, News::Part { step, done, of }, Vec::new()));
            }
            News::Frame { step, timestep, milliseconds } => {
                let Some(whole) = walk.gather.frame(share, step, timestep, milliseconds, tensors) else { return };
                let x = whole.tensors.iter().find(|tensor| tensor.name == "x").cloned();
                walk.now = Point { step: whole.step, x: x.or(walk.now.x.take()) };
                walk.reached = walk.reached.max(whole.step);
                let news = News::Frame { step: whole.step, timestep: whole.timestep, milliseconds: whole.milliseconds };
                self.told.push(Told::News(ticket, news, whole.tensors));
            }
            News::Done => {
                if walk.gather.finish(share) {
                    self.walk = None;
                    self.told.push(Told::News(ticket, News::Done, Vec::new()));
                }
            }
            News::Failed { .. } => {
                self.end(ticket);
                self.told.push(Told::News(ticket, news, Vec::new()));
            }
            News::Predicted { .. } | News::Measured { .. } | News::Check(_) => {}
        }
    }

    /// A worker has stopped, or could not be started. Without the leader another one starts on the next engine; without one of the
    /// others the rest do its share. Either way a walk goes on where it was, or begins anew if it
    /// looks back.
    pub fn lose(&mut self, worker: WorkerId, message: &str) {
        if let Some(check) = self.checks.iter().find(|check| check.worker == worker) {
            let news = News::Failed { message: message.to_owned() };
            self.told.push(Told::News(check.ticket, news, Vec::new()));
            return self.end_check(worker);
        }
        if let Some(former) = self.former.as_mut().filter(|former| former.knows(worker)) {
            if former.leader() == Some(worker) {
                let former = self.former.take();
                return self.end_all(former);
            }
            former.dismiss(worker);
            return self.orders.push(Order::End(worker));
        }
        if !self.workers.knows(worker) {
            return;
        }
        if self.workers.leader() != Some(worker) {
            self.workers.dismiss(worker);
            self.orders.push(Order::End(worker));
            let needed = self.walk.as_ref().is_some_and(|walk| walk.of.contains(&worker));
            if needed && self.opened() {
                let left = self.workers.opened();
                self.told.push(Told::WorkerLost { left, message: message.to_owned() });
                self.resume();
            }
            return self.told.push(Told::Workers(self.workers.opened()));
        }
        self.failures += 1;
        // A worker that never came to listen will not do so the next time either.
        if self.failures > RESTARTS || !self.workers.leader_listens() {
            return self.fall_back(message);
        }
        let asked = if self.choice == Choice::Cpu { Kind::Cpu } else { Kind::Gpu };
        let was = self.workers.engine.as_ref().map_or(asked, |engine| engine.engine);
        self.choice = Choice::Cpu;
        self.told.push(Told::EngineLost { was, message: message.to_owned() });
        self.start();
    }

    /// The engine asked for cannot be had: the one that worked goes on, or the CPU's begins. Without either there is none.
    fn fall_back(&mut self, message: &str) {
        let message = message.to_owned();
        let present = std::mem::take(&mut self.workers);
        self.end_all(Some(present));
        if let Some(former) = self.former.take() {
            self.workers = former;
            if let Some(engine) = self.workers.engine.clone() {
                self.choice = engine.engine.into();
                self.told.push(Told::CameBack { engine, workers: self.workers.opened(), message });
            }
            self.resume_measurements();
            return self.resume();
        }
        if self.choice == Choice::Gpu {
            self.choice = Choice::Cpu;
            self.told.push(Told::FellBack { message });
            return self.start();
        }
        let walk = self.walk.take();
        let failed = News::Failed { message: message.clone() };
        let measurements = std::mem::take(&mut self.measurements);
        let tickets = walk.map(|walk| walk.ticket).into_iter().chain(measurements.iter().map(|asked| asked.ticket));
        self.told.extend(tickets.map(|ticket| Told::News(ticket, failed.clone(), Vec::new())));
        self.told.push(Told::GaveUp { message });
    }

    /// The student does not fit. What it was asked for ends.
    fn refuse_student(&mut self, message: &str) {
        // Every worker says so, and once is enough.
        if !std::mem::take(&mut self.student) {
            return;
        }
        let message = message.to_owned();
        if let Some(walk) = self.walk.take_if(|walk| walk.fast) {
            let failed = News::Failed { message: message.clone() };
            self.told.push(Told::News(walk.ticket, failed, Vec::new()));
        }
        self.told.push(Told::StudentRefused { message });
    }

    /// Starts a leader for `choice`, in place of all workers there are.
    fn start(&mut self) {
        let present = std::mem::take(&mut self.workers);
        self.end_all(Some(present));
        self.prediction = None;
        self.told.push(Told::Starting(self.choice));
        self.hire();
        self.hire_ahead();
    }

    /// Starts the others beside the leader, where it is plain that the CPU computes: starting takes longer than the first picture.
    fn hire_ahead(&mut self) {
        if self.choice == Choice::Cpu || (self.choice == Choice::Auto && self.no_gpu) {
            let wanted = self.machine.workers(self.model.unwrap_or_default());
            (self.workers.all.len()..wanted).for_each(|_| self.hire());
        }
    }

    /// Hands the model to those who wait for it: the leader opens what was chosen, the others are the CPU's.
    fn open(&mut self) {
        let leader = self.workers.leader().filter(|_| self.workers.leader_listens());
        if self.model.is_none() {
            return if leader.is_some() {
                self.told.push(Told::Waiting)
            };
        }
        if let Some(leader) = leader.filter(|_| self.workers.ask_leader()) {
            self.told.push(Told::Opening);
            self.orders.push(Order::Open(leader, self.choice));
        }
        let others = self.workers.ask_others();
        self.orders.extend(others.into_iter().map(|worker| Order::Open(worker, Choice::Cpu)));
    }

    /// The leader's engine is open.
    fn welcome(&mut self, engine: Description) {
        let several = engine.several_workers;
        self.workers.engine = Some(engine.clone());
        // The one before is of no more use.
        let former = self.former.take();
        self.end_all(former);
        self.told.push(Told::Opened(engine));
        let wanted = if several { self.machine.workers(self.model.unwrap_or_default()) } else { 1 };
        (self.workers.all.len()..wanted).for_each(|_| self.hire());
        // Those that were hired ahead for another engine, or a smaller model.
        let needless = self.workers.all.drain(wanted..);
        self.orders.extend(needless.map(|worker| Order::End(worker.id)));
        self.told.push(Told::Workers(self.workers.opened()));
        self.resume_measurements();
        self.resume();
    }

    fn hire(&mut self) {
        self.last_worker += 1;
        self.workers.all.push(Worker::new(self.last_worker));
        self.orders.push(Order::Start(self.last_worker));
    }

    fn end_all(&mut self, workers: Option<Workers>) {
        self.orders.extend(workers.iter().flat_map(|workers| &workers.all).map(|worker| Order::End(worker.id)));
    }

    fn end_check(&mut self, worker: WorkerId) {
        self.checks.retain(|check| check.worker != worker);
        self.orders.push(Order::End(worker));
    }

    fn send(&mut self, worker: WorkerId, message: ToWorker, tensors: Vec<Tensor>) {
        self.orders.push(Order::Send(worker, message, tensors));
    }

    fn number(&mut self) -> Ticket {
        self.last_ticket += 1;
        self.last_ticket
    }
}
