use super::bits::Bits;
use super::curve::Curve;
use super::own;
use crate::tensor::Shape;
use crate::web::job::Ticket;
use crate::web::sheet::Sheet;

/// The equation: its numbers, `[1, H, W, C]` each, and its pictures.
#[derive(Debug, Default)]
pub struct State {
    /// x_0.
    pub x_0: Vec<f32>,
    /// ε.
    pub epsilon: Vec<f32>,
    /// x_t.
    pub x_t: Vec<f32>,
    /// ε̂ and x̂_0, where they answer the last question; else nothing.
    pub predicted: Option<[Vec<f32>; 2]>,
    /// The visitor's own picture.
    pub own: own::State,
    /// Why the last file could not be used.
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
}

impl Shown {
    /// Nothing but blanks.
    pub fn blank(shape: Shape) -> Self {
        let [x_0, epsilon, x_t, epsilon_hat, x_0_hat, film] = std::array::from_fn(|_| Sheet::blank(shape));
        let weighted = [x_0.clone(), epsilon.clone()];
        Self { x_0, epsilon, x_t, weighted, epsilon_hat, x_0_hat, film, weights: (1.0, 0.0) }
    }
}
