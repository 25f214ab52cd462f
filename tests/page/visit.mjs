// What every test needs: the page under a sub-path of a static host, and its canvases as numbers.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test as base, expect } from "@playwright/test";
import { serve } from "./server.mjs";

export { expect };

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Nobody is kept out, and nothing sticks out at the side. */
export async function expectNoBarriers(page) {
  await page.evaluate(AXE);
  const results = await page.evaluate(() => globalThis.axe.run());
  const found = results.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(" | ")}`);
  expect(found).toEqual([]);
  expect(results.passes.length).toBeGreaterThan(20);
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
}

export const test = base.extend({
  // All tests run under a sub-path: what works there works at the top.
  host: [async ({}, use) => {
    const host = await serve("/some/where/noisette/");
    await use(host);
    host.close();
  }, { scope: "worker" }],

  // A page that remembers what it should not have done.
  page: async ({ page, host }, use) => {
    const faults = [];
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("request", (request) => {
      if (!/^(blob|data):/.test(request.url()) && new URL(request.url()).origin !== new URL(host.url).origin) {
        faults.push(`foreign request: ${request.url()}`);
      }
    });
    page.on("console", (message) => {
      if (/Content Security Policy|panicked/.test(message.text())) faults.push(message.text());
    });
    await page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => console.log(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    await use(page);
    expect(faults, "errors, policy violations and foreign requests").toEqual([]);
  },
});

/** Opens the page and waits for an engine. The seed is kept, so that runs can be compared. */
export async function open(page, host, hash = "") {
  await page.goto(host.url + hash);
  await expect(generate(page)).toBeEnabled();
  await keepSeed(page).check();
}

export const keepSeed = (page) => page.getByRole("radio", { name: "Same noise" });
export const newNoise = (page) => page.getByRole("radio", { name: "New noise" });

export const generate = (page) => page.getByRole("button", { name: "Generate", exact: true });
export const stop = (page) => page.getByRole("button", { name: "Stop", exact: true });
export const status = (page) => page.getByRole("status");
export const slider = (page) => page.getByRole("slider", { name: "Timestep t", exact: true });
export const image = (page, name) => page.getByRole("img", { name, exact: true });

/** The grey levels of a canvas, row by row. */
export function pixels(canvas) {
  return canvas.evaluate((c) => {
    const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
    return Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
  });
}

/** The generated images, 28×28 grey levels each. */
export async function generated(page, count) {
  const canvas = image(page, "Generated images");
  const width = await canvas.evaluate((c) => c.width);
  const all = await pixels(canvas);
  const tile = (i) => {
    const [x, y] = [(i * 28) % width, Math.floor((i * 28) / width) * 28];
    return Array.from({ length: 784 }, (_, p) => all[(y + Math.floor(p / 28)) * width + x + (p % 28)]);
  };
  return Array.from({ length: count }, (_, i) => tile(i));
}

/** Runs until the status says that it is done. */
export async function run(page) {
  await generate(page).click();
  await expect(status(page)).toHaveText(/^Done/);
}

/** The largest difference of two pictures. */
export const difference = (a, b) => Math.max(...a.map((v, i) => Math.abs(v - b[i])));

export const startCheck = (page) => page.getByRole("button", { name: "Check this machine" });
export const checkStatus = (page) => page.locator("#check-status");
export const endCheck = (page) => page.getByRole("button", { name: "End the check" });

/** Runs the check and returns what it wrote. A training step takes a software adapter long. */
export async function check(page) {
  test.slow();
  await startCheck(page).click();
  await expect(checkStatus(page)).toHaveText(/^(Done|Error)/, { timeout: 300_000 });
  await expect(endCheck(page)).toBeDisabled();
  const report = JSON.parse(await page.locator("#check-json").textContent());
  for (const op of report.ops) expect(op.passed && op.worst_error <= 1e-4 && op.results > 0, JSON.stringify(op)).toBe(true);
  for (const time of report.times) expect(time.passed && time.ms > 0 && time.worst_error <= 1e-4, JSON.stringify(time)).toBe(true);
  return report;
}

/** Kernels checked on an engine, and batches of a kind of work timed or left out. */
export const names = (report, engine) => report.ops.filter((op) => op.engine === engine).map((op) => op.name);
export const batches = (report, engine, work = "predict") => report.times.concat(report.left_out).filter((time) => time.engine === engine && time.work === work).map((time) => time.batch);
