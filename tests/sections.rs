//! The page without a browser: what it does on every message, and that no order of messages leaves a state that is not sound.
#![cfg(not(target_arch = "wasm32"))]

use noisette::diffusion::SamplerKind;
use noisette::engine::{Choice, Description, Kind};
use noisette::playground::sampler_config;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use noisette::web::app::{App, Described, Effect, Message};
use noisette::web::controls::{CONTROLS, of};
use noisette::web::generate::Line;
use noisette::web::job::{CheckNews, Job, News, Tensor, Ticket};
use noisette::web::machine::{Badge, Missing};
use noisette::web::messages::{FromWorker, ToWorker};
use noisette::web::model::{Model, Samples};
use noisette::web::models::{self, Entry};
use noisette::web::noise::Loss;
use noisette::web::pool::Order;
use noisette::web::pool::workers::{Machine, WorkerId};
use noisette::web::settings::{Class, Settings};
use std::collections::BTreeMap;

/// A browser of a kind: it obeys every effect, and lets the test speak for the workers.
struct Browser {
    app: App,
    /// Workers that run, with what they were sent last.
    workers: BTreeMap<WorkerId, Vec<ToWorker>>,
    /// Models that are to be fetched.
    wanted: Vec<Entry>,
    effects: Vec<Effect>,
    now: f64,
}

fn entries() -> Vec<Entry> {
    models::parse(include_str!("../weights/models.json")).expect("the list that ships")
}

fn model(name: &str) -> Described {
    let folder = format!("{}/weights/{name}/", env!("CARGO_MANIFEST_DIR"));
    let text = |file: &str| std::fs::read_to_string(format!("{folder}{file}")).expect("a model that ships");
    let entry = entries().into_iter().find(|entry| entry.name == name).expect("an entry");
    let model = Model::read(entry, text("config.json"), Some(text("scheduler_config.json"))).expect("a model");
    Described { model, samples: Ok(Samples::digits()) }
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
    /// A page that has just been opened at this address.
    fn open(hash: &str, cores: usize) -> Self {
        let app = App::new(Machine { cores, memory: 8e9 });
        let (workers, wanted, effects) = Default::default();
        let mut browser = Self { app, workers, wanted, effects, now: 0.0 };
        browser.tell(Message::Begin(hash.to_owned(), None));
        browser
    }

    /// One with the digits and an engine of this kind.
    fn ready(cores: usize, kind: Kind) -> Self {
        let mut browser = Self::open("", cores);
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
                Effect::Pool(Order::Open(worker, _)) => assert!(self.workers.contains_key(worker)),
                Effect::Pool(Order::End(worker)) => drop(self.workers.remove(worker)),
                Effect::Fetch(entry) => self.wanted.push(entry.clone()),
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

    fn say(&mut self, worker: WorkerId, said: FromWorker) {
        self.tell(Message::Worker(worker, said, Vec::new()));
    }

    fn control(&mut self, id: &'static str, text: &str) {
        self.tell(Message::Control(id, text.to_owned()));
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

#[test]
fn every_control_takes_what_it_says_and_says_what_it_took() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    for (id, text) in [
        ("thumbs", "7"),
        ("t", "123"),
        ("noise", "99"),
        ("class", "4"),
        ("class", "none"),
        ("sampler", "iPNDM"),
        ("sampler", "ipndm"),
        ("steps", "17"),
        ("seed", "4294967295"),
        ("lock", "false"),
        ("count", "16"),
        ("guidance", "2.5"),
        ("eta", "0.25"),
        ("engine", "cpu"),
        ("check-net", "ddpm"),
    ] {
        browser.control(id, text);
        let control = of(id).expect("a control");
        if text == "iPNDM" {
            assert!(browser.status().contains("Sampler is ddpm, ddim, dpmsolver++ or ipndm, not “iPNDM”"));
            continue;
        }
        assert_eq!(control.text(browser.settings()), text, "{id}");
        assert!(browser.effects().contains(&Effect::WriteAddress { now: false }), "{id}");
    }
    let ids: Vec<_> = CONTROLS.iter().filter_map(|control| control.id).collect();
    assert_eq!(ids.len(), 14, "a control that this test does not know: {ids:?}");
    // And what the link of it says is the same again.
    let hash = noisette::web::link::write(browser.settings());
    let mut again = Browser::ready(1, Kind::Cpu);
    again.control("check-net", "ddpm");
    again.tell(Message::Address(hash, Some(browser.settings().memory())));
    assert_eq!(again.settings(), browser.settings());
}

#[test]
fn a_number_that_means_nothing_is_named_and_generate_leads_to_it() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("count", "many");
    assert_eq!(browser.status(), "Error: Count must be 1 to 16, not “many”.");
    browser.control("steps", "0");
    assert!(browser.status().contains("Steps must be 1 to 1000, not “0”; Count must be"), "{}", browser.status());
    assert_eq!((browser.settings().sampling.steps, browser.settings().count), (4, 10), "neither is taken");
    browser.effects();
    browser.tell(Message::Generate(Ok(1)));
    assert!(browser.app.generate.run.is_none());
    assert_eq!(browser.effects(), [Effect::Focus("steps")]);
    browser.control("steps", "5");
    assert!(browser.status().starts_with("Error: Count"), "the other one is still wrong");
    browser.control("count", "3");
    assert_eq!(browser.status(), "Ready.");
}

#[test]
fn a_run_goes_from_noise_to_a_film() {
    let mut browser = Browser::ready(2, Kind::Cpu);
    browser.control("steps", "2");
    let noise = browser.grid();
    browser.tell(Message::Generate(Ok(5)));
    assert_eq!(browser.status(), "Generating 10 images in 2 steps with DPM-Solver++.");
    assert_eq!(browser.settings().seed, 6, "nothing was made of this seed yet");
    assert_eq!(browser.walks().iter().map(|walk| walk.3).collect::<Vec<_>>(), [5, 5], "two workers share it");
    let (first, ticket, ..) = browser.walks()[0];
    browser.say(first, FromWorker::News { ticket, news: News::Part { step: 1, done: 5, of: 5 } });
    assert_eq!((browser.app.generate.progress, browser.app.generate.lit), (0.25, Some(Line::Predict)));
    browser.frame(first, ticket, 1, 5);
    assert_eq!(browser.grid(), noise, "the other half is not there");
    let (second, ticket, ..) = browser.walks()[1];
    browser.frame(second, ticket, 1, 5);
    assert_ne!(browser.grid(), noise);
    browser.step(2);
    browser.done();
    assert!(browser.status().starts_with("Done: 10 images in 2 steps, 5.0 ms a step"), "{}", browser.status());
    let film = browser.app.generate.film.as_ref().expect("a film");
    assert_eq!((film.last, film.at, film.images[3].as_str()), (2, 2, "4 · 3"));
    browser.tell(Message::Scrub(0));
    assert_eq!(browser.grid(), noise);
    browser.tell(Message::Generate(Ok(3_000_005)));
    assert_eq!(browser.settings().seed, 5, "another one, short enough to be read aloud");
}

#[test]
fn generate_twice_is_one_run_and_stop_before_the_first_frame_ends_it() {
    let mut browser = Browser::ready(2, Kind::Cpu);
    browser.tell(Message::Generate(Ok(1)));
    let walks = browser.walks();
    browser.tell(Message::Generate(Ok(2)));
    assert_eq!(browser.walks(), walks, "the second press is none");
    browser.tell(Message::Stop);
    assert_eq!(browser.status(), "Stopped after step 0 of 4.");
    assert!(!browser.app.common.running && browser.app.generate.film.is_none());
    assert!(browser.walks().is_empty(), "every worker was told");
    // What was on its way says nothing any more.
    let noise = browser.grid();
    for (worker, ticket, _, images) in walks {
        browser.frame(worker, ticket, 1, images);
        browser.say(worker, FromWorker::News { ticket, news: News::Done });
    }
    assert_eq!((browser.grid(), browser.status()), (noise, "Stopped after step 0 of 4."));
    browser.tell(Message::Stop);
    assert_eq!(browser.status(), "Stopped after step 0 of 4.");
    browser.tell(Message::Generate(Ok(7)));
    assert!(browser.app.common.running);
}

#[test]
fn when_the_engine_is_lost_in_the_middle_of_a_run_the_cpu_goes_on_where_it_was() {
    let mut browser = Browser::ready(2, Kind::Gpu);
    browser.control("sampler", "ddim");
    browser.control("steps", "8");
    assert_eq!(browser.workers.len(), 1, "a GPU needs no second worker");
    browser.tell(Message::Generate(Ok(1)));
    browser.step(1);
    browser.step(2);
    let (lost, late, ..) = browser.walks()[0];
    browser.say(lost, FromWorker::Lost { message: "the device is gone".to_owned() });
    assert!(!browser.workers.contains_key(&lost) && browser.app.common.running);
    let note = browser.app.machine.note.clone().expect("a note");
    assert_eq!(note, "WebGPU stopped working, so the CPU goes on in its place. (the device is gone)");
    assert_eq!(browser.app.machine.badge, Badge::Starting);
    // Late news of the worker that is gone.
    browser.frame(lost, late, 3, 10);
    assert_eq!(browser.app.generate.run.as_ref().map(|run| run.step), Some(2));
    browser.start_all(Kind::Cpu);
    let walks = browser.walks();
    assert_eq!((walks[0].2, walks[0].3), (2, 10), "after two steps, all images: {walks:?}");
    (3..=8).for_each(|step| browser.step(step));
    browser.done();
    assert!(browser.status().starts_with("Done: 10 images in 8 steps"), "{}", browser.status());
}

#[test]
fn when_one_of_several_workers_is_lost_the_others_do_its_share() {
    let mut browser = Browser::ready(3, Kind::Cpu);
    browser.control("sampler", "ddpm");
    browser.control("steps", "8");
    browser.tell(Message::Generate(Ok(1)));
    assert_eq!(browser.walks().len(), 3);
    browser.step(1);
    let walks = browser.walks();
    browser.frame(walks[0].0, walks[0].1, 2, walks[0].3);
    browser.tell(Message::WorkerGone(walks[2].0, "out of memory".to_owned()));
    let note = browser.app.machine.note.clone().expect("a note");
    assert_eq!(note, "A worker stopped, so 2 go on without it. (out of memory)");
    let now = browser.walks();
    assert_eq!(now.iter().map(|walk| (walk.2, walk.3)).collect::<Vec<_>>(), [(1, 5), (1, 5)]);
    // A frame under the old ticket is none.
    browser.frame(walks[1].0, walks[1].1, 2, walks[1].3);
    assert_eq!(browser.app.generate.run.as_ref().map(|run| run.step), Some(1));
    (2..=8).for_each(|step| browser.step(step));
    browser.done();
    assert!(browser.status().starts_with("Done:"));
}

#[test]
fn a_walk_that_looks_back_begins_anew_and_the_page_shows_no_step_twice() {
    for sampler in ["dpmsolver++", "ipndm"] {
        let mut browser = Browser::ready(2, Kind::Cpu);
        browser.control("sampler", sampler);
        browser.control("steps", "5");
        browser.tell(Message::Generate(Ok(1)));
        (1..=3).for_each(|step| browser.step(step));
        let (shown, lost) = (browser.grid(), browser.walks()[1].0);
        browser.tell(Message::WorkerGone(lost, "out of memory".to_owned()));
        assert_eq!(browser.walks().iter().map(|walk| walk.2).collect::<Vec<_>>(), [0], "{sampler}: from its start");
        (1..=3).for_each(|step| browser.step(step));
        assert_eq!((browser.grid(), browser.app.generate.run.as_ref().map(|run| run.record.len())), (shown, Some(4)));
        (4..=5).for_each(|step| browser.step(step));
        browser.done();
        assert!(browser.status().starts_with("Done:"), "{}", browser.status());
        assert_eq!(browser.app.generate.film.as_ref().map(|film| film.last), Some(5));
    }
}

#[test]
fn the_status_is_true_while_models_come_and_go() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("model", "emoji");
    assert_eq!(browser.status(), "Loading emoji …".replace("emoji", &entries()[2].title));
    browser.tell(Message::Address("#model=digits".to_owned(), None));
    assert_eq!(browser.status(), "Ready.", "it is wanted no more");
    browser.tell(Message::Address("#junk".to_owned(), None));
    assert!(browser.status().starts_with("Error: the link has a setting “junk”"));
    browser.tell(Message::Address(String::new(), None));
    assert_eq!(browser.status(), "Ready.", "that link is gone");
    browser.tell(Message::Generate(Ok(1)));
    browser.control("model", "fashion");
    assert!(browser.status().starts_with("Generating"));
    browser.fetch("fashion");
    assert_eq!(browser.status(), "The run has ended with its model.");
    browser.start_all(Kind::Cpu);
    assert!(browser.status().starts_with("Ready"), "{}", browser.status());
}

#[test]
fn a_copied_link_says_what_it_does_not_hold() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.tell(Message::Copied(true));
    assert_eq!(browser.status(), "The link is copied.");
    browser.control("count", "99");
    browser.tell(Message::Copied(true));
    assert_eq!(browser.status(), "The link is copied. What is marked red is not in it.");
    let shape = browser.app.common.shape;
    browser.tell(Message::Own(1, "a.png".to_owned(), shape, Ok(vec![0.0; shape.len()])));
    browser.control("count", "9");
    browser.tell(Message::Copied(true));
    assert_eq!(browser.status(), "The link is copied. Your own picture is not in it.");
}

#[test]
fn another_model_in_the_middle_of_a_run_ends_it() {
    let mut browser = Browser::ready(2, Kind::Cpu);
    browser.control("t", "900");
    browser.control("class", "9");
    browser.tell(Message::Generate(Ok(1)));
    browser.step(1);
    browser.control("model", "emoji");
    assert_eq!(browser.wanted.last().map(|entry| entry.name.as_str()), Some("emoji"));
    assert!(browser.app.common.running, "until it is there the present one stays");
    let (worker, ticket, _, images) = browser.walks()[0];
    browser.fetch("emoji");
    assert!(!browser.app.common.running && browser.app.generate.run.is_none());
    assert_eq!(browser.app.common.shape, Shape::new(1, 32, 32, 3));
    assert_eq!((browser.settings().model.as_str(), browser.settings().t), ("emoji", 900));
    browser.frame(worker, ticket, 2, images);
    browser.start_all(Kind::Cpu);
    assert!(browser.status().starts_with("Ready"), "{}", browser.status());
    assert!(browser.walks().is_empty(), "no worker of the new ones does the old run");
    let bytes = 10 * 32 * 32 * 3;
    assert_eq!(browser.grid().len(), bytes, "the noise of the next run");
}

#[test]
fn of_two_models_the_later_wish_counts_and_one_that_fails_leaves_the_present_one() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("model", "emoji");
    browser.control("model", "fashion");
    browser.fetch("emoji");
    assert_eq!(browser.settings().model, "digits", "nobody waits for it any more");
    browser.tell(Message::Described("fashion".to_owned(), Ok(Box::new(model("fashion")))));
    browser.tell(Message::Weights("fashion".to_owned(), Err("no route".to_owned())));
    assert_eq!((browser.status(), browser.settings().model.as_str()), ("Error: no route.", "digits"));
    assert_eq!(browser.app.machine.missing, Some(Missing::Model("fashion".to_owned())));
    assert!(browser.app.common.can_generate());
    browser.tell(Message::Retry);
    browser.fetch("fashion");
    assert_eq!(browser.settings().model, "fashion");
    assert_eq!(browser.app.machine.missing, None);
}

#[test]
fn an_engine_that_cannot_be_had_leaves_the_one_that_works() {
    let mut browser = Browser::ready(2, Kind::Cpu);
    browser.control("sampler", "ddim");
    browser.tell(Message::Generate(Ok(1)));
    browser.step(1);
    let before: Vec<WorkerId> = browser.workers.keys().copied().collect();
    browser.control("engine", "gpu");
    let asked = *browser.workers.keys().last().expect("a worker for it");
    browser.say(asked, FromWorker::Ready);
    browser.say(asked, FromWorker::Refused { message: "there is no adapter".to_owned() });
    assert_eq!(browser.status(), "Error: there is no adapter; the CPU engine goes on.");
    assert_eq!(browser.settings().engine, Choice::Cpu);
    assert_eq!(browser.workers.keys().copied().collect::<Vec<_>>(), before);
    assert_eq!(browser.walks().iter().map(|walk| walk.2).collect::<Vec<_>>(), [1, 1], "the run goes on, too");
}

#[test]
fn without_any_engine_the_page_says_so_and_another_can_be_chosen() {
    let mut browser = Browser::open("#engine=gpu", 1);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch("digits");
    let worker = *browser.workers.keys().next().expect("a worker");
    browser.tell(Message::WorkerGone(worker, "worker.js could not be loaded".to_owned()));
    assert!(browser.status().contains("the CPU engine takes its place"), "{}", browser.status());
    let worker = *browser.workers.keys().next().expect("another one");
    browser.tell(Message::WorkerGone(worker, "worker.js could not be loaded".to_owned()));
    assert!(browser.status().contains("another engine can be chosen above"), "{}", browser.status());
    assert_eq!((&browser.app.machine.badge, browser.workers.len()), (&Badge::None, 0));
    browser.tell(Message::Retry);
    assert_eq!(browser.workers.len(), 1, "it can be tried again");
    let worker = *browser.workers.keys().next().expect("another one");
    browser.tell(Message::WorkerGone(worker, "worker.js could not be loaded".to_owned()));
    assert_eq!(browser.app.machine.missing, Some(Missing::Engine));
    browser.control("engine", "auto");
    assert_eq!(browser.app.machine.missing, None);
    browser.start_all(Kind::Cpu);
    assert_eq!(browser.status(), "Ready.");
}

#[test]
fn a_model_whose_results_are_no_numbers_is_said_once_and_nothing_starts_anew() {
    let mut browser = Browser::ready(2, Kind::Cpu);
    let workers: Vec<WorkerId> = browser.workers.keys().copied().collect();
    browser.tell(Message::Generate(Ok(1)));
    for (worker, ticket, ..) in browser.walks() {
        let message = "the model's result at timestep 3 is not finite".to_owned();
        browser.say(worker, FromWorker::News { ticket, news: News::Failed { message } });
    }
    assert_eq!(browser.status(), "Error: the model's result at timestep 3 is not finite.");
    assert_eq!(browser.workers.keys().copied().collect::<Vec<_>>(), workers);
    assert!(!browser.app.common.running && browser.app.machine.note.is_none());
}

#[test]
fn the_slider_is_answered_and_late_answers_are_known_for_what_they_are() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    let worker = *browser.workers.keys().next().expect("a worker");
    let shape = browser.app.common.shape;
    let answer = |ticket: Ticket| {
        let zeros = vec![0.0; shape.len()];
        let tensors = vec![Tensor::new("epsilon", shape, zeros.clone()), Tensor::new("x0", shape, zeros)];
        Message::Worker(worker, FromWorker::News { ticket, news: News::Predicted { milliseconds: 4.0 } }, tensors)
    };
    browser.control("t", "10");
    let first = browser.app.noise.asked.expect("a question");
    browser.control("t", "20");
    let second = browser.app.noise.asked.expect("another one");
    assert_ne!(first, second);
    browser.tell(answer(first));
    assert!(browser.app.noise.loss.is_none(), "it is not the answer to this question");
    browser.tell(answer(second));
    assert!(matches!(browser.app.noise.loss, Some(Loss::Of(loss)) if loss > 0.5));
    browser.control("t", "0");
    browser.tell(answer(second));
    assert_eq!(browser.app.noise.loss, Some(Loss::None), "there is no noise at t = 0");
    // A wrong size is no answer.
    browser.control("t", "30");
    let third = browser.app.noise.asked.expect("a question");
    let news = FromWorker::News { ticket: third, news: News::Predicted { milliseconds: 4.0 } };
    browser.tell(Message::Worker(worker, news, vec![Tensor::new("epsilon", Shape::SCALAR, vec![0.0])]));
    assert_ne!(browser.app.noise.loss, Some(Loss::Of(0.0)));
}

#[test]
fn a_check_takes_the_engines_in_turn_and_judges() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.tell(Message::StartCheck("a browser".to_owned()));
    for adapter in [Some("AVX2"), None] {
        let worker = *browser.workers.keys().last().expect("a worker of its own");
        browser.say(worker, FromWorker::Ready);
        let ticket = browser.app.check.ticket.expect("a job");
        let Some(adapter) = adapter else {
            let message = "there is no adapter".to_owned();
            browser.say(worker, FromWorker::News { ticket, news: News::Failed { message } });
            continue;
        };
        let op = |name: &str, passed| noisette::selftest::OpReport {
            name: name.to_owned(),
            results: 1,
            worst_error: Some(0.0),
            passed,
        };
        for news in [
            CheckNews::Opened { adapter: adapter.to_owned(), software: false },
            CheckNews::Begins { what: "comparing".to_owned() },
            CheckNews::Ops { ops: vec![op("add", true), op("mul", false)], milliseconds: 3.0 },
            CheckNews::Memory(1e6),
        ] {
            browser.say(worker, FromWorker::News { ticket, news: News::Check(news) });
        }
        browser.say(worker, FromWorker::News { ticket, news: News::Done });
        assert!(!browser.workers.contains_key(&worker), "each has a worker of its own");
    }
    assert_eq!(browser.app.check.status, "Error: not all is right: mul on CPU.");
    assert!(browser.app.check.failed && browser.app.check.json.contains("\"passed\": false"));
    assert_eq!(browser.workers.len(), 1, "the leader");
    assert_eq!(browser.status(), "Ready.", "the page's own line tells of pictures");
}

/// What must hold whatever happens.
fn is_sound(browser: &Browser) {
    let (app, cx) = (&browser.app, &browser.app.common);
    let (settings, limits) = (&cx.settings, cx.limits());
    // Until the model is known a link may say anything.
    let known = cx.model.is_none() || (settings.t <= limits.timesteps && settings.sampling.steps <= limits.timesteps);
    assert!(known && settings.sampling.steps > 0, "t = {}, {} steps", settings.t, settings.sampling.steps);
    assert!((1..=16).contains(&settings.count) && (0.0..=5.0).contains(&settings.sampling.guidance));
    assert!(cx.model.is_none() || !matches!(settings.class, Class::One(class) if class >= limits.classes));
    assert!(!cx.status.failed || cx.status.text.starts_with("Error: "), "{:?}", cx.status);
    let active = app.generate.run.as_ref().is_some_and(|run| run.active());
    assert_eq!(cx.running, active);
    assert_eq!(cx.loading, app.machine.download.is_some());
    if let Some(model) = &cx.model {
        assert_eq!((cx.shape, settings.model.as_str()), (model.shape(), model.entry.name.as_str()));
        assert!(app.generate.algorithm.len() == 6 && app.generate.grid.is_some() && app.noise.shown.is_some());
        assert_eq!(app.noise.x_t.len(), cx.shape.len());
    }
    if let Some(run) = &app.generate.run {
        assert!(run.step <= run.steps() && !run.record.is_empty());
        assert!(!active || cx.has_weights);
    }
    if let Some(film) = &app.generate.film {
        assert!(!active && film.at <= film.last && film.of < film.images.len() && film.tile() < 11);
    }
    assert!((0.0..=1.0).contains(&app.generate.progress), "{}", app.generate.progress);
    if cx.pool.opened() {
        assert!(matches!(app.machine.badge, Badge::Ready(_)), "{:?}", app.machine.badge);
    }
    let most = cx.settings.count.max(16) + 2;
    assert!(browser.workers.len() <= most, "{} workers", browser.workers.len());
}

/// Something that a visitor, the network or a worker may say at any time.
fn anything(rng: &mut Rng, browser: &Browser) -> Message {
    let pick = |rng: &mut Rng, from: &[&str]| from[rng.below(from.len())].to_owned();
    let names = ["digits", "fashion", "emoji", "none-such"];
    let worker = || {
        let known: Vec<WorkerId> = browser.workers.keys().copied().chain([0, 1, 77]).collect();
        move |rng: &mut Rng| known[rng.below(known.len())]
    };
    let ticket = |rng: &mut Rng| {
        let known = [
            browser.app.noise.asked,
            browser.walks().first().map(|walk| walk.1),
            browser.app.check.ticket,
            Some(rng.below(200) as Ticket),
        ];
        known[rng.below(known.len())].unwrap_or(3)
    };
    let message = |rng: &mut Rng| pick(rng, &["lost", "no adapter", "worker.js could not be loaded"]);
    match rng.below(26) {
        0 => {
            let hash = pick(
                rng,
                &[
                    "#t=5000",
                    "#model=emoji&t=3",
                    "#steps=0",
                    "#model=none-such",
                    "#count=2&class=9&seed=7",
                    "#engine=gpu",
                    "%%%",
                    "#picture=9&noise=4",
                ],
            );
            Message::Address(hash, [None, Some(rng.below(64) as u32)][rng.below(2)])
        }
        1..=4 => {
            let controls: Vec<_> = CONTROLS.iter().filter_map(|control| control.id).collect();
            let id = controls[rng.below(controls.len())];
            let text = pick(
                rng,
                &[
                    "0", "1", "3", "15", "", "-1", "1e9", "NaN", "none", "each", "ddpm", "ipndm", "gpu", "auto", "cpu",
                    "true", "model",
                ],
            );
            Message::Control(id, text)
        }
        5 => Message::Control("model", pick(rng, &names)),
        6 | 7 => Message::Generate(Ok(rng.u32())),
        8 => Message::Dice(Err("none".to_owned())),
        9 => Message::Stop,
        10 => Message::Retry,
        11 => Message::Copied(rng.below(2) == 0),
        12 => Message::Scrub(rng.below(40)),
        13 => Message::FilmOf(
            rng.below(3).min(browser.app.generate.film.as_ref().map_or(1, |film| film.images.len()) - 1),
        ),
        14 => Message::StartCheck("a browser".to_owned()),
        15 => Message::EndCheck,
        16 => {
            let shape = [browser.app.common.shape, Shape::new(1, 5, 7, 1)][rng.below(2)];
            let picture = [Ok(vec![0.5; shape.len()]), Err("it is cut off".to_owned())][rng.below(2)].clone();
            Message::Own(rng.below(3) as u32, "a.png".to_owned(), shape, picture)
        }
        17 => Message::List([Ok(entries()), Err("no list".to_owned())][rng.below(2)].clone()),
        18 => {
            let name = ["digits", "fashion", "emoji"][rng.below(3)];
            let mut described = model(name);
            if rng.below(4) == 0 {
                described.samples = Err("no samples".to_owned());
            }
            Message::Described(
                name.to_owned(),
                [Ok(Box::new(described)), Err("offline".to_owned())][rng.below(2)].clone(),
            )
        }
        19 => Message::Arriving(pick(rng, &names), 5.0, Some(10.0)),
        20 => {
            Message::Weights(pick(rng, &names), [Ok(4.5e6), Ok(4.5e6), Err("offline".to_owned())][rng.below(3)].clone())
        }
        21 => Message::WorkerGone(worker()(rng), message(rng)),
        22 => Message::Worker(worker()(rng), FromWorker::Ready, Vec::new()),
        23 => {
            let said = [
                FromWorker::Opened(engine([Kind::Cpu, Kind::Gpu][rng.below(2)])),
                FromWorker::Refused { message: message(rng) },
                FromWorker::Lost { message: message(rng) },
            ];
            Message::Worker(worker()(rng), said[rng.below(3)].clone(), Vec::new())
        }
        _ => {
            let shape = browser.app.common.shape.with_n([1, 5, 10][rng.below(3)]);
            let tensors = vec![Tensor::new("x", shape, vec![0.1; shape.len()])];
            let news = [
                News::Part { step: rng.below(9), done: rng.below(5), of: 5 },
                News::Frame { step: 1 + rng.below(8), timestep: 7, milliseconds: 2.0 },
                News::Predicted { milliseconds: 1.0 },
                News::Done,
                News::Failed { message: message(rng) },
                News::Check(CheckNews::Begins { what: "opening".to_owned() }),
            ];
            let news = news[rng.below(news.len())].clone();
            Message::Worker(worker()(rng), FromWorker::News { ticket: ticket(rng), news }, tensors)
        }
    }
}

#[test]
fn two_thousand_messages_in_any_order_leave_a_state_that_is_sound() {
    for seed in 0..4 {
        let mut rng = Rng::new(seed);
        let mut browser = if seed % 2 == 0 { Browser::open("#t=3", 3) } else { Browser::ready(3, Kind::Cpu) };
        for _ in 0..500 {
            let message = anything(&mut rng, &browser);
            browser.tell(message);
            is_sound(&browser);
        }
        // And the page is as good as new for who goes on: the list, a model, an engine.
        browser.tell(Message::EndCheck);
        for id in ["steps", "count", "noise", "seed", "eta", "guidance", "thumbs", "class", "sampler", "t"] {
            let text = of(id).expect("a control").text(browser.settings());
            browser.control(id, if text.is_empty() { "0" } else { &text });
        }
        browser.tell(Message::List(Ok(entries())));
        let name = browser.wanted.last().expect("a model").name.clone();
        browser.fetch(&name);
        browser.control("engine", "cpu");
        browser.start_all(Kind::Cpu);
        browser.tell(Message::Stop);
        browser.tell(Message::Generate(Ok(1)));
        assert!(browser.status().starts_with("Generating"), "{}", browser.status());
        let steps = browser.app.generate.run.as_ref().map_or(0, |run| run.steps());
        (1..=steps).for_each(|step| browser.step(step));
        browser.done();
        assert!(browser.status().starts_with("Done:"), "{}", browser.status());
        is_sound(&browser);
    }
}

/// The walk that a page asks for which was opened at this address.
fn walk_of(hash: &str, name: &str) -> (Job, Described) {
    let mut browser = Browser::open(hash, 1);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch(name);
    browser.start_all(Kind::Cpu);
    browser.tell(Message::Generate(Ok(1)));
    let sent = browser.workers.values().flatten().find_map(|sent| match sent {
        ToWorker::Begin { job: job @ Job::Walk { .. }, .. } => Some(job.clone()),
        _ => None,
    });
    (sent.expect("a walk"), model(name))
}

#[test]
fn an_old_link_asks_for_the_sampler_it_asked_for() {
    for name in ["digits", "fashion", "emoji"] {
        for (keys, kind, steps, eta) in [
            ("count=1", SamplerKind::Ddim, 15, 0.0),
            ("sampler=ddpm&steps=9", SamplerKind::Ddpm, 9, 0.0),
            ("sampler=ddim&steps=7&eta=0.5", SamplerKind::Ddim, 7, 0.5),
            ("sampler=dpmsolver++&steps=4", SamplerKind::DpmSolverPp2M, 4, 0.0),
            ("sampler=ipndm&steps=4&eta=0.5", SamplerKind::Ipndm, 4, 0.0),
        ] {
            let (job, described) = walk_of(&format!("#model={name}&{keys}&seed=3"), name);
            let Job::Walk { settings, seed, .. } = job else { panic!("{job:?}") };
            let expected = sampler_config(&described.model.scheduler, kind, steps, eta);
            assert_eq!((settings.sampler, settings.guidance, seed), (expected, 1.5, 3), "{name}, {keys}");
        }
    }
}

#[test]
fn a_link_to_another_model_leaves_the_present_one_in_the_control_and_a_hand_does_not() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("model", "emoji");
    assert!(browser.app.machine.download.as_ref().is_some_and(|download| download.by_hand));
    browser.tell(Message::Address("#model=fashion".to_owned(), None));
    assert!(browser.app.machine.download.as_ref().is_some_and(|download| !download.by_hand));
    assert_eq!(browser.settings().model, "digits");
}
