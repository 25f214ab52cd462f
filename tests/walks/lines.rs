//! The six lines that say what a run does: each is what runs, and no symbol in it is left unexplained.

use super::eight_steps;
use noisette::diffusion::walk::lines::{Shown, lines};
use noisette::diffusion::{Convention, Prediction, SamplerConfig, SamplerKind, Schedule, Spacing, Variance};

fn shown(config: &SamplerConfig, guided: Option<f64>, class: bool) -> [String; 6] {
    let schedule = Schedule::ddpm_linear(1000, 1e-4, 0.02).unwrap();
    lines(&Shown { sampler: config, schedule: &schedule, guided, class }).map(|(_, text)| text)
}

#[test]
fn the_text_is_what_runs() {
    let few = eight_steps();
    let text = shown(&few, None, true);
    assert_eq!(text[0], "x_{1000} ~ N(0, I)");
    assert_eq!(text[1], "for t = 1000, 875, 750, …, 125, s the next one, at last 0:");
    assert_eq!(text[2], "v̂ = v_{θ}(x_{t}, t, class)");
    assert_eq!(text[3], "x̂_{0} = √ᾱ_{t} · x_{t} − √(1−ᾱ_{t}) · v̂,  ε̂ = √ᾱ_{t} · v̂ + √(1−ᾱ_{t}) · x_{t}");
    assert_eq!(text[4], "x_{s} = √ᾱ_{s} · x̂_{0} + √(1−ᾱ_{s}) · ε̂");

    let old = SamplerConfig { steps: 5, spacing: Spacing::Leading, convention: Convention::Diffusers, ..few };
    let text = shown(&old, Some(1.5), true);
    assert_eq!(
        (text[0].as_str(), text[1].as_str()),
        ("x_{801} ~ N(0, I)", "for t = 801, 601, 401, …, 1, s = t − 200, at least 0:")
    );
    assert_eq!(text[2], "v̂ = v_{θ}(x_{t}, t) + 1.5·(v_{θ}(x_{t}, t, class) − v_{θ}(x_{t}, t))");

    // It ends one step short of x_0: 1000 is no multiple of 7.
    let short = SamplerConfig { steps: 7, spacing: Spacing::Trailing, ..old };
    assert_eq!(shown(&short, None, true)[5], "return x_{1}");
    let short = SamplerConfig { set_alpha_to_one: false, ..old };
    let text = shown(&short, None, true);
    assert!(text[1].ends_with("s = t − 200, at least 1:") && text[5] == "return x_{1}", "{text:?}");
    let paper = SamplerConfig { convention: Convention::Paper, eta: 0.5, ..short };
    let text = shown(&paper, None, true);
    assert!(text[4].contains("0.5²·(1−ᾱ_{s})") && text[5] == "return x_{0}", "{text:?}");

    let text = shown(&SamplerConfig::default(), None, false);
    assert_eq!(text[1], "for t = 1000, 999, 998, …, 1:");
    assert_eq!(text[2], "ε̂ = ε_{θ}(x_{t}, t)");
    assert_eq!(text[3], "x̂_{0} = (x_{t} − √(1−ᾱ_{t}) · ε̂) / √ᾱ_{t}, cut to ±1");
    assert!(text[4].contains("x_{t−1}") && text[4].contains("σ_{t}² = β̃_{t}"), "{}", text[4]);
    assert!(text[4].contains("α_{t} = ᾱ_{t}/ᾱ_{t−1},  β_{t} = 1−α_{t},"), "{}", text[4]);
    let large = SamplerConfig { variance: Variance::FixedLarge, ..SamplerConfig::default() };
    assert!(shown(&large, None, false)[4].contains("σ_{t}² = β_{t},"));

    let one = SamplerConfig { steps: 1, clip: Some(1.0), prediction: Prediction::Epsilon, ..old };
    let one = SamplerConfig { convention: Convention::Paper, spacing: Spacing::Trailing, ..one };
    let text = shown(&one, None, false);
    assert_eq!(text[1], "for t = 1000, s = 0:");
    assert!(text[3].ends_with("cut to ±1,  ε̂ = (x_{t} − √ᾱ_{t} · x̂_{0}) / √(1−ᾱ_{t})"), "{}", text[3]);
}

#[test]
fn a_run_that_begins_at_some_t_begins_with_a_noised_picture() {
    let config = SamplerConfig { from: Some(400), steps: 4, ..eight_steps() };
    let text = shown(&config, None, false);
    assert_eq!(text[0], "x_{400} = √ᾱ_{400} · x_{0} + √(1−ᾱ_{400}) · ε");
    assert_eq!(text[1], "for t = 400, 300, 200, 100, s the next one, at last 0:");
    let strides = SamplerConfig { convention: Convention::Diffusers, ..config };
    assert!(shown(&strides, None, false)[1].ends_with("s = t − 100, at least 0:"));
    let every = SamplerConfig { from: Some(3), steps: 3, ..SamplerConfig::default() };
    assert!(shown(&every, None, false)[4].contains("x_{t−1}"));
}

/// Everything that can be asked for.
fn everything() -> Vec<SamplerConfig> {
    let mut all = Vec::new();
    for &kind in SamplerKind::ALL {
        for &prediction in Prediction::ALL {
            for &spacing in Spacing::ALL {
                for convention in [Convention::Diffusers, Convention::Paper] {
                    for steps in [1, 2, 3, 7, 999, 1000] {
                        let plain =
                            SamplerConfig { kind, prediction, spacing, convention, steps, ..Default::default() };
                        let eta = if kind == SamplerKind::Ddim { 0.5 } else { 0.0 };
                        let other = SamplerConfig { variance: Variance::FixedLarge, eta, ..plain.clone() };
                        all.extend([plain, other]);
                    }
                }
            }
        }
    }
    all
}

#[test]
fn there_is_a_text_for_everything_that_can_be_asked_for() {
    for config in everything() {
        for text in shown(&config, None, true) {
            assert!(
                !text.is_empty() && !text.contains("{{") && text.matches("_{").count() == text.matches('}').count(),
                "{text}"
            );
        }
    }
}

#[test]
fn every_symbol_is_said_what_it_is() {
    // What a reader of the page knows.
    let known = ["x", "t", "T", "ᾱ", "N", "I", "e", "ln", "ε", "v", "θ"];
    let is_mark = |c: char| ('\u{300}'..'\u{370}').contains(&c);
    for config in everything() {
        let text = format!(" {}", shown(&config, Some(2.0), true).join("\n "));
        let words = text.split(|c: char| !c.is_alphabetic() && !is_mark(c)).filter(|word| !word.is_empty());
        let is_english =
            |word: &str| word.len() > 2 && word.is_ascii() || ["in", "of", "to", "at", "no"].contains(&word);
        for symbol in words.filter(|word| !known.contains(word) && !is_english(word)) {
            let says = |end: &str| text.contains(&format!(" {symbol}{end}"));
            let is_said = [" = ", " ~ ", "_{t} = ", "_{t}² = ", "_{0} = ", " the next one"].into_iter().any(says);
            assert!(is_said, "{symbol} is nowhere said to be anything in\n{text}");
        }
    }
}
