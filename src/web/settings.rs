//! What the controls say, as plain data. How they are read and written is in [`controls`](super::controls); what a model does
//! not allow is moved to the nearest value that it does ([`Settings::fit`]), with a sentence.

use crate::checkpoint::Suggested;
use crate::diffusion::{Convention, SamplerKind, Spacing};
use crate::engine::Choice;
use crate::web::controls::GUIDANCE;
use crate::web::draw::text::Drawn;
use crate::web::models::Which;
use crate::web::noise::schedule::Forward;
use std::fmt::Display;

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

/// The network that a check times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedNet {
    /// The model at hand.
    Model,
    /// The original DDPM's, of 35.7 million parameters.
    Ddpm,
}

/// A part of the page that a link can open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// A picture and its noise.
    #[default]
    Noise,
    /// A run.
    Generate,
    /// The check.
    Check,
}

impl Room {
    /// Every one, from the top of the page to its foot.
    pub const ALL: [Self; 3] = [Self::Noise, Self::Generate, Self::Check];

    /// Its name in links.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Generate => "generate",
            Self::Check => "check",
        }
    }

    /// The room of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|room| room.name() == name)
    }

    /// The id of its section in index.html.
    pub fn section(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Generate => "generate",
            Self::Check => "check",
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
    /// Whether it has a fast student.
    pub fast: bool,
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
    pub const OF_OLD: Self =
        Self { steps: 15, spacing: Spacing::Leading, convention: Convention::Diffusers, guidance: 1.5, ..Self::USUAL };

    /// What a model's folder suggests, with so many timesteps at most. Of a distilled model the guidance is the one in its weights.
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
pub struct Settings {
    /// The part of the page that was asked for.
    pub room: Room,
    /// The model.
    pub model: Which,
    /// The sample shown as x_0; `None` for the visitor's own picture.
    pub picture: Option<usize>,
    /// What a link holds of that: a drawing, if it is small enough.
    pub draw: Drawn,
    /// x_0 is the picture inverted: −x.
    pub invert: bool,
    /// The paper's t, 0…T.
    /// The paper's t, 0…T of the schedule chosen in `forward`.
    pub t: usize,
    /// Seed of ε.
    pub noise: u64,
    /// How noise is added.
    pub forward: Forward,
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
    /// Which network a check times.
    pub timed_net: TimedNet,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            room: Room::Noise,
            model: Which { name: "digits".to_owned(), fast: true },
            picture: Some(3),
            draw: Drawn::default(),
            invert: false,
            t: 400,
            noise: 1,
            forward: Forward::default(),
            class: Class::Each,
            sampling: Sampling::USUAL,
            chosen: Chosen::default(),
            seed: 6,
            keep_seed: false,
            count: 10,
            engine: Choice::Auto,
            timed_net: TimedNet::Model,
        }
    }
}

impl Settings {
    /// T of the schedule that t belongs to, where that of the model is this.
    pub fn last(&self, of_model: usize) -> usize {
        self.forward.timesteps.unwrap_or(of_model)
    }

    /// Where T is another one than before, t keeps its share of it.
    pub fn keep_share(&mut self, before: &Self, of_model: usize) {
        let [now, then] = [&*self, before].map(|settings| settings.last(of_model));
        if now != then {
            self.t = (self.t * now + then / 2) / then;
        }
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

    /// What a link does not hold, as one number: which settings are chosen, whether the seed is to be kept, what a check times, and
    /// whether x_0 is the visitor's own picture.
    pub fn memory(&self) -> u32 {
        let mut chosen = self.chosen;
        let others = [self.keep_seed, self.timed_net == TimedNet::Ddpm, self.picture.is_none()];
        let flags = chosen.flags().into_iter().map(|flag| *flag).chain(others);
        flags.enumerate().map(|(i, flag)| u32::from(flag) << i).sum()
    }

    /// Takes back what [`Self::memory`] gave.
    pub fn recall(&mut self, memory: u32) {
        let (mut ddpm, mut own) = (false, false);
        let flags = self.chosen.flags().into_iter().chain([&mut self.keep_seed, &mut ddpm, &mut own]);
        flags.enumerate().for_each(|(i, flag)| *flag = memory >> i & 1 == 1);
        if own {
            self.picture = None;
        }
        self.timed_net = if ddpm { TimedNet::Ddpm } else { TimedNet::Model };
    }

    /// Moves what the model does not allow to the nearest it does; one sentence per value moved.
    pub fn fit(&mut self, limits: Limits) -> Vec<String> {
        let mut moved = Vec::new();
        let most = limits.timesteps;
        // What is the model's own needs no choice.
        self.forward.timesteps = self.forward.timesteps.filter(|&timesteps| timesteps != most);
        let (last, what) = self.forward.timesteps.map_or((most, "model"), |timesteps| (timesteps, "T"));
        for (name, value, most, what) in
            [("t", &mut self.t, last, what), ("steps", &mut self.sampling.steps, most, "model")]
        {
            if *value > most {
                moved.push(format!("{name} is at most {most} with this {what}, not {value}"));
                *value = most;
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
        // The switch is off and shows it.
        self.model.fast &= limits.fast;
        // There is nothing to guide away from; the slider is off and shows it.
        if !limits.none {
            self.sampling.guidance = 1.0;
        }
        moved
    }
}
