//! The fast student beside a model: fetched when it is wanted, joined to the model at hand, given up with a sentence.

use super::state::{Download, State, Student};
use crate::web::app::{Common, Effect, Message};
use crate::web::models::Entry;

/// Takes in what has happened.
pub fn update(state: &mut State, message: &Message, cx: &mut Common) {
    match message {
        // Told whatever else the controls say wrongly.
        Message::Control("fast", _) => want_present(state, cx),
        Message::Changed("fast") => {
            let mut settings = cx.settings.clone();
            settings.follow(&cx.suggested());
            cx.settle(settings);
        }
        Message::Student(of, found) => match (found, state.student.as_mut().filter(|student| student.of == *of)) {
            (Ok(model), Some(student)) => {
                student.model = Some(model.clone());
                join(state, cx);
            }
            (Err(message), Some(_)) => give_up(state, message, cx),
            _ => {}
        },
        Message::Arriving(name, loaded, total) => {
            if let Some(student) = awaited(state, name) {
                (student.download.loaded, student.download.total) = (*loaded, *total);
            }
        }
        Message::Weights(name, bytes) => match (bytes, awaited(state, name)) {
            (Ok(_), Some(student)) => {
                student.whole = true;
                join(state, cx);
            }
            (Err(message), Some(_)) => give_up(state, message, cx),
            _ => {}
        },
        _ => {}
    }
}

/// The student of this name, if it is being fetched.
fn awaited<'a>(state: &'a mut State, name: &str) -> Option<&'a mut Student> {
    state.student.as_mut().filter(|student| student.download.name == name)
}

/// Has the student of a model fetched, if it has one that is wanted and neither there nor coming. Of another model none is coming then.
pub fn want(state: &mut State, entry: &Entry, cx: &mut Common) {
    let wanted = state.expected.as_ref().unwrap_or(&cx.settings).model.fast;
    let present = |cx: &Common, name: &str| cx.model.as_ref().is_some_and(|model| model.entry.name == name);
    if let Some(gone) = state.student.take_if(|student| !wanted || student.of != entry.name) {
        // What is known of it is of no use without its weights.
        if present(cx, &gone.of) {
            cx.student = None;
        }
        if state.download.is_none() {
            ready(state, cx);
        }
    }
    let there = cx.student.is_some() && present(cx, &entry.name);
    if !entry.fast || !wanted || there || state.student.is_some() {
        return;
    }
    let title = format!("{}, fast", entry.title);
    if cx.has_weights && !cx.running && state.download.is_none() {
        cx.say(format!("Loading {title} …"));
    }
    let download = Download::new(entry.student(), title);
    state.student = Some(Student { of: entry.name.clone(), download, model: None, asked: false, whole: false });
    cx.want(Effect::FetchStudent(entry.clone()));
}

/// The same, of the model at hand.
pub fn want_present(state: &mut State, cx: &mut Common) {
    if let Some(entry) = cx.model.as_ref().map(|model| model.entry.clone()) {
        want(state, &entry, cx);
    }
}

/// Joins the student to the model at hand, as far as both are there. The model comes first on the line: what it predicts is on the
/// first screen, and both together would be there no sooner.
pub fn join(state: &mut State, cx: &mut Common) {
    let (Some(student), Some(teacher)) = (&mut state.student, &cx.model) else { return };
    if teacher.entry.name != student.of {
        return;
    }
    // The description is kept: a model that is fetched once more takes it again.
    if cx.student.is_none()
        && let Some(model) = student.model.clone()
    {
        if let Err(why) = model.is_student_of(teacher) {
            return give_up(state, &why, cx);
        }
        cx.student = Some(*model);
        let mut settings = cx.settings.clone();
        settings.follow(&cx.suggested());
        cx.settle(settings);
    }
    let Some(student) = &mut state.student else { return };
    if cx.has_weights && cx.student.is_some() && !std::mem::replace(&mut student.asked, true) {
        let entry = cx.model.as_ref().map(|model| model.entry.clone());
        entry.into_iter().for_each(|entry| cx.want(Effect::FetchStudentWeights(entry)));
    }
    if cx.has_weights && state.student.take_if(|student| student.whole).is_some() {
        cx.pool.student();
        ready(state, cx);
    }
}

/// Says that Generate can be pressed, as soon as it can.
pub fn ready(state: &mut State, cx: &mut Common) {
    if cx.pool.opened() && state.student.is_none() && !cx.running && !cx.status.failed {
        let moved = std::mem::take(&mut state.moved);
        cx.say(if moved.is_empty() { "Ready.".to_owned() } else { format!("Ready; {}.", moved.join("; ")) });
    }
}

/// Goes on with the model itself.
pub fn give_up(state: &mut State, why: &str, cx: &mut Common) {
    let of = state.student.take().map(|student| student.of);
    // That of a model that is still to come is in its link.
    let present = cx.model.as_ref().map(|model| model.entry.name.clone());
    if of.is_some() && of != present {
        state.expected.iter_mut().for_each(|settings| settings.model.fast = false);
    }
    cx.student = None;
    let mut settings = cx.settings.clone();
    settings.model.fast = false;
    settings.follow(&cx.suggested());
    cx.settle(settings);
    let why = why.trim_end_matches('.');
    cx.fail(&format!("the fast student cannot be used, so its teacher generates: {why}"));
}
