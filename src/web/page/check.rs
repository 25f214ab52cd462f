//! Section 3: is what this machine computes right, and how fast is it? In a worker of its own, one engine after the other.

use super::link::{Link, News};
use super::reverse::milliseconds;
use super::{App, Shared, dom};
use crate::engine::Kind;
use crate::selftest::{OpReport, TOLERANCE, Timing};
use crate::web::protocol::{CheckNews, Command, Event};
use serde::Serialize;
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Element, HtmlProgressElement};

/// The engines in the order of their turns.
const ENGINES: [Kind; 2] = [Kind::Cpu, Kind::Gpu];
/// What an engine is asked for: to open, to compare its ops, to know ε, to time two predictions.
const PARTS: f64 = 5.0;

/// A check in progress, or what came of the last one.
#[derive(Default)]
pub struct Check {
    link: Option<Link>,
    /// Which engine's turn it is.
    turn: usize,
    /// What the present engine has begun.
    parts: u32,
    config: Option<String>,
    report: Report,
}

/// What came of a check, and the content of `check-json`.
#[derive(Default, Serialize)]
struct Report {
    /// The net that was timed.
    net: String,
    /// Whether every result of every engine that is there is right.
    passed: bool,
    /// The largest error that passes.
    tolerance: f64,
    /// Processor cores, as the browser counts them.
    cores: f64,
    browser: String,
    engines: Vec<EngineReport>,
    ops: Vec<Of<OpReport>>,
    times: Vec<Of<Timing>>,
    left_out: Vec<Of<LeftOut>>,
}

/// An engine, and why it could not be checked.
#[derive(Serialize)]
struct EngineReport {
    engine: Kind,
    adapter: Option<String>,
    software: bool,
    ops_ms: Option<f64>,
    memory_bytes: Option<f64>,
    error: Option<String>,
}

/// Something about an engine.
#[derive(Serialize)]
struct Of<T> {
    engine: Kind,
    #[serde(flatten)]
    what: T,
}

/// A prediction that would have taken too long.
#[derive(Serialize)]
struct LeftOut {
    batch: usize,
    estimated_ms: f64,
}

impl Report {
    /// An engine that failed after it had opened is a failure; one that is not there is none.
    fn judge(&mut self) {
        self.passed = !self.ops.is_empty()
            && self.engines.iter().all(|of| of.error.is_none() || of.adapter.is_none())
            && self.ops.iter().all(|op| op.what.passed)
            && self.times.iter().all(|time| time.what.passed);
    }

    fn ops_of(&self, engine: Kind) -> Vec<&OpReport> {
        self.ops.iter().filter(|op| op.engine == engine).map(|op| &op.what).collect()
    }
}

/// Begins a check, in place of one in progress.
pub fn start(app: &Shared) {
    let mut page = app.borrow_mut();
    let original = dom::select("check-net").value() == "ddpm";
    let Some(model) = &page.model else { return };
    let config = model.config_text.clone();
    let net = if original { "google/ddpm-cifar10-32".to_owned() } else { model.entry.name.clone() };
    let navigator = dom::window().navigator();
    page.check.report = Report {
        net,
        tolerance: TOLERANCE,
        cores: navigator.hardware_concurrency(),
        browser: navigator.user_agent().unwrap_or_default(),
        ..Report::default()
    };
    page.check.config = (!original).then_some(config);
    page.check.turn = 0;
    dom::set_text("check-json", "");
    page.next_engine(app);
    page.show_check();
}

/// What the worker of this turn says; each has a worker of its own, so that none inherits another's memory.
fn hear(app: &Shared, turn: usize, news: News) {
    let mut page = app.borrow_mut();
    if page.check.turn != turn || page.check.link.is_none() {
        return;
    }
    let news = match news {
        News::Event(Event::Ready, _) => {
            let command = Command::Check { engine: ENGINES[turn], config: page.check.config.clone() };
            page.check.link.iter().for_each(|link| link.send(&command, None));
            return;
        }
        News::Event(Event::Check(news), _) => news,
        News::Event(Event::Panicked { message }, _) | News::Gone(message) => CheckNews::Failed { message },
        News::Event(..) => return,
    };
    if page.take(news) {
        page.check.turn += 1;
        page.next_engine(app);
    }
    page.show_check();
}

impl App {
    /// Whether a check is in progress.
    fn checking(&self) -> bool {
        self.check.link.is_some()
    }

    /// Gives the next engine its turn, or ends the check.
    fn next_engine(&mut self, app: &Shared) {
        let turn = self.check.turn;
        let old = self.check.link.take();
        // It may be the one whose message is being handled: let that end first.
        spawn_local(async move { drop(old) });
        self.check.parts = 0;
        let Some(&engine) = ENGINES.get(turn) else { return self.finish_check() };
        let row =
            EngineReport { engine, adapter: None, software: false, ops_ms: None, memory_bytes: None, error: None };
        self.check.report.engines.push(row);
        let weak = Rc::downgrade(app);
        let receive: Rc<dyn Fn(News)> = Rc::new(move |news| {
            if let Some(app) = weak.upgrade() {
                hear(&app, turn, news);
            }
        });
        match Link::start(receive) {
            Ok(link) => self.check.link = Some(link),
            Err(message) => self.check_failed(&message),
        }
    }

    /// Takes in what the present engine has come to; true when it has ended.
    fn take(&mut self, news: CheckNews) -> bool {
        let check = &mut self.check;
        let Some(&engine) = ENGINES.get(check.turn) else { return true };
        let Some(row) = check.report.engines.last_mut() else { return true };
        match news {
            CheckNews::Opened { adapter, software } => (row.adapter, row.software) = (Some(adapter), software),
            CheckNews::Begins { what } => {
                check.parts += 1;
                self.check_status(&format!("Checking {}: {what} …", engine.title()));
            }
            CheckNews::Ops { ops, milliseconds } => {
                row.ops_ms = Some(milliseconds);
                check.report.ops.extend(ops.into_iter().map(|what| Of { engine, what }));
            }
            CheckNews::Timed(what) => check.report.times.push(Of { engine, what }),
            CheckNews::Skipped { batch, estimate } => {
                check.report.left_out.push(Of { engine, what: LeftOut { batch, estimated_ms: estimate } });
            }
            CheckNews::Done { memory } => {
                row.memory_bytes = Some(memory);
                return true;
            }
            CheckNews::Failed { message } => {
                row.error = Some(message);
                return true;
            }
        }
        false
    }

    /// Ends a check at the visitor's wish.
    pub fn end_check(&mut self) {
        if self.check.link.take().is_some() {
            self.check_status("The check was ended before it was complete.");
            self.show_check();
        }
    }

    fn finish_check(&mut self) {
        let report = &mut self.check.report;
        report.judge();
        let json = serde_json::to_string_pretty(report).unwrap_or_default();
        dom::set_text("check-json", &json);
        let wrong = report
            .ops
            .iter()
            .filter(|op| !op.what.passed)
            .map(|op| format!("{} on {}", op.what.name, op.engine.title()));
        let times = report.times.iter().filter(|time| !time.what.passed);
        let wrong: Vec<String> = wrong.chain(times.map(|time| format!("ε on {}", time.engine.title()))).collect();
        let stopped = report.engines.iter().find(|of| of.error.is_some() && of.adapter.is_some());
        if let Some(of) = stopped {
            let message = of.error.as_deref().unwrap_or_default();
            let text = format!("{} stopped in the middle of the check: {message}", of.engine.title());
            self.check_failed(&text);
        } else if wrong.is_empty() {
            self.check_status("Done: everything that was checked is right.");
        } else {
            let text = format!("not all is right: {}", wrong.join(", "));
            self.check_failed(&text);
        }
    }

    /// Writes what the check does, beside it: the page's own line tells of pictures.
    fn check_status(&self, text: &str) {
        dom::set_text("check-status", text);
        dom::by_id::<Element>("check-status").set_class_name("status");
    }

    fn check_failed(&self, message: &str) {
        self.check_status(&format!("Error: {}.", message.trim_end_matches('.')));
        dom::by_id::<Element>("check-status").set_class_name("status failed");
    }

    /// Tables, buttons and progress.
    pub fn show_check(&self) {
        let (report, checking) = (&self.check.report, self.checking());
        dom::set_enabled("check-start", !checking && self.has_weights());
        dom::set_enabled("check-end", checking);
        dom::set_shown("check-progress", checking);
        let done = self.check.turn as f64 + f64::from(self.check.parts.saturating_sub(1)) / PARTS;
        dom::by_id::<HtmlProgressElement>("check-progress").set_value(done / ENGINES.len() as f64);
        let some = !report.ops.is_empty() || report.engines.iter().any(|of| of.error.is_some());
        dom::set_shown("check-results", some);
        dom::set_shown("check-details", !report.ops.is_empty());
        dom::set_shown("check-machine", !checking && !report.ops.is_empty());
        let rows: Element = dom::by_id("check-rows");
        rows.set_text_content(None);
        report.engines.iter().for_each(|of| show_engine(&rows, report, of));
        show_ops(report);
    }
}

/// The rows of one engine.
fn show_engine(rows: &Element, report: &Report, of: &EngineReport) {
    let mut line = of.engine.title().to_owned();
    if of.software {
        line += ", software";
    }
    if let Some(error) = &of.error {
        let row = add_row(rows, &[("every kernel and ε", ""), (&line, "")]);
        let cell: Element = dom::create("td");
        dom::set_attribute(&cell, "colspan", "3");
        let there = of.adapter.is_some();
        cell.set_class_name(if there { "bad" } else { "soft" });
        cell.set_text_content(Some(&if there { format!("stopped: {error}") } else { error.clone() }));
        let _ = row.append_child(&cell);
    }
    let ops = report.ops_of(of.engine);
    if let (false, Some(ms)) = (ops.is_empty(), of.ops_ms) {
        let passed = ops.iter().all(|op| op.passed);
        let worst = ops.iter().try_fold(0.0, |worst: f64, op| op.worst_error.map(|error| worst.max(error)));
        let work = format!("{} kernels", ops.len());
        add_row(rows, &[(&work, ""), (&line, ""), verdict(passed), (&error(worst), "n"), (&milliseconds(ms), "n")]);
    }
    let images = |batch: usize| format!("ε of {batch} image{}, {}", if batch == 1 { "" } else { "s" }, report.net);
    for Timing { batch, ms, worst_error, passed, .. } in
        report.times.iter().filter(|t| t.engine == of.engine).map(|t| &t.what)
    {
        let (work, compared) = (images(*batch), worst_error.is_some() || !passed);
        let worst = if compared { error(*worst_error) } else { "not compared".to_owned() };
        let result = if compared { verdict(*passed) } else { ("finite", "soft") };
        add_row(rows, &[(&work, ""), (&line, ""), result, (&worst, "n"), (&milliseconds(*ms), "n")]);
    }
    for LeftOut { batch, estimated_ms } in report.left_out.iter().filter(|t| t.engine == of.engine).map(|t| &t.what) {
        let time = format!("about {}", milliseconds(*estimated_ms));
        add_row(rows, &[(&images(*batch), ""), (&line, ""), ("left out", "soft"), ("", "n"), (&time, "n")]);
    }
}

/// Every kernel with its error on every engine that is there.
fn show_ops(report: &Report) {
    let there: Vec<&EngineReport> = report.engines.iter().filter(|of| of.ops_ms.is_some()).collect();
    let head: Element = dom::by_id("check-ops-head");
    head.set_text_content(None);
    for title in std::iter::once("Kernel").chain(there.iter().map(|of| of.engine.title())) {
        let cell: Element = dom::create("th");
        dom::set_attribute(&cell, "scope", "col");
        cell.set_text_content(Some(title));
        let _ = head.append_child(&cell);
    }
    let rows: Element = dom::by_id("check-ops");
    rows.set_text_content(None);
    // A GPU has a second kernel for some ops.
    let mut names: Vec<&str> = Vec::new();
    for op in report.ops.iter().map(|op| op.what.name.as_str()) {
        if !names.contains(&op) {
            names.push(op);
        }
    }
    for kernel in names {
        let cells = there.iter().map(|of| {
            let op = report.ops_of(of.engine).into_iter().find(|op| op.name == kernel)?;
            Some((format!("{} · {}", verdict(op.passed).0, error(op.worst_error)), verdict(op.passed).1))
        });
        let cells: Vec<(String, &str)> = cells.map(|cell| cell.unwrap_or_default()).collect();
        let mut row = vec![(kernel, "")];
        row.extend(cells.iter().map(|(text, class)| (text.as_str(), *class)));
        add_row(&rows, &row);
    }
    let machine = report.engines.iter().filter_map(|of| {
        let memory =
            of.memory_bytes.map_or(String::new(), |bytes| format!(", {:.0} MB of the tab’s memory", bytes / 1e6));
        Some(format!("{}: {}{memory}", of.engine.title(), of.adapter.as_ref()?))
    });
    let machine: Vec<String> = machine.collect();
    dom::set_text("check-machine", &format!("{}. {} cores.", machine.join("; "), report.cores));
}

/// A row of texts with their classes, the first a heading.
fn add_row(rows: &Element, cells: &[(&str, &str)]) -> Element {
    let row: Element = dom::create("tr");
    for (i, (text, class)) in cells.iter().enumerate() {
        let cell: Element = dom::create(if i == 0 { "th" } else { "td" });
        if i == 0 {
            dom::set_attribute(&cell, "scope", "row");
        }
        if !class.is_empty() {
            cell.set_class_name(class);
        }
        cell.set_text_content(Some(text));
        let _ = row.append_child(&cell);
    }
    let _ = rows.append_child(&row);
    row
}

/// A word, and the class that colours it.
fn verdict(passed: bool) -> (&'static str, &'static str) {
    if passed { ("pass", "good") } else { ("fail", "bad") }
}

fn error(error: Option<f64>) -> String {
    match error {
        None => "not a number".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(error) => format!("{error:.0e}"),
    }
}
