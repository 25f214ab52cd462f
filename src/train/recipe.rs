//! A recipe: everything that decides a run but the data, under the names that the recipe's file uses.
//!
//! Names of the network and of the schedule are diffusers'. A recipe is an object of one level with the network below `net`;
//! how it is written down (TOML) is the command line's business.

use super::{Loss, TrainOptions};
use crate::checkpoint::SchedulerConfig;
use crate::diffusion::{BetaSchedule, Prediction, Schedule};
use crate::model::config::fields::Fields;
use crate::model::config::{ConfigError, UnetConfig};
use crate::model::init::{initialise, start_at_zero};
use crate::model::step::{Objective, training_loss};
use crate::tensor::Shape;
use serde_json::{Map, Value, json};

/// AdamW's λ where a recipe asks for AdamW and does not say.
const WEIGHT_DECAY: f64 = 0.01;
/// The smallest learning rate that moves weights of f32 in any reasonable number of steps.
const LEAST_LR: f64 = 1e-10;
/// The keys of a network that are not the same in all that are supported.
const NET_KEYS: [&str; 19] = [
    "sample_size",
    "in_channels",
    "out_channels",
    "block_out_channels",
    "down_block_types",
    "up_block_types",
    "layers_per_block",
    "add_attention",
    "attention_head_dim",
    "norm_num_groups",
    "norm_eps",
    "downsample_padding",
    "time_embedding_dim",
    "freq_shift",
    "flip_sin_to_cos",
    "num_class_embeds",
    "_null_class",
    "_class_names",
    "act_fn",
];

/// Everything that decides a run but the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// How the steps are taken.
    pub options: TrainOptions,
    /// Noise schedule, what is predicted, and how samples are drawn (of the last only the clip is part of the file).
    pub scheduler: SchedulerConfig,
    /// The network.
    pub net: UnetConfig,
    /// Steps between two pictures of samples; 0 is never.
    pub sample_every: u64,
    /// Steps between two checkpoints that are kept; 0 is never.
    pub checkpoint_every: u64,
    /// How many of these checkpoints are kept, the last ones.
    pub keep: usize,
}

impl Recipe {
    /// The defaults for a network.
    pub fn new(net: UnetConfig) -> Self {
        let (options, scheduler) = (TrainOptions::default(), SchedulerConfig::default());
        Self { options, scheduler, net, sample_every: 500, checkpoint_every: 1000, keep: 3 }
    }

    /// The parameters of a new network of this recipe, in the order of its graph, which is that of `Trainer::parameters`.
    pub fn start_values(&self) -> Vec<Vec<f32>> {
        let [height, width] = self.net.sample_size;
        let (graph, _) =
            training_loss(&self.net, Shape::new(1, height, width, self.net.channels), Objective::default());
        let mut values = initialise(&graph, self.options.seed);
        if self.options.zero_init {
            start_at_zero(&graph, &mut values);
        }
        values
    }

    /// Takes over what a run may change on its way, since it does not change the steps taken so far.
    pub fn take_free(&mut self, other: &Self) {
        self.options.steps = other.options.steps;
        self.scheduler.clip_sample = other.scheduler.clip_sample;
        (self.sample_every, self.checkpoint_every, self.keep) =
            (other.sample_every, other.checkpoint_every, other.keep);
    }

    /// This recipe with the settings of `object`, which names some or all; `"none"` is null.
    ///
    /// # Errors
    /// All settings that are unknown or have no sensible value, at once.
    pub fn with(&self, object: &Map<String, Value>) -> Result<Self, ConfigError> {
        let mut object = object.clone();
        let net = object.remove("net");
        let mut f = Fields::of("the recipe", object);
        let (o, s) = (&self.options, &self.scheduler);
        let adam = (o.weight_decay == 0.0, "adam");
        let name =
            f.choice("optimizer", if adam.0 { "adam" } else { "adamw" }, &[("adam", "adam"), ("adamw", "adamw")]);
        let usual = match name {
            "adam" => 0.0,
            _ if adam.0 => WEIGHT_DECAY,
            _ => o.weight_decay,
        };
        let [beta1, beta2] = f.value("betas", [o.beta1, o.beta2], "two numbers from 0 to 0.99999", betas);
        let options = TrainOptions {
            batch: f.integer("batch", o.batch, 1..=4096),
            steps: f.integer("steps", o.steps as usize, 1..=u32::MAX as usize) as u64,
            lr: number(&mut f, "lr", o.lr, LEAST_LR, 1e30),
            warmup: f.integer("warmup", o.warmup as usize, 0..=u32::MAX as usize) as u64,
            cosine_decay: f.choice("schedule", o.cosine_decay, &[("cosine", true), ("constant", false)]),
            beta1,
            beta2,
            adam_eps: number(&mut f, "eps", o.adam_eps, 1e-30, 1.0),
            weight_decay: number(&mut f, "weight_decay", usual, 0.0, 10.0),
            max_grad_norm: number(&mut f, "max_grad_norm", o.max_grad_norm, 1e-10, 1e30),
            ema_decay: number(&mut f, "ema_decay", o.ema_decay, 0.0, 1.0),
            label_dropout: number(&mut f, "label_dropout", o.label_dropout, 0.0, 1.0),
            flip: f.boolean("horizontal_flip", o.flip),
            loss: f.choice("loss", o.loss, &[("l2", Loss::L2), ("l1", Loss::L1)]),
            min_snr_gamma: f.value("min_snr_gamma", o.min_snr_gamma, "\"none\" or a number from 0.01 to 1000", gamma),
            zero_init: f.boolean("zero_init", o.zero_init),
            stratified_timesteps: f.boolean("stratified_timesteps", o.stratified_timesteps),
            seed: f.value("seed", o.seed, "a whole number from 0 to 9223372036854775807", |v| {
                v.as_u64().filter(|&seed| i64::try_from(seed).is_ok())
            }),
        };
        if name == "adam" && options.weight_decay != 0.0 {
            let decay = options.weight_decay;
            f.problem(format!("`weight_decay` is {decay}, expected 0 with the optimizer adam: choose adamw"));
        }
        let kinds: Vec<_> = BetaSchedule::ALL.iter().map(|&kind| (kind.name(), kind)).collect();
        let targets = [Prediction::Epsilon, Prediction::VPrediction].map(|target| (target.name(), target));
        let prediction_type = f.choice("prediction", s.prediction_type, &targets);
        // v gives an x̂_0 that needs no clip, and guidance suffers from one: the step keeps an ε that belongs to another x̂_0.
        let usual_clip =
            if prediction_type == s.prediction_type { s.clip_sample } else { prediction_type == Prediction::Epsilon };
        let scheduler = SchedulerConfig {
            prediction_type,
            clip_sample: f.boolean("clip_sample", usual_clip),
            beta_schedule: f.choice("beta_schedule", s.beta_schedule, &kinds),
            beta_start: number(&mut f, "beta_start", s.beta_start, 0.0, 1.0),
            beta_end: number(&mut f, "beta_end", s.beta_end, 0.0, 1.0),
            num_train_timesteps: f.integer("timesteps", s.num_train_timesteps, 10..=Schedule::MAX_TIMESTEPS),
            ..s.clone()
        };
        let (sample_every, checkpoint_every) = (self.sample_every as usize, self.checkpoint_every as usize);
        let recipe = Self {
            options,
            scheduler,
            net: self.net.clone(),
            sample_every: f.integer("sample_every", sample_every, 0..=u32::MAX as usize) as u64,
            checkpoint_every: f.integer("checkpoint_every", checkpoint_every, 0..=u32::MAX as usize) as u64,
            keep: f.integer("keep", self.keep, 1..=10_000),
        };
        if let Err(error) = recipe.scheduler.schedule() {
            f.problem(error.to_string());
        }
        // Even one that nothing is said about: a run's network has to be read again.
        let net = match self.net_with(&net.unwrap_or_else(|| json!({}))) {
            Ok(net) => net,
            Err(problems) => {
                problems.into_iter().for_each(|problem| f.problem(format!("in [net], {problem}")));
                self.net.clone()
            }
        };
        f.finish()?;
        Ok(Self { net, ..recipe })
    }

    /// This recipe's network with the keys of a table.
    fn net_with(&self, table: &Value) -> Result<UnetConfig, Vec<String>> {
        let Value::Object(table) = table else { return Err(vec![format!("`net` is {table}, expected a table")]) };
        let mut whole = net_object(&self.net);
        for (key, value) in table {
            let value = if value == "none" { Value::Null } else { value.clone() };
            whole.insert(key.clone(), value);
        }
        // Whoever changes the channels of the images means both ends.
        if let Some(channels) = table.get("in_channels").filter(|_| !table.contains_key("out_channels")) {
            whole.insert("out_channels".to_owned(), channels.clone());
        }
        let unknown = table.keys().filter(|key| !NET_KEYS.contains(&key.as_str()));
        let mut problems: Vec<String> = unknown.map(|key| format!("`{key}` is not a known setting")).collect();
        whole.retain(|key, _| NET_KEYS.contains(&key.as_str()));
        match UnetConfig::from_json(Value::Object(whole).to_string().as_bytes()) {
            Ok(net) if problems.is_empty() => return Ok(net),
            Ok(_) => {}
            Err(ConfigError::Unsupported { problems: more, .. }) => problems.extend(more),
            Err(error) => problems.push(error.to_string()),
        }
        Err(problems)
    }

    /// All settings by name, in the order in which they are explained; null where there is none.
    pub fn settings(&self) -> Vec<(&'static str, Value)> {
        let (o, s) = (&self.options, &self.scheduler);
        vec![
            ("steps", json!(o.steps)),
            ("batch", json!(o.batch)),
            ("seed", json!(o.seed)),
            ("optimizer", json!(if o.weight_decay == 0.0 { "adam" } else { "adamw" })),
            ("lr", json!(o.lr)),
            ("warmup", json!(o.warmup)),
            ("schedule", json!(if o.cosine_decay { "cosine" } else { "constant" })),
            ("betas", json!([o.beta1, o.beta2])),
            ("eps", json!(o.adam_eps)),
            ("weight_decay", json!(o.weight_decay)),
            ("max_grad_norm", json!(o.max_grad_norm)),
            ("ema_decay", json!(o.ema_decay)),
            ("label_dropout", json!(o.label_dropout)),
            ("horizontal_flip", json!(o.flip)),
            ("loss", json!(o.loss)),
            ("min_snr_gamma", json!(o.min_snr_gamma)),
            ("stratified_timesteps", json!(o.stratified_timesteps)),
            ("zero_init", json!(o.zero_init)),
            ("prediction", json!(s.prediction_type.name())),
            ("beta_schedule", json!(s.beta_schedule.name())),
            ("beta_start", json!(s.beta_start)),
            ("beta_end", json!(s.beta_end)),
            ("timesteps", json!(s.num_train_timesteps)),
            ("clip_sample", json!(s.clip_sample)),
            ("sample_every", json!(self.sample_every)),
            ("checkpoint_every", json!(self.checkpoint_every)),
            ("keep", json!(self.keep)),
        ]
    }

    /// The settings of the network, those that are not the same in all.
    pub fn net_settings(&self) -> Vec<(&'static str, Value)> {
        let net = net_object(&self.net);
        NET_KEYS
            .iter()
            .filter_map(|&key| Some((key, net.get(key)?.clone())))
            .filter(|(key, _)| *key != "act_fn")
            .collect()
    }

    /// The settings in which another recipe differs: name, the value here and the value there.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, Value, Value)> {
        let mine = self.settings().into_iter().chain(self.net_settings());
        let others: Vec<_> = other.settings().into_iter().chain(other.net_settings()).collect();
        let of = |key: &str| others.iter().find(|(other, _)| *other == key).map_or(Value::Null, |(_, v)| v.clone());
        let pairs = mine.map(|(key, value)| (key, value, of(key)));
        pairs.filter(|(_, value, other)| value != other).collect()
    }
}

fn net_object(net: &UnetConfig) -> Map<String, Value> {
    match serde_json::from_str(&net.to_json()) {
        Ok(Value::Object(mut object)) => {
            // Written only where there is one.
            object.entry("_null_class").or_insert(Value::Null);
            object.entry("_class_names").or_insert(json!([]));
            object
        }
        _ => Map::new(),
    }
}

fn number(f: &mut Fields, key: &str, default: f64, low: f64, high: f64) -> f64 {
    let expected = format!("a number from {low:?} to {high:?}");
    f.value(key, default, &expected, |v| v.as_f64().filter(|x| (low..=high).contains(x)))
}

fn betas(value: &Value) -> Option<[f64; 2]> {
    let pair = value.as_array().filter(|pair| pair.len() == 2)?;
    let beta = |v: &Value| v.as_f64().filter(|x| (0.0..=0.99999).contains(x));
    Some([beta(&pair[0])?, beta(&pair[1])?])
}

fn gamma(value: &Value) -> Option<Option<f64>> {
    match value {
        Value::Null => Some(None),
        v if v == "none" => Some(None),
        v => v.as_f64().filter(|x| (0.01..=1000.0).contains(x)).map(Some),
    }
}
