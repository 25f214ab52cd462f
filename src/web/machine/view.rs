use super::{Badge, Download};
use crate::web::app::App;
use crate::web::models::Entry;
use crate::web::page::dom::{self, Last};
use web_sys::{Element, HtmlProgressElement};

/// What the bar has built.
#[derive(Default)]
pub struct View {
    models: Last<Vec<Entry>>,
    badge: Last<Badge>,
    note: Last<Option<String>>,
    missing: Last<bool>,
    download: Last<Option<Download>>,
    credit: Last<Option<Option<String>>>,
}

impl View {
    /// Shows the model, the engine, and what is the matter with them.
    pub fn show(&mut self, app: &App) {
        let (state, cx) = (&app.machine, &app.common);
        if !state.models.is_empty() && self.models.differs(state.models.clone()) {
            let options = state.models.iter().map(|entry| (entry.name.clone(), entry.title.clone()));
            dom::set_options(&dom::select("model"), options);
        }
        if self.badge.differs(state.badge.clone()) {
            let (text, kind) = state.badge.text();
            let badge: Element = dom::by_id("badge");
            dom::set_text("badge-text", &text);
            dom::set_attribute(&badge, "data-state", kind);
            dom::set_attribute(&badge, "title", &text);
        }
        if self.note.differs(state.note.clone()) {
            dom::set_text("engine-note", state.note.as_deref().unwrap_or_default());
            dom::set_shown("engine-note", state.note.is_some());
        }
        if self.missing.differs(state.missing.is_some()) {
            dom::set_shown("retry", state.missing.is_some());
        }
        if self.download.differs(state.arriving().cloned()) {
            show_download(state.arriving());
        }
        // Whose the pictures are is known with the model.
        let credit = cx.model.as_ref().map(|_| state.credit.clone());
        if self.credit.differs(credit.clone())
            && let Some(credit) = credit
        {
            dom::set_shown("credit-digits", credit.is_none());
            dom::set_text("credit", credit.as_deref().unwrap_or_default());
        }
    }
}

fn show_download(download: Option<&Download>) {
    dom::set_shown("tagline", download.is_none());
    dom::set_shown("download-line", download.is_some());
    let Some(download) = download else { return };
    dom::set_text("download-text", &download.text());
    let bar: HtmlProgressElement = dom::by_id("download");
    match download.total {
        Some(total) => bar.set_value(download.loaded / total),
        // Without a value the bar says that something happens, but not how far it has come.
        None => drop(bar.remove_attribute("value")),
    }
}
