//! A curve of ᾱ drawn by hand: it goes from 1 through four handles down to almost 0.

/// Handles.
pub const HANDLES: usize = 4;
/// Pieces of the curve between them and its ends.
const PIECES: usize = HANDLES + 1;
/// Where the curve ends: a little of the picture is left, as after the usual thousand steps.
const END: f64 = 1e-4;

/// ᾱ at the handles, in hundredths. They stand at a fifth, two, three and four fifths of T, and each is lower than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hand([usize; HANDLES]);

impl Default for Hand {
    /// About the cosine.
    fn default() -> Self {
        Self([90, 65, 35, 10])
    }
}

impl Hand {
    /// Four whole numbers from 99 down to 1, with commas, if the text has them.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut numbers = text.split(',').map(|number| number.trim().parse::<usize>().ok());
        let mut hand = [0; HANDLES];
        let mut above = 100;
        for value in &mut hand {
            *value = numbers.next()?.filter(|number| (1..above).contains(number))?;
            above = *value;
        }
        numbers.next().is_none().then_some(Self(hand))
    }

    /// The same text.
    pub fn text(self) -> String {
        self.0.map(|value| value.to_string()).join(",")
    }

    /// ᾱ at each handle, in hundredths.
    pub fn hundredths(self) -> [usize; HANDLES] {
        self.0
    }

    /// The t of a handle.
    pub fn t(handle: usize, last: usize) -> usize {
        ((handle + 1) * last + PIECES / 2) / PIECES
    }

    /// With a handle moved to so many hundredths, or as near as its neighbours let it.
    pub fn moved(mut self, handle: usize, hundredths: usize) -> Self {
        let above = handle.checked_sub(1).map_or(100, |before| self.0[before]);
        let below = self.0.get(handle + 1).copied().unwrap_or(0);
        if let Some(value) = self.0.get_mut(handle) {
            *value = hundredths.clamp(below + 1, above - 1);
        }
        self
    }

    /// ᾱ for t = 1…T: cubics through the handles with slopes between which they cannot turn (Fritsch and Butland 1984), so
    /// that the curve falls all the way, and ends at its end.
    pub fn alpha_bars(self, timesteps: usize) -> Vec<f64> {
        let mut knots = [1.0, 0.0, 0.0, 0.0, 0.0, END];
        knots[1..=HANDLES].iter_mut().zip(self.0).for_each(|(knot, value)| *knot = value as f64 / 100.0);
        let rise = |piece: usize| knots[piece + 1] - knots[piece];
        let slope = |knot: usize| match knot {
            0 => rise(0),
            PIECES => rise(PIECES - 1),
            _ => 2.0 * rise(knot - 1) * rise(knot) / (rise(knot - 1) + rise(knot)),
        };
        let at = |t: usize| {
            let piece = (PIECES * t / timesteps).min(PIECES - 1);
            let u = (PIECES * t - piece * timesteps) as f64 / timesteps as f64;
            let (rise, from, to) = (rise(piece), slope(piece), slope(piece + 1));
            // Hermite's cubic: the ends and the slopes there.
            knots[piece] + u * (from + u * (3.0 * rise - 2.0 * from - to + u * (from + to - 2.0 * rise)))
        };
        (1..=timesteps).map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::Schedule;
    use crate::rng::Rng;

    #[test]
    fn however_it_is_dragged_it_falls_from_1_to_almost_0() {
        let mut rng = Rng::new(3);
        let mut hand = Hand::default();
        for _ in 0..500 {
            let (handle, to) = (rng.below(HANDLES + 1), rng.below(150));
            let before = hand;
            hand = hand.moved(handle, to);
            assert!((0..HANDLES).all(|other| other == handle || hand.0[other] == before.0[other]), "only one moves");
            assert_eq!(Hand::from_text(&hand.text()), Some(hand));
            let timesteps = [25, 37, 1000][rng.below(3)];
            let bars = hand.alpha_bars(timesteps);
            let schedule = Schedule::from_alpha_bars(bars).expect("it falls strictly within 0 and 1");
            assert!((schedule.alpha_bar(timesteps - 1) - END).abs() < 1e-12);
            for handle in 0..HANDLES {
                let t = (handle + 1) * timesteps / (HANDLES + 1);
                if t * (HANDLES + 1) == (handle + 1) * timesteps {
                    let bar = schedule.alpha_bar(t - 1);
                    assert!((bar - hand.0[handle] as f64 / 100.0).abs() < 1e-12, "it goes through its handles");
                    assert_eq!(Hand::t(handle, timesteps), t);
                }
            }
        }
    }

    #[test]
    fn a_handle_does_not_pass_its_neighbours() {
        let hand = Hand::default();
        assert_eq!(hand.moved(1, 0).0, [90, 36, 35, 10]);
        assert_eq!(hand.moved(1, 100).0, [90, 89, 35, 10]);
        assert_eq!(hand.moved(0, 100).0, [99, 65, 35, 10]);
        assert_eq!(hand.moved(3, 0).0, [90, 65, 35, 1]);
        assert_eq!(hand.moved(4, 50), hand, "there is none");
    }

    #[test]
    fn what_does_not_fall_is_no_curve() {
        for text in
            ["", "90,65,35", "90,65,35,10,5", "90,65,65,10", "100,65,35,10", "90,65,35,0", "90,65,x,10", "-1,2,3,4"]
        {
            assert_eq!(Hand::from_text(text), None, "{text}");
        }
    }
}
