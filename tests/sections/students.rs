//! The fast student: when it generates, when its teacher does in its place, and that a page without it is none the worse.

use super::{Browser, entries, student};
use noisette::diffusion::SamplerKind;
use noisette::engine::{Choice, Kind};
use noisette::web::app::{Effect, Message};
use noisette::web::job::{Job, News};
use noisette::web::link;
use noisette::web::messages::{FromWorker, ToWorker};
use noisette::web::pool::Order;

/// A page at this address, with the digits; the student, if it is wanted, is still to come.
fn without_student(hash: &str, cores: usize) -> Browser {
    let mut browser = Browser::open(hash, cores);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch("digits");
    browser.start_all(Kind::Cpu);
    browser
}

/// The student arrives, and every worker takes it.
fn arrive(browser: &mut Browser) {
    browser.tell(Message::Student("digits".to_owned(), Ok(Box::new(student("digits")))));
    browser.tell(Message::Weights("digits-fast".to_owned(), Ok(4.5e6)));
    browser.load_all(Ok(()));
}

fn fast(cores: usize) -> Browser {
    let mut browser = without_student("", cores);
    arrive(&mut browser);
    assert_eq!(browser.status(), "Ready.");
    browser
}

/// Whether the student walks, in how many steps, by what, and how much it is guided by the sampler.
fn walk(browser: &Browser) -> (bool, usize, SamplerKind, f64) {
    let walks = browser.workers.values().flatten().filter_map(|sent| match sent {
        ToWorker::Begin { job: Job::Walk { settings, fast, .. }, .. } => {
            Some((*fast, settings.sampler.steps, settings.sampler.kind, settings.guidance))
        }
        _ => None,
    });
    walks.collect::<Vec<_>>().pop().expect("a walk")
}

fn generate(browser: &mut Browser) -> (bool, usize, SamplerKind, f64) {
    browser.tell(Message::Generate(Ok(1)));
    let walk = walk(browser);
    browser.tell(Message::Stop);
    walk
}

#[test]
fn the_bare_address_generates_with_the_student_and_a_link_to_the_teacher_does_not() {
    let mut browser = fast(2);
    assert_eq!(browser.students, ["digits"]);
    assert_eq!((browser.settings().sampling.steps, browser.settings().sampling.guidance), (4, 1.2), "as it was made");
    browser.tell(Message::Generate(Ok(1)));
    assert_eq!(browser.walks().len(), 2, "two workers share it");
    assert_eq!(walk(&browser), (true, 4, SamplerKind::Ddim, 1.0), "guidance is in its weights");
    assert_eq!(browser.status(), "Generating 10 images in 4 steps with DDIM.");
    assert!(link::write(browser.settings()).starts_with("#noise&model=digits-fast&"));
    let mut teacher = without_student("#model=digits", 1);
    assert!(teacher.students.is_empty(), "nobody needs it");
    assert_eq!(generate(&mut teacher), (false, 4, SamplerKind::DpmSolverPp2M, 1.3));
    // A link of the time before students names no model only if somebody has shortened it.
    let mut old = without_student("#steps=15&seed=3", 1);
    arrive(&mut old);
    assert_eq!(generate(&mut old), (false, 15, SamplerKind::Ddim, 1.5));
}

#[test]
fn what_it_was_not_made_for_is_its_teachers_and_said() {
    let mut browser = fast(1);
    browser.control("steps", "2");
    assert_eq!(generate(&mut browser), (true, 2, SamplerKind::Ddim, 1.0));
    for (id, other, usual, found) in [
        ("steps", "9", "4", "9 steps"),
        ("sampler", "dpmsolver++", "ddim", "the sampler dpmsolver++"),
        ("guidance", "1", "1.2", "guidance 1"),
        ("guidance", "2", "1.2", "guidance 2"),
        ("eta", "0.5", "0", "eta 0.5"),
        ("class", "none", "each", "a picture without a class"),
    ] {
        browser.control(id, other);
        assert_eq!(browser.app.generate.not_for.as_deref(), Some(found), "{id}");
        browser.tell(Message::Generate(Ok(1)));
        assert!(!walk(&browser).0, "{id}");
        assert!(browser.status().ends_with(", by the teacher."), "{}", browser.status());
        browser.tell(Message::Stop);
        browser.control(id, usual);
        assert_eq!(browser.app.generate.not_for, None, "{id}");
    }
    assert!(generate(&mut browser).0);
}

#[test]
fn the_switch_goes_to_the_teacher_and_back_and_what_is_shown_says_what_made_it() {
    let mut browser = fast(1);
    browser.tell(Message::Generate(Ok(1)));
    (1..=4).for_each(|step| browser.step(step));
    browser.done();
    browser.control("fast", "false");
    let [made, now] = browser.app.generate.changes.clone().expect("other settings");
    assert!(made.contains("the fast student") && now.contains("the teacher"), "{made}; {now}");
    assert!(!generate(&mut browser).0);
    browser.control("fast", "true");
    assert_eq!(browser.students, ["digits"], "it is there already");
    assert!(generate(&mut browser).0);
    // Where it is not, the switch fetches it, and nothing is generated until it is there.
    let mut browser = without_student("#model=digits", 1);
    browser.control("fast", "true");
    assert_eq!(browser.students, ["digits"]);
    assert!(!browser.app.common.can_generate());
    browser.control("fast", "false");
    assert!(browser.app.common.can_generate(), "it is wanted no more");
    browser.control("fast", "true");
    arrive(&mut browser);
    assert!(generate(&mut browser).0);
}

#[test]
fn the_model_comes_first_on_the_line_and_then_its_student() {
    let wanted = |browser: &mut Browser| {
        browser
            .effects()
            .into_iter()
            .any(|effect| matches!(effect, Effect::FetchStudentWeights(of) if of.name == "digits"))
    };
    let mut browser = Browser::open("", 1);
    browser.tell(Message::List(Ok(entries())));
    browser.tell(Message::Student("digits".to_owned(), Ok(Box::new(student("digits")))));
    browser.tell(Message::Described("digits".to_owned(), Ok(Box::new(super::model("digits")))));
    assert_eq!(browser.settings().sampling.steps, 4, "what it suggests is shown at once");
    assert!(!wanted(&mut browser));
    browser.tell(Message::Weights("digits".to_owned(), Ok(4.5e6)));
    assert!(wanted(&mut browser));
    browser.tell(Message::Control("t", "7".to_owned()));
    assert!(!wanted(&mut browser), "once");
    browser.start_all(Kind::Cpu);
    assert_eq!(browser.status(), "Loading the network …", "Generate needs it");
    browser.tell(Message::Weights("digits-fast".to_owned(), Ok(4.5e6)));
    assert_eq!(browser.status(), "Ready.");
}

#[test]
fn a_student_may_come_before_its_teacher_and_goes_with_it() {
    let mut browser = Browser::open("", 1);
    browser.tell(Message::List(Ok(entries())));
    arrive(&mut browser);
    browser.fetch("digits");
    browser.start_all(Kind::Cpu);
    browser.load_all(Ok(()));
    assert!(generate(&mut browser).0);
    browser.control("model", "emoji");
    browser.fetch("emoji");
    browser.start_all(Kind::Cpu);
    assert!(browser.app.common.student.is_none() || entries()[2].fast, "it was the digits'");
    assert_eq!(browser.settings().model.name, "emoji");
}

#[test]
fn a_new_engine_gets_the_student_and_a_walk_waits_for_it() {
    let mut browser = fast(1);
    browser.control("engine", "gpu");
    assert_eq!(browser.settings().engine, Choice::Gpu);
    browser.effects();
    browser.start_all(Kind::Gpu);
    let worker = browser.last_worker();
    assert!(browser.effects().contains(&Effect::Pool(Order::Load(worker))));
    browser.tell(Message::Generate(Ok(1)));
    assert!(browser.walks().is_empty(), "it has no student yet");
    browser.load_all(Ok(()));
    assert_eq!(browser.walks().len(), 1);
    assert!(walk(&browser).0);
}

#[test]
fn without_a_student_its_teacher_generates_and_the_page_says_why() {
    let usual = |browser: &mut Browser, why: &str| {
        assert_eq!(
            browser.status(),
            format!("Error: the fast student cannot be used, so its teacher generates: {why}.")
        );
        assert!(browser.app.common.can_generate() && !browser.settings().model.fast);
        assert_eq!(generate(browser), (false, 4, SamplerKind::DpmSolverPp2M, 1.3));
    };
    let mut browser = without_student("", 1);
    browser.tell(Message::Student("digits".to_owned(), Err("no route".to_owned())));
    usual(&mut browser, "no route");
    let mut browser = without_student("", 1);
    browser.tell(Message::Student("digits".to_owned(), Ok(Box::new(student("digits")))));
    browser.tell(Message::Weights("digits-fast".to_owned(), Err("cut off".to_owned())));
    usual(&mut browser, "cut off");
    let mut browser = without_student("", 1);
    let other = noisette::web::model::Model { entry: entries()[0].clone(), ..super::model("digits").model };
    browser.tell(Message::Student("digits".to_owned(), Ok(Box::new(other))));
    usual(&mut browser, "it does not say how many steps it was distilled for (_valid_steps)");
    // Weights that do not fit are only found by a worker; what it was asked for ends.
    let mut browser = without_student("", 2);
    browser.tell(Message::Student("digits".to_owned(), Ok(Box::new(student("digits")))));
    browser.tell(Message::Weights("digits-fast".to_owned(), Ok(4.5e6)));
    browser.tell(Message::Generate(Ok(1)));
    assert!(browser.app.common.running);
    browser.load_all(Err("a tensor is missing".to_owned()));
    usual(&mut browser, "a tensor is missing");
}

#[test]
fn a_lost_worker_leaves_the_students_walk_to_those_that_have_it() {
    let mut browser = fast(2);
    browser.tell(Message::Generate(Ok(1)));
    browser.step(1);
    let (lost, ..) = browser.walks()[1];
    browser.tell(Message::WorkerGone(lost, "gone".to_owned()));
    assert_eq!(browser.walks().iter().map(|walk| (walk.2, walk.3)).collect::<Vec<_>>(), [(1, 10)]);
    assert!(walk(&browser).0);
    let (worker, ticket, ..) = browser.walks()[0];
    browser.frame(worker, ticket, 2, 10);
    browser.say(worker, FromWorker::News { ticket, news: News::Done });
    assert!(browser.status().starts_with("Done"), "{}", browser.status());
}

#[test]
fn a_link_to_a_student_that_there_is_none_of_is_said() {
    let Some(entry) = entries().into_iter().find(|entry| !entry.fast) else { return };
    let mut browser = Browser::open(&format!("#model={}-fast", entry.name), 1);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch(&entry.name);
    browser.start_all(Kind::Cpu);
    assert_eq!(browser.status(), format!("Error: {} has no fast student.", entry.name));
    assert!(browser.app.common.can_generate() && browser.students.is_empty());
}

/// The page as it is while the weights of a student that is known are on their way.
fn half_there(cores: usize) -> Browser {
    let mut browser = without_student("", cores);
    browser.tell(Message::Student("digits".to_owned(), Ok(Box::new(student("digits")))));
    assert!(!browser.app.common.can_generate());
    browser
}

/// How often its weights were asked for since the last call.
fn asked(browser: &mut Browser) -> usize {
    browser.effects().iter().filter(|effect| matches!(effect, Effect::FetchStudentWeights(_))).count()
}

#[test]
fn a_student_given_up_on_its_way_is_fetched_anew_when_it_is_wanted_again() {
    let mut browser = half_there(1);
    browser.control("fast", "false");
    assert!(!generate(&mut browser).0);
    browser.control("fast", "true");
    assert!(!browser.app.common.can_generate(), "its weights are not there");
    browser.effects();
    arrive(&mut browser);
    assert_eq!(asked(&mut browser), 1);
    assert!(generate(&mut browser).0);
    // The same by another model that does not come.
    let mut browser = half_there(1);
    browser.control("model", "fashion");
    browser.tell(Message::Weights("fashion".to_owned(), Err("no route".to_owned())));
    assert_eq!(browser.settings().model.name, "digits");
    browser.effects();
    arrive(&mut browser);
    assert_eq!(asked(&mut browser), 1);
    assert!(generate(&mut browser).0);
}

#[test]
fn a_model_that_is_fetched_once_more_has_its_student_again() {
    // Its weights did not come the first time.
    let mut browser = Browser::open("", 1);
    browser.tell(Message::List(Ok(entries())));
    browser.tell(Message::Described("digits".to_owned(), Ok(Box::new(super::model("digits")))));
    browser.tell(Message::Student("digits".to_owned(), Ok(Box::new(student("digits")))));
    browser.tell(Message::Weights("digits".to_owned(), Err("no route".to_owned())));
    browser.tell(Message::Retry);
    browser.fetch("digits");
    browser.start_all(Kind::Cpu);
    assert_eq!(asked(&mut browser), 1);
    browser.tell(Message::Weights("digits-fast".to_owned(), Ok(4.5e6)));
    browser.load_all(Ok(()));
    assert!(generate(&mut browser).0);
    // It is chosen again while another one is coming.
    let mut browser = fast(1);
    browser.control("model", "fashion");
    browser.control("model", "digits");
    browser.fetch("digits");
    browser.start_all(Kind::Cpu);
    assert!(!browser.app.common.can_generate(), "the student is being loaded");
    arrive(&mut browser);
    assert!(generate(&mut browser).0);
}

#[test]
fn workers_that_are_set_aside_or_first_get_the_student_too() {
    // The student arrives while another engine is tried that cannot be had.
    let mut browser = half_there(2);
    browser.control("engine", "gpu");
    browser.tell(Message::Weights("digits-fast".to_owned(), Ok(4.5e6)));
    browser.load_all(Ok(()));
    let gpu = browser.last_worker();
    browser.say(gpu, FromWorker::Ready);
    browser.say(gpu, FromWorker::Refused { message: "no adapter".to_owned() });
    browser.tell(Message::Generate(Ok(1)));
    assert_eq!(browser.walks().len(), 2, "both that were there before");
    // One that opens before its leader.
    let mut browser = Browser::open("", 2);
    browser.tell(Message::NoGpu);
    browser.tell(Message::List(Ok(entries())));
    browser.fetch("digits");
    let [first, second] = [0, 1].map(|i| *browser.workers.keys().nth(i).expect("a worker"));
    browser.say(second, FromWorker::Ready);
    browser.say(second, FromWorker::Opened(super::engine(Kind::Cpu)));
    browser.tell(Message::Student("digits".to_owned(), Ok(Box::new(student("digits")))));
    browser.tell(Message::Weights("digits-fast".to_owned(), Ok(4.5e6)));
    browser.say(first, FromWorker::Ready);
    browser.say(first, FromWorker::Opened(super::engine(Kind::Cpu)));
    let loads = browser.effects().into_iter().filter_map(|effect| match effect {
        Effect::Pool(Order::Load(worker)) => Some(worker),
        _ => None,
    });
    assert_eq!(loads.collect::<Vec<_>>(), [second, first]);
    // The first run may be asked for before they have it: all take a share.
    browser.tell(Message::Generate(Ok(1)));
    browser.load_all(Ok(()));
    assert_eq!(browser.walks().len(), 2);
}

#[test]
fn the_switch_is_heard_beside_a_wrong_number() {
    let mut browser = without_student("#model=digits", 1);
    browser.control("steps", "");
    browser.control("fast", "true");
    assert_eq!(browser.students, ["digits"]);
    browser.control("steps", "4");
    arrive(&mut browser);
    assert!(browser.app.common.wanted_student().is_some());
}
