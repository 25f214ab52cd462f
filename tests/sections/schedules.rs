//! The forward process by other schedules than the model's, step by step, and by itself.

use super::Browser;
use noisette::diffusion::forward::{closed_form_paper, noised};
use noisette::diffusion::{BetaSchedule, Schedule};
use noisette::engine::Kind;
use noisette::rng::Rng;
use noisette::web::app::{Effect, Message};
use noisette::web::job::{Job, News, Tensor};
use noisette::web::messages::{FromWorker, ToWorker};
use noisette::web::noise::State;
use noisette::web::noise::schedule::{Forward, Plan, nearest};

fn ready() -> Browser {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.effects();
    browser
}

fn noise(browser: &Browser) -> &State {
    &browser.app.noise
}

fn own(browser: &Browser) -> Schedule {
    browser.app.common.model.as_ref().expect("a model").schedule.clone()
}

/// What the worker was asked last.
fn asked(browser: &Browser) -> usize {
    let sent = browser.workers.values().flatten().rev().find_map(|message| match message {
        ToWorker::Begin { job: Job::Predict { timestep }, .. } => Some(*timestep),
        _ => None,
    });
    sent.expect("a question")
}

/// x_t is that of the closed form with this ε, by the library.
fn is_closed_form(state: &State, schedule: &Schedule, t: usize) {
    let mut x_t = vec![0.0; state.x_0.len()];
    noised(schedule, t - 1, &state.x_0, &state.epsilon, &mut x_t);
    assert!(state.x_t.iter().zip(&x_t).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!(state.shown.as_ref().expect("pictures").weights, closed_form_paper(schedule, t));
}

/// The browser draws until nothing waits for it.
fn draw(browser: &mut Browser) -> usize {
    (1..100)
        .find(|_| {
            let wanted = browser.effects().contains(&Effect::Frame);
            if wanted {
                browser.tell(Message::Frame);
            }
            !wanted
        })
        .expect("an end")
}

#[test]
fn x_t_follows_the_schedule_and_the_network_is_asked_where_it_has_seen_such_noise() {
    let mut browser = ready();
    let own = own(&browser);
    assert_eq!((asked(&browser), noise(&browser).timestep), (399, Some(399)));
    let linear = Schedule::ddpm_linear(1000, 1e-4, 0.02).expect("a schedule");
    let scaled = Schedule::new(BetaSchedule::ScaledLinear, 1000, 0.00085, 0.012).expect("a schedule");
    let cosine = Schedule::new(BetaSchedule::SquaredcosCapV2, 1000, 0.0, 0.0).expect("a schedule");
    for (plan, schedule) in [("linear", linear), ("scaled", scaled), ("cosine", cosine), ("own", own.clone())] {
        browser.control("schedule", plan);
        is_closed_form(noise(&browser), &schedule, 400);
        let wanted = schedule.alpha_bar(399);
        let gap = |timestep: usize| (own.alpha_bar(timestep) - wanted).abs();
        let best = (0..1000).min_by(|&a, &b| gap(a).total_cmp(&gap(b))).expect("timesteps");
        assert_eq!((asked(&browser), nearest(&own, wanted)), (best, best), "{plan}");
    }
    browser.control("t", "0");
    assert_eq!(noise(&browser).timestep, None);
    // The loss is that of the noise in x_t, whatever the network took it for.
    browser.control("t", "600");
    browser.control("schedule", "linear");
    let ticket = noise(&browser).asked.expect("a question");
    let (shape, epsilon) = (browser.app.common.shape, noise(&browser).epsilon.clone());
    let off: Vec<f32> = epsilon.iter().map(|e| e + 0.5).collect();
    let tensors = vec![Tensor::new("epsilon", shape, off), Tensor::new("x0", shape, epsilon)];
    let news = FromWorker::News { ticket, news: News::Predicted { milliseconds: 1.0 } };
    browser.tell(Message::Worker(browser.last_worker(), news, tensors));
    let loss = format!("{:?}", noise(&browser).loss);
    assert!(loss.starts_with("Some(Of(0.25") || loss.starts_with("Some(Of(0.2499"), "{loss}");
}

#[test]
fn the_nearest_timestep_is_the_nearest() {
    let own = Schedule::new(BetaSchedule::SquaredcosCapV2, 200, 0.0, 0.0).expect("a schedule");
    let mut rng = Rng::new(5);
    for _ in 0..300 {
        let bar = rng.uniform();
        let found = (own.alpha_bar(nearest(&own, bar)) - bar).abs();
        assert!(own.alpha_bars().iter().all(|other| (other - bar).abs() >= found));
    }
    assert!((0..200).all(|timestep| nearest(&own, own.alpha_bar(timestep)) == timestep));
    assert_eq!((nearest(&own, 1.0), nearest(&own, 0.0)), (0, 199));
    let one = Schedule::from_alpha_bars(vec![0.5]).expect("a schedule");
    assert_eq!((nearest(&one, 0.9), nearest(&one, 0.1)), (0, 0));
}

#[test]
fn t_keeps_its_share_of_another_number_of_steps() {
    let mut browser = ready();
    browser.control("timesteps", "50");
    assert_eq!(browser.settings().t, 20);
    let own = own(&browser);
    let fewer = noise(&browser).schedule.clone().expect("a schedule");
    // Every twentieth of its own steps.
    assert!((1..=50).all(|t| fewer.alpha_bar(t - 1) == own.alpha_bar(20 * t - 1)));
    assert_eq!(asked(&browser), 399);
    for plan in Plan::ALL {
        browser.control("schedule", plan.name());
        is_closed_form(noise(&browser), &browser.settings().forward.schedule(&own).expect("a schedule"), 20);
        for timesteps in [25, 26, 999] {
            let forward = Forward { plan: *plan, timesteps: Some(timesteps), ..Forward::default() };
            let schedule = forward.schedule(&own).expect("every T that can be chosen has every schedule");
            assert!(schedule.timesteps() == timesteps && schedule.alpha_bar(timesteps - 1) < 0.01, "{plan:?}");
        }
    }
    browser.control("t", "51");
    assert_eq!(browser.status(), "Error: t must be 0 to 50, not “51”.");
    browser.control("t", "50");
    browser.control("timesteps", "1000");
    assert_eq!((browser.settings().t, browser.settings().forward.timesteps), (1000, None));
    browser.control("timesteps", "20");
    assert_eq!(browser.status(), "Error: T must be 25 to 1000, not “20”.");
}

#[test]
fn a_curve_drawn_by_hand_is_followed_and_its_link_brings_it_back() {
    let mut browser = ready();
    browser.control("schedule", "hand");
    let before = noise(&browser).x_t.clone();
    browser.tell(Message::Handle(1, 40));
    assert_eq!(browser.settings().forward.hand.text(), "90,40,35,10");
    assert!((noise(&browser).schedule.as_ref().expect("a schedule").alpha_bar(399) - 0.4).abs() < 1e-12);
    assert_ne!(noise(&browser).x_t, before);
    assert!(browser.written().contains("&hand=90,40,35,10"), "{}", browser.written());
    browser.tell(Message::Handle(1, 0));
    assert_eq!(browser.settings().forward.hand.text(), "90,36,35,10", "its neighbour stops it");
    browser.control("t", "500");
    let hash = noisette::web::link::write(browser.settings());
    assert!(hash.contains("&schedule=hand&hand=90,36,35,10&"), "{hash}");
    let mut again = ready();
    again.tell(Message::Address(hash, None));
    assert_eq!(noise(&again).x_t, noise(&browser).x_t);
}

#[test]
fn step_by_step_gives_another_x_t_of_the_same_distribution() {
    let mut browser = ready();
    browser.control("t", "900");
    let (once, film) =
        (noise(&browser).x_t.clone(), noise(&browser).shown.as_ref().expect("pictures").film.bytes.clone());
    browser.effects();
    browser.control("road", "steps");
    // It is a long way: the browser draws meanwhile, and what waits is still what was there.
    assert!(noise(&browser).waiting && noise(&browser).x_t == once);
    assert!(draw(&mut browser) > 1);
    let state = noise(&browser);
    assert!(!state.waiting && !state.film_waits && state.x_t != once);
    let own = own(&browser);
    is_closed_form(state, &own, 900);
    assert_ne!(state.shown.as_ref().expect("pictures").film.bytes, film);
    assert_eq!(state.shown.as_ref().expect("pictures").film.bytes[..784], film[..784], "both begin with the picture");
    let roads = state.shown.as_ref().expect("pictures").roads.expect("both");
    assert_ne!(roads[0], roads[1]);
    for road in roads {
        // Five standard errors of 784 numbers.
        assert!(road.mean.abs() < 0.18 && (road.std - 1.0).abs() < 0.13, "{road:?}");
    }
    // Anywhere on its way the chain is there at once, and it is the same chain with another picture.
    let epsilon = state.epsilon.clone();
    browser.control("thumbs", "5");
    assert!(!noise(&browser).waiting && noise(&browser).epsilon == epsilon);
    browser.control("t", "1");
    is_closed_form(noise(&browser), &own, 1);
    let first = Rng::stream(browser.settings().noise, 1).normals(784);
    // As near as f32 knows 1 − ᾱ_1.
    assert!(noise(&browser).epsilon.iter().zip(&first).all(|(a, b)| (a - b).abs() <= 2e-3 * b.abs()), "it is ε_1");
    browser.control("t", "0");
    assert_eq!(noise(&browser).x_t, noise(&browser).x_0);
    browser.control("noise-seed", "2");
    draw(&mut browser);
    browser.control("road", "once");
    assert_eq!(noise(&browser).epsilon, Rng::new(2).normals(784));
    assert!(noise(&browser).chain.is_none());
}

#[test]
fn play_moves_t_to_the_end_until_somebody_takes_hold_of_it() {
    let mut browser = ready();
    browser.tell(Message::PlayNoise { calm: false });
    assert!(noise(&browser).playing.is_some());
    let mut seen = vec![browser.settings().t];
    for _ in 0..30 {
        let wanted = browser.effects().into_iter().filter(|effect| *effect == Effect::Frame).count();
        assert_eq!(wanted, 1, "one frame at a time");
        browser.now += 20.0;
        browser.tell(Message::Frame);
        seen.push(browser.settings().t);
    }
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
    assert_eq!(*seen.last().expect("t"), 550, "0.9 s of six");
    assert_eq!(asked(&browser), 549, "predictions go on");
    // Pause, and Play again before the frame that was still to come: no second row of frames.
    browser.effects();
    browser.tell(Message::PlayNoise { calm: false });
    assert!(noise(&browser).playing.is_none());
    browser.tell(Message::PlayNoise { calm: false });
    assert!(!browser.effects().contains(&Effect::Frame));
    browser.tell(Message::Frame);
    assert!(browser.effects().contains(&Effect::Frame));
    for stop in [Message::Hold, Message::Control("t", "300".to_owned()), Message::Address("#t=300".to_owned(), None)] {
        browser.tell(stop.clone());
        assert!(noise(&browser).playing.is_none(), "{stop:?}");
        browser.tell(Message::Frame);
        assert!(browser.settings().t == 300 || matches!(stop, Message::Hold));
        browser.tell(Message::PlayNoise { calm: false });
    }
    browser.now += 1e4;
    browser.tell(Message::Frame);
    assert_eq!((browser.settings().t, noise(&browser).playing), (1000, None), "at the end it stops");
    browser.effects();
    browser.tell(Message::PlayNoise { calm: true });
    assert_eq!(browser.settings().t, 0, "and begins anew");
    browser.now += 700.0;
    browser.tell(Message::Frame);
    assert_eq!(browser.settings().t, 100, "in jumps");
}

#[test]
fn a_schedule_that_a_model_cannot_have_is_its_own() {
    let short = Schedule::ddpm_linear(40, 1e-4, 0.02).expect("a schedule");
    let ten = Forward::default();
    let fewer = Schedule::from_alpha_bars(short.alpha_bars()[..10].to_vec()).expect("a schedule");
    assert_eq!(ten.schedule(&fewer).expect("its own"), fewer);
    let refused = Forward { plan: Plan::Linear, ..ten }.schedule(&fewer);
    assert!(refused.expect_err("β would reach 1").to_string().starts_with("betas must"));
}
