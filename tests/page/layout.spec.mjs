// Where things stand: what a visitor looks at or presses stays where it is and in sight, on any screen, on paper, in colours of
// one's own and in languages that run from right to left.
import { expect, generate, open, run, status, test } from "./visit.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const DESK = { viewport: { width: 1280, height: 720 } };

/** The pixels of what a locator shows, [red, green, blue] at (x, y), each from 0 to 1 of its size. */
async function seen(page, locator) {
  const png = (await locator.screenshot({ animations: "disabled" })).toString("base64");
  const { width, height, data } = await page.evaluate(async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return { width: image.width, height: image.height, data: Array.from(context.getImageData(0, 0, image.width, image.height).data) };
  }, png);
  return (x, y) => {
    const at = 4 * (Math.min(height - 1, Math.floor(y * height)) * width + Math.min(width - 1, Math.floor(x * width)));
    return data.slice(at, at + 3);
  };
}

/** Whether the whole of an element is in the window and nothing lies over its middle. */
const inSight = (locator) => locator.evaluate((e) => {
  const { left, right, top, bottom } = e.getBoundingClientRect();
  const [width, height] = [document.documentElement.clientWidth, innerHeight];
  return left >= 0 && top >= 0 && right <= width && bottom <= height && e.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
});

for (const [name, options] of Object.entries({ phone: PHONE, desk: DESK })) {
  test.describe(name, () => {
    test.use(options);

    test("Generate stays where it is while a run begins, goes on and ends", async ({ page, host }) => {
      await open(page, host, "#count=2&steps=3&guidance=1");
      const place = async () => {
        const { x, y, width, height } = await generate(page).boundingBox();
        return [x, y, width, height].map(Math.round);
      };
      // With the section's beginning in the window, with its end, and as far down as it goes.
      for (const where of name === "phone" ? ["start"] : ["start", "end", "nearest"]) {
        await page.locator("#generate").evaluate((section, block) => section.scrollIntoView({ block }), where);
        const before = await place();
        // The second run's film takes the place of the first one's.
        for (let i = 0; i < 2; i++) {
          const places = await generate(page).evaluate(async (button) => {
            const places = new Set();
            const note = () => places.add(["x", "y", "width", "height"].map((key) => Math.round(button.getBoundingClientRect()[key])).join());
            note();
            button.click();
            while (!/^Done/.test(document.getElementById("status").textContent)) {
              await new Promise(requestAnimationFrame);
              note();
            }
            await new Promise(requestAnimationFrame);
            note();
            return [...places];
          });
          expect(places, where).toEqual([before.join()]);
          // Other settings make the pictures old.
          await page.locator("#steps").evaluate((steps, value) => {
            steps.value = value;
            steps.dispatchEvent(new Event("input", { bubbles: true }));
          }, String(4 - i));
          await expect(page.locator("#old")).not.toBeEmpty();
          expect(await place(), "the pictures are old").toEqual(before);
        }
      }
    });

    test("whoever presses Generate sees the pictures", async ({ page, host }) => {
      await open(page, host, "#count=10&steps=2");
      await page.locator("#generate").evaluate((section, block) => section.scrollIntoView({ block }), name === "phone" ? "end" : "start");
      await run(page);
      expect(await inSight(page.locator("#grid"))).toBe(true);
      expect(await inSight(generate(page))).toBe(true);
    });

    test("what happened is said where the visitor looks", async ({ page, host }) => {
      await open(page, host, "#count=1&steps=2");
      await expect(status(page)).toHaveText("Ready.");
      await page.evaluate(() => scrollTo(0, 0));
      // That all is well does not lie over the pictures.
      await expect.poll(() => status(page).evaluate((line) => getComputedStyle(line).position)).toBe("static");
      await page.getByRole("button", { name: "Copy link" }).click();
      await expect(status(page)).toHaveText(/link is/);
      expect(await inSight(status(page))).toBe(true);
      expect(await inSight(page.getByRole("slider", { name: "Timestep t" })) || name === "desk", "the slider stands above it").toBe(true);
      await page.getByLabel("Your own picture").setInputFiles({ name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
      await expect(status(page)).toHaveText(/^Error: /);
      expect(await inSight(status(page))).toBe(true);
      await page.locator("#check").evaluate((section) => section.scrollIntoView());
      await expect.poll(() => inSight(status(page)), "at the end").toBe(true);
      // Beside the button it lies in its own place, not over the page.
      await page.locator("#generate").evaluate((section) => section.scrollIntoView());
      await run(page);
      await expect.poll(() => inSight(status(page))).toBe(true);
      await expect.poll(() => status(page).evaluate((line) => getComputedStyle(line).position)).toBe("static");
      const [line, button] = [await status(page).boundingBox(), await generate(page).boundingBox()];
      const apart = Math.max(line.y - (button.y + button.height), button.y - (line.y + line.height), 0);
      expect(apart, "pixels between Generate and what it says").toBeLessThan(40);
    });
  });
}

for (const width of [1280, 1440, 1024, 390]) {
  test(`what marks old pictures lies above what plays them at ${width} pixels`, async ({ browser, host }) => {
    const context = await browser.newContext({ viewport: { width, height: 720 } });
    const page = await context.newPage();
    await open(page, host, "#model=fashion&count=10&sampler=ddim&steps=2&guidance=1&spacing=leading&as=diffusers");
    await run(page);
    await page.getByRole("combobox", { name: "Class" }).selectOption("2");
    const advanced = page.getByRole("button", { name: "Advanced" });
    if (await advanced.isVisible()) await advanced.click();
    await page.getByRole("combobox", { name: "Sampler" }).selectOption("dpmsolver++");
    const note = page.locator("#old");
    await expect(note).toContainText("Press Generate to see");
    const [above, below] = [await note.boundingBox(), await page.locator(".machine").boundingBox()];
    expect(above.y + above.height, await note.textContent()).toBeLessThanOrEqual(below.y);
    await context.close();
  });
}

for (const width of [320, 360, 390]) {
  test(`nothing sticks out at ${width} pixels`, async ({ browser, host }) => {
    const context = await browser.newContext({ viewport: { width, height: 640 }, hasTouch: true, isMobile: true });
    const page = await context.newPage();
    const fits = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    await open(page, host, "#model=fashion&count=2&steps=1&guidance=1");
    expect(await page.evaluate(() => document.documentElement.clientWidth)).toBe(width);
    expect(await fits()).toBeLessThanOrEqual(0);
    await run(page);
    expect(await fits(), "with a film").toBeLessThanOrEqual(0);
    await page.evaluate(() => { location.hash = `#${"flavour".repeat(40)}=1`; });
    await expect(status(page)).toHaveText(/^Error: /);
    expect(await fits(), "with an error").toBeLessThanOrEqual(0);
    await context.close();
  });
}

/** Patterns on the printed page, where backgrounds are left out: each of the two gradients of lines is one. */
async function patterns(page) {
  const pdf = (await page.pdf({ printBackground: false })).toString("latin1");
  return pdf.match(/\/PatternType\b/g)?.length ?? 0;
}

test("the printed page keeps the lines between the pictures without backgrounds", async ({ page, host }) => {
  await open(page, host, "#count=4&steps=1");
  // Those of the grid and of the film over the slider; there is no run's film yet.
  expect(await patterns(page)).toBe(4);
  await page.locator("#grid .lattice").evaluate((e) => { e.style.display = "none"; });
  expect(await patterns(page)).toBe(2);
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "ink on paper").toBe("rgb(251, 247, 241)");
  expect(await status(page).evaluate((line) => getComputedStyle(line).position), "nothing floats").toBe("static");
});

for (const colorScheme of ["light", "dark"]) {
  test(`colours of the visitor's own keep what is chosen and how far a run is, ${colorScheme}`, async ({ page, host }) => {
    await page.emulateMedia({ forcedColors: "active", colorScheme });
    await open(page, host, "#picture=3&count=2&steps=1&guidance=1");
    await run(page);
    const thumb = (i) => seen(page, page.locator("#thumbs canvas").nth(i));
    const [chosen, other] = [await thumb(3), await thumb(4)];
    expect(chosen(0.5, 0.04), "the chosen picture's edge").not.toEqual(other(0.5, 0.04));
    await page.locator("#progress").evaluate((bar) => { bar.value = 0.5; });
    const bar = await seen(page, page.locator("#progress"));
    expect(bar(0.25, 0.5), "what is done").not.toEqual(bar(0.75, 0.5));
    const line = (i) => seen(page, page.locator("#algorithm li").nth(i));
    const [lit, unlit] = [await line(5), await line(0)];
    expect(lit(0.5, 0.05), "the line that runs").not.toEqual(unlit(0.5, 0.05));
    const grid = await seen(page, page.locator("#grid"));
    expect(grid(0.5, 0.05), "the line between two pictures").toEqual((await seen(page, page.locator("#generate .head")))(0.99, 0.5));
  });
}

test("where the language runs from right to left mathematics and films do not", async ({ page, host }) => {
  await open(page, host, "#t=1000&count=2&steps=1&guidance=1");
  await run(page);
  const places = () => page.evaluate(() => {
    const of = (selector) => [...document.querySelectorAll(selector)].map((e) => e.getBoundingClientRect().left);
    return [of(".equation canvas"), of(".sum > span"), of("#film-strip")].map((row) => row.map((x) => x - row[0]));
  });
  const before = await places();
  await page.evaluate(() => { document.documentElement.dir = "rtl"; });
  const apart = (await places()).flat().map((x, i) => Math.abs(x - before.flat()[i]));
  expect(Math.max(...apart)).toBeLessThan(2);
  const shown = ["#film", "#t", "#t-line .ends", ".sum", "#run .film", "#step", "#run .ends", "#algorithm", ".term"];
  const directions = await page.evaluate((shown) => shown.map((s) => getComputedStyle(document.querySelector(s)).direction), shown);
  expect(directions).toEqual(shown.map(() => "ltr"));
  expect(await page.evaluate(() => getComputedStyle(document.querySelector(".say")).direction), "words follow the language").toBe("rtl");
  // The slider's end stands under the film's.
  const frame = await page.locator("#film-frame").boundingBox();
  const film = await page.locator("#film").boundingBox();
  expect(frame.x + frame.width).toBeGreaterThan(film.x + film.width - 4);
});
