// Samples tokens and logs their probabilities from logits on the page's GPU, or without one on its processor, with the same
// bits. The work is done by the module beside this file; here it gets its names and types. `build` takes out lines that are
// comment alone: what users should read is in index.d.ts.

import init, * as wasm from "./sortilege.js";
import { withBuffer, withDevice } from "./door.js";

/** What went wrong, by its kind. */
export class SortilegeError extends Error {
  constructor(kind, message, { cause, row } = {}) {
    super(message, cause && { cause });
    this.name = "SortilegeError";
    this.kind = kind;
    if (row !== undefined) this.row = row;
  }
}

/** What ended the module, once something has, and who is to hear of it. */
let dead;
const waiting = new Set();

function died(message) {
  dead ??= new SortilegeError("Panic", `the module is dead, load the page again (${message})`);
  waiting.forEach((reject) => reject(dead));
  waiting.clear();
}

function typed(error) {
  if (error instanceof WebAssembly.RuntimeError) died(error.message);
  return dead ?? (error?.kind ? new SortilegeError(error.kind, error.message, error) : error);
}

function tried(call) {
  if (dead) throw dead;
  if (!isLoaded) throw new SortilegeError("Params", "the module is not loaded: await load() or Sampler.create() first");
  try {
    return call();
  } catch (error) {
    throw typed(error);
  }
}

/** What comes of a call that the module ends later. A panic would leave its promise as it is. */
async function awaited(call) {
  const outcome = tried(call);
  let reject;
  const end = new Promise((_, rejected) => waiting.add((reject = rejected)));
  try {
    return await Promise.race([outcome, end]);
  } catch (error) {
    throw typed(error);
  } finally {
    waiting.delete(reject);
  }
}

/** Gives back what the module holds for an object. */
function freed(object) {
  if (!dead) object.free();
}

/** What is read of an object, which is given back: finalizers wait for a turn of the event loop, and some loops take none. */
function taken(object, read) {
  try {
    return tried(() => read(object));
  } finally {
    freed(object);
  }
}

let loading;
let isLoaded = false;

/** Loads the module, once: from beside this file, or from an address, a `Response`, bytes or a `WebAssembly.Module`. */
export function load(module) {
  loading ??= init({ module_or_path: module ?? new URL("./sortilege_bg.wasm", import.meta.url) }).then(
    () => {
      wasm.on_panic(died);
      isLoaded = true;
    },
    (error) => {
      loading = undefined;
      throw error;
    },
  );
  return loading;
}

/** A request in the making: its parameters, its seed, and the tokens that penalties look at. */
export class Request {
  constructor(params = {}, { prompt = [] } = {}) {
    this.params = params;
    this.inner = tried(() => new wasm.Request(json(params), tokens(prompt, "prompt")));
  }

  /** The seed of its draws: a number, or a bigint from 2^53 on. */
  get seed() {
    return small(tried(() => this.inner.seed));
  }

  /** The accepted tokens. */
  get output() {
    return Array.from(tried(() => this.inner.output));
  }

  /** Why it has finished: `"stop"`, a stop token was accepted, or `"length"`, it has its `max_tokens`; null while it goes on. */
  get finishReason() {
    return tried(() => this.inner.finish_reason) ?? null;
  }

  /** Other parameters from the next row on; the seed stays unless they name one. */
  setParams(params) {
    tried(() => this.inner.set_params(json(params)));
    this.params = params;
  }

  /**
   * Takes the first drawn token of a record of `sample` into the output, or a token that was not drawn here. A record of another
   * request, by its seed and stream, or one that is not the next, by its position, is an error.
   */
  accept(drawn) {
    if (typeof drawn === "number") return tried(() => this.inner.accept_token(tokens([drawn], "accept")[0]));
    const from = origins.get(drawn);
    if (!from) throw new SortilegeError("Params", "accept: give a record that `sample` returned, or a token");
    tried(() => from.samples.accept(from.row, this.inner));
  }
}

/** Where a record of `sample` came from. */
const origins = new WeakMap();

/** Samples and logs from logits `[rows][vocab]`. */
export class Sampler {
  /** On the page's device if one is given, on one of its own, or on the CPU engine where the browser gives none. */
  static async create({ device, engine = "auto", powerPreference, module } = {}) {
    if (!["auto", "webgpu", "cpu"].includes(engine)) {
      throw new SortilegeError("Params", `engine ${JSON.stringify(engine)}: use "auto", "webgpu" or "cpu"`);
    }
    await load(module);
    const found = engine === "cpu" ? {} : await openDevice(device, powerPreference);
    if (found.reason && (device || engine === "webgpu")) {
      throw new SortilegeError("NoAdapter", `${found.reason}: use engine "cpu"`, found);
    }
    const sampler = new Sampler();
    /** The `GPUDevice` on which it works; none on the CPU engine. */
    sampler.device = found.device;
    /** `"webgpu"` or `"cpu"`. */
    sampler.engine = found.device ? "webgpu" : "cpu";
    /** Why it is the CPU engine where that was not asked for. */
    sampler.fallbackReason = found.reason;
    sampler.inner = found.device ? await opened(found.device) : tried(() => wasm.Engine.cpu());
    return sampler;
  }

  /** Compiles the kernels for a type of logits and checks the device's arithmetic, so that the first step does not wait. */
  async prepare(kernels = "logprobs", dtype = "f32") {
    await awaited(() => this.inner.prepare(kernels, dtype));
  }

  /** Compares the device with the CPU engine, bit for bit; a `Mismatch` where a bit differs. */
  async selfCheck(kernels = "logprobs", dtype = "f32") {
    await this.prepare(kernels, dtype);
    await awaited(() => this.inner.self_check(kernels, dtype));
  }

  /** A record for each row: its most probable tokens, and logprob and rank of its target. */
  async logprobs(logits, options = {}) {
    const { topLogprobs, temperature, entropy, targets, tokenIds, request, firstPosition } = options;
    const asked = {
      top_logprobs: topLogprobs,
      temperature,
      entropy,
      targets: targets && Array.from(targets, (target) => target ?? null),
      token_ids: tokenIds && Array.from(tokenIds, (list) => Array.from(list)),
      request,
      first_position: firstPosition,
    };
    const given = this.#logits(logits, options);
    try {
      return records(await awaited(() => this.inner.logprobs(given, json(asked))));
    } finally {
      freed(given);
    }
  }

  /** A record for each row: the tokens that its request drew, and from what. `requests` has one for each row: a `Request`, or
   * `{ request, position }`. */
  async sample(logits, requests, options = {}) {
    const fill = (rows) => {
      for (const row of requests) {
        const { request, position } = row instanceof Request ? { request: row } : row;
        rows.push(request.inner, position);
      }
    };
    return (await this.#samples(logits, fill, options)).list;
  }

  /** What becomes of draft tokens: `{ request, tokens, parents, position, verification }` each, with a row of logits for the text
   * before them and one after each. */
  async verify(logits, drafts, options = {}) {
    const all = Array.from(drafts);
    const fill = (rows) => {
      for (const { request, position, verification = "match", parents, tokens: ids } of all) {
        const draft = tokens(ids, "tokens");
        const by = ["match", "rejection", "block"].indexOf(verification);
        if (by < 0) throw new SortilegeError("Params", `verification ${json(verification)}: use "match", "rejection" or "block"`);
        if (parents) rows.push_tree(request.inner, position, draft, places(parents), by);
        else rows.push_draft(request.inner, position, draft, by);
      }
    };
    const rows = all.reduce((sum, draft) => sum + draft.tokens.length + 1, 0);
    const { list, samples } = await this.#samples(logits, fill, { rows, ...options });
    const named = ({ accepted, rows: own }) => ({ accepted, records: own.map((row) => list[row]) });
    return JSON.parse(tried(() => samples.take_verdicts())).map(named);
  }

  /** Maximum of each row. */
  rowMax(logits, options) {
    return this.#of(logits, options, (given) => this.inner.row_max(given));
  }

  /** Log-sum-exp of each row. */
  logSumExp(logits, options) {
    return this.#of(logits, options, (given) => this.inner.log_sum_exp(given));
  }

  /** Log-softmax, `[rows][vocab]`. */
  logSoftmax(logits, options) {
    return this.#of(logits, options, (given) => this.inner.log_softmax(given));
  }

  /** The `k` largest logits of each row and their tokens, `[rows][k]`. */
  async topK(logits, k, options) {
    if (!isWhole(k)) throw new SortilegeError("Params", `k ${k}: give a whole number`);
    const top = await this.#of(logits, options, (given) => this.inner.top_k(given, k));
    return taken(top, ({ values, tokens: ids }) => ({ values, tokens: ids }));
  }

  /** How far the softmax of each row is from that of the same row of other logits, in nats. `second` are the options of those
   * where they differ. */
  divergence(logits, others, options = {}, second = options) {
    return this.#of(others, second, async (other) => {
      const found = await this.#of(logits, options, (given) => this.inner.divergence(given, other));
      const { numbers, statuses } = taken(found, ({ numbers, statuses }) => ({ numbers, statuses }));
      return Array.from({ length: numbers.length / 3 }, (_, row) => {
        const [kl, reverse_kl, jensen_shannon] = numbers.subarray(3 * row);
        return { kl, reverse_kl, jensen_shannon, statuses: statuses.slice(2 * row, 2 * row + 2) };
      });
    });
  }

  /** What the module makes of logits. */
  async #of(logits, options = {}, call) {
    const given = this.#logits(logits, options);
    try {
      return await awaited(() => call(given));
    } finally {
      freed(given);
    }
  }

  /** The samples of rows, and their records. */
  async #samples(logits, fill, options) {
    const given = this.#logits(logits, options);
    const [rows, inputs] = tried(() => [new wasm.Rows(), new wasm.Inputs()]);
    try {
      tried(() => fill(rows));
      const { mask, draftProbabilities, tokens: out, tokensOffset = 0 } = options;
      if (mask) tried(() => inputs.set_mask(Uint32Array.from(mask)));
      if (draftProbabilities) tried(() => inputs.set_draft(Float32Array.from(draftProbabilities)));
      if (out) tried(() => inputs.set_tokens(this.#adopted(out), tokensOffset));
      const samples = await awaited(() => this.inner.sample(given, rows, inputs));
      const list = records(tried(() => samples.take_records()));
      list.forEach((record, row) => origins.set(record, { samples, row }));
      return { list, samples };
    } finally {
      [given, rows, inputs].forEach(freed);
    }
  }

  /** Logits as the module takes them. */
  #logits(logits, { rows = 1, vocab, rowStride, dtype, byteOffset = 0 }) {
    const isBuffer = typeof GPUBuffer !== "undefined" && logits instanceof GPUBuffer;
    const isHalf = typeof Float16Array !== "undefined" && logits instanceof Float16Array;
    const own = isHalf ? "f16" : logits instanceof Float32Array ? "f32" : undefined;
    const type = dtype ?? own ?? (isBuffer ? "f32" : undefined);
    if (!type) throw new SortilegeError("Logits", 'give dtype "f16" or "bf16" for logits of 16 bits');
    if ((own && own !== type) || logits instanceof Float64Array) {
      throw new SortilegeError("Logits", `${logits.constructor.name} is not of dtype ${type}: give the array of that type`);
    }
    for (const [name, value] of Object.entries({ rows, vocab, rowStride, byteOffset })) {
      if (value !== undefined && !isWhole(value)) {
        throw new SortilegeError("Logits", `${name} ${value}: give a whole number from 0 to below 2^32`);
      }
    }
    if (!isBuffer && byteOffset > logits.byteLength) {
      throw new SortilegeError("Logits", `byteOffset ${byteOffset} is behind the ${logits.byteLength} bytes of the logits`);
    }
    const size = type === "f32" ? 4 : 2;
    const elements = isBuffer ? undefined : Math.floor((logits.byteLength - byteOffset) / size);
    const width = vocab ?? rowStride ?? (isBuffer ? undefined : elements / rows);
    if (!Number.isInteger(width)) {
      throw new SortilegeError("Logits", `${elements ?? "a buffer of"} logits in ${rows} rows: give rows and vocab`);
    }
    const stride = rowStride ?? width;
    if (isBuffer) {
      return taken(this.#adopted(logits), (buffer) => wasm.Logits.device(buffer, byteOffset, type, rows, width, stride));
    }
    const bytes = new Uint8Array(logits.buffer, logits.byteOffset + byteOffset, logits.byteLength - byteOffset);
    return tried(() => wasm.Logits.host(bytes, type, rows, width, stride));
  }

  /** A buffer of the page as the module knows it. */
  #adopted(buffer) {
    if (!this.device) throw new SortilegeError("Logits", "the CPU engine has no buffers: give logits in memory");
    return tried(() => withBuffer(this.device, buffer, () => this.inner.buffer(buffer.size, buffer.usage)));
  }
}

/** A device, the given one if there is one, or the reason why there is none. */
async function openDevice(device, powerPreference) {
  // wgpu looks for the GPU in these two alone, and panics where there is neither.
  if (!globalThis.Window && !globalThis.WorkerGlobalScope) return { reason: "WebGPU is used in pages and workers alone" };
  if (device) return { device };
  try {
    const adapter = await navigator.gpu?.requestAdapter(powerPreference && { powerPreference });
    if (!adapter) return { reason: "this browser offers no WebGPU adapter" };
    const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
    const requiredLimits = { maxBufferSize, maxStorageBufferBindingSize };
    return { device: await adapter.requestDevice({ label: "sortilege", requiredLimits }) };
  } catch (error) {
    return { reason: `this browser opens no WebGPU device (${error.message})`, cause: error };
  }
}

function opened(device) {
  return awaited(() => withDevice(device, () => wasm.Engine.open()));
}

/** A log of records: `"jsonl"`, `"csv"`, `"openai"`, `"openai-completions"`, `"vllm"` or `"llama-server"`. */
export function formatLog(records, format = "jsonl", { tokenBytes } = {}) {
  const lines = records.map((record) => json(tokenBytes ? named(record, tokenBytes) : record) + "\n");
  return tried(() => wasm.format_log(lines.join(""), format));
}

/** A record with the texts and bytes of its tokens. */
function named(value, tokenBytes) {
  if (Array.isArray(value)) return value.map((item) => named(item, tokenBytes));
  if (typeof value !== "object" || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, named(item, tokenBytes)]));
  if ("bytes" in copy && typeof copy.token === "number") {
    const known = tokenBytes(copy.token);
    const bytes = typeof known === "string" ? new TextEncoder().encode(known) : known;
    if (bytes) [copy.bytes, copy.text] = [Array.from(bytes), new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)];
  }
  return copy;
}

/** Version of the library, and of its arithmetic: results of one version can be compared bit for bit. */
export async function versions() {
  await load();
  return JSON.parse(tried(() => wasm.versions()));
}

// Seeds are whole numbers up to 2^64, which JSON has and JavaScript's numbers have not.
const small = (seed) => (seed <= Number.MAX_SAFE_INTEGER ? Number(seed) : seed);

function records(lines) {
  const list = lines.replaceAll(/"seed":(\d+)/g, '"seed":"$1"').split("\n").slice(0, -1);
  const revive = (key, value) => (key === "seed" ? small(BigInt(value)) : value);
  return list.map((line) => JSON.parse(line, revive));
}

const isWhole = (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32;

/** The places of parents, -1 for the text. */
function places(parents) {
  return Int32Array.from(parents, (parent) => {
    if (parent === null) return -1;
    if (isWhole(parent) && parent < 2 ** 31) return parent;
    throw new SortilegeError("Params", `parents: ${parent} is neither null nor the place of a token`);
  });
}

/** Token ids, for what is named. */
function tokens(list, name) {
  return Uint32Array.from(list, (token) => {
    if (isWhole(token)) return token;
    throw new SortilegeError("Params", `${name}: ${token} is no token id`);
  });
}

function json(value) {
  const text = JSON.stringify(value, (key, item) => {
    // JSON has no word for these, and leaves out what it has none for.
    if ((typeof item === "number" && !Number.isFinite(item)) || item instanceof Map || item instanceof Set) {
      const said = typeof item === "number" ? item : item.constructor.name;
      throw new SortilegeError("Params", `${key} ${said}: give a finite number, a list or an object`);
    }
    return typeof item === "bigint" ? String(item) : item;
  });
  return text.replaceAll(/"seed":"(\d+)"/g, '"seed":$1');
}
