//! A recipe as text: what a run's `recipe.toml` says, with a word on every setting.
//!
//! The text is TOML, but written so that each line is a comment, a setting with a value in JSON, or `[net]`: whoever reads back what
//! was written here needs no parser of TOML. Texts that somebody edited do, and that is the command line's.

use super::Recipe;
use serde_json::{Map, Value};

/// Name of the recipe's file in a run's folder.
pub const RECIPE_FILE: &str = "recipe.toml";

/// What stands before a setting in a written recipe.
const WORDS: [(&str, &str); 28] = [
    ("steps", "How long.\n# Steps of the whole run, which the learning rate is laid out for; images per step."),
    ("seed", "Decides start values, order of the images, timesteps, noise, mirroring and dropped labels."),
    ("optimizer", "The optimizer.\n# adam, or adamw with its weight_decay."),
    (
        "lr",
        "Peak learning rate, reached after `warmup` steps; then \"cosine\" lets it fall to zero, \"constant\" does not.",
    ),
    ("betas", ""),
    ("max_grad_norm", "Gradients with a larger norm are scaled down to this one."),
    (
        "ema_decay",
        "Decay of the average of the weights, which is what the run's model is; approached as (1 + n)/(10 + n).",
    ),
    (
        "label_dropout",
        "The data.\n# Share of labels replaced by the null class, which guidance needs; at 0 there is none.",
    ),
    ("horizontal_flip", "Whether images are mirrored, by chance every other one: not for digits or letters."),
    ("loss", "What is learned.\n# l2 (squares) or l1 (absolute values)."),
    (
        "min_snr_gamma",
        "Weights by min(SNR, gamma) (Hang et al. 2023), for example 5.0; \"none\" weighs all timesteps alike.",
    ),
    ("stratified_timesteps", "Whether a batch takes its timesteps evenly from all of them, or each image by chance."),
    ("zero_init", "Whether the last layer of every block starts at zero (Ho et al. 2020), or as PyTorch starts it."),
    ("prediction", "What the network predicts: epsilon or v_prediction."),
    (
        "beta_schedule",
        "Noise over time: linear, scaled_linear or squaredcos_cap_v2 (which ignores beta_start and beta_end).",
    ),
    ("clip_sample", "Whether samplers clip the predicted picture to the range of pixels; for v_prediction better not."),
    (
        "sample_every",
        "What is kept.\n# Steps between two pictures of samples, 0 for none; between two checkpoints; how many of these stay.",
    ),
    // Those explained by the one before.
    ("batch", ""),
    ("warmup", ""),
    ("schedule", ""),
    ("eps", ""),
    ("weight_decay", ""),
    ("beta_start", ""),
    ("beta_end", ""),
    ("timesteps", ""),
    ("checkpoint_every", ""),
    ("keep", ""),
    ("net", "The network, as in diffusers' config.json (UNet2DModel)."),
];

/// Settings that came after the others, and what was done before. A run writes all settings, so that a recipe with all the
/// others and none of these was written before, and keeps its meaning.
const LATER: [(&str, bool); 2] = [("zero_init", false), ("stratified_timesteps", false)];

/// The settings of a recipe with what a whole one of an earlier time left unsaid.
pub fn of_its_time(mut object: Map<String, Value>) -> Map<String, Value> {
    let later = |key: &str| LATER.iter().any(|(later, _)| *later == key);
    let whole = WORDS.iter().all(|(key, _)| object.contains_key(*key) != later(key));
    if whole {
        object.extend(LATER.map(|(key, before)| (key.to_owned(), before.into())));
    }
    object
}

impl Recipe {
    /// The text that reproduces a run, as TOML.
    pub fn to_toml(&self) -> String {
        let mut text =
            "# Everything that decides this run but the data: noisette train --data DATA --recipe recipe.toml\n"
                .to_owned();
        let explain = |text: &mut String, key: &str| {
            let words = WORDS.iter().find(|(known, _)| *known == key).map_or("", |(_, words)| words);
            if !words.is_empty() {
                *text += &format!("\n# {words}\n");
            }
        };
        for (key, value) in self.settings() {
            explain(&mut text, key);
            text += &format!("{key} = {}\n", to_value(&value));
        }
        explain(&mut text, "net");
        text += "[net]\n";
        for (key, value) in self.net_settings() {
            text += &format!("{key} = {}\n", to_value(&value));
        }
        text
    }
}

/// The settings that a text of [`Recipe::to_toml`] holds; nothing if it is none.
pub fn read_written(text: &str) -> Option<Map<String, Value>> {
    let (mut settings, mut net) = (Map::new(), None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line == "[net]" {
            net = Some(Map::new());
            continue;
        }
        let (key, value) = line.split_once(" = ")?;
        let value = serde_json::from_str(value).ok()?;
        net.as_mut().unwrap_or(&mut settings).insert(key.to_owned(), value);
    }
    settings.insert("net".to_owned(), Value::Object(net?));
    Some(of_its_time(settings))
}

/// A value in TOML, which has no null.
fn to_value(value: &Value) -> String {
    if value.is_null() {
        return "\"none\"".to_owned();
    }
    // The rest of JSON's scalars and lists is TOML's too; whole numbers that stand for real ones read the same.
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::UnetConfig;

    #[test]
    fn what_is_written_is_read_again() {
        let mut recipe = Recipe::new(UnetConfig::ddpm_cifar10());
        (recipe.options.lr, recipe.options.min_snr_gamma, recipe.options.seed) = (1.25e-7, Some(5.0), 1 << 62);
        recipe.net.class_names = vec!["a \"b\" = # [net]".to_owned(), "é\n".to_owned()];
        recipe.net.num_class_embeds = Some(2);
        let base = Recipe::new(UnetConfig::digits());
        for recipe in [recipe, base.clone()] {
            let settings = read_written(&recipe.to_toml()).expect("the text");
            assert_eq!(base.with(&settings).expect("a recipe"), recipe);
        }
        for (key, _) in base.settings() {
            assert!(WORDS.iter().any(|(known, _)| *known == key), "{key} is not explained");
        }
        for text in ["", "lr = 1e-3", "lr = \n[net]\n", "[net]\nlr: 3"] {
            assert!(read_written(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_text_from_before_a_setting_keeps_its_meaning() {
        let recipe = Recipe::new(UnetConfig::digits());
        let text = recipe.to_toml().replace("zero_init = true\n", "").replace("stratified_timesteps = true\n", "");
        let old = recipe.with(&read_written(&text).expect("the text")).expect("a recipe");
        assert!(!old.options.zero_init && !old.options.stratified_timesteps);
    }
}
