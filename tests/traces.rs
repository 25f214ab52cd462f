//! Every sampler's whole run from fixed noise, against what it was when walks replaced the samplers before them.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::checkpoint::read_tensors;
use noisette::diffusion::{Convention, SamplerConfig, SamplerKind, Spacing};
use noisette::playground::{Noise, Session, Settings, sampler_config};
use noisette::tensor::nhwc_to_nchw;
use pollster::block_on;
use support::golden;

const STEPS: usize = 6;

#[test]
fn runs_are_what_they_were() {
    let file = read_tensors(golden::dir("traces.safetensors")).expect("the golden traces");
    assert_eq!(file.tensors.len(), 28);
    for engine in golden::ENGINES {
        let mut session = Session::new(golden::engine(engine), golden::checkpoint("grey")).expect("a session");
        let image = session.image_shape();
        for name in file.tensors.keys() {
            let parts: Vec<&str> = name.split('.').collect();
            let &[sampler, spacing, convention, guidance] = parts.as_slice() else { panic!("{name}") };
            let (sampler, eta) = sampler.strip_suffix("-eta1").map_or((sampler, 0.0), |sampler| (sampler, 1.0));
            let kind = SamplerKind::from_name(sampler).expect("a sampler");
            let sampler = SamplerConfig {
                spacing: Spacing::from_name(spacing).expect("a spacing"),
                convention: Convention::from_name(convention).expect("a convention"),
                ..sampler_config(session.scheduler(), kind, STEPS, eta)
            };
            let guidance = guidance.strip_prefix("guidance").expect("a scale").parse().expect("a number");
            let settings = Settings { classes: vec![Some(3); 2], guidance, sampler };
            session.start(&settings, Noise::Seed(5)).expect("a run");
            let (extents, expected) = file.f32(name, 5).expect("the states");
            assert_eq!(extents, [STEPS, 2, 1, image.h(), image.w()], "{name}");
            let mut steps = 0;
            while let Some(frame) = block_on(session.step()).expect("a step") {
                let x = nhwc_to_nchw(&frame.x, image.with_n(2));
                let expected = &expected[steps * x.len()..][..x.len()];
                let error = x.iter().zip(expected).fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
                // Unclipped, the states of these random weights grow.
                let scale = expected.iter().fold(1.0_f32, |max, x| max.max(x.abs()));
                assert!(error <= 2e-4 * scale, "{engine}, {name}: step {steps} is off by {error:.1e} of {scale:.1}");
                steps += 1;
            }
            assert_eq!(steps, STEPS, "{engine}, {name}");
        }
    }
}
