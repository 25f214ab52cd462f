use crate::engine::Description;
use crate::web::app::Described;
use crate::web::milliseconds;
use crate::web::model::Model;
use crate::web::models::{Entry, Which};
use crate::web::settings::Settings;

/// The model and the engine, as the bar shows them.
#[derive(Debug, Default)]
pub struct State {
    /// The models that ship.
    pub models: Vec<Entry>,
    /// The one that is being fetched, and how far that is.
    pub download: Option<Download>,
    /// The fast student that is being fetched.
    pub student: Option<Student>,
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
    /// The address names the model.
    pub linked: bool,
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

/// A fast student that is being fetched, possibly before the model that it belongs to.
#[derive(Debug)]
pub struct Student {
    /// That model's name.
    pub of: String,
    /// How far it is.
    pub download: Download,
    /// What is known of it.
    pub model: Option<Box<Model>>,
    /// Its weights are on their way.
    pub asked: bool,
    /// All of it is there.
    pub whole: bool,
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

impl State {
    /// Whether the weights of a model of this name, or of a student, are of any use to a page with this model.
    pub fn has_use_for(&self, name: &str, present: &str) -> bool {
        let of = |model: &str| Which::from_text(name).is_some_and(|which| which.name == model);
        of(present) || self.student.as_ref().is_some_and(|student| of(&student.of))
    }

    /// What the download's line tells of: the model, then its student.
    pub fn arriving(&self) -> Option<&Download> {
        let student = self.student.as_ref().filter(|student| !student.whole);
        self.download.as_ref().or(student.map(|student| &student.download))
    }
}

impl Download {
    /// The beginning of one.
    pub fn new(name: String, title: String) -> Self {
        Self { name, title, loaded: 0.0, total: None, by_hand: false }
    }

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
