// The panel of one token: what it is, and its alternatives as bars, of each distribution and log.

// Shows a cell in the panel and in the chart.
function show(number) {
  const cell = state.cells[number];
  byId("details").replaceChildren(...(cell ? details(cell) : [make("p", {}, "This request has no rows.")]));
  moveCursor(number);
}

function details(cell) {
  const rows = [cell.a, cell.b].slice(0, data.logs.length);
  const place = make("p", { className: "facts" }, `request ${request().id}, position ${positionOf(cell)}`);
  const change = difference(cell);
  if (isPair) place.append(change === null ? "; the tokens differ or have no logprob" : `; difference ${nats(change)} nats`);
  const parts = rows.map((row, log) => make("div", {},
    ...(isPair ? [make("h2", {}, `${"AB"[log]}: ${plain(data.logs[log].name)}`)] : []),
    ...(row ? rowDetails(row, data.logs[log], rows) : [make("p", {}, "no row at this position")])));
  return [place, make("div", { className: "beside" }, ...parts)];
}

function rowDetails(row, log, rows) {
  const token = data.tokens[row.token];
  const parts = [make("p", {}, token ? word(row.token) : "no target")];
  if (token) parts.push(make("p", { className: "facts" }, facts(token, row)));
  if (row.status) parts.push(make("p", {}, `This row is no distribution: ${row.status}.`));
  if (isKnown(row.kept)) parts.push(make("p", { className: "kept" }, keptWords(row)));
  if (row.draws?.length > 1) parts.push(drawList(row.draws));
  const largest = Math.max(0, ...rows.flatMap((row) => row?.views ?? []).map((view) => Math.exp(logprobOf(greedy(view)?.[1] ?? "-inf"))));
  const views = row.views.flatMap((view, number) => (view ? [make("div", {}, ...viewDetails(row, view, log.views[number], largest))] : []));
  return [...parts, make("div", { className: "beside" }, ...views)];
}

function facts({ id, hex, bytes }, row) {
  const parts = [isKnown(id) ? `token ${id}` : "no id", hex === null ? "bytes unknown" : `${bytes === 1 ? "1 byte" : `${bytes} bytes`}: ${hex}`];
  if (row.joined) parts.push("part of a character that is spread over tokens");
  return parts.join("; ");
}

function keptWords({ kept, keptMass, temperature }) {
  const mass = isKnown(keptMass) ? `, ${(100 * keptMass).toFixed(2)} % of the probability, and cut ${(100 * (1 - keptMass)).toFixed(2)} %` : "";
  return `The filters kept ${kept} ${kept === 1 ? "token" : "tokens"}${mass}.` + (isKnown(temperature) ? ` Temperature ${+temperature.toPrecision(6)}.` : "");
}

function drawList(draws) {
  const list = make("ol", { className: "draws" });
  for (const draw of draws) list.append(make("li", {}, word(draw.token), ` ${percent(draw.logprob)}, rank ${draw.rank}`));
  return make("div", {}, make("h3", {}, "Draws"), list);
}

function viewDetails(row, view, name, largest) {
  const words = [`logprob ${asLogprob(view.logprob)}`, percent(view.logprob), `rank ${view.rank ?? "–"}`, `entropy ${nats(view.entropy, 3)} nats`];
  const parts = [make("h3", {}, name), make("p", { className: "facts" }, words.join(", "))];
  const entries = [...view.top];
  if (row.token !== null && view.logprob !== null && !entries.some(([token]) => token === row.token)) {
    entries.push([row.token, view.logprob, view.rank]);
  }
  if (entries.length) parts.push(bars(row, entries, name === "raw" ? cutTokens(row) : () => false, largest));
  if (view.given) parts.push(make("h3", {}, `${name}, asked for by id`), bars(row, view.given, () => false, largest));
  if (view.left) parts.push(make("p", { className: "facts" }, `${view.left} more in the log`));
  return parts;
}

// Tells the raw tokens that the filters have cut, where the log has all that they kept.
function cutTokens(row) {
  const processed = row.views[0];
  const isWhole = isKnown(row.kept) && processed && processed.top.length >= row.kept;
  const kept = new Set(processed?.top.map(([token]) => token));
  return (token) => isWhole && !kept.has(token);
}

// A line for each entry: token, logprob, rank, and the logprob among those that were asked for.
function bars(row, entries, isCut, largest) {
  const isSet = entries.some((entry) => entry.length > 3);
  const names = ["rank", "token", "", "prob", "logprob", ...(isSet ? ["of these"] : [])];
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  const body = make("tbody");
  for (const [token, logprob, rank, setLogprob] of entries) {
    const bar = make("span");
    bar.style.width = `${largest > 0 ? (100 * Math.exp(logprobOf(logprob))) / largest : 0}%`;
    const name = make("td", {}, word(token));
    if (isCut(token)) name.append(" cut");
    const line = make("tr", { className: [token === row.token ? "chosen" : "", isCut(token) ? "cut" : ""].join(" ").trim() },
      make("td", { className: "number" }, String(rank ?? "–")),
      name,
      make("td", { className: "bar" }, bar),
      make("td", { className: "number" }, percent(logprob)),
      make("td", { className: "number" }, asLogprob(logprob)));
    if (isSet) line.append(make("td", { className: "number" }, percent(setLogprob)));
    body.append(line);
  }
  return make("table", {}, make("thead", {}, head), body);
}

// The cell in a sentence, for a screen reader.
function sentence(cell) {
  const words = [cell.a, cell.b].filter(Boolean).map((row) => {
    const view = viewOf(row);
    return `${spoken(row.token)}, ${percent(view?.logprob ?? null)}, rank ${view?.rank ?? "unknown"}`;
  });
  return words.join("; against ");
}
