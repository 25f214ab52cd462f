//! loss.svg: the loss over the steps, on a logarithmic scale.

use std::fmt::Write;

/// Name of the file in a run folder.
pub const PLOT_FILE: &str = "loss.svg";
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
/// Room for the axes' numbers: left, top, right, bottom.
const MARGIN: [f64; 4] = [64.0, 34.0, 20.0, 48.0];
/// Points drawn at most.
const MAX_POINTS: usize = 1200;

/// The plot of (step, loss) in order, as it was logged and smoothed. Readable on light and on dark ground.
pub fn svg(points: &[(u64, f64)]) -> String {
    let points: Vec<(f64, f64)> =
        points.iter().filter(|(_, y)| *y > 0.0 && y.is_finite()).map(|&(x, y)| (x as f64, y)).collect();
    let smooth = smoothed(&points);
    let last = points.last().map_or(1.0, |(x, _)| x.max(1.0));
    let low = points.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min).min(1.0);
    let high = points.iter().map(|(_, y)| *y).fold(0.0, f64::max).max(low * 1.01);
    let (bottom, top) = (low.log10() - 0.05, high.log10() + 0.05);
    let [left, up, right, down] = MARGIN;
    let x_of = |x: f64| left + x / last * (WIDTH - left - right);
    let y_of = |y: f64| up + (top - y.log10()) / (top - bottom) * (HEIGHT - up - down);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\" fill=\"#808080\">\n<title>Training loss over steps</title>\n"
    );
    for (value, labelled) in ticks(10f64.powf(bottom), 10f64.powf(top)) {
        let y = y_of(value);
        let (x2, opacity) = (WIDTH - right, if labelled { 0.5 } else { 0.2 });
        let _ = writeln!(svg, "<path d=\"M{left} {y:.1}H{x2}\" stroke=\"#808080\" stroke-opacity=\"{opacity}\"/>");
        if labelled {
            let (x, y) = (left - 8.0, y + 4.5);
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{value}</text>");
        }
    }
    for step in steps_on_axis(last) {
        let (x, y) = (x_of(step), HEIGHT - down + 18.0);
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{step}</text>");
    }
    let (middle, y) = ((left + WIDTH - right) / 2.0, HEIGHT - 8.0);
    let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\">step</text>");
    let latest = &points[points.len() - points.len().div_ceil(40)..];
    let mean = latest.iter().map(|(_, y)| y).sum::<f64>() / latest.len().max(1) as f64;
    let now = points.last().map(|(x, _)| format!(": {mean:.4} up to step {x}")).unwrap_or_default();
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"20\">loss, as logged and smoothed{now}</text>");
    for (line, width, opacity) in [(&points, 1, 0.3), (&smooth, 2, 1.0)] {
        let path: Vec<String> = thinned(line).iter().map(|&(x, y)| format!("{:.1},{:.1}", x_of(x), y_of(y))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#3584e4\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\"/>",
            path.join(" ")
        );
    }
    // A line of one point is none.
    if let [(x, y)] = points[..] {
        let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"#3584e4\"/>", x_of(x), y_of(y));
    }
    svg + "</svg>\n"
}

/// The geometric mean of each point's neighbours, as many on either side: few at the beginning, where the loss falls fast, and
/// later a twentieth of all.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let n = points.len();
    let mean = |(i, &(x, _)): (usize, &(f64, f64))| {
        let k = (i / 8).min(n / 40).min(n - 1 - i);
        let near = &points[i - k..=i + k];
        (x, (near.iter().map(|(_, y)| y.ln()).sum::<f64>() / near.len() as f64).exp())
    };
    points.iter().enumerate().map(mean).collect()
}

/// At most [`MAX_POINTS`], each the mean of its neighbours.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let of = points.len().div_ceil(MAX_POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        (part.iter().map(|p| p.0).sum::<f64>() / n, part.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(of).map(mean).collect()
}

/// 1, 2, … 9 of every power of ten in the range; those with a number beside them are 1, 2 and 5, or 1 over a wide range.
fn ticks(low: f64, high: f64) -> Vec<(f64, bool)> {
    let wide = high / low > 300.0;
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    // Through text, for 0.03 and not 0.030000000000000002.
    let values = decades.flat_map(|e| (1..=9).map(move |d| (d, format!("{d}e{e}").parse::<f64>().unwrap_or(1.0))));
    let labelled = |d: i32| d == 1 || (!wide && matches!(d, 2 | 5));
    values.filter(|(_, v)| (low..=high).contains(v)).map(|(d, v)| (v, labelled(d))).collect()
}

/// Four to eight round numbers from 0 to `last`.
fn steps_on_axis(last: f64) -> Vec<f64> {
    let power = 10f64.powf((last / 5.0).max(1.0).log10().floor());
    let unit = [1.0, 2.0, 5.0, 10.0].map(|d| d * power).into_iter().find(|unit| last / unit <= 8.0).unwrap_or(last);
    (0..).map(|i| f64::from(i) * unit).take_while(|&step| step <= last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_is_drawn_of_few_and_of_many_points() {
        for count in [0, 1, 2, 30, 5000] {
            let points: Vec<(u64, f64)> = (0..count).map(|i| (10 * i + 1, 1.0 / (i as f64 + 1.0))).collect();
            let text = svg(&points);
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert_eq!(text.matches("<polyline").count(), 2);
            assert_eq!(text.matches("<circle").count(), usize::from(count == 1), "a single point is a dot");
            let drawn = text.matches(',').count() as u64 - 2;
            assert!(drawn <= 2 * MAX_POINTS as u64 + 2 && drawn >= count.min(600), "{drawn} of {count}");
        }
        assert_eq!(svg(&[(1, f64::NAN), (2, 0.5)]), svg(&[(2, 0.5)]), "what is no number is left out");
    }

    #[test]
    fn a_loss_that_falls_evenly_is_smooth_already() {
        let points: Vec<(f64, f64)> = (0..500).map(|i| (f64::from(i), 0.99f64.powi(i))).collect();
        for ((x, y), (smooth_x, smooth_y)) in points.iter().zip(smoothed(&points)) {
            assert!(*x == smooth_x && (smooth_y / y - 1.0).abs() <= 1e-9, "{smooth_y} at {x}, expected {y}");
        }
    }

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(steps_on_axis(5000.0), [0.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0]);
        let labels: Vec<f64> = ticks(0.018, 1.1).into_iter().filter(|t| t.1).map(|t| t.0).collect();
        assert_eq!(labels, [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]);
        let wide: Vec<f64> = ticks(0.0009, 1.1).into_iter().filter(|t| t.1).map(|t| t.0).collect();
        assert_eq!(wide, [0.001, 0.01, 0.1, 1.0]);
        assert!(steps_on_axis(1.0).len() >= 2);
    }
}
