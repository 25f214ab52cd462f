//! The settings that a model's folder suggests for sampling: keys of our own in scheduler_config.json, which diffusers skips.

use super::scheduler::named;
use crate::diffusion::{Convention, SamplerConfig, SamplerKind, Spacing};
use crate::model::config::fields::Fields;
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

    /// Reads the keys; missing or null suggests nothing.
    pub(super) fn read(f: &mut Fields, num_train_timesteps: usize) -> Self {
        let (low, high) = Self::GUIDANCE;
        Self {
            sampler: optional_name(f, "_sampler", &named(SamplerKind::ALL, SamplerKind::name)),
            steps: f.optional_integer("_num_inference_steps", None, 1..=num_train_timesteps),
            spacing: optional_name(f, "_timestep_spacing", &named(Spacing::ALL, Spacing::name)),
            convention: optional_name(f, "_as", &named(Convention::ALL, Convention::name)),
            eta: optional_number(f, "_eta", 0.0, 1.0),
            guidance: optional_number(f, "_guidance", low, high),
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
