// The fast student: the page begins with it, its teacher does all else, and a page that cannot have it is none the worse.
import { existsSync, readFileSync } from "node:fs";
import { expect, generate, generated, open, run, status, test } from "./visit.mjs";

const WEIGHTS = new URL("../../weights/", import.meta.url);
const fast = (page) => page.getByRole("checkbox", { name: "Fast" });
const steps = (page) => page.getByRole("spinbutton", { name: "Steps" });
const meaning = (page) => page.locator("#fast-meaning");

/** The names of the weights that the page fetches from now on. */
function fetched(page) {
  const names = [];
  page.on("request", (request) => {
    const [, name] = request.url().match(/weights\/([^/]+)\/.*safetensors$/) ?? [];
    if (name) names.push(name);
  });
  return names;
}

test("the bare address generates with the student, and its link brings the same pictures back", async ({ page, host }) => {
  const names = fetched(page);
  await open(page, host);
  expect(names.sort(), "the model for any t, and the student").toEqual(["digits", "digits-fast"]);
  await expect(fast(page)).toBeChecked();
  await expect(meaning(page)).toHaveText("4 steps, distilled from digits");
  await expect(page.locator("#loss"), "the model itself says what noise it sees").toContainText(/loss \d/);
  await run(page);
  await expect(status(page)).toHaveText(/^Done: 10 images in 4 steps/);
  const made = await generated(page, 10);
  await expect(page).toHaveURL(/#noise&model=digits-fast&/);
  const link = new URL(page.url()).hash;
  await page.goto("about:blank");
  await open(page, host, link);
  await run(page);
  expect(await generated(page, 10)).toEqual(made);
  await fast(page).uncheck();
  await expect(page.locator("#old")).toContainText("the fast student");
  await run(page);
  expect(await generated(page, 10), "the teacher's are others").not.toEqual(made);
});

test("what the student was not made for its teacher does, and the page says so", async ({ page, host }) => {
  await open(page, host);
  await steps(page).fill("3");
  await expect(meaning(page)).toContainText("not for 3 steps, so digits itself generates; the student knows 2 or 4 steps");
  await page.getByRole("spinbutton", { name: "Count" }).fill("1");
  await generate(page).click();
  await expect(status(page)).toHaveText(/by the teacher\.$|^Done/);
  await expect(status(page)).toHaveText(/^Done: 1 image in 3 steps/);
  await steps(page).fill("2");
  await expect(meaning(page)).toHaveText("2 steps, distilled from digits");
  await run(page);
});

test("a link to the model means the model, and the switch fetches the student when it is wanted", async ({ page, host }) => {
  const names = fetched(page);
  await open(page, host, "#model=digits");
  await expect(fast(page)).not.toBeChecked();
  expect(names).toEqual(["digits"]);
  await fast(page).check();
  await expect(generate(page)).toBeEnabled();
  await expect(meaning(page)).toHaveText("4 steps, distilled from digits");
  expect(names).toEqual(["digits", "digits-fast"]);
  await run(page);
  await fast(page).uncheck();
  await fast(page).check();
  await run(page);
  expect(names, "once is enough").toEqual(["digits", "digits-fast"]);
});

test("without its student the page generates with the teacher, and says why", async ({ page, host }) => {
  await page.route("**/weights/digits-fast/*.safetensors", (route) => route.fulfill({ status: 404 }));
  await page.goto(host.url);
  await expect(status(page)).toHaveText(/^Error: the fast student cannot be used, so its teacher generates: the network is missing: there is no weights\/digits-fast\//);
  await expect(fast(page)).not.toBeChecked();
  await run(page);
  // One whose weights are another net's is found by the worker.
  await page.unroute("**/weights/digits-fast/*.safetensors");
  const other = readFileSync(new URL("../golden/grey/diffusion_pytorch_model.safetensors", import.meta.url));
  await page.route("**/weights/digits-fast/*.safetensors", (route) => route.fulfill({ body: other }));
  await page.goto("about:blank");
  await page.goto(host.url);
  await expect(status(page)).toHaveText(/^Error: the fast student cannot be used/);
  await run(page);
});

test("every student that the list tells of lies beside its teacher, and no other", async () => {
  const list = JSON.parse(readFileSync(new URL("models.json", WEIGHTS), "utf8"));
  for (const { name, fast } of list) expect(existsSync(new URL(`${name}-fast/config.json`, WEIGHTS)), name).toBe(fast === true);
});
