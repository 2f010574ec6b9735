// The page: real logits of a small model, every sampling parameter, and what each step leaves of the distribution.

import { Request, Sampler, formatLog } from "sortilege";
import { logits, module, tokens, vocab } from "./data.js";

const VOCAB = 4096;
const ROWS = logits.length / VOCAB;
/** vLLM's steps, and ours where they are closest; one acts where one of its parameters is not off. */
const STEPS = {
  temperature: ["temperature", "dynatemp_range"],
  top_n_sigma: ["top_n_sigma"],
  typical_p: ["typical_p"],
  epsilon_cutoff: ["epsilon_cutoff"],
  eta_cutoff: ["eta_cutoff"],
  min_p: ["min_p"],
  p_less: ["p_less"],
  top_h: ["top_h"],
  top_a: ["top_a"],
  top_k: ["top_k"],
  top_p: ["top_p"],
  xtc: ["xtc_probability"],
  mirostat: ["mirostat"],
};
/** Name, off, least, most, step, where it starts. */
const SLIDERS = [
  ["temperature", 1, 0, 3, 0.05, 0.8],
  ["dynatemp_range", 0, 0, 2, 0.05],
  ["dynatemp_exponent", 1, 0, 4, 0.1],
  ["top_k", 0, 0, 100, 1],
  ["top_p", 1, 0, 1, 0.01, 0.9],
  ["min_p", 0, 0, 0.5, 0.01],
  ["p_less", 0, 0, 1, 1],
  ["top_h", 1, 0, 1, 0.01],
  ["typical_p", 1, 0, 1, 0.01],
  ["top_n_sigma", 0, 0, 5, 0.1],
  ["top_a", 0, 0, 1, 0.01],
  ["epsilon_cutoff", 0, 0, 0.1, 0.001],
  ["eta_cutoff", 0, 0, 0.1, 0.001],
  ["xtc_threshold", 0.1, 0.01, 0.5, 0.01],
  ["xtc_probability", 0, 0, 1, 0.05],
  ["mirostat", 0, 0, 10, 0.1],
  ["repetition_penalty", 1, 0.5, 2, 0.05],
  ["presence_penalty", 0, -2, 2, 0.1],
  ["frequency_penalty", 0, -2, 2, 0.1],
  ["no_repeat_ngram_size", 0, 0, 6, 1],
  ["n", 1, 1, 16, 1, 16],
  ["seed", -1, 0, 999, 1, 7],
];
const SHOWN = 14;

const $ = (id) => document.getElementById(id);
const make = (name, text, attributes = {}) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  return Object.assign(element, attributes);
};
const word = (token) => new TextDecoder().decode(vocab[token]).replaceAll("\n", "⏎");
const values = Object.fromEntries(SLIDERS.map(([name, off, , , , start]) => [name, start ?? off]));
const log = [];

for (const [name, off, min, max, step] of SLIDERS) {
  const label = make("label");
  const output = make("output", values[name]);
  const slider = make("input", undefined, { type: "range", name, min, max, step });
  slider.value = values[name];
  const mark = () => label.classList.toggle("off", values[name] === off);
  slider.addEventListener("input", () => {
    output.textContent = values[name] = Number(slider.value);
    mark();
    tell(show);
  });
  mark();
  label.append(make("span", name), slider, output);
  $("params").append(label);
}

/** Parameters that are not off: of those steps, and what belongs to none. */
function params(steps) {
  const hidden = Object.entries(STEPS).flatMap(([step, names]) => (steps.includes(step) ? [] : names));
  const on = SLIDERS.filter(([name, off]) => values[name] !== off && !hidden.includes(name));
  const given = Object.fromEntries(on.map(([name]) => [name, values[name]]));
  if (given.mirostat !== undefined) given.mirostat = { tau: given.mirostat };
  if (given.p_less !== undefined) given.p_less = true;
  return { ...given, order: steps };
}

const position = () => Number($("position").value);
const rowOf = (place) => logits.subarray(place * VOCAB, (place + 1) * VOCAB);
/** One that has written the text so far: presence and frequency penalty look at the output alone. */
function request(steps, more) {
  const made = new Request({ ...params(steps), ...more });
  for (const token of tokens.slice(0, position())) made.accept(token);
  return made;
}

let sampler, cpu;

/** The stages: before any step, then after each that acts. Once the module is there. */
async function show() {
  if (!cpu) return;
  const steps = Object.keys(STEPS);
  const acting = steps.filter((step) => STEPS[step].some((name) => params(steps)[name] !== undefined));
  const lists = [[], ...acting.map((step) => steps.slice(0, steps.indexOf(step) + 1))];
  const asked = lists.map((list) => request(list, { n: 1, processed_logprobs: 200 }));
  const batch = new Uint16Array(lists.length * VOCAB);
  lists.forEach((_, row) => batch.set(rowOf(position()), row * VOCAB));
  const records = await cpu.sample(batch, asked, { rows: lists.length, dtype: "f16" });
  table(["logits", ...acting], records);
  const before = tokens.slice(0, position()).map(word).join("");
  $("text").replaceChildren(make("span", before || "(the beginning)"), make("b", word(tokens[position()])));
  $("position").nextElementSibling.textContent = position();
}

function table(names, records) {
  const chances = records.map((record) => new Map(record.processed.top.map((entry) => [entry.token, Math.exp(entry.logprob)])));
  const head = make("tr");
  head.append(make("th", "token"));
  names.forEach((name, column) => {
    const cell = make("th", name);
    cell.append(make("small", `${records[column].kept} kept`));
    head.append(cell);
  });
  const rows = records[0].processed.top.slice(0, SHOWN).map(({ token }) => {
    const row = make("tr");
    row.append(make("td", word(token)));
    for (const chance of chances) {
      const share = chance.get(token);
      const cell = make("td", undefined, { className: share === undefined ? "out" : "" });
      const bar = make("i");
      bar.style.width = `${(share ?? 0) * 5}rem`;
      cell.append(bar, share === undefined ? "–" : `${(share * 100).toFixed(1)} %`);
      row.append(cell);
    }
    return row;
  });
  $("stages").replaceChildren(head, ...rows);
}

/** Draws on the engine of the page, and writes the record down. */
async function draw() {
  const drawing = request(Object.keys(STEPS), { processed_logprobs: 5, raw_logprobs: 5 });
  const [record] = await sampler.sample(rowOf(position()), [drawing], { dtype: "f16" });
  log.push(record);
  $("drawn").replaceChildren(...record.draws.map(({ token }) => make("span", word(token))));
}

/** Compares every row of the text on both engines, and the device's kernels. */
async function check() {
  $("state").textContent = "Comparing …";
  const options = { rows: ROWS, dtype: "f16", topLogprobs: 20, targets: tokens.slice(0, ROWS) };
  const [ours, theirs] = [await sampler.logprobs(logits, options), await cpu.logprobs(logits, options)];
  const unequal = ours.filter((record, row) => JSON.stringify(record) !== JSON.stringify(theirs[row])).length;
  await sampler.selfCheck("sample", "f16");
  $("state").textContent = `${engineName()}: ${ours.length} records compared with the CPU engine's, ${unequal} unequal`;
}

function save() {
  const text = formatLog(log, $("format").value, { tokenBytes: (token) => vocab[token] });
  const link = make("a", undefined, { download: `log.${$("format").value}` });
  link.href = URL.createObjectURL(new Blob([text]));
  link.click();
  URL.revokeObjectURL(link.href);
}

const engineName = () => {
  const { vendor, architecture, description } = sampler.device?.adapterInfo ?? {};
  return sampler.device ? `WebGPU, ${[vendor, architecture, description].filter(Boolean).join(" ")}` : "the CPU engine (no WebGPU here)";
};

let hasFailed = false;

/** Makes a call, and says what went wrong with it until the next one. */
async function tell(call) {
  if (hasFailed) $("state").textContent = sampler ? engineName() : "";
  hasFailed = false;
  try {
    await call();
  } catch (error) {
    $("state").textContent = `${error.kind ?? error.name}: ${error.message}`;
    hasFailed = true;
  }
}

await tell(async () => {
  sampler = await Sampler.create({ module });
  cpu = await Sampler.create({ engine: "cpu" });
  $("position").max = ROWS - 1;
  $("state").textContent = engineName();
  await show();
  const actions = { draw, check, save };
  for (const [id, call] of Object.entries(actions)) {
    $(id).addEventListener("click", () => tell(call));
    $(id).disabled = false;
  }
  $("position").addEventListener("input", () => tell(show));
  document.addEventListener("keydown", (event) => {
    const id = Object.keys(actions).find((name) => name[0] === event.key);
    if (id && !event.ctrlKey && !event.metaKey && !event.altKey && event.target.tagName !== "SELECT") tell(actions[id]);
  });
  document.body.dataset.ready = "";
});
