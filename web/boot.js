// Starts the page; everything else is Rust.
import init from "./page.js";

init().catch((error) => {
  document.getElementById("status").textContent = `Error: the page's program did not start: ${error.message ?? error}`;
  document.getElementById("badge-text").textContent = "not running";
});
