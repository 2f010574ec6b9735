// The text: a token for each row, in slices that are laid out only when they are on the screen; and how one gets from token
// to token.

// Tokens of a slice: it ends after a line's end if it can.
const SLICE = { least: 300, most: 1000 };

// Characters of a token from which on it may be broken.
const LONG = 20;

// The rows of a request; of two logs those of one position together.
function cellsOf({ rows: [a, b] }) {
  if (!isPair) return a.map((row) => ({ a: row, b: null }));
  const cells = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const order = i === a.length ? 1 : j === b.length ? -1 : a[i].position - b[j].position;
    cells.push({ a: order <= 0 ? a[i++] : null, b: order >= 0 ? b[j++] : null });
  }
  return cells;
}

// The text of a row as it stands in the strip.
function appendShown(element, row) {
  const token = data.tokens[row?.token];
  const text = row?.shown ?? token?.text;
  if (row?.joined) element.classList.add("joined");
  if (token === undefined) element.append(row ? "∅" : " ");
  else if (text === null) element.append(`[${token.id}]`);
  else if (text === "") element.classList.add("mute");
  else appendText(element, text, !isPair);
  if (text?.length > LONG) element.classList.add("long");
  return element;
}

function classOf(cell) {
  return `token ${colour(cell)}${isPair ? " pair" : ""}${isPair && differs(cell) ? " differs" : ""}`;
}

function makeToken(cell, number) {
  const element = make("span", { className: classOf(cell), role: "option", tabIndex: -1 });
  element.cell = number;
  element.setAttribute("aria-selected", "false");
  if (!isPair) return appendShown(element, cell.a);
  element.append(appendShown(make("span"), differs(cell) ? cell.a : (cell.a ?? cell.b)));
  if (differs(cell)) element.append(appendShown(make("span", { className: "second" }), cell.b));
  return element;
}

const textOf = ({ a, b }) => { const row = a ?? b; return row.shown ?? data.tokens[row.token]?.text ?? ""; };
const endsLine = (cell) => textOf(cell).endsWith("\n");

// A token with what ends the line before or after it: words stay whole, and white space goes with the word after it.
function inLine(cell, number) {
  const parts = [state.elements[number]];
  if (/^\s/.test(textOf(cell))) parts.unshift(make("wbr"));
  if (isPair && endsLine(cell)) parts.push(make("br"));
  return parts;
}

function fillStrip() {
  state.cells = cellsOf(request());
  state.elements = state.cells.map(makeToken);
  const slices = [];
  let start = 0;
  state.cells.forEach((cell, number) => {
    const length = number + 1 - start;
    const isLast = number + 1 === state.cells.length;
    if (isLast || length >= SLICE.most || (length >= SLICE.least && endsLine(cell))) {
      slices.push(make("div", { className: "slice" }, ...state.cells.slice(start, number + 1).flatMap((cell, at) => inLine(cell, start + at))));
      start = number + 1;
    }
  });
  byId("strip").replaceChildren(...slices);
}

function recolour() {
  state.cells.forEach((cell, number) => {
    const element = state.elements[number];
    const kept = ["joined", "mute", "long"].filter((name) => element.classList.contains(name));
    element.className = classOf(cell);
    element.classList.add(...kept);
  });
}

// Makes a cell the one that the keyboard is at.
function pick(number, takesFocus) {
  const before = state.elements[state.cell];
  if (before) {
    before.tabIndex = -1;
    before.setAttribute("aria-selected", "false");
  }
  state.cell = Math.max(0, Math.min(number, state.cells.length - 1));
  const element = state.elements[state.cell];
  if (!element) return;
  element.tabIndex = 0;
  element.setAttribute("aria-selected", "true");
  if (takesFocus) {
    element.scrollIntoView({ block: "nearest" });
    element.focus({ preventScroll: true });
  }
  show(state.cell);
  byId("said").textContent = sentence(state.cells[state.cell]);
}

// The cell in the next line, up or down, that is nearest.
function besides(number, direction) {
  const box = (at) => state.elements[at].getClientRects()[0] ?? state.elements[at].getBoundingClientRect();
  const from = box(number);
  let best = null;
  let line = null;
  for (let at = number + direction; at >= 0 && at < state.elements.length; at += direction) {
    const to = box(at);
    if (Math.abs(to.top - from.top) < from.height / 2) continue;
    line ??= to.top;
    if (Math.abs(to.top - line) >= from.height / 2) break;
    const distance = Math.abs(to.left - from.left);
    if (best === null || distance < best.distance) best = { at, distance };
  }
  return best?.at ?? number;
}

const KEYS = {
  ArrowLeft: (number) => number - 1,
  ArrowRight: (number) => number + 1,
  ArrowUp: (number) => besides(number, -1),
  ArrowDown: (number) => besides(number, 1),
  Home: () => 0,
  End: () => state.cells.length - 1,
};

const cellAt = (event) => event.target.closest?.(".token")?.cell;

function listenToStrip() {
  const strip = byId("strip");
  strip.addEventListener("keydown", (event) => {
    const move = KEYS[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    pick(move(state.cell), true);
  });
  strip.addEventListener("focusin", (event) => {
    const number = cellAt(event);
    if (number !== undefined && number !== state.cell) pick(number, false);
  });
  strip.addEventListener("click", (event) => {
    const number = cellAt(event);
    if (number !== undefined) pick(number, true);
  });
  strip.addEventListener("mouseover", (event) => {
    const number = cellAt(event);
    if (number !== undefined) show(number);
  });
  strip.addEventListener("mouseleave", () => show(state.cell));
}
