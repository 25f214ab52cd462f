//! The pad: what a hand, a pen or keys do, and the strokes that they make.

use super::stroke::{Drawing, Ink, Stroke};

/// Half the width of the brush: 1.1 pixels of 28, as MNIST's pens.
const BRUSH: u8 = 8;
/// Half the width of the eraser.
const ERASER: u8 = 16;

/// What can be drawn with, by name. The first is the only one for a model without colours.
pub const PALETTE: [(&str, Ink); 7] = [
    ("Ink", Ink::Pen),
    ("Red", Ink::Colour([229, 57, 53])),
    ("Orange", Ink::Colour([247, 147, 30])),
    ("Yellow", Ink::Colour([252, 194, 27])),
    ("Green", Ink::Colour([76, 160, 70])),
    ("Blue", Ink::Colour([48, 128, 214])),
    ("Brown", Ink::Colour([109, 76, 65])),
];

/// Something that is done on a pad. Places are [0, 1]² within the picture, from its top left corner.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A stroke begins here.
    Down([f32; 2]),
    /// It goes on to these.
    Move(Vec<[f32; 2]>),
    /// It ends.
    Up,
    /// It is taken back.
    Cancel,
    /// One begins at the cursor, or the one that did ends.
    Press,
    /// The cursor moves by so many pixels, right and down; a stroke in progress goes along.
    Step([i8; 2]),
    /// What was done last is taken back.
    Undo,
    /// Everything is taken away.
    Clear,
    /// The eraser is taken in hand, or the brush.
    Erase(bool),
    /// The brush takes a colour, by its place in the [`PALETTE`].
    Colour(usize),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// The drawing is as it was.
    Nothing,
    /// A stroke is in progress.
    Draws,
    /// Something is finished.
    Drew,
}

/// A pad: what is in the hand, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// The eraser is in the hand.
    pub erase: bool,
    /// The brush's colour, by its place in the [`PALETTE`].
    pub colour: usize,
    /// Where the keys' cursor is, [0, 1]².
    pub cursor: [f32; 2],
    /// A stroke is in progress.
    pub down: bool,
}

impl Default for Pad {
    fn default() -> Self {
        Self { erase: false, colour: 0, cursor: [0.5; 2], down: false }
    }
}

impl Pad {
    /// Does something to a drawing on a picture of height and width `size`.
    pub fn act(&mut self, act: &Act, drawing: &mut Drawing, size: [usize; 2]) -> Did {
        match act {
            Act::Down(place) if !self.down => {
                self.cursor = *place;
                self.begin(drawing)
            }
            Act::Press if !self.down => self.begin(drawing),
            Act::Move(places) if self.down => places.iter().fold(Did::Nothing, |did, place| {
                self.cursor = *place;
                if drawing.extend(Stroke::point(*place)) { Did::Draws } else { did }
            }),
            Act::Step(by) => {
                for (axis, side) in [size[1], size[0]].into_iter().enumerate() {
                    let moved = self.cursor[axis] + f32::from(by[axis]) / side.max(1) as f32;
                    self.cursor[axis] = moved.clamp(0.0, 1.0);
                }
                if self.down && drawing.extend(Stroke::point(self.cursor)) { Did::Draws } else { Did::Nothing }
            }
            Act::Up | Act::Press if self.down => {
                self.down = false;
                Did::Drew
            }
            Act::Cancel if self.down => {
                self.down = false;
                drawing.undo();
                Did::Drew
            }
            Act::Undo if !self.down && drawing.undo() => Did::Drew,
            Act::Clear if !self.down => {
                drawing.clear();
                Did::Drew
            }
            Act::Erase(erase) => {
                self.erase = *erase;
                Did::Nothing
            }
            Act::Colour(colour) if *colour < PALETTE.len() => {
                (self.colour, self.erase) = (*colour, false);
                Did::Nothing
            }
            _ => Did::Nothing,
        }
    }

    /// Begins a stroke at the cursor.
    fn begin(&mut self, drawing: &mut Drawing) -> Did {
        self.down = true;
        let (radius, ink) = if self.erase { (ERASER, Ink::Rubber) } else { (BRUSH, PALETTE[self.colour].1) };
        drawing.begin(Stroke { points: vec![Stroke::point(self.cursor)], radius, ink });
        Did::Draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stroke_is_what_lies_between_down_and_up_and_a_cancelled_one_never_was() {
        let (mut pad, mut drawing) = (Pad::default(), Drawing::default());
        let mut act = |act: Act| (pad.act(&act, &mut drawing, [28, 28]), drawing.strokes().count());
        assert_eq!(act(Act::Move(vec![[0.1, 0.1]])), (Did::Nothing, 0), "nobody draws");
        assert_eq!(act(Act::Up), (Did::Nothing, 0));
        assert_eq!(act(Act::Cancel), (Did::Nothing, 0));
        assert_eq!(act(Act::Undo), (Did::Nothing, 0));
        assert_eq!(act(Act::Down([0.1, 0.1])), (Did::Draws, 1));
        assert_eq!(act(Act::Down([0.9, 0.9])), (Did::Nothing, 1), "a second finger");
        assert_eq!(act(Act::Move(vec![[0.1, 0.1]])), (Did::Nothing, 1), "it rests");
        assert_eq!(act(Act::Move(vec![[0.3, 0.1], [0.5, 0.1]])), (Did::Draws, 1));
        assert_eq!(act(Act::Clear), (Did::Nothing, 1), "a stroke first ends");
        assert_eq!(act(Act::Undo), (Did::Nothing, 1));
        assert_eq!(act(Act::Up), (Did::Drew, 1));
        act(Act::Down([0.5, 0.5]));
        assert_eq!(act(Act::Cancel), (Did::Drew, 1));
        assert_eq!(act(Act::Clear), (Did::Drew, 0));
        assert_eq!(act(Act::Undo), (Did::Drew, 1), "clearing is undone");
        let stroke = drawing.strokes().next().expect("a stroke").clone();
        let places = [[0.1, 0.1], [0.3, 0.1], [0.5, 0.1]];
        assert_eq!(stroke, Stroke { points: places.map(Stroke::point).to_vec(), radius: BRUSH, ink: Ink::Pen });
    }

    #[test]
    fn keys_move_a_cursor_and_draw_with_it() {
        let (mut pad, mut drawing) = (Pad::default(), Drawing::default());
        assert_eq!(pad.act(&Act::Step([1, 0]), &mut drawing, [28, 14]), Did::Nothing);
        assert_eq!(pad.cursor, [0.5 + 1.0 / 14.0, 0.5], "a pixel");
        assert_eq!(pad.act(&Act::Press, &mut drawing, [28, 14]), Did::Draws);
        for _ in 0..40 {
            pad.act(&Act::Step([0, -1]), &mut drawing, [28, 14]);
        }
        assert_eq!(pad.cursor[1], 0.0, "no further than the edge");
        assert_eq!(pad.act(&Act::Press, &mut drawing, [28, 14]), Did::Drew);
        let points: Vec<usize> = drawing.strokes().map(|stroke| stroke.points.len()).collect();
        assert_eq!(points, [15], "a dot and fourteen steps");
    }

    #[test]
    fn eraser_and_colours_are_taken_in_hand() {
        let (mut pad, mut drawing) = (Pad::default(), Drawing::default());
        for act in [Act::Colour(3), Act::Erase(true), Act::Erase(false), Act::Colour(99)] {
            assert_eq!(pad.act(&act, &mut drawing, [32, 32]), Did::Nothing);
        }
        assert!(pad.colour == 3 && !pad.erase);
        pad.act(&Act::Erase(true), &mut drawing, [32, 32]);
        pad.act(&Act::Press, &mut drawing, [32, 32]);
        pad.act(&Act::Up, &mut drawing, [32, 32]);
        pad.act(&Act::Colour(1), &mut drawing, [32, 32]);
        pad.act(&Act::Press, &mut drawing, [32, 32]);
        let inks: Vec<Ink> = drawing.strokes().map(|stroke| stroke.ink).collect();
        assert_eq!(inks, [Ink::Rubber, PALETTE[1].1], "a colour is the brush's");
    }
}
