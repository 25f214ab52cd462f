// The page in a browser with WebGPU, here a software adapter: slow, so little of it.
import { batches, check, checkStatus, difference, expect, generate, generated, names, open, run, startCheck, status, test } from "./visit.mjs";

test.use({ launchOptions: async ({ launchOptions }, use) => {
  await use({ ...launchOptions, args: [...launchOptions.args, "--enable-unsafe-webgpu"] });
} });

const badge = (page) => page.locator("#badge-text");

test("auto passes a software adapter by and says so; each engine can be chosen, and they agree", async ({ page, host }) => {
  await open(page, host, "#count=2&steps=2&class=3&guidance=1.5");
  await expect(badge(page)).toContainText(/^CPU/);
  await expect(page.locator("#engine-note")).toContainText("auto took the CPU");
  await run(page);
  const cpu = await generated(page, 2);
  const engine = page.getByRole("combobox", { name: "Engine" });
  await engine.selectOption({ label: "WebGPU" });
  await expect(badge(page)).toContainText(/^WebGPU .*\(software\)/);
  await expect(generate(page)).toBeEnabled();
  await run(page);
  await expect(badge(page)).toContainText(/^WebGPU .* ms a step/);
  const gpu = await generated(page, 2);
  for (const i of [0, 1]) expect(difference(cpu[i], gpu[i])).toBeLessThanOrEqual(2);
  await engine.selectOption({ label: "CPU" });
  await expect(badge(page)).toContainText(/^CPU/);
  await expect(generate(page)).toBeEnabled();
  await run(page);
  expect(await generated(page, 2)).toEqual(cpu);
});

test("when the GPU is lost in the middle of a run, the CPU takes it to its end", async ({ page, host, browser }) => {
  await open(page, host, "#count=2&steps=12&sampler=ddpm&engine=cpu");
  await run(page);
  const whole = await generated(page, 2);
  await page.getByRole("combobox", { name: "Engine" }).selectOption({ label: "WebGPU" });
  await expect(badge(page)).toContainText(/^WebGPU/);
  await expect(generate(page)).toBeEnabled();
  await generate(page).click();
  await expect(page.locator("#now")).toContainText(/step \d/);
  const session = await browser.newBrowserCDPSession();
  await session.send("Browser.crashGpuProcess");
  await expect(status(page)).toHaveText(/^Done/);
  await expect(badge(page)).toContainText(/^CPU/);
  await expect(page.locator("#engine-note")).toContainText("WebGPU stopped working");
  await expect(page.getByRole("combobox", { name: "Engine" }), "the control shows what runs").toHaveValue("cpu");
  const resumed = await generated(page, 2);
  for (const i of [0, 1]) expect(difference(whole[i], resumed[i])).toBeLessThanOrEqual(2);
});

test("both engines are checked and timed", async ({ page, host }) => {
  await open(page, host);
  const report = await check(page);
  expect(report.passed).toBe(true);
  // On a GPU some ops have a second kernel.
  expect(names(report, "gpu").filter((name) => !name.endsWith("_tiled"))).toEqual(names(report, "cpu"));
  expect(names(report, "gpu").length).toBeGreaterThan(names(report, "cpu").length);
  expect(batches(report, "gpu")).toEqual([1, 16]);
  // Where the adapter is so slow that the step would take more than a minute, it is among what is left out.
  for (const engine of ["cpu", "gpu"]) expect(batches(report, engine, "train")).toEqual([16]);
  expect(report.engines[1]).toMatchObject({ engine: "gpu", software: true, error: null });
  await expect(page.locator("#check-rows")).toContainText("WebGPU, software");
});

test("a GPU that is lost in the middle of the check fails it", async ({ page, host, browser }) => {
  await open(page, host);
  await startCheck(page).click();
  await expect(checkStatus(page)).toHaveText(/^Checking WebGPU: comparing/);
  const session = await browser.newBrowserCDPSession();
  await session.send("Browser.crashGpuProcess");
  await expect(checkStatus(page)).toHaveText(/^Error: WebGPU stopped in the middle of the check: /);
  const report = JSON.parse(await page.locator("#check-json").textContent());
  expect(report.passed).toBe(false);
  expect(report.engines[1].error).toBeTruthy();
  await expect(page.locator("#check-rows .bad")).toContainText("stopped: ");
  await expect(page.locator("#check-rows")).toContainText("pass");
});
