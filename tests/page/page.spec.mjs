// The page as a visitor finds it in a browser without WebGPU: everything works, on the CPU.
import { difference, expect, expectNoBarriers, generate, generated, image, keepSeed, newNoise, open, pixels, run, slider, status, stop, test } from "./visit.mjs";

test("reads before its program runs, and says what it needs", async ({ browser, host }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(host.url);
  // Chromium does not show it where only the tests have switched scripts off.
  expect(await page.content()).toMatch(/<noscript>.*needs JavaScript and WebAssembly/);
  await expect(slider(page)).toBeVisible();
  for (const name of ["Model", "Sampler", "Class", "Engine"]) await expect(page.getByRole("combobox", { name, exact: true })).toBeVisible();
  for (const name of ["Steps", "Seed", "Count"]) await expect(page.getByRole("spinbutton", { name, exact: true })).toBeVisible();
  await expect(page.getByRole("slider", { name: "Guidance", exact: true })).toBeVisible();
  await context.close();
});

test("the slider moves the pixels at once, and the network's guess follows", async ({ page, host }) => {
  await open(page, host, "#t=0");
  const [x0, xt] = [image(page, "Original image x_0"), image(page, "Noised image x_t")];
  expect(await pixels(xt), "at t = 0 it is the picture").toEqual(await pixels(x0));
  await expect(page.locator("#loss")).toContainText("none at t = 0");
  // Changed and read within one task: no frame, no worker in between.
  const changed = await slider(page).evaluate((input) => {
    const canvas = document.getElementById("xt");
    const read = () => canvas.getContext("2d").getImageData(0, 0, 28, 28).data.join();
    const before = read();
    input.value = "400";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    return before !== read();
  });
  expect(changed).toBe(true);
  // The cosine schedule's ᾱ at timestep 399.
  const f = (i) => Math.cos((((i / 1000 + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  let alphaBar = 1;
  for (let i = 0; i < 400; i++) alphaBar *= 1 - Math.min(1 - f(i + 1) / f(i), 0.999);
  expect(Number(await page.locator("#alpha-bar").textContent())).toBeCloseTo(alphaBar, 3);
  expect(Number(await page.locator("#signal").textContent())).toBeCloseTo(Math.sqrt(alphaBar), 3);
  expect(Number(await page.locator("#sigma").textContent())).toBeCloseTo(Math.sqrt(1 - alphaBar), 3);
  await expect(page.locator("#timestep")).toHaveText("399");
  await expect(page.locator("#loss")).toContainText(/loss \d\.\d{4}/);
  const before = await pixels(xt);
  await slider(page).focus();
  await page.keyboard.press("ArrowRight");
  await expect(page.locator("#t-value")).toHaveText("401");
  expect(difference(before, await pixels(xt))).toBeLessThan(16);
  await page.getByLabel("Digit 8").check({ force: true });
  expect(await pixels(x0), "another picture").not.toEqual(before);
  await page.getByRole("spinbutton", { name: "Noise seed" }).fill("99");
  expect(difference(before, await pixels(xt)), "other noise").toBeGreaterThan(64);
});

test("Generate makes ten different digits, the same for the same seed, and a film of them", async ({ page, host }) => {
  await open(page, host);
  const noise = await generated(page, 10);
  await run(page);
  const digits = await generated(page, 10);
  for (const [i, digit] of digits.entries()) {
    for (const other of digits.slice(0, i)) expect(difference(digit, other)).toBeGreaterThan(64);
    // Light strokes on dark ground: dark corners, and a twentieth to a half of it light.
    const corners = [0, 1, 28, 26, 27, 55, 728, 756, 757, 755, 782, 783].map((p) => digit[p]);
    expect(Math.max(...corners), `corners of image ${i}`).toBeLessThan(96);
    const light = digit.filter((v) => v > 127).length / 784;
    expect(light, `light pixels of image ${i}`).toBeGreaterThan(0.03);
    expect(light, `light pixels of image ${i}`).toBeLessThan(0.5);
  }
  await expect(page.locator("#badge-text")).toContainText(/CPU .* ms a step/);
  const step = page.getByRole("slider", { name: "Step of the run" });
  await step.fill("0");
  expect(await generated(page, 10), "the film begins with the noise shown before").toEqual(noise);
  await step.fill(await step.getAttribute("max"));
  expect(await generated(page, 10)).toEqual(digits);
  await run(page);
  expect(await generated(page, 10), "one seed, one result").toEqual(digits);
});

test("every sampler, class and guidance can be asked for", async ({ page, host }) => {
  await open(page, host, "#count=2&steps=3");
  const results = [];
  for (const [sampler, label, guidance] of [["DDPM", "7", "1"], ["DDIM", "none", "1"], ["DPM-Solver++", "each in turn", "2"], ["iPNDM", "7", "1"]]) {
    await page.getByRole("combobox", { name: "Sampler" }).selectOption({ label: sampler });
    await page.getByRole("combobox", { name: "Class" }).selectOption({ label });
    await page.getByRole("slider", { name: "Guidance" }).fill(guidance);
    await run(page);
    results.push(JSON.stringify(await generated(page, 2)));
  }
  expect(new Set(results).size).toBe(4);
});

test("Stop stops, and the slider lives while a run does", async ({ page, host }) => {
  await open(page, host, "#sampler=ddpm&steps=1000&count=16");
  await generate(page).click();
  await expect(page.locator("#now")).toContainText(/step \d+ of 1000/);
  const before = await pixels(image(page, "Noised image x_t"));
  await slider(page).fill("900");
  expect(await pixels(image(page, "Noised image x_t"))).not.toEqual(before);
  await expect(page.locator("#loss")).toContainText(/loss/);
  const took = await stop(page).evaluate(async (button) => {
    const begin = performance.now();
    button.click();
    while (!/^Stopped/.test(document.getElementById("status").textContent)) await new Promise(requestAnimationFrame);
    return performance.now() - begin;
  });
  expect(took).toBeLessThan(300);
  const stopped = await generated(page, 16);
  await page.waitForTimeout(600);
  expect(await generated(page, 16), "nothing moves any more").toEqual(stopped);
  await page.getByRole("spinbutton", { name: "Steps" }).fill("2");
  await page.getByRole("spinbutton", { name: "Count" }).fill("1");
  await run(page);
});

test("without WebGPU the CPU takes over and the page says so; WebGPU itself is refused", async ({ page, host }) => {
  await open(page, host, "#count=1&steps=2");
  await expect(page.locator("#engine-note")).toContainText("auto took the CPU");
  const engine = page.getByRole("combobox", { name: "Engine" });
  await engine.selectOption({ label: "WebGPU" });
  await expect(status(page)).toHaveText(/^Error: /);
  await expect(generate(page)).toBeEnabled();
  await engine.selectOption({ label: "auto" });
  await expect(status(page)).toHaveText(/^Ready/);
  await engine.selectOption({ label: "CPU" });
  await expect(page.locator("#badge-text")).toContainText("CPU");
  await expect(page.locator("#engine-note")).toBeHidden();
  await run(page);
});

test("an own picture becomes x_0; what is no picture does not", async ({ page, host }) => {
  await open(page, host);
  const x0 = image(page, "Original image x_0");
  const before = await pixels(x0);
  const upload = page.getByLabel("Your own picture");
  await upload.setInputFiles({ name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no picture at all") });
  await expect(status(page)).toHaveText(/^Error: “notes.png” is not a picture/);
  await expect(page.locator("#upload-error")).toBeVisible();
  expect(await pixels(x0)).toEqual(before);
  const half = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><path fill="#fff" d="M0 0h45v60H0z"/><path d="M45 0h45v60H45z"/></svg>';
  await upload.setInputFiles({ name: "half.svg", mimeType: "image/svg+xml", buffer: Buffer.from(half) });
  await expect(status(page)).toContainText("has not left your machine");
  await expect(page.locator("#upload-error")).toBeHidden();
  // As training makes it of the same pixels: Lanczos's filter rings beside an edge.
  const row = [...Array(11).fill(255), 254, 255, 241, 14, 0, 1, ...Array(11).fill(0)];
  const rows = Array.from({ length: 784 }, (_, p) => row[p % 28]);
  expect(difference(await pixels(x0), rows), "its middle, white left of black").toBeLessThan(2);
});

test("a link holds every control, and a bad one is refused with a sentence", async ({ page, host }) => {
  await open(page, host, "#picture=5&t=123&noise=4&class=7&sampler=ddpm&steps=9&seed=8&count=3&guidance=1.5&eta=0.5&engine=cpu");
  const values = () => page.evaluate(() => ["t", "noise-seed", "class", "sampler", "steps", "seed", "count", "guidance", "eta", "engine"].map((id) => document.getElementById(id).value).join());
  expect(await values()).toBe("123,4,7,ddpm,9,8,3,1.5,0.5,cpu");
  await expect(page.getByLabel("Digit 5")).toBeChecked();
  await page.getByRole("spinbutton", { name: "Seed", exact: true }).fill("21");
  await expect(page).toHaveURL(/#noise&model=digits-fast&picture=5&t=123&noise=4&class=7&sampler=ddpm&steps=9&seed=21&count=3&guidance=1.5&eta=0.5&spacing=leading&as=diffusers&engine=cpu$/);
  await page.getByRole("button", { name: "Copy link" }).click();
  await expect(status(page)).toHaveText(/link is/);
  await page.goto(`${host.url}#t=2000&steps=0&count=99&eta=NaN&flavour=hazel&class=%ff`);
  await expect(status(page)).toHaveText(/^Error: .*steps must be a whole number of at least 1/);
  for (const part of ["count must be 1 to 16", "eta must be 0 to 1", "“flavour”", "“class” is not readable", "t is at most 1000"]) {
    await expect(status(page)).toContainText(part);
  }
  expect(await slider(page).inputValue()).toBe("1000");
  await page.getByRole("spinbutton", { name: "Count" }).fill("17");
  await generate(page).click();
  await expect(status(page)).toHaveText(/^Error: Count must be 1 to 16, not “17”/);
  await page.getByRole("spinbutton", { name: "Count" }).fill("1");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("2");
  await run(page);
});

test("a value beyond T is moved and said, in a link opened fresh too", async ({ page, host }) => {
  for (const hash of ["#t=1001", "#t=4000&steps=70000&count=99", "#model=emoji&t=5000"]) {
    await page.goto("about:blank");
    await page.goto(host.url + hash);
    await expect(status(page)).toHaveText(/^Error: .*t is at most 1000 with this model, not \d+/);
    await expect(generate(page)).toBeEnabled();
    await expect(page.locator("#t-value")).toHaveText("1000");
    await expect(page.locator("#alpha-bar")).toHaveText(/^0\.0/);
  }
  await page.getByRole("spinbutton", { name: "Count" }).fill("1");
  await run(page);
});

test("no number is shown before it is true", async ({ page, host }) => {
  let go;
  const held = new Promise((resolve) => (go = resolve));
  await page.route("**/scheduler_config.json", async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(host.url);
  await expect(status(page)).toHaveText(/^Loading the network/);
  await expect(page.locator("#download-line")).toBeVisible();
  const numbers = ["alpha-bar", "signal", "sigma"];
  for (const id of numbers) await expect(page.locator(`#${id}`)).toHaveText("–");
  const drawn = () => image(page, "Noised image x_t").evaluate((c) => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v) => v > 0));
  expect(await drawn()).toBe(false);
  go();
  for (const id of numbers) await expect(page.locator(`#${id}`)).toHaveText(/^0\.\d{4}$/);
  expect(await drawn()).toBe(true);
});

test("the algorithm is that of the run, and one step gives no noise", async ({ page, host }) => {
  await open(page, host, "#count=1&sampler=ddim&steps=8&guidance=1&eta=0&spacing=trailing&as=paper");
  const lines = page.getByRole("list", { name: "The algorithm" }).locator("li > span");
  await expect(lines.nth(1)).toHaveText("for t = 1000, 875, 750, …, 125, s the next one, at last 0:");
  await expect(lines.nth(2)).toHaveText("v̂ = vθ(xt, t, class)");
  await expect(lines.nth(3)).toContainText("x̂0 = √ᾱt · xt − √(1−ᾱt) · v̂");
  await page.getByRole("slider", { name: "Guidance" }).fill("2");
  await expect(lines.nth(2)).toHaveText("v̂ = vθ(xt, t) + 2·(vθ(xt, t, class) − vθ(xt, t))");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("1");
  await expect(lines.nth(1)).toHaveText("for t = 1000, s = 0:");
  await run(page);
  const [picture] = await generated(page, 1);
  const rough = picture.slice(1).reduce((sum, v, i) => sum + Math.abs(v - picture[i]), 0) / 783;
  expect(rough, "neighbours in noise differ by 80 and more").toBeLessThan(40);
  // An old link says nothing of spacing.
  await page.goto(`${host.url}#sampler=ddim&steps=5&count=1`);
  await expect(lines.nth(1)).toHaveText("for t = 801, 601, 401, …, 1, s = t − 200, at least 0:");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("4");
  await expect(lines.nth(1), "of new steps the spacing is new").toHaveText("for t = 1000, 750, 500, 250, s the next one, at last 0:");
});

test("each Generate throws new noise unless the seed is kept; old pictures are marked", async ({ page, host }) => {
  await page.goto(`${host.url}#count=1&steps=2&seed=5`);
  await expect(generate(page)).toBeEnabled();
  await expect(keepSeed(page), "a link's seed is kept").toBeChecked();
  const seed = page.getByRole("spinbutton", { name: "Seed", exact: true });
  await newNoise(page).check();
  await run(page);
  expect(await seed.inputValue(), "a link's seed is used first").toBe("5");
  const first = await generated(page, 1);
  await run(page);
  expect(await seed.inputValue()).not.toBe("5");
  const second = await generated(page, 1);
  expect(difference(first[0], second[0])).toBeGreaterThan(64);
  await expect(page).toHaveURL(new RegExp(`seed=${await seed.inputValue()}&`));
  const old = page.locator("#old");
  await expect(old).toHaveText("");
  await page.getByRole("button", { name: "Copy link" }).click();
  await expect(status(page)).toHaveText(/link is/);
  await expect(status(page)).not.toContainText("pictures shown");
  await page.getByRole("button", { name: "Another seed" }).click();
  await expect(old).toHaveText(/^Made with seed \d+\. Press Generate to see seed \d+\.$/);
  await page.getByRole("button", { name: "Copy link" }).click();
  // Where the browser keeps the clipboard from the page, the address bar holds the settings as they are now.
  await expect(status(page)).toContainText(/It holds the settings (of the pictures shown, not those set since|as they are now, not those of the pictures shown)\./);
  const thrown = await seed.inputValue();
  await run(page);
  expect(await seed.inputValue(), "a seed that was thrown by hand is used").toBe(thrown);
  await expect(old).toHaveText("");
  await seed.fill("5");
  await expect(old).toHaveText(`Made with seed ${thrown}. Press Generate to see seed 5.`);
  await expect(keepSeed(page), "who types a seed means it").toBeChecked();
  await run(page);
  expect(await generated(page, 1)).toEqual(first);
  await run(page);
  expect(await generated(page, 1)).toEqual(first);
  await expect(old).toHaveText("");
});

test("without a class the guidance is nothing to go by", async ({ page, host }) => {
  await open(page, host, "#count=1&sampler=ddim&steps=1&guidance=0&class=each&spacing=trailing&as=paper");
  await run(page);
  await page.getByRole("combobox", { name: "Class" }).selectOption("none");
  await expect(page.locator("#old")).toHaveText("Made with class 0, guidance 0. Press Generate to see no class.");
});

test("Generate leads to the number that is wrong", async ({ page, host }) => {
  await open(page, host, "#count=1&steps=1");
  const steps = page.getByRole("spinbutton", { name: "Steps" });
  await steps.fill("0");
  await expect(status(page)).toHaveText(/^Error: Steps/);
  await generate(page).click();
  await expect(steps).toBeFocused();
  await steps.fill("1");
  await page.getByRole("spinbutton", { name: "Count" }).fill("99");
  await page.getByRole("combobox", { name: "Class" }).focus();
  await generate(page).click();
  await expect(page.getByRole("spinbutton", { name: "Count" })).toBeFocused();
});

test("weights that are missing or broken are named, and the slider works all the same", async ({ page, host }) => {
  const weights = "**/diffusion_pytorch_model.safetensors";
  await page.route(weights, (route) => route.fulfill({ status: 404 }));
  await page.goto(host.url);
  await expect(status(page)).toHaveText(/^Error: the network is missing: there is no weights\/digits\/diffusion/);
  const before = await pixels(image(page, "Noised image x_t"));
  await slider(page).fill("700");
  expect(await pixels(image(page, "Noised image x_t"))).not.toEqual(before);
  await page.unroute(weights);
  await page.route(weights, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.body()).subarray(0, 1000) });
  });
  await page.reload();
  await expect(status(page)).toHaveText(/^Error: not a usable safetensors file/);
  await expect(generate(page)).toBeDisabled();
});

for (const [name, options] of Object.entries({
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true },
})) {
  test.describe(name, () => {
    test.use(options);
    test("axe finds nothing, nothing is cut off, the slider is in sight of x_t", async ({ page, host }) => {
      await open(page, host, "#count=4&steps=2");
      await run(page);
      await expectNoBarriers(page);
      await image(page, "Noised image x_t").scrollIntoViewIfNeeded();
      await expect(slider(page)).toBeInViewport();
    });
  });
}
