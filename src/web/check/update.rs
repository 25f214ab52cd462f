use super::state::{ENGINES, EngineReport, LeftOut, Of, Report, State};
use crate::selftest::{TOLERANCE, Work};
use crate::web::app::{Common, Message};
use crate::web::job::{CheckNews, Job, News};
use crate::web::pool::Told;
use crate::web::settings::TimedNet;

/// Takes in what has happened.
pub fn update(state: &mut State, message: &Message, cx: &mut Common) {
    let revision = state.revision + 1;
    match message {
        Message::StartCheck(browser) if state.ticket.is_none() && cx.has_weights => {
            let Some(model) = &cx.model else { return };
            let net = match cx.settings.timed_net {
                TimedNet::Model => model.entry.name.clone(),
                TimedNet::Ddpm => "google/ddpm-cifar10-32".to_owned(),
            };
            let (cores, browser) = (cx.on.cores, browser.clone());
            let report = Report { net, tolerance: TOLERANCE, cores, browser, ..Report::default() };
            *state = State { report, ..State::default() };
            next_engine(state, cx);
        }
        Message::EndCheck => {
            let Some(ticket) = state.ticket.take() else { return };
            cx.pool.end(ticket);
            say(state, "The check was ended before it was complete.");
        }
        Message::Told(Told::News(ticket, news, _)) if state.ticket == Some(*ticket) => match news {
            News::Check(news) => take(state, news),
            News::Failed { message } => {
                state.report.engines.iter_mut().next_back().into_iter().for_each(|of| of.error = Some(message.clone()));
                turn_ends(state, cx);
            }
            News::Done => turn_ends(state, cx),
            _ => return,
        },
        _ => return,
    }
    state.revision = revision;
}

fn turn_ends(state: &mut State, cx: &mut Common) {
    state.turn += 1;
    next_engine(state, cx);
}

/// Gives the next engine its turn, in a worker of its own, so that none inherits another's memory; or ends the check.
fn next_engine(state: &mut State, cx: &mut Common) {
    state.parts = 0;
    let Some(&engine) = ENGINES.get(state.turn) else {
        state.ticket = None;
        return finish(state);
    };
    let row = EngineReport { engine, adapter: None, software: false, ops_ms: None, memory_bytes: None, error: None };
    state.report.engines.push(row);
    let config = cx.model.as_ref().map(|model| model.config_text.clone());
    let config = config.filter(|_| cx.settings.timed_net == TimedNet::Model);
    state.ticket = Some(cx.pool.begin(Job::Check { engine, config }, Vec::new()));
}

/// Takes in what the present engine has come to.
fn take(state: &mut State, news: &CheckNews) {
    let report = &mut state.report;
    let Some(row) = report.engines.last_mut() else { return };
    let engine = row.engine;
    match news.clone() {
        CheckNews::Opened { adapter, software } => (row.adapter, row.software) = (Some(adapter), software),
        CheckNews::Begins { what } => {
            state.parts += 1;
            say(state, &format!("Checking {}: {what} …", engine.title()));
        }
        CheckNews::Ops { ops, milliseconds } => {
            row.ops_ms = Some(milliseconds);
            report.ops.extend(ops.into_iter().map(|what| Of { engine, what }));
        }
        CheckNews::Timed(what) => report.times.push(Of { engine, what }),
        CheckNews::Skipped { work, batch, estimate, least_bytes } => {
            report.left_out.push(Of { engine, what: LeftOut { work, batch, estimated_ms: estimate, least_bytes } });
        }
        CheckNews::Memory(bytes) => row.memory_bytes = Some(bytes),
    }
}

fn finish(state: &mut State) {
    let report = &mut state.report;
    report.judge();
    state.json = serde_json::to_string_pretty(report).unwrap_or_default();
    let ops = report.ops.iter().filter(|op| !op.what.passed);
    let wrong = ops.map(|op| format!("{} on {}", op.what.name, op.engine.title()));
    let times = report.times.iter().filter(|time| !time.what.passed);
    let name = |work: Work| if work == Work::Predict { "ε" } else { "the training step" };
    let times = times.map(|time| format!("{} on {}", name(time.what.work), time.engine.title()));
    let wrong: Vec<String> = wrong.chain(times).collect();
    let stopped = report.engines.iter().find(|of| of.error.is_some() && of.adapter.is_some());
    if let Some(of) = stopped {
        let message = of.error.as_deref().unwrap_or_default();
        let text = format!("{} stopped in the middle of the check: {message}", of.engine.title());
        fail(state, &text);
    } else if wrong.is_empty() {
        say(state, "Done: everything that was checked is right.");
    } else {
        let text = format!("not all is right: {}", wrong.join(", "));
        fail(state, &text);
    }
}

/// Says what the check does, beside it: the page's own line tells of pictures.
fn say(state: &mut State, text: &str) {
    (state.status, state.failed) = (text.to_owned(), false);
}

fn fail(state: &mut State, message: &str) {
    (state.status, state.failed) = (format!("Error: {}.", message.trim_end_matches('.')), true);
}
