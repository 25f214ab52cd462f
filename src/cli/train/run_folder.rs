//! A run on disk: the model as a diffusers folder, what `--resume` needs, and checkpoints to go back to.

use super::super::{Failure, weights};
use super::drive::PLOT_FILE;
use super::lock::Lock;
use super::metrics::METRICS_FILE;
use super::recipe_file::{self, RECIPE_FILE};
use super::samples;
use crate::checkpoint::{self, Checkpoint, Dtype, SCHEDULER_FILE, TensorFile, WEIGHTS_FILE};
use crate::model::config::CONFIG_FILE;
use crate::model::config::json::without_mark;
use crate::tensor::Shape;
use crate::train::{Recipe, TrainOptions, Trainer};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// File with the progress of a run.
pub const RUN_FILE: &str = "training.json";
/// File with the weights, Adam's moments and the averages of a run, and the step they belong to.
const STATE_FILE: &str = "training_state.safetensors";
/// Folder with the checkpoints that are kept.
const CHECKPOINTS: &str = "checkpoints";
/// In there, the one that is being written.
const PARTIAL: &str = ".partial";
/// The files that lie in a run's folder itself.
const FILES: [&str; 8] =
    [CONFIG_FILE, SCHEDULER_FILE, WEIGHTS_FILE, RECIPE_FILE, RUN_FILE, STATE_FILE, METRICS_FILE, PLOT_FILE];

/// Names and contents.
pub type Files = Vec<(String, Vec<u8>)>;

/// How far a run got.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
}

/// A run's folder.
pub struct RunFolder {
    /// Where it is.
    pub dir: PathBuf,
    /// Network and scheduler, as they are written.
    pub checkpoint: Checkpoint,
    /// How it trains.
    pub recipe: Recipe,
    /// The right to write there.
    pub lock: Lock,
}

impl RunFolder {
    /// The folder of checkpoint `step`.
    pub fn kept(dir: &Path, step: u64) -> PathBuf {
        dir.join(CHECKPOINTS).join(format!("step-{step:06}"))
    }

    /// Reads a run, or one of its checkpoints, back.
    pub fn read(dir: &Path) -> Result<(Checkpoint, Recipe, Progress), Failure> {
        let path = dir.join(RUN_FILE);
        let text = fs::read(&path).map_err(|e| format!("there is no run to resume in {}: {e}", dir.display()))?;
        let progress: Progress = serde_json::from_slice(without_mark(&text))
            .map_err(|e| format!("{} is not a saved run: {e}", path.display()))?;
        let checkpoint = weights::open(dir)?;
        let mut recipe = Recipe::new(checkpoint.config.clone());
        recipe.scheduler = checkpoint.scheduler.clone();
        let path = dir.join(RECIPE_FILE);
        match &progress.options {
            Some(options) => recipe.options = options.clone(),
            None => {
                let base = recipe;
                recipe = base.with(&recipe_file::read(&path)?).map_err(|e| super::super::in_file(&path, e.into()))?;
                if let Some(text) = &progress.recipe {
                    let mut taken = base.with(&recipe_file::parse(text)?)?;
                    taken.take_free(&recipe);
                    let differences = describe(&taken, &recipe);
                    if !differences.is_empty() {
                        let path = path.display();
                        return Err(format!("{path} was changed after the run was saved: {differences}").into());
                    }
                }
            }
        }
        let mut written = recipe.clone();
        (written.net, written.scheduler) = (checkpoint.config.clone(), checkpoint.scheduler.clone());
        let differences = describe(&written, &recipe);
        if !differences.is_empty() {
            let text = format!("{} does not belong to the run's own configs: {differences}", path.display());
            return Err(text.into());
        }
        Ok((checkpoint, recipe, progress))
    }

    /// The fingerprint of the data that a folder's model was trained on, if that is a run, or a run's checkpoint.
    pub fn data(dir: &Path) -> Option<String> {
        serde_json::from_slice::<Progress>(without_mark(&fs::read(dir.join(RUN_FILE)).ok()?)).ok()?.data
    }

    /// Takes a trainer to where a run was saved.
    pub fn restore(dir: &Path, trainer: &mut Trainer, progress: &mut Progress) -> Result<(), Failure> {
        let path = dir.join(STATE_FILE);
        let state = checkpoint::read_tensors(&path)?;
        // A run that was killed while its files were being replaced may have a newer state than progress.
        if let Ok(step) = state.i64("step", 1) {
            progress.step = step.1.first().and_then(|&step| u64::try_from(step).ok()).unwrap_or(progress.step);
        }
        let find = |name: &str| state.f32(name, 4).ok().map(|(_, values)| values);
        trainer.restore(progress.step, find).map_err(|error| super::super::in_file(&path, error.into()))
    }

    /// The files of the run as it is now: their names and contents.
    pub fn files(&self, trainer: &mut Trainer, progress: &Progress) -> Result<Files, Failure> {
        let averaged = pollster::block_on(trainer.read_weights(true))?;
        let tensors = checkpoint::store_parameters(trainer.parameters(), &averaged);
        let mut files = Checkpoint { tensors, ..self.checkpoint.clone() }.to_files(Dtype::F32)?;
        let mut state = TensorFile::new();
        let shapes: Vec<Shape> = trainer.parameters().iter().flat_map(|spec| [spec.shape; 4]).collect();
        for ((name, values), shape) in pollster::block_on(trainer.state())?.into_iter().zip(shapes) {
            state.insert_f32(name, &shape.0, values);
        }
        state.insert_i64("step", &[1], vec![i64::try_from(progress.step)?]);
        let recipe = recipe_file::to_toml(&self.recipe);
        let progress = Progress { recipe: Some(recipe.clone()), ..progress.clone() };
        files.push((RECIPE_FILE.to_owned(), recipe.into_bytes()));
        files.push((RUN_FILE.to_owned(), serde_json::to_vec_pretty(&progress)?));
        // Last, since it says which step all belong to.
        files.push((STATE_FILE.to_owned(), state.to_bytes(Dtype::F32)?));
        Ok(files)
    }

    /// Replaces the run's files, all or none.
    pub fn write(&self, files: &[(String, Vec<u8>)]) -> Result<(), Failure> {
        Ok(checkpoint::replace_files(&self.dir, files)?)
    }

    /// Keeps the files of this step, and of the checkpoints kept before only the last ones up to it. Before
    /// [`RunFolder::write`]: a run that is killed between the two goes on from an earlier step, and keeps them again.
    pub fn keep(&self, step: u64, files: &[(String, Vec<u8>)]) -> Result<(), Failure> {
        let place = Self::kept(&self.dir, step);
        let failed = |e: std::io::Error| format!("cannot write {}: {e}", place.display());
        // Written beside and renamed, so that no half of one is ever found.
        let partial = self.dir.join(CHECKPOINTS).join(PARTIAL);
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(failed)?;
        }
        checkpoint::replace_files(&partial, files)?;
        if place.exists() {
            fs::remove_dir_all(&place).map_err(failed)?;
        }
        fs::rename(&partial, &place).map_err(failed)?;
        let kept = Self::list(&self.dir);
        let past = kept.iter().filter(|&&s| s <= step).count().saturating_sub(self.recipe.keep);
        let old = kept.iter().enumerate().filter(|&(i, &s)| i < past || s > step);
        for (_, &old) in old {
            let dir = Self::kept(&self.dir, old);
            fs::remove_dir_all(&dir).map_err(|e| format!("cannot remove {}: {e}", dir.display()))?;
        }
        Ok(())
    }

    /// The steps of the checkpoints that are kept, in order.
    pub fn list(dir: &Path) -> Vec<u64> {
        let entries = fs::read_dir(dir.join(CHECKPOINTS)).into_iter().flatten().flatten();
        let step = |entry: fs::DirEntry| -> Option<u64> {
            let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
            // Not somebody's step-5, which is step-000005 here.
            (Self::kept(dir, step).file_name() == Some(&entry.file_name())).then_some(step)
        };
        let mut steps: Vec<u64> = entries.filter_map(step).collect();
        steps.sort_unstable();
        steps
    }

    /// Removes what a process that was killed while it saved has left.
    pub fn tidy(&self) {
        if !self.lock.is_sure() {
            return;
        }
        checkpoint::remove_leftovers(&self.dir, |name| FILES.contains(&name));
        checkpoint::remove_leftovers(self.dir.join(samples::FOLDER), |name| samples::step_of(name).is_some());
        // There is none as a rule, and the next checkpoint would replace it.
        let _ = fs::remove_dir_all(self.dir.join(CHECKPOINTS).join(PARTIAL));
    }

    /// Removes checkpoints and pictures of later steps, which the run has gone back behind.
    pub fn forget_after(&self, step: u64) -> Result<(), Failure> {
        for kept in Self::list(&self.dir).into_iter().filter(|&kept| kept > step) {
            let dir = Self::kept(&self.dir, kept);
            fs::remove_dir_all(&dir).map_err(|e| format!("cannot remove {}: {e}", dir.display()))?;
        }
        for entry in fs::read_dir(self.dir.join(samples::FOLDER)).into_iter().flatten().flatten() {
            if entry.file_name().to_str().and_then(samples::step_of).is_some_and(|drawn| drawn > step) {
                let path = entry.path();
                fs::remove_file(&path).map_err(|e| format!("cannot remove {}: {e}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Where to go back to when the weights after step `last` give no number: the last checkpoint that was kept before, or
    /// the run as it was `saved`, if that was before, too.
    pub fn last_good(&self, last: u64, saved: u64) -> Option<PathBuf> {
        let kept = Self::list(&self.dir).into_iter().rfind(|&kept| kept < last);
        match kept.filter(|&kept| kept >= saved || saved >= last) {
            Some(kept) => Some(Self::kept(&self.dir, kept)),
            None => (saved < last).then(|| self.dir.clone()),
        }
    }
}

/// The differences between the recipe of a run and another, in words; empty if there are none.
pub fn describe(run: &Recipe, other: &Recipe) -> String {
    let differences = run.differences(other);
    let words = differences.iter().map(|(key, value, other)| format!("`{key}` is {value} in the run and {other} here"));
    words.collect::<Vec<_>>().join("; ")
}
