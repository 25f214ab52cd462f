//! The browser's history: Back takes back the last change of a setting, Forward makes it again. A control that changes its setting
//! makes an entry; as long as it is the same one, held or changed again within a second, it stays in that entry. What nobody set by
//! hand (a seed by chance, what a model suggests, an engine's end) belongs to the entry at hand.

use super::settings::Settings;
use std::collections::VecDeque;

/// Milliseconds in which a control that changes again stays in its entry.
const SAME: f64 = 1000.0;
/// Browsers take so many milliseconds' calls together, and refuse more than a hundred.
const WINDOW: f64 = 30_000.0;
/// Calls in that time: so many of either kind, so many that only follow what an entry has become, and so many of these at once.
const CALLS: [usize; 3] = [90, 50, 25];

/// A call of the browser's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// A new entry; else the present one.
    pub push: bool,
    /// What it holds.
    pub settings: Settings,
}

/// A control that is changing its setting.
#[derive(Debug)]
struct Gesture {
    control: &'static str,
    /// When it last did.
    at: f64,
    /// It has not said yet that this is it: a slider is held, a number is being typed, a model is on its way.
    held: bool,
}

/// What the page knows of the browser's history.
#[derive(Debug, Default)]
pub struct History {
    /// What the present entry holds, unless it is somebody else's link.
    written: Option<Settings>,
    /// What the one before it holds, if that is known.
    below: Option<Settings>,
    gesture: Option<Gesture>,
    /// When the browser's history was called lately.
    calls: VecDeque<f64>,
    writes: Vec<Write>,
}

impl History {
    /// A control has changed the settings, or begun to: then they are the same. It may be `held` still.
    pub fn change(&mut self, (control, before, held): (&'static str, Settings, bool), now: &Settings, at: f64) {
        let goes_on = |held: &Gesture| held.control == control && (held.held || at - held.at < SAME);
        if !self.gesture.as_ref().is_some_and(goes_on) {
            if before == *now && control != "model" {
                return;
            }
            // An entry that its control has taken back to what it was before is as good as none.
            let free = self.below.as_ref() == Some(&before);
            if !free && self.may(CALLS[0], at) {
                if self.written.as_ref().is_some_and(|written| *written != before) {
                    self.write(false, &before, at);
                }
                self.below = Some(before);
                self.write(true, now, at);
            }
        }
        self.gesture = Some(Gesture { control, at, held });
    }

    /// The control says that this is it. Answers whether the entry can follow at once: Back might be pressed at any moment.
    pub fn commit(&mut self, control: &str, at: f64) -> bool {
        self.gesture.iter_mut().filter(|held| held.control == control).for_each(|held| held.held = false);
        self.may(CALLS[2], at)
    }

    /// The browser has gone to another entry; one that only names a room is a new one.
    pub fn follow(&mut self, room_alone: bool) {
        self.below = self.written.take().filter(|_| room_alone);
        self.gesture = None;
    }

    /// Brings the present entry up to what the settings are by now. `false` if it is not there yet: too many calls are refused.
    pub fn bring_up(&mut self, now: &Settings, at: f64) -> bool {
        let due = self.written.as_ref() != Some(now);
        let may = self.may(CALLS[1], at);
        if due && may {
            self.write(false, now, at);
        }
        may || !due
    }

    /// What the browser is to be called for.
    pub fn take(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.writes)
    }

    fn may(&mut self, calls: usize, at: f64) -> bool {
        while self.calls.front().is_some_and(|call| at - call > WINDOW) {
            self.calls.pop_front();
        }
        self.calls.len() < calls
    }

    fn write(&mut self, push: bool, settings: &Settings, at: f64) {
        self.calls.push_back(at);
        self.written = Some(settings.clone());
        self.writes.push(Write { push, settings: settings.clone() });
    }
}
