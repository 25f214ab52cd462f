//! From the x_t of Noise to Generate: which run begins there, what is said of it, and its link.

use super::{Browser, entries};
use noisette::diffusion::walk::Rule;
use noisette::diffusion::{Convention, Spacing};
use noisette::engine::Kind;
use noisette::playground::Settings;
use noisette::web::app::{Effect, Message};
use noisette::web::job::{Job, Tensor};
use noisette::web::link::{parse, runs, takes, write};
use noisette::web::messages::{FromWorker, ToWorker};
use noisette::web::noise::own::Picture;
use noisette::web::pool::Order;
use noisette::web::save::What;
use noisette::web::sheet::Sheet;

/// Take it away from here is pressed. The walks that begin: what, and the tensors beside it.
fn take(browser: &mut Browser) -> Vec<(Settings, usize, Vec<Tensor>)> {
    browser.effects();
    browser.tell(Message::Take { go: true });
    walks(browser.effects())
}

fn walks(effects: Vec<Effect>) -> Vec<(Settings, usize, Vec<Tensor>)> {
    let begun = effects.into_iter().filter_map(|effect| match effect {
        Effect::Pool(Order::Send(
            _,
            ToWorker::Begin { job: Job::Walk { settings, after, fast: false, .. }, .. },
            tensors,
        )) => Some((settings, after, tensors)),
        _ => None,
    });
    begun.collect()
}

#[test]
fn the_run_begins_with_this_very_x_t_and_ends_in_a_picture() {
    let mut browser = Browser::ready(2, Kind::Cpu);
    for (id, text) in [("t", "400"), ("steps", "4"), ("sampler", "ddim"), ("class", "7"), ("guidance", "2")] {
        browser.control(id, text);
    }
    browser.effects();
    browser.tell(Message::Take { go: true });
    let effects = browser.effects();
    assert!(effects.contains(&Effect::GoTo("generate")));
    let begun = walks(effects);
    let [(settings, 0, tensors)] = &begun[..] else { panic!("{begun:?}") };
    let shape = browser.app.common.shape;
    assert_eq!(tensors[..], [Tensor::new("x", shape, browser.app.noise.x_t.clone())]);
    assert_eq!((&settings.classes[..], settings.guidance), (&[Some(7)][..], 2.0));
    let schedule = browser.app.common.model.as_ref().expect("a model").schedule.clone();
    let (sampler, rule) = (&settings.sampler, Rule::of(settings.sampler.kind));
    let walk = rule.walk(&schedule, sampler).expect("a walk");
    assert_eq!(walk.timesteps(), [399, 299, 199, 99], "evenly from t to 0");
    assert_eq!(Ok(walk), rule.edit(&schedule, sampler, 0.4), "the library's own walk from that level");
    assert_eq!((sampler.spacing, sampler.convention), (Spacing::Trailing, Convention::Paper));
    let expected = "Taking the noise away from x_t at t = 400 in 4 steps with DDIM, as 7.";
    assert_eq!(browser.status(), expected);
    let generate = &browser.app.generate;
    assert_eq!(generate.caption.as_deref(), Some("From x_t at t = 400 of Noise, asked for 7."));
    assert_eq!(generate.algorithm[0].1, "x_{400} = √ᾱ_{400} · x_{0} + √(1−ᾱ_{400}) · ε");
    let x_t = Sheet::of(&browser.app.noise.x_t, shape, 1).bytes.to_vec();
    assert_eq!(browser.grid(), x_t);
    (1..=4).for_each(|step| browser.step(step));
    browser.done();
    assert!(browser.status().starts_with("Done: 1 image in 4 steps"), "{}", browser.status());
    browser.tell(Message::Scrub(0));
    assert_eq!(browser.grid(), x_t, "the film begins with x_t");
    let film = browser.app.generate.film.as_ref().expect("a film");
    assert_eq!((film.caption.as_str(), film.last), ("x_t at t = 400", 4));
    // The slider has moved on; a run from the same x_t differs in what the controls say alone.
    browser.control("t", "10");
    browser.control("count", "3");
    browser.control("seed", "5");
    assert_eq!(browser.app.generate.changes, None);
    browser.control("steps", "8");
    let changes = browser.app.generate.changes.clone();
    assert_eq!(changes, Some(["4 steps".to_owned(), "8 steps".to_owned()]));
    browser.tell(Message::Save(What::Settings, String::new()));
    let saved = browser.effects().into_iter().find_map(|effect| match effect {
        Effect::Save(file) => String::from_utf8(file.bytes).ok(),
        _ => None,
    });
    let saved = saved.expect("a file");
    for part in ["\"t\": 400", "\"picture\": 3", "from x_t at t = 400 of picture 3 and noise 1", "\"steps\": 4"] {
        assert!(saved.contains(part), "{part} in {saved}");
    }
    // Generate is what it was.
    browser.tell(Message::Generate(Ok(1)));
    assert!(browser.status().starts_with("Generating 3 images in 8 steps"), "{}", browser.status());
}

#[test]
fn without_a_class_chosen_none_is_asked_for_and_near_the_picture_there_are_fewer_steps() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("steps", "8");
    browser.control("guidance", "3");
    browser.control("t", "3");
    let begun = take(&mut browser);
    assert_eq!((&begun[0].0.classes[..], begun[0].0.guidance, begun[0].0.sampler.steps), (&[None][..], 1.0, 3));
    assert!(
        browser.status().ends_with("at t = 3 in 3 steps with DPM-Solver++, without a class."),
        "{}",
        browser.status()
    );
    assert!(take(&mut browser).is_empty(), "one at a time");
    browser.tell(Message::Stop);
    // A model without a null class needs one.
    let mut browser = Browser::ready(1, Kind::Cpu);
    if let Some(model) = &mut browser.app.common.model {
        (model.config.null_class, model.config.num_class_embeds) = (None, Some(10));
    }
    browser.control("t", "500");
    assert_eq!(take(&mut browser)[0].0.classes, [Some(0)]);
    assert!(browser.status().ends_with("as 0, since this model needs a class."), "{}", browser.status());
}

#[test]
fn the_student_does_not_do_it_and_that_is_said() {
    let mut browser = Browser::open("#model=digits-fast&t=300", 1);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch("digits");
    browser.tell(Message::Student("digits".to_owned(), Ok(Box::new(super::student("digits")))));
    browser.tell(Message::Weights("digits-fast".to_owned(), Ok(4.5e6)));
    browser.start_all(Kind::Cpu);
    browser.load_all(Ok(()));
    assert!(browser.app.common.wanted_student().is_some());
    assert_eq!(take(&mut browser).len(), 1, "by the model itself");
    let title = browser.app.common.model.as_ref().expect("a model").entry.title.clone();
    let said = format!(" {title} itself does it: its student knows no such beginning.");
    assert!(browser.status().ends_with(&said), "{}", browser.status());
}

#[test]
fn where_nothing_can_begin_it_is_said_or_nothing_happens() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("t", "0");
    assert!(take(&mut browser).is_empty());
    assert_eq!(browser.status(), "At t = 0 there is no noise to take away: move t first.");
    browser.control("t", "9");
    browser.control("steps", "0");
    assert!(take(&mut browser).is_empty() && browser.app.common.status.failed);
    let mut browser = Browser::open("#model=digits", 1);
    assert!(take(&mut browser).is_empty(), "there is no model yet");
}

#[test]
fn a_lost_worker_changes_nothing_it_begins_anew_from_x_t() {
    for (sampler, after) in [("dpmsolver++", 0), ("ddim", 2)] {
        let mut browser = Browser::ready(2, Kind::Cpu);
        browser.control("sampler", sampler);
        browser.control("steps", "5");
        let begun = take(&mut browser);
        (1..=2).for_each(|step| browser.step(step));
        let shown = browser.grid();
        let lost = browser.walks()[0].0;
        browser.effects();
        browser.say(lost, FromWorker::Lost { message: "out of memory".to_owned() });
        browser.start_all(Kind::Cpu);
        let again = walks(browser.effects());
        let (settings, position, tensors) = again.last().expect("a walk");
        assert_eq!((settings, *position), (&begun[0].0, after), "{sampler}");
        assert_eq!(tensors[0] == begun[0].2[0], after == 0, "{sampler}: with x_t, or with x where it stands");
        assert_eq!(browser.grid(), shown);
        (after + 1..=5).for_each(|step| browser.step(step));
        browser.done();
        assert!(browser.status().starts_with("Done:"), "{}", browser.status());
    }
}

#[test]
fn the_link_of_such_a_run_begins_it_again() {
    let copy = |browser: &mut Browser| {
        browser.effects();
        browser.tell(Message::Copy(String::new()));
        let link = browser.effects().into_iter().find_map(|effect| match effect {
            Effect::Copy(link) => Some(link),
            _ => None,
        });
        link.expect("a link")
    };
    let mut browser = Browser::ready(1, Kind::Cpu);
    for (id, text) in [("t", "250"), ("noise-seed", "7"), ("thumbs", "5"), ("sampler", "ddim"), ("steps", "5")] {
        browser.control(id, text);
    }
    let begun = take(&mut browser);
    browser.control("t", "9");
    let link = copy(&mut browser);
    assert!(link.ends_with("&run=1&from=1") && link.contains("&t=250&noise=7&class=none&"), "{link}");
    let mut other = Browser::open(&link, 1);
    other.tell(Message::List(Ok(entries())));
    other.fetch("digits");
    other.effects();
    other.start_all(Kind::Cpu);
    let effects = other.effects();
    assert!(!effects.contains(&Effect::GoTo("generate")), "who opens a link decides where to look");
    assert_eq!(walks(effects), begun);
    assert_eq!(other.app.generate.changes, None);
    // And on a page that is open.
    other.tell(Message::Stop);
    other.control("t", "10");
    other.effects();
    other.tell(Message::Address(link.clone(), None));
    assert_eq!(walks(other.effects()), begun);
    // It is no setting, and without a run it is nothing.
    assert_eq!(parse("#from=1"), parse(""));
    assert!(takes(&link) && runs(&link) && !takes("#run=1") && !takes("#run=1&from=0"));
    let mut browser = Browser::open("#model=digits&from=2", 1);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch("digits");
    browser.start_all(Kind::Cpu);
    assert_eq!(browser.status(), "Error: the link's from is 0 or 1, not “2”.");
    // The visitor's own picture is in no link, and so is no run that begins with it.
    let cat = Picture { size: [40, 40], rgb: vec![190; 4800] };
    browser.tell(Message::Own("cat.png".to_owned(), Ok(cat)));
    assert_eq!(take(&mut browser).len(), 1);
    assert_eq!(copy(&mut browser), write(browser.settings()));
    browser.tell(Message::Copied(true));
    assert!(browser.status().ends_with(" The run from your own picture is not in it."), "{}", browser.status());
}
