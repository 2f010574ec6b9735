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
  { max_tokens: 2, n: 2, seed: 8 },
  { stop_token_ids: Array.from({ length: 5003 }, (_, token) => token), max_tokens: 9, seed: 9 },
];

/** The public interface: both engines, the same records. */
export async function interfaces({ Sampler, Request, formatLog, versions }) {
  const [gpu, cpu] = [await Sampler.create({ engine: "webgpu" }), await Sampler.create({ engine: "cpu" })];
  assert(gpu.engine === "webgpu" && cpu.engine === "cpu" && (await versions()).arithmetic > 0, "engines");
  const [rows, vocab] = [PARAMS.length, 5003];
  const logits = noise(rows * vocab);
  const impossible = logits.subarray(3 * vocab, 4 * vocab).indexOf(-Infinity);
  const options = { rows, topLogprobs: 5, targets: [1, null, 3, impossible, 0, vocab - 1, 2, null, 4], tokenIds: Array(rows).fill([4, 9]) };
  const answers = await gpu.logprobs(logits, options);
  same(answers, await cpu.logprobs(logits, options), "logprobs");
  assert(answers[0].top.length === 5 && answers[3].logprob === null && answers[3].rank > 4000, "an impossible target");
  const [on, off] = [0, 0].map(() => PARAMS.map((params) => new Request(params, { prompt: [1, 2, 3] })));
  for (let step = 0; step < 3; step++) {
    const [ours, theirs] = [await gpu.sample(logits, on, { rows }), await cpu.sample(logits, off, { rows })];
    same(ours, theirs, `samples of step ${step}`);
    const behind = ours.slice(-2).map((record) => record.status === "finished" && record.draws.length === 0 && record.finish_reason);
    same(behind, [step > 1 && "length", step > 0 && "stop"], `rows behind an end at step ${step}`);
    ours.forEach((record, row) => on[row].accept(record));
    theirs.forEach((record, row) => off[row].accept(record));
  }
  same(on.map((request) => request.output), off.map((request) => request.output), "outputs");
  const ends = (requests) => requests.map((request) => request.finishReason && [request.finishReason, request.output.length]);
  same([ends(on), ends(off)], Array(2).fill([...Array(rows - 2).fill(null), ["length", 2], ["stop", 1]]), "ends");
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
  // A call is submitted, and its requests are kept, where it stands: what the page does next is no part of it.
  const [records, again, request] = [await cpu.logprobs(inMemory, { rows }), requests(), new Request({ seed: 5, top_p: 0.5 })];
  const first = { ...options, rows: 1 };
  const meanwhile = [sampler.logprobs(logits, options), sampler.sample(logits, again, options), sampler.sample(logits, [request], first)];
  const busy = [
    await caught(() => request.setParams({ temperature: 0 }), "Params", "being drawn from"),
    await caught(() => again[2].accept(5), "Params", "being drawn from"),
  ];
  device.queue.writeBuffer(logits, 0, noise(64 + rows * vocab, 4));
  same(await meanwhile[0], records, "logprobs before the page's next write");
  same(await meanwhile[1], drawn, "samples before it");
  const [alone] = await meanwhile[2];
  device.queue.writeBuffer(logits, 0, values);
  const onHost = new Request({ seed: 5, top_p: 0.5 });
  const begun = cpu.sample(inMemory.subarray(0, vocab), [onHost]);
  [request, onHost].forEach((one) => one.setParams({ temperature: 0 }));
  same(await begun, [alone], "parameters of the call");
  // The first call is, once its kernels are prepared.
  const prepared = await Sampler.create({ device });
  await prepared.prepare("logprobs", "f32");
  const early = prepared.logprobs(logits, options);
  device.queue.writeBuffer(logits, 0, noise(64 + rows * vocab, 4));
  same(await early, records, "the first call before the page's next write");
  device.queue.writeBuffer(logits, 0, values);
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
  return { refusals, busy };
}

/** Draft tokens, one after the other and as a tree, by match, by rejection and as a block: both engines, and plain decoding. */
export async function drafts({ Sampler, Request }) {
  const [gpu, cpu] = [await Sampler.create({ engine: "webgpu" }), await Sampler.create({ engine: "cpu" })];
  const vocab = 700;
  const params = { temperature: 0.7, top_k: 20, repetition_penalty: 1.3, seed: 11 };
  const rowOf = (place) => noise(vocab, 40 + place);
  const rows = (places) => Float32Array.from(places.flatMap((place) => Array.from(rowOf(place))));
  // What plain decoding draws, where the logits of a position do not depend on what was drawn.
  const plain = new Request(params);
  for (let position = 0; position < 4; position++) plain.accept((await cpu.sample(rowOf(position), [plain]))[0]);
  const [a, b, c] = plain.output;
  const wrong = (token) => (token + 1) % vocab;
  const answers = [];
  for (const sampler of [gpu, cpu]) {
    const request = new Request(params);
    const chain = { request, tokens: [a, b, wrong(c)] };
    // First a wrong one, then `a`; after `a` a wrong one and `b`; after `b`, `c`.
    const tree = { request, tokens: [wrong(a), a, wrong(b), b, c], parents: [null, null, 1, 1, 3] };
    const found = await sampler.verify(rows([0, 1, 2, 3, 0, 1, 1, 2, 2, 3]), [chain, tree], { vocab });
    same(found.map(({ accepted }) => accepted), [[0, 1], [1, 3, 4]], "what stands");
    same(found.map(({ records }) => records.map(({ request }) => request)), [[0, 0, 0], [1, 1, 1, 1]], "whose records they are");
    found[1].records.forEach((record) => request.accept(record));
    same(request.output, plain.output, "a draft changes nothing");
    // A draft of certainty about a token that is as good as impossible never stands; one of another is left to chance.
    const probabilities = new Float32Array(2 * vocab);
    const least = rowOf(0).indexOf(-Infinity);
    probabilities[least] = 1;
    const rejected = { request: new Request({ seed: 5 }), tokens: [least], verification: "rejection" };
    const [{ accepted, records }] = await sampler.verify(rows([0, 1]), [rejected], { vocab, draftProbabilities: probabilities });
    assert(accepted.length === 0 && records.length === 1 && records[0].draws[0].token !== least, "an impossible draft");
    const likely = new Float32Array(2 * vocab).fill(1 / vocab);
    const left = { request: new Request({ seed: 6 }), tokens: [3], verification: "rejection" };
    // Siblings are tried in turn: the most probable token stands behind one that cannot.
    const most = rowOf(0).indexOf(Math.max(...rowOf(0)));
    const siblings = { request: new Request({ temperature: 0 }), tokens: [least, most, 5], parents: [null, null, 1], verification: "rejection" };
    const [{ accepted: stand }] = await sampler.verify(rows([0, 1, 1, 2]), [siblings], { vocab });
    assert(stand[0] === 1, "a sibling that stands");
    const drawn = { ...siblings, request: new Request({ seed: 8, temperature: 2 }) };
    const draftProbabilities = new Float32Array(4 * vocab).fill(1 / vocab);
    // Tokens that the draft all but never says stand, as a block: the last one may lack what the first ones have too much.
    const block = { request: new Request({ seed: 9 }), tokens: [0, 1, 2].map((place) => rowOf(place).indexOf(Math.max(...rowOf(place)))), verification: "block" };
    const [{ accepted: whole, records: all }] = await sampler.verify(rows([0, 1, 2, 3]), [block], { vocab, draftProbabilities });
    assert(whole.length === 3 && all.length === 4, "a block that stands");
    answers.push([found, records, await sampler.verify(rows([0, 1]), [left], { vocab, draftProbabilities: likely }),
      await sampler.verify(rows([0, 1, 1, 2]), [drawn], { vocab, draftProbabilities }), all,
      await sampler.verify(rows([0, 1, 2, 3]), [{ ...block, tokens: [least, 3, 4] }], { vocab, draftProbabilities })]);
  }
  same(answers[0], answers[1], "drafts");
  const draft = { request: new Request({ seed: 1 }), tokens: [1] };
  const said = [
    await caught(() => cpu.verify(rows([0, 1]), [{ ...draft, verification: "hope" }], { vocab }), "Params", "hope"),
    await caught(() => cpu.verify(rows([0, 1]), [{ ...draft, parents: [0] }], { vocab }), "Params", "earlier"),
    await caught(() => cpu.verify(rows([0, 1]), [{ ...draft, parents: [-2] }], { vocab }), "Params", "-2"),
    await caught(() => cpu.verify(rows([0, 1]), [{ ...draft, verification: "rejection" }], { vocab }), "Params", "probabilities"),
    await caught(() => cpu.verify(rows([0, 1]), [{ ...draft, parents: [null], verification: "block" }], { vocab }), "Params", "tree"),
    await caught(() => cpu.verify(rows([0]), [draft], { vocab }), "Logits", "2"),
    await caught(() => cpu.verify(new Float32Array(66 * vocab), [{ ...draft, tokens: Array.from({ length: 65 }, (_, i) => i),
      parents: Array(65).fill(null), verification: "rejection" }], { vocab }), "Params", "64"),
  ];
  return { said: said.length };
}

/** Log-softmax and its like, and divergences: both engines, in memory and in place. */
export async function operations({ Sampler }) {
  const device = await (await navigator.gpu.requestAdapter()).requestDevice();
  const [gpu, cpu] = [await Sampler.create({ device }), await Sampler.create({ engine: "cpu" })];
  const [rows, vocab] = [3, 4500];
  const values = noise(rows * vocab, 77);
  values.fill(NaN, 2 * vocab, 2 * vocab + 1);
  const buffer = (size) => device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
  const logits = buffer(values.byteLength);
  device.queue.writeBuffer(logits, 0, values);
  const options = { rows, vocab };
  const bits = (list) => Array.from(new Uint32Array(list.buffer, list.byteOffset, list.length));
  const calls = {
    rowMax: async (sampler, given) => bits(await sampler.rowMax(given, options)),
    logSumExp: async (sampler, given) => bits(await sampler.logSumExp(given, options)),
    logSoftmax: async (sampler, given) => bits(await sampler.logSoftmax(given, options)),
    topK: async (sampler, given) => {
      const { values, tokens } = await sampler.topK(given, 40, options);
      return [bits(values), Array.from(tokens)];
    },
  };
  for (const [name, call] of Object.entries(calls)) {
    const expected = await call(cpu, values);
    same(await call(gpu, values), expected, `${name} of memory`);
    same(await call(gpu, logits), expected, `${name} of a buffer`);
  }
  for (const given of [values, logits]) {
    for (const name of ["rowMax", "logSumExp", "logSoftmax"]) same((await gpu[name](given, { rows: 0, vocab })).length, 0, `${name} of no row`);
    const top = await gpu.topK(given, 0, options);
    same([top.values.length, top.tokens.length], [0, 0], "top 0");
  }
  // By their definition.
  const row = values.subarray(0, vocab);
  const lse = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
  const softmax = await cpu.logSoftmax(values, options);
  assert(row.every((value, i) => value === -Infinity ? softmax[i] === value : Math.abs(softmax[i] - (value - lse)) < 2e-6), "log-softmax");
  assert((await cpu.rowMax(row))[0] === Math.max(...row) && (await cpu.topK(row, 0)).values.length === 0, "row max, top 0");
  const others = Uint16Array.from(values, (value) => (Number.isFinite(value) ? new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16 : 0xff80));
  const second = { rows, dtype: "bf16" };
  const kl = await cpu.divergence(values, others, { rows }, second);
  same(await gpu.divergence(values, others, { rows }, second), kl, "divergences of memory");
  same(kl[2].statuses, ["nan", "ok"], "statuses");
  assert(kl[0].kl > 0 && kl[0].kl < 0.1 && (await cpu.divergence(row, row))[0].kl === 0, "divergences");
  const inPlace = buffer(others.byteLength);
  device.queue.writeBuffer(inPlace, 0, others);
  same(await gpu.divergence(logits, inPlace, options, { ...options, dtype: "bf16" }), kl, "divergences of buffers");
  const said = [
    await caught(() => gpu.divergence(values, inPlace, options, { ...options, dtype: "bf16" }), "Params", "one place"),
    await caught(() => cpu.divergence(row, values.subarray(0, 40)), "Params", "40"),
    await caught(() => cpu.topK(row, 1.5), "Params", "1.5"),
    await caught(() => cpu.topK(row, 2 ** 21), "Params", "2097152"),
  ];
  return { operations: Object.keys(calls).length + 1, said: said.length };
}

/** Where the browser refuses a device, the CPU engine answers, and says why. */
export async function refused({ Sampler }) {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = () => Promise.reject(new DOMException("no more devices today", "OperationError"));
  try {
    const sampler = await Sampler.create();
    assert(sampler.engine === "cpu" && sampler.fallbackReason.includes("no more devices today"), "the CPU engine");
    assert((await sampler.logprobs(noise(50))).length === 1, "which answers");
    const said = await caught(() => Sampler.create({ engine: "webgpu" }), "NoAdapter", "no more devices today");
    const { cause } = await Sampler.create({ engine: "webgpu" }).catch((error) => error);
    assert(cause instanceof DOMException && cause.name === "OperationError", "the browser's own error");
    return { said };
  } finally {
    GPUAdapter.prototype.requestDevice = requestDevice;
  }
}

/** What the browser has against a call whose answer nobody awaits is the error of the next answer, once. */
export async function forgotten({ Sampler }) {
  const sampler = await Sampler.create({ engine: "webgpu" });
  const foreign = await (await navigator.gpu.requestAdapter()).requestDevice();
  const buffer = foreign.createBuffer({ size: 400, usage: GPUBufferUsage.STORAGE });
  const { withBuffer } = await import("/proof/door.js");
  const { Logits } = await import("/proof/sortilege.js");
  await sampler.logprobs(noise(100));
  const adopted = withBuffer(sampler.device, buffer, () => sampler.inner.buffer(buffer.size, buffer.usage));
  sampler.inner.forget(Logits.device(adopted, 0, "f32", 1, 100, 100));
  const said = await caught(() => sampler.logprobs(noise(100)), "Validation", "the device rejected");
  assert((await sampler.logprobs(noise(100))).length === 1, "told once");
  return { said };
}

/** A panic of the module is told to everybody who waits, and to every later call. */
export async function panic({ Sampler, Request }) {
  const sampler = await Sampler.create({ engine: "webgpu" });
  const request = new Request({ seed: 1 });
  const { panics } = await import("/proof/sortilege.js");
  const waiting = [caught(() => sampler.logprobs(noise(100)), "Panic", "planted"), caught(() => sampler.prepare("sample"), "Panic", "planted")];
  panics(); // a promise that nothing settles
  const said = await Promise.all(waiting);
  await caught(() => sampler.logprobs(noise(100)), "Panic", "load the page again");
  await caught(() => Sampler.create({ engine: "cpu" }), "Panic", "planted");
  await caught(() => request.accept(1), "Panic", "planted");
  await caught(() => new Request(), "Panic", "planted");
  return { said: said[0] };
}

/** Without memory those who wait are told, too. */
export async function exhausted({ Sampler }) {
  const sampler = await Sampler.create({ engine: "webgpu" });
  const { exhausts } = await import("/proof/sortilege.js");
  const waiting = caught(() => sampler.logprobs(noise(100)), "Panic", "out of memory: 1024 bytes");
  exhausts(); // a promise that nothing settles
  const late = new Promise((_, reject) => setTimeout(reject, 60_000, new Error("nobody was told")));
  const said = await Promise.race([waiting, late]);
  await caught(() => sampler.logprobs(noise(100)), "Panic", "load the page again");
  return { said };
}

/** A loop that takes no turn of the event loop, in which no finalizer runs, keeps no results. */
export async function memory({ Sampler, Request }) {
  const cpu = await Sampler.create({ engine: "cpu" });
  const { memory } = await (await import("/package/sortilege.js")).default();
  const [row, rows] = [noise(2000), noise(8 * 4000)];
  const request = new Request({ seed: 1, processed_logprobs: 2000, raw_logprobs: 2000 });
  const mask = new Uint32Array(2 ** 17).fill(-1);
  const calls = {
    topK: () => cpu.topK(row, 2 ** 15),
    divergence: () => cpu.divergence(rows, rows, { rows: 4000 }),
    sample: async () => request.accept((await cpu.sample(row, [request]))[0]),
    "sample that fails": () => caught(() => cpu.sample(row, [request], { mask, tokens: {} }), "Logits", "no buffers"),
  };
  const grown = {};
  for (const [name, call] of Object.entries(calls)) {
    await call();
    const before = memory.buffer.byteLength;
    for (let i = 0; i < 150; i++) await call();
    grown[name] = (memory.buffer.byteLength - before) / 2 ** 20;
  }
  assert(Object.values(grown).every((mebibytes) => mebibytes < 4), `grown by MiB: ${JSON.stringify(grown)}`);
  return grown;
}

/** A buffer that the browser refuses once is not used again: the same call succeeds after it failed. */
export async function refusedOnce({ Sampler }) {
  const cpu = await Sampler.create({ engine: "cpu" });
  const [rows, vocab] = [40, 9001];
  const logits = noise(rows * vocab);
  const expected = await cpu.logprobs(logits, { rows });
  const said = [];
  for (const label of ["sortilege scratch", "sortilege records"]) {
    const device = await (await navigator.gpu.requestAdapter()).requestDevice();
    const sampler = await Sampler.create({ device });
    await sampler.prepare();
    const { createBuffer } = device;
    let refused = 0;
    device.createBuffer = (descriptor) => {
      if (descriptor.label !== label || refused) return createBuffer.call(device, descriptor);
      refused++;
      return createBuffer.call(device, { ...descriptor, usage: 0 });
    };
    said.push(await caught(() => sampler.logprobs(logits, { rows }), "Validation", "the device rejected"));
    assert(refused === 1, `${label} was not refused`);
    same(await sampler.logprobs(logits, { rows }), expected, `after a refused ${label}`);
  }
  return { said: said.length };
}

/** Where there is neither a page nor a worker, as in node: wgpu would panic. */
export async function outside({ Sampler, Request, formatLog, load }, module) {
  await caught(() => formatLog([]), "Params", "await load()");
  await load(module);
  assert(formatLog([]) === "", "an empty log");
  const device = { features: new Set(), limits: {} };
  const gpu = { requestAdapter: async () => ({ limits: {}, requestDevice: async () => device }) };
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
  const sampler = await Sampler.create();
  assert(sampler.engine === "cpu" && sampler.fallbackReason.includes("pages and workers"), "the CPU engine, and why");
  await caught(() => Sampler.create({ engine: "webgpu" }), "NoAdapter", "pages and workers");
  await caught(() => Sampler.create({ device }), "NoAdapter", "pages and workers");
  const request = new Request({ seed: 1 });
  request.accept((await sampler.sample(noise(100), [request]))[0]);
  assert(request.output.length === 1, "which draws");
  return { reason: sampler.fallbackReason };
}

/** Errors are typed, and the module lives on. */
export async function errors({ Sampler, Request, formatLog }) {
  await caught(() => formatLog([]), "Params", "await load()");
  await caught(() => new Request(), "Params", "await load()");
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
    await caught(() => new Request({}, { prompt: [5, undefined, 7] }), "Params", "prompt: undefined"),
    await caught(() => cpu.verify(noise(99), [{ request: new Request(), tokens: [1, NaN] }]), "Params", "tokens: NaN"),
    await caught(
      () => cpu.verify(noise(99), [{ request: new Request(), tokens: [1, 2], parents: [null, undefined] }]),
      "Params",
      "parents: undefined",
    ),
    await caught(() => Sampler.create({ engine: "gpu" }), "Params", "gpu"),
  ];
  const two = [new Request(), new Request({ logit_bias: { 5000: 1 } })];
  const fault = await cpu.sample(noise(200), two, { rows: 2 }).catch((error) => error);
  assert(fault.kind === "Params" && fault.row === 1, `the row at fault: ${fault.row}`);
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

/** A device whose kernels have another piece of text in place of one, and in how many. */
async function withFault(right, wrong) {
  const device = await (await navigator.gpu.requestAdapter()).requestDevice();
  let planted = 0;
  const { createShaderModule } = device;
  device.createShaderModule = (descriptor) => {
    const code = descriptor.code.replace(right, wrong);
    planted += code === descriptor.code ? 0 : 1;
    return createShaderModule.call(device, { ...descriptor, code });
  };
  return { device, planted: () => planted };
}

/** A fault of one token in a kernel is found by the check of the device. */
export async function fault({ Sampler }) {
  const right = "records[record + RECORD_N_GREATER] = stats.n_greater;";
  const { device, planted } = await withFault(right, right.replace(";", " + 1u;"));
  const sampler = await Sampler.create({ device });
  const said = await caught(() => sampler.selfCheck("logprobs"), "Mismatch", "other bits");
  assert(planted() === 1, `${planted()} kernels were changed`);
  const sound = await Sampler.create({ engine: "webgpu" });
  for (const kernels of ["logprobs", "long_lists", "long_sample_lists", "token_ranks"]) {
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

/** Hashes of what the CPU engine of the module answers. */
export async function digests({ load }) {
  await load();
  const { Engine } = await import("/proof/sortilege.js");
  return Engine.digests().trim();
}

/** What `validate --quick` finds on a device, compared with the CPU engine and the definition. */
async function validated(Sampler, device, names) {
  const sampler = await Sampler.create({ device });
  for (const dtype of ["f32", "f16", "bf16"]) await sampler.prepare("logprobs", dtype);
  const start = performance.now();
  const tell = (done, of) => done % 10 === 0 && console.log(`${done} of ${of} batches, ${Math.round((performance.now() - start) / 1000)} s`);
  const reports = JSON.parse(await sampler.inner.validate(names, tell));
  return { reports, seconds: Math.round((performance.now() - start) / 1000) };
}

const GRID = ["tile_stats", "logprobs", "row_max", "log_sum_exp", "log_softmax", "top_k", "sample", "sample_tokens", "histories", "divergence"];

/** The grid on a device of the page's. */
export async function grid({ Sampler }) {
  return validated(Sampler, await (await navigator.gpu.requestAdapter()).requestDevice(), GRID);
}

/** The same with a fault of one token in one kernel. */
export async function faultyGrid({ Sampler }) {
  const { device } = await withFault("bits = 0x7f800000u;", "bits = 0xff800000u;");
  const { reports } = await validated(Sampler, device, ["row_max"]);
  assert(reports[0].mismatches > 0, "the fault is seen");
  return { cases: reports[0].cases, mismatches: reports[0].mismatches, first: reports[0].first };
}
