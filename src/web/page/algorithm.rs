//! The sampler in five lines, the one being computed lit.

use super::dom;
use crate::diffusion::SamplerKind;
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

/// (Indented, text) of each line.
fn lines(kind: SamplerKind) -> [(bool, &'static str); 6] {
    let (head, move_x) = match kind {
        SamplerKind::Ddpm => (
            "for t = T, …, 1:",
            "x_{t−1} = √ᾱ_{t−1}·β_{t}/(1−ᾱ_{t}) · x̂_{0} + √α_{t}·(1−ᾱ_{t−1})/(1−ᾱ_{t}) · x_{t} + σ_{t}·z,  z ~ N(0, I)",
        ),
        SamplerKind::Ddim => (
            "for each chosen t, s being the next:",
            "x_{s} = √ᾱ_{s} · x̂_{0} + √(1−ᾱ_{s}−σ_{t}²) · ε̂ + σ_{t}·z,  σ_{t} = η·√β̃_{t}",
        ),
        SamplerKind::DpmSolverPp2M => (
            "for each chosen t, s being the next:",
            "x_{s} = σ_{s}/σ_{t} · x_{t} − α_{s}·(e^{−h} − 1) · (x̂_{0} + (x̂_{0} − x̂_{0}′)/2r)",
        ),
    };
    [
        (false, "x_{T} ~ N(0, I)"),
        (false, head),
        (true, "ε̂ = ε_{θ}(x_{t}, t)"),
        (true, "x̂_{0} = (x_{t} − √(1−ᾱ_{t}) · ε̂) / √ᾱ_{t}"),
        (true, move_x),
        (false, "return x_{0}"),
    ]
}

/// Writes the algorithm.
pub fn show(kind: SamplerKind) {
    let list: Element = dom::by_id("algorithm");
    list.set_text_content(None);
    for (inner, text) in lines(kind) {
        let item: Element = dom::create("li");
        item.set_class_name(if inner { "inner" } else { "" });
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
