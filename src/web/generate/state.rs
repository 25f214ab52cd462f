use crate::tensor::Shape;
use crate::web::changes::Request;
use crate::web::job::Ticket;
use crate::web::sheet::{Sheet, pixel_bytes};

/// Tiles of a film.
pub const TILES: usize = 11;
/// Pixels of recorded frames are kept up to about this many bytes; of longer runs only every k-th step.
const FILM_BYTES: usize = 64 << 20;

/// The lines of an algorithm that can be lit.
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

/// What the section shows.
#[derive(Debug, Default)]
pub struct State {
    /// The run in progress, or the last one.
    pub run: Option<Run>,
    /// The pictures; nothing before a model is known.
    pub grid: Option<Sheet>,
    /// What was asked for, in words.
    pub caption: Option<String>,
    /// The run's film can be looked at.
    pub film: Option<Film>,
    /// 0…1.
    pub progress: f64,
    /// Where the run is, in words.
    pub now: String,
    /// The algorithm, and the line that is lit.
    pub algorithm: Vec<(bool, String)>,
    /// That line.
    pub lit: Option<Line>,
    /// What of it the fast student was not made for, if that is wanted: then the teacher generates.
    pub not_for: Option<String>,
    /// What the pictures shown, or being made, are made with, and what the controls say, where they differ.
    pub changes: Option<[String; 2]>,
}

/// The film of a run that is over.
#[derive(Debug)]
pub struct Film {
    /// What its images are called.
    pub images: Vec<String>,
    /// The one that is shown.
    pub of: usize,
    /// It at eleven moments.
    pub tiles: Sheet,
    /// The moment that the grid shows, 0…`last`.
    pub at: usize,
    /// The last one.
    pub last: usize,
    /// That moment, in words.
    pub caption: String,
}

impl Film {
    /// The tile that is nearest to the moment shown.
    pub fn tile(&self) -> usize {
        (self.at * (TILES - 1) + self.last / 2).checked_div(self.last).unwrap_or(0)
    }
}

/// A run, in progress or over.
#[derive(Debug)]
pub struct Run {
    /// Its number, while it is in progress.
    pub ticket: Option<Ticket>,
    /// What was asked for.
    pub request: Request,
    /// Steps done.
    pub step: usize,
    /// Milliseconds of all steps together.
    pub computed: f64,
    /// When it began.
    pub began: f64,
    /// The pixels of the steps that are kept.
    pub record: Vec<Recorded>,
}

/// The pixels after a step.
#[derive(Debug)]
pub struct Recorded {
    /// Steps done.
    pub step: usize,
    /// The timestep the network was asked at; none for the noise at the start.
    pub timestep: Option<usize>,
    /// Of all images.
    pub pixels: Sheet,
}

impl Run {
    /// Images.
    pub fn count(&self) -> usize {
        self.request.settings.classes.len()
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.request.settings.sampler.steps
    }

    /// Whether it is in progress.
    pub fn active(&self) -> bool {
        self.ticket.is_some()
    }

    /// Keeps a step, if it is one of those that are kept.
    pub fn keep(&mut self, step: usize, timestep: usize, pixels: &Sheet) {
        let every = (self.steps() * pixels.bytes.len()).div_ceil(FILM_BYTES).max(1);
        if step.is_multiple_of(every) || step == self.steps() {
            self.record.push(Recorded { step, timestep: Some(timestep), pixels: pixels.clone() });
        }
    }

    /// The run of one image at eleven moments.
    pub fn tiles(&self, of: usize, shape: Shape) -> Sheet {
        let image = shape.pixels() * pixel_bytes(shape);
        let last = self.record.len() - 1;
        let tile = |i: usize| {
            let at = (i * last + (TILES - 1) / 2) / (TILES - 1);
            self.record[at].pixels.bytes.get(of * image..(of + 1) * image).unwrap_or_default()
        };
        Sheet::new((0..TILES).flat_map(tile).copied().collect(), shape, TILES)
    }
}
