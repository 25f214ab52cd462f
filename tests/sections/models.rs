//! From one model to another.

use super::{Browser, entries, model};
use noisette::engine::Kind;
use noisette::tensor::Shape;
use noisette::web::app::Message;
use noisette::web::machine::Missing;

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
    assert_eq!((browser.settings().model.name.as_str(), browser.settings().t), ("emoji", 900));
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
    assert_eq!(browser.settings().model.name, "digits", "nobody waits for it any more");
    browser.tell(Message::Described("fashion".to_owned(), Ok(Box::new(model("fashion")))));
    browser.tell(Message::Weights("fashion".to_owned(), Err("no route".to_owned())));
    assert_eq!((browser.status(), browser.settings().model.name.as_str()), ("Error: no route.", "digits"));
    assert_eq!(browser.app.machine.missing, Some(Missing::Model("fashion".to_owned())));
    assert!(browser.app.common.can_generate());
    browser.control("model", "emoji");
    assert_eq!(browser.app.machine.missing, None, "another one is wanted");
    browser.tell(Message::Weights("emoji".to_owned(), Err("no route".to_owned())));
    browser.control("model", "fashion");
    browser.tell(Message::Weights("fashion".to_owned(), Err("no route".to_owned())));
    browser.tell(Message::Retry);
    browser.fetch("fashion");
    assert_eq!(browser.settings().model.name, "fashion");
    assert_eq!(browser.app.machine.missing, None);
}

#[test]
fn a_link_to_another_model_leaves_the_present_one_in_the_control_and_a_hand_does_not() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("model", "emoji");
    assert!(browser.app.machine.download.as_ref().is_some_and(|download| download.by_hand));
    browser.tell(Message::Address("#model=fashion".to_owned(), None));
    assert!(browser.app.machine.download.as_ref().is_some_and(|download| !download.by_hand));
    assert_eq!(browser.settings().model.name, "digits");
}

#[test]
fn the_status_is_true_while_models_come_and_go() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("model", "emoji");
    assert_eq!(browser.status(), "Loading emoji …".replace("emoji", &entries()[2].title));
    browser.tell(Message::Address("#model=digits".to_owned(), None));
    assert_eq!(browser.status(), "Ready.", "it is wanted no more");
    browser.tell(Message::Address("#model=digits&junk".to_owned(), None));
    assert!(browser.status().starts_with("Error: the link has a setting “junk”"));
    browser.tell(Message::Address("#model=digits".to_owned(), None));
    assert_eq!(browser.status(), "Ready.", "that link is gone");
    browser.tell(Message::Generate(Ok(1)));
    browser.control("model", "fashion");
    assert!(browser.status().starts_with("Generating"));
    browser.fetch("fashion");
    assert_eq!(browser.status(), "The run has ended with its model.");
    browser.start_all(Kind::Cpu);
    assert!(browser.status().starts_with("Ready"), "{}", browser.status());
}
