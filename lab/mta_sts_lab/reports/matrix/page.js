// The matrix as a grid that is walked with the keyboard, its filters, and the panel that a cell opens.

/** Rows that Page Up and Page Down go. */
const PAGE = 12;

const FINDINGS = ["fail", "lab-error", "inconclusive", "weak", "other"].map((word) => `v-${word}`);

const table = document.getElementById("matrix");
const panel = document.getElementById("evidence");
const rows = [...table.querySelectorAll("tr.case")];
const position = { row: 0, column: 0 };
/** Where the panel stands, or null while it is closed. */
let opened = null;

function cellAt(row, column) {
  return rows[row].cells[column + 1].firstElementChild;
}

function placeOf(button) {
  const cell = button.parentElement;
  return [rows.indexOf(cell.parentElement), cell.cellIndex - 1];
}

/** Say a cell in words: its letter alone says little to somebody who listens. */
function nameCell(row, column) {
  const button = cellAt(row, column);
  const word = [...button.classList].find((name) => name.startsWith("v-")).slice(2);
  const verdict = { none: "not run", other: "without a verdict" }[word] ?? word;
  const reason = button.querySelector("small")?.textContent ?? "";
  const known = button.classList.contains("known") ? "known" : "";
  const said = [data.cases[row], data.columns[column][0], verdict, known, reason].filter(Boolean);
  button.setAttribute("aria-label", said.join(", "));
  return { verdict, word, reason, known };
}

function moveTo(row, column, focus = true) {
  cellAt(position.row, position.column).tabIndex = -1;
  Object.assign(position, { row, column });
  const button = cellAt(row, column);
  button.tabIndex = 0;
  nameCell(row, column);
  if (!focus) return;
  button.focus({ preventScroll: true });
  button.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** Return the row so many visible rows away, or the last on the way there. */
function rowFrom(row, steps) {
  const direction = Math.sign(steps);
  let left = Math.abs(steps);
  let found = row;
  for (let next = row + direction; left > 0 && rows[next]; next += direction) {
    if (rows[next].hidden) continue;
    found = next;
    left -= 1;
  }
  return found;
}

/** Return the next cell with a finding, in reading order, or null. */
function findingFrom(row, column, direction) {
  const width = data.columns.length;
  for (let place = row * width + column + direction; place >= 0 && place < rows.length * width; place += direction) {
    const [next, at] = [Math.floor(place / width), place % width];
    if (!rows[next].hidden && FINDINGS.some((name) => cellAt(next, at).classList.contains(name))) return [next, at];
  }
  return null;
}

function onGridKey(event) {
  const { row, column } = position;
  const last = data.columns.length - 1;
  const whole = event.ctrlKey || event.metaKey;
  const moves = {
    ArrowUp: () => [rowFrom(row, -1), column],
    ArrowDown: () => [rowFrom(row, 1), column],
    ArrowLeft: () => [row, Math.max(column - 1, 0)],
    ArrowRight: () => [row, Math.min(column + 1, last)],
    PageUp: () => [rowFrom(row, -PAGE), column],
    PageDown: () => [rowFrom(row, PAGE), column],
    Home: () => [whole ? rowFrom(-1, 1) : row, 0],
    End: () => [whole ? rowFrom(rows.length, -1) : row, last],
    f: () => findingFrom(row, column, 1),
    F: () => findingFrom(row, column, -1),
  };
  if (event.altKey || (whole && !["Home", "End"].includes(event.key)) || !(event.key in moves)) return;
  event.preventDefault();
  const next = moves[event.key]();
  if (next) moveTo(...next);
}

async function open(row, column) {
  if (opened) cellAt(opened.row, opened.column).removeAttribute("aria-expanded");
  moveTo(row, column, false);
  opened = { row, column };
  cellAt(row, column).setAttribute("aria-expanded", "true");
  const told = await evidenceOf(row, column).catch((error) => ({ broken: String(error) }));
  // Somebody may have opened another cell, or closed the panel, while this one was unpacked.
  if (!opened || opened.row !== row || opened.column !== column) return;
  panel.replaceChildren(panelHead(row, column), ...panelBody(row, column, told));
  panel.hidden = false;
  panel.tabIndex = -1;
  panel.scrollTop = 0;
  panel.focus({ preventScroll: true });
  history.replaceState(null, "", `#${encodeURIComponent(`${data.columns[column][2]}/${data.cases[row]}`)}`);
}

function panelHead(row, column) {
  const { verdict, word, reason, known } = nameCell(row, column);
  const [label, versions] = data.columns[column];
  const said = [known, verdict].filter(Boolean).join(" ");
  const words = make("div", "", make("h2", "", data.cases[row]));
  const badge = make("b", `chip v-${word}`, said);
  words.append(make("p", "of", badge, ` ${reason ? `${reason}. ` : ""}`, make("b", "", label), make("span", "versions", ` ${versions}`)));
  const buttons = make(
    "div",
    "buttons",
    panelButton("←", "The same case, target to the left", () => open(row, column - 1), column === 0),
    panelButton("→", "The same case, target to the right", () => open(row, column + 1), column === data.columns.length - 1),
    panelButton("✕", "Close", close, false),
  );
  return make("div", "top", words, buttons);
}

function panelButton(sign, label, act, disabled) {
  const button = make("button", "", sign);
  Object.assign(button, { type: "button", title: label, disabled });
  button.setAttribute("aria-label", label);
  button.addEventListener("click", act);
  return button;
}

function panelBody(row, column, told) {
  if (told?.broken) return [make("p", "notice", `The evidence cannot be shown: ${told.broken}`)];
  if (nameCell(row, column).word === "none") {
    const why = "its catalogue did not have the case, it was not selected, or it was only played for another case";
    return [make("p", "notice", `This case was not run here: ${why}.`)];
  }
  if (!told) return [make("p", "notice", "There is no evidence of this case in the page.")];
  return evidencePage(told, (name) => open(data.cases.indexOf(name), column));
}

function close() {
  if (!opened) return;
  const { row, column } = opened;
  opened = null;
  cellAt(row, column).removeAttribute("aria-expanded");
  panel.hidden = true;
  panel.replaceChildren();
  history.replaceState(null, "", "#");
  if (rows[row].hidden) document.getElementById("find").focus();
  else moveTo(row, column);
}

function onPanelKey(event) {
  if (event.key === "Escape") {
    event.preventDefault();
    close();
  }
  if (event.target.matches("input") || event.altKey || event.ctrlKey || event.metaKey) return;
  const column = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (column && data.columns[opened.column + column]) open(opened.row, opened.column + column);
}

/** Show the rows that fit the filters. */
function filter() {
  const words = document.getElementById("find").value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const which = document.getElementById("which").value;
  let shown = 0;
  rows.forEach((row, number) => {
    row.hidden = !(fitsWords(row, number, words) && fitsChoice(row, which));
    shown += row.hidden ? 0 : 1;
  });
  for (const body of table.tBodies) body.hidden = ![...body.rows].some((row) => row.classList.contains("case") && !row.hidden);
  const all = shown === rows.length;
  document.getElementById("shown").textContent = all ? "" : `${shown} of ${rows.length} cases`;
  if (rows[position.row]?.hidden && shown) moveTo(rowFrom(-1, 1), position.column, false);
}

function fitsWords(row, number, words) {
  if (!words.length) return true;
  const reasons = [...row.querySelectorAll("small")].map((reason) => reason.textContent);
  const text = [data.cases[number], ...reasons].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function fitsChoice(row, which) {
  const cells = [...row.querySelectorAll("button")];
  if (which === "findings") return cells.some((cell) => FINDINGS.some((name) => cell.classList.contains(name)));
  const kinds = cells.map((cell) => cell.className.replace(" known", "")).filter((name) => name !== "v-none");
  return which !== "different" || new Set(kinds).size > 1;
}

/** Open the cell that the address names: a link to one piece of evidence. */
function openAddress() {
  let named = "";
  try {
    named = decodeURIComponent(location.hash.slice(1));
  } catch {
    return;
  }
  const [run, name] = [named.slice(0, named.indexOf("/")), named.slice(named.indexOf("/") + 1)];
  const [row, column] = [data.cases.indexOf(name), data.columns.findIndex((one) => one[2] === run)];
  if (row >= 0 && column >= 0) open(row, column);
}

function showReasons() {
  document.body.classList.toggle("no-reasons", !document.getElementById("reasons").checked);
}

function begin() {
  document.getElementById("controls").hidden = false;
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("find").addEventListener("input", filter);
  document.getElementById("which").addEventListener("change", filter);
  document.getElementById("reasons").addEventListener("change", showReasons);
  table.setAttribute("role", "grid");
  table.addEventListener("keydown", onGridKey);
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) open(...placeOf(button));
  });
  panel.addEventListener("keydown", onPanelKey);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select")) return;
    event.preventDefault();
    document.getElementById("find").focus();
  });
  window.addEventListener("hashchange", openAddress);
  window.addEventListener("beforeprint", () => {
    for (const folded of panel.querySelectorAll("details")) folded.open = true;
  });
  showReasons();
  if (rows.length) moveTo(0, 0, false);
  filter();
  openAddress();
}

begin();
