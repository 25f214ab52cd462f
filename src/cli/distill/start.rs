//! What a distillation begins with: a model and a plan, or the run as it was saved.

use super::super::run::{Given, Lock, RunFolder, check_data, place, recipe_file, steps};
use super::super::{Failure, dataset, weights};
use super::Args;
use crate::checkpoint::Checkpoint;
use crate::data::{Dataset, Split};
use crate::train::{Distillation, Progress, Recipe, TrainOptions};
use serde_json::Value;

/// Pictures of a halving.
const IMAGES: u64 = 100_000;
/// Adam's rate at the beginning of a halving.
const LEARNING_RATE: f64 = 1e-4;

/// Everything a distillation needs before an engine is opened.
pub struct Start {
    /// Where the run is written, and the student's configs.
    pub folder: RunFolder,
    /// What is asked for.
    pub plan: Distillation,
    /// How far it is.
    pub progress: Progress,
    /// The training half.
    pub data: Dataset,
    /// The model to begin with; none for a run that goes on.
    pub teacher: Option<Checkpoint>,
}

impl Start {
    /// Reads and checks all that the arguments name.
    pub fn new(args: &Args) -> Result<Self, Failure> {
        let lock = Lock::of_resumed(args.resume, &args.out)?;
        let (checkpoint, recipe, plan, mut progress, teacher) = if args.resume { resumed(args)? } else { begun(args)? };
        // The teacher's null class is nobody's label, wherever it is.
        let data = dataset::load_data(&args.data, &plan.teacher(&checkpoint.config, 0), Split::Train)?;
        check_data(&mut progress, &data, &args.data)?;
        let lock = Lock::or_take(lock, &args.out)?;
        let folder = RunFolder { dir: args.out.clone(), checkpoint, recipe, lock };
        Ok(Self { folder, plan, progress, data, teacher })
    }
}

type Parts = (Checkpoint, Recipe, Distillation, Progress, Option<Checkpoint>);

/// A new run.
fn begun(args: &Args) -> Result<Parts, Failure> {
    place::refuse_a_model(&args.out)?;
    place::refuse_inside(&args.out, &args.data)?;
    let (Some(dir), Some(wanted), Some(guidance)) = (&args.weights, args.steps, args.guidance) else {
        return Err("expected --weights, --steps and --guidance".into());
    };
    let mut teacher = weights::open(dir)?;
    weights::say_without_dropout(&teacher.config, "it is distilled");
    teacher.config.dropout = 0.0;
    let wanted = wanted as usize;
    let mut plan = Distillation {
        steps: wanted,
        from_steps: args.from_steps.map_or_else(|| Distillation::usual_from(wanted), |from| from as usize),
        guidance,
        training_steps: 1,
        null_class: teacher.config.null_class,
        and_half: args.and_half,
        valid_steps: args.valid_steps.clone(),
    };
    plan.check(&teacher)?;
    let student = plan.student(&teacher);
    if let Some(none) = plan.null_class.filter(|_| student.config.num_class_embeds == teacher.config.num_class_embeds) {
        say!(
            "label {none}, the null class, is not the last one: its row stays, so that the others keep their numbers, and means \
             nothing any more"
        );
    }
    let base = base(&student);
    let recipe = settings(args)?.over(&base)?;
    base.check_started(&recipe, &dir.display().to_string())?;
    let images = args.images.unwrap_or(IMAGES);
    plan.training_steps = images.div_ceil(recipe.options.batch as u64);
    let recipe = planned(recipe, &plan);
    Ok((student, recipe, plan, Progress::default(), Some(teacher)))
}

/// What a distillation is like where nobody says. The rate falls to zero in each halving, which an average of the weights would
/// be for; and what the student is taught needs no weights, as plain squares of v are (SNR + 1) times those of x_0 (Salimans
/// & Ho 2022, section 4).
fn base(student: &Checkpoint) -> Recipe {
    let mut base = Recipe::new(student.config.clone());
    base.scheduler = student.scheduler.clone();
    base.options = TrainOptions { lr: LEARNING_RATE, warmup: 0, ema_decay: 0.0, label_dropout: 0.0, ..base.options };
    base
}

/// The recipe with what follows from the plan: all steps, and a checkpoint kept at the end of every halving.
fn planned(mut recipe: Recipe, plan: &Distillation) -> Recipe {
    recipe.options.steps = plan.total();
    recipe.checkpoint_every = plan.training_steps;
    recipe.keep = plan.halvings().len();
    recipe
}

/// The run in --out.
fn resumed(args: &Args) -> Result<Parts, Failure> {
    let (checkpoint, saved, progress) = RunFolder::read(&args.out)?;
    let out = args.out.display();
    let Some(plan) = progress.distillation.clone() else {
        return Err(format!("{out} is a run of train, expected one of distill: go on with noisette train").into());
    };
    let recipe = settings(args)?.over(&saved)?;
    saved.check_resumed(&recipe)?;
    let images = plan.training_steps * recipe.options.batch as u64;
    // Whoever repeats the command means the same run.
    let asked = [
        ("steps", args.steps.map(|steps| (steps as f64, plan.steps as f64))),
        ("from-steps", args.from_steps.map(|steps| (steps as f64, plan.from_steps as f64))),
        ("guidance", args.guidance.map(|guidance| (guidance, plan.guidance))),
        ("images", args.images.map(|n| (n.div_ceil(recipe.options.batch as u64) as f64, plan.training_steps as f64))),
    ];
    for (flag, pair) in asked {
        if let Some((found, made)) = pair.filter(|(found, made)| found != made) {
            let (found, made) = match flag {
                "images" => (args.images.unwrap_or_default().to_string(), images.to_string()),
                _ => (found.to_string(), made.to_string()),
            };
            return Err(format!("--{flag} is {found}, and {made} in the run: a resumed run keeps its plan").into());
        }
    }
    if args.and_half && !plan.and_half {
        return Err("--and-half is set, and not in the run: a resumed run keeps its plan".into());
    }
    if !args.valid_steps.is_empty() && args.valid_steps != plan.valid_steps {
        let made = &plan.valid_steps;
        return Err(format!(
            "--valid-steps is {:?}, and {made:?} in the run: edit _valid_steps in its scheduler_config.json at the end",
            args.valid_steps
        )
        .into());
    }
    let recipe = planned(recipe, &plan);
    check_unfinished(&plan, progress.step)?;
    Ok((checkpoint, recipe, plan, progress, None))
}

/// A run that has taken all its steps has nothing to do.
pub fn check_unfinished(plan: &Distillation, taken: u64) -> Result<(), Failure> {
    if taken < plan.total() {
        return Ok(());
    }
    Err(format!("the run is done: it has its {} already", steps(plan.total())).into())
}

/// What the command line says: --set's settings, then those with a flag of their own.
fn settings(args: &Args) -> Result<Given, Failure> {
    let mut given = Given::of(None)?;
    let mut assigned = recipe_file::assignments(&args.set)?;
    for key in ["steps", "checkpoint_every", "keep"] {
        if assigned.iter().any(|(assigned, _)| assigned == key) {
            return Err(format!("--set {key}: it follows from --images and the halvings").into());
        }
    }
    recipe_file::flags(
        &mut assigned,
        [
            ("lr", "lr", args.lr.map(recipe_file::finite("lr")).transpose()?),
            ("batch", "batch", args.batch.map(Value::from)),
            ("seed", "seed", args.seed.map(Value::from)),
        ],
    )?;
    recipe_file::set(&mut given.settings, assigned)?;
    Ok(given)
}
