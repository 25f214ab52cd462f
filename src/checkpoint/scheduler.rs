//! The configuration of a scheduler: diffusers' `DDPMScheduler`, `DDIMScheduler` or `DPMSolverMultistepScheduler`, as
//! scheduler_config.json describes it.
//!
//! diffusers makes one scheduler of another's config, and what the new one does not know stays in the file. Such a key changes
//! nothing, there or here; one that the file's own scheduler does know is followed, or refused by name.

use super::suggested::Suggested;
use crate::diffusion::walk::Rule;
use crate::diffusion::{
    BetaSchedule, Convention, DiffusionError, Prediction, SamplerConfig, SamplerKind, Schedule, Spacing, Variance,
};
use crate::model::config::fields::Fields;
use crate::model::config::{ConfigError, DIFFUSERS_VERSION};
use serde_json::{Value, json};

/// Name of the file in a weights folder.
pub const SCHEDULER_FILE: &str = "scheduler_config.json";

/// Names under which diffusers has saved the schedulers; those it writes come first.
const CLASSES: [(&str, SamplerKind); 7] = [
    ("DDPMScheduler", SamplerKind::Ddpm),
    ("DDIMScheduler", SamplerKind::Ddim),
    ("DPMSolverMultistepScheduler", SamplerKind::DpmSolverPp2M),
    // The first releases' names, and those for several steps at once.
    ("GaussianDDPMScheduler", SamplerKind::Ddpm),
    ("GaussianDDIMScheduler", SamplerKind::Ddim),
    ("DDPMParallelScheduler", SamplerKind::Ddpm),
    ("DDIMParallelScheduler", SamplerKind::Ddim),
];

/// Keys that say something of the noise of training, or of what is learned of it.
const NOISE: [&str; 8] = [
    "_class_name",
    "num_train_timesteps",
    "timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "prediction_type",
    "predict_epsilon",
];

/// Keys of diffusers' other schedulers, which the three here do not look at.
const OTHERS: [&str; 42] = [
    // PNDM, DDIM's inverse, DDPM's first releases.
    "skip_prk_steps",
    "set_alpha_to_zero",
    "tensor_format",
    // DPM-Solver, DEIS, UniPC and SA-Solver, for the files of DDPM and DDIM.
    "algorithm_type",
    "solver_order",
    "solver_type",
    "lower_order_final",
    "euler_at_final",
    "final_sigmas_type",
    "lambda_min_clipped",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "use_lu_lambdas",
    "predict_x0",
    "disable_corrector",
    "solver_p",
    "predictor_order",
    "corrector_order",
    "tau_func",
    // Euler, Heun and EDM.
    "interpolation_type",
    "timestep_type",
    "sigma_min",
    "sigma_max",
    "sigma_data",
    "sigma_schedule",
    "rho",
    // Consistency models.
    "original_inference_steps",
    "timestep_scaling",
    // Flow matching.
    "use_flow_sigmas",
    "flow_shift",
    "shift",
    "shift_terminal",
    "use_dynamic_shifting",
    "time_shift_type",
    "base_shift",
    "max_shift",
    "base_image_seq_len",
    "max_image_seq_len",
    "invert_sigmas",
    "stochastic_sampling",
    // CogVideoX.
    "snr_shift_scale",
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
    /// Reads a scheduler_config.json. Missing keys take diffusers' defaults, and keys of its other schedulers change nothing.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        let default = Self::default();
        let mut f = Fields::parse(SCHEDULER_FILE, bytes)?;
        let kind = read_class(&mut f, default.kind);
        let counts = 1..=Schedule::MAX_TIMESTEPS;
        // The first releases said `timesteps`.
        let old = f.optional_integer("timesteps", None, counts.clone());
        f.only("timestep_values", Value::Null);
        f.only("trained_betas", Value::Null);
        f.only("thresholding", json!(false));
        f.only("rescale_betas_zero_snr", json!(false));
        // Only thresholding depends on these.
        f.ignore(&["dynamic_thresholding_ratio", "sample_max_value"]);
        if kind == SamplerKind::DpmSolverPp2M {
            only_second_order(&mut f);
        }
        f.ignore(&OTHERS);
        let mut config = Self {
            kind,
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
            prediction_type: read_prediction(&mut f, default.prediction_type),
            variance_type: read_variance(&mut f, kind, default.variance_type),
            timestep_spacing: f.choice("timestep_spacing", usual_spacing(kind), &named(Spacing::ALL, Spacing::name)),
            steps_offset: f.integer("steps_offset", default.steps_offset, 0..=Schedule::MAX_TIMESTEPS),
            set_alpha_to_one: f.boolean("set_alpha_to_one", default.set_alpha_to_one),
            suggested: Suggested::default(),
        };
        config.suggested = Suggested::read(&mut f, config.num_train_timesteps);
        if let Some(steps) = config.suggested.steps
            && let sampler = config.suggested.over(config.sampler(steps))
            && let Err(error) = Rule::of(sampler.kind).timesteps(config.num_train_timesteps, &sampler)
        {
            f.problem(format!("`_num_inference_steps` cannot be followed: {error}"));
        }
        match config.schedule() {
            Ok(schedule) => {
                let suggested = &config.suggested;
                let sampler = suggested.over(config.sampler(suggested.steps.unwrap_or(1)));
                if let Err(error) = suggested.check(&schedule, &sampler, 1.0) {
                    f.problem(format!("what it suggests is not what `_valid_steps` allows: {error}"));
                }
            }
            Err(error) => f.problem(error.to_string()),
        }
        f.finish().map(|()| config)
    }

    /// Whether a scheduler_config.json says anything of the noise that the model was trained with; else it is as good as none.
    /// What is no config at all is told when it is read.
    pub fn tells_noise(bytes: &[u8]) -> bool {
        Fields::parse(SCHEDULER_FILE, bytes).map_or(true, |f| NOISE.iter().any(|key| f.has(key)))
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
            from: None,
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

    /// The noise of training and what is learned of it, in words.
    pub fn describe(&self) -> String {
        let (kind, count, target) = (self.beta_schedule.name(), self.num_train_timesteps, self.prediction_type.name());
        let range = match self.beta_schedule {
            BetaSchedule::SquaredcosCapV2 => String::new(),
            _ => format!(" (β from {} to {})", self.beta_start, self.beta_end),
        };
        format!("{count} timesteps of {kind} noise{range} and a network that predicts {target}")
    }

    /// Writes a scheduler_config.json that diffusers loads.
    pub fn to_json(&self) -> String {
        let class = CLASSES.iter().find(|(_, kind)| *kind == self.kind).map_or("DDPMScheduler", |(name, _)| name);
        let mut config = json!({
            "_class_name": class,
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
        if self.kind == SamplerKind::Ddim || self.set_alpha_to_one != default.set_alpha_to_one {
            config["set_alpha_to_one"] = json!(self.set_alpha_to_one);
        }
        if self.kind == SamplerKind::Ddpm || self.variance_type != default.variance_type {
            config["variance_type"] = json!(self.variance_type.name());
        }
        if self.kind == SamplerKind::DpmSolverPp2M {
            for (key, value) in SECOND_ORDER {
                config[key] = json!(value);
            }
            config["solver_order"] = json!(2);
        }
        self.suggested.write(&mut config);
        format!("{config:#}\n")
    }
}

/// What makes `DPMSolverMultistepScheduler` the DPM-Solver++(2M) here, beside `solver_order` 2; diffusers' defaults too.
const SECOND_ORDER: [(&str, &str); 3] =
    [("algorithm_type", "dpmsolver++"), ("solver_type", "midpoint"), ("final_sigmas_type", "zero")];

/// Refuses what would make another solver of DPM-Solver++(2M).
fn only_second_order(f: &mut Fields) {
    for (key, value) in SECOND_ORDER {
        f.only(key, json!(value));
    }
    f.only("solver_order", json!(2));
    // A bound on the timesteps: without one every timestep may be visited.
    f.only("lambda_min_clipped", json!("-Infinity"));
    for key in ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "use_flow_sigmas"] {
        f.only(key, json!(false));
    }
    // `lower_order_final` and `euler_at_final` ask for what the step to σ = 0 is anyway, one of first order.
}

/// The spacing that diffusers takes where a file does not say.
fn usual_spacing(kind: SamplerKind) -> Spacing {
    if kind == SamplerKind::DpmSolverPp2M { Spacing::Linspace } else { Spacing::Leading }
}

fn read_class(f: &mut Fields, default: SamplerKind) -> SamplerKind {
    let names = CLASSES[..3].iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ");
    let expected = format!("{names} (in diffusers, DDIMScheduler.from_config makes one of any other)");
    f.value("_class_name", default, &expected, |v| {
        CLASSES.iter().find(|(name, _)| v.as_str() == Some(name)).map(|&(_, kind)| kind)
    })
}

/// `prediction_type`, or what was once said by `predict_epsilon`. Releases disagree about which of the two counts.
fn read_prediction(f: &mut Fields, default: Prediction) -> Prediction {
    let old = f.value("predict_epsilon", None, "true, false or null", |v| match v {
        Value::Null => Some(None),
        v => v.as_bool().map(|epsilon| Some(if epsilon { Prediction::Epsilon } else { Prediction::Sample })),
    });
    let both = f.has("prediction_type");
    let names = named(Prediction::ALL, Prediction::name);
    let prediction = f.choice("prediction_type", old.unwrap_or(default), &names);
    if let Some(old) = old.filter(|&old| both && f.is_sound() && old != prediction) {
        let (epsilon, name) = (old == Prediction::Epsilon, prediction.name());
        f.problem(format!("`predict_epsilon` is {epsilon}, expected what `prediction_type`, \"{name}\", says"));
    }
    prediction
}

/// DDPM's variance. Its logarithm (`fixed_small_log`) is taken and undone again, and null is what `fixed_small` is.
fn read_variance(f: &mut Fields, kind: SamplerKind, default: Variance) -> Variance {
    let mut names = named(Variance::ALL, Variance::name);
    names.push(("fixed_small_log", Variance::FixedSmall));
    let expected = names.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ");
    f.value("variance_type", default, &expected, |v| match names.iter().find(|(name, _)| v.as_str() == Some(name)) {
        Some(&(_, variance)) => Some(variance),
        // DDIM has no such setting.
        None => (v.is_null() || kind == SamplerKind::Ddim).then_some(default),
    })
}

pub(super) fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|&variant| (name(variant), variant)).collect()
}
