// Scales: which step of colour a row has. What the colours are is the style's part.

// Steps 0 to 8: a value has the number of limits that it passes.
const SCALES = {
  probability: {
    limits: [0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001],
    passes: (value, limit) => value < limit,
    value: ({ a }) => { const view = viewOf(a); return view && view.logprob !== null ? Math.exp(logprobOf(view.logprob)) : null; },
    label: (limits, step) => step === 0 ? `≥ ${100 * limits[0]} %` : `< ${+(100 * limits[step - 1]).toPrecision(3)} %`,
  },
  rank: {
    limits: [1, 2, 3, 5, 10, 20, 100, 1000],
    passes: (value, limit) => value > limit,
    value: ({ a }) => viewOf(a)?.rank ?? null,
    label: (limits, step) => step === 0 ? "rank 1" : `> ${limits[step - 1]}`,
  },
  entropy: {
    limits: [0.1, 0.5, 1, 1.5, 2, 3, 4, 6],
    passes: (value, limit) => value > limit,
    value: ({ a }) => viewOf(a)?.entropy ?? null,
    label: (limits, step) => step === 0 ? `≤ ${limits[0]} nats` : `> ${limits[step - 1]}`,
  },
  difference: {
    limits: [-2, -1, -0.5, -0.1, 0.1, 0.5, 1, 2],
    passes: (value, limit) => value > limit,
    value: (cell) => difference(cell),
    label: (limits, step) => step === 0 ? "≤ −2 nats" : `> ${limits[step - 1]}`.replace("-", "−"),
  },
};

// The second logprob minus the first, where both are of the same token: infinite where one of them is, 0 where both are.
function difference({ a, b }) {
  const [first, second] = [a, b].map((row) => logprobOf(viewOf(row)?.logprob ?? null));
  if (!a || !b || differs({ a, b }) || first === null || second === null) return null;
  return first === second ? 0 : second - first;
}

const prefix = () => (state.scale === "difference" ? "d" : "s");

// The classes of a cell's colour.
function colour(cell) {
  const { limits, passes, value } = SCALES[state.scale];
  const found = value(cell);
  if (found === null) return "unknown";
  return `step ${prefix()}${limits.filter((limit) => passes(found, limit)).length}`;
}

function fillLegend() {
  const { limits, label } = SCALES[state.scale];
  const items = [...limits, null].map((_, step) => make("li", { className: `step ${prefix()}${step}` }, label(limits, step)));
  byId("legend").replaceChildren(...items, make("li", { className: "unknown" }, "not known"));
}
