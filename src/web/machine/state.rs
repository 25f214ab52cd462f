use crate::engine::Description;
use crate::web::app::Described;
use crate::web::milliseconds;
use crate::web::models::Entry;
use crate::web::settings::Settings;

/// The model and the engine, as the bar shows them.
#[derive(Debug, Default)]
pub struct State {
    /// The models that ship.
    pub models: Vec<Entry>,
    /// The one that is being fetched, and how far that is.
    pub download: Option<Download>,
    /// What could not be had, and can be tried again.
    pub missing: Option<Missing>,
    /// Whose the sample pictures are, where they are not the digits.
    pub credit: Option<String>,
    /// How far the engine is.
    pub badge: Badge,
    /// Why the engine is not what one might expect.
    pub note: Option<String>,
    /// What was fetched of the model that is coming, until its weights are there.
    pub described: Option<Box<Described>>,
    /// What a link asks for with the model that is coming, and what is wrong with it.
    pub expected: Option<Settings>,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// What the last model's settings became with this one.
    pub moved: Vec<String>,
}

/// What could not be had.
#[derive(Clone, Debug, PartialEq)]
pub enum Missing {
    /// The list of models.
    List,
    /// The model of this name.
    Model(String),
    /// The engine.
    Engine,
}

/// A model that is being fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Download {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Bytes that are there.
    pub loaded: f64,
    /// Of how many, if that is known.
    pub total: Option<f64>,
    /// The visitor has chosen it in the control, which then shows it already.
    pub by_hand: bool,
}

impl Download {
    /// How far it is, in words.
    pub fn text(&self) -> String {
        let megabytes = |bytes: f64| format!("{:.1}", bytes / 1e6);
        let of = self.total.map_or(String::new(), |total| format!(" of {}", megabytes(total)));
        format!("Loading {}: {}{of} MB", self.title, megabytes(self.loaded))
    }
}

/// How far the engine is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Badge {
    /// Nothing is known of one yet.
    #[default]
    Loading,
    /// A worker begins.
    Starting,
    /// It waits for the model.
    Waiting,
    /// It opens its engine.
    Opening,
    /// It has.
    Ready(Running),
    /// There is none.
    None,
}

/// An engine at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// What it is.
    pub engine: Description,
    /// Workers that have one.
    pub workers: usize,
    /// Milliseconds of a step, and of a prediction.
    pub step: Option<f64>,
    /// Of a prediction.
    pub prediction: Option<f64>,
}

impl Badge {
    /// In words, and one for the style sheet.
    pub fn text(&self) -> (String, &'static str) {
        let (text, state) = match self {
            Self::Loading => ("loading", "loading"),
            Self::Starting => ("starting", "loading"),
            Self::Waiting => ("waiting for the network", "loading"),
            Self::Opening => ("opening the engine", "loading"),
            Self::None => ("no engine", "failed"),
            Self::Ready(running) => return (running.text(), "ready"),
        };
        (text.to_owned(), state)
    }
}

impl Running {
    fn text(&self) -> String {
        let software = if self.engine.software { " (software)" } else { "" };
        let text = format!("{} · {}{software}", self.engine.engine.title(), self.engine.adapter);
        let text = match self.workers {
            0 | 1 => text,
            // One thread in each of them.
            n => format!("{}, {n} workers", text.trim_end_matches(", 1 thread")),
        };
        match (self.step, self.prediction) {
            (Some(step), _) => format!("{text} · {} ms a step", milliseconds(step)),
            (None, Some(one)) => format!("{text} · {} ms a prediction", milliseconds(one)),
            (None, None) => text,
        }
    }
}
