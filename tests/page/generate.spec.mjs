// A run in the visitor's hands: paused, taken step by step, looked at while it goes on, saved.
import { readFileSync } from "node:fs";
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
  const at = async () => Number((await page.locator("#now").textContent()).match(/^step (\d+) of 400/)?.[1] ?? 0);
  await expect.poll(at).toBeGreaterThan(2);
  await step(page).fill("0");
  const then = await at();
  await expect.poll(at).toBeGreaterThan(then);
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

/** What the browser downloads when this choice is made: its name and its bytes. */
async function download(page, choice) {
  await button(page, "Save the run").click();
  const [file] = await Promise.all([page.waitForEvent("download"), button(page, choice).click()]);
  await expect(button(page, choice)).toBeHidden();
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

test("pictures, run and settings are saved, with what made them", async ({ page, host }) => {
  await open(page, host, "#model=digits&count=2&steps=3&sampler=ddim&seed=6");
  await expect(button(page, "Save the run")).toBeDisabled();
  await run(page);
  const png = await download(page, "Pictures as PNG");
  expect(png.name).toBe("noisette-digits-seed-6.png");
  // The browser reads every pixel as the page shows it.
  const squares = await page.evaluate(async (bytes) => {
    const image = await createImageBitmap(new Blob([new Uint8Array(bytes)], { type: "image/png" }));
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    const small = document.getElementById("images");
    const factor = image.width / small.width;
    const pixels = small.getContext("2d").getImageData(0, 0, small.width, small.height).data;
    const differ = Array.from({ length: data.length / 4 }, (_, i) => {
      const [x, y] = [i % image.width, Math.floor(i / image.width)].map((at) => Math.floor(at / factor));
      return Math.abs(data[4 * i] - pixels[4 * (y * small.width + x)]);
    });
    return { factor, worst: Math.max(...differ) };
  }, [...png.bytes]);
  expect(squares).toEqual({ factor: 7, worst: 0 });
  expect(png.bytes.toString("latin1")).toContain(`Source\0\0\0\0\0${host.url}#noise&model=digits&`);
  const gif = await download(page, "Run as GIF");
  expect(gif.name).toBe("noisette-digits-seed-6.gif");
  expect(gif.bytes.subarray(0, 6).toString()).toBe("GIF89a");
  const settings = await download(page, "Settings as JSON");
  expect(JSON.parse(settings.bytes.toString()).settings).toMatchObject({ model: "digits", seed: 6, steps: 3, sampler: "ddim" });
});

test("Escape closes what Save offers and leaves the run alone", async ({ page, host }) => {
  await open(page, host, "#model=digits&count=4&steps=1000&sampler=ddpm");
  await generate(page).click();
  await button(page, "Save the run").click();
  await expect(button(page, "Run as GIF")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(button(page, "Run as GIF")).toBeHidden();
  await expect(button(page, "Save the run")).toBeFocused();
  await expect(stop(page)).toBeEnabled();
  await button(page, "Save the run").click();
  await page.getByRole("heading", { name: "Noisette" }).click();
  await expect(button(page, "Run as GIF")).toBeHidden();
  await page.keyboard.press("Escape");
  await expect(status(page)).toHaveText(/^Stopped/);
});

test("a copied link makes the pictures that were shown, and the address bar does not keep that", async ({ page, host, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await open(page, host, "#model=digits&count=2&steps=3&sampler=ddim&seed=6");
  await run(page);
  const made = await generated(page, 2);
  await page.getByRole("spinbutton", { name: "Seed", exact: true }).fill("7");
  await button(page, "Copy link").click();
  await expect(status(page)).toHaveText("The link is copied. It holds the settings of the pictures shown, not those set since.");
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toMatch(/&seed=6&.*&run=1$/);
  await page.goto("about:blank");
  await page.goto(link);
  await expect(status(page)).toHaveText(/^Done: 2 images in 3 steps/);
  expect(await generated(page, 2)).toEqual(made);
  await expect(page).not.toHaveURL(/run=/);
});
