//! A recipe as a TOML file that somebody may have edited: read, and overridden from the command line.

use super::super::{Failure, in_file, weights};
use crate::train::Recipe;
use crate::train::recipe_text::of_its_time;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

/// The largest whole number that TOML has.
const LARGEST: i64 = i64::MAX;

/// Reads a recipe's settings. A `net` that is the path of a config.json, relative to the recipe, becomes its content.
pub fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut object = parse(&text).map_err(|error| in_file(path, error))?;
    if let Some(Value::String(file)) = object.get("net") {
        let config = path.parent().unwrap_or(Path::new("")).join(file);
        let net = weights::net(&config)?;
        weights::say_without_dropout(&net, "it is trained");
        object.insert("net".to_owned(), Recipe::new(net).net_settings().into_iter().collect());
    }
    Ok(object)
}

/// The settings that a recipe's text holds.
pub fn parse(text: &str) -> Result<Map<String, Value>, Failure> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let span = error.span().unwrap_or_default();
        let line = text.get(..span.start).map_or(0, |before| before.matches('\n').count() + 1);
        // The parser calls this no TOML value at all.
        let number = text.get(span).unwrap_or_default().trim_start_matches(['-', '+']);
        if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '_') {
            return format!("line {line}: {number} is too large a number, expected at most {LARGEST}");
        }
        format!("this is not TOML: line {line}: {}", error.message())
    })?;
    Ok(of_its_time(table.into_iter().map(|(key, value)| (key, to_json(value))).collect()))
}

/// A value as JSON, which has neither dates nor numbers like nan: these become text, for errors to show as it was written.
fn to_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(is) => is.into(),
        toml::Value::Array(values) => values.into_iter().map(to_json).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, to_json(value))).collect(),
        toml::Value::Float(number) if number.is_finite() => number.into(),
        other => Value::String(other.to_string()),
    }
}

/// Settings given as `key=value` or `net.key=value`, where text needs no quotes; each once, or always the same.
pub fn assignments(texts: &[String]) -> Result<Vec<(String, Value)>, Failure> {
    let mut assigned: Vec<(String, Value)> = Vec::new();
    for text in texts {
        let parts = text.split_once('=').filter(|(key, _)| !key.trim().is_empty());
        let Some((key, value)) = parts else {
            return Err(format!("--set {text}: expected a setting, = and a value").into());
        };
        let (key, value) = (key.trim(), value.trim());
        let parsed = parse(&format!("v = {value}")).ok().and_then(|mut object| object.remove("v"));
        let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
        if let Some(other) = other_than(&assigned, key, &value) {
            return Err(format!("--set {key} is given as {other} and as {value}, expected one of them").into());
        }
        assigned.push((key.to_owned(), value));
    }
    Ok(assigned)
}

/// Adds what has a flag of its own, as (flag, key, value). Nobody is to say one thing by a flag and another by --set.
pub fn flags<const N: usize>(
    assigned: &mut Vec<(String, Value)>,
    flags: [(&str, &str, Option<Value>); N],
) -> Result<(), Failure> {
    for (flag, key, value) in flags {
        let Some(value) = value else { continue };
        if let Some(other) = other_than(assigned, key, &value) {
            return Err(format!("--{flag} is {value}, but --set {key} is {other}: expected one of them").into());
        }
        assigned.push((key.to_owned(), value));
    }
    Ok(())
}

/// A flag's number as a value, unless it is none that a recipe could hold.
pub fn finite(flag: &str) -> impl Fn(f64) -> Result<Value, Failure> {
    move |number| match number.is_finite() {
        true => Ok(Value::from(number)),
        false => Err(format!("--{flag} is {number}, expected a number above 0").into()),
    }
}

/// The value that a setting has among others, if that is not this one.
fn other_than<'a>(assigned: &'a [(String, Value)], key: &str, value: &Value) -> Option<&'a Value> {
    // 1e-3 is 0.001, and a size is that of both sides.
    let same = |other: &Value| match (other.as_u64(), value.as_u64()) {
        (Some(other), Some(value)) => other == value,
        _ => other.as_f64().map_or(other == value, |other| value.as_f64() == Some(other)),
    };
    let differs = |other: &Value| !same(other) && *other != json!([value, value]);
    assigned.iter().find(|(other, value)| other == key && differs(value)).map(|(_, other)| other)
}

/// Adds settings to others.
pub fn set(object: &mut Map<String, Value>, assigned: Vec<(String, Value)>) -> Result<(), Failure> {
    for (key, value) in assigned {
        let (target, key) = match key.split_once('.') {
            Some(("net", key)) => match object.entry("net").or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(net) => (net, key),
                other => return Err(format!("--set net.{key}: `net` is {other}, expected a table").into()),
            },
            _ => (&mut *object, key.as_str()),
        };
        target.insert(key.to_owned(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::{BetaSchedule, Prediction};
    use crate::model::config::UnetConfig;
    use crate::train::{Loss, TrainOptions};

    fn odd() -> Recipe {
        let mut recipe = Recipe::new(UnetConfig::ddpm_cifar10());
        recipe.options = TrainOptions {
            batch: 3,
            steps: 77,
            lr: 1.25e-7,
            warmup: 0,
            cosine_decay: false,
            beta1: 0.5,
            beta2: 0.75,
            adam_eps: 1e-12,
            weight_decay: 0.03,
            max_grad_norm: 1e9,
            ema_decay: 0.5,
            label_dropout: 0.0,
            flip: true,
            loss: Loss::L1,
            min_snr_gamma: Some(5.0),
            stratified_timesteps: false,
            zero_init: false,
            seed: 1 << 62,
        };
        recipe.scheduler.prediction_type = Prediction::VPrediction;
        recipe.scheduler.beta_schedule = BetaSchedule::SquaredcosCapV2;
        recipe.scheduler.num_train_timesteps = 250;
        (recipe.sample_every, recipe.checkpoint_every, recipe.keep) = (1, 2, 4);
        recipe
    }

    #[test]
    fn what_is_written_is_read_again_whatever_the_defaults() {
        for recipe in [odd(), Recipe::new(UnetConfig::digits())] {
            let text = recipe.to_toml();
            for base in [odd(), Recipe::new(UnetConfig::digits())] {
                let read = base.with(&parse(&text).unwrap()).unwrap();
                assert_eq!(read, recipe, "{text}");
                assert!(read.differences(&recipe).is_empty());
            }
        }
        assert!(odd().differences(&Recipe::new(UnetConfig::digits())).len() > 25, "every setting differs");
    }

    #[test]
    fn a_recipe_from_before_a_setting_keeps_its_meaning() {
        let new = Recipe::new(UnetConfig::digits());
        let mut text = new.to_toml();
        for (key, before) in [("zero_init", false), ("stratified_timesteps", false)] {
            let now = new.settings().into_iter().find(|(name, _)| *name == key).unwrap().1;
            assert_ne!(now, Value::from(before), "{key}");
            text = text.replace(&format!("{key} = {now}\n"), "");
        }
        let old = new.with(&parse(&text).unwrap()).unwrap();
        assert!(!old.options.zero_init && !old.options.stratified_timesteps);
        // Who says little means what is usual now.
        let part = new.with(&parse("lr = 1e-3").unwrap()).unwrap();
        assert!(part.options.zero_init && part.options.stratified_timesteps);
        // Saved options of the same time.
        let saved: TrainOptions = serde_json::from_str("{\"batch\": 3}").unwrap();
        assert!(!saved.zero_init && !saved.stratified_timesteps);
    }

    #[test]
    fn all_bad_settings_are_told_at_once() {
        let text = "lrr = 3\nlr = 1e-40\noptimizer = \"sgd\"\nweight_decay = 1\nbetas = [0.9]\n[net]\nlayers = 3\nlayers_per_block = 9";
        let error = Recipe::new(UnetConfig::digits()).with(&parse(text).unwrap()).unwrap_err().to_string();
        for part in [
            "`lrr`",
            "`lr` is 1e-40",
            "1e-10",
            "sgd",
            "`weight_decay`",
            "`betas`",
            "`layers`",
            "`layers_per_block` is 9",
        ] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        assert!(parse("a = 1\nb = = 2\n").unwrap_err().to_string().contains("line 2"));
        for seed in ["18446744073709551616", "9223372036854775808", "-99_999_999_999_999_999_999"] {
            let error = parse(&format!("steps = 3\nseed = {seed}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains("is too large a number"), "{error}");
        }
        let odd = parse("lr = nan\neps = -inf\nseed = 2020-01-02\n").unwrap();
        let error = Recipe::new(UnetConfig::digits()).with(&odd).unwrap_err().to_string();
        for part in ["`lr` is \"nan\"", "`eps` is \"-inf\"", "`seed` is \"2020-01-02\""] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }

    #[test]
    fn settings_from_the_command_line_need_no_quotes() {
        let mut object = Map::new();
        let given = ["loss=l1", "lr = 2e-3", "net.layers_per_block=2", "betas=[0.8, 0.9]", "seed=4"].map(str::to_owned);
        set(&mut object, assignments(&given).unwrap()).unwrap();
        let recipe = Recipe::new(UnetConfig::digits()).with(&object).unwrap();
        let options = &recipe.options;
        assert_eq!((options.loss, options.lr, options.beta1, options.seed), (Loss::L1, 2e-3, 0.8, 4));
        assert_eq!(recipe.net, UnetConfig { layers_per_block: 2, ..UnetConfig::digits() });
        assert!(recipe.scheduler.clip_sample, "a predicted noise needs the clip");
        for (prediction, clip, expected) in [("v_prediction", "", false), ("v_prediction", "clip_sample=true", true)] {
            let mut object = Map::new();
            let given = [format!("prediction={prediction}"), clip.to_owned()];
            set(&mut object, assignments(&given[..1 + usize::from(!clip.is_empty())]).unwrap()).unwrap();
            let unclipped = recipe.with(&object).unwrap();
            assert_eq!(unclipped.scheduler.clip_sample, expected);
            assert_eq!(unclipped.with(&Map::new()).unwrap(), unclipped, "what was chosen stays");
        }
        for bad in ["lr", "=3"] {
            let error = assignments(&[bad.to_owned()]).unwrap_err().to_string();
            assert_eq!(error, format!("--set {bad}: expected a setting, = and a value"));
        }
    }

    #[test]
    fn a_setting_is_given_once() {
        let of = |texts: &[&str]| assignments(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["lr=1e-3", "batch=3", "lr=0.001"]).unwrap().len(), 3);
        let error = of(&["lr=1e-3", "loss=l1", "lr=2e-3"]).unwrap_err().to_string();
        assert_eq!(error, "--set lr is given as 0.001 and as 0.002, expected one of them");
        let given = of(&["seed=9223372036854775807", "net.sample_size=[8, 8]", "lr=1"]).unwrap();
        for (key, value, differs) in [
            ("seed", json!(i64::MAX), false),
            ("seed", json!(i64::MAX - 1), true),
            ("net.sample_size", json!(8), false),
            ("net.sample_size", json!(12), true),
            ("lr", json!(1.0), false),
            ("lr", json!(1.5), true),
            ("batch", json!(3), false),
        ] {
            assert_eq!(other_than(&given, key, &value).is_some(), differs, "{key} {value}");
        }
    }
}
