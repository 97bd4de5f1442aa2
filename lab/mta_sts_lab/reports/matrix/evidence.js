"use strict";
// The evidence behind a cell. Whatever came from a mail server or from the wire is only ever set as text.

const data = JSON.parse(document.getElementById("data").textContent);

/** How many unpacked blocks of evidence are kept: enough to walk through neighbouring cells at once. */
const KEPT = 12;

/** How much of a time line is shown, the least first. */
const VIEWS = [
  ["story", "the story"],
  ["dialogue", "and the dialogue"],
  ["everything", "and what the attacker only repeats"],
];

const unpacked = new Map();
let view = "dialogue";

/** Make an element with classes and children; strings among the children become text. */
function make(name, classes, ...children) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

/** Return the evidence of a case (by its row) in a column, or null where there is none. */
async function evidenceOf(row, column) {
  const name = `e${column}-${Math.floor(row / data.block)}`;
  const block = document.getElementById(name);
  if (!block) return null;
  if (!unpacked.has(name)) {
    const octets = Uint8Array.from(atob(block.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([octets]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    unpacked.set(name, JSON.parse(await new Response(stream).text()));
    if (unpacked.size > KEPT) unpacked.delete(unpacked.keys().next().value);
  }
  return unpacked.get(name)[row % data.block];
}

/** Return everything that stands behind a cell, as elements; `open` shows another case of the same column. */
function evidencePage(told, open) {
  const parts = [make("p", "happened", capital(told.happened), ".")];
  for (const reason of told.known) parts.push(make("p", "known-reason", make("b", "", "Known failure: "), reason));
  parts.push(...expectedPart(told, open), ...judgedPart(told), ...happenedPart(told), ...logPart(told.log));
  parts.push(heading("Play it again"), make("pre", "command", told.repeat));
  parts.push(heading("Where it is kept"), rowsList([
    ["record", told.record],
    ["flows", `${told.flows} (open with: mitmweb -r)`],
  ]));
  return parts;
}

function expectedPart(told, open) {
  const parts = [heading("What was expected")];
  for (const step of told.steps) parts.push(make("h4", "", `Step ${step.name}`), rowsList(step.rows));
  if (told.control && data.cases.includes(told.control)) {
    const link = make("button", "link", told.control);
    link.type = "button";
    link.addEventListener("click", () => open(told.control));
    parts.push(make("p", "", "The same attack on a domain without a policy: ", link));
  }
  return parts;
}

function judgedPart(told) {
  const parts = [heading("What the judge found")];
  const passed = told.judgements.filter((judged) => judged.grade === "pass");
  const others = told.judgements.filter((judged) => judged.grade !== "pass");
  if (!told.judgements.length) parts.push(make("p", "", "No check of this case came to a result."));
  for (const judged of others) parts.push(judgementPart(judged));
  if (passed.length) {
    const list = make("ul", "");
    for (const judged of passed) list.append(make("li", "", ...passedLine(judged)));
    const details = make("details", "passed", make("summary", "", `${passed.length} ${passed.length === 1 ? "check" : "checks"} passed`), list);
    details.open = !others.length;
    parts.push(details);
  }
  return parts;
}

function judgementPart(judged) {
  const [where, text] = data.obligations[judged.obligation] ?? ["", ""];
  const obligation = text ? `${judged.obligation} (${where}): ${text}` : judged.obligation;
  const rows = [
    ["obligation", obligation],
    ["step", judged.step],
    ["expected", judged.expected],
    ["observed", judged.observed],
    ["harm", judged.harm],
    ["to blame", judged.blame],
  ].filter(([, said]) => said);
  const list = rowsList(rows);
  if (judged.events.length) list.append(make("dt", "", "events"), make("dd", "", ...eventLinks(judged.events)));
  const head = make("p", "", chip(judged.grade), ` ${judged.check} `, make("code", "", `(${judged.reason})`));
  return make("div", "judgement", head, list);
}

function passedLine(judged) {
  const [where, text] = data.obligations[judged.obligation] ?? ["", ""];
  const said = [chip("pass"), ` ${judged.check}`];
  if (judged.step) said.push(`, step ${judged.step}`);
  if (judged.observed) said.push(`: ${judged.observed}`);
  if (judged.obligation) said.push(make("small", "", ` ${judged.obligation}${where ? ` (${where})` : ""}${text ? `: ${text}` : ""}`));
  return said;
}

function eventLinks(numbers) {
  return numbers.flatMap((number, place) => {
    const link = make("a", "", String(number));
    link.href = `#line-${number}`;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      showLine(number);
    });
    return place ? [", ", link] : [link];
  });
}

function happenedPart(told) {
  const cited = new Set(told.judgements.filter((judged) => judged.grade !== "pass").flatMap((judged) => judged.events));
  const place = make("div", `timeline show-${view}`, viewChoice(), ...stepLists(told.timeline, cited));
  if (told.timeline.more) place.append(make("p", "", `and ${told.timeline.more} more lines, in the record`));
  return [heading("What happened"), place];
}

function viewChoice() {
  const set = make("fieldset", "choices", make("legend", "", "Show"));
  for (const [name, words] of VIEWS) {
    const radio = make("input", "");
    Object.assign(radio, { type: "radio", name: "view", value: name, checked: name === view });
    radio.addEventListener("change", () => setView(name));
    set.append(make("label", "", radio, ` ${words}`));
  }
  return set;
}

function setView(name) {
  view = name;
  document.querySelector(".timeline").className = `timeline show-${name}`;
  for (const radio of document.querySelectorAll(".choices input")) radio.checked = radio.value === name;
}

/** Return a heading and a list for each step, as often as a step's name begins anew. */
function stepLists(timeline, cited) {
  const parts = [];
  let place = 0;
  let number = 0;
  let at = 0;
  for (const [step, length] of timeline.step) {
    const list = make("ol", "lines");
    for (const end = place + length; place < end; place += 1) {
      number += timeline.number[place];
      at += timeline.at[place];
      list.append(lineItem(timeline, place, number, at, cited.has(number)));
    }
    parts.push(make("h4", "", step ? `Step ${step}` : "Around the steps"), list);
  }
  return parts;
}

function lineItem(timeline, place, number, at, cited) {
  const emphasis = timeline.emphasis[place];
  const classes = [emphasis, timeline.topic[place]];
  if (cited) classes.push("cited");
  if (timeline.essential[place]) classes.push("essential");
  if (timeline.relayed[place]) classes.push("relayed");
  const said = make("span", "said");
  if (emphasis === "attack") said.append(make("b", "hand", "attacker"));
  if (emphasis === "leak") said.append(make("b", "hand", "read"));
  said.append(timeline.text[place], ...struckPart(timeline.struck[place], timeline.text[place]));
  const item = make(
    "li",
    classes.join(" "),
    make("span", "number", String(number)),
    make("time", "", (at / 1000).toFixed(3)),
    make("span", "actor", timeline.actor[place]),
    said,
  );
  item.id = `line-${number}`;
  return item;
}

function struckPart(struck, text) {
  if (!struck) return [];
  return [text ? " [instead of: " : "[removed by the attacker: ", make("del", "", struck), "]"];
}

/** Go to the line of an event, which may be hidden in the view of the moment. */
function showLine(number) {
  const line = document.getElementById(`line-${number}`);
  if (!line) return;
  if (!line.offsetParent) setView("everything");
  for (const found of document.querySelectorAll(".lines .found")) found.classList.remove("found");
  line.classList.add("found");
  line.tabIndex = -1;
  line.focus({ preventScroll: true });
  line.scrollIntoView({ block: "center" });
}

function logPart(log) {
  const said = log.lines.length ? log.lines.join("\n") : "The log that the run kept has no line about this case.";
  const parts = [heading("The target's log"), log.lines.length ? make("pre", "", said) : make("p", "", said)];
  if (log.more) parts.push(make("p", "", `and ${log.more} more lines, in target/log.txt`));
  return parts;
}

function heading(words) {
  return make("h3", "", words);
}

function chip(grade) {
  return make("b", `chip v-${grade || "other"}`, data.letters[grade] ?? "?");
}

function rowsList(rows) {
  const list = make("dl", "");
  for (const [label, said] of rows) list.append(make("dt", "", label), make("dd", "", said));
  return list;
}

function capital(words) {
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}
