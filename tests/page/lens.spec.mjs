// What is added is what is seen, and one pixel of it in numbers.
import { expect, image, open, pixels, run, test } from "./visit.mjs";

test("the weighted pictures add up to x_t, by the page's own numbers", async ({ page, host }) => {
  await open(page, host, "#t=300");
  const [x_0, noise, x_t] = [await pixels(image(page, "Weighted picture")), await pixels(image(page, "Weighted noise")), await pixels(image(page, "Noised image x_t"))];
  // Bytes of −1…1, cut off where the values go beyond: there nothing can be added.
  const inside = x_t.map((v, i) => i).filter((i) => [x_0[i], noise[i], x_t[i]].every((v) => v > 0 && v < 255));
  expect(inside.length).toBeGreaterThan(200);
  for (const i of inside) expect(Math.abs(x_0[i] + noise[i] - 127.5 - x_t[i])).toBeLessThan(2);
});

test("the lens stands where the pointer is, in every picture, and its sum adds up", async ({ page, host }) => {
  await open(page, host, "#t=300");
  await image(page, "Noised image x_t").hover({ position: { x: 60, y: 100 } });
  const number = async (id) => Number((await page.locator(`#${id}`).textContent()).replace("−", "-").replace(/[()]/g, ""));
  const column = page.getByRole("spinbutton", { name: "Pixel column" });
  expect(await column.inputValue()).not.toBe("14");
  expect(await number("pixel-signal") * await number("pixel-x0") + await number("pixel-sigma") * await number("pixel-epsilon")).toBeCloseTo(await number("pixel-xt"), 1);
  const before = await number("pixel-epsilon");
  await column.fill("2");
  await expect.poll(() => number("pixel-epsilon")).not.toBe(before);
});

test("a tile of a film is pressed to jump there, a class is chosen by its picture, and the model tells of itself", async ({ page, host }) => {
  await open(page, host, "#count=2&steps=4");
  const film = page.locator("#film-strip");
  const { width, height } = await film.boundingBox();
  await film.click({ position: { x: width * 20.5 / 21, y: height / 2 } });
  await expect(page.locator("#t-value")).toHaveText("1000");
  await page.getByRole("button", { name: "Class by its picture" }).click();
  await page.getByRole("radio", { name: "class 7" }).check();
  await expect(page.getByRole("combobox", { name: "Class" })).toHaveValue("7");
  await page.getByRole("button", { name: "About this model" }).click();
  await expect(page.locator("#facts")).toContainText("predicts v_prediction");
  await page.keyboard.press("Escape");
  await run(page);
  await page.getByRole("radio", { name: "picture 2: 7" }).check();
  await expect(page.locator("#film-of")).toHaveText("picture 2: 7");
});
