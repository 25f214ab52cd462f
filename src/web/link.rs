//! The link that holds the settings: `#noise&model=digits&picture=3&t=400&…`. A first word without `=` is the room to open; one
//! that names no room opens the first, and one that names nothing else changes nothing else.
//!
//! A link is somebody else's text. What it says wrongly is refused with a sentence and its setting keeps its default.
//!
//! With `run=1` it asks for a run as well, begun once the model is there. That is no setting: the address that the page writes
//! does not hold it, so that a page that is opened again waits for its visitor. With `from=1` as well the run begins with x_t.

use super::controls::{CONTROLS, Kind, keyed, shorten};
use super::settings::{Chosen, Room, Sampling, Settings};

/// What a link says about the pictures to generate.
const GENERATE_KEYS: [&str; 7] = ["class", "sampler", "steps", "seed", "count", "guidance", "eta"];
/// The keys of what is no setting, and its values.
const RUN: &str = "run";
const FROM: &str = "from";
const RUNS: [(&str, bool); 2] = [("0", false), ("1", true)];
/// Settings that are read of a link.
const MOST_PAIRS: usize = 64;

/// Reads a link's part from `#` on; what it does not name keeps its default. Also one sentence per thing that is wrong in it.
///
/// A link that says what to generate but names no spacing is of a time when all went as diffusers, spaced by its leading rule:
/// it shows the picture that it showed then.
pub fn parse(hash: &str) -> (Settings, Vec<String>) {
    let mut settings = Settings::default();
    let mut problems = Vec::new();
    let (mut said, mut spaced) = (Vec::new(), false);
    if let Some(name) = room(hash) {
        match Room::from_name(name) {
            Some(room) => settings.room = room,
            None => problems.push(format!("the link has a room {} that this page does not know", shorten(name))),
        }
    }
    for (key, value) in pairs(hash) {
        if key == RUN || key == FROM {
            if run_of(value).is_none() {
                problems.push(format!("the link's {key} is 0 or 1, not {}", shorten(value)));
            }
            continue;
        }
        let taken = match (decode(value), keyed(key)) {
            (None, _) => Err(format!("the link's {} is not readable text", shorten(key))),
            (_, None) => Err(format!("the link has a setting {} that this page does not know", shorten(key))),
            (Some(value), Some(control)) => control.parse(&value, &mut settings),
        };
        match taken {
            Ok(()) => said.push(key),
            Err(problem) => problems.push(problem),
        }
        spaced |= matches!(key, "spacing" | "as");
    }
    let says = |key: &str| said.contains(&key);
    settings.chosen = Chosen {
        sampler: says("sampler"),
        steps: says("steps"),
        spacing: says("spacing") || says("as"),
        guidance: says("guidance"),
        eta: says("eta"),
    };
    if says("draw") {
        settings.picture = None;
    }
    settings.keep_seed = says("seed");
    if !spaced && GENERATE_KEYS.iter().any(|key| says(key)) {
        settings.follow(&Sampling::OF_OLD);
        (settings.chosen, settings.keep_seed) = (Chosen::ALL, true);
    }
    (settings, problems)
}

/// Whether a link asks for a run.
pub fn runs(hash: &str) -> bool {
    says(hash, RUN)
}

/// Whether the run is to begin with x_t.
pub fn takes(hash: &str) -> bool {
    says(hash, FROM)
}

fn says(hash: &str, which: &str) -> bool {
    pairs(hash).filter(|(key, _)| *key == which).filter_map(|(_, value)| run_of(value)).next_back().unwrap_or(false)
}

fn run_of(value: &str) -> Option<bool> {
    RUNS.iter().find(|(word, _)| *word == value).map(|(_, run)| *run)
}

/// The words between `&`.
fn words(hash: &str) -> Vec<&str> {
    let hash = hash.strip_prefix('#').unwrap_or(hash);
    hash.split('&').filter(|word| !word.is_empty()).take(MOST_PAIRS).collect()
}

/// The name of the room to open.
fn room(hash: &str) -> Option<&str> {
    words(hash).first().copied().filter(|word| !word.contains('='))
}

/// The room of a link that names one and nothing else.
pub fn room_alone(hash: &str) -> Option<Room> {
    let name = room(hash).filter(|_| words(hash).len() == 1)?;
    Room::from_name(name)
}

/// Keys and values.
fn pairs(hash: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    let words = words(hash).into_iter().skip(room(hash).iter().count());
    words.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The part from `#` on of a link that asks for a run, too.
pub fn write_run(settings: &Settings) -> String {
    format!("{}&{RUN}=1", write(settings))
}

/// The same of a link whose run begins with x_t.
pub fn write_take(settings: &Settings) -> String {
    format!("{}&{FROM}=1", write_run(settings))
}

/// The link's part from `#` on.
pub fn write(settings: &Settings) -> String {
    let begins = Settings::default();
    let pairs = CONTROLS.iter().filter_map(|control| {
        let value = control.text(settings);
        // A switch that is off goes without saying.
        let off = matches!(control.kind, Kind::Switch) && value == "false";
        let needless = value.is_empty() || off || control.brief && value == control.text(&begins);
        control.key.filter(|_| !needless).map(|key| format!("{key}={value}"))
    });
    format!("#{}&{}", settings.room.name(), pairs.collect::<Vec<_>>().join("&"))
}

/// Undoes %-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || rest.next().and_then(|d| char::from(d).to_digit(16));
            (digit()? * 16 + digit()?) as u8
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}
