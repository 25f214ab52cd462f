//! Play: t moves by itself to T and stops there.

/// Milliseconds for the whole way from 0 to T.
const WHOLE_WAY: f64 = 6000.0;
/// Jumps for the whole way where movement is not wanted.
const JUMPS: f64 = 10.0;

/// A movement of t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Play {
    from: usize,
    /// When, in milliseconds.
    begun: f64,
    /// In jumps.
    calm: bool,
}

impl Play {
    /// From this t on; at T it begins anew.
    pub fn begin(t: usize, last: usize, now: f64, calm: bool) -> Self {
        Self { from: if t < last { t } else { 0 }, begun: now, calm }
    }

    /// t at this time.
    pub fn at(&self, now: f64, last: usize) -> usize {
        let share = (now - self.begun).max(0.0) / WHOLE_WAY;
        let share = if self.calm { (share * JUMPS).floor() / JUMPS } else { share };
        (self.from + (share * last as f64).round() as usize).min(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_from_where_it_is_to_the_end() {
        let play = Play::begin(400, 1000, 50.0, false);
        assert_eq!([50.0, 51.0, 656.0, 3650.0, 9e9].map(|now| play.at(now, 1000)), [400, 400, 501, 1000, 1000]);
        assert_eq!(play.at(10.0, 1000), 400, "a clock that goes back");
        assert_eq!(Play::begin(1000, 1000, 0.0, false).at(0.0, 1000), 0, "over again");
        let calm = Play::begin(0, 50, 0.0, true);
        let mut seen: Vec<usize> = (0..=700).map(|i| calm.at(10.0 * f64::from(i), 50)).collect();
        seen.dedup();
        assert_eq!(seen, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]);
    }
}
