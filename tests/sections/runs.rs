//! Runs and single questions: from Generate to the film, and what comes too late.

use super::Browser;
use noisette::engine::Kind;
use noisette::tensor::Shape;
use noisette::web::app::Message;
use noisette::web::generate::Line;
use noisette::web::job::{News, Tensor, Ticket};
use noisette::web::messages::FromWorker;
use noisette::web::noise::Loss;
use noisette::web::pool::workers::WorkerId;

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
    assert_eq!((film.last, film.at, film.images[3].as_str()), (2, 2, "picture 4: 3"));
    browser.tell(Message::Scrub(0));
    assert_eq!(browser.grid(), noise);
    browser.tell(Message::Generate(Ok(3_000_005)));
    assert_eq!(browser.settings().seed, 5, "another one, short enough to be read aloud");
    browser.tell(Message::Stop);
    browser.control("lock", "true");
    browser.tell(Message::Generate(Ok(77)));
    assert_eq!(browser.settings().seed, 5, "the seed is kept");
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
