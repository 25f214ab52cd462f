// What hands are used to: a finger that scrolls, a focus that stays, Enter, Escape and the wheel.
import { expect, generate, open, run, slider, startCheck, endCheck, status, stop, test } from "./visit.mjs";

const number = (page, name) => page.getByRole("spinbutton", { name, exact: true });
const focused = (page) => page.evaluate(() => document.activeElement.id);
const scrolled = (page) => page.evaluate(() => scrollY);

test.describe("a finger", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  /** Moves a finger from a place on a slider, 0 at its left end and 1 at its right, by so many pixels. */
  async function swipe(page, locator, at, [dx, dy]) {
    const box = await locator.boundingBox();
    const [x, y] = [box.x + at * box.width, box.y + box.height / 2];
    const finger = await page.context().newCDPSession(page);
    const touch = (type, ...touchPoints) => finger.send("Input.dispatchTouchEvent", { type, touchPoints });
    await touch("touchStart", { x, y });
    for (let i = 1; i <= 10; i++) {
      await touch("touchMove", { x: x + (dx * i) / 10, y: y + (dy * i) / 10 });
      await page.waitForTimeout(16);
    }
    await touch("touchEnd");
    await page.waitForTimeout(300);
  }

  test("that scrolls leaves the slider it began on alone; sideways and by a tap it moves it", async ({ page, host }) => {
    await open(page, host, "#t=400&count=1&steps=2");
    await page.evaluate(() => scrollTo(0, 0));
    // On the track, slanted, and on the thumb.
    for (const [at, way] of [[0.8, [0, -250]], [0.5, [40, -200]], [0.1, [10, 150]], [0.41, [0, -150]]]) {
      const before = await scrolled(page);
      await swipe(page, slider(page), at, way);
      expect(await slider(page).inputValue()).toBe("400");
      await expect(page.locator("#t-value")).toHaveText("400");
      expect(Math.sign(await scrolled(page) - before), "the page follows the finger").toBe(-Math.sign(way[1]));
    }
    const before = await scrolled(page);
    await swipe(page, slider(page), 0.4, [100, 12]);
    const dragged = Number(await slider(page).inputValue());
    expect(dragged).toBeGreaterThan(600);
    await expect(page.locator("#t-value")).toHaveText(String(dragged));
    await swipe(page, slider(page), 0.2, [0, 0]);
    const tapped = Number(await slider(page).inputValue());
    // The grip is as wide as a finger.
    expect(Math.abs(tapped - 200)).toBeLessThan(60);
    await expect(page.locator("#t-value")).toHaveText(String(tapped));
    expect(await scrolled(page)).toBe(before);
    const guidance = page.getByRole("slider", { name: "Guidance" });
    await guidance.scrollIntoViewIfNeeded();
    const value = await guidance.inputValue();
    await swipe(page, guidance, 0.9, [0, -120]);
    expect(await guidance.inputValue()).toBe(value);
  });
});

test("the focus stays on what was pressed", async ({ page, host }) => {
  await open(page, host, "#count=2&steps=1000");
  await generate(page).focus();
  await page.keyboard.press("Enter");
  await expect(status(page)).toHaveText(/^Generating/);
  await expect(generate(page)).toBeDisabled();
  expect(await focused(page)).toBe("go");
  await page.keyboard.press("Tab");
  expect(await focused(page)).toBe("stop");
  await page.keyboard.press("Space");
  await expect(status(page)).toHaveText(/^Stopped/);
  await expect(stop(page)).toBeDisabled();
  expect(await focused(page)).toBe("stop");
  // A button that is off does nothing.
  await page.keyboard.press("Enter");
  await stop(page).evaluate((button) => button.click());
  await expect(status(page)).toHaveText(/^Stopped/);
  await startCheck(page).focus();
  await page.keyboard.press("Enter");
  await expect(startCheck(page)).toBeDisabled();
  expect(await focused(page)).toBe("check-start");
  await endCheck(page).focus();
  await page.keyboard.press("Enter");
  await expect(endCheck(page)).toBeDisabled();
  expect(await focused(page)).toBe("check-end");
});

test("who tries again is left beside Generate", async ({ page, host }) => {
  const list = "**/weights/models.json";
  await page.route(list, (route) => route.fulfill({ body: "[]" }));
  await page.goto(host.url);
  const again = page.getByRole("button", { name: "Try again" });
  await again.focus();
  await page.unroute(list);
  await page.keyboard.press("Enter");
  await expect(again).toBeHidden();
  expect(await focused(page)).toBe("go");
  await expect(generate(page)).toBeEnabled();
});

test("Enter in a number generates, and Escape stops", async ({ page, host }) => {
  await open(page, host, "#count=2&steps=5");
  await number(page, "Steps").fill("1000");
  await page.keyboard.press("Enter");
  await expect(status(page)).toHaveText(/^Generating 2 images in 1000 steps/);
  expect(await focused(page)).toBe("steps");
  await expect(page.locator("#now")).toContainText(/step \d+ of 1000/);
  await page.keyboard.press("Escape");
  await expect(status(page)).toHaveText(/^Stopped after step \d+ of 1000/);
  expect(await focused(page)).toBe("steps");
  // From wherever the visitor is; without a run it does nothing.
  await run1000(page);
  await slider(page).focus();
  await page.keyboard.press("Escape");
  await expect(status(page)).toHaveText(/^Stopped/);
  await number(page, "Steps").fill("0");
  await page.keyboard.press("Enter");
  await expect(status(page)).toHaveText(/^Error: Steps must be 1 to 1000/);
  await page.keyboard.press("Escape");
  await expect(status(page)).toHaveText(/^Error: Steps/);
  for (const name of ["Count", "Seed"]) {
    await number(page, "Steps").fill("1");
    await number(page, name).fill("1");
    await page.keyboard.press("Enter");
    await expect(status(page)).toHaveText(/^Done/);
    await number(page, name).fill("2");
  }
  const done = await status(page).textContent();
  await number(page, "Noise seed").fill("9");
  await page.keyboard.press("Enter");
  await expect(status(page), "the other room's number is not Generate's").toHaveText(done);
});

async function run1000(page) {
  await generate(page).click();
  await expect(status(page)).toHaveText(/^Generating/);
}

test("the wheel scrolls the page, over a number as well", async ({ page, host }) => {
  await page.setViewportSize({ width: 1280, height: 720 });
  await open(page, host, "#noise=7&steps=20&count=3");
  for (const [name, value, turn] of [["Noise seed", "7", 200], ["Steps", "20", -200], ["Count", "3", 150]]) {
    await number(page, name).click();
    await number(page, name).hover();
    const before = await scrolled(page);
    await page.mouse.wheel(0, turn);
    await expect.poll(async () => Math.sign(await scrolled(page) - before)).toBe(Math.sign(turn));
    expect(await number(page, name).inputValue()).toBe(value);
    await number(page, name).press("ArrowUp");
    expect(await number(page, name).inputValue(), "by keys it changes").toBe(String(Number(value) + 1));
  }
});
