// What Noise measures of its picture, and the run that takes the noise away from where the slider stands.
import { difference, expect, expectNoBarriers, generated, image, open, pixels, slider, status, stop, test } from "./visit.mjs";

const button = (page, name) => page.getByRole("button", { name, exact: true });
const take = (page) => button(page, "Take it away from here");
const rows = (page) => page.locator("#curve-rows tr");

/** The points of a line of the curve: [x, y] each. */
const points = (page, id) => page.locator(id).evaluate((line) => line.getAttribute("points").trim().split(" ").map((point) => point.split(",").map(Number)));

/** What is measured is folded away until somebody asks for it. */
const unfold = (page) => page.getByText("Measure this picture").click();

test("a run begins with this very x_t and ends in a picture", async ({ page, host }) => {
  await open(page, host, "#model=digits&picture=7&t=350&steps=6&sampler=ddim&class=7&engine=cpu");
  const [x_t, x_0] = [await pixels(image(page, "Noised image x_t")), await pixels(image(page, "Original image x_0"))];
  await take(page).click();
  await expect(status(page)).toHaveText(/^Done: 1 image in 6 steps/);
  await expect(page.locator("#generate")).toBeInViewport();
  await expect(page.locator("#generate")).toBeFocused();
  await expect(page.locator("#grid-caption")).toHaveText("From x_t at t = 350 of Noise, asked for 7.");
  const [made] = await generated(page, 1);
  const error = (a, b) => a.reduce((sum, v, i) => sum + Math.abs(v - b[i]), 0) / a.length;
  // Of a third of the way little is lost: it is nearly the picture again, and the noise is gone.
  expect(error(made, x_0)).toBeLessThan(0.25 * error(x_t, x_0));
  const step = page.getByRole("slider", { name: "Step of the run" });
  await step.fill("0");
  await expect(page.locator("#step-caption")).toHaveText("x_t at t = 350");
  expect(difference((await generated(page, 1))[0], x_t), "the film begins with x_t").toBe(0);
  await slider(page).fill("0");
  await take(page).click();
  await expect(status(page)).toHaveText("At t = 0 there is no noise to take away: move t first.");
});

test("its link begins it again", async ({ page, host, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await open(page, host, "#model=digits&picture=2&t=600&noise=4&steps=4&engine=cpu");
  await take(page).click();
  await expect(status(page)).toHaveText(/^Done: 1 image in 4 steps/);
  const [made] = await generated(page, 1);
  await button(page, "Copy link").click();
  await expect(status(page)).toHaveText(/^The link is copied/);
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toContain("&run=1&from=1");
  await page.goto("about:blank");
  await page.goto(link);
  await expect(status(page)).toHaveText(/^Done: 1 image in 4 steps/);
  expect((await generated(page, 1))[0]).toEqual(made);
});

test("the curve fills in, can be stopped, and goes with its picture", async ({ page, host }) => {
  await open(page, host, "#model=digits&t=400&engine=cpu");
  await unfold(page);
  await button(page, "Measure").click();
  await expect(button(page, "Stop measuring")).toBeEnabled();
  await expect(page.locator("#curve-status")).toHaveText(/^\d+ of 33 points$/);
  // The slider is answered meanwhile.
  await slider(page).fill("500");
  await expect(page.locator("#loss")).toHaveText(/loss 0\.\d+/);
  await expect(button(page, "Measure")).toBeEnabled();
  await expect(rows(page)).toHaveCount(33);
  await expect(page.locator("#curve-status")).toHaveText("");
  const [loss, error] = [await points(page, "#curve-loss"), await points(page, "#curve-x0")];
  expect(loss.length).toBe(33);
  expect(loss[0][1], "noise is hardest to find where there is least").toBeLessThan(loss[32][1]);
  expect(error[0][1], "and the picture where there is most").toBeGreaterThan(error[32][1]);
  // A point of the curve is what the slider says there.
  const [t, measured] = await rows(page).nth(16).locator("td").allTextContents();
  await slider(page).fill(t);
  await expect(page.locator("#loss")).toHaveText(`, loss ${measured}`);
  await expectNoBarriers(page);
  await page.getByRole("radio", { name: "Digit 5" }).check();
  await expect(page.locator("#loss-curve")).toBeHidden();
  await button(page, "Measure").click();
  await expect(rows(page)).not.toHaveCount(0);
  await button(page, "Stop measuring").click();
  const stopped = await rows(page).count();
  await page.waitForTimeout(500);
  expect(await rows(page).count()).toBe(stopped);
  await expect(page.locator("#curve-status")).toHaveText(stopped < 33 ? `Stopped: ${stopped} of 33 points` : "");
});

test("a run goes before what is measured", async ({ page, host }) => {
  await open(page, host, "#model=digits&steps=1000&sampler=ddpm&count=1&engine=cpu");
  await unfold(page);
  await page.getByRole("button", { name: "Generate", exact: true }).click();
  await button(page, "Measure").click();
  await expect(page.locator("#now")).toHaveText(/step [2-9]\d* of 1000/);
  await expect(page.locator("#curve-status")).toHaveText("0 of 33 points, when the run has ended");
  await stop(page).click();
  await expect(rows(page)).toHaveCount(33);
});

test("bits per dimension of the picture are counted", async ({ page, host }) => {
  await open(page, host, "#model=digits&t=1000&engine=cpu");
  await unfold(page);
  await expect(page.locator("#loss-remark")).toHaveText("Nearly all of xt is noise here, so ε̂ is easy and x̂0 a guess.");
  await button(page, "Bits per dimension").click();
  await expect(page.locator("#bits-status")).toHaveText(/^\d+ of 40 evaluations$/);
  await expect(page.locator("#bits-status")).toHaveText(/^\d\.\d\d ± \d\.\d\d bits per dimension: LT \d\.\d{4}, Σ Lt−1 \d\.\d\d, L0 \d\.\d\d\. /);
  const text = await page.locator("#bits-status").textContent();
  const [total, prior, denoising, decoder] = [/^[\d.]+/, /LT ([\d.]+)/, /Lt−1 ([\d.]+)/, /L0 ([\d.]+)\./].map((part) => Number(text.match(part).at(-1)));
  expect(total).toBeGreaterThan(0.5);
  expect(total).toBeLessThan(8);
  expect(Math.abs(prior + denoising + decoder - total)).toBeLessThan(0.02);
  await page.getByRole("radio", { name: "Digit 0" }).check();
  await expect(page.locator("#bits-status")).toHaveText("");
});
