//! What controls and links say, and what the page makes of it.

use super::{Browser, entries, model};
use noisette::diffusion::SamplerKind;
use noisette::engine::Kind;
use noisette::playground::sampler_config;
use noisette::web::app::{Described, Effect, Message};
use noisette::web::controls::{CONTROLS, of};
use noisette::web::job::Job;
use noisette::web::messages::ToWorker;
use noisette::web::noise::own::Picture;
use noisette::web::settings::Class;

#[test]
fn every_control_takes_what_it_says_and_says_what_it_took() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    for (id, text) in [
        ("thumbs", "7"),
        ("invert", "true"),
        ("t", "123"),
        ("noise-seed", "99"),
        ("schedule", "linear"),
        ("schedule", "hand"),
        ("timesteps", "50"),
        ("curve", "snr"),
        ("road", "steps"),
        ("class", "4"),
        ("class", "none"),
        ("sampler", "iPNDM"),
        ("sampler", "ipndm"),
        ("steps", "17"),
        ("seed", "4294967295"),
        ("lock", "false"),
        ("count", "16"),
        ("guidance", "2.5"),
        ("eta", "0.25"),
        ("engine", "cpu"),
        ("check-net", "ddpm"),
        ("fast", "true"),
        ("fast", "false"),
    ] {
        browser.control(id, text);
        let control = of(id).expect("a control");
        if text == "iPNDM" {
            assert!(browser.status().contains("Sampler is ddpm, ddim, dpmsolver++ or ipndm, not “iPNDM”"));
            continue;
        }
        assert_eq!(control.text(browser.settings()), text, "{id}");
        browser.tell(Message::Due);
        assert!(browser.written() == noisette::web::link::write(browser.settings()), "{id}");
    }
    let ids: Vec<_> = CONTROLS.iter().filter_map(|control| control.id).collect();
    assert_eq!(ids.len(), 20, "a control that this test does not know: {ids:?}");
    // And what the link of it says is the same again.
    let hash = noisette::web::link::write(browser.settings());
    let mut again = Browser::ready(1, Kind::Cpu);
    again.control("check-net", "ddpm");
    again.tell(Message::Address(hash, Some(browser.settings().memory())));
    assert_eq!(again.settings(), browser.settings());
}

#[test]
fn a_number_that_means_nothing_is_named_and_generate_leads_to_it() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("count", "many");
    assert_eq!(browser.status(), "Error: Count must be 1 to 16, not “many”.");
    browser.control("steps", "0");
    assert!(browser.status().contains("Steps must be 1 to 1000, not “0”; Count must be"), "{}", browser.status());
    assert_eq!((browser.settings().sampling.steps, browser.settings().count), (4, 10), "neither is taken");
    browser.effects();
    browser.tell(Message::Generate(Ok(1)));
    assert!(browser.app.generate.run.is_none());
    assert_eq!(browser.effects(), [Effect::Focus("steps")]);
    browser.control("steps", "5");
    assert!(browser.status().starts_with("Error: Count"), "the other one is still wrong");
    browser.control("count", "3");
    assert_eq!(browser.status(), "Ready.");
    // What no control offers for this model is refused as well.
    browser.control("class", "15");
    assert_eq!(browser.status(), "Error: a class of this model is 0 to 9, not 15.");
    assert_eq!(browser.settings().class, Class::Each);
}

/// The walk that a page asks for which was opened at this address.
fn walk_of(hash: &str, name: &str) -> (Job, Described) {
    let mut browser = Browser::open(hash, 1);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch(name);
    browser.start_all(Kind::Cpu);
    browser.tell(Message::Generate(Ok(1)));
    let sent = browser.workers.values().flatten().find_map(|sent| match sent {
        ToWorker::Begin { job: job @ Job::Walk { .. }, .. } => Some(job.clone()),
        _ => None,
    });
    (sent.expect("a walk"), model(name))
}

#[test]
fn an_old_link_asks_for_the_sampler_it_asked_for() {
    for name in ["digits", "fashion", "emoji"] {
        for (keys, kind, steps, eta) in [
            ("count=1", SamplerKind::Ddim, 15, 0.0),
            ("sampler=ddpm&steps=9", SamplerKind::Ddpm, 9, 0.0),
            ("sampler=ddim&steps=7&eta=0.5", SamplerKind::Ddim, 7, 0.5),
            ("sampler=dpmsolver++&steps=4", SamplerKind::DpmSolverPp2M, 4, 0.0),
            ("sampler=ipndm&steps=4&eta=0.5", SamplerKind::Ipndm, 4, 0.0),
        ] {
            let (job, described) = walk_of(&format!("#model={name}&{keys}&seed=3"), name);
            let Job::Walk { settings, seed, .. } = job else { panic!("{job:?}") };
            let expected = sampler_config(&described.model.scheduler, kind, steps, eta);
            assert_eq!((settings.sampler, settings.guidance, seed), (expected, 1.5, 3), "{name}, {keys}");
        }
    }
}

#[test]
fn a_copied_link_says_what_it_does_not_hold() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.tell(Message::Copied(true));
    assert_eq!(browser.status(), "The link is copied.");
    browser.control("count", "99");
    browser.tell(Message::Copied(true));
    assert_eq!(browser.status(), "The link is copied. What is marked red is not in it.");
    browser.tell(Message::Own("a.png".to_owned(), Ok(Picture { size: [1, 1], rgb: vec![0; 3] })));
    browser.control("count", "9");
    browser.tell(Message::Copied(true));
    assert_eq!(browser.status(), "The link is copied. Your own picture is not in it.");
}
