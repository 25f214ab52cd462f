//! A row of pictures of which one is chosen, as radios in a fieldset.

use super::{dom, paint};
use crate::web::model::Samples;
use crate::web::sheet::Sheet;
use web_sys::{Element, HtmlCanvasElement, HtmlInputElement, HtmlLabelElement};

/// A radio of that group with a name for people, in a label of its own, which is added to a fieldset.
pub fn radio(fieldset: &Element, group: &str, value: &str, name: &str) -> HtmlLabelElement {
    let label: HtmlLabelElement = dom::create("label");
    let input: HtmlInputElement = dom::create("input");
    input.set_type("radio");
    input.set_name(group);
    input.set_value(value);
    dom::set_attribute(&input, "aria-label", name);
    let _ = label.append_child(&input).and_then(|_| fieldset.append_child(&label));
    label
}

/// Takes the radios out of a fieldset, but not its legend.
pub fn clear(fieldset: &Element) {
    let old = fieldset.get_elements_by_tag_name("label");
    while let Some(label) = old.item(0) {
        label.remove();
    }
}

/// One choice per sample, with these names for people.
pub fn build(fieldset: &str, group: &str, samples: &Samples, name: impl Fn(usize) -> String) {
    let fieldset: Element = dom::by_id(fieldset);
    clear(&fieldset);
    for i in 0..samples.count() {
        let label = radio(&fieldset, group, &i.to_string(), &name(i));
        let canvas: HtmlCanvasElement = dom::create("canvas");
        dom::set_attribute(&canvas, "aria-hidden", "true");
        paint::draw(&canvas, &Sheet::new(samples.pixels(i).to_vec(), samples.shape, 1));
        let _ = label.append_child(&canvas);
    }
}
