//! samples/step-….png: what the model draws by now, always of the same noise, left by the weights and right by their average.

use super::super::{Failure, grid, write_file};
use super::run_folder::RunFolder;
use crate::checkpoint::SchedulerConfig;
use crate::diffusion::SamplerKind;
use crate::engine::Engine;
use crate::playground::{Noise, Session, Settings, sampler_config};
use crate::rng::Rng;
use crate::train::Trainer;

/// DDIM's steps, few enough to be quick and many enough to judge by.
const STEPS: usize = 25;
/// Images at most, of each of the two sets of weights; a model without classes gets all of them.
const MOST: usize = 20;
/// Of the streams of the seed, the one that no step and no shuffle draws from.
const STREAM: u64 = 1 << 62;
/// The ground of the gap between the halves, that of the lines.
const GAP: f32 = 32.0 / 255.0 * 2.0 - 1.0;

/// Draws the picture of this step, if the images can be drawn at all: in the way that a distilled model is good for, others by DDIM.
pub fn draw(engine: &Engine, run: &RunFolder, trainer: &Trainer, scheduler: &SchedulerConfig) -> Result<(), Failure> {
    let config = &run.checkpoint.config;
    if !grid::is_drawable(config.channels) {
        return Ok(());
    }
    let labels = config.classes().max(1);
    let count = ((MOST / labels).max(1) * labels).min(MOST);
    let classes = config.labels_in_turn(count);
    let shape = config.image_shape().with_n(count);
    let steps = STEPS.min(scheduler.num_train_timesteps);
    let usual = sampler_config(scheduler, SamplerKind::Ddim, steps, 0.0);
    let sampler = if scheduler.suggested.is_distilled() { scheduler.suggested.over(usual) } else { usual };
    let settings = Settings { classes, guidance: 1.0, sampler };
    let seed = run.recipe.options.seed;
    let x = Rng::stream(seed, STREAM).normals(shape.len());

    let mut halves = Vec::new();
    for averaged in [false, true] {
        let mut session = Session::of(engine.clone(), config.clone(), scheduler.clone(), trainer.weights(averaged))?;
        session.set_images_at_once(count);
        session.start(&settings, Noise::Given { x: x.clone(), steps: None, seed })?;
        while pollster::block_on(session.step())?.is_some() {}
        halves.push(session.x().unwrap_or_default().to_vec());
    }
    // Rows of the weights' images, a gap, and the averages' of the same noise.
    let image = shape.len() / count;
    let columns = (count as f64).sqrt().ceil() as usize;
    let (blank, gap) = (vec![GAP; image], vec![GAP; image]);
    let mut cells = Vec::new();
    for row in 0..count.div_ceil(columns) {
        for (i, half) in halves.iter().enumerate() {
            if i > 0 {
                cells.extend_from_slice(&gap);
            }
            for k in row * columns..(row + 1) * columns {
                cells.extend_from_slice(half.get(k * image..(k + 1) * image).unwrap_or(&blank));
            }
        }
    }
    let cells_shape = shape.with_n(cells.len() / image);
    write_file(&run.sample(trainer.step_count()), grid::png_in_columns(&cells, cells_shape, 2 * columns + 1)?)
}
