// One peer in one page: loads the net, and times ε as the page's own check does.
const normal = (n) => Float32Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));

/** The median of runs within the budget, two at least, after one that is not counted. */
async function time(run, budget) {
  await run();
  const times = [];
  const begin = performance.now();
  while (times.length < 2 || performance.now() - begin < budget) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
}

const PIXELS = 28 * 28;

async function onnxruntime({ device, threads, batches, budget }) {
  const ort = await import(`/npm/onnxruntime-web/dist/ort.${device}.min.mjs`);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL("/npm/onnxruntime-web/dist/", location).href;
  if (threads > 1 && !crossOriginIsolated) throw new Error("threads need a page that is isolated");
  const session = await ort.InferenceSession.create("/nets/net.onnx", { executionProviders: [device] });
  const result = {};
  for (const n of batches) {
    const feeds = {
      sample: new ort.Tensor("float32", normal(n * PIXELS), [n, 1, 28, 28]),
      timestep: new ort.Tensor("int64", new BigInt64Array(n).fill(500n), [n]),
      class_labels: new ort.Tensor("int64", new BigInt64Array(n), [n]),
    };
    result[n] = await time(async () => (await session.run(feeds)).eps.getData(), budget);
  }
  return result;
}

async function jax({ device, batches, budget }) {
  const { blockUntilReady, defaultDevice, init, jit, numpy: np } = await import("@jax-js/jax");
  const { ONNXModel } = await import("@jax-js/onnx");
  if (!(await init(device)).includes(device)) throw new Error(`there is no ${device} here`);
  defaultDevice(device);
  const result = {};
  for (const n of batches) {
    const file = await fetch(`/nets/plain${n}.onnx`);
    const model = new ONNXModel(new Uint8Array(await file.arrayBuffer()));
    const net = jit((sample, timestep, class_labels) => model.run({ sample, timestep, class_labels }).eps);
    const [x, t, c] = [
      np.array(normal(n * PIXELS)).reshape([n, 1, 28, 28]),
      np.array(new Int32Array(n).fill(500), { dtype: np.int32 }),
      np.array(new Int32Array(n), { dtype: np.int32 }),
    ];
    await blockUntilReady([x, t, c]);
    result[n] = await time(async () => (await net(x.ref, t.ref, c.ref)).data(), budget);
  }
  return result;
}

globalThis.measure = (job) => (job.runtime === "ort" ? onnxruntime(job) : jax(job));
