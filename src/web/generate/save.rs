//! Files made of a run: its pictures, its film, and what they were made with.

use super::state::{Run, State};
use super::{film, link};
use crate::web::app::{Common, Effect};
use crate::web::changes;
use crate::web::controls::CONTROLS;
use crate::web::plural;
use crate::web::save::raster::{Raster, factor};
use crate::web::save::{File, What, gif, png};
use serde_json::{Map, Value, json};

/// Settings of links that say nothing of a run.
const OTHERS: [&str; 11] =
    ["picture", "draw", "invert", "t", "noise", "schedule", "T", "hand", "curve", "forward", "engine"];
/// Pixels that a GIF has in all, about: of runs of many steps the pictures are smaller.
const GIF_PIXELS: usize = 24_000_000;
/// Hundredths of a second that a GIF takes, if its pictures can be shown so slowly or fast, and its last picture.
const GIF_TIME: usize = 300;
const GIF_LAST: u16 = 150;

/// Makes a file of the run; the page is at this address, without what follows `#`.
pub fn save(state: &State, what: What, address: &str, cx: &mut Common) {
    let Some(run) = &state.run else { return cx.fail("there is nothing to save before a run") };
    let link = format!("{address}{}", link::of_shown(state, cx));
    let words = changes::in_words(&run.request, |class| cx.class_name(class));
    let shown = film::shown(run, state.film.as_ref());
    let (step, kind, bytes) = match what {
        What::Pictures => {
            let title = format!("{} by Noisette", plural(run.count(), "picture"));
            let words = format!("{words}; step {} of {}", shown.step, run.steps());
            let texts =
                [("Title", title.as_str()), ("Description", &words), ("Source", &link), ("Software", "Noisette")];
            let raster = Raster::of(&shown.pixels, factor(&shown.pixels));
            (Some(shown.step).filter(|step| *step < run.steps()), "image/png", png::encode(&raster, &texts))
        }
        What::Run => {
            let Some(bytes) = film_as_gif(run, &link) else { return cx.fail("these pictures are too large for a GIF") };
            (None, "image/gif", bytes)
        }
        What::Settings => (None, "application/json", settings_as_json(run, &link, &words).into_bytes()),
    };
    let name = name(run, step, kind);
    cx.say(format!("{name} goes to your downloads."));
    cx.want(Effect::Save(File { name, kind, bytes }));
}

/// Model, seed, and the step if it is not the last.
fn name(run: &Run, step: Option<usize>, kind: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let model: String = run.made.model.name.chars().map(plain).collect();
    let step = step.map_or(String::new(), |step| format!("-step-{step}"));
    let end = kind.split_once('/').map_or("", |(_, end)| end);
    format!("noisette-{model}-seed-{}{step}.{end}", run.request.seed)
}

/// All steps that are recorded, the last one for longer.
fn film_as_gif(run: &Run, link: &str) -> Option<Vec<u8>> {
    let (noise, frames) = (&run.record.first()?.pixels, run.record.len());
    let plain = Raster::of(noise, 1);
    let pixels = plain.width * plain.height * frames;
    let most = (1..=factor(noise)).rev().find(|factor| pixels * factor * factor <= GIF_PIXELS).unwrap_or(1);
    let delay = (GIF_TIME / frames).clamp(2, 20) as u16;
    let frame = |(i, pixels)| (Raster::of(pixels, most), if i + 1 == frames { GIF_LAST } else { delay });
    gif::encode(run.record.iter().map(|recorded| &recorded.pixels).enumerate().map(frame), link)
}

/// What the run was made with, under the names that links use.
fn settings_as_json(run: &Run, link: &str, words: &str) -> String {
    let setting = |key: &str, text: String| {
        // A number is one.
        let value = serde_json::from_str(&text).ok().filter(Value::is_number).unwrap_or(Value::String(text));
        (key.to_owned(), value)
    };
    let keys = CONTROLS.iter().filter_map(|control| control.key.map(|key| (key, control.text(&run.made))));
    let settings: Map<String, Value> = keys
        .filter(|(key, _)| !OTHERS.contains(key) || (run.request.from.is_some() && *key != "engine"))
        .map(|(key, text)| setting(key, text))
        .collect();
    let all = json!({ "program": "Noisette", "link": link, "words": words, "settings": settings });
    format!("{all:#}\n")
}
