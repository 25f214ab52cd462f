//! The algorithm that a run follows, in six lines, as it is for the model at hand. Subscripts stand as `_{…}`.

use crate::diffusion::{Convention, Prediction, Sampler, SamplerConfig, SamplerKind, Schedule, Variance};

/// Timesteps of a list that are written out at its beginning.
const FIRST: usize = 3;

/// What decides the text.
pub struct Shown<'a> {
    /// The sampler.
    pub sampler: &'a SamplerConfig,
    /// Its noise schedule.
    pub schedule: &'a Schedule,
    /// The guidance scale, if two predictions are mixed.
    pub guided: Option<f64>,
    /// Whether the network is told a class.
    pub class: bool,
}

/// (Indented, text) of each line: start, loop, prediction, x̂_0, the move, the end.
pub fn lines(shown: &Shown) -> [(bool, String); 6] {
    let Shown { sampler: config, schedule, .. } = *shown;
    // The paper's t is one more than the timestep in files.
    let visited: Vec<usize> = Sampler::new(schedule, config).map_or(Vec::new(), |sampler| sampler.timesteps());
    let visited: Vec<usize> = visited.iter().map(|timestep| timestep + 1).collect();
    let first = visited.first().map_or("T".to_owned(), usize::to_string);
    [
        (false, format!("x_{{{first}}} ~ N(0, I)")),
        (false, format!("for t = {}{}:", list(&visited), next(config, schedule, &visited))),
        (true, predict(shown)),
        (true, x_0(config)),
        (true, move_x(config, visited.len() == schedule.timesteps())),
        (false, format!("return x_{{{}}}", end(config, schedule, &visited))),
    ]
}

/// A falling list, its middle left out where it is long.
fn list(visited: &[usize]) -> String {
    let words: Vec<String> = visited.iter().map(usize::to_string).collect();
    match words.split_last() {
        Some((last, before)) if before.len() > FIRST => format!("{}, …, {last}", before[..FIRST].join(", ")),
        _ => words.join(", "),
    }
}

/// Where DDIM as diffusers has it lands from t, if it does not land on x_0: t − ⌊T/n⌋, or at the least ᾱ_1 for ᾱ_0.
fn stride(config: &SamplerConfig, schedule: &Schedule) -> Option<(usize, usize)> {
    let own = config.kind == SamplerKind::Ddim && config.convention == Convention::Diffusers;
    own.then(|| (schedule.timesteps() / config.steps.max(1), usize::from(!config.set_alpha_to_one)))
}

/// The t of what is returned: 0 but for a DDIM that stops short of it.
fn end(config: &SamplerConfig, schedule: &Schedule, visited: &[usize]) -> usize {
    let Some((stride, least)) = stride(config, schedule) else { return 0 };
    visited.last().map_or(0, |last| last.saturating_sub(stride)).max(least)
}

/// What s is, where the formula of the move speaks of it.
fn next(config: &SamplerConfig, schedule: &Schedule, visited: &[usize]) -> String {
    let end = end(config, schedule, visited);
    match stride(config, schedule) {
        _ if config.kind == SamplerKind::Ddpm && visited.len() == schedule.timesteps() => String::new(),
        _ if visited.len() == 1 => format!(", s = {end}"),
        Some((stride, least)) => format!(", s = t − {stride}, at least {least}"),
        None => ", s the next one, at last 0".to_owned(),
    }
}

/// The network's part.
fn predict(shown: &Shown) -> String {
    let (name, symbol) = match shown.sampler.prediction {
        Prediction::Epsilon => ("ε̂", "ε"),
        Prediction::VPrediction => ("v̂", "v"),
        Prediction::Sample => ("x̂", "x"),
    };
    match shown.guided {
        Some(w) => {
            format!(
                "{name} = {symbol}_{{θ}}(x_{{t}}, t) + {w}·({symbol}_{{θ}}(x_{{t}}, t, class) − {symbol}_{{θ}}(x_{{t}}, t))"
            )
        }
        None if shown.class => format!("{name} = {symbol}_{{θ}}(x_{{t}}, t, class)"),
        None => format!("{name} = {symbol}_{{θ}}(x_{{t}}, t)"),
    }
}

/// x̂_0 of the prediction, and ε̂ where the move speaks of it and the network does not.
fn x_0(config: &SamplerConfig) -> String {
    let (x_0, of_model) = match config.prediction {
        Prediction::Epsilon => ("(x_{t} − √(1−ᾱ_{t}) · ε̂) / √ᾱ_{t}", None),
        Prediction::VPrediction => ("√ᾱ_{t} · x_{t} − √(1−ᾱ_{t}) · v̂", Some("√ᾱ_{t} · v̂ + √(1−ᾱ_{t}) · x_{t}")),
        Prediction::Sample => ("x̂", Some("(x_{t} − √ᾱ_{t} · x̂) / √(1−ᾱ_{t})")),
    };
    let cut = config.clip.map_or(String::new(), |c| format!(", cut to ±{c}"));
    // The paper's ε̂ is what x_t holds beside the x̂_0 that was cut; diffusers' is the network's own.
    let again = config.convention == Convention::Paper && config.clip.is_some();
    let epsilon = if again { Some("(x_{t} − √ᾱ_{t} · x̂_{0}) / √(1−ᾱ_{t})") } else { of_model };
    let epsilon = epsilon.filter(|_| config.kind == SamplerKind::Ddim);
    format!("x̂_{{0}} = {x_0}{cut}{}", epsilon.map_or(String::new(), |epsilon| format!(",  ε̂ = {epsilon}")))
}

/// From x_t to x_s.
fn move_x(config: &SamplerConfig, every: bool) -> String {
    // In every step that leads from one t to the one before it, s is t − 1.
    let (s, alpha, beta) =
        if every { ("t−1", "α_{t}", "β_{t}") } else { ("s", "ᾱ_{t}/ᾱ_{s}", "(1−ᾱ_{t}/ᾱ_{s})") };
    let variance = match config.variance {
        Variance::FixedSmall => format!("β̃_{{t}} = (1−ᾱ_{{{s}}})/(1−ᾱ_{{t}})·{beta}"),
        Variance::FixedLarge => beta.to_owned(),
    };
    match config.kind {
        SamplerKind::Ddpm => format!(
            "x_{{{s}}} = √ᾱ_{{{s}}}·{beta}/(1−ᾱ_{{t}}) · x̂_{{0}} + √{}·(1−ᾱ_{{{s}}})/(1−ᾱ_{{t}}) · x_{{t}} + σ_{{t}}·z,  \
             σ_{{t}}² = {variance},  z ~ N(0, I){}",
            if every { alpha.to_owned() } else { format!("({alpha})") },
            if config.convention == Convention::Paper { ", none in the last step" } else { ", none at t = 1" },
        ),
        SamplerKind::Ddim if config.eta == 0.0 => "x_{s} = √ᾱ_{s} · x̂_{0} + √(1−ᾱ_{s}) · ε̂".to_owned(),
        SamplerKind::Ddim => format!(
            "x_{{s}} = √ᾱ_{{s}} · x̂_{{0}} + √(1−ᾱ_{{s}}−σ_{{t}}²) · ε̂ + σ_{{t}}·z,  σ_{{t}}² = {}²·(1−ᾱ_{{s}})/(1−ᾱ_{{t}})·(1−ᾱ_{{t}}/ᾱ_{{s}}),  \
             z ~ N(0, I)",
            config.eta
        ),
        SamplerKind::DpmSolverPp2M => {
            "x_{s} = σ_{s}/σ_{t} · x_{t} − α_{s}·(e^−h − 1) · (x̂_{0} + (x̂_{0} − x̂_{0}′)/2r),  \
            x̂_{0}′ of the step before; without the fraction in the first and the last step"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::Spacing;

    fn shown(config: &SamplerConfig, guided: Option<f64>, class: bool) -> [String; 6] {
        let schedule = Schedule::ddpm_linear(1000, 1e-4, 0.02).unwrap();
        lines(&Shown { sampler: config, schedule: &schedule, guided, class }).map(|(_, text)| text)
    }

    #[test]
    fn the_text_is_what_runs() {
        let few = SamplerConfig {
            kind: SamplerKind::Ddim,
            steps: 8,
            spacing: Spacing::Trailing,
            convention: Convention::Paper,
            prediction: Prediction::VPrediction,
            clip: None,
            ..SamplerConfig::default()
        };
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
        let large = SamplerConfig { variance: Variance::FixedLarge, ..SamplerConfig::default() };
        assert!(shown(&large, None, false)[4].contains("σ_{t}² = β_{t},"));

        let one = SamplerConfig { steps: 1, clip: Some(1.0), prediction: Prediction::Epsilon, ..old };
        let one = SamplerConfig { convention: Convention::Paper, spacing: Spacing::Trailing, ..one };
        let text = shown(&one, None, false);
        assert_eq!(text[1], "for t = 1000, s = 0:");
        assert!(text[3].ends_with("cut to ±1,  ε̂ = (x_{t} − √ᾱ_{t} · x̂_{0}) / √(1−ᾱ_{t})"), "{}", text[3]);
    }

    #[test]
    fn there_is_a_text_for_everything_that_can_be_asked_for() {
        for &kind in SamplerKind::ALL {
            for &prediction in Prediction::ALL {
                for &spacing in Spacing::ALL {
                    for steps in [1, 2, 3, 7, 999, 1000] {
                        let config = SamplerConfig { kind, prediction, spacing, steps, ..SamplerConfig::default() };
                        for text in shown(&config, None, true) {
                            assert!(
                                !text.is_empty()
                                    && !text.contains("{{")
                                    && text.matches("_{").count() == text.matches('}').count(),
                                "{text}"
                            );
                        }
                    }
                }
            }
        }
    }
}
