// Whose settings a run takes: a link's, the visitor's, or what the model's folder suggests.
import { readFileSync } from "node:fs";
import { expect, generate, generated, image, keepSeed, open, pixels, run, slider, status, test } from "./visit.mjs";

const SETTINGS = ["sampler", "steps", "guidance", "eta"];
const settings = (page) => page.evaluate((ids) => ids.map((id) => document.getElementById(id).value).join(), SETTINGS);
const model = (page) => page.getByRole("combobox", { name: "Model" });
const steps = (page) => page.getByRole("spinbutton", { name: "Steps" });

/** Lets the folder of a model suggest something of its own. */
const suggest = (page, name, keys) => page.route(`**/weights/${name}/scheduler_config.json`, async (route) => {
  const response = await route.fetch();
  const config = await response.json();
  for (const key of ["_sampler", "_num_inference_steps", "_timestep_spacing", "_as", "_eta", "_guidance"]) delete config[key];
  await route.fulfill({ response, json: { ...config, ...keys } });
});

/** Opens the page as somebody does who has no link. */
async function visit(page, host, hash = "") {
  await page.goto(host.url + hash);
  await expect(generate(page)).toBeEnabled();
}

test("the page begins with what the folder suggests, and what nobody has touched follows the model", async ({ page, host }) => {
  await suggest(page, "digits", { _sampler: "dpmsolver++", _num_inference_steps: 6, _timestep_spacing: "trailing", _as: "paper", _eta: 0.25, _guidance: 1.2 });
  await suggest(page, "fashion", {});
  await visit(page, host, "#model=digits");
  expect(await settings(page)).toBe("dpmsolver++,6,1.2,0.25");
  await expect(keepSeed(page)).not.toBeChecked();
  await page.getByRole("slider", { name: "Guidance" }).fill("3");
  // The address says all of it by now, and yet a reload does not make it the visitor's.
  await expect(page).toHaveURL(/guidance=3&eta=0.25&spacing=trailing&as=paper/);
  await page.reload();
  await expect(generate(page)).toBeEnabled();
  expect(await settings(page)).toBe("dpmsolver++,6,3,0.25");
  await expect(keepSeed(page)).not.toBeChecked();
  await model(page).selectOption("fashion");
  await expect(page).toHaveURL(/model=fashion/);
  expect(await settings(page), "a model that suggests nothing: 8 evaluations; the guidance was touched").toBe("ddim,8,3,0");
  await expect(page).toHaveURL(/model=fashion&.*sampler=ddim&steps=8&.*guidance=3&eta=0&spacing=trailing&as=paper/);
});

test("an old link is the old picture, whatever it leaves unsaid", async ({ page, host }) => {
  const whole = "#model=digits&picture=3&t=400&noise=1&class=each&sampler=ddim&steps=15&seed=6&count=2&guidance=1.5&eta=0&engine=cpu";
  await visit(page, host, whole);
  await run(page);
  const old = await generated(page, 2);
  await expect(page.getByRole("list", { name: "The algorithm" })).toContainText("for t = 925, 859, 793, …, 1, s = t − 66, at least 0:");
  // What the page writes now says more, and means the same.
  await expect(page).toHaveURL(/guidance=1.5&eta=0&spacing=leading&as=diffusers&engine=cpu$/);
  const written = new URL(page.url()).hash;
  for (const hash of ["#count=2", written]) {
    await page.goto("about:blank");
    await visit(page, host, hash);
    expect(await settings(page), hash).toBe("ddim,15,1.5,0");
    await run(page);
    expect(await generated(page, 2), hash).toEqual(old);
    await run(page);
    expect(await generated(page, 2), "its seed is kept").toEqual(old);
  }
});

test("a link to another model waits for it, and is held against that one's limits", async ({ page, host }) => {
  await visit(page, host);
  let arrive;
  await page.route("**/weights/emoji/*.safetensors", async (route) => {
    await new Promise((resolve) => (arrive = resolve));
    await route.continue();
  });
  await page.evaluate(() => (location.hash = "#model=emoji&t=5000&picture=9&steps=5&count=1"));
  await expect.poll(() => arrive !== undefined).toBe(true);
  await expect(model(page), "the present one stays meanwhile").toHaveValue("digits");
  await slider(page).fill("700");
  await expect(page.locator("#t-value")).toHaveText("700");
  arrive();
  await expect(status(page)).toHaveText("Error: t is at most 1000 with this model, not 5000; this model has pictures 0 to 8, not 9.");
  await expect(model(page)).toHaveValue("emoji");
  expect(await settings(page)).toBe("ddim,5,1.5,0");
  await expect(page.locator("#t-value")).toHaveText("1000");
  await run(page);
});

test("no link ends the program, fresh or followed", async ({ page, host }) => {
  const links = [
    "#t=1001", "#t=100000&steps=100000", "#t=99999999999999999999", "#model=fashion&class=10000&picture=9", "#class=none&guidance=-0&eta=1e-320",
    "#sampler=dpmsolver%2B%2B&steps=1000", "#steps=1&spacing=linspace&as=paper", "#%00=%00&&&=&==", "#model=emoji&t=5000", "#noise=4294967295&seed=4294967295",
    `#${"t=5&".repeat(300)}`, `#class=${"%F0%9F%98%80".repeat(400)}`, "#as=paper&spacing=leading&steps=999&sampler=ddpm", "",
  ];
  for (const fresh of [true, false]) {
    await page.goto("about:blank");
    await visit(page, host);
    for (const link of links) {
      if (fresh) await page.goto("about:blank");
      await page.goto(host.url + link);
      await expect(generate(page)).toBeEnabled();
      await slider(page).fill("300");
      await expect(page.locator("#t-value"), link).toHaveText("300");
    }
  }
  // What cannot be run is refused with a sentence, and the next thing runs.
  await page.goto(`${host.url}#sampler=dpmsolver%2B%2B&steps=1000&count=1`);
  await generate(page).click();
  await expect(status(page)).toHaveText(/^Error: .*visit timestep 0 twice/);
  await steps(page).fill("2");
  await run(page);
});

test("without a link Generate makes another picture each time, and the link holds the one shown", async ({ page, host }) => {
  await visit(page, host);
  await page.getByRole("spinbutton", { name: "Count" }).fill("1");
  await steps(page).fill("2");
  const noise = await pixels(image(page, "Generated images"));
  await run(page);
  await page.getByRole("slider", { name: "Step of the run" }).fill("0");
  expect(await pixels(image(page, "Generated images")), "the noise shown is the noise used").toEqual(noise);
  await run(page);
  const [shown] = await generated(page, 1);
  const before = await page.locator("#seed").inputValue();
  await steps(page).press("Enter");
  await expect(page.locator("#seed")).not.toHaveValue(before);
  await expect(status(page)).toHaveText(/^Done/);
  const [again] = await generated(page, 1);
  expect(again).not.toEqual(shown);
  const seed = await page.locator("#seed").inputValue();
  await expect(page).toHaveURL(new RegExp(`seed=${seed}&`));
  const link = new URL(page.url()).hash;
  await page.goto("about:blank");
  await visit(page, host, link);
  await run(page);
  expect((await generated(page, 1))[0]).toEqual(again);
  await expect(keepSeed(page)).toBeChecked();
});

test("while a model loads nothing is black, and what is shown is its own", async ({ page, host }) => {
  let go;
  await page.route("**/weights/emoji/*.safetensors", async (route) => {
    await new Promise((resolve) => (go = resolve));
    await route.continue();
  });
  await page.goto(`${host.url}#model=emoji&t=400`);
  await expect.poll(() => go !== undefined).toBe(true);
  await expect(page.getByLabel("frog"), "its pictures come before its weights").toBeAttached();
  expect(await image(page, "Original image x_0").evaluate((c) => c.width)).toBe(32);
  await expect(page.locator("#alpha-bar")).toHaveText(/^0\.\d{4}$/);
  const grounds = await page.locator("#epsilon-hat, #x0-hat").evaluateAll((all) => all.map((c) => getComputedStyle(c).backgroundColor));
  for (const ground of grounds) expect(ground).not.toBe("rgb(0, 0, 0)");
  await expect(generate(page)).toBeDisabled();
  go();
  await expect(generate(page)).toBeEnabled();
});

test("index.html shows no number that a model would have to say", async () => {
  const html = readFileSync(new URL("../../web/index.html", import.meta.url), "utf8");
  for (const id of ["alpha-bar", "signal", "sigma"]) expect(html).toContain(`id="${id}">–<`);
});
