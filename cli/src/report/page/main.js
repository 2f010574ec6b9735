// Ties the parts together: the pickers, the address, the first picture.

// Requests by their id, each with the rows of every log.
function joinRequests() {
  const found = new Map();
  data.logs.forEach((log, number) => log.requests.forEach(({ id, rows }) => {
    if (!found.has(id)) found.set(id, { id, rows: data.logs.map(() => []) });
    found.get(id).rows[number] = rows;
  }));
  return [...found.values()].sort((a, b) => a.id - b.id);
}

const counted = (count, name) => `${count} ${name}${count === 1 ? "" : "s"}`;

function summary() {
  const words = data.logs.map((_, log) => {
    const rows = request().rows[log];
    // A token of probability 0 counts: the mean is −∞ then.
    const known = rows.map((row) => logprobOf(viewOf(row)?.logprob ?? null)).filter(isKnown);
    const mean = known.reduce((sum, logprob) => sum + logprob, 0) / known.length;
    const name = (isPair ? `${"AB"[log]}: ` : "") + counted(rows.length, "row");
    if (!known.length) return name;
    const tokens = counted(known.length, data.logs[log].hasTargets ? "target" : "token");
    return `${name}, ${tokens}, mean logprob ${nats(mean)}, perplexity ${nats(Math.exp(-mean))}`;
  });
  if (isPair) words.push(`tokens that differ: ${state.cells.filter((cell) => cell.a && cell.b && differs(cell)).length}`);
  return [...words, ...data.notes.map(plain)].join("; ");
}

function fillRequest(cell) {
  state.cell = 0;
  fillStrip();
  byId("summary").textContent = summary();
  if (state.cells.length) fillChart();
  fillLists();
  pick(cell, false);
}

// Goes where the address points, `#request:position`; whether it points somewhere.
function follow(takesFocus) {
  const [, id, position] = (/^#(\d+):(\d+)$/.exec(location.hash) ?? []).map(Number);
  const number = state.requests.findIndex((request) => request.id === id);
  if (number < 0) return false;
  const isOther = state.request !== number || !state.cells.length;
  state.request = number;
  byId("request").value = number;
  if (isOther) fillRequest(0);
  const cell = state.cells.findIndex((cell) => positionOf(cell) === position);
  pick(Math.max(0, cell), takesFocus);
  if (!takesFocus) state.elements[state.cell]?.scrollIntoView({ block: "center" });
  return true;
}

function fillSelect(id, options, value) {
  byId(id).replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  byId(id).value = value;
}

function start() {
  state.requests = joinRequests();
  const count = ({ rows }) => Math.max(...rows.map((rows) => rows.length));
  fillSelect("request", state.requests.map((request, number) => [number, `${request.id}, ${count(request)} rows`]), 0);
  const scales = Object.keys(SCALES).filter((name) => isPair || name !== "difference");
  fillSelect("scale", scales.map((name) => [name, name + (isPair && name !== "difference" ? " (A)" : "")]), state.scale);
  // A log beside a sample is of the logits as they are, and so is the raw distribution of that.
  const views = data.logs.map((log) => log.views).reduce((a, b) => (b.length > a.length ? b : a));
  if (isPair && data.logs.some((log) => log.views.length < views.length && !log.views.includes(views[0]))) state.view = Math.max(0, views.indexOf("raw"));
  fillSelect("view", views.map((name, number) => [number, name]), state.view);
  byId("view-label").hidden = views.length < 2;
  document.body.classList.add("shows-whitespace");
  byId("whitespace").addEventListener("change", (event) => document.body.classList.toggle("shows-whitespace", event.target.checked));
  byId("request").addEventListener("change", (event) => {
    state.request = Number(event.target.value);
    fillRequest(0);
  });
  byId("scale").addEventListener("change", (event) => {
    state.scale = event.target.value;
    fillLegend();
    recolour();
  });
  byId("view").addEventListener("change", (event) => {
    state.view = Number(event.target.value);
    fillRequest(state.cell);
  });
  listenToStrip();
  fillLegend();
  fillCalibration();
  if (!state.requests.length) byId("summary").textContent = "The log has no rows.";
  else if (!follow(false)) fillRequest(0);
  addEventListener("hashchange", () => follow(true));
  document.documentElement.dataset.ready = "yes";
}

start();
