//! A run on disk: the model as a diffusers folder, what `--resume` needs, and checkpoints to go back to.

use super::super::{Failure, weights};
use super::lock::Lock;
use super::metrics::METRICS_FILE;
use super::plot::PLOT_FILE;
use super::recipe_file;
use crate::checkpoint::{self, Checkpoint, SCHEDULER_FILE, TensorFile, WEIGHTS_FILE};
use crate::model::config::CONFIG_FILE;
use crate::train::recipe_text::RECIPE_FILE;
use crate::train::saved::RUN_FILE;
use crate::train::state::STATE_FILE;
use crate::train::{Progress, Recipe, Trainer};
use std::fs;
use std::path::{Path, PathBuf};

/// Folder with the checkpoints that are kept.
const CHECKPOINTS: &str = "checkpoints";
/// In there, the one that is being written.
const PARTIAL: &str = ".partial";
/// Folder with the pictures drawn on the way.
const SAMPLES: &str = "samples";
/// The files that lie in a run's folder itself.
const FILES: [&str; 8] =
    [CONFIG_FILE, SCHEDULER_FILE, WEIGHTS_FILE, RECIPE_FILE, RUN_FILE, STATE_FILE, METRICS_FILE, PLOT_FILE];

/// Names and contents.
pub type Files = Vec<(String, Vec<u8>)>;

/// The step whose picture has this name.
fn step_of_sample(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.strip_suffix(".png")?.parse().ok()
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

    /// The file of the picture drawn after `step`.
    pub fn sample(&self, step: u64) -> PathBuf {
        self.dir.join(SAMPLES).join(format!("step-{step:06}.png"))
    }

    /// Reads a run, or one of its checkpoints, back.
    pub fn read(dir: &Path) -> Result<(Checkpoint, Recipe, Progress), Failure> {
        let path = dir.join(RUN_FILE);
        let text = fs::read(&path).map_err(|e| format!("there is no run to resume in {}: {e}", dir.display()))?;
        let progress = Progress::from_bytes(&text, &path.display().to_string())?;
        let checkpoint = weights::open(dir)?;
        let path = dir.join(RECIPE_FILE);
        // A run from before there were recipes has none.
        let settings = if progress.options.is_some() { Default::default() } else { recipe_file::read(&path)? };
        let recipe = progress.recipe(&checkpoint, Some((&path.display().to_string(), &settings)))?;
        Ok((checkpoint, recipe, progress))
    }

    /// The fingerprint of the data that a folder's model was trained on, if that is a run, or a run's checkpoint.
    pub fn data(dir: &Path) -> Option<String> {
        Progress::from_bytes(&fs::read(dir.join(RUN_FILE)).ok()?, RUN_FILE).ok()?.data
    }

    /// All tensors of a run's state.
    pub fn state(dir: &Path) -> Result<TensorFile, Failure> {
        Ok(checkpoint::read_tensors(dir.join(STATE_FILE))?)
    }

    /// Takes a trainer to where a run was saved.
    pub fn restore(dir: &Path, trainer: &mut Trainer, progress: &mut Progress) -> Result<(), Failure> {
        let path = dir.join(STATE_FILE);
        let state = checkpoint::read_tensors(&path)?;
        let restored = trainer.restore_tensors(&state, progress.step);
        restored.map_err(|error| super::super::in_file(&path, error.into()))?;
        // A run that was killed while its files were being replaced may have a newer state than progress.
        progress.step = trainer.step_count();
        Ok(())
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
        checkpoint::remove_leftovers(self.dir.join(SAMPLES), |name| step_of_sample(name).is_some());
        // There is none as a rule, and the next checkpoint would replace it.
        let _ = fs::remove_dir_all(self.dir.join(CHECKPOINTS).join(PARTIAL));
    }

    /// Removes checkpoints and pictures of later steps, which the run has gone back behind.
    pub fn forget_after(&self, step: u64) -> Result<(), Failure> {
        for kept in Self::list(&self.dir).into_iter().filter(|&kept| kept > step) {
            let dir = Self::kept(&self.dir, kept);
            fs::remove_dir_all(&dir).map_err(|e| format!("cannot remove {}: {e}", dir.display()))?;
        }
        for entry in fs::read_dir(self.dir.join(SAMPLES)).into_iter().flatten().flatten() {
            if entry.file_name().to_str().and_then(step_of_sample).is_some_and(|drawn| drawn > step) {
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
