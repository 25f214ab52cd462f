//! What a sampler says of itself.

use super::eight_steps;
use super::gaussian::schedules;
use noisette::diffusion::walk::inversion::{self, Asked};
use noisette::diffusion::walk::lines::{Shown, lines, lines_of};
use noisette::diffusion::walk::repaint::{self, Resampling};
use noisette::diffusion::walk::{DDIM, DDPM, IPNDM, Rule};
use noisette::diffusion::{Convention, Prediction, SamplerConfig, SamplerKind};
use std::collections::BTreeSet;

#[test]
fn every_sampler_is_one_rule() {
    for &kind in SamplerKind::ALL {
        assert_eq!(Rule::of(kind).name, kind.name());
    }
    let names: BTreeSet<&str> = crate::rules().iter().map(|rule| rule.name).collect();
    let titles: BTreeSet<&str> = crate::rules().iter().map(|rule| rule.title).collect();
    assert_eq!((names.len(), titles.len()), (crate::rules().len(), crate::rules().len()));
    // What is not allowed is not looked at.
    let [schedule, _] = schedules();
    for rule in crate::rules() {
        let config = SamplerConfig { steps: 8, convention: Convention::Diffusers, ..SamplerConfig::default() };
        let walk = |config: SamplerConfig| rule.walk(&schedule, &config).unwrap().moves;
        let eta = walk(SamplerConfig { eta: 0.5, ..config.clone() }) != walk(config.clone());
        let variance = noisette::diffusion::Variance::FixedLarge;
        let variance = walk(SamplerConfig { variance, ..config.clone() }) != walk(config.clone());
        let to_one = walk(SamplerConfig { set_alpha_to_one: false, ..config.clone() }) != walk(config);
        assert_eq!(
            [eta, variance, to_one],
            [rule.allows.eta, rule.allows.variance, rule.allows.set_alpha_to_one],
            "{}",
            rule.title
        );
    }
}

fn well_formed<const N: usize>(lines: &[(bool, String); N]) {
    assert!(!lines[0].0 && !lines[N - 1].0 && lines[2].0);
    for (_, text) in lines {
        let pairs = text.matches("_{").count() == text.matches('}').count();
        assert!(!text.is_empty() && !text.contains("{{") && !text.contains("  ,") && pairs, "{text}");
    }
}

#[test]
fn every_walk_has_its_lines() {
    let [schedule, _] = schedules();
    for &prediction in Prediction::ALL {
        for steps in [1, 2, 7, 1000] {
            for clip in [None, Some(1.0)] {
                for guided in [None, Some(2.0)] {
                    let sampler = &SamplerConfig { prediction, steps, clip, ..SamplerConfig::default() };
                    let shown = Shown { sampler, schedule: &schedule, guided, class: true };
                    crate::rules().iter().for_each(|rule| well_formed(&lines_of(rule, &shown)));
                    well_formed(&repaint::algorithm(&DDPM, &shown, Resampling::default()));
                    for asked in [Asked::Below, Asked::Above, Asked::Implicit { calls: 4 }] {
                        well_formed(&inversion::algorithm(&shown, asked));
                    }
                }
            }
        }
    }
}

#[test]
fn the_lines_are_what_runs() {
    let [schedule, _] = schedules();
    let sampler = &eight_steps();
    let shown = Shown { sampler, schedule: &schedule, guided: None, class: false };
    let [ipndm, ddim] = [&IPNDM, &DDIM].map(|rule| lines_of(rule, &shown));
    assert_eq!(ddim, lines(&shown));
    assert_eq!((&ipndm[..4], &ipndm[5]), (&ddim[..4], &ddim[5]));
    assert!(ipndm[4].1.contains("(55·ε̂ − 59·ε̂′ + 37·ε̂″ − 9·ε̂‴)/24"), "{}", ipndm[4].1);

    let again = Resampling { jump_length: 2, jump_n_sample: 3 };
    let text = repaint::algorithm(&DDIM, &shown, again).map(|(_, text)| text);
    assert!(text[6].starts_with("after every 2 steps, 2 times: "), "{}", text[6]);

    let up = |asked| inversion::algorithm(&shown, asked).map(|(_, text)| text);
    let above = up(Asked::Above);
    assert_eq!(above[1], "for t = 125, 250, 375, …, 1000, s the one before, at first 0:");
    assert_eq!([above[2].as_str(), above[4].as_str()], ["v̂ = v_{θ}(x_{s}, t)", "return x_{1000}"]);
    assert_eq!(up(Asked::Below)[2], "v̂ = v_{θ}(x_{s}, s)");
    assert_eq!(up(Asked::Implicit { calls: 3 })[2], "v̂ = v_{θ}(x_{t}, t)");
}
