//! The page's link: every state survives it, and no text breaks it.
#![cfg(not(target_arch = "wasm32"))]

use noisette::checkpoint::Suggested;
use noisette::diffusion::{Convention, SamplerKind, Spacing};
use noisette::engine::Choice;
use noisette::rng::Rng;
use noisette::web::draw::text::Drawn;
use noisette::web::draw::{Drawing, Ink, Stroke};
use noisette::web::link::{parse, write};
use noisette::web::models::Which;
use noisette::web::noise::hand::Hand;
use noisette::web::noise::schedule::{Curve, Forward, Plan, Road};
use noisette::web::settings::{Chosen, Class, Limits, Room, Sampling, Settings, TimedNet};

const LIMITS: Limits = Limits { timesteps: 1000, classes: 10, none: true, pictures: 10, fast: true };

/// The text of some strokes.
fn drawn(rng: &mut Rng) -> Drawn {
    let mut stroke = || Stroke {
        points: (0..1 + rng.below(60)).map(|_| [rng.below(256) as u8, rng.below(256) as u8]).collect(),
        radius: 1 + rng.below(20) as u8,
        ink: [Ink::Pen, Ink::Rubber, Ink::Colour([9, 200, 77])][rng.below(3)],
    };
    Drawn::of(&Drawing::of(vec![stroke(), stroke()]))
}

#[test]
fn every_state_survives_its_link() {
    let mut rng = Rng::new(1);
    for i in 0..200 {
        let state = Settings {
            room: Room::ALL[rng.below(3)],
            model: Which { name: ["digits", "fashion", "x-2"][rng.below(3)].to_owned(), fast: i % 2 == 0 },
            picture: Some(rng.below(10)).filter(|_| i % 3 > 0),
            draw: if i % 3 > 0 { Drawn::default() } else { drawn(&mut rng) },
            invert: i % 5 == 0,
            t: rng.below(1001),
            noise: u64::from(rng.u32()),
            forward: Forward {
                plan: Plan::ALL[rng.below(Plan::ALL.len())],
                timesteps: None,
                hand: Hand::default().moved(rng.below(4), rng.below(100)),
                curve: Curve::ALL[rng.below(2)],
                road: Road::ALL[rng.below(2)],
            },
            class: [Class::Each, Class::None, Class::One(rng.below(10))][rng.below(3)],
            sampling: Sampling {
                sampler: SamplerKind::ALL[i % SamplerKind::ALL.len()],
                steps: 1 + rng.below(1000),
                spacing: Spacing::ALL[rng.below(Spacing::ALL.len())],
                convention: Convention::ALL[rng.below(Convention::ALL.len())],
                guidance: rng.below(51) as f64 / 10.0,
                eta: rng.uniform(),
            },
            chosen: Chosen::ALL,
            keep_seed: true,
            seed: u64::from(rng.u32()),
            count: 1 + rng.below(16),
            engine: [Choice::Auto, Choice::Gpu, Choice::Cpu][rng.below(3)],
            timed_net: TimedNet::Model,
        };
        assert_eq!(parse(&write(&state)), (state.clone(), Vec::new()));
        let mut fitted = state.clone();
        assert!(fitted.fit(LIMITS).is_empty(), "what the model allows is not touched");
        assert_eq!(fitted, state);
    }
    assert_eq!(parse(""), (Settings::default(), Vec::new()));
    assert!(!write(&Settings::default()).contains("schedule"), "what is the model's own needs no word");
    let (mut state, _) = parse("#t=30&schedule=hand&hand=80,70,20,1&T=50&curve=snr&forward=steps");
    let forward = state.forward;
    assert_eq!((forward.plan, forward.hand.text().as_str(), forward.timesteps), (Plan::Hand, "80,70,20,1", Some(50)));
    assert!(state.fit(LIMITS).is_empty());
    assert!(write(&state).contains("&t=30&noise=1&schedule=hand&T=50&hand=80,70,20,1&curve=snr&forward=steps&"));
    assert_eq!(parse(&write(&state)).0.forward, forward);
    assert_eq!(parse("#sampler=dpmsolver%2B%2B").0.sampling.sampler, SamplerKind::DpmSolverPp2M);
}

#[test]
fn each_thing_wrong_is_one_sentence_and_changes_nothing() {
    for (link, expected) in [
        ("#steps=0", "steps must be a whole number of at least 1, not “0”"),
        ("#steps=many", "not “many”"),
        ("#count=17", "count must be 1 to 16, not “17”"),
        ("#count=-1", "count must be 1 to 16"),
        ("#guidance=NaN", "guidance must be 0 to 5, not “NaN”"),
        ("#guidance=1e9", "guidance must be 0 to 5"),
        ("#eta=inf", "eta must be 0 to 1"),
        ("#seed=18446744073709551616", "seed must be 0 to 4294967295"),
        ("#model=../digits", "model is a model's name, not “../digits”"),
        ("#model=", "model is a model's name, not “”"),
        ("#picture=10", "picture must be 0 to 9"),
        ("#class=cat", "class is each, none or a number, not “cat”"),
        ("#sampler=magic", "sampler is ddpm, ddim, dpmsolver++ or ipndm, not “magic”"),
        ("#spacing=wide", "spacing is leading, trailing or linspace, not “wide”"),
        ("#as=me", "as is diffusers or paper, not “me”"),
        ("#engine=tpu", "engine is auto, gpu or cpu, not “tpu”"),
        ("#schedule=steep", "schedule is own, linear, scaled, cosine or hand, not “steep”"),
        ("#schedule=", "schedule is own, linear,"),
        ("#hand=1,2,3,4", "the link's hand is four whole numbers from 99 down to 1, not “1,2,3,4”"),
        ("#hand=90,65,35", "four whole numbers"),
        ("#T=24", "T must be 25 to 1000, not “24”"),
        ("#T=1001", "T must be 25 to 1000"),
        ("#curve=beta", "curve is bar or snr, not “beta”"),
        ("#forward=slow", "forward is once or steps, not “slow”"),
        ("#theme=dark", "a setting “theme” that this page does not know"),
        ("#kitchen", "the link has a room “kitchen” that this page does not know"),
        ("#engine=auto&t", "t must be a whole number"),
        ("#t=%ff", "not readable text"),
        ("#t=%2", "not readable text"),
        (&format!("#class={}", "ä".repeat(1000)), "ä…”"),
    ] {
        let (state, problems) = parse(link);
        assert_eq!(state, Settings::default(), "{link}");
        assert!(problems.len() == 1 && problems[0].contains(expected), "{link}: {problems:?}");
    }
    let (state, problems) = parse("#steps=0&count=3&nonsense&t=7");
    assert_eq!((problems.len(), state.count, state.t), (2, 3, 7), "what is right is taken all the same");
}

#[test]
fn what_the_model_does_not_allow_is_moved_and_said() {
    let (mut state, problems) = parse("#t=5000&steps=2000&class=12");
    assert!(problems.is_empty(), "another model might allow it");
    let moved = state.fit(LIMITS);
    assert_eq!(moved.len(), 3, "{moved:?}");
    assert_eq!((state.t, state.sampling.steps, state.class), (1000, 1000, Class::Each));
    let (mut state, _) = parse("#t=400&T=100&schedule=cosine");
    assert_eq!((state.fit(LIMITS), state.t), (vec!["t is at most 100 with this T, not 400".to_owned()], 100));
    let (mut state, _) = parse("#t=400&T=1000");
    assert_eq!((state.fit(LIMITS), state.forward.timesteps), (vec![], None), "it is the model's own");
    let mut state = Settings { class: Class::None, ..Settings::default() };
    assert_eq!(state.fit(Limits { none: false, ..LIMITS }).len(), 1);
    assert_eq!((state.class, state.sampling.guidance), (Class::Each, 1.0), "nothing to guide away from");
    let mut state = Settings { picture: Some(7), ..Settings::default() };
    assert_eq!(state.fit(Limits { pictures: 4, ..LIMITS }), ["this model has pictures 0 to 3, not 7"]);
    assert_eq!(state.picture, Some(3));
}

#[test]
fn no_text_breaks_it() {
    let mut rng = Rng::new(9);
    let alphabet: Vec<char> = "#&=%+-.eE019tsteps countclassNaN\u{0}é😀".chars().collect();
    for _ in 0..2000 {
        let text: String = (0..rng.below(60) + 1).map(|_| alphabet[rng.below(alphabet.len())]).collect();
        let (mut state, _) = parse(&text);
        state.fit(LIMITS);
        assert!(
            state.t <= 1000 && (1..=1000).contains(&state.sampling.steps) && (1..=16).contains(&state.count),
            "{text:?}"
        );
        assert!(
            (0.0..=5.0).contains(&state.sampling.guidance) && (0.0..=1.0).contains(&state.sampling.eta),
            "{text:?}"
        );
    }
}

#[test]
fn classes_take_turns() {
    let turn: Vec<_> = (0..12).map(|image| Class::Each.of(image, 10)).collect();
    assert_eq!(turn[..3], [Some(0), Some(1), Some(2)]);
    assert_eq!(turn[10..], [Some(0), Some(1)]);
    assert_eq!((Class::Each.of(3, 0), Class::None.of(3, 10), Class::One(4).of(3, 10)), (None, None, Some(4)));
}

#[test]
fn a_link_from_before_spacing_means_what_it_meant() {
    let of = |link: &str| {
        let (state, problems) = parse(link);
        assert!(problems.is_empty(), "{problems:?}");
        let how = state.sampling;
        let (sampler, spacing, convention) = (how.sampler.name(), how.spacing.name(), how.convention.name());
        (state.chosen, sampler, how.steps, spacing, convention, how.guidance, how.eta)
    };
    // As the page wrote them, and by hand.
    let whole = "#model=digits&picture=3&t=400&noise=1&class=each&sampler=ddim&steps=15&seed=6&count=10&guidance=1.5&eta=0&engine=auto";
    let old = (Chosen::ALL, "ddim", 15, "leading", "diffusers", 1.5, 0.0);
    assert_eq!(of(whole), old);
    assert_eq!(of("#steps=15"), old);
    assert_eq!(of("#guidance=1.5&t=30"), old);
    for link in ["#seed=9", "#t=3&class=4", "#model=emoji&count=2", "#eta=0"] {
        assert_eq!(of(link), old, "{link}");
        assert!(parse(link).0.keep_seed, "{link} is one picture");
    }
    assert_eq!(parse("#count=2").0.seed, 6);
    assert_eq!(of("#sampler=ddpm"), (Chosen::ALL, "ddpm", 15, "leading", "diffusers", 1.5, 0.0));
    // Who says nothing of pictures to generate leaves it to the model.
    for link in ["", "#t=3&noise=2&picture=4&engine=cpu", "#model=emoji"] {
        assert_eq!(of(link), (Chosen::default(), "ddim", 8, "trailing", "paper", 1.0, 0.0), "{link}");
        assert!(!parse(link).0.keep_seed, "{link}");
    }
    let chosen = Chosen { steps: true, spacing: true, ..Chosen::default() };
    assert_eq!(of("#spacing=trailing&as=paper&steps=4"), (chosen, "ddim", 4, "trailing", "paper", 1.0, 0.0));
}

#[test]
fn what_nobody_has_chosen_follows_the_model() {
    let of_model = Sampling {
        sampler: SamplerKind::DpmSolverPp2M,
        steps: 6,
        spacing: Spacing::Linspace,
        convention: Convention::Paper,
        guidance: 2.0,
        eta: 0.25,
    };
    let mut state = Settings::default();
    state.follow(&of_model);
    assert_eq!(state.sampling, of_model, "nobody has chosen anything");
    state.choose(Sampling { guidance: 4.0, ..of_model }, &of_model);
    state.follow(&Sampling::USUAL);
    assert_eq!(state.sampling, Sampling { guidance: 4.0, ..Sampling::USUAL }, "the guidance stays");
    let (mut old, _) = parse("#steps=15");
    let before = old.sampling;
    old.follow(&of_model);
    assert_eq!(old.sampling, before, "an old link is one picture with every model");
    old.choose(Sampling { guidance: 1.0, ..before }, &of_model);
    assert_eq!(old.sampling.spacing, Spacing::Leading, "its spacing is for these steps");
    old.choose(Sampling { steps: 1, ..old.sampling }, &of_model);
    assert_eq!((old.sampling.spacing, old.sampling.convention), (Spacing::Linspace, Convention::Paper));
    // What a reload needs and a link does not hold.
    for (chosen, keep_seed) in
        [(Chosen { eta: true, ..Chosen::default() }, false), (Chosen::ALL, true), (Chosen::default(), true)]
    {
        let state = Settings { chosen, keep_seed, ..Settings::default() };
        let (mut read, _) = parse(&write(&state));
        assert_eq!((read.chosen, read.keep_seed), (Chosen::ALL, true), "a link is what somebody chose");
        read.recall(state.memory());
        assert_eq!(read, state);
    }
}

#[test]
fn a_model_suggests_how_to_sample_it_within_what_the_page_has() {
    assert_eq!(Sampling::suggested(&Suggested::default(), 1000), Sampling::USUAL);
    let suggested = Suggested {
        sampler: Some(SamplerKind::DpmSolverPp2M),
        steps: Some(6),
        spacing: Some(Spacing::Linspace),
        guidance: Some(-3.0),
        ..Suggested::default()
    };
    let how = Sampling::suggested(&suggested, 1000);
    assert_eq!((how.sampler, how.steps, how.spacing), (SamplerKind::DpmSolverPp2M, 6, Spacing::Linspace));
    assert_eq!(how.guidance, 0.0, "the slider begins there");
    assert_eq!(Sampling::suggested(&Suggested::default(), 5).steps, 5, "there are no more");
}
