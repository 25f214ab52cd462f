//! Trains a small network on pictures made here and writes it as a diffusers folder:
//! `cargo run --release --example train -- bars`.

use noisette::checkpoint::{Dtype, store_parameters, write_dir};
use noisette::data::{Batches, fill_x0, labels};
use noisette::engine::Choice;
use noisette::model::config::{BlockType, UnetConfig};
use noisette::{Checkpoint, Dataset, Engine, Recipe, Trainer};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or("bars".to_owned());
    pollster::block_on(train(&folder, 200))?;
    Ok(())
}

/// Pictures of 8×8 pixels with one bar: a row in those of class 0, a column in those of class 1.
fn bars() -> Dataset {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for place in 0..8 {
        for class in 0..2 {
            let on_bar = |i: usize| [i / 8, i % 8][class] == place;
            images.extend((0..64).map(|i| if on_bar(i) { 255 } else { 0 }));
            labels.push(class as u8);
        }
    }
    Dataset { images, labels, height: 8, width: 8, channels: 1 }
}

/// The losses of a run of so many steps.
pub async fn train(folder: &str, steps: u64) -> Result<Vec<f32>, Box<dyn Error>> {
    let dataset = bars();
    let net = UnetConfig {
        sample_size: [8, 8],
        block_out_channels: vec![16, 16],
        down_block_types: vec![BlockType::Plain, BlockType::Attention],
        up_block_types: vec![BlockType::Attention, BlockType::Plain],
        // Two classes and the null class, without which there is no guidance.
        num_class_embeds: Some(3),
        null_class: Some(2),
        class_names: vec!["row".to_owned(), "column".to_owned()],
        ..UnetConfig::digits()
    };
    let mut recipe = Recipe::new(net);
    (recipe.options.steps, recipe.options.batch, recipe.options.warmup) = (steps, 8, 10);

    let engine = Engine::open(Choice::Cpu).await?;
    let (schedule, prediction) = (recipe.scheduler.schedule()?, recipe.scheduler.prediction_type);
    let weights = recipe.start_values();
    let mut trainer = Trainer::new(&engine, &recipe.net, schedule, prediction, recipe.options.clone(), &weights)?;

    let mut batches = Batches::new(dataset.len(), recipe.options.seed);
    let mut x_0 = vec![0.0; recipe.options.batch * dataset.image_len()];
    let mut losses = Vec::new();
    for _ in 0..steps {
        let indices = batches.next_batch(recipe.options.batch);
        fill_x0(&dataset, &indices, &mut x_0);
        let report = trainer.step(&x_0, &labels(&dataset, &indices)).await?;
        losses.push(report.loss);
        if report.step % 20 == 0 {
            println!("step {}: loss {:.4}", report.step, report.loss);
        }
    }

    // The moving average of the weights is the model.
    let averaged = trainer.weights(true).await?;
    let tensors = store_parameters(trainer.parameters(), &averaged);
    let model = Checkpoint { config: recipe.net, scheduler: recipe.scheduler, assumed_scheduler: false, tensors };
    write_dir(folder, &model, Dtype::F32)?;
    println!("the model is in {folder}");
    Ok(losses)
}
