//! The equation for the one pixel under the lens, in numbers. Of a pixel of several channels the first is looked at.

use super::state::State;
use crate::diffusion::forward::closed_form_paper;
use crate::web::app::Common;

/// The numbers of one pixel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pixel {
    /// x_t, x_0 and ε.
    pub values: [f64; 3],
    /// √ᾱ_t and √(1 − ᾱ_t).
    pub weights: (f64, f64),
    /// ε̂ and x̂_0, where they are known.
    pub predicted: Option<[f64; 2]>,
    /// √ᾱ and √(1 − ᾱ) of the network's timestep, which the guess is made with.
    pub asked: (f64, f64),
}

/// Below this weight of the picture, dividing by it says nothing any more.
const FAINT: f64 = 5e-4;

impl Pixel {
    /// Looks at it; `None` before there is a picture.
    pub fn of(state: &State, cx: &Common) -> Option<Self> {
        let at = cx.under_lens();
        let of = |values: &[f32]| values.get(at).map(|&value| f64::from(value));
        let [x_t, x_0, epsilon] = [&state.x_t, &state.x_0, &state.epsilon].map(|values| of(values));
        let predicted = state.predicted.as_ref().and_then(|[epsilon, x_0]| Some([of(epsilon)?, of(x_0)?]));
        let weights = state.shown.as_ref()?.weights;
        let asked = cx.model.as_ref().zip(state.timestep);
        let asked = asked.map_or(weights, |(model, timestep)| closed_form_paper(&model.schedule, timestep + 1));
        Some(Self { values: [x_t?, x_0?, epsilon?], weights, predicted, asked })
    }

    /// How x̂_0 comes of x_t and ε̂, with its numbers.
    pub fn guess(&self) -> String {
        let ((signal, sigma), Some([epsilon, x_0])) = (self.asked, self.predicted) else { return "–".to_owned() };
        if signal < FAINT {
            return format!("{}: a guess, there is no picture left to find", number(x_0));
        }
        format!("({} − {sigma:.4} · {}) / {signal:.4} = {}", number(self.values[0]), factor(epsilon), number(x_0))
    }
}

/// A value of a pixel, with a true minus.
pub fn number(value: f64) -> String {
    // No negative zero.
    let text = format!("{:.2}", value.abs());
    if value < 0.0 && text != "0.00" { format!("−{text}") } else { text }
}

/// The same as a factor: what is negative stands in brackets.
pub fn factor(value: f64) -> String {
    let text = number(value);
    if text.starts_with('−') { format!("({text})") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_said_with_its_numbers_and_without_a_picture_it_is_one() {
        let pixel = Pixel {
            values: [0.7, 1.0, -0.18],
            weights: (0.8, 0.6),
            predicted: Some([-0.25, 1.0625]),
            asked: (0.8, 0.6),
        };
        assert_eq!(pixel.guess(), "(0.70 − 0.6000 · (−0.25)) / 0.8000 = 1.06");
        assert_eq!(Pixel { predicted: None, ..pixel.clone() }.guess(), "–");
        let last = Pixel { asked: (1e-4, 1.0), ..pixel };
        assert!(last.guess().starts_with("1.06: a guess"));
        assert_eq!([number(-0.001), number(-2.5), factor(0.5)], ["0.00", "−2.50", "0.50"]);
    }
}
