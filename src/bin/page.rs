//! The program behind the page, for the page and for its worker.

#[cfg(target_arch = "wasm32")]
fn main() {
    noisette::web::main();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("this is the page's program, which runs in a browser: build and open it with `make serve`");
    std::process::exit(2);
}
