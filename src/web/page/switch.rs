//! From one model to another: the list, the download, and what becomes of the controls.

use super::model::{self, Model};
use super::picture::{self, Samples};
use super::{App, Shared, State, dom, engine, paint};
use crate::web::models::Entry;
use web_sys::{File, HtmlElement, HtmlProgressElement};

/// Where the models lie: index.html says it.
fn base() -> String {
    dom::document().document_element().and_then(|html| html.get_attribute("data-weights")).unwrap_or_default()
}

/// Fetches the list of models, then the one that the link names.
pub async fn begin(app: Shared) {
    let list = model::list(&base()).await;
    let name = app.borrow_mut().offer(list);
    if let Some(name) = name {
        load(app, name).await;
    }
}

/// Tries once more what could not be loaded.
pub async fn retry(app: Shared) {
    // The button goes; who pressed it stays beside it.
    let _ = dom::by_id::<HtmlElement>("generate").focus();
    let missing = app.borrow_mut().missing.take();
    app.borrow_mut().status("Loading the network …");
    match missing {
        Some(name) if !name.is_empty() => load(app, name).await,
        _ => begin(app).await,
    }
}

/// Fetches a model and fits the page to it. Until it is there the present one stays; of two wishes the later one counts. The first
/// one is shown, as far as it goes, before its weights are there.
pub async fn load(app: Shared, name: String) {
    let Some(entry) = app.borrow_mut().expect(&name) else { return };
    let title = entry.title.clone();
    let progress = {
        let (app, name) = (app.clone(), name.clone());
        move |loaded, total| {
            if app.borrow().loading.as_ref() == Some(&name) {
                show_download(&title, loaded, total);
            }
        }
    };
    let fetched = Model::fetch(&base(), entry.clone()).await;
    let mut samples = Some(Samples::of(&entry).await);
    let whole = match fetched {
        Ok(model) => {
            foresee(&app, &model, &mut samples);
            model.fetch_weights(&base(), progress).await
        }
        Err(message) => Err(message),
    };
    let Some(file) = arrive(&app, &name, whole, samples) else { return };
    let shape = app.borrow().shape;
    if let Ok(x_0) = picture::open(&file, shape).await {
        app.borrow_mut().show_own(x_0);
    }
}

/// Fits the page to a model without its weights, if there is none yet with them to stay with.
fn foresee(app: &Shared, model: &Model, samples: &mut Option<Result<Samples, String>>) {
    let mut page = app.borrow_mut();
    if !page.has_weights()
        && page.loading.as_ref() == Some(&model.entry.name)
        && let Some(samples) = samples.take()
    {
        page.adopt(model.clone(), samples);
        page.changed(app);
    }
}

/// Fits the page to what was fetched, unless it was shown before. Returns the visitor's own picture, if it is the one to be shown.
fn arrive(
    app: &Shared,
    name: &str,
    fetched: Result<Model, String>,
    samples: Option<Result<Samples, String>>,
) -> Option<File> {
    let mut page = app.borrow_mut();
    if page.loading.as_deref() != Some(name) {
        return None;
    }
    page.loading = None;
    hide_download();
    let model = match fetched {
        Ok(model) => model,
        Err(message) => {
            page.cannot_load(name, &message);
            return None;
        }
    };
    let first = !page.has_weights();
    match samples {
        Some(samples) => page.adopt(model, samples),
        None => page.model = Some(model),
    }
    page.show_check();
    page.changed(app);
    let own = page.own.clone().filter(|_| page.state.picture.is_none());
    drop(page);
    if first {
        engine::open(app);
    } else {
        engine::renew(app);
    }
    own
}

impl App {
    /// Offers the models of the list. Returns the name of the one to load.
    fn offer(&mut self, list: Result<Vec<Entry>, String>) -> Option<String> {
        match list {
            Ok(models) => {
                let select = dom::select("model");
                select.set_text_content(None);
                models.iter().for_each(|entry| dom::add_option(&select, &entry.name, &entry.title));
                self.models = models;
                if !self.models.iter().any(|entry| entry.name == self.state.model) {
                    let (text, present) = self.unknown_model(&self.state.model);
                    self.state.model = present;
                    self.problems.push(text);
                    self.error(&self.problems.join("; "));
                }
                select.set_value(&self.state.model);
                Some(self.state.model.clone())
            }
            Err(message) => {
                self.cannot_load("", &message);
                None
            }
        }
    }

    /// From now on a model is expected, if there is one of that name.
    fn expect(&mut self, name: &str) -> Option<Entry> {
        let entry = self.models.iter().find(|entry| entry.name == name).cloned()?;
        self.expected.take_if(|state| state.model != name);
        self.loading = Some(name.to_owned());
        self.missing = None;
        dom::set_shown("retry", false);
        self.renew_buttons();
        show_download(&entry.title, 0.0, None);
        Some(entry)
    }
}

/// Bytes for people.
fn megabytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1e6)
}

fn show_download(title: &str, loaded: f64, total: Option<f64>) {
    dom::set_shown("tagline", false);
    dom::set_shown("download-line", true);
    let of = total.map_or(String::new(), |total| format!(" of {}", megabytes(total)));
    dom::set_text("download-text", &format!("Loading {title}: {}{of} MB", megabytes(loaded)));
    let bar: HtmlProgressElement = dom::by_id("download");
    match total {
        Some(total) => bar.set_value(loaded / total),
        // Without a value the bar says that something happens, but not how far it has come.
        None => drop(bar.remove_attribute("value")),
    }
}

fn hide_download() {
    dom::set_shown("download-line", false);
    dom::set_shown("tagline", true);
}

impl App {
    /// Says that there is no such model, and which is taken for it.
    pub fn unknown_model(&self, name: &str) -> (String, String) {
        let names: Vec<&str> = self.models.iter().map(|entry| entry.name.as_str()).collect();
        let present = self.model.as_ref().map(|model| &model.entry).or(self.models.first());
        let present = present.map_or(State::default().model, |entry| entry.name.clone());
        (format!("there is no model “{name}” here, only {}", names.join(", ")), present)
    }

    /// The model that is coming is wanted no more.
    pub fn cancel_loading(&mut self) {
        self.loading = None;
        self.expected = None;
        hide_download();
        self.renew_buttons();
    }

    /// Stays with the model that is there, and offers to try again.
    fn cannot_load(&mut self, name: &str, message: &str) {
        self.missing = Some(name.to_owned());
        self.expected = None;
        if let Some(model) = &self.model {
            self.state.model = model.entry.name.clone();
            dom::select("model").set_value(&self.state.model);
        }
        self.renew_buttons();
        dom::set_shown("retry", true);
        self.error(message);
    }

    /// Fits the page to a model. What it does not allow is moved to what it does: an error if a link asked for it, a remark if
    /// another model allowed it.
    fn adopt(&mut self, model: Model, samples: Result<Samples, String>) {
        let first = self.model.is_none();
        if !first {
            self.failed = false;
            self.forget_run();
        }
        let linked = self.expected.take();
        let by_link = first || linked.is_some();
        self.state = linked.unwrap_or_else(|| self.state.clone());
        let (samples, problem) = match samples {
            Ok(samples) => (samples, None),
            Err(problem) => (Samples::digits(), Some(problem)),
        };
        let credit = model.entry.credit.clone().filter(|_| samples.shape.c() == 3);
        dom::set_shown("credit-digits", credit.is_none());
        dom::set_text("credit", &credit.unwrap_or_default());
        self.samples = samples;
        self.state.follow(&model.sampling());
        let other_shape = model.shape() != self.shape;
        self.shape = model.shape();
        self.state.model = model.entry.name.clone();
        self.model = Some(model);
        let limits = self.limits();
        let moved = self.state.fit(limits);
        self.build_thumbs();
        self.fill_classes();
        for (id, max) in [("t", limits.timesteps), ("steps", limits.timesteps)] {
            dom::input(id).set_max(&max.to_string());
        }
        if other_shape && self.state.picture.is_none() {
            // Until the visitor's own picture is there in this size.
            self.forward.x_0 = self.samples.x_0(0, self.shape);
        }
        for id in ["epsilon-hat", "x0-hat"] {
            paint::clear(id);
        }
        self.show_state();
        self.draw_shares();
        self.show_check();
        match problem {
            Some(problem) => self.error(&format!("{problem}, so digits stand in")),
            None if by_link => {
                let wrong = [std::mem::take(&mut self.problems), moved].concat();
                if !wrong.is_empty() {
                    self.error(&wrong.join("; "));
                }
            }
            None => self.moved = moved,
        }
    }

    /// The visitor's own picture, in the size of this model.
    fn show_own(&mut self, x_0: Vec<f32>) {
        if x_0.len() == self.shape.len() && self.state.picture.is_none() {
            self.forward.x_0 = x_0;
            self.renew_picture();
            self.renew_noise();
        }
    }
}
