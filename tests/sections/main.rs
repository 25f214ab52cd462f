//! The page without a browser: what it does on every message, and that no order of messages leaves a state that is not sound.
#![cfg(not(target_arch = "wasm32"))]

mod anything;
mod check;
mod draw;
mod from_here;
mod history;
mod links;
mod losses;
mod measures;
mod models;
mod pauses;
mod runs;
mod saves;
mod schedules;
mod settings;
mod students;

use noisette::engine::{Description, Kind};
use noisette::web::app::{App, Described, Effect, Message};
use noisette::web::job::{Job, News, Tensor, Ticket};
use noisette::web::messages::{FromWorker, ToWorker};
use noisette::web::model::{Model, Samples};
use noisette::web::models::{Entry, parse};
use noisette::web::pool::Order;
use noisette::web::pool::workers::{Machine, WorkerId};
use noisette::web::settings::Settings;
use std::collections::BTreeMap;

/// A browser of a kind: it obeys every effect, and lets the test speak for the workers.
struct Browser {
    app: App,
    /// Workers that run, with what they were sent last.
    workers: BTreeMap<WorkerId, Vec<ToWorker>>,
    /// Models that are to be fetched.
    wanted: Vec<Entry>,
    /// Names of those whose student is.
    students: Vec<String>,
    effects: Vec<Effect>,
    /// Its history, each entry an address from `#` on and the page's word beside it, and where it stands in it.
    entries: Vec<(String, Option<u32>)>,
    at: usize,
    now: f64,
}

fn entries() -> Vec<Entry> {
    parse(include_str!("../../weights/models.json")).expect("the list that ships")
}

fn model(name: &str) -> Described {
    let folder = format!("{}/weights/{name}/", env!("CARGO_MANIFEST_DIR"));
    let text = |file: &str| std::fs::read_to_string(format!("{folder}{file}")).expect("a model that ships");
    let entry = entries().into_iter().find(|entry| entry.name == name).expect("an entry");
    let model = Model::read(entry, text("config.json"), Some(text("scheduler_config.json"))).expect("a model");
    Described { model, samples: Ok(Samples::digits()) }
}

/// A model's fast student.
fn student(of: &str) -> Model {
    let entry = entries().into_iter().find(|entry| entry.name == of).expect("an entry");
    let folder = format!("{}/weights/{}/", env!("CARGO_MANIFEST_DIR"), entry.student());
    let text = |file: &str| std::fs::read_to_string(format!("{folder}{file}")).expect("a student that ships");
    Model::read(entry, text("config.json"), Some(text("scheduler_config.json"))).expect("a student")
}

fn engine(kind: Kind) -> Description {
    let several_workers = kind == Kind::Cpu;
    Description {
        engine: kind,
        adapter: "AVX2, 1 thread".to_owned(),
        software: false,
        one_by_one: several_workers,
        several_workers,
        note: None,
    }
}

impl Browser {
    /// One that knows nothing of a page yet.
    fn new(cores: usize) -> Self {
        let app = App::new(Machine { cores, memory: 8e9 });
        let (workers, wanted, students, effects) = Default::default();
        let entries = vec![(String::new(), None)];
        Self { app, workers, wanted, students, effects, entries, at: 0, now: 0.0 }
    }

    /// A page that has just been opened at this address.
    fn open(hash: &str, cores: usize) -> Self {
        let mut browser = Self::new(cores);
        browser.tell(Message::Begin(hash.to_owned(), None));
        browser
    }

    /// One with the digits, without their student, and an engine of this kind.
    fn ready(cores: usize, kind: Kind) -> Self {
        let mut browser = Self::open("#model=digits", cores);
        browser.tell(Message::List(Ok(entries())));
        browser.fetch("digits");
        browser.start_all(kind);
        assert_eq!(browser.status(), "Ready.");
        browser
    }

    fn tell(&mut self, message: Message) {
        self.now += 10.0;
        for effect in self.app.update(message, self.now) {
            match &effect {
                Effect::Pool(Order::Start(worker)) => {
                    assert!(self.workers.insert(*worker, Vec::new()).is_none(), "two workers of one number");
                }
                Effect::Pool(Order::Send(worker, message, _)) => {
                    self.workers.get_mut(worker).expect("a worker that runs").push(message.clone());
                }
                Effect::FetchStudent(of) => self.students.push(of.name.clone()),
                Effect::Pool(Order::Load(worker)) => assert!(self.workers.contains_key(worker)),
                Effect::Pool(Order::Open(worker, _)) => assert!(self.workers.contains_key(worker)),
                Effect::Pool(Order::End(worker)) => drop(self.workers.remove(worker)),
                Effect::Fetch(entry) => self.wanted.push(entry.clone()),
                Effect::WriteAddress { push, hash, memory } => {
                    let entry = (hash.clone(), Some(*memory));
                    if *push {
                        self.at += 1;
                        self.entries.truncate(self.at);
                        self.entries.push(entry);
                    } else {
                        self.entries[self.at] = entry;
                    }
                }
                _ => {}
            }
            self.effects.push(effect);
        }
    }

    /// What the page wanted since the last call.
    fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// A whole model arrives.
    fn fetch(&mut self, name: &str) {
        self.tell(Message::Described(name.to_owned(), Ok(Box::new(model(name)))));
        self.tell(Message::Weights(name.to_owned(), Ok(4.5e6)));
    }

    /// Every worker gets ready and opens its engine, those that begin meanwhile, too.
    fn start_all(&mut self, kind: Kind) {
        let mut done = 0;
        while let Some(&worker) = self.workers.keys().nth(done) {
            self.say(worker, FromWorker::Ready);
            self.say(worker, FromWorker::Opened(engine(kind)));
            done += 1;
        }
    }

    /// Every worker has looked at the student.
    fn load_all(&mut self, found: Result<(), String>) {
        for worker in self.workers.keys().copied().collect::<Vec<_>>() {
            self.say(worker, FromWorker::Loaded(found.clone()));
        }
    }

    fn say(&mut self, worker: WorkerId, said: FromWorker) {
        self.tell(Message::Worker(worker, said, Vec::new()));
    }

    /// The worker that was started last.
    fn last_worker(&self) -> WorkerId {
        *self.workers.keys().last().expect("a worker that runs")
    }

    fn control(&mut self, id: &'static str, text: &str) {
        self.tell(Message::Control(id, text.to_owned()));
    }

    /// The address from `#` on.
    fn written(&self) -> &str {
        &self.entries[self.at].0
    }

    fn status(&self) -> &str {
        &self.app.common.status.text
    }

    fn settings(&self) -> &Settings {
        &self.app.common.settings
    }

    /// The walks in progress: who, under which ticket, after which step, how many images.
    fn walks(&self) -> Vec<(WorkerId, Ticket, usize, usize)> {
        let last = self.workers.iter().filter_map(|(&worker, sent)| {
            let walk = sent.iter().rev().find_map(|message| match message {
                ToWorker::Begin { ticket, job: Job::Walk { after, images, .. } } => {
                    Some((*ticket, *after, images.len()))
                }
                _ => None,
            });
            let (ticket, after, images) = walk.filter(|walk| !sent.contains(&ToWorker::End { ticket: walk.0 }))?;
            Some((worker, ticket, after, images))
        });
        last.collect()
    }

    /// Every worker sends the next step of its walk.
    fn step(&mut self, step: usize) {
        for (worker, ticket, _, images) in self.walks() {
            self.frame(worker, ticket, step, images);
        }
    }

    /// After how many steps the walks in progress wait, as each worker was told last; none of those that go on to their end.
    fn until(&self) -> Vec<Option<usize>> {
        let told = |worker: &WorkerId, number: Ticket| {
            self.workers[worker].iter().rev().find_map(|message| match message {
                ToWorker::Begin { ticket, job: Job::Walk { until, .. } } if *ticket == number => Some(*until),
                ToWorker::Until { ticket, until } if *ticket == number => Some(*until),
                _ => None,
            })
        };
        self.walks().iter().filter_map(|(worker, ticket, ..)| told(worker, *ticket)).collect()
    }

    fn frame(&mut self, worker: WorkerId, ticket: Ticket, step: usize, images: usize) {
        let shape = self.app.common.shape.with_n(images);
        let x = vec![step as f32 / 10.0; shape.len()];
        let tensors = vec![Tensor::new("x", shape, x.clone()), Tensor::new("x0", shape, x)];
        let news = News::Frame { step, timestep: 1000 - step, milliseconds: 5.0 };
        self.tell(Message::Worker(worker, FromWorker::News { ticket, news }, tensors));
    }

    fn done(&mut self) {
        for (worker, ticket, ..) in self.walks() {
            self.say(worker, FromWorker::News { ticket, news: News::Done });
        }
    }

    /// Pixels of the grid.
    fn grid(&self) -> Vec<u8> {
        self.app.generate.grid.as_ref().expect("a grid").bytes.to_vec()
    }
}
