//! Links that make pictures: which is copied, and when one is run.

use super::{Browser, entries};
use noisette::engine::Kind;
use noisette::web::app::{Effect, Message};
use noisette::web::link::{parse, runs, write, write_run};
use noisette::web::messages::FromWorker;

/// The link that Copy link copies.
fn copy(browser: &mut Browser) -> String {
    browser.effects();
    browser.tell(Message::Copy("https://example.org/".to_owned()));
    let links = browser.effects().into_iter().filter_map(|effect| match effect {
        Effect::Copy(link) => Some(link),
        _ => None,
    });
    let links: Vec<String> = links.collect();
    assert_eq!(links.len(), 1);
    links[0].strip_prefix("https://example.org/").expect("the page").to_owned()
}

#[test]
fn the_link_of_pictures_makes_them_whatever_the_controls_say_by_now() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    assert_eq!(copy(&mut browser), write(browser.settings()), "nothing was made yet");
    browser.tell(Message::Generate(Ok(1)));
    let made = browser.settings().clone();
    assert_eq!(copy(&mut browser), write_run(&made));
    browser.tell(Message::Stop);
    for (id, text) in [("seed", "99"), ("steps", "7"), ("class", "3")] {
        browser.control(id, text);
    }
    assert_eq!(copy(&mut browser), write_run(&made));
    browser.tell(Message::Copied(true));
    let told = "The link is copied. It holds the settings of the pictures shown, not those set since.";
    assert_eq!(browser.status(), told);
    browser.tell(Message::Copied(false));
    assert!(browser.status().ends_with("as they are now, not those of the pictures shown."), "the address bar does");
    // What no run depends on is as it is now.
    browser.control("t", "77");
    assert!(copy(&mut browser).contains("&t=77&"));
}

#[test]
fn a_link_with_run_begins_as_soon_as_its_model_is_there_and_once() {
    let mut browser = Browser::open("#model=digits&count=3&seed=9&run=1", 1);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch("digits");
    assert!(browser.app.generate.wanted.is_some() && !browser.app.common.running, "there is no engine yet");
    browser.effects();
    browser.start_all(Kind::Cpu);
    assert!(browser.app.common.running);
    assert!(browser.status().starts_with("Generating 3 images"), "{}", browser.status());
    assert_eq!((browser.settings().seed, browser.settings().count), (9, 3));
    let written =
        Effect::WriteAddress { push: false, hash: write(browser.settings()), memory: browser.settings().memory() };
    assert!(browser.effects().contains(&written), "and the address says nothing of it");
    assert!(!write(browser.settings()).contains("run="));
    browser.tell(Message::Stop);
    browser.control("t", "5");
    assert!(!browser.app.common.running, "once");
    // One that is followed takes the place of a run in progress, of the same seed as well.
    browser.tell(Message::Generate(Ok(1)));
    browser.tell(Message::Address("#model=digits&count=2&seed=9&run=1".to_owned(), None));
    assert!(browser.app.common.running && browser.app.generate.run.as_ref().is_some_and(|run| run.count() == 2));
    assert_eq!(browser.settings().seed, 9);
    // Another model's run waits for it.
    browser.tell(Message::Address("#model=emoji&count=4&seed=9&run=1".to_owned(), None));
    assert!(!browser.app.common.running);
    browser.fetch("emoji");
    browser.start_all(Kind::Cpu);
    assert!(browser.app.generate.run.as_ref().is_some_and(|run| run.active() && run.count() == 4));
}

#[test]
fn a_link_that_is_wrong_or_says_no_or_whose_settings_are_taken_in_hand_is_not_run() {
    for (hash, status) in [
        ("#model=digits&run=0", "Ready."),
        ("#model=digits", "Ready."),
        ("#model=digits&run=yes", "Error: the link's run is 0 or 1, not “yes”."),
        ("#model=digits&run=1&count=99", "Error: count must be 1 to 16, not “99”."),
        ("#model=digits&run=1&class=12", "Error: a class of this model is 0 to 9, not 12."),
        ("#model=birds&run=1", "Error: there is no model “birds” here, only digits, fashion, emoji."),
    ] {
        let mut browser = Browser::open(hash, 1);
        browser.tell(Message::List(Ok(entries())));
        browser.fetch("digits");
        browser.start_all(Kind::Cpu);
        assert!(!browser.app.common.running && browser.status() == status, "{hash}: {}", browser.status());
    }
    let mut browser = Browser::open("#model=digits&run=1", 1);
    browser.tell(Message::List(Ok(entries())));
    browser.control("count", "2");
    browser.fetch("digits");
    browser.start_all(Kind::Cpu);
    assert!(!browser.app.common.running);
    // That there is no GPU is not the link's fault.
    let mut browser = Browser::open("#model=digits&engine=gpu&run=1", 1);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch("digits");
    let worker = browser.last_worker();
    browser.say(worker, FromWorker::Ready);
    browser.say(worker, FromWorker::Refused { message: "there is no adapter".to_owned() });
    assert!(browser.app.common.status.failed && !browser.app.common.running);
    browser.start_all(Kind::Cpu);
    assert!(browser.app.common.running);
    // It is no setting: what it stands beside means what it meant.
    assert_eq!(parse("#run=1"), parse(""));
    assert_eq!(parse("#steps=15&run=1"), parse("#steps=15"));
    assert!(runs("#run=1") && runs("run=0&t=3&run=1") && !runs("#run=1&run=0") && !runs("#t=1&run=") && !runs(""));
}

#[test]
fn a_later_link_takes_back_what_an_earlier_one_asked_for() {
    let mut browser = Browser::open("#model=digits&seed=1&run=1", 1);
    browser.tell(Message::Address("#model=digits&seed=2".to_owned(), None));
    browser.tell(Message::List(Ok(entries())));
    browser.fetch("digits");
    browser.start_all(Kind::Cpu);
    assert!(!browser.app.common.running && browser.app.generate.run.is_none());
    // Nor is it another model's, if its own does not come.
    browser.control("model", "fashion");
    browser.fetch("fashion");
    browser.start_all(Kind::Cpu);
    browser.tell(Message::Address("#seed=3&run=1".to_owned(), None));
    browser.tell(Message::Weights("digits".to_owned(), Err("no route".to_owned())));
    assert!(!browser.app.common.running, "{}", browser.status());
}
