// Noise by other schedules, by a curve of one's own, step by step, and by itself.
import { difference, expect, expectNoBarriers, image, open, pixels, slider, test } from "./visit.mjs";

const x_t = (page) => pixels(image(page, "Noised image x_t"));
const radio = (page, name) => page.getByRole("radio", { name, exact: true });
const choose = (page, name) => radio(page, name).check({ force: true });
const alphaBar = async (page) => Number(await page.locator("#alpha-bar").textContent());
const play = (page) => page.locator("#play");

test("another schedule gives other numbers, and says where the network is asked", async ({ page, host }) => {
  await open(page, host, "#t=400");
  await expect(page.locator("#plan-note")).toHaveText("as digits was trained");
  const [own, before] = [await alphaBar(page), await x_t(page)];
  expect(own).toBeCloseTo(0.6475, 3);
  await choose(page, "linear");
  await expect(page.locator("#plan-note")).toHaveText(/^the network is asked at timestep \d+, whose ᾱ is nearest$/);
  // Of β from 1e-4 to 0.02.
  let product = 1;
  for (let i = 0; i < 400; i++) product *= 1 - (1e-4 + (i / 999) * 0.0199);
  expect(await alphaBar(page)).toBeCloseTo(product, 3);
  expect(difference(await x_t(page), before)).toBeGreaterThan(20);
  await expect(page).toHaveURL(/&schedule=linear&/);
  await choose(page, "cosine");
  expect(await alphaBar(page)).toBeCloseTo(own, 3);
  await choose(page, "SNR");
  await expect(page.locator("#snr")).toHaveText((own / (1 - own)).toFixed(2));
  const total = page.getByRole("spinbutton", { name: "T", exact: true });
  await total.fill("100");
  await expect(slider(page)).toHaveJSProperty("value", "40");
  await expect(slider(page)).toHaveAttribute("max", "100");
  await expect(page.locator("#loss")).toHaveText(/loss 0\.\d+/);
});

test("the curve is drawn by hand, with the keyboard too", async ({ page, host }) => {
  await open(page, host, "#t=400");
  await expect(page.getByRole("slider", { name: "alpha bar at t = 400" })).toHaveCount(0);
  await choose(page, "by hand");
  const handle = page.getByRole("slider", { name: "alpha bar at t = 400" });
  expect(await alphaBar(page)).toBeCloseTo(0.65, 4);
  await handle.focus();
  await page.keyboard.press("ArrowDown");
  await expect(handle).toHaveAttribute("aria-valuetext", "0.64");
  expect(await alphaBar(page)).toBeCloseTo(0.64, 4);
  // Its neighbour stops it.
  for (let i = 0; i < 40; i++) await page.keyboard.press("ArrowDown");
  await expect(handle).toHaveJSProperty("value", "36");
  // With the mouse: the first one, from where the curve is to the middle of the plot.
  await page.locator("#plan").evaluate((plot) => plot.scrollIntoView({ block: "center" }));
  const box = await page.locator("#plan").boundingBox();
  const [x, y] = [box.x + box.width * 0.2, (part) => box.y + box.height * (1 - part)];
  await page.mouse.move(x, y(0.9));
  await page.mouse.down();
  await page.mouse.move(x, y(0.5), { steps: 5 });
  await page.mouse.up();
  const first = Number(await page.getByRole("slider", { name: "alpha bar at t = 200" }).inputValue());
  expect(Math.abs(first - 50)).toBeLessThanOrEqual(2);
  await expect(page).toHaveURL(new RegExp(`&schedule=hand&hand=${first},36,35,10&`));
  await expectNoBarriers(page);
});

test("step by step another x_t comes of the same distribution", async ({ page, host }) => {
  await open(page, host, "#t=1000");
  const once = await x_t(page);
  await choose(page, "step by step");
  await expect(page.locator("#road-note")).toHaveText("1000 small steps, or one big one: the same distribution.");
  await expect(page.locator("#roads")).toBeVisible();
  expect(difference(await x_t(page), once)).toBeGreaterThan(50);
  for (const id of ["steps", "once"]) {
    const [, mean, std] = (await page.locator(`#${id}-numbers`).textContent()).match(/^mean (-?[\d.]+), std ([\d.]+)$/);
    expect(Math.abs(mean)).toBeLessThan(0.18);
    expect(Math.abs(std - 1)).toBeLessThan(0.13);
  }
  // How long the whole chain holds the page up: less than a frame or three at a time.
  const longest = await page.evaluate(async () => {
    const seed = document.getElementById("noise");
    let [longest, last] = [0, performance.now()];
    const until = last + 1500;
    for (let i = 0; performance.now() < until; i++) {
      if (i % 20 === 0) {
        seed.value = 100 + i;
        seed.dispatchEvent(new Event("input", { bubbles: true }));
      }
      longest = Math.max(longest, performance.now() - last);
      await new Promise(requestAnimationFrame);
      last = performance.now();
    }
    return longest;
  });
  console.log(`the longest task of the chain took ${longest.toFixed(0)} ms`);
  expect(longest).toBeLessThan(500);
  await expectNoBarriers(page);
});

test("Play moves t, and stops for who takes hold of it", async ({ page, host }) => {
  await open(page, host, "#t=100");
  await expect(play(page)).toHaveText("Play");
  await play(page).click();
  await expect(play(page)).toHaveText("Pause");
  await expect.poll(() => slider(page).inputValue().then(Number)).toBeGreaterThan(200);
  await play(page).click();
  await expect(play(page)).toHaveText("Play");
  const at = Number(await slider(page).inputValue());
  await page.waitForTimeout(300);
  await expect(slider(page)).toHaveJSProperty("value", String(at));
  await play(page).click();
  await expect.poll(() => slider(page).inputValue().then(Number)).toBeGreaterThan(at);
  await slider(page).focus();
  await page.keyboard.press("ArrowLeft");
  await expect(play(page)).toHaveText("Play");
  // Who wants no movement gets jumps.
  await page.emulateMedia({ reducedMotion: "reduce" });
  await slider(page).fill("900");
  await play(page).click();
  await expect(slider(page)).toHaveJSProperty("value", "1000");
  await expect(play(page)).toHaveText("Play");
});

test("the histogram is of x_t, and nothing sticks out", async ({ page, host }) => {
  await open(page, host, "#t=1000");
  const histogram = page.getByRole("img", { name: /^Histogram of x_t/ });
  await expect(histogram).toBeVisible();
  await expect(page.locator("#hist-std")).toHaveText(/^(0\.9|1\.0)\d$/);
  const noise = await page.locator("#hist-bars").getAttribute("d");
  await slider(page).fill("0");
  await expect(page.locator("#snr")).toHaveText("∞");
  expect(await page.locator("#hist-bars").getAttribute("d")).not.toBe(noise);
  await expectNoBarriers(page);
  for (const width of [1024, 390, 320]) {
    await page.setViewportSize({ width, height: 800 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), `${width}`).toBeLessThanOrEqual(0);
  }
});
