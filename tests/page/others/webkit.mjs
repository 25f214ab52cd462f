// WebKitGTK, Safari's relative, by WebDriver over HTTP.
import { existsSync } from "node:fs";
import { freePort, inside, start, which } from "./process.mjs";

const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";
const KEYS = { ArrowLeft: "\uE012", ArrowRight: "\uE014", Enter: "\uE007" };

/** Its programs, where they are: the driver, its browser, a screen without a screen. */
export function webkit() {
  // Debian has it in /usr/lib/x86_64-linux-gnu/webkit2gtk-4.1, others do without the machine's name.
  const homes = ["/usr/libexec", "/usr/lib", "/usr/lib64", ...inside("/usr/lib", /-linux-gnu/)].flatMap((folder) => inside(folder, /^webkit/));
  const browser = homes.map((home) => `${home}/MiniBrowser`).find(existsSync);
  const found = { driver: which("WebKitWebDriver"), screen: which("Xvfb"), browser };
  return Object.values(found).every(Boolean) ? found : undefined;
}

/** Starts it with one tab. */
export async function open(timeout) {
  const programs = webkit();
  const started = [];
  const end = async () => {
    for (const program of started.reverse()) await program.end();
  };
  try {
    const env = { DISPLAY: `:${await screen(programs.screen, started, timeout)}`, WAYLAND_DISPLAY: "", GDK_BACKEND: "x11", LIBGL_ALWAYS_SOFTWARE: "1" };
    // Its sandbox is not for root.
    if (process.getuid() === 0) env.WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS = "1";
    const port = await freePort();
    const driver = start(programs.driver, [`--port=${port}`, "--host=127.0.0.1"], env);
    started.push(driver);
    const session = await begin(`http://127.0.0.1:${port}`, programs.browser, driver, timeout);
    return { ...session, end: () => session.end().catch(() => {}).then(end) };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Starts a screen that nobody sees, and answers with its number, which is one that was free. */
async function screen(program, started, timeout) {
  const xvfb = start(program, ["-displayfd", "3", "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]);
  started.push(xvfb);
  const number = new Promise((resolve) => {
    let text = "";
    xvfb.child.stdio[3].setEncoding("utf8").on("data", (more) => {
      text += more;
      if (text.includes("\n")) resolve(text.trim());
    });
  });
  return within(timeout, "Xvfb names its screen", Promise.race([number, xvfb.gone.then(() => Promise.reject(new Error("Xvfb does not run")))]));
}

async function begin(base, binary, driver, timeout) {
  const call = async (method, path, body) => {
    const response = await fetch(base + path, {
      method,
      body: body && JSON.stringify(body),
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(timeout),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${value?.error}: ${value?.message}`);
    return value;
  };
  let ended = false;
  driver.gone.then(() => (ended = true));
  await until(timeout, "WebKitWebDriver answers", async () => {
    if (ended) throw new Error("WebKitWebDriver does not run");
    return call("GET", "/status").then(() => true, () => false);
  });
  const options = { binary, args: ["--automation"] };
  const { sessionId } = await call("POST", "/session", { capabilities: { alwaysMatch: { "webkitgtk:browserOptions": options } } });
  const at = `/session/${sessionId}`;
  await call("POST", `${at}/timeouts`, { script: timeout, pageLoad: timeout });
  await call("POST", `${at}/window/rect`, { x: 0, y: 0, width: 1280, height: 900 });
  // What has this role and this name, as a screen reader is told.
  const find = async (role, name) => {
    const named = async () => {
      for (const { [ELEMENT]: id } of await call("POST", `${at}/elements`, { using: "css selector", value: "a, button, canvas, input, select, [role]" })) {
        const element = `${at}/element/${id}`;
        if (await call("GET", `${element}/computedlabel`) === name && await call("GET", `${element}/computedrole`) === role) return element;
      }
      return null;
    };
    const element = await until(timeout, `there is the ${role} “${name}”`, named);
    return {
      click: () => call("POST", `${element}/click`, {}),
      press: (key) => call("POST", `${element}/value`, { text: KEYS[key] }),
    };
  };
  return {
    goto: (url) => call("POST", `${at}/url`, { url }),
    evaluate: (body) => call("POST", `${at}/execute/sync`, { script: `return (async () => { ${body} })()`, args: [] }),
    find,
    // Of one element alone it would be black where there is a canvas.
    screenshot: () => call("GET", `${at}/screenshot`),
    end: () => call("DELETE", at),
  };
}

function within(timeout, what, promise) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${what}: not within ${timeout} ms`)), timeout)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks until the answer is one. */
async function until(timeout, what, ask) {
  const begun = Date.now();
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() - begun > timeout) throw new Error(`${what}: not within ${timeout} ms`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
