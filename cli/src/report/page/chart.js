// Surprisal and entropy along the sequence as lines, of two logs the surprisal of each. A column of pixels in which several
// rows fall shows the range of them.

const WIDTH = 1000;
const HEIGHT = 100;

// Infinity of a token of probability 0, which has no place in the picture but counts in the mean.
const surprisal = (row) => { const logprob = logprobOf(viewOf(row)?.logprob ?? null); return logprob === null ? null : -logprob; };

function series() {
  if (isPair) return [["surprisal of A", ({ a }) => surprisal(a)], ["surprisal of B", ({ b }) => surprisal(b)]];
  return [["surprisal", ({ a }) => surprisal(a)], ["entropy", ({ a }) => viewOf(a)?.entropy ?? null]];
}

// Where the middle of a cell lies.
const across = (number) => ((number + 0.5) * WIDTH) / Math.max(1, state.cells.length);

function path(values, most) {
  const columns = new Map();
  values.forEach((value, number) => {
    if (!Number.isFinite(value)) return;
    const at = values.length > WIDTH ? Math.floor(across(number)) : across(number);
    const [low, high] = columns.get(at) ?? [Infinity, -Infinity];
    columns.set(at, [Math.min(low, value), Math.max(high, value)]);
  });
  const y = (value) => (HEIGHT - (value / most) * HEIGHT).toFixed(2);
  const points = [...columns].flatMap(([at, [low, high]]) => (low === high ? [`${at.toFixed(2)} ${y(low)}`] : [`${at} ${y(low)}`, `${at} ${y(high)}`]));
  return points.length ? `M${points.join("L")}` : "";
}

function fillChart() {
  const lines = series().map(([name, of]) => [name, state.cells.map(of)]).filter(([, values]) => values.some((value) => value !== null));
  if (!lines.length) return byId("chart").replaceChildren(make("p", {}, "No logprob or entropy is known."));
  const most = lines.flatMap(([, values]) => values).filter(Number.isFinite).reduce((most, value) => Math.max(most, value), 1e-9);
  const words = lines.map(([name, values]) => {
    const known = values.filter((value) => value !== null);
    return `${name}: mean ${nats(known.reduce((sum, value) => sum + value, 0) / known.length, 3)} nats`;
  });
  const svg = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": words.join(", ") });
  lines.forEach(([, values], number) => svg.append(makeSvg("path", { class: number ? "line second-line" : "line", d: path(values, most) })));
  svg.append(makeSvg("line", { class: "cursor", id: "cursor", y1: 0, y2: HEIGHT }));
  const cellUnder = (event) => {
    const box = svg.getBoundingClientRect();
    return Math.max(0, Math.min(state.cells.length - 1, Math.floor(((event.clientX - box.left) / box.width) * state.cells.length)));
  };
  svg.addEventListener("pointermove", (event) => show(cellUnder(event)));
  svg.addEventListener("pointerleave", () => show(state.cell));
  svg.addEventListener("click", (event) => pick(cellUnder(event), true));
  const keys = words.map((text, number) => make("span", {}, make("span", { className: number ? "key second-key" : "key" }), text));
  byId("chart").replaceChildren(
    make("div", { className: "scale" }, make("span", {}, `${nats(most, 2)} nats`), make("span", {}, ...keys)),
    svg,
    make("div", { className: "scale" }, make("span", {}, `position ${positionOf(state.cells[0])}`), make("span", {}, String(positionOf(state.cells.at(-1))))));
}

function moveCursor(number) {
  const cursor = byId("cursor");
  cursor?.setAttribute("x1", across(number));
  cursor?.setAttribute("x2", across(number));
}
