//! The command line: one file per subcommand. Errors end here, as one sentence and an exit code.

/// `eprintln!` that does not mind a closed or full stderr.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod batch;
mod bench;
mod class;
mod dataset;
mod distill;
mod evaluate;
mod export;
mod gradients;
mod grid;
mod label_names;
mod predict;
mod run;
mod sample;
mod train;
mod weights;

use crate::checkpoint::{self, ModelFolder};
use crate::engine::{Choice, Engine, EngineError};
use clap::{Parser, Subcommand};
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Denoising diffusion (Ho et al. 2020) on your own CPU or GPU: train a model, sample from it, look inside it.
#[derive(Parser)]
#[command(name = "noisette", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Args),
    Distill(distill::Args),
    Sample(sample::Args),
    Predict(predict::Args),
    Gradients(gradients::Args),
    Evaluate(evaluate::Args),
    Export(export::Args),
    Bench(bench::Args),
}

/// Anything a command can fail with; only its sentence matters here.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = |()| ExitCode::SUCCESS;
    let result = match cli.command {
        Command::Train(args) => train::run(args),
        Command::Distill(args) => distill::run(args),
        Command::Sample(args) => sample::run(args).map(done),
        Command::Predict(args) => predict::run(args).map(done),
        Command::Gradients(args) => gradients::run(args).map(done),
        Command::Evaluate(args) => evaluate::run(args).map(done),
        Command::Export(args) => export::run(args).map(done),
        Command::Bench(args) => bench::run(args).map(done),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            say!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens an engine and says on stderr which it is.
fn open_engine(choice: Choice) -> Result<Engine, EngineError> {
    let engine = pollster::block_on(Engine::open(choice))?;
    let description = engine.describe();
    let note = description.note.map(|note| format!(", because {note}")).unwrap_or_default();
    say!("engine: {} ({}){note}", description.engine, description.adapter);
    Ok(engine)
}

/// A number of things in words: "1 step", "2 steps".
fn counted<T: Display + PartialEq + From<u8>>(count: T, what: &str) -> String {
    let plural = if count == T::from(1) { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A name in a sentence, in quotes where one would not see where it begins or ends.
fn shown(name: &str) -> String {
    let is_plain = !name.is_empty() && name.trim() == name && !name.contains(|c: char| c == ',' || c.is_control());
    if is_plain { name.to_owned() } else { format!("{name:?}") }
}

/// The first of some names, at most so many, in a row.
fn listed<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let shown = names.iter().take(most).map(|name| shown(name.as_ref())).collect::<Vec<_>>().join(", ");
    if names.len() > most { shown + ", …" } else { shown }
}

/// The same error with the file that it is about.
fn in_file(path: &Path, error: Failure) -> Failure {
    format!("{}: {error}", path.display()).into()
}

/// Refuses a result that would replace an input of its command: a file, or a file of a model's folder.
fn keep_inputs(inputs: &[&Path], out: &Path) -> Result<(), Failure> {
    // What is not there yet is nobody's input, and a folder is refused elsewhere.
    let Some(target) = std::fs::canonicalize(out).ok().filter(|target| target.is_file()) else { return Ok(()) };
    // Those of a run, too.
    let is_of_model = |end: &OsStr| ["json", "jsonl", "safetensors", "toml"].iter().any(|kind| end == *kind);
    let model_file = target.extension().is_some_and(is_of_model);
    // A pipeline's files lie deeper, and beside.
    let is_read = |input: &Path| ModelFolder::find(input).is_ok_and(|model| model.reads(&target));
    let is_in = |input: &Path| {
        let input = std::fs::canonicalize(input).ok();
        input.is_some_and(|input| target == input || (model_file && target.parent() == Some(&input)))
    };
    if inputs.iter().any(|input| is_in(input) || (model_file && is_read(input))) {
        return Err(format!("{} is what this works from: write the result elsewhere", out.display()).into());
    }
    Ok(())
}

/// Finds out before the work whether its result can be written, and that it replaces none of the inputs.
fn check_output(inputs: &[&Path], out: &Path) -> Result<(), Failure> {
    if out.file_name().is_none() || out.to_string_lossy().ends_with(std::path::is_separator) {
        return Err(format!("{} is the name of a folder, expected that of a file", out.display()).into());
    }
    keep_inputs(inputs, out)?;
    Ok(checkpoint::check_place(out)?)
}

/// Replaces a file, making its folder if need be; on failure what was there is still there.
fn write_file(path: &Path, contents: Vec<u8>) -> Result<(), Failure> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| format!("{} is not the name of a file", path.display()))?;
    checkpoint::replace_files(dir, &[(name.to_string_lossy().into_owned(), contents)])?;
    Ok(())
}

/// Writes results to stdout.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
