//! The command line; see `noisette::cli`.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    noisette::cli::main()
}

#[cfg(target_arch = "wasm32")]
fn main() {}
