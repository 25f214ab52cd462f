// Runs before the page's own program and keeps what goes wrong: not every driver tells of the console.
globalThis.faults = [];
addEventListener("error", (event) => faults.push(event.message ?? `${event.target?.src ?? event.target?.href} could not be loaded`), true);
addEventListener("unhandledrejection", (event) => faults.push(`unhandled: ${event.reason}`));
addEventListener("securitypolicyviolation", (event) => faults.push(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`));
const say = console.error;
console.error = (...words) => {
  faults.push(words.join(" "));
  say.apply(console, words);
};
