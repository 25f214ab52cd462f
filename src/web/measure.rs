//! What is measured of one picture, question by question: a worker puts each to the network when it has nothing better to do.

use super::job::Tensor;
use crate::checkpoint::SchedulerConfig;
use crate::diffusion::forward::{noised, to_pixel};
use crate::diffusion::{Schedule, objective};
use crate::evaluate::{BoundSettings, Bounding, Look};
use crate::tensor::Shape;
use serde::{Deserialize, Serialize};
use std::vec::IntoIter;

/// Timesteps at which the loss is measured: a power of two and one more, so that they halve every gap.
pub const POINTS: usize = 33;
/// How often the bound is estimated: the estimates differ, and so say how sure their mean is.
pub const ROUNDS: usize = 4;
/// The bound of each estimate. Many timesteps in few rounds are surer than few in many: each stands for a narrow range of t.
pub const BOUND: BoundSettings = BoundSettings { images: ROUNDS, timesteps: 9, seed: 0 };

/// What is to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// How well the network finds the noise `epsilon` in the picture `x0`, at each timestep of [`spread`]: the tensor `loss`,
    /// ‖ε − ε̂‖²/n.
    Losses,
    /// The bound on the picture `x0` in bits per dimension: in the end the tensor `bits`, which is L, its standard error, L_T,
    /// Σ L_{t−1} and L_0.
    Bits,
}

/// A measurement in progress.
#[derive(Debug)]
pub enum Measurement {
    /// Of losses.
    Losses {
        /// ᾱ.
        schedule: Schedule,
        /// x_0.
        x_0: Vec<f32>,
        /// ε.
        epsilon: Vec<f32>,
        /// Timesteps that are left.
        left: IntoIter<usize>,
    },
    /// Of the bound.
    Bits {
        /// Makes it of answers.
        bounding: Box<Bounding>,
        /// x_0 as bytes.
        pixels: Vec<u8>,
        /// Questions of this round that are left.
        looks: IntoIter<Look>,
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
    /// One sentence: a picture of another size, a schedule that cannot be.
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
            Measure::Losses => {
                let (epsilon, schedule) = (take("epsilon")?, scheduler.schedule().map_err(|error| error.to_string())?);
                let left = spread(schedule.timesteps()).into_iter();
                Ok(Self::Losses { schedule, x_0, epsilon, left })
            }
            Measure::Bits => {
                let bounding = Bounding::new(scheduler, &BOUND).map_err(|error| error.to_string())?;
                let (bounding, pixels) = (Box::new(bounding), x_0.into_iter().map(to_pixel).collect());
                let (looks, nats) = (Vec::new().into_iter(), Vec::new());
                Ok(Self::Bits { bounding, pixels, looks, nats, rounds: ROUNDS, done: 0 })
            }
        }
    }

    /// The next question: a timestep, and x_t there. `None` once there is nothing left to ask.
    pub fn ask(&mut self) -> Option<(usize, Vec<f32>)> {
        match self {
            Self::Losses { schedule, x_0, epsilon, left } => {
                let (&timestep, mut x_t) = (left.as_slice().first()?, x_0.clone());
                noised(schedule, timestep, x_0, epsilon, &mut x_t);
                Some((timestep, x_t))
            }
            Self::Bits { bounding, pixels, looks, rounds, .. } => {
                if looks.as_slice().is_empty() && *rounds > 0 {
                    *looks = bounding.looks(pixels).into_iter();
                }
                looks.as_slice().first().map(|look| (look.timestep, look.x_t.clone()))
            }
        }
    }

    /// Takes in the answer to it, ε̂ and x̂_0. What has come of that: of losses the timestep, of the bound how many questions are
    /// answered, and the tensor that there is.
    pub fn take(&mut self, epsilon_hat: &[f32], x_0_hat: &[f32]) -> Option<(usize, Option<Tensor>)> {
        let numbers =
            |name: &str, values: Vec<f32>| Some(Tensor::new(name, Shape::SCALAR.with_n(values.len()), values));
        match self {
            Self::Losses { epsilon, left, .. } => {
                Some((left.next()?, numbers("loss", vec![objective::simple_loss(epsilon, epsilon_hat) as f32])))
            }
            Self::Bits { bounding, pixels, looks, nats, rounds, done } => {
                let look = looks.next()?;
                nats.push(bounding.nats(&look, pixels, x_0_hat.iter().map(|&x0| f64::from(x0))));
                *done += 1;
                if looks.as_slice().is_empty() {
                    bounding.picture(pixels, &std::mem::take(nats));
                    *rounds -= 1;
                }
                let bits = (*rounds == 0).then(|| {
                    let bound = bounding.bound();
                    let error = bound.total.error.unwrap_or_default();
                    let parts = [bound.total.mean, error, bound.prior.mean, bound.denoising.mean, bound.decoder.mean];
                    numbers("bits", parts.map(|part| part as f32).to_vec())
                });
                Some((*done, bits.flatten()))
            }
        }
    }
}

/// Timesteps from the first to the last, at most [`POINTS`]: both ends, then the middle of every gap, and so on, so that a curve is
/// whole from the start and grows finer.
pub fn spread(timesteps: usize) -> Vec<usize> {
    let gaps = POINTS - 1;
    let (mut order, mut gap) = (vec![0, gaps], gaps);
    while gap > 1 {
        order.extend((gap / 2..gaps).step_by(gap));
        gap /= 2;
    }
    let mut spread = Vec::new();
    for timestep in order.into_iter().map(|i| (i * (timesteps - 1) + gaps / 2) / gaps) {
        if !spread.contains(&timestep) {
            spread.push(timestep);
        }
    }
    spread
}
