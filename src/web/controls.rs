//! Every setting in one table: its element on the page, its key in a link, what it may be, and where its value stands. Links are
//! parsed and written by it, and the page's controls read and shown.

use super::draw::text::{Drawn, LONGEST};
use super::models::Which;
use super::noise::hand::Hand;
use super::noise::schedule::{Curve, Plan, Road, TIMESTEPS};
use super::settings::{Class, Settings, TimedNet};
use crate::diffusion::{Convention, SamplerKind, Schedule, Spacing};
use crate::engine::Choice;
use std::ops::RangeInclusive;

/// Seeds.
pub const SEEDS: RangeInclusive<u64> = 0..=u32::MAX as u64;
/// Guidance scales of the slider.
pub const GUIDANCE: RangeInclusive<f64> = 0.0..=5.0;
/// Classes before the model is known.
const ANY_CLASSES: usize = 10_000;

/// One setting.
pub struct Control {
    /// Of its element; `None` where only links say it.
    pub id: Option<&'static str>,
    /// In links; `None` where they do not hold it.
    pub key: Option<&'static str>,
    /// What sentences call it.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// A link names it only where it is not as the page begins.
    pub brief: bool,
    /// Where its value stands.
    field: fn(&mut Settings) -> &mut dyn Value,
}

/// What a setting may be.
pub enum Kind {
    /// A whole number.
    Whole(RangeInclusive<u64>),
    /// A whole number from this one to the model's T.
    Timesteps(u64),
    /// A whole number from 0 to the T of the schedule that is shown.
    Time,
    /// Any number.
    Real(RangeInclusive<f64>),
    /// One of several words, as a sentence lists them.
    Choice(fn() -> String),
    /// On or off.
    Switch,
}

/// Every setting, in the order in which a link names them.
pub const CONTROLS: &[Control] = &[
    Control { id: None, ..choice("model", "", || "a model's name".to_owned(), |s| &mut s.model) },
    Control { key: None, ..choice("model", "Model", || "a model's name".to_owned(), |s| &mut s.model.name) },
    Control { key: None, kind: Kind::Switch, ..whole("fast", "Fast", 0..=0, |s| &mut s.model.fast) },
    Control { id: Some("thumbs"), ..whole("picture", "Picture", 0..=9, |s| &mut s.picture) },
    Control { id: None, ..choice("draw", "", || format!("a drawing in at most {LONGEST} letters"), |s| &mut s.draw) },
    Control { kind: Kind::Switch, ..whole("invert", "Invert", 0..=0, |s| &mut s.invert) },
    Control { kind: Kind::Time, ..whole("t", "t", 0..=0, |s| &mut s.t) },
    Control { id: Some("noise-seed"), ..whole("noise", "Noise seed", SEEDS, |s| &mut s.noise) },
    Control {
        brief: true,
        ..choice("schedule", "Schedule", || one_of(Plan::ALL, Plan::name), |s| &mut s.forward.plan)
    },
    Control { id: Some("timesteps"), ..whole("T", "T", TIMESTEPS, |s| &mut s.forward.timesteps) },
    Control {
        id: None,
        brief: true,
        ..choice("hand", "", || "four whole numbers from 99 down to 1".to_owned(), |s| &mut s.forward.hand)
    },
    Control { brief: true, ..choice("curve", "Curve", || one_of(Curve::ALL, Curve::name), |s| &mut s.forward.curve) },
    Control {
        id: Some("road"),
        brief: true,
        ..choice("forward", "Forward process", || one_of(Road::ALL, Road::name), |s| &mut s.forward.road)
    },
    choice("class", "Class", || "each, none or a number".to_owned(), |s| &mut s.class),
    choice("sampler", "Sampler", || one_of(SamplerKind::ALL, SamplerKind::name), |s| &mut s.sampling.sampler),
    Control { kind: Kind::Timesteps(1), ..whole("steps", "Steps", 0..=0, |s| &mut s.sampling.steps) },
    whole("seed", "Seed", SEEDS, |s| &mut s.seed),
    Control { key: None, kind: Kind::Switch, ..whole("lock", "Keep the seed", 0..=0, |s| &mut s.keep_seed) },
    whole("count", "Count", 1..=16, |s| &mut s.count),
    Control { kind: Kind::Real(GUIDANCE), ..whole("guidance", "Guidance", 0..=0, |s| &mut s.sampling.guidance) },
    Control { kind: Kind::Real(0.0..=1.0), ..whole("eta", "η", 0..=0, |s| &mut s.sampling.eta) },
    Control { id: None, ..choice("spacing", "", || one_of(Spacing::ALL, Spacing::name), |s| &mut s.sampling.spacing) },
    Control {
        id: None,
        ..choice("as", "", || one_of(Convention::ALL, Convention::name), |s| &mut s.sampling.convention)
    },
    choice("engine", "Engine", || one_of(&Choice::ALL, Choice::name), |s| &mut s.engine),
    Control {
        id: Some("check-net"),
        key: None,
        ..choice("", "Network to time", || "model or ddpm".to_owned(), |s| &mut s.timed_net)
    },
];

/// A row whose element has the key for its id.
const fn whole(
    key: &'static str,
    name: &'static str,
    range: RangeInclusive<u64>,
    field: fn(&mut Settings) -> &mut dyn Value,
) -> Control {
    Control { id: Some(key), key: Some(key), name, kind: Kind::Whole(range), brief: false, field }
}

const fn choice(
    key: &'static str,
    name: &'static str,
    words: fn() -> String,
    field: fn(&mut Settings) -> &mut dyn Value,
) -> Control {
    Control { id: Some(key), key: Some(key), name, kind: Kind::Choice(words), brief: false, field }
}

/// The control whose element has this id.
pub fn of(id: &str) -> Option<&'static Control> {
    CONTROLS.iter().find(|control| control.id == Some(id))
}

/// The control whose key this is.
pub fn keyed(key: &str) -> Option<&'static Control> {
    CONTROLS.iter().find(|control| control.key == Some(key))
}

impl Control {
    /// Its value as text; empty for a picture that is no sample, and where there is no drawing.
    pub fn text(&self, settings: &Settings) -> String {
        (self.field)(&mut settings.clone()).text()
    }

    /// Takes what an element says, for a model with so many timesteps.
    ///
    /// # Errors
    /// One sentence, if the setting cannot mean that; it keeps its value.
    pub fn read(&self, text: &str, timesteps: usize, settings: &mut Settings) -> Result<(), String> {
        let last = settings.last(timesteps);
        let most = if matches!(self.kind, Kind::Time) { last } else { timesteps };
        self.set(text, most, settings).map_err(|()| match &self.kind {
            Kind::Whole(range) => must_be(self.name, range, text),
            Kind::Time => must_be(self.name, &(0..=last as u64), text),
            Kind::Timesteps(least) => must_be(self.name, &(*least..=timesteps as u64), text),
            Kind::Real(range) => must_be(self.name, range, text),
            Kind::Choice(words) => format!("{} is {}, not {}", self.name, words(), shorten(text)),
            Kind::Switch => format!("{} is on or off, not {}", self.name, shorten(text)),
        })
    }

    /// Takes what a link says. T, which only the model knows, may be any.
    ///
    /// # Errors
    /// One sentence, if the setting cannot mean that; it keeps its value.
    pub fn parse(&self, text: &str, settings: &mut Settings) -> Result<(), String> {
        let key = self.key.unwrap_or_default();
        self.set(text, Schedule::MAX_TIMESTEPS, settings).map_err(|()| match &self.kind {
            Kind::Whole(range) => must_be(key, range, text),
            Kind::Time => at_least(key, 0, text),
            Kind::Timesteps(least) => at_least(key, *least, text),
            Kind::Real(range) => must_be(key, range, text),
            Kind::Choice(words) => format!("the link's {key} is {}, not {}", words(), shorten(text)),
            Kind::Switch => format!("the link's {key} is true or false, not {}", shorten(text)),
        })
    }

    fn set(&self, text: &str, timesteps: usize, settings: &mut Settings) -> Result<(), ()> {
        let text = text.trim();
        let within = |range: &RangeInclusive<u64>| text.parse().is_ok_and(|number: u64| range.contains(&number));
        let fits = match &self.kind {
            Kind::Whole(range) => within(range),
            Kind::Time => within(&(0..=timesteps as u64)),
            Kind::Timesteps(least) => within(&(*least..=timesteps as u64)),
            Kind::Real(range) => text.parse().is_ok_and(|number: f64| range.contains(&number)),
            Kind::Choice(_) | Kind::Switch => true,
        };
        if fits && (self.field)(settings).set(text) { Ok(()) } else { Err(()) }
    }
}

/// A setting's value.
trait Value {
    fn text(&self) -> String;
    /// Takes a text for its value, or nothing.
    fn set(&mut self, text: &str) -> bool;
}

/// Takes a value if there is one.
fn put<T>(to: &mut T, value: Option<T>) -> bool {
    value.map(|value| *to = value).is_some()
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn text(&self) -> String {
                self.to_string()
            }
            fn set(&mut self, text: &str) -> bool {
                put(self, text.parse().ok())
            }
        }
    )+};
}
numbers!(u64, usize, f64, bool);

macro_rules! named {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn text(&self) -> String {
                self.name().to_owned()
            }
            fn set(&mut self, text: &str) -> bool {
                put(self, <$type>::from_name(text))
            }
        }
    )+};
}
named!(SamplerKind, Spacing, Convention, Plan, Curve, Road);

impl Value for Choice {
    fn text(&self) -> String {
        self.name().to_owned()
    }

    fn set(&mut self, text: &str) -> bool {
        put(self, text.parse().ok())
    }
}

impl Value for Which {
    fn text(&self) -> String {
        self.to_string()
    }

    fn set(&mut self, text: &str) -> bool {
        put(self, Self::from_text(text))
    }
}

impl Value for Drawn {
    fn text(&self) -> String {
        self.text().to_owned()
    }

    fn set(&mut self, text: &str) -> bool {
        put(self, Self::from_text(text))
    }
}

impl Value for String {
    fn text(&self) -> String {
        self.clone()
    }

    fn set(&mut self, text: &str) -> bool {
        put(self, Some(text.to_owned()))
    }
}

impl Value for Option<usize> {
    fn text(&self) -> String {
        self.map_or(String::new(), |number| number.to_string())
    }

    fn set(&mut self, text: &str) -> bool {
        put(self, text.parse().ok().map(Some))
    }
}

impl Value for Class {
    fn text(&self) -> String {
        self.to_string()
    }

    fn set(&mut self, text: &str) -> bool {
        let number = || text.parse().ok().filter(|class| *class <= ANY_CLASSES).map(Self::One);
        put(
            self,
            match text {
                "each" => Some(Self::Each),
                "none" => Some(Self::None),
                _ => number(),
            },
        )
    }
}

impl Value for Hand {
    fn text(&self) -> String {
        (*self).text()
    }

    fn set(&mut self, text: &str) -> bool {
        put(self, Self::from_text(text))
    }
}

impl Value for TimedNet {
    fn text(&self) -> String {
        if *self == Self::Ddpm { "ddpm" } else { "model" }.to_owned()
    }

    fn set(&mut self, text: &str) -> bool {
        put(
            self,
            match text {
                "model" => Some(Self::Model),
                "ddpm" => Some(Self::Ddpm),
                _ => None,
            },
        )
    }
}

fn must_be<T: std::fmt::Display>(name: &str, range: &RangeInclusive<T>, text: &str) -> String {
    format!("{name} must be {} to {}, not {}", range.start(), range.end(), shorten(text))
}

fn at_least(key: &str, least: u64, text: &str) -> String {
    format!("{key} must be a whole number of at least {least}, not {}", shorten(text))
}

/// Names as a sentence lists them.
fn one_of<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> String {
    let names: Vec<&str> = all.iter().map(|&of| name(of)).collect();
    names.split_last().map_or(String::new(), |(last, others)| format!("{} or {last}", others.join(", ")))
}

/// Somebody's text in quotes, short enough for a sentence.
pub fn shorten(text: &str) -> String {
    let start: String = text.chars().take(24).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("“{start}{dots}”")
}
