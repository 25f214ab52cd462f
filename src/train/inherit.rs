//! What a run keeps that goes on, or that starts from the weights of another: a recipe is compared with what it may not change.

use super::Recipe;

/// The settings that a run may change on its way (see [`Recipe::take_free`]).
pub const FREE: [&str; 5] = ["steps", "clip_sample", "sample_every", "checkpoint_every", "keep"];

/// A recipe that changes what has to stay.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// A resumed run by another recipe.
    #[error("a resumed run keeps its recipe, all but {}: {differences}", FREE.join(", "))]
    Resumed {
        /// Where it differs.
        differences: String,
    },
    /// Another network or schedule for weights that are there.
    #[error("a run that starts from {model} keeps its network and noise: {differences}")]
    Started {
        /// What the weights are called.
        model: String,
        /// Where the recipe differs.
        differences: String,
    },
}

impl Recipe {
    /// The differences between the recipe of a run and another, in words; empty if there are none.
    pub fn describe_differences(&self, other: &Self) -> String {
        let differences = self.differences(other);
        let words =
            differences.iter().map(|(key, value, other)| format!("`{key}` is {value} in the run and {other} here"));
        words.collect::<Vec<_>>().join("; ")
    }

    /// Whether a run by this recipe may go on by another.
    ///
    /// # Errors
    /// A difference in anything but [`FREE`].
    pub fn check_resumed(&self, other: &Self) -> Result<(), InheritError> {
        let mut fixed = other.clone();
        fixed.take_free(self);
        let differences = self.describe_differences(&fixed);
        if differences.is_empty() { Ok(()) } else { Err(InheritError::Resumed { differences }) }
    }

    /// Whether a run by another recipe may start from the weights of a model with this one's network and schedule, which errors
    /// call `model`. Names of classes and the clip of samples are free.
    ///
    /// # Errors
    /// Another network or schedule.
    pub fn check_started(&self, other: &Self, model: &str) -> Result<(), InheritError> {
        let mut inherited = self.clone();
        (inherited.net, inherited.scheduler) = (other.net.clone(), other.scheduler.clone());
        inherited.scheduler.clip_sample = self.scheduler.clip_sample;
        inherited.net.class_names = self.net.class_names.clone();
        let differences = self.describe_differences(&inherited);
        if differences.is_empty() {
            return Ok(());
        }
        let differences = differences.replace("in the run", "there");
        Err(InheritError::Started { model: model.to_owned(), differences })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::UnetConfig;

    #[test]
    fn what_is_free_is_all_that_may_change() {
        let run = Recipe::new(UnetConfig::digits());
        let mut other = run.clone();
        (other.options.steps, other.sample_every, other.checkpoint_every, other.keep) = (9, 8, 7, 6);
        other.scheduler.clip_sample = !run.scheduler.clip_sample;
        assert!(run.check_resumed(&other).is_ok());
        let changed: Vec<_> = run.differences(&other).into_iter().map(|(key, ..)| key).collect();
        assert!(changed.len() == FREE.len() && changed.iter().all(|key| FREE.contains(key)), "{changed:?}");
        other.options.lr = 1.0;
        let error = run.check_resumed(&other).expect_err("another rate").to_string();
        assert!(error.ends_with("checkpoint_every, keep: `lr` is 0.001 in the run and 1.0 here"), "{error}");
    }

    #[test]
    fn weights_keep_their_network_and_noise() {
        let model = Recipe::new(UnetConfig::digits());
        let mut other = model.clone();
        (other.options.lr, other.net.class_names) = (1.0, vec!["nought".to_owned()]);
        assert!(model.check_started(&other, "weights/digits").is_ok());
        other.net.layers_per_block += 1;
        let error = model.check_started(&other, "weights/digits").expect_err("another network").to_string();
        assert!(
            error.starts_with("a run that starts from weights/digits keeps its network and noise: `layers_per_block`")
        );
        assert!(error.contains(" there and "), "{error}");
    }
}
