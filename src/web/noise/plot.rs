//! The section's plots, as paths of an SVG: [`SIDE`] units high, with whole numbers.

use super::schedule::Curve;
use crate::diffusion::Schedule;
use crate::diffusion::forward::closed_form_paper;

/// Height of a plot, and width of a curve's.
pub const SIDE: usize = 1000;
/// Points of a curve, less one.
const PIECES: usize = 100;
/// Powers of ten of the axis of SNR, half of them above 1.
const DECADES: f64 = 8.0;
/// Bars of a histogram.
pub const BARS: usize = 31;
/// It goes from −3 to 3.
const LIMIT: f64 = 3.0;
/// The density that is as high as the plot.
const TOP: f64 = 0.85;

/// Where ᾱ stands on an axis from 0 to 1: itself, or its SNR by its logarithm.
fn height(alpha_bar: f64, curve: Curve) -> f64 {
    match curve {
        Curve::AlphaBar => alpha_bar,
        Curve::Snr => 0.5 + libm::log(alpha_bar / (1.0 - alpha_bar)) / (DECADES * std::f64::consts::LN_10),
    }
}

fn down(height: f64) -> i32 {
    (SIDE as f64 * (1.0 - height.clamp(0.0, 1.0))).round() as i32
}

/// What lies below the curve over t, from t = 0 at the left to T at the right.
pub fn area(schedule: &Schedule, curve: Curve) -> String {
    let last = schedule.timesteps();
    let point = |i: usize| {
        let (signal, _) = closed_form_paper(schedule, (i * last + PIECES / 2) / PIECES);
        format!("L{} {}", i * SIDE / PIECES, down(height(signal * signal, curve)))
    };
    let points: String = (0..=PIECES).map(point).collect();
    format!("M0 {SIDE}{points}V{SIDE}Z")
}

/// How many of some numbers lie where, and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Histogram {
    /// Numbers in each of the bars; those beyond the ends are in the outermost.
    pub counts: [usize; BARS],
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
}

impl Histogram {
    /// Of these numbers.
    pub fn of(values: &[f32]) -> Self {
        let mut counts = [0; BARS];
        let (mut sum, mut squares) = (0.0, 0.0);
        for &value in values {
            let value = f64::from(value);
            // What is below the first bar saturates at it.
            let bar = ((value + LIMIT) / (2.0 * LIMIT) * BARS as f64) as usize;
            counts[bar.min(BARS - 1)] += 1;
            sum += value;
            squares += value * value;
        }
        let n = values.len().max(1) as f64;
        let mean = sum / n;
        Self { counts, mean, std: (squares / n - mean * mean).max(0.0).sqrt() }
    }

    /// Its bars, ten units wide each. Their area is that of the bell, as far as the plot is high enough.
    pub fn bars(&self) -> String {
        let n = self.counts.iter().sum::<usize>().max(1) as f64;
        let bar = |(i, &count): (usize, &usize)| {
            let density = count as f64 / n * BARS as f64 / (2.0 * LIMIT);
            format!("M{} {SIDE}V{}h9V{SIDE}", 10 * i, down(density / TOP))
        };
        self.counts.iter().enumerate().map(bar).collect()
    }
}

/// The line of N(0, 1) over the bars.
pub fn bell() -> String {
    let point = |i: usize| {
        let x = LIMIT * (i as f64 / BARS as f64 - 1.0);
        let density = libm::exp(-x * x / 2.0) / std::f64::consts::TAU.sqrt();
        format!("{}{} {}", if i == 0 { 'M' } else { 'L' }, 5 * i, down(density / TOP))
    };
    (0..=2 * BARS).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn a_curve_falls_from_corner_to_corner_and_snr_1_is_in_the_middle() {
        let schedule = Schedule::ddpm_linear(1000, 1e-4, 0.02).expect("a schedule");
        for curve in [Curve::AlphaBar, Curve::Snr] {
            let path = area(&schedule, curve);
            assert!(path.starts_with("M0 1000L0 0L10 ") && path.ends_with("V1000Z"), "{path}");
            let heights: Vec<i32> = path
                .split('L')
                .skip(1)
                .map(|point| {
                    let (_, y) = point.split_once(' ').expect("a point");
                    y.trim_end_matches("V1000Z").parse().expect("a height")
                })
                .collect();
            assert_eq!(heights.len(), PIECES + 1);
            assert!(heights.windows(2).all(|pair| pair[0] <= pair[1]), "{heights:?}");
        }
        assert_eq!((height(0.5, Curve::Snr), down(height(1.0, Curve::Snr))), (0.5, 0));
        assert!(
            (height(1e-4, Curve::Snr) - 0.0).abs() < 1e-4 && (height(10.0 / 11.0, Curve::Snr) - 0.625).abs() < 1e-9
        );
    }

    #[test]
    fn bars_of_normal_numbers_follow_the_bell() {
        let histogram = Histogram::of(&Rng::new(4).normals(50_000));
        assert!(histogram.mean.abs() < 0.03 && (histogram.std - 1.0).abs() < 0.02);
        assert_eq!(histogram.counts.iter().sum::<usize>(), 50_000);
        let tops = |path: &str, mark: char| -> Vec<i32> {
            let number =
                |part: &str| part.split(['h', ' ', 'L']).next().and_then(|n| n.parse().ok()).expect("a number");
            path.split(mark).skip(1).step_by(if mark == 'V' { 2 } else { 1 }).map(number).collect()
        };
        let bars = tops(&histogram.bars(), 'V');
        let bell: Vec<i32> = bell()
            .split(' ')
            .skip(1)
            .map(|part| part.split('L').next().and_then(|n| n.parse().ok()).expect("a height"))
            .collect();
        assert_eq!((bars.len(), bell.len()), (BARS, 2 * BARS + 1));
        for (i, bar) in bars.iter().enumerate().skip(1).take(BARS - 2) {
            assert!((bar - bell[2 * i + 1]).abs() < 30, "bar {i}: {bar}, not {}", bell[2 * i + 1]);
        }
        let all = Histogram::of(&[-9.0, -1.0, -1.0, f32::NAN, 9.0]);
        assert_eq!(
            (all.counts[0], all.counts[BARS - 1], all.counts[10]),
            (2, 1, 2),
            "what is outside stands at the ends"
        );
    }
}
