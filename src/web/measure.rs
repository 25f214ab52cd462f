//! What is measured of one picture, question by question: a worker puts each to the network when it has nothing better to do.

use super::job::Tensor;
use crate::checkpoint::SchedulerConfig;
use crate::diffusion::forward::{noised, to_pixel};
use crate::diffusion::{Schedule, objective};
use crate::evaluate::{Bound, BoundSettings, Bounding, Look};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What is to be measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Measure {
    /// How well the network finds the noise `epsilon` in the picture `x0` at these timesteps, in this order.
    Losses(Vec<usize>),
    /// The bound on the picture `x0`, in bits per dimension.
    Bits {
        /// How often it is estimated; they differ, and so say how sure their mean is.
        rounds: usize,
        /// Timesteps looked at each time, beside timestep 0.
        timesteps: usize,
        /// Decides timesteps and noise.
        seed: u64,
    },
}

/// What has been measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Measured {
    /// ‖ε − ε̂‖²/n at a timestep.
    Loss(usize, f64),
    /// So many questions for the bound are answered.
    Looked(usize),
    /// The bound.
    Bound(Bound),
}

/// A measurement in progress.
#[derive(Debug)]
pub enum Measurement {
    /// Of losses: noise, picture, and the timesteps that are left.
    Losses {
        /// ᾱ.
        schedule: Schedule,
        /// x_0.
        x_0: Vec<f32>,
        /// ε.
        epsilon: Vec<f32>,
        /// Where the network is still to be asked.
        left: VecDeque<usize>,
    },
    /// Of the bound.
    Bits {
        /// Makes it of answers.
        bounding: Box<Bounding>,
        /// x_0 as bytes.
        pixels: Vec<u8>,
        /// Questions of this round that are left.
        looks: VecDeque<Look>,
        /// Answers of this round.
        nats: Vec<f64>,
        /// Rounds that are left, this one among them.
        rounds: usize,
        /// Questions that are answered.
        done: usize,
    },
}

impl Measurement {
    /// Begins to measure a model that is sampled like this, whose pictures have so many values.
    ///
    /// # Errors
    /// One sentence: a picture of another size, a timestep that there is none of, a schedule that cannot be.
    pub fn begin(
        what: Measure,
        tensors: &mut Vec<Tensor>,
        scheduler: &SchedulerConfig,
        len: usize,
    ) -> Result<Self, String> {
        let mut take = |name| {
            Tensor::take(tensors, name, len).ok_or_else(|| format!("the measurement has no {name} of {len} values"))
        };
        let x_0 = take("x0")?;
        match what {
            Measure::Losses(timesteps) => {
                let (epsilon, schedule) = (take("epsilon")?, scheduler.schedule().map_err(|error| error.to_string())?);
                timesteps.iter().try_for_each(|&t| schedule.check(t).map(drop)).map_err(|error| error.to_string())?;
                Ok(Self::Losses { schedule, x_0, epsilon, left: timesteps.into() })
            }
            Measure::Bits { rounds, timesteps, seed } => {
                let settings = BoundSettings { images: 1, timesteps, seed };
                let bounding = Bounding::new(scheduler, &settings).map_err(|error| error.to_string())?;
                let pixels: Vec<u8> = x_0.into_iter().map(to_pixel).collect();
                let (bounding, looks) = (Box::new(bounding), VecDeque::new());
                Ok(Self::Bits { bounding, pixels, looks, nats: Vec::new(), rounds, done: 0 })
            }
        }
    }

    /// The next question: a timestep, and x_t there. `None` once there is nothing left to ask.
    pub fn ask(&mut self) -> Option<(usize, Vec<f32>)> {
        match self {
            Self::Losses { schedule, x_0, epsilon, left } => {
                let (&timestep, mut x_t) = (left.front()?, x_0.clone());
                noised(schedule, timestep, x_0, epsilon, &mut x_t);
                Some((timestep, x_t))
            }
            Self::Bits { bounding, pixels, looks, rounds, .. } => {
                if looks.is_empty() && *rounds > 0 {
                    looks.extend(bounding.looks(pixels));
                }
                looks.front().map(|look| (look.timestep, look.x_t.clone()))
            }
        }
    }

    /// Takes in the answer to it, ε̂ and x̂_0; what has come of that.
    pub fn take(&mut self, epsilon_hat: &[f32], x_0_hat: &[f32]) -> Option<Measured> {
        match self {
            Self::Losses { epsilon, left, .. } => {
                Some(Measured::Loss(left.pop_front()?, objective::simple_loss(epsilon, epsilon_hat)))
            }
            Self::Bits { bounding, pixels, looks, nats, rounds, done } => {
                let look = looks.pop_front()?;
                nats.push(bounding.nats(&look, pixels, x_0_hat.iter().map(|&x0| f64::from(x0))));
                *done += 1;
                if looks.is_empty() {
                    bounding.picture(pixels, &std::mem::take(nats));
                    *rounds -= 1;
                }
                Some(if *rounds == 0 { Measured::Bound(bounding.bound()) } else { Measured::Looked(*done) })
            }
        }
    }
}
