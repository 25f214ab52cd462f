// Starts the engine in a worker: the same program as the page's, which looks where it is.
import init from "./page.js";

// A failure inside a promise is an error like any other, and the page listens for errors.
addEventListener("unhandledrejection", (event) => { throw event.reason; });
await init();
