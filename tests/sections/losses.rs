//! Workers and engines that are lost, or never come.

use super::{Browser, engine, entries};
use noisette::diffusion::{SamplerConfig, SamplerKind};
use noisette::engine::{Choice, Kind};
use noisette::playground::Settings;
use noisette::tensor::Shape;
use noisette::web::app::{Effect, Message};
use noisette::web::job::{Job, News, Tensor};
use noisette::web::machine::{Badge, Missing};
use noisette::web::messages::{FromWorker, ToWorker};
use noisette::web::pool::workers::{Machine, WorkerId};
use noisette::web::pool::{Order, Pool};

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
    // Frames under the old ticket are none, from all that are left.
    walks[..2].iter().for_each(|&(worker, ticket, _, images)| browser.frame(worker, ticket, 2, images));
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
fn an_engine_that_cannot_be_had_leaves_the_one_that_works() {
    let mut browser = Browser::ready(2, Kind::Cpu);
    browser.control("sampler", "ddim");
    browser.tell(Message::Generate(Ok(1)));
    browser.step(1);
    let before: Vec<WorkerId> = browser.workers.keys().copied().collect();
    let walks = browser.walks();
    browser.control("engine", "gpu");
    let asked = *browser.workers.keys().last().expect("a worker for it");
    browser.say(asked, FromWorker::Ready);
    browser.say(asked, FromWorker::Refused { message: "there is no adapter".to_owned() });
    assert_eq!(browser.status(), "Error: there is no adapter; the CPU engine goes on.");
    assert_eq!(browser.settings().engine, Choice::Cpu);
    assert_eq!(browser.workers.keys().copied().collect::<Vec<_>>(), before);
    assert_eq!(browser.walks().iter().map(|walk| walk.2).collect::<Vec<_>>(), [1, 1], "the run goes on, too");
    // What was on its way from before would be taken for a step of its own.
    walks.iter().for_each(|&(worker, ticket, _, images)| browser.frame(worker, ticket, 2, images));
    assert_eq!(browser.app.generate.run.as_ref().map(|run| run.step), Some(1));
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
fn a_walk_begun_in_the_middle_begins_anew_from_there() {
    let mut pool = Pool::new(Machine { cores: 1, memory: 8e9 });
    pool.choose(Choice::Cpu);
    pool.model(4.5e6, Choice::Cpu);
    let settings = Settings {
        classes: vec![None],
        guidance: 1.0,
        sampler: SamplerConfig { kind: SamplerKind::Ipndm, steps: 6, ..SamplerConfig::default() },
    };
    let walk = Job::Walk {
        settings,
        seed: 1,
        after: 2,
        until: None,
        images: 0..1,
        watch: Vec::new(),
        fast: false,
        looks_back: true,
    };
    let given = Tensor::new("x", Shape::SCALAR, vec![0.25]);
    pool.begin(walk, vec![given.clone()]);
    // Two leaders one after the other: the first is lost after a step.
    for worker in [1, 2] {
        pool.hear(worker, FromWorker::Ready, Vec::new());
        pool.take();
        pool.hear(worker, FromWorker::Opened(engine(Kind::Cpu)), Vec::new());
        let sent = pool.take().0.into_iter().find_map(|order| match order {
            Order::Send(to, ToWorker::Begin { ticket, job: Job::Walk { after, .. } }, tensors) => {
                Some((to, ticket, after, tensors))
            }
            _ => None,
        });
        let (to, ticket, after, tensors) = sent.expect("a walk");
        assert_eq!((to, after, &tensors[..]), (worker, 2, &[given.clone()][..]));
        let news = News::Frame { step: 3, timestep: 9, milliseconds: 1.0 };
        let moved = vec![Tensor::new("x", Shape::SCALAR, vec![0.5])];
        pool.hear(worker, FromWorker::News { ticket, news }, moved);
        pool.hear(worker, FromWorker::Lost { message: "out of memory".to_owned() }, Vec::new());
    }
}

#[test]
fn where_there_is_no_gpu_the_workers_start_together_and_where_there_is_one_the_needless_end() {
    let mut browser = Browser::open("#model=digits", 2);
    assert_eq!(browser.workers.len(), 1, "it may open a GPU");
    browser.tell(Message::NoGpu);
    assert_eq!(browser.workers.len(), 2);
    browser.tell(Message::NoGpu);
    assert_eq!(browser.workers.len(), 2, "once");
    // They may be ready before the model is there, and the second before the first.
    let [first, second] = [0, 1].map(|i| *browser.workers.keys().nth(i).expect("a worker"));
    browser.say(second, FromWorker::Ready);
    browser.tell(Message::List(Ok(entries())));
    browser.effects();
    browser.fetch("digits");
    browser.say(first, FromWorker::Ready);
    let opened = browser.effects().into_iter().filter_map(|effect| match effect {
        Effect::Pool(Order::Open(worker, _)) => Some(worker),
        _ => None,
    });
    assert_eq!(opened.collect::<Vec<_>>(), [second, first], "each once");
    browser.say(second, FromWorker::Opened(engine(Kind::Cpu)));
    assert!(!browser.app.common.pool.opened(), "the first one leads");
    browser.say(first, FromWorker::Opened(engine(Kind::Cpu)));
    browser.tell(Message::Generate(Ok(1)));
    assert_eq!(browser.walks().len(), 2, "the first run is shared");
    // What the browser did not have for the page the worker has found.
    let mut browser = Browser::open("#model=digits", 2);
    browser.tell(Message::NoGpu);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch("digits");
    let first = *browser.workers.keys().next().expect("a worker");
    browser.say(first, FromWorker::Ready);
    browser.say(first, FromWorker::Opened(engine(Kind::Gpu)));
    assert_eq!(browser.workers.keys().copied().collect::<Vec<_>>(), [first]);
}

#[test]
fn workers_hired_before_the_model_is_known_are_as_many_as_it_has_room_for() {
    let mut browser = Browser::open("#model=digits", 8);
    browser.tell(Message::NoGpu);
    assert_eq!(browser.workers.len(), 8);
    browser.tell(Message::List(Ok(entries())));
    browser.tell(Message::Described("digits".to_owned(), Ok(Box::new(super::model("digits")))));
    browser.tell(Message::Weights("digits".to_owned(), Ok(140e6)));
    assert_eq!(
        browser.workers.len(),
        Machine { cores: 8, memory: 8e9 }.workers(280e6),
        "before any is handed the model"
    );
    assert!(browser.workers.len() < 8);
}
