//! The state of every control, and the link that holds it: `#picture=3&t=400&…`.
//!
//! A link is somebody else's text. What it says wrongly is refused with a sentence and its control keeps its default; a value
//! that fits no longer once the model is known ([`State::fit`]) is moved to the nearest one that does, with a sentence too.

use crate::checkpoint::Suggested;
use crate::diffusion::{Convention, SamplerKind, Spacing};
use crate::engine::Choice;
use crate::web::models::is_name;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Pictures to choose from.
pub const PICTURES: usize = 10;
/// Images of one run.
pub const COUNTS: RangeInclusive<usize> = 1..=16;
/// Guidance scales of the slider.
pub const GUIDANCE: RangeInclusive<f64> = 0.0..=5.0;
/// η of DDIM.
pub const ETA: RangeInclusive<f64> = 0.0..=1.0;
/// Seeds.
pub const SEEDS: RangeInclusive<u64> = 0..=u32::MAX as u64;
/// Seeds that chance brings: short enough to be read aloud.
pub const CHANCE: u32 = 1_000_000;
/// What a link says about the pictures to generate.
const GENERATE_KEYS: [&str; 7] = ["class", "sampler", "steps", "seed", "count", "guidance", "eta"];
/// Steps and t before the schedule is known.
const ANY_TIMESTEPS: usize = crate::diffusion::Schedule::MAX_TIMESTEPS;
/// Classes before the model is known.
const ANY_CLASSES: usize = 10_000;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Image 0 has class 0, image 1 class 1, and so on, over and over.
    Each,
    /// All images have this class.
    One(usize),
    /// No image has one.
    None,
}

impl Class {
    /// The class of one image, given how many the model has.
    pub fn of(self, image: usize, classes: usize) -> Option<usize> {
        match self {
            Self::Each => (classes > 0).then(|| image % classes),
            Self::One(class) => Some(class),
            Self::None => None,
        }
    }
}

impl Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Each => f.write_str("each"),
            Self::One(class) => write!(f, "{class}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// What the loaded model allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// T.
    pub timesteps: usize,
    /// Classes, without the null class.
    pub classes: usize,
    /// Whether images without a class can be asked for.
    pub none: bool,
    /// Sample pictures to choose from.
    pub pictures: usize,
}

/// How to sample, which a model's folder may suggest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The rule.
    pub sampler: SamplerKind,
    /// In how many steps.
    pub steps: usize,
    /// How they are spread over the timesteps.
    pub spacing: Spacing,
    /// Whose letter is followed.
    pub convention: Convention,
    /// w.
    pub guidance: f64,
    /// η.
    pub eta: f64,
}

impl Sampling {
    /// What the page begins with where a model suggests nothing: 8 evaluations a picture.
    pub const USUAL: Self = Self {
        sampler: SamplerKind::Ddim,
        steps: 8,
        spacing: Spacing::Trailing,
        convention: Convention::Paper,
        guidance: 1.0,
        eta: 0.0,
    };
    /// What links left unsaid that name no spacing: so the page began when they were made.
    const OF_OLD: Self =
        Self { steps: 15, spacing: Spacing::Leading, convention: Convention::Diffusers, guidance: 1.5, ..Self::USUAL };

    /// What a model's folder suggests, with so many timesteps at most.
    pub fn suggested(by: &Suggested, timesteps: usize) -> Self {
        let usual = Self::USUAL;
        Self {
            sampler: by.sampler.unwrap_or(usual.sampler),
            steps: by.steps.unwrap_or(usual.steps).min(timesteps),
            spacing: by.spacing.unwrap_or(usual.spacing),
            convention: by.convention.unwrap_or(usual.convention),
            guidance: by.guidance.unwrap_or(usual.guidance).clamp(*GUIDANCE.start(), *GUIDANCE.end()),
            eta: by.eta.unwrap_or(usual.eta),
        }
    }
}

/// Which settings of a [`Sampling`] somebody has chosen, by hand or by a link. The others follow the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The rule.
    pub sampler: bool,
    /// In how many steps.
    pub steps: bool,
    /// How they are spread, and whose letter is followed.
    pub spacing: bool,
    /// w.
    pub guidance: bool,
    /// η.
    pub eta: bool,
}

impl Chosen {
    /// Every one of them.
    pub const ALL: Self = Self { sampler: true, steps: true, spacing: true, guidance: true, eta: true };

    /// Those in which two differ.
    pub fn between(a: &Sampling, b: &Sampling) -> Self {
        Self {
            sampler: a.sampler != b.sampler,
            steps: a.steps != b.steps,
            spacing: (a.spacing, a.convention) != (b.spacing, b.convention),
            guidance: a.guidance != b.guidance,
            eta: a.eta != b.eta,
        }
    }

    fn flags(&mut self) -> [&mut bool; 5] {
        let Self { sampler, steps, spacing, guidance, eta } = self;
        [sampler, steps, spacing, guidance, eta]
    }

    /// Those of either.
    pub fn or(mut self, mut other: Self) -> Self {
        self.flags().into_iter().zip(other.flags()).for_each(|(flag, other)| *flag |= *other);
        self
    }
}

/// Every control.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Name of the model.
    pub model: String,
    /// The picture shown as x_0; `None` for the visitor's own, which no link can hold.
    pub picture: Option<usize>,
    /// The paper's t, 0…T.
    pub t: usize,
    /// Seed of ε.
    pub noise: u64,
    /// What to generate.
    pub class: Class,
    /// How.
    pub sampling: Sampling,
    /// What of it somebody has chosen.
    pub chosen: Chosen,
    /// From which noise.
    pub seed: u64,
    /// Generate begins with this seed every time: a link brought it, or somebody typed it or said so.
    pub keep_seed: bool,
    /// How many images.
    pub count: usize,
    /// Where.
    pub engine: Choice,
}

impl Default for State {
    fn default() -> Self {
        Self {
            model: "digits".to_owned(),
            picture: Some(3),
            t: 400,
            noise: 1,
            class: Class::Each,
            sampling: Sampling::USUAL,
            chosen: Chosen::default(),
            seed: 6,
            keep_seed: false,
            count: 10,
            engine: Choice::Auto,
        }
    }
}

impl State {
    /// Reads a link's part from `#` on; what it does not name keeps its default. Also one sentence per thing that is wrong in it.
    ///
    /// A link that says what to generate but names no spacing is of a time when all went as diffusers, spaced by its leading rule:
    /// it shows the picture that it showed then.
    pub fn parse(hash: &str) -> (Self, Vec<String>) {
        let mut state = Self::default();
        let mut problems = Vec::new();
        let hash = hash.strip_prefix('#').unwrap_or(hash);
        let (mut said, mut spaced) = (Vec::new(), false);
        for pair in hash.split('&').filter(|pair| !pair.is_empty()).take(64) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(value) = decode(value) else {
                problems.push(format!("the link's {} is not readable text", shorten(key)));
                continue;
            };
            match state.set(key, &value) {
                Ok(()) => said.push(key),
                Err(problem) => problems.push(problem),
            }
            spaced |= matches!(key, "spacing" | "as");
        }
        let says = |key: &str| said.contains(&key);
        state.chosen = Chosen {
            sampler: says("sampler"),
            steps: says("steps"),
            spacing: says("spacing") || says("as"),
            guidance: says("guidance"),
            eta: says("eta"),
        };
        state.keep_seed = says("seed");
        if !spaced && GENERATE_KEYS.iter().any(|key| says(key)) {
            state.follow(&Sampling::OF_OLD);
            (state.chosen, state.keep_seed) = (Chosen::ALL, true);
        }
        (state, problems)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "model" => {
                self.model = among(key, value, is_name(value).then(|| value.to_owned()), "a model's name")?;
            }
            "picture" => self.picture = Some(within(key, value, 0..=PICTURES - 1)?),
            "t" => self.t = at_least(key, value, 0)?,
            "noise" => self.noise = within(key, value, SEEDS)?,
            "class" => {
                self.class =
                    match value {
                        "each" => Class::Each,
                        "none" => Class::None,
                        _ => Class::One(within(key, value, 0..=ANY_CLASSES).map_err(|_| {
                            format!("the link's class is each, none or a number, not {}", shorten(value))
                        })?),
                    }
            }
            "sampler" => {
                self.sampling.sampler =
                    among(key, value, SamplerKind::from_name(value), "ddpm, ddim, dpmsolver++ or ipndm")?
            }
            "steps" => self.sampling.steps = at_least(key, value, 1)?,
            "spacing" => {
                self.sampling.spacing = among(key, value, Spacing::from_name(value), "leading, trailing or linspace")?;
            }
            "as" => {
                self.sampling.convention = among(key, value, Convention::from_name(value), "diffusers or paper")?;
            }
            "seed" => self.seed = within(key, value, SEEDS)?,
            "count" => self.count = within(key, value, COUNTS)?,
            "guidance" => self.sampling.guidance = within(key, value, GUIDANCE)?,
            "eta" => self.sampling.eta = within(key, value, ETA)?,
            "engine" => self.engine = among(key, value, value.parse().ok(), "auto, gpu or cpu")?,
            _ => return Err(format!("the link has a setting {} that this page does not know", shorten(key))),
        }
        Ok(())
    }

    /// Takes what nobody has chosen from a suggestion.
    pub fn follow(&mut self, suggested: &Sampling) {
        let (how, chosen) = (&mut self.sampling, self.chosen);
        if !chosen.sampler {
            how.sampler = suggested.sampler;
        }
        if !chosen.steps {
            how.steps = suggested.steps;
        }
        if !chosen.spacing {
            (how.spacing, how.convention) = (suggested.spacing, suggested.convention);
        }
        if !chosen.guidance {
            how.guidance = suggested.guidance;
        }
        if !chosen.eta {
            how.eta = suggested.eta;
        }
    }

    /// Takes how to sample from the controls, which have no word for the spacing. A link's spacing was for its own sampler and
    /// steps: with others it is the suggested one.
    pub fn choose(&mut self, how: Sampling, suggested: &Sampling) {
        let by_hand = Chosen::between(&how, &self.sampling);
        self.sampling = how;
        self.chosen = self.chosen.or(by_hand);
        if by_hand.sampler || by_hand.steps {
            self.chosen.spacing = false;
            (self.sampling.spacing, self.sampling.convention) = (suggested.spacing, suggested.convention);
        }
    }

    /// What a link does not hold, as one number: which settings are chosen, and whether the seed is to be kept.
    pub fn memory(&self) -> u32 {
        let mut chosen = self.chosen;
        let flags = chosen.flags().into_iter().map(|flag| *flag).chain([self.keep_seed]);
        flags.enumerate().map(|(i, flag)| u32::from(flag) << i).sum()
    }

    /// Takes back what [`Self::memory`] gave.
    pub fn recall(&mut self, memory: u32) {
        let flags = self.chosen.flags().into_iter().chain([&mut self.keep_seed]);
        flags.enumerate().for_each(|(i, flag)| *flag = memory >> i & 1 == 1);
    }

    /// The link's part from `#` on.
    pub fn hash(&self) -> String {
        let picture = self.picture.map_or(String::new(), |picture| format!("picture={picture}&"));
        let Self { model, t, noise, class, seed, count, .. } = self;
        let Sampling { steps, guidance, eta, .. } = self.sampling;
        let [sampler, spacing, convention] =
            [self.sampling.sampler.name(), self.sampling.spacing.name(), self.sampling.convention.name()];
        let engine = self.engine.name();
        format!(
            "#model={model}&{picture}t={t}&noise={noise}&class={class}&sampler={sampler}&steps={steps}&seed={seed}&count={count}\
             &guidance={guidance}&eta={eta}&spacing={spacing}&as={convention}&engine={engine}"
        )
    }

    /// Moves what the model does not allow to the nearest it does; one sentence per value moved.
    pub fn fit(&mut self, limits: Limits) -> Vec<String> {
        let mut moved = Vec::new();
        for (name, value) in [("t", &mut self.t), ("steps", &mut self.sampling.steps)] {
            if *value > limits.timesteps {
                moved.push(format!("{name} is at most {} with this model, not {value}", limits.timesteps));
                *value = limits.timesteps;
            }
        }
        if let Some(picture) = self.picture.filter(|&picture| picture >= limits.pictures) {
            let last = limits.pictures.saturating_sub(1);
            moved.push(format!("this model has pictures 0 to {last}, not {picture}"));
            self.picture = Some(last);
        }
        match self.class {
            Class::One(class) if class >= limits.classes => {
                moved.push(match limits.classes {
                    0 => format!("this model has no classes, so class {class} cannot be asked for"),
                    n => format!("a class of this model is 0 to {}, not {class}", n - 1),
                });
                self.class = Class::Each;
            }
            Class::None if !limits.none => {
                moved.push("this model needs a class for every image".to_owned());
                self.class = Class::Each;
            }
            _ => {}
        }
        // There is nothing to guide away from; the slider is off and shows it.
        if !limits.none {
            self.sampling.guidance = 1.0;
        }
        moved
    }
}

/// A number in a range, or a sentence about what is wrong with it.
pub fn within<T>(name: &str, text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let number = text.trim().parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{name} must be {} to {}, not {}", range.start(), range.end(), shorten(text)))
}

/// t or steps, whose end only the model knows.
fn at_least(name: &str, text: &str, least: usize) -> Result<usize, String> {
    within(name, text, least..=ANY_TIMESTEPS)
        .map_err(|_| format!("{name} must be a whole number of at least {least}, not {}", shorten(text)))
}

fn among<T>(name: &str, text: &str, found: Option<T>, names: &str) -> Result<T, String> {
    found.ok_or_else(|| format!("the link's {name} is {names}, not {}", shorten(text)))
}

/// Somebody's text in quotes, short enough for a sentence.
fn shorten(text: &str) -> String {
    let start: String = text.chars().take(24).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("“{start}{dots}”")
}

/// Undoes %-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || rest.next().and_then(|d| char::from(d).to_digit(16));
            (digit()? * 16 + digit()?) as u8
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}
