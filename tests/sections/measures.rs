//! What is measured of the picture: the curve that fills in, bits per dimension, and who has precedence.

use super::Browser;
use noisette::engine::Kind;
use noisette::tensor::Shape;
use noisette::web::app::{Effect, Message};
use noisette::web::job::{Job, News, Tensor, Ticket};
use noisette::web::measure::{Measure, POINTS, spread};
use noisette::web::messages::{FromWorker, ToWorker};
use noisette::web::noise::curve::remark;
use noisette::web::pool::Order;

/// The measurements that were sent since the last call: to whom, under which ticket.
fn sent(browser: &mut Browser) -> Vec<(u32, Ticket, Measure, Vec<Tensor>)> {
    let sent = browser.effects().into_iter().filter_map(|effect| match effect {
        Effect::Pool(Order::Send(to, ToWorker::Begin { ticket, job: Job::Measure(what) }, tensors)) => {
            Some((to, ticket, what, tensors))
        }
        _ => None,
    });
    sent.collect()
}

/// Measure is pressed: who measures, under which ticket, where.
fn measure(browser: &mut Browser) -> (u32, Ticket, Vec<usize>) {
    browser.effects();
    browser.tell(Message::Measure);
    let all = sent(browser);
    let [(to, ticket, Measure::Losses, tensors)] = &all[..] else { panic!("{all:?}") };
    let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["x0", "epsilon"]);
    assert_eq!((&tensors[0].values, &tensors[1].values), (&browser.app.noise.x_0, &browser.app.noise.epsilon));
    (*to, *ticket, spread(1000))
}

fn news(browser: &mut Browser, from: u32, ticket: Ticket, news: News) {
    browser.say(from, FromWorker::News { ticket, news });
}

fn measured(browser: &mut Browser, from: u32, ticket: Ticket, at: usize, (name, values): (&str, &[f32])) {
    let tensor = Tensor::new(name, Shape::SCALAR.with_n(values.len()), values.to_vec());
    let said = FromWorker::News { ticket, news: News::Measured { at } };
    browser.tell(Message::Worker(from, said, vec![tensor]));
}

fn loss(browser: &mut Browser, from: u32, ticket: Ticket, timestep: usize, loss: f32) {
    measured(browser, from, ticket, timestep, ("loss", &[loss]));
}

/// Whether a worker was told to end it.
fn ended(browser: &Browser, worker: u32, ticket: Ticket) -> bool {
    browser.workers[&worker].contains(&ToWorker::End { ticket })
}

#[test]
fn timesteps_are_spread_from_coarse_to_fine() {
    let all = spread(1000);
    assert_eq!((all.len(), &all[..5]), (POINTS, &[0, 999, 500, 250, 749][..]));
    for some in [5, 9, 17, 33] {
        let mut first = all[..some].to_vec();
        first.sort_unstable();
        let gaps: Vec<usize> = first.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| gap.abs_diff(999 / (some - 1)) <= 1), "{gaps:?}");
    }
    let mut few = spread(4);
    few.sort_unstable();
    assert_eq!((few, spread(1)), (vec![0, 1, 2, 3], vec![0]));
}

#[test]
fn the_curve_fills_in_and_is_whole_in_the_end() {
    let mut browser = Browser::ready(2, Kind::Cpu);
    let (worker, ticket, timesteps) = measure(&mut browser);
    assert_eq!(Some(&worker), browser.workers.keys().next(), "the leader measures");
    assert_eq!(browser.app.noise.curve.status(false), "0 of 33 points");
    for (i, &timestep) in timesteps.iter().enumerate() {
        // The slider's own questions go on meanwhile, and neither replaces the other.
        browser.control("t", &(i + 1).to_string());
        assert!(browser.app.noise.asked.is_some() && !ended(&browser, worker, ticket));
        loss(&mut browser, worker, ticket, timestep, 1.0 / (timestep + 1) as f32);
    }
    assert_eq!(browser.app.noise.curve.status(true), "33 of 33 points, when the run has ended");
    news(&mut browser, worker, ticket, News::Done);
    let curve = &browser.app.noise.curve;
    assert!(curve.losses.is_sorted() && curve.losses.len() == 33 && curve.status(false).is_empty());
    assert_eq!((curve.losses[0], curve.losses[32]), ((1, 1.0), (1000, f64::from(0.001f32))));
    let schedule = &browser.app.common.model.as_ref().expect("a model").schedule;
    let [losses, errors] = curve.lines(schedule);
    assert!(losses.starts_with("1.0,20.00 ") && losses.ends_with(" 1000.0,80.00 "), "{losses}");
    // The noise is almost 1 or 0: what lies beyond the decades lies at their edge.
    assert!(errors.starts_with("1.0,100.00 ") || errors.starts_with("1.0,9"), "{errors}");
    assert_eq!(errors.split(' ').count(), losses.split(' ').count());
    assert!(!errors.contains("NaN") && !errors.contains("inf"));
}

#[test]
fn what_is_measured_ends_with_the_picture_the_noise_and_the_model_or_by_hand() {
    for (id, text) in [("noise-seed", "9"), ("thumbs", "8")] {
        let mut browser = Browser::ready(1, Kind::Cpu);
        let (worker, ticket, timesteps) = measure(&mut browser);
        loss(&mut browser, worker, ticket, timesteps[0], 0.5);
        browser.control("t", "77");
        assert_eq!(browser.app.noise.curve.losses, [(1, 0.5)], "t moves along the curve");
        browser.control(id, text);
        assert!(browser.app.noise.curve.losses.is_empty() && ended(&browser, worker, ticket), "{id}");
        loss(&mut browser, worker, ticket, timesteps[1], 0.5);
        assert!(browser.app.noise.curve.losses.is_empty(), "what was on its way is of another picture");
    }
    let mut browser = Browser::ready(1, Kind::Cpu);
    let (worker, ticket, timesteps) = measure(&mut browser);
    loss(&mut browser, worker, ticket, timesteps[0], 0.5);
    browser.tell(Message::Measure);
    assert!(ended(&browser, worker, ticket) && browser.app.noise.curve.ticket.is_none());
    let stopped = "Stopped: 1 of 33 points";
    assert_eq!(browser.app.noise.curve.status(false), stopped);
    // A link to what is there changes nothing.
    browser.tell(Message::Address("#model=digits".to_owned(), None));
    assert_eq!(browser.app.noise.curve.status(false), stopped);
    let (worker, ticket, timesteps) = measure(&mut browser);
    assert!(browser.app.noise.curve.losses.is_empty(), "anew");
    loss(&mut browser, worker, ticket, timesteps[0], 0.5);
    browser.tell(Message::CountBits);
    browser.control("model", "fashion");
    browser.fetch("fashion");
    let noise = &browser.app.noise;
    assert!(noise.curve.losses.is_empty() && noise.curve.ticket.is_none() && noise.bits.ticket.is_none());
    browser.effects();
    browser.start_all(Kind::Cpu);
    assert!(sent(&mut browser).is_empty(), "the new model is not asked for the old one's numbers");
}

#[test]
fn a_lost_engine_begins_anew_and_no_point_counts_twice() {
    let mut browser = Browser::ready(1, Kind::Gpu);
    let (worker, ticket, timesteps) = measure(&mut browser);
    loss(&mut browser, worker, ticket, timesteps[0], 0.5);
    browser.tell(Message::CountBits);
    browser.effects();
    browser.say(worker, FromWorker::Lost { message: "the device is gone".to_owned() });
    browser.start_all(Kind::Cpu);
    let again = sent(&mut browser);
    assert_eq!(again.len(), 2, "both");
    let next = again[0].0;
    assert!(next != worker && again[0].1 == ticket && again[0].3.len() == 2);
    loss(&mut browser, next, ticket, timesteps[0], 0.25);
    assert_eq!(browser.app.noise.curve.losses, [(1, 0.25)]);
    // Another engine by choice: the one before is told to leave it.
    browser.control("engine", "gpu");
    assert!(ended(&browser, next, ticket));
    let asked = browser.last_worker();
    browser.effects();
    browser.say(asked, FromWorker::Ready);
    browser.say(asked, FromWorker::Refused { message: "there is no adapter".to_owned() });
    assert_eq!(sent(&mut browser).len(), 2, "the one before goes on");
    // Without any engine it is over.
    let mut browser = Browser::ready(1, Kind::Cpu);
    let (mut worker, ticket, _) = measure(&mut browser);
    for _ in 0..4 {
        browser.say(worker, FromWorker::Lost { message: "out of memory".to_owned() });
        browser.start_all(Kind::Cpu);
        worker = browser.workers.keys().next().copied().unwrap_or_default();
    }
    assert_eq!(browser.app.noise.curve.status(false), "Error: out of memory.");
    assert_ne!(browser.app.noise.curve.ticket, Some(ticket));
}

#[test]
fn a_model_that_fails_says_so_beside_the_curve() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    let (worker, ticket, _) = measure(&mut browser);
    let message = "the network's output at timestep 3 is not finite".to_owned();
    news(&mut browser, worker, ticket, News::Failed { message });
    let curve = &browser.app.noise.curve;
    assert_eq!(curve.status(false), "Error: the network's output at timestep 3 is not finite.");
    assert!(curve.ticket.is_none() && browser.status() == "Ready.", "{}", browser.status());
    assert!(measure(&mut browser).1 > ticket, "it can be tried again");
    // Without an engine there is nobody to ask.
    let mut browser = Browser::open("#model=digits", 1);
    browser.tell(Message::Measure);
    browser.tell(Message::CountBits);
    assert!(browser.app.noise.curve.ticket.is_none() && browser.app.noise.bits.ticket.is_none());
}

#[test]
fn bits_are_counted_and_said_with_their_error() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.effects();
    browser.tell(Message::CountBits);
    let all = sent(&mut browser);
    let (worker, ticket) = (all[0].0, all[0].1);
    assert_eq!(all[0].2, Measure::Bits);
    news(&mut browser, worker, ticket, News::Measured { at: 7 });
    assert_eq!(browser.app.noise.bits.words(false), "7 of 40 evaluations");
    // Another noise makes no difference to the picture.
    browser.control("noise-seed", "3");
    assert_eq!(browser.app.noise.bits.words(true), "7 of 40 evaluations, when the run has ended");
    measured(&mut browser, worker, ticket, 40, ("bits", &[2.346, 0.067, 0.0001, 2.1, 0.2449]));
    news(&mut browser, worker, ticket, News::Done);
    let words = browser.app.noise.bits.words(false);
    let expected = "2.35 ± 0.07 bits per dimension: L_{T} 0.0001, Σ L_{t−1} 2.10, L_{0} 0.24. ";
    assert!(words.starts_with(expected), "{words}");
    browser.control("thumbs", "0");
    assert_eq!(browser.app.noise.bits.words(false), "");
    browser.tell(Message::CountBits);
    let ticket = browser.app.noise.bits.ticket.expect("a ticket");
    browser.tell(Message::CountBits);
    assert!(browser.app.noise.bits.ticket.is_none() && ended(&browser, worker, ticket));
}

#[test]
fn what_a_loss_means_is_said_where_it_misleads() {
    assert!(remark((0.05, 0.99875_f64)).starts_with("Nearly all of x_{t} is noise"));
    assert!(remark((0.999, 0.045)).starts_with("Hardly any noise"));
    assert_eq!((remark((0.7, 0.714)), remark((1.0, 0.0))), ("", ""), "and at t = 0 there is none to find");
}
