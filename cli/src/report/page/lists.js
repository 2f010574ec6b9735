// What stands out: the most surprising and the least confident tokens, the largest differences; and the calibration.

const LISTED = 10;

// The numbers of the cells with the largest keys, where there is a key.
function largest(key) {
  const found = state.cells.map((cell, number) => [key(cell), number]).filter(([value]) => value !== null);
  return found.sort(([a, m], [b, n]) => b - a || m - n).slice(0, LISTED).map(([, number]) => number);
}

function list(title, key, words) {
  const numbers = largest(key);
  if (!numbers.length) return [];
  const item = (number) => {
    const cell = state.cells[number];
    return make("li", {}, make("a", { href: `#${request().id}:${positionOf(cell)}` }, word((cell.a ?? cell.b).token)), ` ${words(cell)}`);
  };
  return [make("div", {}, make("h2", {}, title), make("ol", {}, ...numbers.map(item)))];
}

// −∞ is more surprising than any number.
function surprise(row) {
  const logprob = viewOf(row)?.logprob ?? null;
  return logprob === null ? null : -logprobOf(logprob);
}

function doubt(row) {
  const first = greedy(viewOf(row));
  return first ? -logprobOf(first[1]) : null;
}

function fillLists() {
  const where = (cell) => `at ${positionOf(cell)}`;
  const lists = isPair
    ? [
        ...list("Largest differences", (cell) => { const change = difference(cell); return change === null ? null : Math.abs(change); },
          (cell) => `${nats(difference(cell), 3)} nats, ${where(cell)}`),
        ...list("First different tokens", (cell) => (cell.a && cell.b && differs(cell) ? -(cell.a.position) : null),
          (cell) => `and ${spoken(cell.b.token)} ${where(cell)}`),
      ]
    : [
        ...list("Most surprising", ({ a }) => surprise(a), (cell) => `${percent(viewOf(cell.a).logprob)}, rank ${viewOf(cell.a).rank ?? "–"}, ${where(cell)}`),
        ...list("Least confident", ({ a }) => doubt(a), (cell) => {
          const first = greedy(viewOf(cell.a));
          return `best ${spoken(first[0])} ${percent(first[1])}, ${where(cell)}`;
        }),
      ];
  byId("lists").replaceChildren(...lists);
}

const BINS = 10;

// Bins of confidence over all requests of a log: count, mean confidence, accuracy.
function reliability(log) {
  const bins = Array.from({ length: BINS }, () => ({ count: 0, confidence: 0, hits: 0 }));
  for (const { rows } of log.requests) {
    for (const { token, views: [view] } of rows) {
      const first = greedy(view);
      if (token === null || !first) continue;
      const confidence = Math.exp(logprobOf(first[1]));
      const bin = bins[Math.min(BINS - 1, Math.floor(confidence * BINS))];
      bin.count += 1;
      bin.confidence += confidence;
      bin.hits += first[0] === token ? 1 : 0;
    }
  }
  return bins;
}

function expectedError(bins) {
  const count = bins.reduce((sum, bin) => sum + bin.count, 0);
  return bins.reduce((sum, bin) => sum + Math.abs(bin.hits - bin.confidence), 0) / count;
}

function fillCalibration() {
  const parts = data.logs.filter((log) => log.hasTargets).flatMap((log) => {
    const bins = reliability(log);
    if (!bins.some(({ count }) => count)) return [];
    const title = `Calibration${isPair ? ` of ${plain(log.name)}` : ""}, all requests: ECE ${expectedError(bins).toFixed(4)}`;
    return [make("h2", {}, title), make("div", { className: "calibrated" }, diagram(bins), binTable(bins))];
  });
  byId("calibration").replaceChildren(...parts);
}

function diagram(bins) {
  const svg = makeSvg("svg", { viewBox: "-6 -6 112 112", class: "reliability", role: "img", "aria-label": "accuracy against confidence; the table has the numbers" });
  svg.append(makeSvg("line", { class: "diagonal", x1: 0, y1: 100, x2: 100, y2: 0 }));
  const most = Math.max(...bins.map(({ count }) => count));
  for (const { count, confidence, hits } of bins) {
    if (count) svg.append(makeSvg("circle", { class: "dot", cx: (100 * confidence) / count, cy: 100 - (100 * hits) / count, r: 1.5 + 3 * Math.sqrt(count / most) }));
  }
  return svg;
}

function binTable(bins) {
  const cells = (name, values, kind) => make("tr", {}, ...values.map((value) => make(name, kind, value)));
  const table = make("table", {}, cells("th", ["bin", "rows", "confidence", "accuracy"], { scope: "col", className: "number" }));
  bins.forEach(({ count, confidence, hits }, bin) => {
    const mean = (sum) => (count ? `${((100 * sum) / count).toFixed(1)} %` : "–");
    table.append(cells("td", [`${bin * 10}–${(bin + 1) * 10} %`, String(count), mean(confidence), mean(hits)], { className: "number" }));
  });
  return table;
}
