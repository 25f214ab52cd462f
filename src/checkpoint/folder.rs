//! Where the files of a model lie: in a folder, in a pipeline's `unet/` and `scheduler/`, one level below, in shards.
//!
//! What a person named stands first. What was taken that nobody named is told in [`ModelFolder::notes`], and what cannot be
//! taken is refused with the names of what lies there.

use super::files::{io_error, read, within};
use super::shards::{self, is_shard};
use super::{Checkpoint, CheckpointError, SCHEDULER_FILE, SchedulerConfig, TensorFile, WEIGHTS_FILE};
use crate::model::config::fields::list;
use crate::model::config::{CONFIG_FILE, UnetConfig};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of a pipeline that hold a network: itself, and the average of its weights.
const UNETS: [&str; 2] = ["unet", "unet_ema"];
/// What a file of weights may be called without its ending: by diffusers, and by accelerate.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];
/// Endings of files that Python's pickle reads.
const PICKLES: [&str; 5] = ["bin", "pt", "pth", "ckpt", "pkl"];

/// The files of a model, found but not read.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    config: PathBuf,
    scheduler: Option<PathBuf>,
    weights: Weights,
    notes: Vec<String>,
}

#[derive(Clone, Debug)]
enum Weights {
    /// A safetensors file.
    Whole(PathBuf),
    /// Several, in this folder, with their index if there is one.
    Shards { dir: PathBuf, stem: &'static str, index: Option<PathBuf> },
}

impl ModelFolder {
    /// Finds a model by its folder (diffusers' `UNet2DModel`, or a pipeline with one), by a folder that holds that of one
    /// model, or by its file of weights.
    ///
    /// # Errors
    /// A missing file, weights as a pickle, a choice that only a person can make.
    pub fn find(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let mut notes = Vec::new();
        let (named, file) = named(path.as_ref())?;
        let unet = find_unet(&named, &mut notes)?;
        let weights = match file {
            Some(file) => Weights::Whole(file),
            None => find_weights(&unet, &mut notes)?,
        };
        let scheduler = find_scheduler(&unet);
        // A pipeline that was named holds its `scheduler/`; that of a `unet/` that was named is another folder's.
        let levels = usize::from(unet != named);
        let assumed = format!(
            "assumed are {}; if the model was trained otherwise, figures and pictures are wrong",
            SchedulerConfig::default().describe()
        );
        match &scheduler {
            Some((level, path)) if *level > levels => notes.push(format!("the noise schedule is {}'s", path.display())),
            Some(_) => {}
            None => notes.push(format!(
                "warning: {} has no {SCHEDULER_FILE}, and neither has a scheduler folder in it or beside it: {assumed}",
                unet.display()
            )),
        }
        // What cannot be read is told when it is to be.
        if let Some((_, path)) = &scheduler
            && read(path).is_ok_and(|bytes| !SchedulerConfig::tells_noise(&bytes))
        {
            notes.push(format!("warning: {} says nothing of the noise: {assumed}", path.display()));
        }
        Ok(Self { config: unet.join(CONFIG_FILE), scheduler: scheduler.map(|(_, path)| path), weights, notes })
    }

    /// Sentences about what was taken that nobody named, for whoever named the model.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The file of weights, or the index of its parts, or where these are.
    pub fn weights(&self) -> &Path {
        match &self.weights {
            Weights::Whole(path) => path,
            Weights::Shards { dir, index, .. } => index.as_ref().unwrap_or(dir),
        }
    }

    /// Whether the model is read from this file.
    pub fn reads(&self, file: &Path) -> bool {
        let Ok(file) = fs::canonicalize(file) else { return false };
        let is = |path: &Path| fs::canonicalize(path).is_ok_and(|path| path == file);
        let is_part = |dir: &Path| {
            name_of(&file).ends_with(".safetensors")
                && file.parent().is_some_and(|place| fs::canonicalize(dir).is_ok_and(|dir| dir == place))
        };
        let of_weights = match &self.weights {
            Weights::Whole(path) => is(path),
            Weights::Shards { dir, index, .. } => index.as_deref().is_some_and(is) || is_part(dir),
        };
        of_weights || is(&self.config) || self.scheduler.as_deref().is_some_and(is)
    }

    /// Reads the files.
    ///
    /// # Errors
    /// Anything that is not understood, with the file it is in; whether names and shapes are the config's is
    /// [`Checkpoint::load_parameters`]'s question.
    pub fn read(&self) -> Result<Checkpoint, CheckpointError> {
        let config = read_config(&self.config)?;
        let scheduler = self.scheduler.as_deref().map(read_scheduler).transpose()?;
        let assumed_scheduler = !scheduler.as_ref().is_some_and(|(_, tells_noise)| *tells_noise);
        let scheduler = scheduler.map(|(scheduler, _)| scheduler);
        let tensors = match &self.weights {
            Weights::Whole(path) => TensorFile::from_bytes(&read(path)?).map_err(|error| within(path, error))?,
            Weights::Shards { dir, stem, index } => shards::read(dir, stem, index.as_deref())?,
        };
        let checkpoint = Checkpoint::new(config, scheduler, tensors);
        let checkpoint = checkpoint.map_err(|error| within(self.weights(), error))?;
        Ok(Checkpoint { assumed_scheduler, ..checkpoint })
    }
}

/// Reads the network's config of a model's folder, or a config.json itself.
///
/// # Errors
/// As [`ModelFolder::find`] and [`UnetConfig::from_json`].
pub fn read_net(path: impl AsRef<Path>) -> Result<UnetConfig, CheckpointError> {
    let path = path.as_ref();
    if path.is_dir() { read_config(&find_unet(path, &mut Vec::new())?.join(CONFIG_FILE)) } else { read_config(path) }
}

fn read_config(path: &Path) -> Result<UnetConfig, CheckpointError> {
    // The error names config.json, which another file may stand in for.
    let place = if name_of(path) == CONFIG_FILE { above(path) } else { path.to_owned() };
    UnetConfig::from_json(&read(path)?).map_err(|error| within(&place, error.into()))
}

/// A scheduler's config, and whether it says anything of the noise.
fn read_scheduler(path: &Path) -> Result<(SchedulerConfig, bool), CheckpointError> {
    let bytes = read(path)?;
    let config = SchedulerConfig::from_json(&bytes).map_err(|error| within(&above(path), error.into()))?;
    Ok((config, SchedulerConfig::tells_noise(&bytes)))
}

/// The folder that was named, and the file of weights in it if that was.
fn named(path: &Path) -> Result<(PathBuf, Option<PathBuf>), CheckpointError> {
    if !path.is_file() {
        return Ok((path.to_owned(), None));
    }
    let dir = above(path);
    if is_pickle(path) {
        return Err(CheckpointError::Pickle { path: path.display().to_string() });
    }
    // A part alone is no model, and a config or an index means its folder; nothing else does.
    let whole = !name_of(path).ends_with(".json") && !is_shard(&name_of(path));
    Ok((dir, whole.then(|| path.to_owned())))
}

/// The folder with the network: the one named, a pipeline's in it, or either in the one folder in it that has one.
fn find_unet(dir: &Path, notes: &mut Vec<String>) -> Result<PathBuf, CheckpointError> {
    let has_config = |dir: &Path| dir.join(CONFIG_FILE).is_file();
    if has_config(dir) {
        return Ok(dir.to_owned());
    }
    let [unet, average] = UNETS.map(|name| dir.join(name));
    match (has_config(&unet), has_config(&average)) {
        (true, true) => {
            let (unet, average) = (unet.display(), average.display());
            notes.push(format!(
                "the network is {unet}; the average of its weights lies beside, to be named as {average}"
            ));
        }
        (false, true) => notes.push(format!("the network is {}: there is no other", average.display())),
        _ => {}
    }
    if let Some(found) = [unet, average].into_iter().find(|dir| has_config(dir)) {
        return Ok(found);
    }
    let is_model = |dir: &Path| has_config(dir) || UNETS.iter().any(|name| has_config(&dir.join(name)));
    let below: Vec<PathBuf> =
        names_in(dir).into_iter().map(|name| dir.join(name)).filter(|dir| is_model(dir)).collect();
    let advice = match below.as_slice() {
        [only] => {
            notes.push(format!("the model is {}, one level below", only.display()));
            return find_unet(only, notes);
        }
        [] if !dir.is_dir() => "there is no such folder".to_owned(),
        [] if is_model(&above(dir)) => format!("the model is {}", above(dir).display()),
        [] => format!("{}; expected a diffusers folder with {CONFIG_FILE} and {WEIGHTS_FILE}", what_lies_in(dir)),
        several => {
            let names: Vec<String> = several.iter().map(|dir| dir.display().to_string()).collect();
            format!("there are {} models in it, name one: {}", names.len(), list(&names))
        }
    };
    Err(CheckpointError::NoFile { dir: dir.display().to_string(), file: CONFIG_FILE, advice })
}

/// The scheduler's config: beside the network's, or where a pipeline has it, also seen from a pipeline's `unet/`, and from
/// one in the `checkpoint-500/` of a training script. With it, how many levels above the network's folder it was found.
fn find_scheduler(unet: &Path) -> Option<(usize, PathBuf)> {
    let pipeline = above(unet);
    let mut dirs = vec![(0, unet.to_owned()), (0, unet.join("scheduler"))];
    if UNETS.contains(&name_of(unet).as_str()) {
        dirs.push((1, pipeline.clone()));
    }
    dirs.push((1, pipeline.join("scheduler")));
    if name_of(&pipeline).starts_with("checkpoint-") {
        dirs.push((2, above(&pipeline).join("scheduler")));
    }
    dirs.into_iter().map(|(level, dir)| (level, dir.join(SCHEDULER_FILE))).find(|(_, path)| path.is_file())
}

/// The weights in a folder: whole before in parts, diffusers' name before accelerate's, and of variants the only one.
fn find_weights(dir: &Path, notes: &mut Vec<String>) -> Result<Weights, CheckpointError> {
    let names = files_in(dir);
    let has = |name: &str| names.iter().any(|found| found == name);
    let note = |name: &str| format!("the weights are {}: there is no {WEIGHTS_FILE}", dir.join(name).display());
    for stem in STEMS {
        let (file, index) = (format!("{stem}.safetensors"), format!("{stem}.safetensors.index.json"));
        if has(&file) {
            if file != WEIGHTS_FILE {
                notes.push(note(&file));
            }
            return Ok(Weights::Whole(dir.join(file)));
        }
        let index = Some(index).filter(|index| has(index)).map(|index| dir.join(index));
        if index.is_some() || !shards::parts(&names, stem).is_empty() {
            return Ok(Weights::Shards { dir: dir.to_owned(), stem, index });
        }
    }
    let is_variant = |stem: &str, name: &str| {
        let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('.'));
        rest.and_then(|rest| rest.strip_suffix(".safetensors")).is_some_and(|variant| !variant.is_empty())
    };
    let single: Vec<&String> = names.iter().filter(|name| name.ends_with(".safetensors") && !is_shard(name)).collect();
    let variants = single.iter().filter(|name| STEMS.iter().any(|stem| is_variant(stem, name)));
    if let [only] = variants.collect::<Vec<_>>().as_slice() {
        notes.push(note(only));
        return Ok(Weights::Whole(dir.join(only)));
    }
    let advice = if !single.is_empty() {
        let paths: Vec<String> = single.iter().map(|name| dir.join(name).display().to_string()).collect();
        format!("name the file of weights that is meant: {}", list(&paths))
    } else if let Some(pickle) = names.iter().find(|name| is_pickle(Path::new(name))) {
        return Err(CheckpointError::Pickle { path: dir.join(pickle).display().to_string() });
    } else {
        what_lies_in(dir)
    };
    Err(CheckpointError::NoFile { dir: dir.display().to_string(), file: WEIGHTS_FILE, advice })
}

fn is_pickle(path: &Path) -> bool {
    path.extension().and_then(|end| end.to_str()).is_some_and(|end| PICKLES.contains(&end))
}

/// The folder that a file or folder is in.
fn above(path: &Path) -> PathBuf {
    match path.parent().filter(|_| path.file_name().is_some()) {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        // The text of `.` and `..` does not tell.
        None => path.join(".."),
    }
}

/// The last part of a path, also of `.`.
fn name_of(path: &Path) -> String {
    let real = || fs::canonicalize(path).ok();
    let name = path.file_name().map(ToOwned::to_owned).or_else(|| real()?.file_name().map(ToOwned::to_owned));
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// What a folder holds, in order, without what is hidden.
fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// The files that a folder holds, in order.
pub(super) fn files_in(dir: &Path) -> Vec<String> {
    names_in(dir).into_iter().filter(|name| dir.join(name).is_file()).collect()
}

fn what_lies_in(dir: &Path) -> String {
    let names: Vec<String> = match fs::read_dir(dir) {
        Ok(_) => names_in(dir),
        Err(error) => return io_error("read", dir, error).to_string(),
    };
    if names.is_empty() { "it is empty".to_owned() } else { format!("it holds {}", list(&names)) }
}
