//! Sampling sessions: the same run in other portions or begun in the middle, and what is refused.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::diffusion::SamplerKind;
use noisette::diffusion::walk::{Inputs, SLOTS, Walk};
use noisette::engine::Engine;
use noisette::playground::{Frame, Noise, Session, Settings, sampler_config, start_noise};
use noisette::tensor::nhwc_to_nchw;
use pollster::block_on;
use support::golden::checkpoint;
use support::{compare, noise};

fn session(name: &str) -> Session {
    Session::new(Engine::Cpu(None), checkpoint(name)).expect("the parameters fit")
}

fn settings(
    name: &str,
    classes: &[Option<usize>],
    guidance: f64,
    kind: SamplerKind,
    steps: usize,
    eta: f64,
) -> Settings {
    Settings {
        classes: classes.to_vec(),
        guidance,
        sampler: sampler_config(&checkpoint(name).scheduler, kind, steps, eta),
    }
}

fn frames(session: &mut Session) -> Vec<Frame> {
    std::iter::from_fn(|| block_on(session.step()).expect("a step")).collect()
}

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

#[test]
fn noise_has_the_bits_it_has_in_a_browser() {
    assert_eq!(noise::fingerprint(), noise::FINGERPRINT);
}

#[test]
fn a_run_goes_on_from_any_step() {
    let classes = [Some(1), None, Some(7)];
    for (kind, eta) in [(SamplerKind::Ddpm, 0.0), (SamplerKind::Ddim, 0.5), (SamplerKind::Ddim, 0.0)] {
        let settings = settings("grey", &classes, 1.5, kind, 5, eta);
        let mut session = session("grey");
        session.start(&settings, Noise::Seed(11)).expect("a run");
        let whole = frames(&mut session);
        let again = Noise::Given { x: whole[2].x.clone(), steps: None, seed: 11 };
        session.start_after(&settings, again, 3).expect("the rest of a run");
        assert_eq!(frames(&mut session), whole[3..], "{kind:?} goes on as it would have");
        session.start(&settings, Noise::Seed(12)).expect("a run");
        assert_ne!(frames(&mut session)[0].x, whole[0].x, "another seed is another run");
    }
}

#[test]
fn a_run_that_begins_at_some_t_is_the_rest_of_one_that_comes_there() {
    use noisette::diffusion::{Convention, Spacing};
    for kind in [SamplerKind::Ddim, SamplerKind::DpmSolverPp2M] {
        let mut whole = settings("grey", &[Some(1), None], 1.5, kind, 5, 0.0);
        (whole.sampler.spacing, whole.sampler.convention) = (Spacing::Trailing, Convention::Paper);
        let mut session = session("grey");
        session.start(&whole, Noise::Seed(11)).expect("a run");
        let x = frames(&mut session)[2].x.clone();
        let given = || Noise::Given { x: x.clone(), steps: None, seed: 11 };
        session.start_after(&whole, given(), 3).expect("the rest of a run");
        let rest = frames(&mut session);
        let mut part = whole.clone();
        (part.sampler.from, part.sampler.steps) = (Some(400), 2);
        session.start(&part, given()).expect("a run");
        let found = frames(&mut session);
        let of = |frames: &[Frame]| frames.iter().map(|f| (f.timestep, f.x.clone(), f.x0.clone())).collect::<Vec<_>>();
        assert_eq!(of(&found), of(&rest), "{kind:?}");
        assert_eq!(found.iter().map(|f| (f.step, f.timestep)).collect::<Vec<_>>(), [(1, 399), (2, 199)]);
        part.sampler.from = Some(0);
        assert!(session.start(&part, given()).is_err());
    }
}

#[test]
fn a_run_in_parts_is_the_run() {
    let classes = [Some(1), None, Some(7), Some(1), Some(0)];
    for (kind, eta) in [(SamplerKind::Ddpm, 0.0), (SamplerKind::Ddim, 0.5), (SamplerKind::DpmSolverPp2M, 0.0)] {
        let settings = settings("grey", &classes, 1.5, kind, 4, eta);
        let run = |position: usize, x: Option<&[f32]>, part: std::ops::Range<usize>| {
            let mut session = session("grey");
            session.set_images_at_once(1);
            let noise = match x {
                Some(x) => Noise::Given { x: x.to_vec(), steps: None, seed: 11 },
                None => Noise::Seed(11),
            };
            session.start_part(&settings, noise, position, part).expect("a run");
            frames(&mut session)
        };
        let whole = run(0, None, 0..5);
        let parts = [run(0, None, 0..2), run(0, None, 2..3), run(0, None, 3..5)];
        for (i, frame) in whole.iter().enumerate() {
            let joined: Vec<f32> = parts.iter().flat_map(|part| part[i].x.clone()).collect();
            assert_eq!(frame.x, joined, "{kind:?}, step {}", frame.step);
        }
        if kind != SamplerKind::DpmSolverPp2M {
            let image = whole[0].x.len() / 5;
            let rest = run(2, Some(&whole[1].x[3 * image..]), 3..5);
            assert_eq!(rest.last().expect("a last frame").x, whole[3].x[3 * image..], "{kind:?} goes on in parts");
        }
    }
}

#[test]
fn seeds_draw_images_in_pytorchs_order() {
    let mut session = session("rgb");
    let shape = session.image_shape().with_n(2);
    let drawn = noisette::rng::Rng::new(3).normals(shape.len());
    session.start(&settings("rgb", &[None, None], 1.0, SamplerKind::Ddpm, 2, 0.0), Noise::Seed(3)).expect("a run");
    let x = session.x().expect("a run in progress");
    assert_eq!(nhwc_to_nchw(x, shape), drawn);
    assert_eq!(x, start_noise(3, shape));
}

#[test]
fn samplers_remember_and_each_image_for_itself() {
    let classes = [Some(4), Some(1), None];
    for (kind, at_once) in [
        (SamplerKind::DpmSolverPp2M, 16),
        (SamplerKind::DpmSolverPp2M, 2),
        (SamplerKind::Ipndm, 16),
        (SamplerKind::Ipndm, 2),
    ] {
        let settings = settings("grey", &classes, 1.0, kind, 6, 0.0);
        let mut session = session("grey");
        session.set_images_at_once(at_once);
        session.start(&settings, Noise::Seed(2)).expect("a run");
        let mut x = session.x().expect("a run in progress").to_vec();
        let image = x.len() / classes.len();
        let frames = frames(&mut session);
        let walk = Walk::new(session.schedule(), &settings.sampler).expect("a walk");
        assert!(walk.looks_back(), "the case has steps of higher order");
        let mut slots = vec![0.0; SLOTS * x.len()];
        for (step, frame) in walk.moves.iter().zip(&frames) {
            let predict = |(x, &class): (&[f32], &Option<usize>)| {
                block_on(session.predict(x, step.timestep, class)).expect("a prediction").epsilon
            };
            let output: Vec<f32> = x.chunks_exact(image).zip(&classes).flat_map(predict).collect();
            let mut next = vec![0.0; x.len()];
            let inputs = Inputs { x: &x, output: &output, noise: &[], known: &[], mask: &[] };
            step.apply(inputs, &mut slots, &mut next);
            let what = format!("{}, {at_once} at once, step {}", kind.name(), frame.step);
            compare::close(&frame.x, &f64s(&next), 2e-5).unwrap_or_else(|why| panic!("{what}: {why}"));
            x = next;
        }
        assert_eq!(frames.len(), 6);
    }
}

#[test]
fn guidance_extrapolates_from_no_class() {
    let run = |classes: &[Option<usize>], guidance: f64| {
        let mut session = session("grey");
        session.start(&settings("grey", classes, guidance, SamplerKind::Ddim, 3, 0.0), Noise::Seed(1)).expect("a run");
        frames(&mut session).pop().expect("a last frame").x
    };
    let (with, without) = (run(&[Some(3)], 1.0), run(&[None], 1.0));
    assert_ne!(with, without);
    assert_eq!(run(&[Some(3)], 0.0), without, "no guidance is no class");
    compare::close(&run(&[None, None], 3.0)[..without.len()], &f64s(&run(&[None, None], 1.0)[..without.len()]), 1e-6)
        .expect("nothing to exaggerate");
    assert_ne!(run(&[Some(3)], 2.0), with);
}

#[test]
fn what_cannot_be_done_is_said() {
    let (mut grey, mut rgb) = (session("grey"), session("rgb"));
    let error = |result: Result<(), noisette::playground::PlaygroundError>| result.expect_err("a refusal").to_string();
    let ddim =
        |name, classes: &[Option<usize>], w, steps, eta| settings(name, classes, w, SamplerKind::Ddim, steps, eta);
    let seed = || Noise::Seed(0);
    for (message, expected) in [
        (error(grey.start(&ddim("grey", &[], 1.0, 3, 0.0), seed())), "at least 1 image"),
        (error(grey.start(&ddim("grey", &[Some(10)], 1.0, 3, 0.0), seed())), "0 to 9, found 10"),
        (error(grey.start(&ddim("grey", &[Some(1)], f64::NAN, 3, 0.0), seed())), "between -20 and 20, found NaN"),
        (
            error(grey.start(&ddim("grey", &[Some(1)], 1.0, 0, 0.0), seed())),
            "1 to 1000 steps with this schedule, found 0",
        ),
        (error(grey.start(&ddim("grey", &[Some(1)], 1.0, 3, 1.5), seed())), "between 0 and 1, found 1.5"),
        (error(grey.start_after(&ddim("grey", &[Some(1)], 1.0, 3, 0.0), seed(), 4)), "cannot start after step 4"),
        (
            error(grey.start_part(&ddim("grey", &[None; 2], 1.0, 3, 0.0), seed(), 0, 1..3)),
            "has 2 images, so images 1 to 3 are no part",
        ),
        (error(rgb.start(&ddim("rgb", &[Some(0)], 1.0, 3, 0.0), seed())), "no classes, so class 0"),
        (
            error(
                grey.start(&ddim("grey", &[Some(1)], 1.0, 3, 0.0), Noise::Given { x: vec![0.0], steps: None, seed: 0 }),
            ),
            "x_T has 1 values, expected 64",
        ),
        (error(block_on(grey.predict(&[0.0; 64], 1000, None)).map(|_| ())), "0 to 999, found 1000"),
        (error(block_on(grey.predict(&[0.0; 63], 1, None)).map(|_| ())), "x_t has 63 values, expected 64"),
    ] {
        assert!(message.contains(expected), "“{message}” does not say “{expected}”");
    }
    assert!(block_on(grey.step()).expect("nothing to do").is_none(), "a refused run does not begin");
}
