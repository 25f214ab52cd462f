// Back takes back the last change of a setting, Forward makes it again.
import { expect, generate, generated, open, pixels, image, run, slider, test } from "./visit.mjs";

const select = (page, name) => page.getByRole("combobox", { name, exact: true });
const model = (page) => select(page, "Model");
const entries = (page) => page.evaluate(() => history.length);

/** Drags the slider's thumb by so many pixels, slowly enough for the page to see many of them. */
async function drag(page, locator, by) {
  await locator.scrollIntoViewIfNeeded();
  const box = await locator.boundingBox();
  const share = await locator.evaluate((input) => (input.value - input.min) / (input.max - input.min));
  const [x, y] = [box.x + 8 + share * (box.width - 16), box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x + by, y, { steps: 20 });
  await page.waitForTimeout(1500);
  await page.mouse.move(x + by + 20, y, { steps: 5 });
  await page.mouse.up();
}

test("a drag, a class, a number, a key that is held: Back takes back one after the other, and Forward makes them again", async ({ page, host }) => {
  await open(page, host, "#model=digits&t=400&count=2&steps=2&seed=6");
  const xt = image(page, "Noised image x_t");
  const before = { t: await slider(page).inputValue(), pixels: await pixels(xt), entries: await entries(page) };
  await drag(page, slider(page), 200);
  const dragged = { t: await slider(page).inputValue(), pixels: await pixels(xt) };
  expect(Number(dragged.t)).toBeGreaterThan(500);
  expect(await entries(page), "however long it took").toBe(before.entries + 1);
  await select(page, "Class").selectOption("7");
  const steps = page.getByRole("spinbutton", { name: "Steps" });
  await steps.fill("3");
  await steps.blur();
  await slider(page).focus();
  for (let i = 0; i < 20; i++) await page.keyboard.press("ArrowRight");
  const pressed = await slider(page).inputValue();
  expect(Number(pressed)).toBe(Number(dragged.t) + 20);
  expect(await entries(page)).toBe(before.entries + 4);
  await expect(page).toHaveURL(new RegExp(`&t=${pressed}&`));

  await page.goBack();
  await expect(page.locator("#t-value")).toHaveText(dragged.t);
  await expect(steps).toHaveValue("3");
  await page.goBack();
  await expect(steps).toHaveValue("2");
  await expect(select(page, "Class")).toHaveValue("7");
  await page.goBack();
  await expect(select(page, "Class")).toHaveValue("each");
  expect(await pixels(xt)).toEqual(dragged.pixels);
  await page.goBack();
  await expect(slider(page)).toHaveValue(before.t);
  expect(await pixels(xt)).toEqual(before.pixels);
  await page.goForward();
  await page.goForward();
  await page.goForward();
  await page.goForward();
  await expect(slider(page)).toHaveValue(pressed);
  await expect(select(page, "Class")).toHaveValue("7");
  await expect(steps).toHaveValue("3");
  await run(page);
});

test("Generate makes no entry: Back undoes the setting, whatever was made since", async ({ page, host }) => {
  await page.goto(`${host.url}#model=digits`);
  await expect(generate(page)).toBeEnabled();
  await page.getByRole("spinbutton", { name: "Steps" }).fill("2");
  await page.getByRole("spinbutton", { name: "Count" }).fill("2");
  await page.waitForTimeout(300);
  const before = await entries(page);
  await select(page, "Class").selectOption("3");
  for (let i = 0; i < 3; i++) await run(page);
  expect(await entries(page)).toBe(before + 1);
  const made = await generated(page, 2);
  await page.goBack();
  await expect(select(page, "Class")).toHaveValue("each");
  expect(await generated(page, 2), "the pictures stay").toEqual(made);
});

test("Back after another model goes back to the one before, and a reload changes nothing of it", async ({ page, host }) => {
  await open(page, host, "#model=digits&t=400");
  await slider(page).fill("650");
  await model(page).selectOption("fashion");
  await expect(page).toHaveURL(/#noise&model=fashion&/);
  await expect(page.getByRole("radio", { name: "Trouser" })).toBeAttached();
  await expect(page.locator("#badge-text")).toContainText("CPU");
  await page.goBack();
  await expect(page.getByRole("radio", { name: "Digit 3" })).toBeAttached();
  await expect(model(page)).toHaveValue("digits");
  await expect(slider(page)).toHaveValue("650");
  await expect(page).toHaveURL(/#noise&model=digits&/);
  await page.reload();
  await expect(generate(page)).toBeEnabled();
  await page.goBack();
  await expect(slider(page)).toHaveValue("400");
  await page.goForward();
  await page.goForward();
  await expect(page.getByRole("radio", { name: "Trouser" })).toBeAttached();
  await expect(slider(page)).toHaveValue("650");
});

test("a link opens its room, and one within the page leaves the settings", async ({ page, host }) => {
  await page.setViewportSize({ width: 1280, height: 600 });
  const top = (id) => page.locator(`#${id}`).evaluate((section) => Math.abs(Math.round(section.getBoundingClientRect().top)));
  const title = (name) => page.getByRole("heading", { name });
  await page.goto(`${host.url}#generate&t=123`);
  await expect(generate(page)).toBeEnabled();
  await expect(title(/Generate/)).toBeInViewport();
  await expect(page.locator("#t-value")).toHaveText("123");
  await page.evaluate(() => document.body.append(Object.assign(document.createElement("a"), { id: "way", href: "#check", textContent: "Check" })));
  await page.evaluate(() => document.getElementById("way").click());
  await expect(page).toHaveURL(/#check&model=.*&t=123&/);
  await expect(title(/Check/)).toBeInViewport();
  await slider(page).fill("5");
  await page.goBack();
  await expect(page.locator("#t-value")).toHaveText("123");
  await page.goBack();
  await expect(page).toHaveURL(/#generate&/);
  await expect(title(/Generate/)).toBeInViewport();
  expect(await top("generate")).toBeLessThan(600);
});
