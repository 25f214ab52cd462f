use super::bits::Bits;
use super::chain::Chain;
use super::curve::Curve;
use super::own;
use super::play::Play;
use super::plot::Histogram;
use crate::diffusion::Schedule;
use crate::tensor::Shape;
use crate::web::job::Ticket;
use crate::web::sheet::Sheet;

/// The equation: its numbers, `[1, H, W, C]` each, and its pictures.
#[derive(Debug, Default)]
pub struct State {
    /// x_0.
    pub x_0: Vec<f32>,
    /// The ε of the closed form.
    pub at_once: Vec<f32>,
    /// The ε with which the closed form gives x_t: that one, or what the steps of the chain have added up to.
    pub epsilon: Vec<f32>,
    /// x_t.
    pub x_t: Vec<f32>,
    /// ε̂ and x̂_0, where they answer the last question; else nothing.
    pub predicted: Option<[Vec<f32>; 2]>,
    /// The visitor's own picture.
    pub own: own::State,
    /// Why the last file could not be used.
    /// The schedule chosen; `None` before a model is known.
    pub schedule: Option<Schedule>,
    /// The chain, where x_t is reached step by step.
    pub chain: Option<Chain>,
    /// The chain has not come to t: x_t and what follows from it are still those of before.
    pub waiting: bool,
    /// The film is not that of the present picture, noise and schedule: the chain has not come to T.
    pub film_waits: bool,
    /// t moves by itself.
    pub playing: Option<Play>,
    /// The browser was asked to say when it draws.
    pub frame_wanted: bool,
    /// The network's timestep whose ᾱ is nearest to that of t; `None` at t = 0.
    pub timestep: Option<usize>,
    pub problem: String,
    /// The last question to a worker.
    pub asked: Option<Ticket>,
    /// How far ε̂ is from ε, where it answers that question; `None` while it does not.
    pub loss: Option<Loss>,
    /// What is shown; nothing before a model is known.
    pub shown: Option<Shown>,
    /// The loss at every t.
    pub curve: Curve,
    /// The picture's bits per dimension.
    pub bits: Bits,
}

/// What there is to say of ε̂.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// t = 0: there is no noise to find.
    None,
    /// ‖ε − ε̂‖²/n.
    Of(f64),
}

/// The pictures of the equation, and its numbers at t.
#[derive(Debug)]
pub struct Shown {
    /// x_0, ε and x_t.
    pub x_0: Sheet,
    /// ε.
    pub epsilon: Sheet,
    /// x_t.
    pub x_t: Sheet,
    /// √ᾱ_t·x_0 and √(1 − ᾱ_t)·ε, on the scale of x_t: they add up to it by eye.
    pub weighted: [Sheet; 2],
    /// ε̂.
    pub epsilon_hat: Sheet,
    /// x̂_0.
    pub x_0_hat: Sheet,
    /// x_t at many times, [`Common::tiles`](crate::web::app::Common::tiles).
    pub film: Sheet,
    /// √ᾱ_t and √(1 − ᾱ_t).
    pub weights: (f64, f64),
    /// The numbers of x_t.
    pub histogram: Histogram,
    /// Of x_t less its picture, in units of √(1 − ᾱ_t), from the chain and from the closed form, which should be N(0, 1) both.
    pub roads: Option<[Histogram; 2]>,
}

impl Shown {
    /// Nothing but blanks.
    pub fn blank(shape: Shape) -> Self {
        let [x_0, epsilon, x_t, epsilon_hat, x_0_hat, film] = std::array::from_fn(|_| Sheet::blank(shape));
        let weighted = [x_0.clone(), epsilon.clone()];
        Self {
            x_0,
            epsilon,
            x_t,
            weighted,
            epsilon_hat,
            x_0_hat,
            film,
            weights: (1.0, 0.0),
            histogram: Histogram::of(&[]),
            roads: None,
        }
    }
}
