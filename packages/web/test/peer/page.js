// What transformers.js does after a model has answered, beside the package, on the same logits: its sampler of top-k (the runtime's
// TopK, then softmax and a draw in JavaScript), and the log-probabilities of its beam search, which takes the most probable.

import { env, Tensor } from "@huggingface/transformers";
import { LogitsSampler } from "transformers-logits-sampler";
import { Request, Sampler } from "sortilege";

const RUNS = 15;
const CALLS = 5;

/** Logits that all differ. */
function logitsOf(vocab) {
  let state = 5;
  const uniform = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 1) / 2 ** 32;
  return Float32Array.from({ length: vocab }, () => 3 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

/** Milliseconds that a call takes: the least of some runs of several calls, so that what else the machine does counts little. */
async function time(call) {
  let least = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    for (let i = 0; i < CALLS; i++) await call();
    least = Math.min(least, (performance.now() - start) / CALLS);
  }
  return Number(least.toFixed(2));
}

/** Nothing, if both lists name the same tokens with the same log-probabilities. */
function compare(theirs, ours, name) {
  const isOff = ([token, logprob], i) => Number(token) !== ours[i].token || Math.abs(logprob - ours[i].logprob) > 2e-5;
  const off = theirs.findIndex(isOff);
  if (theirs.length !== ours.length || off >= 0) throw new Error(`${name}: ${theirs[off]} is not ${JSON.stringify(ours[off])}`);
}

globalThis.compareAll = async (wasm, module) => {
  env.backends.onnx.wasm.wasmPaths = wasm;
  const samplers = { cpu: await Sampler.create({ engine: "cpu", module }), webgpu: await Sampler.create({ engine: "webgpu" }) };
  const rows = [];
  for (const vocab of [4096, 128256]) {
    const logits = logitsOf(vocab);
    const tensor = new Tensor("float32", logits, [1, vocab]);
    const drawing = (top_k) => LogitsSampler.getSampler({ do_sample: true, top_k, num_beams: 1 });
    const listing = LogitsSampler.getSampler({ num_beams: 20, top_k: 0 });
    const listed = async (sampler) => (await sampler.logprobs(logits, { topLogprobs: 20 }))[0].top;
    const drawn = async (sampler, request) => (await sampler.sample(logits, [request]))[0];
    const theirs = await listing(tensor);
    const kept = await LogitsSampler.getSampler({ num_beams: 50, top_k: 50 })(tensor);
    const row = { vocab, engine: "transformers.js", "20 logprobs": await time(() => listing(tensor)) };
    for (const top_k of [50, 0]) row[`a draw, top_k ${top_k}`] = await time(() => drawing(top_k)(tensor));
    rows.push(row);
    for (const [name, sampler] of Object.entries(samplers)) {
      compare(theirs, await listed(sampler), `${name}, ${vocab}`);
      const seen = new Request({ top_k: 50, seed: 1, processed_logprobs: 50 });
      compare(kept, (await drawn(sampler, seen)).processed.top, `${name}, top-k of ${vocab}`);
      const row = { vocab, engine: name, "20 logprobs": await time(() => listed(sampler)) };
      for (const top_k of [50, 0]) {
        const request = new Request({ top_k, seed: 1 });
        row[`a draw, top_k ${top_k}`] = await time(() => drawn(sampler, request));
      }
      rows.push(row);
    }
  }
  return rows;
};
