// A run in the visitor's hands: paused, taken step by step, looked at while it goes on.
import { expect, generate, generated, open, run, status, stop, test } from "./visit.mjs";

const button = (page, name) => page.getByRole("button", { name, exact: true });
const step = (page) => page.getByRole("slider", { name: "Step of the run" });

test("a run is paused, goes on, and comes to the same pictures", async ({ page, host }) => {
  await open(page, host, "#model=digits&count=4&steps=60&sampler=dpmsolver%2B%2B");
  await expect(button(page, "Pause")).toBeDisabled();
  await run(page);
  const whole = await generated(page, 4);
  await generate(page).click();
  await expect(page.locator("#now")).toContainText(/step \d+ of 60 · .* ms a step · (about \d+ s|less than 1 s) left/);
  await button(page, "Pause").click();
  await expect(status(page)).toHaveText(/^Paused after step \d+ of 60\.$/);
  await expect(button(page, "Play")).toBeEnabled();
  await expect(generate(page)).toBeDisabled();
  await page.waitForTimeout(300);
  const [shown, said] = [await generated(page, 4), await status(page).textContent()];
  await page.waitForTimeout(500);
  expect(await generated(page, 4), "nothing moves").toEqual(shown);
  await expect(status(page)).toHaveText(said);
  await button(page, "Play").click();
  await expect(status(page)).toHaveText(/^Done/);
  await expect(button(page, "Pause")).toBeDisabled();
  expect(await generated(page, 4), "a pause changes nothing").toEqual(whole);
});

test("Step begins a run and takes it step by step to its end", async ({ page, host }) => {
  await open(page, host, "#model=digits&count=2&steps=3&sampler=ipndm");
  await run(page);
  const whole = await generated(page, 2);
  for (const done of [1, 2]) {
    await button(page, "Step").click();
    await expect(status(page)).toHaveText(`Paused after step ${done} of 3.`);
    await expect(step(page)).toHaveValue(`${done}`);
  }
  await button(page, "Step").click();
  await expect(status(page)).toHaveText(/^Done: 2 images in 3 steps/);
  expect(await generated(page, 2)).toEqual(whole);
});

test("the steps that are there can be looked at while the run goes on", async ({ page, host }) => {
  await open(page, host, "#model=digits&count=4&steps=400&sampler=ddpm");
  const noise = await generated(page, 4);
  await generate(page).click();
  await expect(page.locator("#now")).toContainText(/step [3-9] of 400/);
  await step(page).fill("0");
  await expect(page.locator("#now")).toContainText(/step \d\d of 400/);
  expect(await generated(page, 4), "new steps do not take the slider away").toEqual(noise);
  await expect(step(page)).toHaveValue("0");
  await expect(page.locator("#step-caption")).toHaveText("the noise at the start");
  // Beyond the newest step lies the newest step.
  await step(page).fill("400");
  await expect(page.locator("#step-caption")).toHaveText(/step \d+ of 400/);
  expect(Number(await step(page).inputValue())).toBeLessThan(400);
  await stop(page).click();
  await expect(status(page)).toHaveText(/^Stopped after step \d+ of 400\.$/);
});
