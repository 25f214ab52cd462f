//! What a run begins with: a recipe and weights of its own, those of another folder, or the run as it was saved.

use super::super::run::{Given, Lock, RunFolder, check_data, place, recipe_file, steps};
use super::super::{Failure, dataset, label_names, weights};
use super::Args;
use super::labels;
use crate::checkpoint::{Checkpoint, Suggested};
use crate::data::{self, Dataset, Split};
use crate::model::config::UnetConfig;
use crate::train::{Progress, Recipe};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// Everything a run needs before an engine is opened.
pub struct Start {
    /// Where the run is written, how it trains, and its configs, with weights unless they start at random.
    pub folder: RunFolder,
    /// How far it is.
    pub progress: Progress,
    /// The training half.
    pub data: Dataset,
    /// The folder with the state to go on from.
    pub source: Option<PathBuf>,
}

impl Start {
    /// Reads and checks all that the arguments name.
    pub fn new(args: &Args) -> Result<Self, Failure> {
        let given = settings(args)?;
        let lock = Lock::of_resumed(args.resume, &args.out)?;
        let (mut checkpoint, mut recipe, mut progress, source) =
            if args.resume { resumed(args, &given)? } else { begun(args, &given)? };
        check_unfinished(&args.out, progress.step, recipe.options.steps)?;
        let data = dataset::load_data(&args.data, &checkpoint.config, Split::Train)?;
        check_data(&mut progress, &data, &args.data)?;
        if let Err(error) = dataset::check_test_half(&args.data, &checkpoint.config) {
            say!("evaluate will not be able to measure this model with these data: {error}");
        }
        if let Some(from) = args.from.as_ref().filter(|_| given.net("_class_names").is_none()) {
            recipe.net.class_names = labels::names(&recipe.net, from, &args.data, &data)?;
            checkpoint.config.class_names = recipe.net.class_names.clone();
        }
        let lock = Lock::or_take(lock, &args.out)?;
        let folder = RunFolder { dir: args.out.clone(), checkpoint, recipe, lock };
        Ok(Self { folder, progress, data, source })
    }
}

type Parts = (Checkpoint, Recipe, Progress, Option<PathBuf>);

/// The run in --out, or one of its checkpoints.
fn resumed(args: &Args, given: &Given) -> Result<Parts, Failure> {
    let source = match args.back_to {
        None => args.out.clone(),
        Some(step) => {
            let kept = RunFolder::list(&args.out);
            if !kept.contains(&step) {
                let kept = kept.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
                let kept = if kept.is_empty() { "none was".to_owned() } else { format!("those of {kept} were") };
                let out = args.out.display();
                return Err(format!("there is no checkpoint of step {step} in {out}: {kept} kept").into());
            }
            RunFolder::kept(&args.out, step)
        }
    };
    let (mut checkpoint, saved, progress) = RunFolder::read(&source)?;
    if progress.distillation.is_some() {
        let out = args.out.display();
        return Err(format!("{out} is a run of distill, expected one of train: go on with noisette distill").into());
    }
    let recipe = given.over(&saved)?;
    let kept = saved.check_resumed(&recipe);
    kept.map_err(|error| format!("{error}; to change more, start a new run with --from"))?;
    checkpoint.scheduler.clip_sample = recipe.scheduler.clip_sample;
    Ok((checkpoint, recipe, Progress { options: None, ..progress }, Some(source)))
}

/// A run that has taken as many steps as it is to have has nothing to do, and none goes backwards unless told to.
pub fn check_unfinished(out: &Path, taken: u64, wanted: u64) -> Result<(), Failure> {
    let text = match taken.cmp(&wanted) {
        Ordering::Less => return Ok(()),
        Ordering::Equal => format!("the run has its {} already: give a larger --steps to go on", steps(taken)),
        Ordering::Greater => {
            let kept = RunFolder::list(out).into_iter().filter(|&kept| kept < wanted);
            let kept: Vec<String> = kept.map(|kept| kept.to_string()).collect();
            let back = match kept.is_empty() {
                true => String::new(),
                false => format!(", or go back to a checkpoint with --back-to ({})", kept.join(", ")),
            };
            format!(
                "the run has taken {} already, more than the {wanted} that it is to have: give a larger --steps to go \
                 on{back}",
                steps(taken)
            )
        }
    };
    Err(text.into())
}

/// A new run.
fn begun(args: &Args, given: &Given) -> Result<Parts, Failure> {
    place::refuse_a_model(&args.out)?;
    place::refuse_inside(&args.out, &args.data)?;
    if let Some(dir) = &args.from {
        let mut checkpoint = weights::open(dir)?;
        weights::say_without_dropout(&checkpoint.config, "training goes on");
        // What is trained on without is a model without.
        checkpoint.config.dropout = 0.0;
        let mut base = Recipe::new(checkpoint.config.clone());
        base.scheduler = checkpoint.scheduler.clone();
        let recipe = given.over(&base)?;
        base.check_started(&recipe, &dir.display().to_string())?;
        checkpoint.scheduler.clip_sample = recipe.scheduler.clip_sample;
        checkpoint.config.class_names = recipe.net.class_names.clone();
        if checkpoint.scheduler.suggested.is_distilled() {
            say!("{} is distilled: trained on data, the model forgets its steps and its guidance", dir.display());
            checkpoint.scheduler.suggested = Suggested::default();
        }
        if recipe.options.label_dropout == 0.0 && recipe.net.null_class.is_some() {
            say!("label_dropout is 0: the null class learns nothing more, and guidance may suffer");
        }
        say_idle_dropout(&recipe, given);
        return Ok((checkpoint, recipe, Progress::default(), None));
    }
    // A recipe that says it all needs no look at the data.
    let whole = ["sample_size", "in_channels", "num_class_embeds", "_null_class", "_class_names"];
    let is_whole = whole.iter().all(|key| given.net(key).is_some());
    let net = if is_whole { UnetConfig::digits() } else { dataset::net_for(&args.data, given.settings.get("net"))? };
    let recipe = labels::new_recipe(Recipe::new(net), given)?;
    say_idle_dropout(&recipe, given);
    let checkpoint = Checkpoint {
        config: recipe.net.clone(),
        scheduler: recipe.scheduler.clone(),
        assumed_scheduler: false,
        tensors: Default::default(),
    };
    Ok((checkpoint, recipe, Progress::default(), None))
}

/// Says that labels are not dropped, though it was asked for, where there is no null class to put in their place.
fn say_idle_dropout(recipe: &Recipe, given: &Given) {
    let dropout = recipe.options.label_dropout;
    if given.settings.contains_key("label_dropout") && dropout > 0.0 && recipe.net.null_class.is_none() {
        say!(
            "label_dropout is {dropout}, but the model has no null class: no label is dropped, and guidance will not work"
        );
    }
}

/// What the command line says: the recipe's settings, then --config's, then --set's, then those with a flag of their own.
fn settings(args: &Args) -> Result<Given, Failure> {
    let mut given = Given::of(args.recipe.as_deref())?;
    let object = &mut given.settings;
    if let Some(path) = &args.config {
        let net = weights::net(path)?;
        weights::say_without_dropout(&net, "it is trained");
        let mut table: Map<String, Value> =
            Recipe::new(net.clone()).net_settings().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        // Names belong to data: a new network is taught none of what a config's labels stood for.
        let others = data::find_idx(&args.data)?.is_some() && label_names::shared(&args.data, &net)?.is_none();
        if others && !net.class_names.is_empty() {
            table.remove("_class_names");
            say!(
                "the names of the classes in {} are those of other data: the classes go by the data's",
                path.display()
            );
        }
        object.insert("net".to_owned(), table.into());
    }
    let mut assigned = recipe_file::assignments(&args.set)?;
    recipe_file::flags(
        &mut assigned,
        [
            ("lr", "lr", args.lr.map(recipe_file::finite("lr")).transpose()?),
            ("batch", "batch", args.batch.map(Value::from)),
            ("steps", "steps", args.steps.map(Value::from)),
            ("seed", "seed", args.seed.map(Value::from)),
            ("size", "net.sample_size", args.size.map(Value::from)),
        ],
    )?;
    recipe_file::set(object, assigned)?;
    Ok(given)
}
