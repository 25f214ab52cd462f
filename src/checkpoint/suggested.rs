//! The settings that a model's folder suggests for sampling: keys of our own in scheduler_config.json, which diffusers skips.

use super::scheduler::named;
use crate::diffusion::{Convention, SamplerConfig, SamplerKind, Schedule, Spacing, Walk};
use crate::model::config::fields::{Fields, integer};
use serde_json::{Value, json};

/// What the model was found to be best sampled with, as far as the folder says. The page and the command line begin with these.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suggested {
    /// The rule (`_sampler`).
    pub sampler: Option<SamplerKind>,
    /// Number of steps, 1…T (`_num_inference_steps`).
    pub steps: Option<usize>,
    /// How they are spread (`_timestep_spacing`; the key without `_` is what diffusers follows).
    pub spacing: Option<Spacing>,
    /// Whose letter is followed (`_as`).
    pub convention: Option<Convention>,
    /// DDIM's η, 0…1 (`_eta`).
    pub eta: Option<f64>,
    /// The guidance scale w, within [`Self::GUIDANCE`] (`_guidance`).
    pub guidance: Option<f64>,
    /// The numbers of steps that a distilled model is good for (`_valid_steps`); empty for a model that was not distilled. Of one
    /// that was, all of the above says what it was made for, and the guidance is in its weights.
    pub valid_steps: Vec<usize>,
}

/// A way to sample that a distilled model was not made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model was distilled for {made}, and for nothing else; found {found}")]
pub struct NotMadeFor {
    /// What it was made for.
    pub made: String,
    /// What was asked for.
    pub found: String,
}

impl Suggested {
    /// The smallest and largest guidance scale accepted.
    pub const GUIDANCE: (f64, f64) = (-20.0, 20.0);

    /// `config` with what is suggested put in.
    pub fn over(&self, config: SamplerConfig) -> SamplerConfig {
        SamplerConfig {
            kind: self.sampler.unwrap_or(config.kind),
            steps: self.steps.unwrap_or(config.steps),
            spacing: self.spacing.unwrap_or(config.spacing),
            convention: self.convention.unwrap_or(config.convention),
            eta: self.eta.unwrap_or(config.eta),
            ..config
        }
    }

    /// Whether the model was distilled: then it can be sampled in the ways of [`Self::check`] only.
    pub fn is_distilled(&self) -> bool {
        !self.valid_steps.is_empty()
    }

    /// The guidance scale that a sampler needs: 1 for a distilled model, whose weights have it in them.
    pub fn guidance_to_sample(&self) -> Option<f64> {
        if self.is_distilled() { Some(1.0) } else { self.guidance }
    }

    /// Whether a distilled model was made for a sampler, and for a guidance scale, which may be 1 or the one in its weights. Any
    /// other model may be sampled as one likes.
    ///
    /// # Errors
    /// Another rule, other noise or guidance, or other noise levels.
    pub fn check(&self, schedule: &Schedule, sampler: &SamplerConfig, guidance: f64) -> Result<(), NotMadeFor> {
        if !self.is_distilled() {
            return Ok(());
        }
        let made = self.over(SamplerConfig { steps: sampler.steps, spacing: Spacing::Trailing, ..sampler.clone() });
        let made = SamplerConfig { steps: sampler.steps, ..made };
        let levels = |config: &SamplerConfig| -> Option<Vec<(usize, f64)>> {
            let walk = Walk::new(schedule, config).ok()?;
            Some(walk.moves.iter().map(|step| (step.timestep, step.level)).collect())
        };
        let found = if made.kind != sampler.kind {
            format!("the sampler {}", sampler.kind.name())
        } else if !self.valid_steps.contains(&sampler.steps) {
            format!("{} steps", sampler.steps)
        } else if made.eta != sampler.eta {
            format!("eta {}", sampler.eta)
        } else if guidance != 1.0 && self.guidance != Some(guidance) {
            format!("guidance {guidance}")
        } else if levels(&made) != levels(sampler) {
            format!(
                "{} spacing as {}, which leads to other noise levels",
                sampler.spacing.name(),
                sampler.convention.name()
            )
        } else {
            return Ok(());
        };
        let steps = self.valid_steps.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
        let (kind, spacing, convention) = (made.kind.name(), made.spacing.name(), made.convention.name());
        let guidance = self.guidance.unwrap_or(1.0);
        let made = format!(
            "{steps} steps of {kind}, {spacing} as {convention}, with eta {} and guidance {guidance} in its weights",
            made.eta
        );
        Err(NotMadeFor { made, found })
    }

    /// Reads the keys; missing or null suggests nothing.
    pub(super) fn read(f: &mut Fields, num_train_timesteps: usize) -> Self {
        let (low, high) = Self::GUIDANCE;
        let steps = 1..=num_train_timesteps;
        let expected = format!("null or a list of numbers of steps, each from 1 to {num_train_timesteps}");
        let valid_steps = f.value("_valid_steps", Vec::new(), &expected, |value| match value {
            Value::Null => Some(Vec::new()),
            Value::Array(list) => list.iter().map(|v| integer(v).filter(|n| steps.contains(n))).collect(),
            _ => None,
        });
        Self {
            sampler: optional_name(f, "_sampler", &named(SamplerKind::ALL, SamplerKind::name)),
            steps: f.optional_integer("_num_inference_steps", valid_steps.first().copied(), steps),
            spacing: optional_name(f, "_timestep_spacing", &named(Spacing::ALL, Spacing::name)),
            convention: optional_name(f, "_as", &named(Convention::ALL, Convention::name)),
            eta: optional_number(f, "_eta", 0.0, 1.0),
            guidance: optional_number(f, "_guidance", low, high),
            valid_steps,
        }
    }

    /// Writes the keys of what is suggested.
    pub(super) fn write(&self, config: &mut Value) {
        let entries = [
            ("_sampler", self.sampler.map(|kind| json!(kind.name()))),
            ("_num_inference_steps", self.steps.map(|steps| json!(steps))),
            ("_timestep_spacing", self.spacing.map(|spacing| json!(spacing.name()))),
            ("_as", self.convention.map(|convention| json!(convention.name()))),
            ("_eta", self.eta.map(|eta| json!(eta))),
            ("_guidance", self.guidance.map(|guidance| json!(guidance))),
            ("_valid_steps", self.is_distilled().then(|| json!(self.valid_steps))),
        ];
        for (key, value) in entries {
            if let Some(value) = value {
                config[key] = value;
            }
        }
    }
}

fn optional_name<T: Copy>(f: &mut Fields, key: &str, choices: &[(&str, T)]) -> Option<T> {
    let words = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
    f.value(key, None, &format!("null or {words}"), |value| match value {
        Value::Null => Some(None),
        value => choices.iter().find(|(word, _)| value.as_str() == Some(word)).map(|&(_, meaning)| Some(meaning)),
    })
}

fn optional_number(f: &mut Fields, key: &str, low: f64, high: f64) -> Option<f64> {
    f.value(key, None, &format!("null or a number from {low} to {high}"), |value| match value {
        Value::Null => Some(None),
        value => value.as_f64().filter(|number| (low..=high).contains(number)).map(Some),
    })
}
