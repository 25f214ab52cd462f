//! The algorithm that a run follows, in six lines, as it is for the model at hand. Subscripts stand as `_{…}`.

use super::Rule;
use crate::diffusion::{Prediction, SamplerConfig, Schedule};

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

/// What a rule says of its move.
pub(super) struct Formula {
    /// x_s from x_t.
    pub text: String,
    /// What ε̂ is in it.
    pub epsilon: Epsilon,
    /// Whether it speaks of s.
    pub of_s: bool,
    /// Whether it goes by ⌊T/n⌋ whatever the list says.
    pub strides: bool,
}

/// What a formula calls ε̂.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Epsilon {
    /// It speaks of none.
    Unused,
    /// The network's.
    OfModel,
    /// What x_t holds beside x̂_0, which may be clipped.
    BesideClipped,
}

/// (Indented, text) of each line: start, loop, prediction, x̂_0, the move, the end.
pub fn lines(shown: &Shown) -> [(bool, String); 6] {
    lines_of(Rule::of(shown.sampler.kind), shown)
}

/// The same for any rule.
pub fn lines_of(rule: &Rule, shown: &Shown) -> [(bool, String); 6] {
    let Shown { sampler: config, schedule, .. } = *shown;
    // The paper's t is one more than the timestep in files.
    let visited = rule.timesteps(schedule.timesteps(), config).unwrap_or_default();
    let visited: Vec<usize> = visited.iter().map(|timestep| timestep + 1).collect();
    let first = visited.first().map_or("T".to_owned(), usize::to_string);
    let formula = (rule.formula)(config, visited.len() == config.span(schedule.timesteps()));
    // The stride and the least t, if it is not the list that says where a move leads.
    let stride = (config.span(schedule.timesteps()) / config.steps.max(1), usize::from(!config.set_alpha_to_one));
    let stride = formula.strides.then_some(stride);
    let end =
        stride.map_or(0, |(stride, least)| visited.last().map_or(0, |last| last.saturating_sub(stride)).max(least));
    let s = match stride {
        _ if !formula.of_s => String::new(),
        _ if visited.len() == 1 => format!(", s = {end}"),
        Some((stride, least)) => format!(", s = t − {stride}, at least {least}"),
        None => ", s the next one, at last 0".to_owned(),
    };
    let start = match config.from {
        None => format!("x_{{{first}}} ~ N(0, I)"),
        Some(_) => format!("x_{{{first}}} = √ᾱ_{{{first}}} · x_{{0}} + √(1−ᾱ_{{{first}}}) · ε"),
    };
    [
        (false, start),
        (false, format!("for t = {}{s}:", list(&visited))),
        (true, predict(shown)),
        (true, x_0(config, formula.epsilon)),
        (true, formula.text),
        (false, format!("return x_{{{end}}}")),
    ]
}

/// A list, its middle left out where it is long.
pub(super) fn list(visited: &[usize]) -> String {
    let words: Vec<String> = visited.iter().map(usize::to_string).collect();
    match words.split_last() {
        Some((last, before)) if before.len() > FIRST => format!("{}, …, {last}", before[..FIRST].join(", ")),
        _ => words.join(", "),
    }
}

/// The network's part.
pub(super) fn predict(shown: &Shown) -> String {
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
fn x_0(config: &SamplerConfig, epsilon: Epsilon) -> String {
    let (x_0, of_model) = match config.prediction {
        Prediction::Epsilon => ("(x_{t} − √(1−ᾱ_{t}) · ε̂) / √ᾱ_{t}", None),
        Prediction::VPrediction => ("√ᾱ_{t} · x_{t} − √(1−ᾱ_{t}) · v̂", Some("√ᾱ_{t} · v̂ + √(1−ᾱ_{t}) · x_{t}")),
        Prediction::Sample => ("x̂", Some("(x_{t} − √ᾱ_{t} · x̂) / √(1−ᾱ_{t})")),
    };
    let cut = config.clip.map_or(String::new(), |c| format!(", cut to ±{c}"));
    let epsilon = match epsilon {
        Epsilon::Unused => None,
        Epsilon::BesideClipped if config.clip.is_some() => Some("(x_{t} − √ᾱ_{t} · x̂_{0}) / √(1−ᾱ_{t})"),
        _ => of_model,
    };
    format!("x̂_{{0}} = {x_0}{cut}{}", epsilon.map_or(String::new(), |epsilon| format!(",  ε̂ = {epsilon}")))
}
