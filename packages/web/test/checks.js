// What is checked inside a page. Each check returns what it found, or throws.

const assert = (holds, words) => {
  if (!holds) throw new Error(words);
};
const same = (a, b, words) => {
  const [left, right] = [a, b].map((value) => JSON.stringify(value, (_, item) => (typeof item === "bigint" ? `${item}n` : item)));
  assert(left === right, `${words}: ${left.slice(0, 300)} is not ${right.slice(0, 300)}`);
};
const caught = async (call, kind, part) => {
  try {
    await call();
  } catch (error) {
    assert(error.name === "SortilegeError" && error.kind === kind, `${error.name} ${error.kind} for ${kind}: ${error.message}`);
    assert(error.message.includes(part), `${part} is not in: ${error.message}`);
    return error.message;
  }
  throw new Error(`no error of kind ${kind}`);
};

/** Rows of noise, with a tie and an impossible token. */
function noise(count, seed = 1) {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return i % 101 === 7 ? -Infinity : i % 50 === 3 ? 2.5 : (state >>> 8) / 2 ** 20 - 8;
  });
}

const PARAMS = [
  { temperature: 0.8, top_p: 0.95, seed: 7 },
  { temperature: 0, raw_logprobs: 4, processed_logprobs: 4, seed: 1 },
  { top_k: 50, top_p: 0.9, min_p: 0.02, n: 4, seed: 2n ** 63n + 5n },
  { typical_p: 0.9, top_n_sigma: 3, order: "llama", seed: 4 },
  { order: ["top_p", "temperature", "xtc"], xtc_threshold: 0.001, xtc_probability: 1, top_p: 0.99, seed: 5 },
  { mirostat: { tau: 4 }, repetition_penalty: 1.2, logit_bias: { 3: 1.5 }, seed: 6 },
  { dry: { allowed_length: 1 }, bad_words: [[1, 2]], eta_cutoff: 1e-4, top_a: 0.01, seed: 7 },
];

/** The public interface: both engines, the same records. */
export async function interfaces({ Sampler, Request, formatLog, versions }) {
  const [gpu, cpu] = [await Sampler.create({ engine: "webgpu" }), await Sampler.create({ engine: "cpu" })];
  assert(gpu.engine === "webgpu" && cpu.engine === "cpu" && (await versions()).arithmetic > 0, "engines");
  const [rows, vocab] = [PARAMS.length, 5003];
  const logits = noise(rows * vocab);
  const impossible = logits.subarray(3 * vocab, 4 * vocab).indexOf(-Infinity);
  const options = { rows, topLogprobs: 5, targets: [1, null, 3, impossible, 0, vocab - 1, 2], tokenIds: Array(rows).fill([4, 9]) };
  const answers = await gpu.logprobs(logits, options);
  same(answers, await cpu.logprobs(logits, options), "logprobs");
  assert(answers[0].top.length === 5 && answers[3].logprob === null && answers[3].rank > 4000, "an impossible target");
  const [on, off] = [0, 0].map(() => PARAMS.map((params) => new Request(params, { prompt: [1, 2, 3] })));
  for (let step = 0; step < 3; step++) {
    const [ours, theirs] = [await gpu.sample(logits, on, { rows }), await cpu.sample(logits, off, { rows })];
    same(ours, theirs, `samples of step ${step}`);
    ours.forEach((record, row) => on[row].accept(record));
    theirs.forEach((record, row) => off[row].accept(record));
  }
  same(on.map((request) => request.output), off.map((request) => request.output), "outputs");
  assert(on[2].seed === 2n ** 63n + 5n && on[0].seed === 7, "seeds");
  // A bit of one logit is seen.
  const other = logits.slice();
  other[4] += 1;
  assert(JSON.stringify(await cpu.logprobs(other, options)) !== JSON.stringify(answers), "another logit, another record");
  const seeds = new Set(Array.from({ length: 20 }, () => new Request().seed));
  assert(seeds.size === 20, "seeds of requests without one");
  return { rows, seeds: [...seeds].slice(0, 3), log: formatLog(answers.slice(0, 1), "openai", { tokenBytes: (token) => `<${token}>` }) };
}

/** 16-bit logits, strides, offsets. */
export async function types({ Sampler }) {
  const [gpu, cpu] = [await Sampler.create({ engine: "webgpu" }), await Sampler.create({ engine: "cpu" })];
  const words = Uint16Array.from(noise(3 * 1010, 9), (value) => (Math.round(value * 256) & 0x3fff) | (value < 0 ? 0x8000 : 0));
  for (const dtype of ["f16", "bf16"]) {
    const options = { rows: 3, vocab: 1001, rowStride: 1007, byteOffset: 6, dtype, topLogprobs: 1001 };
    same(await gpu.logprobs(words, options), await cpu.logprobs(words, options), dtype);
  }
  return { types: 2 };
}

/** Logits and tokens that never leave the page's own device. */
export async function buffers({ Sampler, Request }) {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const before = [navigator.gpu, device.createBuffer];
  const sampler = await Sampler.create({ device });
  const cpu = await Sampler.create({ engine: "cpu" });
  assert(sampler.device === device, "the page's own device");
  const [rows, vocab] = [3, 4500];
  const values = noise(64 + rows * vocab, 3);
  const { STORAGE, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
  const logits = device.createBuffer({ size: values.byteLength, usage: STORAGE | COPY_DST });
  const tokens = device.createBuffer({ size: 4 * rows, usage: COPY_DST | COPY_SRC });
  device.queue.writeBuffer(logits, 0, values);
  const options = { rows, vocab, byteOffset: 256 };
  const inMemory = values.subarray(64);
  same(await sampler.logprobs(logits, options), await cpu.logprobs(inMemory, { rows }), "logprobs of a buffer");
  const requests = () => [1, 2, 3].map((seed) => new Request({ seed, top_p: 0.9 }));
  const drawn = await sampler.sample(logits, requests(), { ...options, tokens });
  same(drawn, await cpu.sample(inMemory, requests(), { rows }), "samples of a buffer");
  const staging = device.createBuffer({ size: tokens.size, usage: COPY_DST | MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(tokens, 0, staging, 0, tokens.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  same(Array.from(new Uint32Array(staging.getMappedRange())), drawn.map((record) => record.draws[0].token), "tokens on the device");
  assert(navigator.gpu === before[0] && device.createBuffer === before[1], "nothing stays changed");
  const refusals = [
    await caught(() => sampler.logprobs(tokens, { rows: 1, vocab: 3 }), "Logits", "STORAGE"),
    await caught(() => sampler.logprobs(logits, { rows, vocab, byteOffset: values.byteLength }), "Logits", "ends at byte"),
    await caught(() => cpu.logprobs(logits, { rows, vocab }), "Logits", "no buffers"),
  ];
  // A buffer of another device: the browser tells later, and the answer is the error.
  const other = await (await navigator.gpu.requestAdapter()).requestDevice();
  const foreign = other.createBuffer({ size: 4 * vocab, usage: STORAGE });
  refusals.push(await caught(() => sampler.logprobs(foreign, { rows: 1, vocab }), "Validation", "the device rejected"));
  same(await sampler.logprobs(logits, options), await cpu.logprobs(inMemory, { rows }), "after an error");
  return { refusals };
}

/** Errors are typed, and the module lives on. */
export async function errors({ Sampler, Request, formatLog }) {
  const cpu = await Sampler.create({ engine: "cpu" });
  const logits = noise(100);
  const said = [
    await caught(() => new Request({ temperatur: 1 }), "Params", "temperatur"),
    await caught(() => new Request({ top_p: 2 }), "Params", "top_p"),
    await caught(() => new Request({ seed: -1 }), "Params", "seed"),
    await caught(() => cpu.logprobs(logits, { rows: 3 }), "Logits", "3 rows"),
    await caught(() => cpu.logprobs(new Uint16Array(4)), "Logits", "dtype"),
    await caught(() => cpu.logprobs(logits, { targets: [100] }), "Params", "100"),
    await caught(() => cpu.logprobs(logits, { vocab: 200 }), "Logits", "200"),
    await caught(() => cpu.sample(logits, []), "Params", "row"),
    await caught(() => formatLog([], "xml"), "Params", "xml"),
    await caught(() => Sampler.create({ engine: "gpu" }), "Params", "gpu"),
  ];
  const request = new Request({ seed: 1 });
  const drawing = cpu.sample(logits, [request]);
  const [record] = await drawing;
  request.accept(record);
  assert(request.output.length === 1, "still alive");
  return { said: said.length };
}

/** A lost device is an error of its own, and another one works. */
export async function lost({ Sampler }) {
  const sampler = await Sampler.create({ engine: "webgpu" });
  const logits = noise(3000);
  await sampler.logprobs(logits);
  sampler.device.destroy();
  const said = await caught(() => sampler.logprobs(logits), "DeviceLost", "open a new device");
  const next = await Sampler.create({ engine: "webgpu" });
  assert((await next.logprobs(logits)).length === 1, "a new device");
  return { said };
}

/** Without WebGPU the CPU engine answers. */
export async function without({ Sampler, Request }) {
  assert(!(await navigator.gpu?.requestAdapter()), "this browser has WebGPU");
  const sampler = await Sampler.create();
  assert(sampler.engine === "cpu", "the CPU engine");
  await caught(() => Sampler.create({ engine: "webgpu" }), "NoAdapter", "WebGPU");
  await sampler.prepare("sample");
  await sampler.selfCheck("sample");
  const logits = noise(2 * 5003);
  const drawn = await sampler.sample(logits, [1, 2].map((seed) => new Request({ seed, min_p: 0.01 })), { rows: 2 });
  return { records: await sampler.logprobs(logits, { rows: 2 }), drawn };
}

/** The same on a page with WebGPU. */
export async function within({ Sampler, Request }) {
  const sampler = await Sampler.create({ engine: "webgpu" });
  const logits = noise(2 * 5003);
  const drawn = await sampler.sample(logits, [1, 2].map((seed) => new Request({ seed, min_p: 0.01 })), { rows: 2 });
  return { records: await sampler.logprobs(logits, { rows: 2 }), drawn };
}

/** A fault of one token in a kernel is found by the check of the device. */
export async function fault({ Sampler }) {
  const device = await (await navigator.gpu.requestAdapter()).requestDevice();
  const right = "records[record + RECORD_N_GREATER] = stats.n_greater;";
  let planted = 0;
  const { createShaderModule } = device;
  device.createShaderModule = (descriptor) => {
    const code = descriptor.code.replace(right, right.replace(";", " + 1u;"));
    planted += code === descriptor.code ? 0 : 1;
    return createShaderModule.call(device, { ...descriptor, code });
  };
  const sampler = await Sampler.create({ device });
  const said = await caught(() => sampler.selfCheck("logprobs"), "Mismatch", "other bits");
  assert(planted === 1, `${planted} kernels were changed`);
  const sound = await Sampler.create({ engine: "webgpu" });
  for (const kernels of ["logprobs", "long_lists", "token_ranks"]) {
    await sound.prepare(kernels);
    await sound.selfCheck(kernels);
  }
  return { said };
}

/** Times, milliseconds. */
export async function times({ Sampler, Request }) {
  const took = {};
  const time = async (name, call) => {
    const start = performance.now();
    const result = await call();
    took[name] = Math.round((performance.now() - start) * 10) / 10;
    return result;
  };
  const sampler = await time("open", () => Sampler.create({ engine: "webgpu" }));
  // The longest gap between two frames says whether the page froze.
  let [last, gap, isOver] = [performance.now(), 0, false];
  const frame = (now) => {
    gap = Math.max(gap, now - last);
    last = now;
    if (!isOver) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  await time("prepare logprobs", () => sampler.prepare("logprobs"));
  await time("prepare sample", () => sampler.prepare("sample"));
  isOver = true;
  took["longest frame meanwhile"] = Math.round(gap);
  const logits = noise(128256);
  const step = () => sampler.logprobs(logits, { topLogprobs: 20 });
  await time("first logprobs [1][128256]", step);
  await time("5 more", async () => { for (let i = 0; i < 5; i++) await step(); });
  const request = new Request({ top_p: 0.95, seed: 1 });
  const draw = () => sampler.sample(logits, [request]);
  await time("first draw [1][128256]", draw);
  await time("5 more draws", async () => { for (let i = 0; i < 5; i++) await draw(); });
  const cpu = await Sampler.create({ engine: "cpu" });
  await time("cpu: 20 logprobs [1][128256]", async () => { for (let i = 0; i < 20; i++) await cpu.logprobs(logits, { topLogprobs: 20 }); });
  await time("cpu: 20 draws [1][128256]", async () => { for (let i = 0; i < 20; i++) await cpu.sample(logits, [request]); });
  return took;
}
