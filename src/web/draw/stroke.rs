//! Strokes as plain data, and what they look like.

use crate::diffusion::forward::from_pixel;
use crate::tensor::Shape;

/// Points may lie this share of the picture's side outside of it: a hand that leaves the pad draws nothing along its edge.
const MARGIN: f32 = 0.125;
/// A point's units in the picture with its margins.
const UNITS: f32 = 255.0;
/// Points of a stroke that are nearer to each other than so many units are one.
const SPACING: i32 = 3;

/// What a stroke is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// The ground's opposite: white on black, black on white.
    Pen,
    /// The ground itself.
    Rubber,
    /// Red, green and blue; the pen's for a model without colours.
    Colour([u8; 3]),
}

/// A line as a hand draws it, round at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stroke {
    /// Where it goes, x and y: 0 is an eighth of the picture's side outside of it, 255 an eighth beyond the other end. One point
    /// alone is a dot.
    pub points: Vec<[u8; 2]>,
    /// Half its width, in the same units of the picture's shorter side.
    pub radius: u8,
    /// What it is drawn with.
    pub ink: Ink,
}

impl Stroke {
    /// The point of a stroke nearest to a place, [0, 1]² within the picture, from its top left corner.
    pub fn point(place: [f32; 2]) -> [u8; 2] {
        place.map(|share| ((share + MARGIN) / (1.0 + 2.0 * MARGIN) * UNITS).round().clamp(0.0, UNITS) as u8)
    }

    /// Where a point lies on a side of so many pixels.
    fn pixel(unit: u8, side: usize) -> f32 {
        (f32::from(unit) / UNITS * (1.0 + 2.0 * MARGIN) - MARGIN) * side as f32
    }

    /// Goes on to a point; false if that is where it is already, or it is as long as one can be.
    fn extend(&mut self, [x, y]: [u8; 2]) -> bool {
        let near = |a: u8, b: u8| (i32::from(a) - i32::from(b)).pow(2);
        let moves = self.points.last().is_none_or(|last| near(last[0], x) + near(last[1], y) >= SPACING * SPACING);
        let goes_on = moves && self.points.len() < usize::from(u16::MAX);
        if goes_on {
            self.points.push([x, y]);
        }
        goes_on
    }

    /// Lays it on a picture `[1, H, W, C]` in [−1, 1]: full within its radius less half a pixel, nothing beyond half a pixel more.
    fn draw(&self, x: &mut [f32], shape: Shape, ground: f32) {
        let [h, w, channels] = [shape.h(), shape.w(), shape.c()];
        let reach = f32::from(self.radius) / UNITS * (1.0 + 2.0 * MARGIN) * h.min(w) as f32 + 0.5;
        let place = |&[x, y]: &[u8; 2]| [Self::pixel(x, w), Self::pixel(y, h)];
        let Some(first) = self.points.first().map(place) else { return };
        let (mut covered, mut from) = (vec![0.0f32; h * w], first);
        for to in self.points.iter().map(place) {
            let span = |axis: usize, side: usize| {
                let least = (from[axis].min(to[axis]) - reach - 0.5).floor().max(0.0) as usize;
                least..((from[axis].max(to[axis]) + reach + 0.5).ceil().max(0.0) as usize).min(side)
            };
            let (columns, rows) = (span(0, w), span(1, h));
            for (row, column) in rows.flat_map(|row| columns.clone().map(move |column| (row, column))) {
                let cover = (reach - distance([column as f32 + 0.5, row as f32 + 0.5], from, to)).clamp(0.0, 1.0);
                let cell = &mut covered[row * w + column];
                *cell = cell.max(cover);
            }
            from = to;
        }
        let colour = |channel: usize| match self.ink {
            Ink::Rubber => ground,
            Ink::Colour(rgb) if channels == rgb.len() => from_pixel(rgb[channel]),
            _ => -ground,
        };
        for (pixel, cover) in x.chunks_exact_mut(channels).zip(covered).filter(|(_, cover)| *cover > 0.0) {
            pixel.iter_mut().enumerate().for_each(|(channel, value)| *value += cover * (colour(channel) - *value));
        }
    }
}

/// How far a place is from the nearest of the line between two others.
fn distance(at: [f32; 2], from: [f32; 2], to: [f32; 2]) -> f32 {
    let [along, off] = [[to[0] - from[0], to[1] - from[1]], [at[0] - from[0], at[1] - from[1]]];
    let dot = |a: [f32; 2], b: [f32; 2]| a[0] * b[0] + a[1] * b[1];
    let share = (dot(off, along) / dot(along, along).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
    let rest = [off[0] - share * along[0], off[1] - share * along[1]];
    dot(rest, rest).sqrt()
}

/// Something that was done to a drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    Stroke(Stroke),
    /// All that was there is gone, and what it was drawn on.
    Clear,
}

/// Strokes one over the other. Everything can be undone, clearing as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    marks: Vec<Mark>,
}

impl Drawing {
    /// A drawing of these strokes.
    pub fn of(strokes: Vec<Stroke>) -> Self {
        Self { marks: strokes.into_iter().map(Mark::Stroke).collect() }
    }

    /// The strokes that are to be seen.
    pub fn strokes(&self) -> impl Iterator<Item = &Stroke> {
        let from = self.marks.iter().rposition(|mark| *mark == Mark::Clear).map_or(0, |at| at + 1);
        self.marks[from..].iter().filter_map(|mark| match mark {
            Mark::Stroke(stroke) => Some(stroke),
            Mark::Clear => None,
        })
    }

    /// Whether what it was begun on is gone.
    pub fn is_cleared(&self) -> bool {
        self.marks.contains(&Mark::Clear)
    }

    /// Whether there is anything to undo.
    pub fn can_undo(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Begins a stroke.
    pub fn begin(&mut self, stroke: Stroke) {
        self.marks.push(Mark::Stroke(stroke));
    }

    /// The last stroke goes on to a point; false if it is there already.
    pub fn extend(&mut self, point: [u8; 2]) -> bool {
        match self.marks.last_mut() {
            Some(Mark::Stroke(stroke)) => stroke.extend(point),
            _ => false,
        }
    }

    /// Takes back what was done last; false if there is nothing.
    pub fn undo(&mut self) -> bool {
        self.marks.pop().is_some()
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        self.marks.push(Mark::Clear);
    }

    /// Lays it on a picture `[1, H, W, C]` in [−1, 1] of a model whose pictures have this ground, −1 or 1.
    pub fn draw(&self, x: &mut [f32], shape: Shape, ground: f32) {
        if self.is_cleared() {
            x.fill(ground);
        }
        self.strokes().for_each(|stroke| stroke.draw(x, shape, ground));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stroke(places: &[[f32; 2]], ink: Ink) -> Stroke {
        Stroke { points: places.iter().map(|&place| Stroke::point(place)).collect(), radius: 8, ink }
    }

    fn drawn(drawing: &Drawing, shape: Shape, ground: f32) -> Vec<f32> {
        let mut x = vec![ground; shape.len()];
        drawing.draw(&mut x, shape, ground);
        x
    }

    #[test]
    fn a_stroke_is_round_soft_and_about_two_pixels_wide_wherever_it_goes() {
        let shape = Shape::new(1, 28, 28, 1);
        let across = Drawing::of(vec![stroke(&[[0.25, 0.5], [0.75, 0.5]], Ink::Pen)]);
        let x = drawn(&across, shape, -1.0);
        let column: Vec<f32> = (0..28).map(|row| (x[row * 28 + 14] + 1.0) / 2.0).collect();
        let ink: f32 = column.iter().sum();
        assert!((1.9..2.5).contains(&ink) && column.iter().all(|v| (0.0..=1.0).contains(v)), "{column:?}");
        assert!(column[13] == 1.0 && column[14] == 1.0 && column[12] > 0.0 && column[12] < 0.5 && column[10] == 0.0);
        // As far left as right of the middle, within the pad's resolution.
        assert!((0..784).all(|i| (x[i] - x[i / 28 * 28 + 27 - i % 28]).abs() < 0.3));
        // Turned by a right angle it is the same.
        let down = drawn(&Drawing::of(vec![stroke(&[[0.5, 0.25], [0.5, 0.75]], Ink::Pen)]), shape, -1.0);
        assert!((0..784).all(|i| x[i] == down[i % 28 * 28 + i / 28]));
        // More points on the same line change nothing to speak of, nor does going back.
        let twice = stroke(&[[0.25, 0.5], [0.5, 0.5], [0.75, 0.5], [0.25, 0.5]], Ink::Pen);
        let again = drawn(&Drawing::of(vec![twice]), shape, -1.0);
        assert!(x.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-3));
        // A dot has the area of its circle, and what lies outside of the picture is not seen.
        let dot = drawn(&Drawing::of(vec![stroke(&[[0.3, 0.6]], Ink::Pen)]), shape, -1.0);
        let area: f32 = dot.iter().map(|v| (v + 1.0) / 2.0).sum();
        assert!((area - std::f32::consts::PI * 1.1 * 1.1).abs() < 0.6, "{area}");
        let outside = Drawing::of(vec![stroke(&[[-9.0, 0.5], [-9.0, 9.0], [9.0, 9.0]], Ink::Pen)]);
        assert!(drawn(&outside, shape, -1.0).iter().all(|&v| v == -1.0));
    }

    #[test]
    fn ink_follows_the_ground_and_the_channels() {
        let [grey, colour] = [Shape::new(1, 9, 14, 1), Shape::new(1, 9, 14, 3)];
        let middle = (4 * 14 + 7) * 3;
        let across = |radius, ink| Stroke { radius, ..stroke(&[[0.0, 0.5], [1.0, 0.5]], ink) };
        let red = Drawing::of(vec![across(30, Ink::Colour([255, 0, 0]))]);
        assert_eq!(drawn(&red, colour, 1.0)[middle..middle + 3], [1.0, -1.0, -1.0]);
        assert_eq!(drawn(&red, grey, 1.0)[4 * 14 + 7], -1.0, "a model without colours has ink");
        assert_eq!(drawn(&red, grey, -1.0)[4 * 14 + 7], 1.0);
        let mut both = red.clone();
        // Its own soft edge would leave some of the other's.
        both.begin(across(60, Ink::Rubber));
        assert!(drawn(&both, grey, 1.0).iter().all(|&v| v == 1.0), "rubbed out");
        // On a picture only the stroke changes anything.
        let mut x = vec![0.25; grey.len()];
        red.draw(&mut x, grey, -1.0);
        assert!(x[0] == 0.25 && x[4 * 14 + 7] == 1.0 && x.len() == grey.len());
    }

    #[test]
    fn strokes_go_on_are_undone_and_cleared_and_clearing_is_undone() {
        let mut drawing = Drawing::default();
        assert!(!drawing.undo() && !drawing.extend([1, 1]) && !drawing.can_undo());
        drawing.begin(Stroke { points: vec![[100, 100]], radius: 8, ink: Ink::Pen });
        assert!(!drawing.extend([101, 102]) && drawing.extend([103, 100]), "a hand that rests adds nothing");
        drawing.begin(Stroke { points: vec![[50, 50]], radius: 8, ink: Ink::Pen });
        let two = drawing.clone();
        drawing.clear();
        assert!(drawing.is_cleared() && drawing.strokes().count() == 0 && !drawing.extend([9, 9]));
        let shape = Shape::new(1, 4, 6, 1);
        let mut x = vec![0.5; shape.len()];
        drawing.draw(&mut x, shape, -1.0);
        assert_eq!(x, [-1.0; 24], "what it was drawn on is gone as well");
        assert!(drawing.undo());
        assert_eq!(drawing, two);
        assert!(drawing.undo());
        assert_eq!(drawing.strokes().map(|stroke| stroke.points.len()).collect::<Vec<_>>(), [2]);
    }
}
