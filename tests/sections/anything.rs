//! Messages in any order.

use super::{Browser, engine, entries, model, student};
use noisette::engine::Kind;
use noisette::rng::Rng;
use noisette::selftest::Work;
use noisette::web::app::Message;
use noisette::web::controls::{CONTROLS, of};
use noisette::web::draw::Act;
use noisette::web::job::{CheckNews, News, Tensor, Ticket};
use noisette::web::machine::Badge;
use noisette::web::messages::FromWorker;
use noisette::web::noise::own::Picture;
use noisette::web::noise::schedule::Road;
use noisette::web::pool::workers::WorkerId;
use noisette::web::save::What;
use noisette::web::settings::Class;

/// What must hold whatever happens.
fn is_sound(browser: &Browser) {
    let (app, cx) = (&browser.app, &browser.app.common);
    let (settings, limits) = (&cx.settings, cx.limits());
    // Until the model is known a link may say anything.
    let known = cx.model.is_none()
        || (settings.t <= settings.last(limits.timesteps) && settings.sampling.steps <= limits.timesteps);
    assert!(known && settings.sampling.steps > 0, "t = {}, {} steps", settings.t, settings.sampling.steps);
    assert!((1..=16).contains(&settings.count) && (0.0..=5.0).contains(&settings.sampling.guidance));
    assert!(cx.model.is_none() || !matches!(settings.class, Class::One(class) if class >= limits.classes));
    assert!(!cx.status.failed || cx.status.text.starts_with("Error: "), "{:?}", cx.status);
    let active = app.generate.run.as_ref().is_some_and(|run| run.active());
    assert_eq!(cx.running, active);
    assert_eq!(cx.loading, app.machine.download.is_some() || app.machine.student.is_some());
    assert!(!settings.model.fast || cx.model.as_ref().is_none_or(|model| model.entry.fast), "{:?}", settings.model);
    if let Some(model) = &cx.model {
        assert_eq!((cx.shape, settings.model.name.as_str()), (model.shape(), model.entry.name.as_str()));
        assert!(app.generate.algorithm.len() == 6 && app.generate.grid.is_some() && app.noise.shown.is_some());
        assert_eq!([app.noise.x_0.len(), app.noise.x_t.len()], [cx.shape.len(); 2]);
        assert_eq!((app.noise.x_t.len(), app.noise.epsilon.len()), (cx.shape.len(), cx.shape.len()));
        let schedule = app.noise.schedule.as_ref().expect("one");
        assert_eq!(schedule.timesteps(), settings.last(limits.timesteps));
        assert_eq!(app.noise.chain.is_some(), settings.forward.road == Road::Steps);
        assert_eq!(app.noise.timestep.is_none(), settings.t == 0);
    }
    assert!(settings.picture.is_some() || app.noise.own.own.is_some(), "x_0 is something");
    assert!(settings.picture.is_none() || settings.draw.text().is_empty(), "a link of a sample holds no drawing");
    if let Some(run) = &app.generate.run {
        assert!(run.step <= run.steps() && !run.record.is_empty());
        assert!(!active || cx.has_weights);
    }
    if let Some(film) = &app.generate.film {
        assert!(
            film.at <= film.last
                && film.last <= film.end
                && film.of < film.images.len()
                && film.tile() < app.common.tiles
        );
        assert!(active || film.last == film.end, "of a run that is over nothing is missing");
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
    let names = ["digits", "digits-fast", "fashion", "emoji", "none-such"];
    let worker = || {
        let known: Vec<WorkerId> = browser.workers.keys().copied().chain([0, 1, 77]).collect();
        move |rng: &mut Rng| known[rng.below(known.len())]
    };
    let ticket = |rng: &mut Rng| {
        let known = [
            browser.app.noise.asked,
            browser.walks().first().map(|walk| walk.1),
            browser.app.check.ticket,
            browser.app.noise.curve.ticket,
            browser.app.noise.bits.ticket,
            Some(rng.below(200) as Ticket),
        ];
        known[rng.below(known.len())].unwrap_or(3)
    };
    let message = |rng: &mut Rng| pick(rng, &["lost", "no adapter", "worker.js could not be loaded"]);
    match rng.below(51) {
        0 => {
            let hash = pick(
                rng,
                &[
                    "#t=5000",
                    "#model=emoji&t=3",
                    "#model=digits-fast",
                    "#model=digits",
                    "#steps=0",
                    "#model=none-such",
                    "#count=2&class=9&seed=7",
                    "#engine=gpu",
                    "%%%",
                    "#picture=9&noise=4",
                    "#run=1&count=3",
                    "#run=1&from=1&t=30",
                    "#model=fashion&run=1",
                    "#draw=AQEACABkZA",
                    "#model=emoji&draw=AQEACABkZA&invert=true",
                    "#T=30&schedule=linear&t=20&forward=steps",
                ],
            );
            Message::Address(hash, [None, Some(rng.below(128) as u32)][rng.below(2)])
        }
        1..=4 => {
            let controls: Vec<_> = CONTROLS.iter().filter_map(|control| control.id).collect();
            let id = controls[rng.below(controls.len())];
            let text = pick(
                rng,
                &[
                    "0", "1", "3", "15", "", "-1", "1e9", "NaN", "none", "each", "ddpm", "ipndm", "gpu", "auto", "cpu",
                    "true", "false", "model", "hand", "cosine", "steps", "once", "25",
                ],
            );
            Message::Control(id, text)
        }
        5 => Message::Control("model", pick(rng, &names)),
        6 | 7 => Message::Generate(Ok(rng.u32())),
        8 => Message::Dice(Err("none".to_owned())),
        9 => Message::Stop,
        28 => Message::Pause,
        29 => Message::Step(Ok(rng.u32())),
        30 => {
            Message::Save([What::Pictures, What::Run, What::Settings][rng.below(3)], "https://example.org/".to_owned())
        }
        41 => Message::NewNoise([Ok(rng.u32()), Err("none".to_owned())][rng.below(2)].clone()),
        42 => Message::Narrow(rng.below(2) == 0),
        43 => Message::Point([rng.below(40), rng.below(40)]),
        44 => Message::TimeTile(rng.below(30)),
        45 => Message::FilmTile(rng.below(30)),
        46 => Message::Measure,
        47 => Message::CountBits,
        39 | 40 => Message::Take { go: rng.below(2) == 0 },
        10 => Message::Retry,
        11 => Message::Copied(rng.below(2) == 0),
        32..=35 => {
            let place = [rng.uniform() as f32 * 1.4 - 0.2, rng.uniform() as f32];
            let acts = [
                Act::Down(place),
                Act::Move(vec![place; 2]),
                Act::Up,
                Act::Cancel,
                Act::Press,
                Act::Step([1, -3]),
                Act::Undo,
                Act::Clear,
                Act::Erase(true),
                Act::Colour(rng.below(9)),
            ];
            Message::Draw(acts[rng.below(acts.len())].clone())
        }
        36 => Message::ChooseOwn,
        37 => Message::Forget,
        38 => [Message::NotKept, Message::Kept(None)][rng.below(2)].clone(),
        48 => Message::PlayNoise { calm: rng.below(2) == 0 },
        49 => [Message::Frame, Message::Hold][rng.below(2)].clone(),
        50 => Message::Handle(rng.below(5), rng.below(120)),
        31 => Message::Copy("https://example.org/".to_owned()),
        12 => Message::Scrub(rng.below(40)),
        13 => Message::FilmOf(
            rng.below(3).min(browser.app.generate.film.as_ref().map_or(1, |film| film.images.len()) - 1),
        ),
        14 => Message::StartCheck("a browser".to_owned()),
        15 => Message::EndCheck,
        16 => {
            let picture = Picture { size: [5, 7], rgb: vec![200; 105] };
            Message::Own("a.png".to_owned(), [Ok(picture), Err("it is cut off".to_owned())][rng.below(2)].clone())
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
        26 => {
            let known =
                [Ok(Box::new(student("digits"))), Ok(Box::new(model("digits").model)), Err("offline".to_owned())];
            Message::Student(["digits", "fashion"][rng.below(2)].to_owned(), known[rng.below(3)].clone())
        }
        27 => Message::Control("fast", pick(rng, &["true", "false"])),
        21 => Message::WorkerGone(worker()(rng), message(rng)),
        22 => Message::Worker(worker()(rng), FromWorker::Ready, Vec::new()),
        23 => {
            let said = [
                FromWorker::Opened(engine([Kind::Cpu, Kind::Gpu][rng.below(2)])),
                FromWorker::Refused { message: message(rng) },
                FromWorker::Lost { message: message(rng) },
                FromWorker::Loaded([Ok(()), Err(message(rng))][rng.below(2)].clone()),
            ];
            Message::Worker(worker()(rng), said[rng.below(4)].clone(), Vec::new())
        }
        _ => {
            let shape = browser.app.common.shape.with_n([1, 5, 10][rng.below(3)]);
            let tensors = vec![Tensor::new("x", shape, vec![0.1; shape.len()])];
            let news = [
                News::Part { step: rng.below(9), done: rng.below(5), of: 5 },
                News::Frame { step: 1 + rng.below(8), timestep: 7, milliseconds: 2.0 },
                News::Predicted { milliseconds: 1.0 },
                News::Measured { at: rng.below(1000) },
                News::Done,
                News::Failed { message: message(rng) },
                News::Check(CheckNews::Begins { what: "opening".to_owned() }),
                News::Check(CheckNews::Skipped { work: Work::Train, batch: 16, estimate: 7e4, least_bytes: Some(1e9) }),
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
        for id in ["steps", "count", "noise-seed", "seed", "eta", "guidance", "thumbs", "class", "sampler", "t"] {
            let text = of(id).expect("a control").text(browser.settings());
            browser.control(id, if text.is_empty() { "0" } else { &text });
        }
        browser.tell(Message::List(Ok(entries())));
        let name = browser.wanted.last().expect("a model").name.clone();
        browser.fetch(&name);
        browser.control("engine", "cpu");
        browser.start_all(Kind::Cpu);
        if let Some(coming) = browser.app.machine.student.as_ref().map(|student| student.of.clone()) {
            browser.tell(Message::Student(coming.clone(), Ok(Box::new(student(&coming)))));
            browser.tell(Message::Weights(format!("{coming}-fast"), Ok(4.5e6)));
        }
        browser.load_all(Ok(()));
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
