//! Which engine is asked for, which one there is, and what others need to know of it.

use super::EngineError;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::str::FromStr;

/// Which engine the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// A hardware GPU if there is one, else the CPU engine, which beats a software adapter by far.
    #[default]
    Auto,
    /// Any adapter, software included; an error where there is none.
    Gpu,
    /// The CPU engine.
    Cpu,
}

impl Choice {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Gpu, Self::Cpu];

    /// The name that [`Choice::from_str`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Gpu => Kind::Gpu.name(),
            Self::Cpu => Kind::Cpu.name(),
        }
    }
}

impl FromStr for Choice {
    type Err = EngineError;

    fn from_str(s: &str) -> Result<Self, EngineError> {
        let found = Self::ALL.into_iter().find(|choice| choice.name() == s);
        found.ok_or_else(|| EngineError::UnknownChoice(s.to_owned()))
    }
}

/// One of the two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The CPU engine.
    Cpu,
    /// The GPU engine.
    Gpu,
}

impl Kind {
    /// `cpu` or `gpu`, as files and commands have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }

    /// What it is called in a browser.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Gpu => "WebGPU",
        }
    }
}

impl From<Kind> for Choice {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Cpu => Self::Cpu,
            Kind::Gpu => Self::Gpu,
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an engine runs on, for people, and how it is best driven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Which of the two.
    pub engine: Kind,
    /// The adapter's name, or the CPU's vector unit and threads.
    pub adapter: String,
    /// Whether the adapter is software (llvmpipe, SwiftShader, WARP).
    pub software: bool,
    /// Whether a batch takes about as long as its images one by one: then one at a time leaves more pauses and loses nothing.
    pub one_by_one: bool,
    /// Whether in a browser several workers, each with an engine of its own, do more than one: an engine there has one thread.
    pub several_workers: bool,
    /// Why `auto` did not take a GPU.
    pub note: Option<String>,
}
