//! The page without the browser: what it knows, what it can be told, and what it wants done. One [`App::update`] hands every
//! message to every section, in turn; what a section raises comes after.

use super::changes::Noised;
use super::draw::Act;
use super::history::History;
use super::job::Tensor;
use super::messages::FromWorker;
use super::model::{Model, Samples};
use super::models::Entry;
use super::noise::own::Picture;
use super::pool::workers::{Machine, WorkerId};
use super::pool::{Order, Pool, Told};
use super::save::{File, What};
use super::settings::{Limits, Room, Sampling, Settings};
use super::{check, controls, generate, link, machine, noise};
use crate::tensor::Shape;
use controls::CONTROLS;
use std::collections::VecDeque;
use std::rc::Rc;

/// Tiles of a film, and of one in a narrow window.
const TILES: usize = 21;
const NARROW: usize = 11;

/// Something that has happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// The page is there; the part of its address from `#` on, and what the page itself had left beside it.
    Begin(String, Option<u32>),
    /// The address has become another one.
    Address(String, Option<u32>),
    /// A control says this.
    Control(&'static str, String),
    /// A control says that what it said is meant: its slider is let go, its number is typed.
    Committed(&'static str),
    /// A moment has passed since the address was to be written.
    Due,
    /// Generate was pressed; a number by chance, or why there is none.
    Generate(Result<u32, String>),
    /// The dice was pressed.
    Dice(Result<u32, String>),
    /// New noise was pressed.
    NewNoise(Result<u32, String>),
    /// The window has become narrow, or wide: a film has fewer tiles in a narrow one.
    Narrow(bool),
    /// The lens stands over the pixel of this column and row.
    Point([usize; 2]),
    /// Pause was pressed, or Play.
    Pause,
    /// Step was pressed; a number by chance, or why there is none.
    Step(Result<u32, String>),
    /// Play was pressed that moves t, or Pause; in jumps where movement is not wanted.
    PlayNoise {
        /// In jumps.
        calm: bool,
    },
    /// The slider of t is taken hold of, or nobody looks any more: t moves no further by itself.
    Hold,
    /// A handle of the curve drawn by hand was moved to so many hundredths.
    Handle(usize, usize),
    /// The browser is about to draw a frame.
    Frame,
    /// Stop was pressed.
    Stop,
    /// This is to be saved; the page's address, without what follows `#`.
    Save(What, String),
    /// The browser does not take a file, and why.
    NotSaved(String),
    /// The loss at every t is wanted, or no more.
    Measure,
    /// Bits per dimension are wanted, or no more.
    CountBits,
    /// A run is to begin with x_t, and the page to go there; a link wants it only begun.
    Take {
        /// The page goes there.
        go: bool,
    },
    /// It begins: with this x at the paper's t, of this picture and noise.
    TakeFrom {
        /// `[1, H, W, C]`.
        x: Vec<f32>,
        /// 1…T.
        t: usize,
        /// What x is.
        of: Noised,
    },
    /// Try again was pressed.
    Retry,
    /// Copy link was pressed; the page's address, without what follows `#`.
    Copy(String),
    /// The link was copied, or the browser did not let it be.
    Copied(bool),
    /// The slider of a run's film stands here.
    Scrub(usize),
    /// The film of this image is wanted.
    FilmOf(usize),
    /// This tile of the run's film was pressed.
    FilmTile(usize),
    /// This tile of the film over t was pressed.
    TimeTile(usize),
    /// A check was asked for; the browser's name for itself.
    StartCheck(String),
    /// The check is wanted no more.
    EndCheck,
    /// A file of the visitor's, by name, was opened.
    Own(String, Result<Picture, String>),
    /// What the browser has kept of the visitor's own picture.
    Kept(Option<String>),
    /// It does not keep it.
    NotKept,
    /// Something was done on the drawing pad.
    Draw(Act),
    /// The visitor's own picture is to be x_0.
    ChooseOwn,
    /// Nor is it to be kept any longer.
    Forget,
    /// The browser has no GPU for anybody.
    NoGpu,
    /// The list of models.
    List(Result<Vec<Entry>, String>),
    /// A model without its weights, by name, and its samples.
    Described(String, Result<Box<Described>, String>),
    /// So many bytes of a model's weights are there, of how many if that is known.
    Arriving(String, f64, Option<f64>),
    /// All of them are, so many bytes.
    Weights(String, Result<f64, String>),
    /// The fast student of the model of this name, without its weights.
    Student(String, Result<Box<Model>, String>),
    /// A worker has said something.
    Worker(WorkerId, FromWorker, Vec<Tensor>),
    /// A worker has stopped, or could not be started.
    WorkerGone(WorkerId, String),
    /// The pool tells something.
    Told(Told),
    /// A control has changed its setting.
    Changed(&'static str),
    /// The settings are others, as a whole.
    Settled,
    /// Another model is at hand.
    Adopted {
        /// There was none before.
        first: bool,
        /// Its pictures have another size.
        other_shape: bool,
    },
    /// A step of a run took so many milliseconds, on average.
    StepTook(f64),
    /// A prediction did.
    PredictionTook(f64),
}

/// A model without its weights.
#[derive(Clone, Debug)]
pub struct Described {
    /// It.
    pub model: Model,
    /// Its sample pictures, or why they are not there.
    pub samples: Result<Samples, String>,
}

/// Something that only the browser can do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Something with a worker.
    Pool(Order),
    /// Fetch the list of models.
    FetchList,
    /// Fetch a model: its description, then its weights.
    Fetch(Entry),
    /// Fetch the description of a model's fast student.
    FetchStudent(Entry),
    /// Fetch its weights.
    FetchStudentWeights(Entry),
    /// Keep this of the visitor's own picture, or nothing, in the place of what is kept.
    Keep(Option<String>),
    /// Write the settings into the address: at once, or a moment later.
    /// Write an address.
    WriteAddress {
        /// As a new entry of the browser's history, not in place of the present one.
        push: bool,
        /// The part from `#` on.
        hash: String,
        /// The page's own word beside it.
        memory: u32,
    },
    /// Say [`Message::Due`] a moment later, as browsers limit how often an address may change.
    Wait,
    /// Scroll to a room.
    Show(Room),
    /// Copy a link.
    Copy(String),
    /// Hand a file to the visitor.
    Save(File),
    /// Say when the browser is about to draw its next frame.
    Frame,
    /// Give an element the focus.
    Focus(&'static str),
    /// Go to a section.
    GoTo(&'static str),
}

/// The status line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// What it says.
    pub text: String,
    /// That is an error.
    pub failed: bool,
}

/// What all sections share.
#[derive(Debug)]
pub struct Common {
    /// What the page runs on.
    pub on: Machine,
    /// What the controls say.
    pub settings: Settings,
    /// Controls that say what they cannot mean, by id and in the table's order, and a sentence about each.
    pub invalid: Vec<(&'static str, String)>,
    /// The one line that tells what happened.
    pub status: Status,
    /// The model at hand. Until it is known, nothing is computed that hangs on it.
    pub model: Option<Model>,
    /// Its weights are there, too.
    pub has_weights: bool,
    /// Its fast student, once that is known. Its weights are there unless the page is loading.
    pub student: Option<Model>,
    /// Another one is being fetched.
    pub loading: bool,
    /// Its sample pictures.
    pub samples: Rc<Samples>,
    /// `[1, H, W, C]` of its pictures.
    pub shape: Shape,
    /// Tiles of a film, at most.
    pub tiles: usize,
    /// The column and row of the pixel under the lens, in every picture.
    pub lens: [usize; 2],
    /// The workers.
    pub pool: Pool,
    /// A run is in progress.
    pub running: bool,
    /// Milliseconds since the page was opened.
    pub now: f64,
    /// What is known of the browser's history.
    pub history: History,
    /// What was set by hand, the settings before, and whether it may go on.
    by_hand: Option<(&'static str, Settings, bool)>,
    /// The address is to be brought up to the settings: at once.
    stale: Option<bool>,
    /// [`Message::Due`] will come.
    waiting: bool,
    effects: Vec<Effect>,
    raised: VecDeque<Message>,
}

impl Common {
    /// What is known of a page that has just been opened.
    fn new(on: Machine) -> Self {
        let samples = Rc::new(Samples::digits());
        let shape = samples.shape;
        Self {
            on,
            settings: Settings::default(),
            invalid: Vec::new(),
            status: Status::default(),
            model: None,
            has_weights: false,
            student: None,
            loading: false,
            samples,
            shape,
            tiles: TILES,
            lens: [14, 12],
            pool: Pool::new(on),
            running: false,
            now: 0.0,
            history: History::default(),
            by_hand: None,
            stale: None,
            waiting: false,
            effects: Vec::new(),
            raised: VecDeque::new(),
        }
    }

    /// Where the values of the pixel under the lens begin in a picture `[H, W, C]`; the lens stays inside it.
    pub fn under_lens(&self) -> usize {
        let [column, row] = self.lens;
        let (row, column) = (row.min(self.shape.h() - 1), column.min(self.shape.w() - 1));
        (row * self.shape.w() + column) * self.shape.c()
    }

    /// What the model allows; what the digits allow until it is known.
    pub fn limits(&self) -> Limits {
        let pictures = self.samples.count();
        let default = Limits { timesteps: 1000, classes: 10, none: true, pictures, fast: true };
        self.model.as_ref().map_or(default, |model| model.limits(pictures))
    }

    /// The fast student, if it is wanted and known.
    pub fn wanted_student(&self) -> Option<&Model> {
        self.student.as_ref().filter(|_| self.settings.model.fast)
    }

    /// How the folder of the one that generates suggests to sample it.
    pub fn suggested(&self) -> Sampling {
        self.wanted_student().or(self.model.as_ref()).map_or(Sampling::USUAL, Model::sampling)
    }

    /// What a class is called.
    pub fn class_name(&self, class: usize) -> String {
        self.model.as_ref().map_or_else(|| class.to_string(), |model| model.class_name(class))
    }

    /// Whether there is an engine and a model, and neither has anything else to do.
    pub fn can_generate(&self) -> bool {
        self.pool.opened() && !self.running && !self.loading
    }

    /// Writes the status line.
    pub fn say(&mut self, text: impl Into<String>) {
        self.status = Status { text: text.into(), failed: false };
    }

    /// Writes an error into the status line.
    pub fn fail(&mut self, message: &str) {
        self.status = Status { text: format!("Error: {}.", message.trim_end_matches('.')), failed: true };
    }

    /// Has something done.
    pub fn want(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The address follows a change a moment later.
    pub fn changed(&mut self) {
        self.stale.get_or_insert(false);
    }

    /// It follows at once.
    pub fn bring_up(&mut self) {
        self.stale = Some(true);
    }

    /// The same, of a change that this control has made and that Back takes back, or is about to make; it may be `held` still.
    pub fn changed_by(&mut self, control: &'static str, before: Settings, held: bool) {
        self.by_hand = Some((control, before, held));
        self.changed();
    }

    /// Writes what the settings have become into the browser's history.
    fn remember(&mut self) {
        if let Some(by_hand) = self.by_hand.take() {
            self.history.change(by_hand, &self.settings, self.now);
        }
        let Some(at_once) = self.stale.take() else { return };
        let written = at_once && self.history.bring_up(&self.settings, self.now);
        for write in self.history.take() {
            let (hash, memory) = (link::write(&write.settings), write.settings.memory());
            self.want(Effect::WriteAddress { push: write.push, hash, memory });
        }
        if !written && !std::mem::replace(&mut self.waiting, true) {
            self.want(Effect::Wait);
        }
    }

    /// Tells all sections something, after what they are being told.
    pub fn raise(&mut self, message: Message) {
        self.raised.push_back(message);
    }

    /// Replaces the settings as a whole.
    pub fn settle(&mut self, settings: Settings) {
        self.settings = settings;
        self.invalid.clear();
        self.raise(Message::Settled);
    }

    /// Takes what a control says. What it cannot mean is said in the status line, and not taken.
    fn control(&mut self, id: &'static str, text: &str) {
        // Another model has to be fetched first.
        let Some(control) = controls::of(id).filter(|_| id != "model") else { return };
        let limits = self.limits();
        let mut settings = self.settings.clone();
        let read = control.read(text, limits.timesteps, &mut settings).and_then(|()| {
            let how = std::mem::replace(&mut settings.sampling, self.settings.sampling);
            settings.choose(how, &self.suggested());
            settings.keep_share(&self.settings, limits.timesteps);
            let moved = settings.fit(limits);
            if moved.is_empty() { Ok(()) } else { Err(moved.join("; ")) }
        });
        self.invalid.retain(|(other, _)| *other != id);
        let mut before = None;
        match read {
            Ok(()) => before = Some(std::mem::replace(&mut self.settings, settings)),
            Err(problem) => {
                let place = |id| CONTROLS.iter().position(|control| control.id == Some(id));
                let behind = self.invalid.iter().position(|(other, _)| place(other) > place(id));
                self.invalid.insert(behind.unwrap_or(self.invalid.len()), (id, problem));
            }
        }
        if !self.invalid.is_empty() {
            self.name_invalid();
        } else if self.status.failed && !self.running {
            self.say("Ready.");
        }
        // What another one says wrongly keeps nothing from changing.
        if let Some(before) = before {
            self.raise(Message::Changed(id));
            self.changed_by(id, before, true);
        }
    }

    /// Says what the controls cannot mean.
    pub fn name_invalid(&mut self) {
        let problems: Vec<&str> = self.invalid.iter().map(|(_, problem)| problem.as_str()).collect();
        self.fail(&problems.join("; "));
    }
}

/// Every section: its state in the page, its turn at every message, its view. A further one is one more line.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// The page.
        #[derive(Debug)]
        pub struct App {
            /// What all sections share.
            pub common: Common,
            $($(#[$doc])* pub $name: $name::State,)+
        }

        impl App {
            /// The page before it knows anything, on such a machine.
            pub fn new(on: Machine) -> Self {
                Self { common: Common::new(on), $($name: $name::State::default(),)+ }
            }

            /// Hands a message round.
            fn tell(&mut self, message: &Message) {
                $($name::update(&mut self.$name, message, &mut self.common);)+
            }
        }

        /// What each section has built.
        #[cfg(target_arch = "wasm32")]
        #[derive(Default)]
        pub struct Views {
            $($name: $name::view::View,)+
        }

        #[cfg(target_arch = "wasm32")]
        impl Views {
            /// Shows what the page has become.
            pub fn show(&mut self, app: &App) {
                $(self.$name.show(app);)+
            }
        }
    };
}

sections! {
    /// The model and the engine.
    machine,
    /// 1: a picture and its noise.
    noise,
    /// 2: a run.
    generate,
    /// 3: the check.
    check,
}

impl App {
    /// Takes in what has happened by a time in milliseconds. Answers with what is to be done.
    pub fn update(&mut self, message: Message, now: f64) -> Vec<Effect> {
        self.common.now = now;
        self.common.raise(message);
        while let Some(message) = self.common.raised.pop_front() {
            match message {
                Message::Worker(worker, said, tensors) => self.common.pool.hear(worker, said, tensors),
                Message::WorkerGone(worker, why) => self.common.pool.lose(worker, &why),
                Message::NoGpu => self.common.pool.has_no_gpu(),
                // A model is chosen once it is there.
                Message::Committed("model") => {}
                Message::Committed(control) => {
                    if self.common.history.commit(control, now) {
                        self.common.bring_up();
                    }
                }
                Message::Due => {
                    self.common.waiting = false;
                    self.common.bring_up();
                }
                message => {
                    match &message {
                        Message::Control(id, text) => self.common.control(id, text),
                        Message::Narrow(narrow) => self.common.tiles = if *narrow { NARROW } else { TILES },
                        Message::Point(pixel) => self.common.lens = *pixel,
                        _ => {}
                    }
                    self.tell(&message);
                }
            }
            let (orders, told) = self.common.pool.take();
            self.common.effects.extend(orders.into_iter().map(Effect::Pool));
            self.common.raised.extend(told.into_iter().map(Message::Told));
        }
        self.common.remember();
        std::mem::take(&mut self.common.effects)
    }
}
