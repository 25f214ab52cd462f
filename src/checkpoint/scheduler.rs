//! The configuration of a scheduler: diffusers' `DDPMScheduler` or `DDIMScheduler`, as scheduler_config.json describes it.

use super::suggested::Suggested;
use crate::diffusion::sampler::timesteps;
use crate::diffusion::{
    BetaSchedule, Convention, DiffusionError, Prediction, SamplerConfig, SamplerKind, Schedule, Spacing, Variance,
};
use crate::model::config::fields::Fields;
use crate::model::config::{ConfigError, DIFFUSERS_VERSION};
use serde_json::{Value, json};

/// Name of the file in a weights folder.
pub const SCHEDULER_FILE: &str = "scheduler_config.json";

/// Names under which diffusers has saved the two schedulers.
const CLASSES: [(&str, SamplerKind); 4] = [
    ("DDPMScheduler", SamplerKind::Ddpm),
    ("DDIMScheduler", SamplerKind::Ddim),
    ("GaussianDDPMScheduler", SamplerKind::Ddpm),
    ("GaussianDDIMScheduler", SamplerKind::Ddim),
];

/// How a model was trained and how it is sampled unless told otherwise. Fields are diffusers'; the default is its default too.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerConfig {
    /// The sampler it was saved with (`_class_name`).
    pub kind: SamplerKind,
    /// T.
    pub num_train_timesteps: usize,
    /// β of the first timestep.
    pub beta_start: f64,
    /// β of the last timestep.
    pub beta_end: f64,
    /// What β does in between.
    pub beta_schedule: BetaSchedule,
    /// Whether x̂_0 is clipped while sampling.
    pub clip_sample: bool,
    /// Clipped to [−c, c].
    pub clip_sample_range: f64,
    /// What the network predicts.
    pub prediction_type: Prediction,
    /// σ² of the reverse step (DDPM only).
    pub variance_type: Variance,
    /// How fewer steps are chosen among T.
    pub timestep_spacing: Spacing,
    /// Added to every timestep of `leading`.
    pub steps_offset: usize,
    /// Whether DDIM's last step goes to ᾱ = 1, or to ᾱ_0.
    pub set_alpha_to_one: bool,
    /// What to sample with, as far as the folder has an opinion.
    pub suggested: Suggested,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            kind: SamplerKind::Ddpm,
            num_train_timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            clip_sample: true,
            clip_sample_range: 1.0,
            prediction_type: Prediction::Epsilon,
            variance_type: Variance::FixedSmall,
            timestep_spacing: Spacing::Leading,
            steps_offset: 0,
            set_alpha_to_one: true,
            suggested: Suggested::default(),
        }
    }
}

impl SchedulerConfig {
    /// Reads a scheduler_config.json. Missing keys take diffusers' defaults.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        let default = Self::default();
        let mut f = Fields::parse(SCHEDULER_FILE, bytes)?;
        let counts = 1..=Schedule::MAX_TIMESTEPS;
        // The first releases said `timesteps`.
        let old = f.optional_integer("timesteps", None, counts.clone());
        f.ignore("tensor_format");
        f.only("timestep_values", Value::Null);
        f.only("trained_betas", Value::Null);
        f.only("thresholding", json!(false));
        f.only("rescale_betas_zero_snr", json!(false));
        // Only thresholding depends on these.
        f.ignore("dynamic_thresholding_ratio");
        f.ignore("sample_max_value");
        let mut config = Self {
            kind: f.choice("_class_name", default.kind, &CLASSES),
            num_train_timesteps: f.integer("num_train_timesteps", old.unwrap_or(1000), counts),
            beta_start: f.number("beta_start", default.beta_start, 0.0..=1.0),
            beta_end: f.number("beta_end", default.beta_end, 0.0..=1.0),
            beta_schedule: f.choice(
                "beta_schedule",
                default.beta_schedule,
                &named(BetaSchedule::ALL, BetaSchedule::name),
            ),
            clip_sample: f.boolean("clip_sample", default.clip_sample),
            clip_sample_range: f.number("clip_sample_range", default.clip_sample_range, 1e-3..=1e3),
            prediction_type: f.choice(
                "prediction_type",
                default.prediction_type,
                &named(Prediction::ALL, Prediction::name),
            ),
            variance_type: f.choice("variance_type", default.variance_type, &named(Variance::ALL, Variance::name)),
            timestep_spacing: f.choice(
                "timestep_spacing",
                default.timestep_spacing,
                &named(Spacing::ALL, Spacing::name),
            ),
            steps_offset: f.integer("steps_offset", default.steps_offset, 0..=Schedule::MAX_TIMESTEPS),
            set_alpha_to_one: f.boolean("set_alpha_to_one", default.set_alpha_to_one),
            suggested: Suggested::default(),
        };
        config.suggested = Suggested::read(&mut f, config.num_train_timesteps);
        if let Some(steps) = config.suggested.steps
            && let Err(error) = timesteps(config.num_train_timesteps, &config.suggested.over(config.sampler(steps)))
        {
            f.problem(format!("`_num_inference_steps` cannot be followed: {error}"));
        }
        if let Err(error) = config.schedule() {
            f.problem(error.to_string());
        }
        f.finish().map(|()| config)
    }

    /// β and ᾱ.
    ///
    /// # Errors
    /// Never for a config that was read from a file; for one made by hand, see [`Schedule::new`].
    pub fn schedule(&self) -> Result<Schedule, DiffusionError> {
        Schedule::new(self.beta_schedule, self.num_train_timesteps, self.beta_start, self.beta_end)
    }

    /// The sampler these settings ask for, with this many steps.
    pub fn sampler(&self, steps: usize) -> SamplerConfig {
        SamplerConfig {
            kind: self.kind,
            steps,
            spacing: self.timestep_spacing,
            steps_offset: self.steps_offset,
            eta: 0.0,
            clip: self.clip_sample.then_some(self.clip_sample_range),
            variance: self.variance_type,
            prediction: self.prediction_type,
            set_alpha_to_one: self.set_alpha_to_one,
            round_like_diffusers: true,
            convention: Convention::Diffusers,
        }
    }

    /// Writes a scheduler_config.json that diffusers loads.
    pub fn to_json(&self) -> String {
        let ddim = self.kind == SamplerKind::Ddim;
        let mut config = json!({
            "_class_name": if ddim { "DDIMScheduler" } else { "DDPMScheduler" },
            "_diffusers_version": DIFFUSERS_VERSION,
            "beta_end": self.beta_end,
            "beta_schedule": self.beta_schedule.name(),
            "beta_start": self.beta_start,
            "clip_sample": self.clip_sample,
            "clip_sample_range": self.clip_sample_range,
            "num_train_timesteps": self.num_train_timesteps,
            "prediction_type": self.prediction_type.name(),
            "rescale_betas_zero_snr": false,
            "steps_offset": self.steps_offset,
            "thresholding": false,
            "timestep_spacing": self.timestep_spacing.name(),
            "trained_betas": null,
        });
        // Each key only where diffusers knows it or the value says more than the default, so that nothing is lost on the way.
        let default = Self::default();
        if ddim || self.set_alpha_to_one != default.set_alpha_to_one {
            config["set_alpha_to_one"] = json!(self.set_alpha_to_one);
        }
        if !ddim || self.variance_type != default.variance_type {
            config["variance_type"] = json!(self.variance_type.name());
        }
        self.suggested.write(&mut config);
        format!("{config:#}\n")
    }
}

pub(super) fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|&variant| (name(variant), variant)).collect()
}
