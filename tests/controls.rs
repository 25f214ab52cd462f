//! The table of controls against index.html: every row has its element, with the range, the choices and the default of the row.
#![cfg(not(target_arch = "wasm32"))]

use noisette::diffusion::SamplerKind;
use noisette::diffusion::walk::Rule;
use noisette::web::controls::{CONTROLS, Control, Kind, of};
use noisette::web::settings::Settings;

/// T of the models that ship, until one says otherwise.
const TIMESTEPS: u64 = 1000;

fn html() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/web/index.html")).expect("the page")
}

/// The tag that has this id, from `<` to `>`, and what follows it.
fn tag<'a>(html: &'a str, id: &str) -> (&'a str, &'a str) {
    let mark = format!(" id=\"{id}\"");
    let at = html.find(&mark).unwrap_or_else(|| panic!("index.html has no element {id}"));
    assert_eq!(html.matches(&mark).count(), 1, "{id} is there twice");
    let start = html[..at].rfind('<').expect("a tag begins");
    let end = at + html[at..].find('>').expect("and ends");
    (&html[start..=end], &html[end + 1..])
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// (value, name) of every radio in the group that begins here; the one that is checked comes first.
fn radios(rest: &str) -> Vec<(String, String)> {
    let (inside, _) = rest.split_once("</fieldset>").expect("a group ends");
    let mut radios: Vec<(bool, String, String)> = Vec::new();
    for part in inside.split("<input ").skip(1) {
        let (element, _) = part.split_once('>').expect("a radio ends");
        let of = |name| attribute(part, name).map(str::to_owned);
        radios.push((!element.ends_with(" checked"), of("value").expect("a value"), of("name").expect("a name")));
    }
    assert_eq!(radios.iter().filter(|radio| !radio.0).count(), 1, "one is checked");
    assert!(radios.iter().all(|radio| radio.2 == radios[0].2), "they exclude each other");
    radios.sort_by_key(|radio| radio.0);
    radios.into_iter().map(|(_, value, name)| (value, name)).collect()
}

/// (value, text) of every option of a select, or (value, name) of a group of radios.
fn options(html: &str, id: &str) -> Vec<(String, String)> {
    let (element, rest) = tag(html, id);
    if element.starts_with("<fieldset") {
        return radios(rest);
    }
    let (inside, _) = rest.split_once("</select>").expect("a select ends");
    let option = |part: &str| {
        let (value, rest) = part.split_once("\">").expect("a value");
        (value.to_owned(), rest.split_once('<').expect("a text").0.to_owned())
    };
    inside.split("<option value=\"").skip(1).map(option).collect()
}

/// What is wrong with a control's element, if anything is.
fn problems(html: &str, control: &Control) -> Vec<String> {
    let id = control.id.expect("a control with an element");
    let (element, _) = tag(html, id);
    let default = match control.text(&Settings::default()) {
        // T is the model's.
        text if id == "timesteps" && text.is_empty() => TIMESTEPS.to_string(),
        text => text,
    };
    let mut wrong = Vec::new();
    let mut same = |what: &str, found: Option<&str>, expected: &str| {
        if found != Some(expected) {
            wrong.push(format!("{id}: {what} is {found:?}, the table has {expected}"));
        }
    };
    let mut number = |least: String, most: String| {
        same("min", attribute(element, "min"), &least);
        same("max", attribute(element, "max"), &most);
        same("value", attribute(element, "value"), &default);
    };
    match &control.kind {
        Kind::Whole(_) | Kind::Switch if element.starts_with("<fieldset") => {}
        Kind::Whole(range) => number(range.start().to_string(), range.end().to_string()),
        Kind::Timesteps(least) => number(least.to_string(), TIMESTEPS.to_string()),
        Kind::Time => number("0".to_owned(), TIMESTEPS.to_string()),
        Kind::Real(range) => number(range.start().to_string(), range.end().to_string()),
        Kind::Switch => same("type", attribute(element, "type"), "checkbox"),
        // A browser chooses the first one that is not marked otherwise.
        Kind::Choice(_) if id == "sampler" => {}
        Kind::Choice(_) => {
            same("the first choice", options(html, id).first().map(|option| option.0.as_str()), &default)
        }
    }
    let step = match control.kind {
        Kind::Whole(_) | Kind::Timesteps(_) | Kind::Time => Some("1"),
        _ => None,
    };
    if let Some(step) = step.filter(|_| element.starts_with("<input")) {
        same("step", attribute(element, "step"), step);
    }
    if !element.starts_with("<fieldset") {
        same("autocomplete", attribute(element, "autocomplete"), "off");
    }
    wrong
}

#[test]
fn every_control_has_an_element_of_its_range_and_default() {
    let html = html();
    let with_element: Vec<&Control> = CONTROLS.iter().filter(|control| control.id.is_some()).collect();
    assert!(with_element.len() > 10, "{} controls", with_element.len());
    let wrong: Vec<String> = with_element.into_iter().flat_map(|control| problems(&html, control)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_choice_can_be_read_and_every_sampler_chosen() {
    let html = html();
    for control in CONTROLS.iter().filter(|control| matches!(control.kind, Kind::Choice(_))) {
        let Some(id) = control.id else { continue };
        let all = options(&html, id);
        assert!(!all.is_empty(), "{id} has no choice");
        for (value, _) in all {
            let mut settings = Settings::default();
            assert_eq!(control.read(&value, 1000, &mut settings), Ok(()), "{id}");
            assert_eq!(control.text(&settings), value, "{id}");
        }
    }
    let titles = SamplerKind::ALL.iter().map(|&kind| (kind.name().to_owned(), Rule::of(kind).title.to_owned()));
    assert_eq!(options(&html, "sampler"), titles.collect::<Vec<_>>());
}

#[test]
fn every_element_that_sets_something_is_in_the_table() {
    // What only changes the view, opens a file, or is taken in hand.
    let others = ["upload", "step", "lens-x", "lens-y", "brush", "eraser"];
    let html = html();
    let mut found = 0;
    for kind in ["<input ", "<select "] {
        // A radio belongs to a group, which is in the table.
        for part in html.split(kind).skip(1).filter(|part| !part.starts_with("type=\"radio\"")) {
            let id =
                attribute(&format!("{kind}{}", part.split('>').next().unwrap_or_default()), "id").map(str::to_owned);
            let id = id.unwrap_or_else(|| panic!("a control without an id: {}", &part[..40]));
            assert!(of(&id).is_some() || others.contains(&id.as_str()), "{id} is in no row");
            found += 1;
        }
    }
    assert!(found > 10, "{found} elements");
    let groups: Vec<&str> = html.split("<fieldset").skip(1).filter_map(|part| attribute(part, "id")).collect();
    assert!(
        groups.len() > 3
            && groups.iter().all(|id| of(id).is_some() || ["picks", "colours", "brush", "class-pictures"].contains(id)),
        "{groups:?}"
    );
}

#[test]
fn a_page_that_differs_from_the_table_is_found_out() {
    let html = html();
    for (from, to, id) in [
        ("max=\"16\"", "max=\"17\"", "count"),
        ("max=\"5\" step=\"0.05\" value=\"1\"", "max=\"5\" step=\"0.05\" value=\"2\"", "guidance"),
        ("id=\"steps\" min=\"1\"", "id=\"steps\" min=\"0\"", "steps"),
        ("<option value=\"auto\">auto</option>", "", "engine"),
        ("value=\"own\" checked", "value=\"mine\" checked", "schedule"),
    ] {
        assert!(html.contains(from), "{from}");
        let control = of(id).expect("a control");
        assert_eq!(problems(&html.replacen(from, to, 1), control).len(), 1, "{id}");
    }
}
