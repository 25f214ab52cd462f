//! Opens a model that diffusers saved, asks it for the noise in one picture, and writes it with half precision:
//! `cargo run --release --example from_diffusers -- path/to/model path/of/copy`.

use noisette::checkpoint::{Dtype, ModelFolder, write_dir};
use noisette::diffusion::{forward::noised, objective::simple_loss};
use noisette::engine::Choice;
use noisette::playground::start_noise;
use noisette::{Engine, Session};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("expected the folder of a model, and the folder for its copy".into());
    };
    pollster::block_on(convert(&from, &to))?;
    Ok(())
}

/// The mean squared error of ε̂ in the middle of the schedule.
pub async fn convert(from: &str, to: &str) -> Result<f64, Box<dyn Error>> {
    // A `UNet2DModel`, a pipeline with one, or a file of weights; the notes say what was taken.
    let found = ModelFolder::find(from)?;
    found.notes().iter().for_each(|note| println!("{note}"));
    let model = found.read()?;
    println!("{} parameters, {}", model.tensors.len(), model.scheduler.describe());

    let mut session = Session::new(Engine::open(Choice::Auto).await?, model)?;
    let shape = session.image_shape();
    let timestep = session.schedule().timesteps() / 2;
    let (x_0, epsilon) = (vec![0.0; shape.len()], start_noise(1, shape));
    let mut x_t = vec![0.0; shape.len()];
    noised(session.schedule(), timestep, &x_0, &epsilon, &mut x_t);
    let predicted = session.predict(&x_t, timestep, None).await?;
    let error = simple_loss(&epsilon, &predicted.epsilon);
    println!("the error of the predicted noise at timestep {timestep} is {error:.4}");

    write_dir(to, session.checkpoint(), Dtype::F16)?;
    println!("the copy is in {to}");
    Ok(error)
}
