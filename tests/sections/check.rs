//! "Check this machine": engines in turn, what comes of them, and the verdict.

use super::Browser;
use noisette::engine::Kind;
use noisette::selftest::{OpReport, Timing, Work};
use noisette::web::app::Message;
use noisette::web::job::{CheckNews, News};
use noisette::web::messages::FromWorker;

/// What is told of a timed prediction or training step of `batch` images.
fn timed(work: Work, batch: usize, passed: bool) -> CheckNews {
    CheckNews::Timed(Timing { work, batch, ms: 5.0, runs: 3, worst_error: Some(1e-6), passed })
}

/// A page whose check found one engine, with these ops right or wrong and then this news, and no other.
fn checked(ops: &[(&str, bool)], then: &[CheckNews]) -> Browser {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.tell(Message::StartCheck("a browser".to_owned()));
    let worker = browser.last_worker();
    browser.say(worker, FromWorker::Ready);
    let ticket = browser.app.check.ticket.expect("a job");
    let ops = ops.iter().map(|&(name, passed)| OpReport {
        name: name.to_owned(),
        results: 1,
        worst_error: Some(0.0),
        passed,
    });
    for news in [
        CheckNews::Opened { adapter: "AVX2".to_owned(), software: false },
        CheckNews::Begins { what: "comparing".to_owned() },
        CheckNews::Ops { ops: ops.collect(), milliseconds: 3.0 },
    ]
    .into_iter()
    .chain(then.iter().cloned())
    .chain([CheckNews::Memory(1e6)])
    {
        browser.say(worker, FromWorker::News { ticket, news: News::Check(news) });
    }
    browser.say(worker, FromWorker::News { ticket, news: News::Done });
    assert!(!browser.workers.contains_key(&worker), "each has a worker of its own");
    let worker = browser.last_worker();
    browser.say(worker, FromWorker::Ready);
    let ticket = browser.app.check.ticket.expect("a job");
    let message = "there is no adapter".to_owned();
    browser.say(worker, FromWorker::News { ticket, news: News::Failed { message } });
    assert_eq!(browser.workers.len(), 1, "the leader");
    assert_eq!(browser.status(), "Ready.", "the page's own line tells of pictures");
    browser
}

#[test]
fn a_check_takes_the_engines_in_turn_and_judges() {
    let wrong = checked(&[("add", true), ("mul", false)], &[]).app.check;
    assert_eq!(wrong.status, "Error: not all is right: mul on CPU.");
    assert!(wrong.failed && wrong.json.contains("\"passed\": false,\n  \"tolerance\""), "{}", wrong.json);
    let right = checked(&[("add", true), ("mul", true)], &[]).app.check;
    assert_eq!(right.status, "Done: everything that was checked is right.");
    assert!(!right.failed && right.json.contains("\"passed\": true,\n  \"tolerance\""), "{}", right.json);
}

#[test]
fn a_check_judges_predictions_and_the_training_step_and_tells_them_apart() {
    let predicted = [timed(Work::Predict, 1, true), timed(Work::Predict, 16, true)];
    let of = |step: CheckNews| checked(&[("add", true)], &[&predicted[..], &[step]].concat()).app.check;
    let right = of(timed(Work::Train, 16, true));
    assert_eq!(right.status, "Done: everything that was checked is right.");
    let json: serde_json::Value = serde_json::from_str(&right.json).expect("JSON");
    let times = json["times"].as_array().expect("times");
    let kinds: Vec<_> = times.iter().map(|time| (time["work"].as_str(), time["batch"].as_u64())).collect();
    assert_eq!(kinds, [(Some("predict"), Some(1)), (Some("predict"), Some(16)), (Some("train"), Some(16))]);
    for key in ["engine", "batch", "ms", "runs", "worst_error", "passed"] {
        assert!(times.iter().all(|time| !time[key].is_null()), "{key} of {times:?}");
    }

    let wrong = of(timed(Work::Train, 16, false));
    assert_eq!(wrong.status, "Error: not all is right: the training step on CPU.");
    assert!(wrong.failed && !wrong.report.passed);

    let large = of(CheckNews::Skipped { work: Work::Train, batch: 16, estimate: 2e4, least_bytes: Some(7e8) });
    assert!(large.report.passed && large.report.times.len() == 2, "what is left out is not wrong");
    let json: serde_json::Value = serde_json::from_str(&large.json).expect("JSON");
    let [out] = &json["left_out"].as_array().expect("a list")[..] else { panic!("{json}") };
    let found = [&out["work"], &out["batch"], &out["estimated_ms"], &out["least_bytes"]].map(ToString::to_string);
    assert_eq!(found, ["\"train\"", "16", "20000.0", "700000000.0"]);
}

#[test]
fn the_bar_of_a_check_grows_with_every_part_and_is_half_full_after_half_of_the_engines() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.tell(Message::StartCheck("a browser".to_owned()));
    let worker = browser.last_worker();
    browser.say(worker, FromWorker::Ready);
    let ticket = browser.app.check.ticket.expect("a job");
    let mut last = -1.0;
    // As the worker begins them: the engine, the ops, ε, two predictions, the step's reference, the step.
    for part in ["opening", "comparing", "ε", "one", "sixteen", "a reference", "a training step"] {
        let news = News::Check(CheckNews::Begins { what: part.to_owned() });
        browser.say(worker, FromWorker::News { ticket, news });
        let progress = browser.app.check.progress();
        assert!(progress > last && progress < 0.5, "{progress} after {last}: {part}");
        last = progress;
    }
    assert_eq!(browser.app.check.status, "Checking CPU: a training step …");
    browser.say(worker, FromWorker::News { ticket, news: News::Done });
    assert_eq!(browser.app.check.progress(), 0.5);
}

#[test]
fn an_engine_without_the_memory_for_a_training_step_is_said_and_keeps_its_predictions() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.tell(Message::StartCheck("a browser".to_owned()));
    let worker = browser.last_worker();
    browser.say(worker, FromWorker::Ready);
    let ticket = browser.app.check.ticket.expect("a job");
    let opened = CheckNews::Opened { adapter: "AVX2".to_owned(), software: false };
    for news in [opened, timed(Work::Predict, 1, true)] {
        browser.say(worker, FromWorker::News { ticket, news: News::Check(news) });
    }
    let message = "there is not enough memory: 130 MB are needed".to_owned();
    browser.say(worker, FromWorker::News { ticket, news: News::Failed { message } });
    let worker = browser.last_worker();
    browser.say(worker, FromWorker::Ready);
    let ticket = browser.app.check.ticket.expect("a job");
    let message = "there is no adapter".to_owned();
    browser.say(worker, FromWorker::News { ticket, news: News::Failed { message } });
    let check = &browser.app.check;
    let told = "Error: CPU stopped in the middle of the check: there is not enough memory: 130 MB are needed.";
    assert_eq!((check.status.as_str(), check.failed), (told, true));
    assert_eq!((check.report.times.len(), check.report.passed), (1, false));
}
