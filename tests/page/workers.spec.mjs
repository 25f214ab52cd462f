// On the CPU one worker per core shares out a run: the pictures are those of one worker, and one that fails is done without.
import { expect, generate, generated, image, open, pixels, run, status, stop, test } from "./visit.mjs";

const badge = (page) => page.locator("#badge-text");

/** Lets the browser have so many cores, and counts the page's workers. */
async function cores(page, n) {
  await page.addInitScript((n) => {
    Object.defineProperty(Navigator.prototype, "hardwareConcurrency", { get: () => n });
    globalThis.workers = [];
    const Original = Worker;
    globalThis.Worker = class extends Original {
      constructor(...args) {
        super(...args);
        globalThis.workers.push(this);
      }
    };
  }, n);
}

for (const [n, link] of [[3, "#count=7&steps=6&guidance=1.5"], [20, "#count=16&steps=2&sampler=ddim&eta=0.5&guidance=1"]]) {
  test(`with ${n} cores the pictures are those of one worker`, async ({ page, host, context }) => {
    await cores(page, 1);
    await open(page, host, link);
    await expect(badge(page)).not.toContainText("workers");
    await run(page);
    expect(await page.evaluate(() => globalThis.workers.length)).toBe(1);
    const count = Number(link.match(/count=(\d+)/)[1]);
    const [alone, sheet] = [await generated(page, count), await pixels(image(page, "Generated images"))];
    const many = await context.newPage();
    await cores(many, n);
    await open(many, host, link);
    await expect(badge(many)).toContainText(`CPU · WebAssembly SIMD, ${Math.min(n, 8)} workers`);
    await run(many);
    expect(await generated(many, count)).toEqual(alone);
    expect(await pixels(image(many, "Generated images"))).toEqual(sheet);
    await expect(badge(many)).toContainText(/ms a step/);
    await many.close();
  });
}

test("when a worker is lost in the middle of a run the others finish it", async ({ page, host }) => {
  await cores(page, 2);
  await open(page, host, "#count=4&steps=40");
  await expect(badge(page)).toContainText(", 2 workers");
  await run(page);
  const whole = await generated(page, 4);
  await generate(page).click();
  await expect(page.locator("#now")).toContainText(/step \d+ of 40/);
  // The second worker is not the one that leads.
  await page.evaluate(() => globalThis.workers[1].dispatchEvent(new ErrorEvent("error", { message: "out of memory" })));
  await expect(status(page)).toHaveText(/^Done/);
  await expect(page.locator("#engine-note")).toContainText("A worker stopped, so one goes on without it. (out of memory)");
  await expect(badge(page)).not.toContainText("workers");
  expect(await generated(page, 4)).toEqual(whole);
});

test("Stop stops all of them", async ({ page, host }) => {
  await cores(page, 4);
  await open(page, host, "#count=16&steps=1000");
  await expect(badge(page)).toContainText(", 4 workers");
  await generate(page).click();
  await expect(page.locator("#now")).toContainText(/step \d+ of 1000/);
  await stop(page).click();
  await expect(status(page)).toHaveText(/^Stopped/);
  const stopped = await generated(page, 16);
  await page.waitForTimeout(600);
  expect(await generated(page, 16)).toEqual(stopped);
});
