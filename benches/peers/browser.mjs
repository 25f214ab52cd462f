// Times the same net in the page's engines, onnxruntime-web and jax-js, in one run and one Chromium, and prints Markdown tables.
//
//     trunk build --release && (cd tests/page && npm ci)
//     pip install torch diffusers onnx
//     node benches/peers/browser.mjs [--dist dist] [--python python3] [--rounds 2] [--only cpu|gpu|start|ddpm]
//
// A training step of 16 images in wasm, one worker, is timed too, without a peer: onnxruntime-web cannot train, and jax-js loads the
// net from ONNX, which is for predictions.
//
// The net is that of weights/digits, the page's first model. The peers are installed into target/peers, at the versions below,
// unless that folder has them: remove it when they change. Weights are random; a net's speed does not depend on them.
// Machines are noisy: contestants take turns, every figure is the median over the rounds, and only ratios within one run mean anything.
import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PACKAGES = { "onnxruntime-web": "1.30.0", "@jax-js/jax": "0.1.25", "@jax-js/onnx": "0.1.2" };
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".json": "application/json", ".svg": "image/svg+xml" };

const { values: args } = parseArgs({ options: {
  dist: { type: "string", default: join(ROOT, "dist") },
  python: { type: "string", default: "python3" },
  work: { type: "string", default: join(ROOT, "target/peers") },
  rounds: { type: "string", default: "2" },
  only: { type: "string", default: "cpu,gpu,start" },
} });
const rounds = Number(args.rounds);

/** Installs the peers and writes the net as ONNX, where that was not done before. */
function prepare() {
  mkdirSync(args.work, { recursive: true });
  if (!existsSync(join(args.work, "package.json"))) writeFileSync(join(args.work, "package.json"), "{}");
  const missing = Object.entries(PACKAGES).filter(([name]) => !existsSync(join(args.work, "node_modules", name)));
  if (missing.length > 0) {
    execFileSync("npm", ["install", "--no-audit", "--no-fund", ...missing.map((one) => one.join("@"))], { cwd: args.work, stdio: "inherit" });
  }
  const files = { "net.onnx": [], "plain1.onnx": ["--plain", "--batch", "1"], "plain16.onnx": ["--plain", "--batch", "16"] };
  for (const [file, options] of Object.entries(files)) {
    if (existsSync(join(args.work, file))) continue;
    execFileSync(args.python, [join(ROOT, "benches/peers/export.py"), join(ROOT, "weights/digits/config.json"), join(args.work, file), ...options], { stdio: ["ignore", "ignore", "inherit"] });
  }
}

/** The page at /page/, the peers at /npm/ and their nets at /nets/; the same again under /isolated/, where threads may share memory. */
function serve() {
  const folders = { page: args.dist, npm: join(args.work, "node_modules"), nets: args.work, peers: join(ROOT, "benches/peers") };
  const server = createServer((request, response) => {
    let path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const isolated = path.startsWith("/isolated/");
    if (isolated) path = path.slice("/isolated".length);
    const [, folder, ...rest] = path.split("/");
    // Threads' scripts need the second header wherever they come from; our page has neither.
    const headers = isolated ? { "cross-origin-opener-policy": "same-origin" } : {};
    if (isolated || folder === "npm") headers["cross-origin-embedder-policy"] = "require-corp";
    const file = folders[folder] && join(folders[folder], rest.join("/") || "index.html");
    if (!file || !statSync(file, { throwIfNoEntry: false })?.isFile()) return response.writeHead(404).end();
    headers["content-type"] = TYPES[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, headers);
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve({ url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() })));
}

const { chromium } = createRequire(join(ROOT, "tests/page/package.json"))("playwright-core");
const launch = (gpu) => chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", ...(gpu ? ["--enable-unsafe-webgpu"] : [])] });
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const note = (text) => process.stderr.write(`${(performance.now() / 1000).toFixed(0)} s: ${text}\n`);

/** What a peer takes, in a fresh page: milliseconds by batch, or the error it ends with. */
async function peer(browser, url, isolated, job) {
  note(`${job.runtime}, ${job.device}, ${job.threads ?? 1}`);
  const page = await browser.newPage();
  try {
    await page.goto(`${url}${isolated ? "/isolated" : ""}/peers/peer.html`);
    return await page.evaluate((job) => globalThis.measure(job), job);
  } catch (error) {
    return { error: error.message.split("\n")[0] };
  } finally {
    await page.close();
  }
}

/** The page's own check. */
async function check(browser, url, net = "model") {
  note(`check, ${net}`);
  const page = await browser.newPage();
  await page.goto(`${url}/page/#count=1&steps=1`);
  await page.waitForFunction(() => /^Ready/.test(document.getElementById("status").textContent));
  await page.selectOption("#check-net", net);
  await page.click("#check-start");
  const json = await page.waitForFunction(() => document.getElementById("check-json").textContent, null, { timeout: 600_000 });
  const report = JSON.parse(await json.jsonValue());
  await page.close();
  if (!report.passed) throw new Error(`the check of the page does not pass: ${JSON.stringify(report)}`);
  return report;
}

const ours = (report, engine, batch, work = "predict") => report.times.find((time) => time.engine === engine && time.batch === batch && time.work === work)?.ms;

/** A run on the page: seconds in all, and milliseconds of a step. */
async function generate(browser, url, link, cores) {
  note(`generate ${link}`);
  const page = await browser.newPage();
  if (cores) await page.addInitScript((n) => Object.defineProperty(Navigator.prototype, "hardwareConcurrency", { get: () => n }), cores);
  await page.goto(`${url}/page/${link}`);
  await page.waitForFunction(() => /^Ready/.test(document.getElementById("status").textContent));
  const several = cores ?? cpus().length;
  if (several > 1) await page.waitForFunction(() => /workers/.test(document.getElementById("badge-text").textContent));
  await page.waitForTimeout(500);
  await page.click("#go");
  await page.waitForFunction(() => /^(Done|Error)/.test(document.getElementById("status").textContent), null, { timeout: 600_000 });
  const text = await page.textContent("#status");
  await page.close();
  const [, ms, seconds] = text.match(/([\d.]+) ms a step, ([\d.]+) s/) ?? [];
  if (!ms) throw new Error(text);
  return { ms: Number(ms), seconds: Number(seconds) };
}

/** Seconds from an empty browser to the network's first picture, and to a generated one. */
async function coldStart(url) {
  const browser = await launch(false);
  const page = await browser.newPage();
  const begin = performance.now();
  const seconds = () => (performance.now() - begin) / 1000;
  await page.goto(`${url}/page/#count=1&steps=10&sampler=ddim`);
  await page.waitForFunction(() => /loss/.test(document.getElementById("loss").textContent), null, { polling: 20 });
  const predicted = seconds();
  await page.click("#go");
  await page.waitForFunction(() => /^Done/.test(document.getElementById("status").textContent), null, { polling: 20 });
  const generated = seconds();
  await browser.close();
  return { predicted, generated };
}

const row = (cells) => `| ${cells.join(" | ")} |`;
const ms = (value) => (value === undefined || Number.isNaN(value) ? "–" : value < 100 ? value.toFixed(1) : value.toFixed(0));
const ratio = (a, b) => (a && b ? (a / b).toFixed(2) : "–");

/** Every contestant on the CPU, in turns. */
async function onTheCpu(url) {
  const found = {};
  const add = (name, value) => Number.isFinite(value) && (found[name] ??= []).push(value);
  const errors = {};
  const grid = "#count=16&steps=10&sampler=ddim&guidance=1&engine=cpu&seed=1";
  for (let round = 0; round < rounds; round++) {
    note(`round ${round + 1} of ${rounds}`);
    const browser = await launch(false);
    const report = await check(browser, url);
    for (const batch of [1, 16]) add(`page ${batch}`, ours(report, "cpu", batch));
    add("page train 16", ours(report, "cpu", 16, "train"));
    add("page grid 2", (await generate(browser, url, grid, 2)).ms);
    for (const threads of [1, 2]) {
      const result = await peer(browser, url, threads > 1, { runtime: "ort", device: "wasm", threads, batches: [1, 16], budget: 1500 });
      if (result.error) errors[`onnxruntime-web, ${threads} threads`] = result.error;
      for (const batch of [1, 16]) add(`ort${threads} ${batch}`, result[batch]);
    }
    add("page grid 1", (await generate(browser, url, grid, 1)).ms);
    for (const [device, isolated] of [["wasm", true]]) {
      const result = await peer(browser, url, isolated, { runtime: "jax", device, batches: [1, 16], budget: 1500 });
      if (result.error) errors[`jax-js, ${device}`] = result.error;
      for (const batch of [1, 16]) add(`jax ${batch}`, result[batch]);
    }
    await browser.close();
  }
  const of = (name) => found[name] && median(found[name]);
  console.log("| work, in wasm | peer | peer, ms | Noisette, ms | ours / peer |\n|---|---|---|---|---|");
  for (const [work, name, theirs, own] of [
    ["ε, batch 1", "onnxruntime-web, one thread", of("ort1 1"), of("page 1")],
    ["ε, batch 16", "onnxruntime-web, one thread", of("ort1 16"), of("page 16")],
    ["a grid of 16, one worker", "onnxruntime-web, one thread", of("ort1 16"), of("page grid 1")],
    ["ε, batch 1", "onnxruntime-web, two threads", of("ort2 1"), of("page 1")],
    ["a grid of 16, two workers", "onnxruntime-web, two threads", of("ort2 16"), of("page grid 2")],
    ["ε, batch 1", "jax-js", of("jax 1"), of("page 1")],
    ["ε, batch 16", "jax-js", of("jax 16"), of("page 16")],
    ["a training step, batch 16, one worker", "none", undefined, of("page train 16")],
  ]) console.log(row([work, name, ms(theirs), ms(own), ratio(own, theirs)]));
  console.log(`\nA grid of 16: ${(16e3 / of("page grid 1")).toFixed(1)} images/s with one worker, ${(16e3 / of("page grid 2")).toFixed(1)} with two; onnxruntime-web ${(16e3 / of("ort1 16")).toFixed(1)} with one thread, ${(16e3 / of("ort2 16")).toFixed(1)} with two.`);
  console.log("A training step has no peer: onnxruntime-web cannot train, and jax-js has the net from ONNX, for predictions.");
  for (const [name, error] of Object.entries(errors)) console.log(`${name}: ${error}`);
}

/** Both on the GPU, or the software adapter in its place. */
async function onTheGpu(url) {
  const browser = await launch(true);
  const report = await check(browser, url);
  const results = {
    "onnxruntime-web": await peer(browser, url, false, { runtime: "ort", device: "webgpu", threads: 1, batches: [1], budget: 1500 }),
    "jax-js": await peer(browser, url, false, { runtime: "jax", device: "webgpu", batches: [1], budget: 1500 }),
  };
  await browser.close();
  const adapter = report.engines.find(({ engine }) => engine === "gpu")?.adapter;
  console.log(`\nWebGPU on ${adapter}:\n\n| work | peer | peer, ms | Noisette, ms | ours / peer |\n|---|---|---|---|---|`);
  for (const [name, result] of Object.entries(results)) {
    console.log(row(["ε, batch 1", name, result.error ?? ms(result[1]), ms(ours(report, "gpu", 1)), ratio(ours(report, "gpu", 1), result[1])]));
  }
  console.log(row(["ε, batch 16", "", "", ms(ours(report, "gpu", 16)), ""]));
}

async function whatAVisitorWaitsFor(url) {
  const { predicted, generated } = await coldStart(url);
  const browser = await launch(false);
  const run = await generate(browser, url, "#count=16&steps=50&sampler=ddim&guidance=1&engine=cpu&seed=1");
  await browser.close();
  console.log(`\nCold start from a local server: the network's first picture after ${predicted.toFixed(1)} s, a generated one (10 steps) after ${generated.toFixed(1)} s.`);
  console.log(`16 images, DDIM, 50 steps, CPU engine: ${run.seconds.toFixed(1)} s, ${ms(run.ms)} ms a step.`);
}

/** The original DDPM's net in the tab: predictions, and memory. */
async function original(url) {
  const browser = await launch(false);
  const report = await check(browser, url, "ddpm");
  await browser.close();
  const { memory_bytes: bytes } = report.engines[0];
  for (const time of report.times) console.log(`${report.net}, ${time.work}, batch ${time.batch}: ${(time.ms / 1000).toFixed(2)} s (${time.runs} runs)`);
  for (const out of report.left_out) {
    const memory = out.least_bytes ? `, and at least ${(out.least_bytes / 1e6).toFixed(0)} MB` : "";
    console.log(`${report.net}, ${out.work}, batch ${out.batch}: left out, would take ${out.work === "train" ? "at least" : "about"} ${(out.estimated_ms / 1000).toFixed(0)} s${memory}`);
  }
  console.log(`${(bytes / 1e6).toFixed(0)} MB of the tab's memory`);
}

prepare();
const host = await serve();
const parts = { cpu: onTheCpu, gpu: onTheGpu, start: whatAVisitorWaitsFor, ddpm: original };
for (const part of args.only.split(",")) await parts[part](host.url);
host.close();
