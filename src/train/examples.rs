//! What a loss is computed of.

use crate::diffusion::{Schedule, forward};
use crate::engine::{EngineError, Program};
use crate::model::config::UnetConfig;
use crate::model::step::conditions;

/// Pictures, each with the noise and the timestep that it is noised with.
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    /// x_0, `[N, H, W, C]` in [−1, 1].
    pub x_0: &'a [f32],
    /// ε, `[N, H, W, C]`.
    pub noise: &'a [f32],
    /// 0…T−1, N of them.
    pub timesteps: &'a [usize],
    /// N of them for a class model.
    pub labels: &'a [usize],
}

impl Examples<'_> {
    /// Writes the inputs of [`training_loss`](crate::model::step::training_loss), all but `loss_weights`.
    ///
    /// # Errors
    /// Values of another length than the program was compiled for; a failing engine.
    pub fn write(
        &self,
        program: &mut Program,
        config: &UnetConfig,
        schedule: &Schedule,
        velocity: bool,
    ) -> Result<(), EngineError> {
        // √ᾱ_t and ±√(1 − ᾱ_t) of every picture.
        let coefficients = |sign: f64| -> Vec<f32> {
            let pair = |&t: &usize| {
                let (signal, noise) = forward::closed_form(schedule, t);
                [signal as f32, (sign * noise) as f32]
            };
            self.timesteps.iter().flat_map(pair).collect()
        };
        program.write("x_0", self.x_0)?;
        program.write("noise", self.noise)?;
        program.write("noise_coefficients", &coefficients(1.0))?;
        if velocity {
            program.write("target_coefficients", &coefficients(-1.0))?;
        }
        for (name, values) in conditions(config, self.timesteps, self.labels) {
            program.write(name, &values)?;
        }
        Ok(())
    }
}
