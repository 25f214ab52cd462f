//! What Back takes back.

use super::Browser;
use noisette::engine::Kind;
use noisette::web::app::{Effect, Message};
use noisette::web::link::write;
use noisette::web::noise::own::Picture;
use noisette::web::settings::{Class, Room, Settings};

/// Milliseconds after which a control that changes again makes another entry.
const PAUSE: f64 = 1500.0;

impl Browser {
    /// A while passes.
    fn wait(&mut self, ms: f64) {
        self.now += ms;
        self.tell(Message::Due);
    }

    /// A control is set and let go.
    fn set(&mut self, id: &'static str, text: &str) {
        self.control(id, text);
        self.tell(Message::Committed(id));
    }

    /// Goes so many entries forward, or back.
    fn go(&mut self, by: isize) {
        self.at = self.at.checked_add_signed(by).expect("an entry");
        let (hash, memory) = self.entries[self.at].clone();
        self.tell(Message::Address(hash, memory));
    }

    /// An address is typed, or a link followed.
    fn follow(&mut self, hash: &str) {
        self.at += 1;
        self.entries.truncate(self.at);
        self.entries.push((hash.to_owned(), None));
        self.tell(Message::Address(hash.to_owned(), None));
    }
}

fn ready() -> Browser {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.wait(PAUSE);
    assert_eq!((browser.entries.len(), browser.written()), (1, &*write(browser.settings())));
    browser
}

#[test]
fn back_takes_back_one_change_after_the_other_and_forward_makes_them_again() {
    let mut browser = ready();
    let mut states: Vec<Settings> = vec![browser.settings().clone()];
    for (id, text) in [
        ("t", "700"),
        ("class", "4"),
        ("thumbs", "7"),
        ("sampler", "ddpm"),
        ("fast", "true"),
        ("lock", "true"),
        ("seed", "99"),
        ("check-net", "ddpm"),
        ("engine", "cpu"),
        ("guidance", "2"),
    ] {
        browser.set(id, text);
        states.push(browser.settings().clone());
        assert_eq!(browser.entries.len(), states.len(), "{id}");
    }
    for state in states.iter().rev().skip(1) {
        browser.go(-1);
        assert_eq!(browser.settings(), state);
    }
    for state in &states[1..] {
        browser.go(1);
        assert_eq!(browser.settings(), state);
    }
    // A change on the way ends what lay ahead.
    browser.go(-8);
    browser.set("t", "5");
    assert_eq!((browser.at, browser.entries.len()), (3, 4));
    browser.go(-1);
    assert_eq!(browser.settings(), &states[2]);
}

#[test]
fn a_drag_is_one_entry_and_so_is_a_key_that_is_held_or_pressed_again_soon() {
    let mut browser = ready();
    browser.control("t", "403");
    browser.set("t", "402");
    assert_eq!(browser.written(), write(browser.settings()), "at once, as Back might come");
    // Held for as long as it takes.
    for t in 403..440 {
        browser.control("t", &t.to_string());
        browser.wait(if t % 10 == 0 { 4000.0 } else { 20.0 });
    }
    browser.tell(Message::Committed("t"));
    assert_eq!(browser.entries.len(), 2);
    browser.wait(PAUSE);
    for t in 440..460 {
        browser.set("t", &t.to_string());
        browser.wait(500.0);
    }
    assert_eq!(browser.entries.len(), 3);
    browser.set("steps", "9");
    browser.set("t", "460");
    assert_eq!(browser.entries.len(), 5, "another control between them parts them");
    browser.wait(PAUSE);
    browser.set("t", "461");
    assert_eq!(browser.entries.len(), 6, "and so does a while");
    for t in [460, 459, 459, 439, 400] {
        browser.go(-1);
        assert_eq!(browser.settings().t, t);
    }
    assert_eq!(browser.at, 0);
}

#[test]
fn what_changes_nothing_or_only_a_seed_by_chance_makes_no_entry() {
    let mut browser = ready();
    browser.set("t", "400");
    browser.set("count", "many");
    assert_eq!(browser.entries.len(), 1);
    browser.set("count", "10");
    browser.tell(Message::Generate(Ok(1)));
    browser.tell(Message::Stop);
    browser.tell(Message::Generate(Ok(77)));
    browser.tell(Message::Stop);
    assert!(browser.entries.len() == 1 && browser.written().contains("&seed=77&"), "{}", browser.written());
    browser.tell(Message::Dice(Ok(5)));
    browser.wait(PAUSE);
    assert!(browser.entries.len() == 1 && browser.written().contains("&seed=5&"));
    // A slider that is taken back to where it was leaves an entry that the next change takes.
    browser.control("t", "500");
    browser.set("t", "400");
    browser.set("steps", "7");
    assert_eq!((browser.entries.len(), browser.settings().sampling.steps), (2, 7));
    browser.go(-1);
    assert_eq!((browser.settings().t, browser.settings().sampling.steps), (400, 4));
}

#[test]
fn back_after_another_model_goes_back_to_the_one_before_with_its_settings() {
    let mut browser = ready();
    browser.set("t", "123");
    browser.control("model", "fashion");
    browser.tell(Message::Committed("model"));
    browser.wait(5000.0);
    let before = browser.settings().clone();
    browser.fetch("fashion");
    browser.start_all(Kind::Cpu);
    browser.wait(PAUSE);
    assert_eq!((browser.entries.len(), &*browser.settings().model.name), (3, "fashion"));
    assert!(browser.written().contains("model=fashion&"));
    browser.go(-1);
    assert_eq!(browser.settings().model.name, "fashion", "until the other is there, all is as it was");
    browser.fetch("digits");
    browser.start_all(Kind::Cpu);
    assert_eq!(browser.settings(), &before);
    browser.go(1);
    browser.fetch("fashion");
    assert_eq!((&*browser.settings().model.name, browser.settings().t), ("fashion", 123));
    // While it is on its way Back keeps the present one, and undoes nothing else.
    browser.control("model", "emoji");
    browser.go(-1);
    assert!(browser.app.machine.download.is_none());
    assert_eq!((&*browser.settings().model.name, browser.settings().t), ("fashion", 123));
    // What is set meanwhile has an entry of its own.
    browser.control("model", "emoji");
    browser.set("t", "9");
    browser.fetch("emoji");
    browser.go(-1);
    assert_eq!(
        (&*browser.app.machine.download.as_ref().expect("a model that comes").name, browser.settings().t),
        ("fashion", 9)
    );
    browser.fetch("fashion");
    assert_eq!((&*browser.settings().model.name, browser.settings().t), ("fashion", 9));
}

#[test]
fn a_link_that_is_followed_is_an_entry_of_the_browsers_and_is_left_whole() {
    let mut browser = ready();
    browser.set("t", "700");
    browser.follow("#t=5&count=2&guidance=2");
    let followed = browser.settings().clone();
    assert_eq!((followed.t, followed.count, browser.entries.len()), (5, 2, 3));
    browser.set("t", "6");
    browser.go(-1);
    assert_eq!(browser.settings(), &followed);
    browser.go(-1);
    assert_eq!((browser.settings().t, browser.settings().count), (700, 10));
    // A link to another model waits for it, and its entry stays a link to it.
    browser.go(1);
    browser.follow("#model=emoji&t=8");
    browser.set("t", "7");
    browser.fetch("emoji");
    assert_eq!((&*browser.settings().model.name, browser.settings().t), ("emoji", 8));
    browser.go(-1);
    assert_eq!((&*browser.settings().model.name, browser.settings().t), ("emoji", 8));
}

#[test]
fn a_link_opens_a_room_and_one_that_names_nothing_else_leaves_the_settings() {
    let mut browser = ready();
    browser.set("t", "700");
    browser.set("class", "4");
    browser.effects();
    browser.follow("#generate");
    assert!(browser.effects().contains(&Effect::Show(Room::Generate)));
    assert_eq!((browser.settings().t, browser.settings().class), (700, Class::One(4)));
    assert!(browser.written().starts_with("#generate&model=digits&"), "{}", browser.written());
    browser.set("class", "5");
    assert_eq!(browser.entries.len(), 5);
    browser.effects();
    browser.go(-1);
    assert_eq!((browser.settings().class, browser.settings().room), (Class::One(4), Room::Generate));
    assert!(!browser.effects().iter().any(|effect| matches!(effect, Effect::Show(_))), "the visitor is there");
    browser.go(-1);
    assert!(browser.effects().contains(&Effect::Show(Room::Noise)));
    assert_eq!((browser.settings().class, browser.settings().room), (Class::One(4), Room::Noise));
    // It keeps no model and no run from coming.
    browser.follow("#model=emoji&t=8&seed=3&run=1");
    browser.follow("#check");
    browser.fetch("emoji");
    browser.start_all(Kind::Cpu);
    assert!(browser.app.common.running && browser.settings().room == Room::Check);
    // Once loaded, the page is where its link says; an old one opens the first.
    for (hash, room) in
        [("#check", Some(Room::Check)), ("#generate&t=3", Some(Room::Generate)), ("#noise", None), ("#t=3", None)]
    {
        let mut browser = Browser::open(hash, 1);
        let shown = browser.effects().into_iter().find(|effect| matches!(effect, Effect::Show(_)));
        assert_eq!(shown, room.map(Effect::Show), "{hash}");
    }
    let browser = Browser::open("#kitchen&t=3", 1);
    assert_eq!(browser.status(), "Error: the link has a room “kitchen” that this page does not know.");
    assert_eq!(browser.settings().t, 3);
}

#[test]
fn the_visitors_own_picture_comes_back_as_long_as_the_page_has_it() {
    let mut browser = ready();
    let own = |value| Picture { size: [40, 40], rgb: vec![value; 4800] };
    browser.tell(Message::Own("a.png".to_owned(), Ok(own(50))));
    browser.set("thumbs", "2");
    assert_eq!(browser.entries.len(), 3);
    browser.wait(PAUSE);
    browser.tell(Message::Own("b.png".to_owned(), Ok(own(200))));
    browser.wait(PAUSE);
    let (x_0, (hash, memory)) = (browser.app.noise.x_0.clone(), browser.entries[browser.at].clone());
    browser.set("thumbs", "5");
    browser.go(-1);
    assert!(browser.settings().picture.is_none());
    assert_eq!(browser.app.noise.x_0, x_0);
    // Without what the browser kept, there is nothing to come back to.
    let mut again = Browser::ready(1, Kind::Cpu);
    again.tell(Message::Address(hash, memory));
    assert_eq!(again.settings().picture, Some(3));
}

#[test]
fn the_browser_is_not_called_more_often_than_it_allows() {
    let mut browser = ready();
    browser.effects();
    let mut calls = Vec::new();
    for i in 0..3000 {
        browser.control(["t", "noise-seed", "count"][i % 3], &(1 + i % 16).to_string());
        if i % 4 == 0 {
            browser.tell(Message::Due);
        }
        let written = browser.effects().into_iter().filter(|effect| matches!(effect, Effect::WriteAddress { .. }));
        calls.extend(written.map(|_| browser.now));
    }
    for (i, call) in calls.iter().enumerate() {
        assert!(calls[i..].iter().take_while(|other| *other - call <= 30_000.0).count() <= 100);
    }
    assert!(calls.len() > 50 && calls.len() < 300, "{}", calls.len());
    browser.wait(40_000.0);
    assert_eq!(browser.written(), write(browser.settings()), "in the end all of it is there");
}
