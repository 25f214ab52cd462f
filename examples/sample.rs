//! Makes pictures of noise with a model and prints the first of them:
//! `cargo run --release --example sample -- weights/digits`.

use noisette::checkpoint::read_dir;
use noisette::engine::Choice;
use noisette::playground::{Noise, Settings};
use noisette::{Engine, Session};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or("weights/digits".to_owned());
    pollster::block_on(sample(&folder))?;
    Ok(())
}

/// Two pictures, of the classes 3 and 7, `[2, H, W, C]` in [−1, 1].
pub async fn sample(folder: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let model = read_dir(folder)?;
    // Eight steps, unless the model's folder suggests another number; and whatever else it suggests.
    let sampler = model.scheduler.suggested.over(model.scheduler.sampler(8));
    let engine = Engine::open(Choice::Auto).await?;
    let mut session = Session::new(engine, model)?;

    let settings = Settings { classes: vec![Some(3), Some(7)], guidance: 1.0, sampler };
    session.start(&settings, Noise::Seed(1))?;
    while let Some(frame) = session.step().await? {
        println!("step {} of {}, at timestep {}", frame.step, frame.steps, frame.timestep);
    }

    let pictures = session.x().unwrap_or_default().to_vec();
    let shape = session.image_shape();
    for row in pictures[..shape.len()].chunks(shape.w() * shape.c()) {
        println!("{}", row.chunks(shape.c()).map(shade).collect::<String>());
    }
    Ok(pictures)
}

/// A pixel as a character, dark to light.
fn shade(channels: &[f32]) -> char {
    const SHADES: [char; 5] = [' ', '.', 'o', 'O', '@'];
    let mean = channels.iter().sum::<f32>() / channels.len() as f32;
    SHADES[((mean + 1.0) * 2.5).clamp(0.0, 4.0) as usize]
}
