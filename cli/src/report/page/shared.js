// What all parts of the page share: the data, elements, and numbers as words. No text of a log becomes markup anywhere:
// elements are made by name, and texts are text nodes.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const isPair = data.logs.length === 2;

// What is picked. `cell` is the focused one, `view` the number of a distribution.
const state = { request: 0, cell: 0, scale: isPair ? "difference" : "probability", view: 0, requests: [], cells: [], elements: [] };

const byId = (id) => document.getElementById(id);

// An element with properties (or attributes, where it has no such property) and children.
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function makeSvg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const MARKS = { " ": "·", "\t": "→", "\n": "⏎", "\r": "␍" };
const ESCAPES = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };
// C0, DEL, C1, separators, marks and isolates of bidirectional text, tags, and what has no width.
const STEERS = "[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}]";
const SPECIAL = new RegExp(`( +|[\\t\\n\\r]|${STEERS})`, "u");
const ALL_STEERS = new RegExp(STEERS, "gu");

function escaped(part) {
  const code = part.codePointAt(0).toString(16).padStart(4, "0");
  return code.length > 4 ? `\\u{${code}}` : "\\u" + code;
}

// A text of a log within a sentence, with what steers the text around it spelled out.
const plain = (text) => text.replace(ALL_STEERS, escaped);

// Adds a text. White space has its mark beside it, which is not copied; what steers the text around it is spelled out.
function appendText(element, text, keepsLines) {
  for (const part of text.split(SPECIAL)) {
    if (part === "") continue;
    const mark = MARKS[part[0]];
    if (part[0] === " " || (mark && keepsLines)) {
      element.append(make("span", { className: "space", "data-mark": mark.repeat(part.length) }, part));
    } else if (SPECIAL.test(part)) {
      element.append(make("span", { className: "control" }, ESCAPES[part] ?? escaped(part)));
    } else {
      element.append(part);
    }
  }
  return element;
}

// The name of a token: its text in quotation marks, or its id.
function word(number) {
  const token = data.tokens[number];
  if (token === undefined) return make("span", { className: "word" }, "no token");
  if (token.text === null) return make("span", { className: "word" }, `[${token.id}]`);
  const element = make("span", { className: "word" }, "“");
  appendText(element, token.text, false);
  element.append("”");
  return element;
}

// The same in one line of plain text, for a screen reader.
function spoken(number) {
  const token = data.tokens[number];
  return token === undefined ? "no token" : token.text === null ? `token ${token.id}` : plain(JSON.stringify(token.text));
}

const isKnown = (value) => typeof value === "number";
const nats = (value, digits = 4) => (isKnown(value) ? value.toFixed(digits).replace("-", "−").replace("Infinity", "∞") : "–");
// Infinity of a logprob is no number of JSON.
const logprobOf = (value) => (value === "-inf" ? -Infinity : value);
const asLogprob = (value) => nats(logprobOf(value));

function percent(logprob) {
  if (logprob === null || logprob === undefined) return "–";
  const value = 100 * Math.exp(logprobOf(logprob));
  return value >= 0.01 || value === 0 ? `${value.toFixed(2)} %` : `${value.toExponential(1)} %`;
}

// Whether the tokens of two rows are different ones: by their bytes, or by their ids where one log has no bytes.
function differs({ a, b }) {
  const [first, second] = [data.tokens[a?.token], data.tokens[b?.token]];
  if (!first || !second || first === second) return first !== second;
  return first.id !== second.id || (first.text !== null && second.text !== null);
}

// The picked distribution of a row, if it has it.
const viewOf = (row) => row?.views[Math.min(state.view, row.views.length - 1)] ?? null;
// The first of the list; its probability is the confidence.
const greedy = (view) => view?.top[0] ?? null;

const request = () => state.requests[state.request];
const positionOf = ({ a, b }) => (a ?? b).position;
