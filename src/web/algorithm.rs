//! The algorithm that a run follows, in six lines, as it is for the model at hand. Subscripts stand as `_{…}`.

use crate::diffusion::{Convention, Prediction, Sampler, SamplerConfig, SamplerKind, Schedule};

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
        (false, "return x_{0}".to_owned()),
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

/// What s is, where the formula of the move speaks of it.
fn next(config: &SamplerConfig, schedule: &Schedule, visited: &[usize]) -> String {
    let stride = schedule.timesteps() / config.steps.max(1);
    match (config.kind, config.convention) {
        (SamplerKind::Ddpm, _) if visited.len() == schedule.timesteps() => String::new(),
        // The picture itself, of which nothing is left to remove.
        _ if visited.len() == 1 => ", s = 0".to_owned(),
        (SamplerKind::Ddim, Convention::Diffusers) => format!(", s = t − {stride}, at least 0"),
        _ => ", s the next one, at last 0".to_owned(),
    }
}

/// The network's part.
fn predict(shown: &Shown) -> String {
    let (name, symbol) = match shown.sampler.prediction {
        Prediction::Epsilon => ("ε̂", "ε"),
        Prediction::VPrediction => ("v̂", "v"),
        Prediction::Sample => ("x̂_{0}", "f"),
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

/// x̂_0 of the prediction, and ε̂ where the move speaks of it.
fn x_0(config: &SamplerConfig) -> String {
    let (x_0, of_model) = match config.prediction {
        Prediction::Epsilon => ("(x_{t} − √(1−ᾱ_{t}) · ε̂) / √ᾱ_{t}", None),
        Prediction::VPrediction => ("√ᾱ_{t} · x_{t} − √(1−ᾱ_{t}) · v̂", Some("√ᾱ_{t} · v̂ + √(1−ᾱ_{t}) · x_{t}")),
        Prediction::Sample => ("x̂_{0}", Some("(x_{t} − √ᾱ_{t} · x̂_{0}) / √(1−ᾱ_{t})")),
    };
    let clipped = config.clip.map(|c| format!("x̂_{{0}} = {x_0}, cut to ±{c}"));
    let again = config.convention == Convention::Paper && clipped.is_some();
    let epsilon = if again { Some("(x_{t} − √ᾱ_{t} · x̂_{0}) / √(1−ᾱ_{t})") } else { of_model };
    let x_0 = clipped.unwrap_or_else(|| format!("x̂_{{0}} = {x_0}"));
    match epsilon.filter(|_| config.kind == SamplerKind::Ddim) {
        Some(epsilon) => format!("{x_0},  ε̂ = {epsilon}"),
        None => x_0,
    }
}

/// From x_t to x_s.
fn move_x(config: &SamplerConfig, every: bool) -> String {
    match config.kind {
        SamplerKind::Ddpm if every => {
            "x_{t−1} = √ᾱ_{t−1}·β_{t}/(1−ᾱ_{t}) · x̂_{0} + √α_{t}·(1−ᾱ_{t−1})/(1−ᾱ_{t}) · x_{t} + σ_{t}·z,  z ~ N(0, I)"
        }
        SamplerKind::Ddpm => {
            "x_{s} = √ᾱ_{s}·(1−ᾱ_{t}/ᾱ_{s})/(1−ᾱ_{t}) · x̂_{0} + √(ᾱ_{t}/ᾱ_{s})·(1−ᾱ_{s})/(1−ᾱ_{t}) · x_{t} + σ_{t}·z,  z ~ N(0, I)"
        }
        SamplerKind::Ddim if config.eta == 0.0 => "x_{s} = √ᾱ_{s} · x̂_{0} + √(1−ᾱ_{s}) · ε̂",
        SamplerKind::Ddim => "x_{s} = √ᾱ_{s} · x̂_{0} + √(1−ᾱ_{s}−σ_{t}²) · ε̂ + σ_{t}·z,  σ_{t} = η·√β̃_{t}",
        SamplerKind::DpmSolverPp2M => {
            "x_{s} = σ_{s}/σ_{t} · x_{t} − α_{s}·(exp(−h) − 1) · (x̂_{0} + (x̂_{0} − x̂_{0}′)/2r)"
        }
    }
    .to_owned()
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

        let text = shown(&SamplerConfig::default(), None, false);
        assert_eq!(text[1], "for t = 1000, 999, 998, …, 1:");
        assert_eq!(text[2], "ε̂ = ε_{θ}(x_{t}, t)");
        assert_eq!(text[3], "x̂_{0} = (x_{t} − √(1−ᾱ_{t}) · ε̂) / √ᾱ_{t}, cut to ±1");
        assert!(text[4].contains("x_{t−1}"), "{}", text[4]);

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
