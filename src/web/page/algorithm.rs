//! The algorithm on the page, the line being computed lit. What it says is `web::algorithm`'s.

use super::dom;
use web_sys::Element;

/// The lines of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Noise is drawn.
    Start = 0,
    /// The network predicts.
    Predict = 2,
    /// x moves.
    Move = 4,
    /// The picture is there.
    Return = 5,
}

/// Writes the algorithm.
pub fn show(lines: &[(bool, String)]) {
    let list: Element = dom::by_id("algorithm");
    list.set_text_content(None);
    for (inner, text) in lines {
        let item: Element = dom::create("li");
        item.set_class_name(if *inner { "inner" } else { "" });
        dom::set_math(&item, text);
        let _ = list.append_child(&item);
    }
}

/// Lights a line, or none.
pub fn light(line: Option<Line>) {
    let items = dom::by_id::<Element>("algorithm").children();
    for i in 0..items.length() {
        let Some(item) = items.item(i) else { continue };
        // x̂_0 follows from ε̂ at once.
        if line.is_some_and(|line| line as u32 == i || (line == Line::Move && i == 3)) {
            dom::set_attribute(&item, "aria-current", "step");
        } else {
            let _ = item.remove_attribute("aria-current");
        }
    }
}
