// Whatever becomes x_0: drawn with a mouse, a finger or keys, pasted, inverted; kept until it is forgotten, and in a link.
import { expect, expectNoBarriers, image, open, pixels, slider, status, test } from "./visit.mjs";

const x0 = (page) => image(page, "Original image x_0");
const xt = (page) => image(page, "Noised image x_t");
const pad = (page) => image(page, "Drawing pad");
const button = (page, name) => page.getByRole("button", { name, exact: true });
const own = (page, name = "Your drawing") => page.getByRole("radio", { name, exact: true });
const ink = async (page) => (await pixels(x0(page))).reduce((sum, value) => sum + value, 0) / 255;
const note = (page) => page.locator("#picture-note");

/** A place on the pad, [0, 1]², in the window. */
async function place(page, [x, y]) {
  const box = await pad(page).boundingBox();
  return [box.x + x * box.width, box.y + y * box.height];
}

/** Draws a line with the mouse. */
async function line(page, from, to) {
  await page.mouse.move(...(await place(page, from)));
  await page.mouse.down();
  await page.mouse.move(...(await place(page, to)), { steps: 8 });
  await page.mouse.up();
}

/** Whole white paper with a black bar, as a PNG. */
async function paper(page) {
  const bytes = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(300, 300);
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, 300, 300);
    context.fillStyle = "black";
    context.fillRect(130, 60, 40, 180);
    return Array.from(new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer()));
  });
  return Buffer.from(bytes);
}

test("a stroke is x_0 at once, x_t follows, and undo, clear and the eraser take it back", async ({ page, host }) => {
  await open(page, host, "#model=digits&t=100");
  const before = [await pixels(x0(page)), await pixels(xt(page))];
  await button(page, "Draw").click();
  await expect(pad(page)).toBeFocused();
  await page.mouse.move(...(await place(page, [0.3, 0.5])));
  await page.mouse.down();
  await page.mouse.move(...(await place(page, [0.7, 0.5])), { steps: 5 });
  await expect.poll(() => ink(page), "while it is drawn").toBeGreaterThan(15);
  // Off the pad it goes on, and nothing is drawn along the edge.
  await page.mouse.move(...(await place(page, [1.3, 0.5])), { steps: 3 });
  await page.mouse.move(...(await place(page, [1.3, 1.3])), { steps: 3 });
  await page.mouse.up();
  await expect(button(page, "Undo")).toBeEnabled();
  const first = await pixels(x0(page));
  expect(first).not.toEqual(before[0]);
  expect(await pixels(xt(page))).not.toEqual(before[1]);
  expect(first[14 * 28 + 14]).toBe(255);
  expect(first.slice(27 * 28).every((value) => value === 0), "the last row").toBe(true);
  await expect(pad(page)).toBeVisible();
  await line(page, [0.5, 0.1], [0.5, 0.9]);
  await expect.poll(() => pixels(x0(page))).not.toEqual(first);
  await page.getByRole("radio", { name: "Eraser" }).check();
  await line(page, [0.5, 0.05], [0.5, 0.95]);
  expect((await pixels(x0(page)))[6 * 28 + 14]).toBe(0);
  await button(page, "Undo").click();
  await button(page, "Undo").click();
  expect(await pixels(x0(page))).toEqual(first);
  await button(page, "Clear").click();
  expect(await ink(page)).toBe(0);
  await expect(button(page, "Clear")).toBeDisabled();
  await button(page, "Undo").click();
  expect(await pixels(x0(page))).toEqual(first);
  await expectNoBarriers(page);
  // It is a choice beside the samples.
  await page.keyboard.press("Escape");
  await expect(pad(page)).toBeHidden();
  await expect(button(page, "Draw")).toBeFocused();
  await page.getByLabel("Digit 3").check({ force: true });
  expect(await pixels(x0(page))).toEqual(before[0]);
  await own(page).check({ force: true });
  expect(await pixels(x0(page))).toEqual(first);
});

test("Escape and a click elsewhere close the panel, and a run goes on", async ({ page, host }) => {
  await open(page, host, "#model=digits&steps=1000&count=1");
  await button(page, "Generate").click();
  await expect(status(page)).toHaveText(/^Generating/);
  await button(page, "Draw").click();
  await page.keyboard.press("Escape");
  await expect(pad(page)).toBeHidden();
  await expect(status(page)).toHaveText(/^Generating/);
  await button(page, "Draw").click();
  await page.locator("h1").click();
  await expect(pad(page)).toBeHidden();
  await page.keyboard.press("Escape");
  await expect(status(page)).toHaveText(/^Stopped/);
});

test("keys draw", async ({ page, host }) => {
  await open(page, host, "#model=digits");
  await button(page, "Draw").focus();
  await page.keyboard.press("Enter");
  await expect(pad(page)).toBeFocused();
  for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowLeft");
  await expect(own(page)).toHaveCount(0);
  await page.keyboard.press("Space");
  const dot = await ink(page);
  expect(dot).toBeGreaterThan(2);
  expect(dot).toBeLessThan(6);
  await page.keyboard.down("Space");
  for (let i = 0; i < 8; i++) await page.keyboard.press("ArrowDown");
  await page.keyboard.up("Space");
  const held = await ink(page);
  expect(held).toBeGreaterThan(dot + 10);
  await page.keyboard.press("ArrowDown");
  expect(await ink(page)).toBe(held);
});

test.describe("a finger", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  test("draws, a second one does not, and what the browser takes away is not drawn", async ({ page, host }) => {
    await open(page, host, "#model=digits");
    await button(page, "Draw").click();
    const finger = await page.context().newCDPSession(page);
    const touch = async (type, ...places) => {
      const touchPoints = [];
      for (const [id, at] of places) {
        const [x, y] = await place(page, at);
        touchPoints.push({ x, y, id });
      }
      await finger.send("Input.dispatchTouchEvent", { type, touchPoints });
    };
    const scrolled = await page.evaluate(() => scrollY);
    await touch("touchStart", [0, [0.2, 0.3]]);
    for (const x of [0.3, 0.4, 0.5, 0.6, 0.7]) await touch("touchMove", [0, [x, 0.3]]);
    await touch("touchStart", [0, [0.7, 0.3]], [1, [0.2, 0.8]]);
    await touch("touchMove", [0, [0.7, 0.3]], [1, [0.8, 0.8]]);
    await touch("touchEnd");
    await expect(button(page, "Undo")).toBeEnabled();
    const drawn = await pixels(x0(page));
    expect(drawn[8 * 28 + 12]).toBeGreaterThan(200);
    expect(drawn.slice(16 * 28).every((value) => value === 0), "of the second finger").toBe(true);
    await touch("touchStart", [0, [0.2, 0.6]]);
    await touch("touchMove", [0, [0.8, 0.6]]);
    await expect.poll(() => pixels(x0(page))).not.toEqual(drawn);
    await touch("touchCancel");
    await expect.poll(() => pixels(x0(page))).toEqual(drawn);
    expect(await page.evaluate(() => scrollY)).toBe(scrolled);
    await expectNoBarriers(page);
  });
});

test("a pasted picture is x_0, text pasted into a field stays text, and what is the wrong way round is said", async ({ page, host }) => {
  await open(page, host, "#model=digits");
  const file = await paper(page);
  const paste = (onto, withText) => page.locator(onto).evaluate((element, { bytes, withText }) => {
    const clipboardData = new DataTransfer();
    if (withText) clipboardData.setData("text/plain", "7");
    if (bytes) clipboardData.items.add(new File([new Uint8Array(bytes)], "image.png", { type: "image/png" }));
    return !element.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  }, { bytes: onto === "h1" && withText ? null : Array.from(file), withText });
  expect(await paste("#seed", true), "into a field").toBe(false);
  expect(await paste("h1", true), "text alone").toBe(false);
  await expect(own(page, "image.png")).toHaveCount(0);
  expect(await paste("h1", false)).toBe(true);
  await expect(status(page)).toHaveText("“image.png” is x₀ now; it has not left your machine.");
  const light = await pixels(x0(page));
  expect(light[0]).toBe(255);
  await expect(note(page)).toHaveText("This picture is dark on light; the pictures of digits are light on dark. Invert turns it round.");
  await page.getByRole("checkbox", { name: "Invert" }).check();
  expect(await pixels(x0(page))).toEqual(light.map((value) => 255 - value));
  await expect(note(page)).toBeHidden();
  // A sample, too, and links hold it.
  await page.getByLabel("Digit 4").check({ force: true });
  expect((await pixels(x0(page)))[0]).toBe(255);
  await expect(page).toHaveURL(/invert=true/);
  await expectNoBarriers(page);
});

test("it is kept over a reload, Back and a model switch until it is forgotten", async ({ page, host }) => {
  await open(page, host, "#model=digits");
  await expect(button(page, "Forget")).toBeHidden();
  await page.getByLabel("Your own picture").setInputFiles({ name: "paper.png", mimeType: "image/png", buffer: await paper(page) });
  await expect(status(page)).toHaveText(/^“paper.png” is x₀ now/);
  await button(page, "Draw").click();
  await line(page, [0.1, 0.2], [0.9, 0.2]);
  const before = await pixels(x0(page));
  await expect(page).not.toHaveURL(/picture=/);
  await page.reload();
  await expect(own(page, "paper.png")).toBeChecked();
  await expect.poll(() => pixels(x0(page))).toEqual(before);
  await page.goto("about:blank");
  await page.goBack();
  await expect(own(page, "paper.png")).toBeChecked();
  await expect.poll(() => pixels(x0(page))).toEqual(before);
  await page.getByRole("combobox", { name: "Model" }).selectOption("emoji");
  await expect.poll(() => x0(page).evaluate((canvas) => canvas.width)).toBe(32);
  await expect(own(page, "paper.png")).toBeChecked();
  expect((await pixels(x0(page)))[16 * 32 + 16], "the bar").toBe(0);
  await button(page, "Forget").click();
  await expect(own(page, "paper.png")).toHaveCount(0);
  await expect(button(page, "Forget")).toBeHidden();
  await expect(button(page, "Draw")).toBeFocused();
  await page.reload();
  await expect.poll(() => x0(page).evaluate((canvas) => canvas.width)).toBe(32);
  await expect(own(page, "paper.png")).toHaveCount(0);
});

test("a browser that keeps nothing is said to, and a link holds a drawing for somebody else", async ({ page, host }) => {
  await page.addInitScript(() => {
    Storage.prototype.setItem = () => { throw new DOMException("no room", "QuotaExceededError"); };
  });
  await open(page, host, "#model=digits");
  await button(page, "Draw").click();
  await line(page, [0.3, 0.2], [0.6, 0.8]);
  await expect(status(page)).toHaveText("The browser refuses to keep your picture: it is here until the page is closed.");
  const drawn = await pixels(x0(page));
  await expect(page).toHaveURL(/draw=[\w-]{8,400}(&|$)/);
  // The address follows a moment later.
  await page.waitForTimeout(600);
  const link = page.url();
  const other = await page.context().browser().newContext();
  const visitor = await other.newPage();
  await visitor.goto(link);
  await expect(own(visitor)).toBeChecked();
  await expect.poll(() => pixels(x0(visitor))).toEqual(drawn);
  await visitor.goto(link.replace(/draw=[^&]*/, "draw=nonsense"));
  await expect(status(visitor)).toHaveText("Error: the link's draw is a drawing in at most 2000 letters, not “nonsense”.");
  await other.close();
});

test("emoji are drawn in colours on white", async ({ page, host }) => {
  await open(page, host, "#model=emoji");
  await button(page, "Draw").click();
  await page.getByRole("group", { name: "Colour" }).getByRole("radio", { name: "Red" }).check();
  await line(page, [0.3, 0.5], [0.7, 0.5]);
  const at = (x, y) => x0(page).evaluate((c, [x, y]) => Array.from(c.getContext("2d").getImageData(x, y, 1, 1).data), [x, y]);
  await expect.poll(() => at(16, 16)).toEqual([229, 57, 53, 255]);
  expect(await at(1, 1)).toEqual([255, 255, 255, 255]);
  await expectNoBarriers(page);
  // The slider is the page's as ever.
  await slider(page).fill("0");
  await expect(page.locator("#t-value")).toHaveText("0");
});
