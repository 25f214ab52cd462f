use super::state::{EngineReport, LeftOut, Report};
use crate::selftest::{Timing, Work};
use crate::web::app::App;
use crate::web::page::dom;
use crate::web::{milliseconds, plural};
use web_sys::{Element, HtmlProgressElement};

/// What the section has built.
#[derive(Default)]
pub struct View {
    /// The state of the report whose tables stand there.
    shown: dom::Last<(u32, bool)>,
}

impl View {
    /// Shows tables, buttons and progress.
    pub fn show(&mut self, app: &App) {
        let (state, cx) = (&app.check, &app.common);
        let (report, checking) = (&state.report, state.ticket.is_some());
        dom::set_enabled("check-start", !checking && cx.has_weights);
        dom::set_enabled("check-end", checking);
        if !self.shown.differs((state.revision, checking)) {
            return;
        }
        dom::set_text("check-status", &state.status);
        dom::set_class("check-status", "failed", state.failed);
        dom::set_text("check-json", &state.json);
        dom::set_shown("check-progress", checking);
        dom::by_id::<HtmlProgressElement>("check-progress").set_value(state.progress());
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
        let row = add_row(rows, &[("every kernel, ε and a training step", ""), (&line, "")]);
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
    let title = |work: Work, batch: usize| {
        let what = if work == Work::Predict { "ε" } else { "a training step" };
        format!("{what} of {}, {}", plural(batch, "image"), report.net)
    };
    for Timing { work, batch, ms, worst_error, passed, .. } in
        report.times.iter().filter(|t| t.engine == of.engine).map(|t| &t.what)
    {
        let (work, compared) = (title(*work, *batch), worst_error.is_some() || !passed);
        let worst = if compared { error(*worst_error) } else { "not compared".to_owned() };
        let result = if compared { verdict(*passed) } else { ("finite", "soft") };
        add_row(rows, &[(&work, ""), (&line, ""), result, (&worst, "n"), (&milliseconds(*ms), "n")]);
    }
    for out in report.left_out.iter().filter(|t| t.engine == of.engine).map(|t| &t.what) {
        let LeftOut { work, batch, estimated_ms, least_bytes } = *out;
        let bound = if work == Work::Predict { "about" } else { "at least" };
        let time = format!("{bound} {}", milliseconds(estimated_ms));
        let memory = least_bytes.map_or(String::new(), |bytes| format!(": {:.0} MB at least", bytes / 1e6));
        let result = format!("left out{memory}");
        add_row(rows, &[(&title(work, batch), ""), (&line, ""), (&result, "soft"), ("", "n"), (&time, "n")]);
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
