//! The command line: one file per subcommand. Errors end here, as one sentence and an exit code.

mod train;

use crate::engine::{Choice, Engine, EngineError};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Denoising diffusion (Ho et al. 2020) on your own CPU or GPU: train a model, sample from it, look inside it.
#[derive(Parser)]
#[command(version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Args),
}

/// Anything a command can fail with; only its sentence matters here.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Train(args) => train::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens an engine and says on stderr which it is.
fn open_engine(choice: Choice) -> Result<Engine, EngineError> {
    let engine = pollster::block_on(Engine::open(choice))?;
    let description = engine.describe();
    eprint!("engine: {} ({})", description.engine, description.adapter);
    match description.note {
        Some(note) => eprintln!(", because {note}"),
        None => eprintln!(),
    }
    Ok(engine)
}
