// From one model to another and back: here to a tiny one in colour, with random weights, that only the test has.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { difference, expect, generate, image, open, pixels, run, slider, status, test } from "./visit.mjs";

const TINY = new URL("../golden/rgb/", import.meta.url);
const WEIGHTS = new URL("../../weights/", import.meta.url);
const model = (page) => page.getByRole("combobox", { name: "Model" });
const value = (page, id) => page.locator(`#${id}`).inputValue();
const size = (canvas) => canvas.evaluate((c) => [c.width, c.height]);

/** The pixels of a canvas, [red, green, blue] each. */
const colours = (canvas) => canvas.evaluate((c) => {
  const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
  return Array.from({ length: data.length / 4 }, (_, i) => Array.from(data.slice(4 * i, 4 * i + 3)));
});

/** Adds the tiny model to the host's. */
async function addTiny(page) {
  await page.route("**/weights/models.json", async (route) => {
    const response = await route.fetch();
    const tiny = { name: "tiny", title: "tiny squares", pictures: ["red", "green", "blue"], credit: "Squares by nobody." };
    await route.fulfill({ response, json: [...(await response.json()), tiny] });
  });
  await page.route("**/weights/tiny/*", (route) => {
    const file = new URL(route.request().url().split("/").at(-1), TINY);
    return existsSync(file) ? route.fulfill({ body: readFileSync(file) }) : route.fulfill({ status: 404 });
  });
  const squares = ["f00", "0f0", "00f"].map((colour, i) => `<path fill="#${colour}" d="M${8 * i} 0h8v8h-8z"/>`).join("");
  const row = `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="8">${squares}</svg>`;
  await page.route("**/samples/tiny.png", (route) => route.fulfill({ body: row, contentType: "image/svg+xml" }));
}

test("every model that ships can be chosen", async ({ page, host }) => {
  await open(page, host);
  const folders = readdirSync(WEIGHTS).filter((name) => !name.endsWith("-fast") && existsSync(new URL(`${name}/config.json`, WEIGHTS)));
  const options = await model(page).locator("option").evaluateAll((all) => all.map((option) => option.value));
  expect(options.sort()).toEqual(folders.sort());
  for (const name of folders) {
    await model(page).selectOption(name);
    await expect(generate(page)).toBeEnabled();
    await expect(status(page)).toHaveText(/^Ready/);
    await expect(page.locator("#loss")).toContainText(/loss \d/);
  }
});

test("another model keeps what it can of the controls, and the link holds it", async ({ page, host }) => {
  await addTiny(page);
  await open(page, host, "#picture=7&t=123&noise=4&class=7&sampler=ddim&steps=4&seed=8&count=3&guidance=1&eta=0.5&engine=cpu");
  await run(page);
  await model(page).selectOption({ label: "tiny squares" });
  await expect(status(page)).toHaveText(/^Ready; this model has pictures 0 to 2, not 7; this model has no classes/);
  await expect(page).toHaveURL(/#noise&model=tiny&picture=2&t=123&noise=4&class=each&sampler=ddim&steps=4&seed=8&count=3&guidance=1&eta=0.5&spacing=leading&as=diffusers&engine=cpu$/);
  await expect(page.getByRole("combobox", { name: "Class" })).toBeDisabled();
  await expect(page.locator("#credit")).toHaveText("Squares by nobody.");
  await expect(page.locator("#run"), "the run was another model's").toBeHidden();
  const x0 = image(page, "Original image x_0");
  expect(await size(x0)).toEqual([8, 8]);
  expect(await colours(x0), "blue").toEqual(Array(64).fill([0, 0, 255]));
  await page.getByLabel("green", { exact: true }).check({ force: true });
  expect(await colours(x0)).toEqual(Array(64).fill([0, 255, 0]));
  await expect(page.locator("#loss")).toContainText(/loss \d/);
  const noise = await colours(image(page, "Generated images"));
  await run(page);
  expect(await size(image(page, "Generated images"))).toEqual([24, 8]);
  const made = await colours(image(page, "Generated images"));
  expect(made).not.toEqual(noise);
  expect(made.some(([r, g]) => r !== g), "in colour").toBe(true);
  await expect(page, "the address follows a moment later").toHaveURL(/picture=1&/);
  await page.reload();
  await expect(generate(page)).toBeEnabled();
  expect(await value(page, "model")).toBe("tiny");
  await run(page);
  expect(await colours(image(page, "Generated images")), "the link is all it takes").toEqual(made);
  await model(page).selectOption({ label: "digits" });
  await expect(generate(page)).toBeEnabled();
  expect([await value(page, "t"), await value(page, "seed"), await value(page, "sampler")]).toEqual(["123", "8", "ddim"]);
  await expect(page.getByLabel("Digit 1")).toBeChecked();
  await run(page);
  expect(await size(image(page, "Generated images"))).toEqual([84, 28]);
});

test("an own picture comes along to another model", async ({ page, host }) => {
  await addTiny(page);
  await open(page, host);
  const half = '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80"><path fill="#f80" d="M0 0h40v80H0z"/></svg>';
  await page.getByLabel("Your own picture").setInputFiles({ name: "half.svg", mimeType: "image/svg+xml", buffer: Buffer.from(half) });
  await expect(status(page)).toContainText("has not left your machine");
  const x0 = image(page, "Original image x_0");
  // As training makes them of the same pixels: brightness by Rec. 709, and Lanczos's filter rings beside an edge.
  const row = [...Array(11).fill(151), 152, 150, 158, 249, 255, 254, ...Array(11).fill(255)];
  const grey = Array.from({ length: 784 }, (_, p) => row[p % 28]);
  expect(difference(await pixels(x0), grey)).toBeLessThan(2);
  await model(page).selectOption({ label: "tiny squares" });
  await expect(status(page)).toHaveText(/^Ready/);
  const edge = [[255, 136, 0], [255, 137, 1], [255, 134, 0], [255, 144, 17], [255, 247, 238], [255, 255, 255], [255, 254, 254], [255, 255, 255]];
  await expect.poll(() => colours(x0)).toEqual(Array.from({ length: 64 }, (_, p) => edge[p % 8]));
});

test("the download shows how far it is; what fails is said, and can be tried again", async ({ page, host }) => {
  await addTiny(page);
  await open(page, host, "#count=1&steps=2");
  await expect(page.locator("#download-line")).toBeHidden();
  let arrive;
  await page.route("**/weights/tiny/*.safetensors", async (route) => {
    await new Promise((resolve) => (arrive = resolve));
    await route.abort();
  });
  await model(page).selectOption({ label: "tiny squares" });
  await expect(page.locator("#download-line")).toContainText("Loading tiny squares: 0.0");
  await expect(page.getByRole("progressbar", { name: "Download of the model" })).toBeVisible();
  await expect(generate(page)).toBeDisabled();
  await slider(page).fill("700");
  await expect.poll(() => arrive !== undefined).toBe(true);
  arrive();
  await expect(status(page)).toHaveText(/^Error: the network could not be loaded, diffusion_pytorch_model.safetensors: /);
  expect(await value(page, "model"), "the present model stays").toBe("digits");
  await run(page);
  await page.unroute("**/weights/tiny/*.safetensors");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(status(page)).toHaveText(/^Ready/);
  expect(await value(page, "model")).toBe("tiny");
  await expect(page.getByRole("button", { name: "Try again" })).toBeHidden();
  await run(page);
});

test("bytes of the total are shown as they come", async ({ page, host }) => {
  const seen = [];
  await page.exposeFunction("seen", (text) => seen.push(text));
  await page.addInitScript(() => addEventListener("DOMContentLoaded", () => {
    const line = document.getElementById("download-text");
    new MutationObserver(() => globalThis.seen(line.textContent)).observe(line, { childList: true, characterData: true, subtree: true });
  }));
  await open(page, host);
  expect(seen.length).toBeGreaterThan(1);
  expect(seen.filter((text) => /^Loading digits: (\d\.\d) of \1 MB$/.test(text))).not.toEqual([]);
});

test("a model that is not there is named; a list that is none can be tried again", async ({ page, host }) => {
  await page.goto(`${host.url}#model=hazel`);
  await expect(status(page)).toHaveText(/^Error: there is no model “hazel” here, only digits/);
  await expect(generate(page)).toBeEnabled();
  expect(await value(page, "model")).toBe("digits");
  await page.route("**/weights/models.json", (route) => route.fulfill({ body: "[]" }));
  await page.reload();
  await expect(status(page)).toHaveText(/^Error: the list of models, models.json, cannot be used: it is empty/);
  await page.unroute("**/weights/models.json");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(generate(page)).toBeEnabled();
});
