//! Runs that are paused and taken step by step, their films while they go on, and that no pause changes a number.

use super::{Browser, engine};
use noisette::checkpoint::Checkpoint;
use noisette::diffusion::walk::Rule;
use noisette::diffusion::{SamplerConfig, SamplerKind};
use noisette::engine::{Choice, Engine, Kind};
use noisette::playground::{Advance, Noise, Session, Settings};
use noisette::rng::Rng;
use noisette::web::app::Message;
use noisette::web::generate::Film;
use noisette::web::job::{Job, News, Tensor, Ticket, goes_on};
use noisette::web::messages::{FromWorker, ToWorker};
use noisette::web::pool::workers::{Machine, WorkerId};
use noisette::web::pool::{Order, Pool, Told};
use pollster::block_on;
use std::collections::BTreeMap;

fn film(browser: &Browser) -> &Film {
    browser.app.generate.film.as_ref().expect("a film")
}

/// A page with a run of eight steps of DDIM.
fn running() -> Browser {
    let mut browser = Browser::ready(2, Kind::Cpu);
    browser.control("sampler", "ddim");
    browser.control("steps", "8");
    browser.tell(Message::Generate(Ok(1)));
    browser
}

#[test]
fn a_run_is_paused_and_goes_on_and_its_workers_keep_it() {
    let mut browser = running();
    browser.step(1);
    let walks = browser.walks();
    browser.tell(Message::Pause);
    assert_eq!(browser.status(), "Paused after step 1 of 8.");
    assert_eq!((browser.until(), browser.walks()), (vec![Some(1); 2], walks.clone()), "no worker begins anew");
    assert!(browser.app.common.running && !browser.app.common.can_generate());
    browser.tell(Message::Generate(Ok(2)));
    assert_eq!(browser.walks(), walks, "it is still that run");
    // A step that was on its way.
    browser.step(2);
    assert_eq!(browser.status(), "Paused after step 2 of 8.");
    assert_eq!(browser.app.generate.now, "step 2 of 8 · 5.0 ms a step · paused");
    browser.now += 3_600_000.0;
    browser.tell(Message::Pause);
    assert_eq!(browser.status(), "Going on after step 2 of 8.");
    assert_eq!((browser.until(), browser.walks()), (vec![None; 2], walks));
    (3..=8).for_each(|step| browser.step(step));
    browser.done();
    assert!(browser.status().starts_with("Done: 10 images in 8 steps, 5.0 ms a step, 0."), "{}", browser.status());
    browser.tell(Message::Pause);
    assert!(browser.status().starts_with("Done:"), "there is nothing to pause");
}

#[test]
fn step_takes_one_step_from_idle_of_a_paused_run_and_of_one_that_goes_on() {
    let mut browser = Browser::ready(2, Kind::Cpu);
    browser.control("steps", "4");
    browser.tell(Message::Step(Ok(1)));
    assert_eq!(browser.until(), [Some(1); 2], "it begins a run that waits after its first step");
    browser.step(1);
    assert_eq!(browser.status(), "Paused after step 1 of 4.");
    browser.tell(Message::Step(Ok(1)));
    browser.tell(Message::Step(Ok(1)));
    assert_eq!(browser.until(), [Some(3); 2], "twice is two steps");
    browser.step(2);
    browser.tell(Message::Pause);
    assert_eq!(browser.until(), [None; 2], "Play");
    browser.tell(Message::Step(Ok(1)));
    assert_eq!(browser.until(), [Some(3); 2], "the step that it is at, and no further");
    browser.step(3);
    // The last step ends the run as ever.
    browser.tell(Message::Step(Ok(1)));
    assert_eq!(browser.until(), [None; 2]);
    browser.step(4);
    browser.done();
    assert!(browser.status().starts_with("Done: 10 images in 4 steps"), "{}", browser.status());
    // A run of one step is not worth a pause.
    browser.control("steps", "1");
    browser.tell(Message::Step(Ok(1)));
    assert_eq!(browser.until(), [None; 2]);
    browser.tell(Message::Stop);
    assert_eq!(browser.status(), "Stopped after step 0 of 1.");
}

#[test]
fn stop_ends_a_paused_run_and_a_wrong_number_begins_none() {
    let mut browser = running();
    browser.tell(Message::Pause);
    assert_eq!(browser.status(), "Paused before the first step.");
    browser.tell(Message::Stop);
    assert_eq!(browser.status(), "Stopped after step 0 of 8.");
    assert!(!browser.app.common.running && browser.walks().is_empty());
    browser.control("count", "many");
    browser.tell(Message::Step(Ok(1)));
    assert!(!browser.app.common.running && browser.status().starts_with("Error: Count"), "{}", browser.status());
}

#[test]
fn the_time_left_is_said_from_the_second_step_on_and_pauses_are_not_in_it() {
    let mut browser = running();
    assert_eq!(browser.app.generate.now, "");
    browser.now += 60_000.0;
    browser.step(1);
    assert_eq!(browser.app.generate.now, "step 1 of 8 · 5.0 ms a step", "nothing is known of the others");
    browser.now += 480.0;
    browser.step(2);
    assert_eq!(browser.app.generate.now, "step 2 of 8 · 5.0 ms a step · about 3 s left");
    browser.tell(Message::Pause);
    browser.now += 600_000.0;
    browser.tell(Message::Pause);
    assert_eq!(browser.app.generate.now, "step 2 of 8 · 5.0 ms a step · about 3 s left");
    browser.now += 460.0;
    browser.step(3);
    assert!(browser.app.generate.now.ends_with(" · about 2 s left"), "{}", browser.app.generate.now);
    (4..=8).for_each(|step| browser.step(step));
    assert_eq!(browser.app.generate.now, "step 8 of 8 · 5.0 ms a step · less than 1 s left");
    browser.done();
    assert_eq!(browser.app.generate.now, "");
}

#[test]
fn the_steps_that_are_there_can_be_looked_at_while_the_run_goes_on() {
    let mut browser = running();
    let noise = browser.grid();
    assert_eq!(
        (film(&browser).last, film(&browser).end, film(&browser).tiles.count()),
        (0, 8, 1),
        "the noise is there"
    );
    (1..=3).for_each(|step| browser.step(step));
    assert_eq!((film(&browser).at, film(&browser).last, film(&browser).tiles.count()), (3, 3, 4));
    assert_eq!(film(&browser).caption, "step 3 of 8 · timestep 997");
    browser.tell(Message::Scrub(0));
    browser.tell(Message::FilmOf(4));
    browser.step(4);
    assert_eq!(browser.grid(), noise, "who looks at a step goes on looking at it");
    assert_eq!((film(&browser).at, film(&browser).last, film(&browser).of), (0, 4, 4));
    assert!(browser.app.generate.now.starts_with("step 4 of 8"), "{}", browser.app.generate.now);
    // Beyond what is there lies the newest step, and those that follow.
    browser.tell(Message::Scrub(7));
    assert_eq!(film(&browser).at, 4);
    browser.step(5);
    assert_eq!((film(&browser).at, film(&browser).caption.as_str()), (5, "step 5 of 8 · timestep 995"));
    let newest = browser.grid();
    browser.tell(Message::Scrub(1));
    browser.tell(Message::Pause);
    assert_eq!(film(&browser).at, 1, "a pause moves nothing");
    browser.tell(Message::Pause);
    assert_eq!((film(&browser).at, browser.grid()), (5, newest), "Play comes back to where the run is");
    browser.tell(Message::Scrub(2));
    (6..=8).for_each(|step| browser.step(step));
    browser.done();
    assert_eq!((film(&browser).at, film(&browser).last, film(&browser).tiles.count()), (2, 8, 9));
}

#[test]
fn the_film_of_a_run_that_was_stopped_ends_where_it_did() {
    let mut browser = running();
    (1..=2).for_each(|step| browser.step(step));
    browser.tell(Message::Stop);
    assert_eq!((film(&browser).at, film(&browser).end, film(&browser).tiles.count()), (2, 2, 3));
}

#[test]
fn a_paused_run_stays_paused_when_its_workers_are_lost() {
    for (sampler, after) in [("ddim", 3), ("dpmsolver++", 0), ("ipndm", 0)] {
        let mut browser = running();
        browser.tell(Message::Stop);
        browser.control("sampler", sampler);
        browser.tell(Message::Generate(Ok(1)));
        (1..=3).for_each(|step| browser.step(step));
        browser.tell(Message::Pause);
        let (shown, lost) = (browser.grid(), browser.walks()[1].0);
        browser.tell(Message::WorkerGone(lost, "out of memory".to_owned()));
        assert_eq!(browser.walks().iter().map(|walk| walk.2).collect::<Vec<_>>(), [after], "{sampler}");
        assert_eq!(browser.until(), [Some(3)], "{sampler}: as far as it was");
        // A pause in the middle of what is made up for is none: nobody sees those steps.
        if after == 0 {
            browser.step(1);
            browser.tell(Message::Step(Ok(1)));
            assert_eq!(browser.until(), [Some(4)]);
            (2..=3).for_each(|step| browser.step(step));
            assert_eq!(browser.grid(), shown);
        } else {
            browser.tell(Message::Step(Ok(1)));
        }
        browser.step(4);
        assert_eq!(browser.status(), "Paused after step 4 of 8.");
        // Another engine takes it over where it waits.
        browser.control("engine", "cpu");
        browser.start_all(Kind::Cpu);
        assert_eq!(browser.until(), [Some(4)], "{sampler}");
        browser.tell(Message::Pause);
        assert_eq!(browser.until(), [None], "{sampler}");
    }
}

/// Workers with real sessions of a small network, of which one at a time, any, does something.
struct Works {
    pool: Pool,
    workers: BTreeMap<WorkerId, Hand>,
    frames: Vec<Vec<f32>>,
    done: bool,
    rng: Rng,
}

/// One of them: what `src/web/worker` does with a walk.
struct Hand {
    session: Session,
    walk: Option<(Ticket, usize, Option<usize>)>,
}

fn session() -> Session {
    let file = |name: &str| {
        std::fs::read(format!("{}/tests/golden/grey/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a file of the tests")
    };
    let scheduler = file("scheduler_config.json");
    let weights = file("diffusion_pytorch_model.safetensors");
    let model = Checkpoint::from_bytes(&file("config.json"), Some(&scheduler), &weights).expect("a model");
    let mut session = Session::new(Engine::Cpu(None), model).expect("a session");
    session.set_images_at_once(1);
    session
}

impl Works {
    /// Three workers and a walk of three images in six steps.
    fn begin(kind: SamplerKind, seed: u64) -> (Self, Ticket) {
        let mut pool = Pool::new(Machine { cores: 3, memory: 8e9 });
        pool.choose(Choice::Cpu);
        pool.model(1e5, Choice::Cpu);
        let session = session();
        let sampler = SamplerConfig { kind, steps: 6, ..session.scheduler().sampler(6) };
        let settings = Settings { classes: vec![Some(1), None, Some(7)], guidance: 1.5, sampler: sampler.clone() };
        let looks_back = Rule::of(kind).walk(session.schedule(), &sampler).expect("a walk").looks_back();
        let job = Job::Walk {
            settings,
            seed: 5,
            after: 0,
            until: None,
            images: 0..3,
            watch: Vec::new(),
            fast: false,
            looks_back,
        };
        let ticket = pool.begin(job, Vec::new());
        let (workers, frames) = Default::default();
        let mut works = Self { pool, workers, frames, done: false, rng: Rng::new(seed) };
        works.obey();
        (works, ticket)
    }

    /// Does what the pool wants, and hears what it tells.
    fn obey(&mut self) {
        loop {
            let (orders, told) = self.pool.take();
            for told in told {
                match told {
                    Told::News(_, News::Frame { step, .. }, mut tensors) if step > self.frames.len() => {
                        let len = tensors.iter().find(|tensor| tensor.name == "x").map_or(0, |x| x.values.len());
                        self.frames.extend(Tensor::take(&mut tensors, "x", len));
                        assert_eq!(self.frames.len(), step);
                    }
                    Told::News(_, News::Done, _) => self.done = true,
                    Told::News(_, News::Failed { message }, _) => panic!("{message}"),
                    _ => {}
                }
            }
            if orders.is_empty() {
                return;
            }
            for order in orders {
                match order {
                    Order::Start(worker) => {
                        self.workers.insert(worker, Hand { session: session(), walk: None });
                        self.pool.hear(worker, FromWorker::Ready, Vec::new());
                    }
                    Order::Open(worker, _) => {
                        self.pool.hear(worker, FromWorker::Opened(engine(Kind::Cpu)), Vec::new());
                    }
                    Order::Send(worker, message, tensors) => {
                        self.workers.get_mut(&worker).expect("a worker").obey(message, tensors);
                    }
                    Order::End(worker) => drop(self.workers.remove(&worker)),
                    Order::Load(_) => {}
                }
            }
        }
    }

    /// Some worker goes a little further, if it may.
    fn advance(&mut self) {
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        let worker = ids[self.rng.below(ids.len())];
        if let Some((news, tensors)) = self.workers.get_mut(&worker).and_then(Hand::advance) {
            self.pool.hear(worker, news, tensors);
            self.obey();
        }
    }
}

impl Hand {
    fn obey(&mut self, message: ToWorker, tensors: Vec<Tensor>) {
        match message {
            ToWorker::Begin { ticket, job: Job::Walk { settings, seed, after, until, images, .. } } => {
                let x = tensors.into_iter().next().map(|x| x.values);
                let noise = x.map_or(Noise::Seed(seed), |x| Noise::Given { x, steps: None, seed });
                self.session.start_part(&settings, noise, after, images).expect("a walk");
                self.walk = Some((ticket, after, until));
            }
            ToWorker::Until { ticket, until } => {
                self.walk.iter_mut().filter(|walk| walk.0 == ticket).for_each(|walk| walk.2 = until);
            }
            ToWorker::End { ticket } => drop(self.walk.take_if(|walk| walk.0 == ticket)),
            _ => {}
        }
    }

    fn advance(&mut self) -> Option<(FromWorker, Vec<Tensor>)> {
        let (ticket, step, _) = self.walk.as_mut().filter(|(_, step, until)| goes_on(*step, *until))?;
        let ticket = *ticket;
        let (news, tensors) = match block_on(self.session.advance()).expect("an engine that works") {
            Advance::Part { done, of } => (News::Part { step: *step + 1, done, of }, Vec::new()),
            Advance::Step(frame) => {
                *step = frame.step;
                let image = self.session.image_shape();
                let x = Tensor::new("x", image.with_n(frame.x.len() / image.len()), frame.x);
                (News::Frame { step: frame.step, timestep: frame.timestep, milliseconds: 1.0 }, vec![x])
            }
            Advance::Finished => {
                self.walk = None;
                (News::Done, Vec::new())
            }
        };
        Some((FromWorker::News { ticket, news }, tensors))
    }
}

#[test]
fn pauses_single_steps_lost_workers_and_other_engines_change_no_bit() {
    for kind in [SamplerKind::Ddpm, SamplerKind::Ddim, SamplerKind::DpmSolverPp2M, SamplerKind::Ipndm] {
        let (mut whole, _) = Works::begin(kind, 0);
        while !whole.done {
            whole.advance();
        }
        assert_eq!(whole.frames.len(), 6);
        for seed in 1..=4 {
            let (mut works, ticket) = Works::begin(kind, seed);
            for turn in 0.. {
                assert!(turn < 20_000, "{kind:?}, seed {seed}: it never ends");
                match works.rng.below(40) {
                    0 | 1 => works.pool.pause(ticket),
                    2 | 3 => works.pool.step(ticket),
                    4 | 5 => works.pool.go_on(ticket),
                    // The leader stays: an engine fails three times at most.
                    6 if works.workers.len() > 1 && turn % 3 == 0 => {
                        let worker = *works.workers.keys().next_back().expect("a worker");
                        works.pool.lose(worker, "out of memory");
                    }
                    7 if turn % 7 == 0 => works.pool.choose(Choice::Cpu),
                    _ => works.advance(),
                }
                works.obey();
                if works.done {
                    break;
                }
            }
            assert_eq!(works.frames, whole.frames, "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn a_paused_walk_takes_no_further_step() {
    let (mut works, ticket) = Works::begin(SamplerKind::DpmSolverPp2M, 9);
    for step in 0..6 {
        works.pool.step(ticket);
        works.obey();
        (0..200).for_each(|_| works.advance());
        assert_eq!(works.frames.len(), step + 1);
    }
    assert!(works.done);
}
