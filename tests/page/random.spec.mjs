// Ten thousand keys and turns of a pointer, anywhere and in any order: the page answers, and works as before.
// RANDOM_SEED=… repeats a series.
import { expect, generate, keepSeed, run, stop, test } from "./visit.mjs";

const EVENTS = 10_000;
/** Events that are under way at once. */
const BATCH = 80;

const KEYS = [
  ["Tab", 9], ["ArrowLeft", 37], ["ArrowRight", 39], ["ArrowUp", 38], ["ArrowDown", 40], ["PageUp", 33], ["PageDown", 34],
  ["Home", 36], ["End", 35], ["Escape", 27], ["Backspace", 8], ["Delete", 46], ["Enter", 13, "\r"], [" ", 32, " "],
  ...[..."0123456789"].map((c) => [c, c.charCodeAt(0), c]), ...[..."abegpstwxyz-+.,ε😀"].map((c) => [c, 0, c]),
];

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
function randomOf(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("ten thousand keys and turns of a pointer leave a page that works", async ({ page, host, context }) => {
  test.setTimeout(600_000);
  const seed = Number(process.env.RANDOM_SEED ?? Math.floor(Math.random() * 2 ** 32));
  console.log(`RANDOM_SEED=${seed}`);
  const faults = [];
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  page.on("crash", () => faults.push("the page has crashed"));
  page.on("dialog", async (dialog) => {
    faults.push(`a dialogue: ${dialog.message()}`);
    await dialog.dismiss();
  });
  // Files are handed over, links open tabs, and none of it is in the way.
  page.on("download", (download) => download.cancel().catch(() => {}));
  page.on("filechooser", () => {});
  context.on("page", (other) => other.close().catch(() => {}));
  await page.route((url) => url.origin !== new URL(host.url).origin, (route) => route.abort());
  await page.goto(`${host.url}#model=digits&count=2&steps=2&engine=cpu`);
  await expect(generate(page)).toBeEnabled();
  // The links in the footer lead away, as they should; the page is to stay.
  await page.evaluate(() => document.querySelectorAll("a[href^=http]").forEach((link) => (link.target = "_blank")));
  const document = await page.evaluateHandle(() => document);
  await page.evaluate(() => {
    globalThis.heard = { keydown: 0, pointermove: 0, pointerdown: 0, wheel: 0, input: 0 };
    for (const name of Object.keys(heard)) addEventListener(name, () => heard[name]++, { capture: true, passive: true });
  });

  const devtools = await context.newCDPSession(page);
  await devtools.send("Page.enable");
  const random = randomOf(seed);
  const below = (n) => Math.floor(random() * n);
  const { width, height } = page.viewportSize();
  const answers = () => Promise.race([page.evaluate(() => 1), new Promise((_, reject) => setTimeout(() => reject(new Error("the page does not answer within 5 s")), 5000))]);
  let [x, y, pressed, places] = [0, 0, false, []];
  let slowest = 0;

  /** One event, as the browser is told of it. */
  const event = () => {
    const mouse = (type, more) => ["Input.dispatchMouseEvent", { type, x, y, button: "none", ...more }];
    const kind = random();
    if (kind < 0.5) {
      const [key, code, text] = KEYS[below(KEYS.length)];
      const modifiers = key === "Tab" && random() < 0.3 ? 8 : 0;
      return ["Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", key, text, windowsVirtualKeyCode: code, modifiers, autoRepeat: random() < 0.1 }];
    }
    if (kind < 0.78) {
      // Near where it was, anywhere, or to something that can be pressed.
      const far = random() < 0.3;
      const place = far && random() < 0.7 && places[below(places.length)];
      if (place) [x, y] = place;
      else x = far ? below(width) : Math.max(0, Math.min(width - 1, x + below(41) - 20));
      if (!place) y = far ? below(height) : Math.max(0, Math.min(height - 1, y + below(41) - 20));
      return mouse("mouseMoved", { button: pressed ? "left" : "none", buttons: pressed ? 1 : 0 });
    }
    if (kind < 0.94) {
      pressed = !pressed;
      return mouse(pressed ? "mousePressed" : "mouseReleased", { button: "left", buttons: pressed ? 1 : 0, clickCount: 1 });
    }
    return mouse("mouseWheel", { deltaX: 0, deltaY: below(801) - 400 });
  };

  for (let sent = 0; sent < EVENTS; sent += BATCH) {
    places = await page.evaluate((share) => {
      const controls = [...document.querySelectorAll("input:enabled, select:enabled, button, label, summary")];
      controls[Math.floor(share * controls.length)].focus();
      return controls.map((control) => {
        const { left, top, width, height } = control.getBoundingClientRect();
        return [left + width / 2, top + height / 2];
      }).filter(([x, y]) => x > 0 && y > 0 && x < innerWidth && y < innerHeight);
    }, random());
    const under = Array.from({ length: BATCH }, () => devtools.send(...event()));
    // A picker of the browser's own may swallow what comes while it is open: nobody waits for that long.
    await Promise.race([Promise.allSettled(under), new Promise((resolve) => setTimeout(resolve, 500))]);
    const begun = Date.now();
    await answers();
    slowest = Math.max(slowest, Date.now() - begun);
  }
  console.log(`the slowest answer took ${slowest} ms`);

  await devtools.send("Input.dispatchMouseEvent", { type: "mouseReleased", x, y, button: "left", clickCount: 1 });
  for (let i = 0; i < 3; i++) await page.keyboard.press("Escape");
  expect(await page.evaluate((before) => before === document, document), "the page is the one that it was").toBe(true);
  expect(new URL(page.url()).pathname).toBe(new URL(host.url).pathname);
  expect(faults).toEqual([]);
  const heard = await page.evaluate(() => globalThis.heard);
  console.log(`heard ${JSON.stringify(heard)}`);
  expect(heard.keydown, "keys that the page has heard").toBeGreaterThan(EVENTS / 4);
  for (const name of ["pointermove", "pointerdown", "wheel", "input"]) expect(heard[name], name).toBeGreaterThan(EVENTS / 200);

  // Who sets right what is marked red can generate, with whatever else the series has set.
  const model = page.getByRole("combobox", { name: "Model" });
  await model.selectOption("digits");
  await page.getByRole("combobox", { name: "Engine" }).selectOption("cpu");
  for (const [name, value] of [["Noise seed", "1"], ["Seed", "6"], ["Count", "2"], ["Steps", "2"]]) await page.getByRole("spinbutton", { name, exact: true }).fill(value);
  const eta = page.getByRole("spinbutton", { name: "η" });
  if (await eta.isEnabled()) await eta.fill("0");
  await expect(generate(page).or(stop(page)).first()).toBeVisible();
  await expect(generate(page)).toBeEnabled();
  await expect(page.locator("[aria-invalid]")).toHaveCount(0);
  await keepSeed(page).check();
  await run(page);
  expect(faults).toEqual([]);
});
