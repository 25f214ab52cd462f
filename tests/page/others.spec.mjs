// The same short story in the other engines of browsers, Firefox's and Safari's, told by accessible names. Neither has WebGPU where the
// tests run, so that the CPU engine computes.
import { readFileSync } from "node:fs";
import { expect, test as base } from "@playwright/test";
import * as gecko from "./others/firefox.mjs";
import { DEBIAN } from "./others/process.mjs";
import * as webkit from "./others/webkit.mjs";
import { DIST, serve } from "./server.mjs";

/** Milliseconds for one wish, on a slow machine that does something else as well. */
const PATIENCE = 120_000;

const test = base.extend({
  host: [async ({}, use) => {
    const watched = {
      "index.html": readFileSync(`${DIST}/index.html`, "utf8").replace("<script", `<script src="watch.js"></script>$&`),
      "watch.js": readFileSync(new URL("others/watch.js", import.meta.url), "utf8"),
    };
    const host = await serve("/some/where/noisette/", 0, DIST, watched);
    await use(host);
    host.close();
  }, { scope: "worker" }],
});

for (const [name, there, open] of [["Firefox", gecko.firefox(), gecko.open], ["WebKitGTK", webkit.webkit(), webkit.open]]) {
  if (there || DEBIAN) {
    test(`the page works in ${name}`, async ({ host }) => {
      test.setTimeout(4 * PATIENCE);
      expect(there, `${name} is missing: make tools-test installs it`).toBeTruthy();
      const browser = await open(PATIENCE);
      try {
        await tell(browser, host);
        await browser.evaluate(`console.error("the last fault")`);
        expect(await browser.evaluate("return faults"), "faults, of which the last is the test's own").toEqual(["the last fault"]);
      } finally {
        await browser.end();
      }
    });
  } else if (!process.env.TEST_WORKER_INDEX) {
    console.log(`${name} is not here, so the page is not tested in it.`);
  }
}

async function tell({ goto, evaluate, find, screenshot }, host) {
  const text = (id) => evaluate(`return document.getElementById("${id}").textContent`);
  const grey = (id) => evaluate(`
    const canvas = document.getElementById("${id}");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return Array.from({ length: data.length / 4 }, (_, i) => data[4 * i])`);
  const patient = (ask) => expect.poll(ask, { timeout: PATIENCE, intervals: [250] });

  await goto(host.url);
  await patient(() => text("badge-text")).toMatch(/^CPU · /);
  await patient(() => evaluate(`return document.getElementById("generate").hasAttribute("aria-disabled")`)).toBe(false);
  expect(await text("status")).toBe("Ready.");

  const t = await find("slider", "Timestep t");
  const before = await grey("xt");
  expect(await text("xt-caption")).toBe("t = 400");
  await patient(() => text("loss")).toMatch(/loss \d\.\d{4}/);
  const guess = [await grey("epsilon-hat"), await text("loss")];
  for (let i = 0; i < 3; i++) await t.press("ArrowRight");
  await patient(() => text("xt-caption")).toBe("t = 403");
  expect(await grey("xt"), "the picture follows").not.toEqual(before);
  await patient(async () => await text("loss") !== guess[1]).toBe(true);
  await patient(() => grey("epsilon-hat")).not.toEqual(guess[0]);

  const noise = await grey("images");
  await (await find("button", "Generate")).click();
  await patient(() => text("status")).toMatch(/^(Done|Error)/);
  expect(await text("status")).toMatch(/^Done: 10 images in 4 steps/);
  const made = await grey("images");
  // Noise is grey nearly everywhere, a digit light on dark.
  const extreme = (all) => all.filter((v) => v < 32 || v > 224).length / all.length;
  expect(extreme(made)).toBeGreaterThan(0.6);
  expect(extreme(noise)).toBeLessThan(0.5);

  // Back takes the slider's keys back, and a link within the page is followed.
  await evaluate("history.back()");
  await patient(() => text("xt-caption")).toBe("t = 400");
  await evaluate(`location.hash = "#t=77"`);
  await patient(() => text("xt-caption")).toBe("t = 77");
  await evaluate("history.back()");
  await patient(() => text("xt-caption")).toBe("t = 400");

  // And the window shows it, where it lies.
  await evaluate(`document.getElementById("images").scrollIntoView({ block: "center", behavior: "instant" });
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 500)))`);
  const shot = await screenshot();
  const shown = await evaluate(`
    const picture = new Image();
    picture.src = "data:image/png;base64,${shot}";
    await picture.decode();
    const { left, top, width, height } = document.getElementById("images").getBoundingClientRect();
    const scale = picture.width / innerWidth;
    const canvas = Object.assign(document.createElement("canvas"), { width: 140, height: 56 });
    const pen = canvas.getContext("2d");
    pen.drawImage(picture, left * scale, top * scale, width * scale, height * scale, 0, 0, 140, 56);
    const { data } = pen.getImageData(0, 0, 140, 56);
    return Array.from({ length: data.length / 4 }, (_, i) => data[4 * i])`);
  expect(shown.length).toBe(made.length);
  // Lines lie between the pictures, and edges are smoothed.
  const near = made.filter((v, i) => Math.abs(v - shown[i]) < 48).length / made.length;
  expect(near, "pixels that are on the screen what they are in the canvas").toBeGreaterThan(0.8);
}
