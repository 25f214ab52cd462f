// The visitor's own picture, chosen or dropped: a whole file becomes x_0; one that is cut off, or no picture, is refused with a
// sentence, though browsers make something of half a file.
import { expect, image, open, pixels, status, test } from "./visit.mjs";

const x0 = (page) => image(page, "Original image x_0");
const problem = (page) => page.locator("#upload-error");

/** A file of that type, made by the browser: light left of dark, with enough in it to be cut. */
async function drawn(page, type) {
  const bytes = await page.evaluate(async (type) => {
    const canvas = new OffscreenCanvas(256, 256);
    const context = canvas.getContext("2d");
    for (let y = 0; y < 256; y += 4) {
      for (let x = 0; x < 256; x += 4) {
        const grey = (x < 128 ? 192 : 32) + ((x * 7 + y * 13) % 32);
        context.fillStyle = `rgb(${grey},${grey},${grey})`;
        context.fillRect(x, y, 4, 4);
      }
    }
    return Array.from(new Uint8Array(await (await canvas.convertToBlob({ type })).arrayBuffer()));
  }, type);
  return Buffer.from(bytes);
}

async function choose(page, name, buffer) {
  await page.getByLabel("Your own picture").setInputFiles({ name, mimeType: "application/octet-stream", buffer });
}

/** Drops a file on the page; true if the page took it from the browser. */
function drop(page, name, buffer, onto) {
  return page.locator(onto).evaluate((element, { name, bytes }) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([new Uint8Array(bytes)], name));
    const tell = (type) => !element.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    return tell("dragover") && document.querySelector(".awaits") !== null && tell("drop") && document.querySelector(".awaits") === null;
  }, { name, bytes: Array.from(buffer) });
}

for (const [type, suffix, end] of [["image/png", "png", "the IEND chunk"], ["image/jpeg", "jpg", "the end-of-image marker"], ["image/webp", "webp", ""]]) {
  test(`a whole ${suffix} becomes x_0, a cut one does not, chosen or dropped`, async ({ page, host }) => {
    await open(page, host);
    const file = await drawn(page, type);
    const before = await pixels(x0(page));
    const cuts = [0.9, 0.5, 0.02].map((part) => file.subarray(0, Math.floor(part * file.length))).concat(file.subarray(0, file.length - 2));
    for (const cut of cuts) {
      await choose(page, `cut.${suffix}`, cut);
      await expect(status(page)).toHaveText(/^Error: “cut\.[a-z]+” cannot be used: the file ends in the middle: expected /);
      await expect(problem(page)).toContainText(`${end}`);
      await expect(problem(page)).toContainText(`found the end after ${cut.length} bytes`);
      expect(await pixels(x0(page)), `${cut.length} of ${file.length} bytes`).toEqual(before);
      // Not the words of the last time.
      await page.getByLabel("Digit 4").check({ force: true });
      await page.getByLabel("Digit 3").check({ force: true });
      await expect(problem(page)).toBeHidden();
    }
    expect(await drop(page, `dropped.${suffix}`, cuts[0], "#generate")).toBe(true);
    await expect(status(page)).toHaveText(/^Error: “dropped\.[a-z]+” cannot be used/);
    expect(await pixels(x0(page))).toEqual(before);
    await choose(page, "whole", file);
    await expect(status(page)).toHaveText("“whole” is x₀ now; it has not left your machine.");
    const whole = await pixels(x0(page));
    expect(whole.every((value, p) => (p % 28 < 14 ? value > 180 : value < 80))).toBe(true);
    await page.getByLabel("Digit 3").check({ force: true });
    expect(await drop(page, "dropped", file, "#t")).toBe(true);
    await expect(status(page)).toHaveText(/^“dropped” is x₀ now/);
    expect(await pixels(x0(page))).toEqual(whole);
    expect(page.url(), "the page is still there").toContain(host.url);
  });
}

test("what is no picture is refused, whatever its name", async ({ page, host }) => {
  await open(page, host);
  const before = await pixels(x0(page));
  for (const [name, text] of [["notes.png", "no picture at all"], ["empty.jpg", ""], ["half.svg", "<svg xmlns='http://www.w3.org/2000/svg'><path"]]) {
    await choose(page, name, Buffer.from(text));
    await expect(status(page)).toHaveText(`Error: “${name}” is not a picture that this browser can read.`);
    expect(await drop(page, `dropped-${name}`, Buffer.from(text), "h1")).toBe(true);
    await expect(status(page)).toHaveText(`Error: “dropped-${name}” is not a picture that this browser can read.`);
    expect(await pixels(x0(page))).toEqual(before);
  }
});
