use crate::web::app::App;
use crate::web::draw::{Ink, PALETTE, Pad};
use crate::web::page::dom::{self, Last};
use crate::web::page::paint;
use std::rc::Rc;
use web_sys::{Element, HtmlCanvasElement, HtmlElement, HtmlInputElement, HtmlLabelElement};

/// The visitor's own picture among the samples, and the pad.
#[derive(Default)]
pub struct View {
    choice: Option<Choice>,
    note: Last<String>,
    /// What is on, and what is there: colours, something to forget, to undo, to clear; inverted.
    tools: Last<(Pad, [bool; 5])>,
    colours: Vec<HtmlInputElement>,
}

/// The choice beside the samples.
struct Choice {
    label: HtmlLabelElement,
    input: HtmlInputElement,
    canvas: HtmlCanvasElement,
    name: Last<Option<String>>,
    bytes: Last<*const u8>,
}

impl View {
    /// Shows them; `rebuilt` if the samples' own choices are new.
    pub fn show(&mut self, app: &App, rebuilt: bool) {
        let (state, cx) = (&app.noise.own, &app.common);
        let own = state.own.as_ref();
        let Some(sheet) = &state.sheet else { return };
        let choice = self.choice.get_or_insert_with(Choice::build);
        if rebuilt {
            let _ = dom::by_id::<Element>("thumbs").append_child(&choice.label);
        }
        if choice.name.differs(own.map(|own| own.name().to_owned())) {
            choice.label.set_hidden(own.is_none());
            dom::set_attribute(&choice.input, "aria-label", own.map_or("", |own| own.name()));
        }
        if choice.bytes.differs(Rc::as_ptr(&sheet.bytes).cast()) {
            paint::draw(&choice.canvas, sheet);
        }
        paint::show("pad", sheet);
        if self.note.differs(state.note.clone()) {
            dom::set_text("picture-note", &state.note);
        }
        let (there, undo) = (own.is_some_and(|own| !own.is_blank()), own.is_some_and(|own| own.drawing.can_undo()));
        let on = [cx.shape.c() == 3, there, undo, there, cx.settings.invert];
        if self.tools.differs((state.pad.clone(), on)) {
            self.show_tools(&state.pad, on);
        }
    }

    fn show_tools(&mut self, pad: &Pad, [coloured, forget, undo, clear, inverted]: [bool; 5]) {
        if self.colours.is_empty() {
            self.colours = PALETTE.iter().enumerate().map(|(i, &(name, ink))| build_colour(i, name, ink)).collect();
        }
        dom::set_shown("colours", coloured);
        dom::set_shown("forget", forget);
        dom::set_enabled("undo", undo);
        dom::set_enabled("clear", clear);
        dom::set_class("pad-place", "inverted", inverted);
        dom::input("eraser").set_checked(pad.erase);
        dom::input("brush").set_checked(!pad.erase);
        self.colours.iter().enumerate().for_each(|(i, colour)| colour.set_checked(i == pad.colour));
        let place: HtmlElement = dom::by_id("pad-place");
        for (name, share) in [("--x", pad.cursor[0]), ("--y", pad.cursor[1])] {
            dom::set_variable(&place, name, &format!("{}%", (share * 100.0) as i32));
        }
    }
}

impl Choice {
    fn build() -> Self {
        let (label, input): (HtmlLabelElement, HtmlInputElement) = (dom::create("label"), dom::create("input"));
        input.set_type("radio");
        input.set_name("picture");
        // A sample's is its number.
        input.set_value("");
        let canvas: HtmlCanvasElement = dom::create("canvas");
        dom::set_attribute(&canvas, "aria-hidden", "true");
        let _ = label.append_child(&input).and_then(|_| label.append_child(&canvas));
        Self { label, input, canvas, name: Last::default(), bytes: Last::default() }
    }
}

/// A colour to choose; a pen's is the page's own.
fn build_colour(i: usize, name: &str, ink: Ink) -> HtmlInputElement {
    let input: HtmlInputElement = dom::create("input");
    input.set_type("radio");
    input.set_name("colour");
    input.set_value(&i.to_string());
    dom::set_attribute(&input, "aria-label", name);
    if let Ink::Colour([r, g, b]) = ink {
        dom::set_variable(&input, "--colour", &format!("rgb({r} {g} {b})"));
    }
    let _ = dom::by_id::<Element>("colours").append_child(&input);
    input
}
