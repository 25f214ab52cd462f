// "Check this machine" where there is no WebGPU; webgpu.spec.mjs has it with a software adapter.
import { batches, check, checkStatus, endCheck, expect, expectNoBarriers, image, names, open, pixels, slider, startCheck, test } from "./visit.mjs";

test("without WebGPU the CPU is checked and timed, and the page lives meanwhile", async ({ page, host }) => {
  await open(page, host, "#t=100");
  await startCheck(page).click();
  await expect(checkStatus(page)).toHaveText(/^Checking CPU/);
  const before = await pixels(image(page, "Noised image x_t"));
  await slider(page).fill("900");
  expect(await pixels(image(page, "Noised image x_t"))).not.toEqual(before);
  await endCheck(page).click();
  await expect(checkStatus(page)).toContainText("ended before it was complete");
  expect(await page.locator("#check-json").textContent()).toBe("");
  const report = await check(page);
  expect(report.passed).toBe(true);
  expect(names(report, "cpu").length).toBeGreaterThan(20);
  expect(batches(report, "cpu")).toEqual([1, 16]);
  expect(batches(report, "cpu", "train")).toEqual([16]);
  expect(report.left_out).toEqual([]);
  expect(report.engines[0].memory_bytes).toBeGreaterThan(100e6);
  expect(report.engines.map(({ engine, adapter, error }) => [engine, adapter, error])).toEqual([
    ["cpu", "WebAssembly SIMD, 1 thread", null],
    ["gpu", null, "no GPU was found"],
  ]);
  const rows = await page.locator("#check-rows tr").allTextContents();
  expect(rows).toHaveLength(5);
  expect(rows[0]).toMatch(/^\d+ kernelsCPUpass\de-\d+/);
  expect(rows[1]).toMatch(/^ε of 1 image, digitsCPUpass\de-\d/);
  expect(rows[2]).toMatch(/^ε of 16 images, digitsCPUpass\de-\d/);
  expect(rows[3]).toMatch(/^a training step of 16 images, digitsCPUpass\de-\d/);
  expect(rows[4]).toContain("no GPU was found");
  await page.getByText("Every kernel", { exact: true }).click();
  expect(await page.locator("#check-ops tr").count()).toBe(names(report, "cpu").length);
  await page.getByText("All of it as JSON", { exact: true }).click();
  await expectNoBarriers(page);
  await page.setViewportSize({ width: 390, height: 844 });
  await expectNoBarriers(page);
});
