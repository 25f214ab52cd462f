//! A run as files: a model that everybody can open, and beside it what it takes to go on. Bytes in and bytes out; whose folder or
//! store they lie in is not the library's business.
//!
//! | file | what |
//! |---|---|
//! | `config.json`, `scheduler_config.json`, `diffusion_pytorch_model.safetensors` | the model: the average of the weights |
//! | `recipe.toml` | how it is trained; may be edited |
//! | `training.json` | how far it is ([`Progress`]), and the recipe as it was when that was written |
//! | `training_state.safetensors` | weights, moments and averages, and the step all belong to |

use super::recipe_text::{RECIPE_FILE, read_written};
use super::state::STATE_FILE;
use super::{Distillation, Recipe, TrainError, TrainOptions, Trainer};
use crate::checkpoint::{self, Checkpoint, CheckpointError, Dtype};
use crate::model::config::ConfigError;
use crate::model::config::json::without_mark;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Name of the file with the progress of a run.
pub const RUN_FILE: &str = "training.json";

/// Why a run cannot be saved, or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The trainer: its engine, or tensors of another model.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A file of tensors, or the model.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Something else than a run's progress.
    #[error("{file} is not a saved run: {source}")]
    Progress {
        /// The file.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A run without its recipe.
    #[error("{file} does not say by which recipe the run was trained: expected it there, or beside")]
    NoRecipe {
        /// The file with the progress.
        file: String,
    },
    /// A recipe with bad settings.
    #[error("{file}: {source}")]
    Recipe {
        /// The file.
        file: String,
        /// What is wrong with them.
        source: ConfigError,
    },
    /// A recipe that was edited.
    #[error("{file} was changed after the run was saved: {differences}")]
    Changed {
        /// The file.
        file: String,
        /// Where it differs from the recipe that the steps were taken by.
        differences: String,
    },
    /// A recipe of another run.
    #[error("{file} does not belong to the run's own configs: {differences}")]
    Foreign {
        /// The file.
        file: String,
        /// Where it differs from the configs.
        differences: String,
    },
}

/// How far a run got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// How it trains, in runs from before there were recipes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<TrainOptions>,
    /// Steps taken.
    pub step: u64,
    /// Training time so far.
    pub seconds: f64,
    /// Engine and adapter of the last part.
    pub engine: String,
    /// Number, size and hash of the images.
    #[serde(default)]
    pub data: Option<String>,
    /// The text of the recipe these steps were taken by: the file beside can be edited.
    #[serde(default)]
    pub recipe: Option<String>,
    /// What it distils, if it is no training on data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation>,
}

impl Progress {
    /// Reads `training.json`, which errors call `file`.
    ///
    /// # Errors
    /// Anything but such a file.
    pub fn from_bytes(bytes: &[u8], file: &str) -> Result<Self, SavedError> {
        let progress = serde_json::from_slice(without_mark(bytes));
        progress.map_err(|source| SavedError::Progress { file: file.to_owned(), source })
    }

    /// The recipe of the run whose model is `checkpoint`. `beside` are the settings of its `recipe.toml`, if that is there, and
    /// what errors call it: they may differ from what the steps were taken by in what a run may change
    /// ([`Recipe::take_free`]).
    ///
    /// # Errors
    /// No recipe; bad settings; a recipe that was changed in anything else, or is another run's.
    pub fn recipe(
        &self,
        checkpoint: &Checkpoint,
        beside: Option<(&str, &Map<String, Value>)>,
    ) -> Result<Recipe, SavedError> {
        let file = beside.map_or(RECIPE_FILE, |(file, _)| file).to_owned();
        let mut base = Recipe::new(checkpoint.config.clone());
        base.scheduler = checkpoint.scheduler.clone();
        let bad = |source| SavedError::Recipe { file: file.clone(), source };
        let recipe = match (&self.options, beside) {
            (Some(options), _) => Recipe { options: options.clone(), ..base },
            (None, None) => self.taken(&base)?.ok_or_else(|| SavedError::NoRecipe { file: RUN_FILE.to_owned() })?,
            (None, Some((_, settings))) => {
                let recipe = base.with(settings).map_err(bad)?;
                if let Some(mut taken) = self.taken(&base)? {
                    taken.take_free(&recipe);
                    let differences = taken.describe_differences(&recipe);
                    if !differences.is_empty() {
                        return Err(SavedError::Changed { file, differences });
                    }
                }
                recipe
            }
        };
        let mut written = recipe.clone();
        (written.net, written.scheduler) = (checkpoint.config.clone(), checkpoint.scheduler.clone());
        let differences = written.describe_differences(&recipe);
        if differences.is_empty() { Ok(recipe) } else { Err(SavedError::Foreign { file, differences }) }
    }

    /// The recipe that the steps were taken by, in runs that tell it.
    fn taken(&self, base: &Recipe) -> Result<Option<Recipe>, SavedError> {
        let Some(text) = &self.recipe else { return Ok(None) };
        let settings = read_written(text).ok_or_else(|| SavedError::NoRecipe { file: RUN_FILE.to_owned() })?;
        let recipe = base.with(&settings);
        recipe.map(Some).map_err(|source| SavedError::Recipe { file: RUN_FILE.to_owned(), source })
    }
}

/// The files of a run as it is now, names and contents; `model` is its network and scheduler, whose tensors do not count.
///
/// # Errors
/// A failing engine; weights that are not finite.
pub async fn to_files(
    model: &Checkpoint,
    recipe: &Recipe,
    progress: &Progress,
    trainer: &mut Trainer,
) -> Result<Vec<(String, Vec<u8>)>, SavedError> {
    let mut files = but_state(model, recipe, progress, trainer).await?;
    // Last, since it says which step all belong to.
    files.push((STATE_FILE.to_owned(), trainer.to_bytes().await?));
    Ok(files)
}

/// The same without the state.
pub(super) async fn but_state(
    model: &Checkpoint,
    recipe: &Recipe,
    progress: &Progress,
    trainer: &mut Trainer,
) -> Result<Vec<(String, Vec<u8>)>, SavedError> {
    let averaged = trainer.read_weights(true).await?;
    let tensors = checkpoint::store_parameters(trainer.parameters(), &averaged);
    let model = Checkpoint {
        config: model.config.clone(),
        scheduler: model.scheduler.clone(),
        assumed_scheduler: model.assumed_scheduler,
        tensors,
    };
    let mut files = model.to_files(Dtype::F32)?;
    let recipe = recipe.to_toml();
    let progress = Progress { recipe: Some(recipe.clone()), ..progress.clone() };
    files.push((RECIPE_FILE.to_owned(), recipe.into_bytes()));
    let progress = serde_json::to_vec_pretty(&progress);
    files.push((
        RUN_FILE.to_owned(),
        progress.map_err(|source| SavedError::Progress { file: RUN_FILE.to_owned(), source })?,
    ));
    Ok(files)
}
