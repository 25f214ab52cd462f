// An engine that cannot be had, without WebGPU and without a network: the one that worked goes on, or the CPU's begins, and the
// page says so. webgpu.spec.mjs has the GPU that is lost.
import { expect, generate, generated, open, run, status, test } from "./visit.mjs";

const engine = (page) => page.getByRole("combobox", { name: "Engine" });
const badge = (page) => page.locator("#badge-text");

test("a link that asks for a GPU where there is none gets the CPU", async ({ page, host }) => {
  await open(page, host, "#count=1&steps=2&engine=gpu");
  await expect(status(page)).toHaveText("Error: no GPU was found; the CPU engine takes its place.");
  await expect(page.locator("#engine-note")).toHaveText("the CPU computes instead of WebGPU: no GPU was found");
  await expect(badge(page)).toContainText(/^CPU/);
  await expect(engine(page)).toHaveValue("cpu");
  await expect(page).toHaveURL(/engine=cpu$/);
  await expect(page.locator("#loss")).toContainText(/loss \d/);
  await run(page);
});

test("a GPU chosen where there is none leaves the CPU at work, in the middle of a run too", async ({ page, host }) => {
  await open(page, host, "#count=2&steps=60&guidance=1");
  await run(page);
  const whole = await generated(page, 2);
  await generate(page).click();
  await expect(page.locator("#now")).toContainText(/step \d+ of 60/);
  await engine(page).selectOption({ label: "WebGPU" });
  await expect(status(page)).toHaveText("Error: no GPU was found; the CPU engine goes on.");
  await expect(engine(page)).toHaveValue("cpu");
  await expect(badge(page)).toContainText(/^CPU/);
  await expect(status(page)).toHaveText(/^Done/);
  expect(await generated(page, 2)).toEqual(whole);
  await run(page);
});

test("offline a choice of engine, and another one after it, leave the engine that worked", async ({ page, host }) => {
  await open(page, host, "#count=1&steps=2");
  await page.route("**/worker.js", (route) => route.abort());
  for (const [label, other] of [["WebGPU", "CPU"], ["CPU", "auto"]]) {
    await engine(page).selectOption({ label });
    await engine(page).selectOption({ label: other });
    await expect(status(page)).toHaveText(/^Error: .*worker\.js.*; the CPU engine goes on\.$/);
    await expect(generate(page)).toBeEnabled();
    await expect(engine(page)).toHaveValue("cpu");
    await run(page);
  }
  await page.locator("#t").fill("500");
  await expect(page.locator("#loss")).toContainText(/loss \d/);
  await page.unroute("**/worker.js");
  await engine(page).selectOption({ label: "auto" });
  await expect(status(page)).toHaveText(/^Ready/);
  await run(page);
});
