//! Whatever becomes x_0: drawn by hand, brought, inverted, kept, forgotten, and in a link.

use super::{Browser, entries, model};
use noisette::engine::Kind;
use noisette::web::app::{Effect, Message};
use noisette::web::draw::Act;
use noisette::web::link::{parse, write};
use noisette::web::model::Samples;
use noisette::web::noise::own::Picture;

/// A stroke from one place to another.
fn stroke(browser: &mut Browser, from: [f32; 2], to: [f32; 2]) {
    for act in [Act::Down(from), Act::Move(vec![to]), Act::Up] {
        browser.tell(Message::Draw(act));
    }
}

/// A picture of one grey.
fn grey(value: u8) -> Picture {
    Picture { size: [40, 40], rgb: vec![value; 4800] }
}

fn bring(browser: &mut Browser, value: u8) {
    browser.tell(Message::Own("a.png".to_owned(), Ok(grey(value))));
}

/// What the browser was told to keep since the last call.
fn kept(browser: &mut Browser) -> Vec<Option<String>> {
    let kept = browser.effects().into_iter().filter_map(|effect| match effect {
        Effect::Keep(text) => Some(text),
        _ => None,
    });
    kept.collect()
}

/// The page as it is opened again: at its address, with what it left beside it and what the browser has kept.
fn again(hash: &str, memory: Option<u32>, kept: Option<String>, name: &str) -> Browser {
    let mut browser = Browser::new(1);
    browser.tell(Message::Kept(kept));
    browser.tell(Message::Begin(hash.to_owned(), memory));
    browser.tell(Message::List(Ok(entries())));
    browser.fetch(name);
    browser.start_all(Kind::Cpu);
    browser
}

fn reload(of: &Browser, kept: Option<String>) -> Browser {
    let settings = of.settings();
    again(&write(settings), Some(settings.memory()), kept, &settings.model.name)
}

#[test]
fn a_drawing_is_x_0_from_its_first_point_on_and_everything_follows() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    let before = (browser.app.noise.x_0.clone(), browser.app.noise.x_t.clone(), browser.app.noise.asked);
    browser.effects();
    // What is taken in hand, and a cursor that moves, draw nothing.
    for act in [Act::Erase(true), Act::Erase(false), Act::Colour(2), Act::Step([3, 0]), Act::Up, Act::Cancel] {
        browser.tell(Message::Draw(act));
    }
    assert!(browser.settings().picture == Some(3) && browser.app.noise.own.own.is_none());
    browser.tell(Message::Draw(Act::Down([0.25, 0.5])));
    let noise = &browser.app.noise;
    assert!(noise.x_0 != before.0 && noise.x_t != before.1 && noise.asked != before.2 && noise.asked.is_some());
    assert_eq!(noise.shown.as_ref().map(|shown| shown.x_0.bytes[0]), Some(0), "the digits' ground");
    let dot: f32 = noise.x_0.iter().map(|x| (x + 1.0) / 2.0).sum();
    browser.tell(Message::Draw(Act::Move(vec![[0.5, 0.5], [0.75, 0.5]])));
    let line: f32 = browser.app.noise.x_0.iter().map(|x| (x + 1.0) / 2.0).sum();
    assert!(dot > 2.0 && line > 5.0 * dot, "{dot}, {line}");
    assert!(kept(&mut browser).is_empty(), "a stroke first ends");
    browser.tell(Message::Draw(Act::Up));
    browser.tell(Message::Due);
    assert!(browser.written().contains("&draw="), "{}", browser.written());
    assert!(matches!(&kept(&mut browser)[..], [Some(_)]));
    let one = browser.app.noise.x_0.clone();
    assert!(browser.settings().picture.is_none());
    // A stroke that the browser takes away never was, and the last one can be undone, and so can clearing.
    browser.tell(Message::Draw(Act::Down([0.1, 0.1])));
    browser.tell(Message::Draw(Act::Cancel));
    assert_eq!(browser.app.noise.x_0, one);
    stroke(&mut browser, [0.2, 0.2], [0.2, 0.8]);
    assert_ne!(browser.app.noise.x_0, one);
    browser.tell(Message::Draw(Act::Undo));
    assert_eq!(browser.app.noise.x_0, one);
    browser.effects();
    browser.tell(Message::Draw(Act::Clear));
    assert!(browser.app.noise.x_0.iter().all(|&x| x == -1.0));
    assert_eq!(kept(&mut browser), [None], "there is nothing to keep");
    browser.tell(Message::Draw(Act::Undo));
    assert_eq!(browser.app.noise.x_0, one);
    // Samples are there as before, and so is the drawing beside them.
    browser.control("thumbs", "3");
    assert_eq!(browser.app.noise.x_0, before.0);
    browser.tell(Message::ChooseOwn);
    assert_eq!(browser.app.noise.x_0, one);
    assert!(browser.app.noise.own.own.as_ref().is_some_and(|own| own.name() == "Your drawing"));
}

#[test]
fn one_draws_on_what_was_brought_and_a_file_that_cannot_be_used_changes_nothing() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    bring(&mut browser, 51);
    assert_eq!(browser.status(), "“a.png” is x₀ now; it has not left your machine.");
    assert!(browser.app.noise.x_0.iter().all(|&x| (x + 0.6).abs() < 1e-6));
    browser.tell(Message::Own("b.png".to_owned(), Err("“b.png” is no picture".to_owned())));
    assert_eq!(browser.status(), "Error: “b.png” is no picture.");
    assert!(browser.app.noise.problem.contains("b.png") && browser.app.noise.x_0[0] < -0.5);
    stroke(&mut browser, [0.5, 0.5], [0.9, 0.5]);
    assert!(browser.app.noise.problem.is_empty());
    let x_0 = &browser.app.noise.x_0;
    assert!((x_0[0] + 0.6).abs() < 1e-6 && x_0[14 * 28 + 18] == 1.0);
    let own = browser.app.noise.own.own.clone().expect("it");
    assert!(own.name() == "a.png" && browser.settings().draw.text().is_empty(), "no link holds a file");
    // It goes along to a model of another size and of colours.
    browser.control("model", "emoji");
    browser.fetch("emoji");
    browser.start_all(Kind::Cpu);
    let x_0 = &browser.app.noise.x_0;
    assert_eq!(x_0.len(), 32 * 32 * 3);
    assert!((x_0[0] + 0.6).abs() < 1e-6 && x_0[3 * (16 * 32 + 21)] == 1.0);
    // Cleared of the file it is a drawing.
    browser.tell(Message::Draw(Act::Clear));
    stroke(&mut browser, [0.5, 0.5], [0.9, 0.5]);
    assert!(browser.app.noise.x_0[0] == -1.0 && !browser.settings().draw.text().is_empty());
}

#[test]
fn it_is_there_again_when_the_page_is_and_only_until_it_is_forgotten() {
    for drawn in [true, false] {
        let mut browser = Browser::ready(1, Kind::Cpu);
        browser.effects();
        if drawn {
            stroke(&mut browser, [0.1, 0.3], [0.8, 0.6])
        } else {
            bring(&mut browser, 90)
        }
        let text = kept(&mut browser).pop().flatten().expect("kept");
        let x_0 = browser.app.noise.x_0.clone();
        let mut opened = reload(&browser, Some(text.clone()));
        assert_eq!((opened.app.noise.x_0.clone(), opened.settings()), (x_0.clone(), browser.settings()), "{drawn}");
        // With another model, too, and beside the sample of somebody's link.
        opened.control("model", "emoji");
        opened.fetch("emoji");
        let emoji = reload(&opened, Some(text.clone()));
        assert_eq!(emoji.app.noise.x_0, opened.app.noise.x_0);
        let mut other = again("#model=digits&picture=4", None, Some(text.clone()), "digits");
        assert_eq!(other.settings().picture, Some(4));
        other.tell(Message::ChooseOwn);
        assert_eq!(other.app.noise.x_0, x_0);
        other.effects();
        other.tell(Message::Forget);
        assert_eq!(kept(&mut other), [None]);
        assert!(other.app.noise.own.own.is_none() && other.settings().picture == Some(3));
        assert_eq!(other.status(), "It is forgotten.");
        other.tell(Message::ChooseOwn);
        assert_eq!(other.settings().picture, Some(3), "there is none to choose");
    }
    // What the browser has kept no more, or never, is a sample again.
    let mut browser = Browser::ready(1, Kind::Cpu);
    bring(&mut browser, 90);
    for lost in [None, Some("nonsense".to_owned()), Some(String::new())] {
        assert_eq!(reload(&browser, lost).settings().picture, Some(3));
    }
}

#[test]
fn a_browser_that_keeps_nothing_is_named_once_and_that_is_no_error() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    bring(&mut browser, 90);
    browser.tell(Message::NotKept);
    assert!(browser.status().starts_with("The browser refuses to keep your picture"), "{}", browser.status());
    assert!(!browser.app.common.status.failed && browser.settings().picture.is_none());
    browser.control("t", "5");
    bring(&mut browser, 91);
    browser.tell(Message::NotKept);
    assert!(browser.status().starts_with("“a.png” is x₀ now"));
}

#[test]
fn a_link_holds_a_drawing_and_leaves_alone_what_its_reader_has_kept() {
    let mut sender = Browser::ready(1, Kind::Cpu);
    stroke(&mut sender, [0.3, 0.1], [0.6, 0.9]);
    let hash = write(sender.settings());
    assert!(hash.contains("&draw=") && !hash.contains("picture=") && hash.len() < 300, "{hash}");
    let x_0 = sender.app.noise.x_0.clone();
    let mut reader = Browser::ready(1, Kind::Cpu);
    bring(&mut reader, 90);
    let own = reader.app.noise.x_0.clone();
    reader.effects();
    reader.tell(Message::Address(hash.clone(), None));
    assert_eq!(reader.app.noise.x_0, x_0);
    assert!(kept(&mut reader).is_empty(), "the reader's own is still what is kept");
    reader.tell(Message::Address(hash.clone(), None));
    reader.tell(Message::Forget);
    assert!(kept(&mut reader).is_empty());
    assert_eq!(reader.app.noise.x_0, own, "it is back");
    // Drawn on, it is the reader's.
    reader.tell(Message::Address(hash.clone(), None));
    stroke(&mut reader, [0.1, 0.1], [0.2, 0.1]);
    assert!(matches!(&kept(&mut reader)[..], [Some(_)]));
    // A link opens with it, at another model as well, and a sample's says nothing of it.
    let opened = again(&hash, None, None, "digits");
    assert_eq!((opened.app.noise.x_0.clone(), opened.status()), (x_0, "Ready."));
    sender.tell(Message::Address(
        hash.replace("model=digits-fast", "model=emoji").replace("model=digits", "model=emoji"),
        None,
    ));
    sender.fetch("emoji");
    assert!(sender.app.noise.x_0.len() == 3072 && sender.app.noise.x_0.contains(&1.0));
    sender.control("thumbs", "2");
    assert!(!write(sender.settings()).contains("draw="));
}

#[test]
fn a_link_whose_drawing_is_none_is_refused_with_a_sentence() {
    let long = format!("#draw={}", "A".repeat(5000));
    for hash in ["#draw=", "#draw=scribble", "#draw=%20", "#draw=AQEB", &long] {
        let (settings, problems) = parse(hash);
        assert!(settings.draw.text().is_empty() && settings.picture == Some(3), "{hash}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("the link's draw is a drawing in at most 2000 letters, not “"), "{problems:?}");
        assert!(problems[0].len() < 120);
    }
    let (settings, problems) = parse("#invert=maybe");
    assert_eq!(
        (settings.invert, &problems[..]),
        (false, &["the link's invert is true or false, not “maybe”".to_owned()][..])
    );
}

#[test]
fn a_copied_link_says_that_a_drawing_is_too_long_for_it() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    stroke(&mut browser, [0.3, 0.1], [0.6, 0.9]);
    browser.tell(Message::Copied(true));
    assert_eq!(browser.status(), "The link is copied.");
    for i in 0..300 {
        let x = i as f32 / 300.0;
        stroke(&mut browser, [x, 0.1], [x, 0.9]);
    }
    browser.tell(Message::Copied(true));
    assert_eq!(browser.status(), "The link is copied. Your drawing is too long to be in it.");
    bring(&mut browser, 3);
    browser.tell(Message::Copied(true));
    assert_eq!(browser.status(), "The link is copied. Your own picture is not in it.");
}

#[test]
fn invert_turns_any_picture_round_and_what_is_the_wrong_way_round_is_said() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    let note = |browser: &Browser| browser.app.noise.own.note.clone();
    let sample = browser.app.noise.x_0.clone();
    assert_eq!(note(&browser), "");
    let sentence = "This picture is dark on light; the pictures of digits are light on dark. Invert turns it round.";
    browser.control("invert", "true");
    assert!(browser.app.noise.x_0.iter().zip(&sample).all(|(a, b)| *a == -*b));
    assert_eq!(note(&browser), sentence);
    assert!(write(browser.settings()).contains("&invert=true"));
    // A picture on white paper.
    bring(&mut browser, 250);
    assert!(browser.app.noise.x_0[0] < -0.9 && note(&browser).is_empty());
    browser.control("invert", "false");
    assert!(browser.app.noise.x_0[0] > 0.9 && note(&browser) == sentence);
    assert!(!write(browser.settings()).contains("invert"));
    // Neither light nor dark; and a drawing lies on the model's ground.
    bring(&mut browser, 140);
    assert_eq!(note(&browser), "");
    browser.tell(Message::Draw(Act::Clear));
    stroke(&mut browser, [0.5, 0.5], [0.7, 0.7]);
    assert_eq!((note(&browser).as_str(), browser.app.noise.x_0[0]), ("", -1.0));
    // Where the model's pictures lie on white, so does the drawing, and it is the other way round that is wrong.
    let mut described = model("emoji");
    let shape = described.model.shape();
    described.samples = Ok(Samples::new(vec![240; 2 * shape.len()], shape, vec!["pear".to_owned(), "car".to_owned()]));
    browser.control("model", "emoji");
    browser.tell(Message::Described("emoji".to_owned(), Ok(Box::new(described))));
    browser.tell(Message::Weights("emoji".to_owned(), Ok(4.5e6)));
    assert_eq!(browser.app.noise.x_0[0], 1.0);
    assert!(browser.app.noise.x_0.contains(&-1.0) && note(&browser).is_empty());
    bring(&mut browser, 5);
    let other = "This picture is light on dark; the pictures of emoji are dark on light. Invert turns it round.";
    assert_eq!(note(&browser), other);
}

#[test]
fn a_setting_is_taken_while_another_control_says_what_it_cannot_mean() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    let before = browser.app.noise.x_0.clone();
    browser.control("count", "99");
    browser.control("thumbs", "7");
    assert_ne!(browser.app.noise.x_0, before);
    assert!(browser.status().starts_with("Error: Count"), "{}", browser.status());
}
