//! The loop: batches in; numbers, pictures and checkpoints out, until the steps are done or the run is told to stop.

use super::super::Failure;
use super::metrics::{self, METRICS_FILE, Metrics};
use super::plot::{self, PLOT_FILE};
use super::run_folder::RunFolder;
use super::{Learner, samples, steps};
use crate::checkpoint;
use crate::data::{self, Batches, Dataset};
use crate::engine::Engine;
use crate::train::{Progress, TrainError};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two checkpoints.
const SAVE_EVERY: Duration = Duration::from_secs(120);

/// How a run ended without an error.
pub enum End {
    /// With the recipe's last step.
    Done,
    /// By Ctrl-C, or a request to end.
    Interrupted,
}

/// Trains until the recipe's last step, Ctrl-C or a request to end.
pub fn drive(
    engine: &Engine,
    run: &RunFolder,
    dataset: &Dataset,
    learner: &mut impl Learner,
    mut progress: Progress,
) -> Result<End, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed))?;
    let options = &run.recipe.options;
    let batch = options.batch;
    let mut batches = Batches::resume(dataset.len(), options.seed, learner.trainer().step_count() * batch as u64);
    let mut x_0 = vec![0.0; batch * dataset.image_len()];
    // Before the first step, so that a full disk or a folder one may not write to is known before the work.
    run.tidy();
    run.write(&learner.files(run, &progress)?)?;
    run.forget_after(progress.step)?;
    let mut metrics = Metrics::open(&run.dir, progress.step, run.recipe.scheduler.num_train_timesteps, batch)?;
    draw_losses(run)?;

    let bar = ProgressBar::new(options.steps).with_position(learner.trainer().step_count());
    bar.set_style(ProgressStyle::with_template("{bar:32} {pos}/{len} steps, {msg}, {eta} left")?);
    let (mut taken, mut busy) = (0, 0.0);
    let mut written = learner.trainer().step_count();
    let mut saved = Instant::now();
    let mut smooth = None;
    while learner.trainer().step_count() < options.steps && !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let indices = batches.next_batch(batch);
        data::fill_x0(dataset, &indices, &mut x_0);
        let step = learner.step(&x_0, &data::labels(dataset, &indices));
        let report = step.map_err(|error| advised(run, learner.trainer().step_count(), written, error))?;
        let seconds = started.elapsed().as_secs_f64();
        (taken, busy) = (taken + 1, busy + seconds);
        progress.step = report.step;
        progress.seconds += seconds;
        metrics.add(&report, seconds).map_err(unwritten)?;

        let loss = f64::from(report.loss);
        let average = smooth.map_or(loss, |s| 0.98 * s + 0.02 * loss);
        smooth = Some(average);
        let rate = f64::from(taken) * batch as f64 / busy;
        let numbers = format!("loss {average:.4}, {rate:.1} images/s");
        bar.set_position(report.step);
        bar.set_message(numbers.clone());
        if is_due(report.step, run.recipe.sample_every) {
            let scheduler = learner.scheduler(run);
            samples::draw(engine, run, learner.trainer(), &scheduler)?;
        }
        let keep = is_due(report.step, run.recipe.checkpoint_every);
        if keep || saved.elapsed() > SAVE_EVERY {
            save(run, learner, &progress, keep)?;
            written = report.step;
            saved = Instant::now();
            if bar.is_hidden() {
                // Nobody sees a bar: a line now and then for whoever reads the output later.
                let left = (options.steps - report.step) as f64 * busy / f64::from(taken) / 60.0;
                say!("step {} of {}, {numbers}, {left:.0} min left", report.step, options.steps);
            }
        }
    }
    metrics.finish().map_err(unwritten)?;
    save(run, learner, &progress, false)?;
    bar.abandon();
    say!("saved {} after {} of {}", run.dir.display(), steps(progress.step), options.steps);
    Ok(if progress.step < options.steps { End::Interrupted } else { End::Done })
}

fn unwritten(error: std::io::Error) -> Failure {
    format!("cannot write {METRICS_FILE}: {error}").into()
}

fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// Saves the run, for good if it is to `keep` this step, and draws its losses so far.
fn save(run: &RunFolder, learner: &mut impl Learner, progress: &Progress, keep: bool) -> Result<(), Failure> {
    let files = learner.files(run, progress)?;
    if keep {
        run.keep(progress.step, &files)?;
    }
    run.write(&files)?;
    draw_losses(run)
}

fn draw_losses(run: &RunFolder) -> Result<(), Failure> {
    let plot = plot::svg(&metrics::losses(&run.dir));
    Ok(checkpoint::replace_files(&run.dir, &[(PLOT_FILE.to_owned(), plot.into_bytes())])?)
}

/// An error that ends a run after step `last`, with the place to go back to; the run was `saved` last after that step.
fn advised(run: &RunFolder, last: u64, saved: u64, error: TrainError) -> Failure {
    match error {
        // Of weights that were ruined before, no learning rate makes anything.
        TrainError::NotFinite { what, value, .. } if last == 0 => {
            format!("the {what} is {value} at the first step: the weights that the run starts from are no good").into()
        }
        TrainError::NotFinite { .. } => match run.last_good(last, saved) {
            Some(place) => format!("{error}, for example with --from {}", place.display()).into(),
            None => format!("{error}; none was saved before the weights were ruined, so begin anew").into(),
        },
        error => error.into(),
    }
}
