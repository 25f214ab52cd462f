//! The visitor's own picture: brought as a file or drawn by hand, or both, one over the other. It is kept in the browser, and goes
//! along to every model. A drawing that a link has brought stands in its place until it is forgotten or drawn on.

use crate::data::fit::{self, Pixels};
use crate::tensor::Shape;
use crate::web::app::{Common, Effect, Message};
use crate::web::draw::text::{Drawn, from_base64, from_bytes, to_base64, to_bytes};
use crate::web::draw::{Act, Did, Drawing, Pad};
use crate::web::model::border;
use crate::web::settings::Settings;
use crate::web::sheet::Sheet;

/// Pixels across of a picture that is kept, at most.
pub const LARGEST: usize = 256;
/// A border is light or dark, and not in between, if it is so far from the middle of [−1, 1].
const PLAIN: f32 = 0.25;

/// A picture that was brought: the part of a file that a model wants, not enlarged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Height and width, [`LARGEST`] at most.
    pub size: [usize; 2],
    /// RGB, `[H, W, 3]`.
    pub rgb: Vec<u8>,
}

/// The visitor's own picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// The file's name.
    name: String,
    /// What was brought.
    picture: Option<Picture>,
    /// What was drawn over it.
    pub drawing: Drawing,
}

impl Own {
    /// What was brought and is not cleared away.
    fn picture(&self) -> Option<&Picture> {
        self.picture.as_ref().filter(|_| !self.drawing.is_cleared())
    }

    /// Whether there is nothing to be seen.
    pub fn is_blank(&self) -> bool {
        self.picture().is_none() && self.drawing.strokes().next().is_none()
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        if self.picture().is_some() { &self.name } else { "Your drawing" }
    }

    /// What a link holds of it: nothing, where a file is part of it.
    fn drawn(&self) -> Drawn {
        if self.picture().is_some() { Drawn::default() } else { Drawn::of(&self.drawing) }
    }

    /// As a text that the browser keeps: what is to be seen, without what was done on the way. `None` for a blank one.
    ///
    /// In base64: height and width, the lengths of name and pixels (four numbers of four bytes, the lowest first; all 0 for a drawing
    /// alone), both of these, then the strokes.
    fn to_text(&self) -> Option<String> {
        let (name, [h, w], rgb) = self.picture().map_or(("", [0; 2], &[][..]), |p| (&self.name[..], p.size, &p.rgb));
        let mut bytes: Vec<u8> =
            [h, w, name.len(), rgb.len()].into_iter().flat_map(|n| (n as u32).to_le_bytes()).collect();
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(rgb);
        to_bytes(&self.drawing, &mut bytes);
        (!self.is_blank()).then(|| to_base64(&bytes))
    }

    /// What the browser has kept; `None` if it is nothing of ours.
    fn from_text(text: &str) -> Option<Self> {
        let bytes = from_base64(text)?;
        let (sizes, rest) = bytes.split_at_checked(16)?;
        let number = |i: usize| sizes[4 * i..][..4].iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        let (name, rest) = rest.split_at_checked(number(2))?;
        let (rgb, strokes) = rest.split_at_checked(number(3))?;
        let picture = Picture { size: [number(0), number(1)], rgb: rgb.to_vec() };
        let there = picture.pixels().is_some();
        let name = String::from_utf8(name.to_vec()).ok()?;
        let own = Self { name, picture: Some(picture).filter(|_| there), drawing: from_bytes(strokes)? };
        (there || rgb.is_empty()).then_some(own).filter(|own| !own.is_blank())
    }
}

impl Picture {
    fn pixels(&self) -> Option<Pixels<'_>> {
        Pixels::new(&self.rgb, self.size, 3)
    }
}

/// The visitor's own picture, and the pad that draws it.
#[derive(Debug, Default)]
pub struct State {
    /// It, if there is one.
    pub own: Option<Own>,
    /// It is a link's, and not kept.
    lent: bool,
    /// What is kept, meanwhile.
    kept: Option<Own>,
    /// The pad.
    pub pad: Pad,
    /// What was brought as the model's x_0, or the bare ground; none if that is another one now.
    under: Vec<f32>,
    /// All of it as the model's x_0, not inverted.
    x_0: Vec<f32>,
    /// The same as a picture; of no picture the ground.
    pub sheet: Option<Sheet>,
    /// In what x_0 is the other way round than the model's pictures, in a sentence; empty if in nothing.
    pub note: String,
    /// The browser keeps nothing, which has been said.
    refused: bool,
}

/// Takes in what has happened; true if x_0 may be another one. `problem` is why the last file could not be used.
pub fn update(state: &mut State, problem: &mut String, message: &Message, cx: &mut Common) -> bool {
    match message {
        Message::Kept(text) => {
            state.own = state.own.take().or_else(|| Own::from_text(text.as_deref()?));
            return false;
        }
        Message::Adopted { .. } => {
            // What a link has brought is taken when all settings are.
            state.under.clear();
            return false;
        }
        Message::Settled => borrow(state, cx),
        Message::Changed("thumbs") => problem.clear(),
        Message::Changed("invert") => {}
        Message::Own(name, Ok(picture)) => {
            problem.clear();
            let before = cx.settings.clone();
            take(state, Own { name: name.clone(), picture: Some(picture.clone()), ..Own::default() }, cx);
            cx.say(format!("“{name}” is x₀ now; it has not left your machine."));
            keep(state, cx);
            cx.changed_by("upload", before, false);
        }
        Message::Own(_, Err(why)) => {
            problem.clone_from(why);
            cx.fail(why);
            return false;
        }
        Message::Draw(act) => {
            if !draw(state, act, cx) {
                return false;
            }
            problem.clear();
        }
        Message::ChooseOwn if state.own.is_some() => {
            problem.clear();
            let before = cx.settings.clone();
            cx.settings.picture = None;
            cx.changed_by("thumbs", before, false);
        }
        Message::Forget => forget(state, cx),
        Message::NotKept if !state.refused && !cx.running => {
            state.refused = true;
            let text = "The browser refuses to keep your picture: it is here until the page is closed.";
            cx.say(text);
            return false;
        }
        _ => return false,
    }
    settle(state, cx);
    true
}

/// What a link of the settings does not hold, in a sentence.
pub fn left_out(state: &State, cx: &Common) -> &'static str {
    let drawn = state.own.as_ref().is_some_and(|own| own.picture().is_none() && !own.is_blank());
    match (cx.settings.picture, cx.settings.draw.text()) {
        (None, "") if drawn => " Your drawing is too long to be in it.",
        (None, "") => " Your own picture is not in it.",
        _ => "",
    }
}

/// Takes the drawing that a link has brought, if it is another one.
fn borrow(state: &mut State, cx: &Common) {
    let (drawn, now) = (&cx.settings.draw, state.own.as_ref().map(Own::drawn));
    if let Some(drawing) = drawn.drawing().filter(|_| cx.settings.picture.is_none() && now.as_ref() != Some(drawn)) {
        let before = state.own.replace(Own { drawing, ..Own::default() });
        if !std::mem::replace(&mut state.lent, true) {
            state.kept = before;
        }
        state.under.clear();
    }
}

/// Takes something of the visitor's, which takes the place of whatever was there.
fn take(state: &mut State, own: Own, cx: &mut Common) {
    (state.own, state.kept, state.lent) = (Some(own), None, false);
    state.under.clear();
    cx.settings.picture = None;
}

/// Something is done on the pad; true if that changes the drawing.
fn draw(state: &mut State, act: &Act, cx: &mut Common) -> bool {
    let before = state.own.is_some();
    let own = state.own.get_or_insert_default();
    let did = state.pad.act(act, &mut own.drawing, [cx.shape.h(), cx.shape.w()]);
    if did == Did::Nothing {
        state.own.take_if(|_| !before);
        return false;
    }
    // Whose it was, it is the visitor's from the first stroke on.
    (state.kept, state.lent) = (None, false);
    if cx.settings.picture.is_some() {
        let before = cx.settings.clone();
        cx.settings.picture = None;
        cx.changed_by("draw", before, false);
    }
    if did == Did::Drew {
        keep(state, cx);
    }
    true
}

/// Has the browser keep it.
fn keep(state: &State, cx: &mut Common) {
    cx.want(Effect::Keep(state.own.as_ref().and_then(Own::to_text)));
    cx.changed();
}

/// Forgets it. What a link has put in its place is back again.
fn forget(state: &mut State, cx: &mut Common) {
    state.own = state.kept.take();
    if !std::mem::take(&mut state.lent) {
        cx.want(Effect::Keep(None));
    }
    (state.refused, state.pad.down) = (false, false);
    state.under.clear();
    cx.say("It is forgotten.");
    // The button goes with it.
    cx.want(Effect::Focus("draw"));
    cx.changed();
}

/// Brings everything that hangs on it in line.
fn settle(state: &mut State, cx: &mut Common) {
    if state.own.is_none() && cx.settings.picture.is_none() {
        cx.settings.picture = Settings::default().picture.map(|first| first.min(cx.samples.count().saturating_sub(1)));
    }
    let shown = state.own.as_ref().filter(|_| cx.settings.picture.is_none());
    cx.settings.draw = shown.map(Own::drawn).unwrap_or_default();
    let (shape, ground) = (cx.shape, cx.samples.ground());
    if state.under.len() != shape.len() {
        let picture = state.own.as_ref().and_then(|own| own.picture.as_ref()?.pixels());
        let bare = || vec![ground; shape.len()];
        state.under = picture.map_or_else(bare, |picture| fit::x_0(&picture, [shape.h(), shape.w()], shape.c()));
    }
    state.x_0.clone_from(&state.under);
    if let Some(own) = &state.own {
        own.drawing.draw(&mut state.x_0, shape, ground);
    }
    state.sheet = Some(Sheet::of(&state.x_0, shape, 1));
    let x_0 = x_0(state, cx);
    state.note = note(&x_0, shape, cx);
}

/// x_0 as the settings have it: a sample or the visitor's own picture, and inverted if that is wanted.
pub fn x_0(state: &State, cx: &Common) -> Vec<f32> {
    let mut x_0 = match cx.settings.picture {
        Some(picture) => cx.samples.x_0(picture.min(cx.samples.count() - 1), cx.shape),
        None => state.x_0.clone(),
    };
    if cx.settings.invert {
        x_0.iter_mut().for_each(|x| *x = -*x);
    }
    x_0
}

/// Says so if a picture's border is light where that of the model's pictures is dark, or the other way round. Samples are as they are.
fn note(x_0: &[f32], shape: Shape, cx: &Common) -> String {
    let (ground, border) = (cx.samples.ground(), border(x_0, shape));
    let title = cx.model.as_ref().map_or("this model", |model| model.entry.title.as_str());
    if (cx.settings.picture.is_some() && !cx.settings.invert) || ground * border > -PLAIN {
        return String::new();
    }
    let [this, theirs] = match ground < 0.0 {
        true => ["dark on light", "light on dark"],
        false => ["light on dark", "dark on light"],
    };
    format!("This picture is {this}; the pictures of {title} are {theirs}. Invert turns it round.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::draw::{Ink, Stroke};

    fn own() -> Own {
        let picture = Picture { size: [2, 3], rgb: (0..18).collect() };
        let stroke = Stroke { points: vec![[1, 2], [30, 40]], radius: 8, ink: Ink::Pen };
        Own { name: "ä.png".to_owned(), picture: Some(picture), drawing: Drawing::of(vec![stroke]) }
    }

    #[test]
    fn what_is_kept_comes_back_and_nothing_else_is_taken_for_it() {
        let whole = own();
        let text = whole.to_text().expect("a text");
        assert_eq!(Own::from_text(&text), Some(whole.clone()));
        let drawn = Own { picture: None, name: String::new(), ..whole.clone() };
        assert_eq!(drawn.to_text().as_deref().and_then(Own::from_text), Some(drawn));
        // What is cleared away is not kept.
        let mut cleared = whole.clone();
        cleared.drawing.clear();
        assert!(cleared.is_blank() && cleared.to_text().is_none() && cleared.name() == "Your drawing");
        for end in 0..text.len() {
            assert_ne!(Own::from_text(&text[..end]), Some(whole.clone()), "{end} of {}", text.len());
        }
        let short = Own { picture: Some(Picture { size: [2, 3], rgb: vec![0; 17] }), ..whole };
        assert_eq!(short.to_text().as_deref().and_then(Own::from_text), None, "a byte short");
    }

    #[test]
    fn a_link_holds_strokes_and_no_file() {
        let mut own = own();
        assert!(own.drawn().text().is_empty() && own.name() == "ä.png");
        own.drawing.clear();
        assert!(own.drawn().text().is_empty());
        own.drawing.begin(Stroke { points: vec![[9, 9]], radius: 8, ink: Ink::Pen });
        assert!(!own.drawn().text().is_empty() && own.name() == "Your drawing");
    }
}
