// Plays a lesson: one case at a time, one moment after the other. Without this script everything is visible at once.

const cases = [...document.querySelectorAll(".case")];
const tabs = [...document.querySelectorAll("[role=tab]")];
const controls = document.getElementById("controls");
const button = (name) => document.getElementById(name);
const state = { tab: 0, at: cases.map(() => -1), timer: null, notes: false };

const count = (panel) => panel.querySelectorAll(".said li").length;
/** The number of the last moment: the conclusion comes behind everything that was said. */
const end = () => count(cases[state.tab]);

function fill(list, lines) {
  list.replaceChildren(
    ...lines.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}

/** Say the moment in words: what is read aloud, and can be read where the drawing is small. */
function tell(panel, item, over) {
  const now = panel.querySelector(".now");
  const [actor, what, quoted, note] = now.children;
  const data = item?.dataset ?? {};
  actor.textContent = item ? item.querySelector(".actor").textContent : over ? "The end" : "Before it begins";
  if (item) what.replaceChildren(...[...item.querySelector(".text").childNodes].map((node) => node.cloneNode(true)));
  else what.textContent = over ? "What this shows stands below the drawing." : "Step, or the right arrow, begins.";
  now.className = `now ${item ? item.className.replace("current", "") : ""}`;
  quoted.textContent = data.quoted ?? "";
  quoted.hidden = !data.quoted;
  note.textContent = data.note ?? "";
  note.hidden = !(state.notes && data.note);
}

function show(move = true) {
  const panel = cases[state.tab];
  const at = state.at[state.tab];
  const over = at >= count(panel);
  for (const drawn of panel.querySelectorAll("g.m, .conclusion")) {
    drawn.classList.toggle("coming", Number(drawn.dataset.m) > at);
    drawn.classList.toggle("current", Number(drawn.dataset.m) === at);
  }
  const said = [...panel.querySelectorAll(".said li")];
  for (const item of said) {
    item.classList.toggle("coming", Number(item.dataset.m) > at);
    item.classList.toggle("current", Number(item.dataset.m) === at);
  }
  tell(panel, over ? null : said[at], over);
  const last = said[Math.min(at, said.length - 1)];
  fill(panel.querySelector(".held ul"), at < 0 || !last ? [] : last.dataset.held.split("\n"));
  button("place").textContent = `${Math.max(at + 1, 0)} of ${end() + 1}`;
  button("back").disabled = button("first").disabled = at < 0;
  button("step").disabled = button("last").disabled = over;
  if (over) stop();
  if (move) follow(panel, at, said);
  history.replaceState(null, "", `#${state.tab + 1}.${at + 1}`);
}

/** Bring what is current into view, each in its own box. */
function follow(panel, at, said) {
  const smooth = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  const box = panel.querySelector(".diagram");
  const drawn = panel.querySelector(`.diagram [data-m="${at}"]`);
  if (!drawn) box.scrollTo({ top: 0 });
  else {
    const place = drawn.getBoundingClientRect();
    const within = box.getBoundingClientRect();
    const top = box.scrollTop + place.top - within.top;
    const aim = drawn.classList.contains("conclusion") ? top - 60 : top + place.height - within.height * 0.72;
    // A long way is not scrolled through: it would take seconds.
    const far = Math.abs(aim - box.scrollTop) > 2 * within.height;
    box.scrollTo({ top: aim, behavior: far ? "auto" : smooth });
  }
  const list = panel.querySelector(".said");
  const item = said[Math.min(at, said.length - 1)];
  if (item) list.scrollTo({ top: item.offsetTop - list.offsetTop - list.clientHeight / 2, behavior: smooth });
}

function go(at) {
  showStory(false);
  state.at[state.tab] = Math.max(-1, Math.min(at, end()));
  show();
}

const step = () => go(state.at[state.tab] + 1);

function choose(tab, focus = false, begins = false) {
  stop();
  if (!begins) showStory(false);
  state.tab = (tab + tabs.length) % tabs.length;
  tabs.forEach((one, number) => {
    one.setAttribute("aria-selected", String(number === state.tab));
    one.tabIndex = number === state.tab ? 0 : -1;
    cases[number].hidden = number !== state.tab;
  });
  if (focus) tabs[state.tab].focus();
  show();
}

function stop() {
  clearInterval(state.timer);
  state.timer = null;
  button("play").setAttribute("aria-pressed", "false");
  button("play").textContent = "Play";
}

function play() {
  if (state.timer !== null) return stop();
  if (state.at[state.tab] >= end()) state.at[state.tab] = -1;
  state.timer = setInterval(step, Number(button("speed").value));
  button("play").setAttribute("aria-pressed", "true");
  button("play").textContent = "Stop";
  step();
}

function speed(by) {
  const select = button("speed");
  select.selectedIndex = Math.max(0, Math.min(select.selectedIndex + by, select.options.length - 1));
  select.dispatchEvent(new Event("change"));
}

function showNotes(shown) {
  state.notes = shown;
  button("notes").setAttribute("aria-pressed", String(shown));
  show(false);
}

function showStory(shown) {
  document.body.classList.toggle("with-story", shown);
  button("story-button").setAttribute("aria-pressed", String(shown));
}

const KEYS = {
  ArrowRight: step,
  ArrowLeft: () => go(state.at[state.tab] - 1),
  Home: () => go(-1),
  End: () => go(end()),
  p: play,
  n: () => showNotes(!state.notes),
  s: () => showStory(!document.body.classList.contains("with-story")),
  "+": () => speed(1),
  "-": () => speed(-1),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, summary")) return;
  if (event.target.closest("[role=tablist]") && event.key.startsWith("Arrow")) {
    choose(state.tab + (event.key === "ArrowRight" || event.key === "ArrowDown" ? 1 : -1), true);
  } else if (KEYS[event.key]) KEYS[event.key]();
  else if (event.key === " " && !event.target.closest("button, a")) step();
  else if (/^[1-9]$/.test(event.key) && Number(event.key) <= tabs.length) choose(Number(event.key) - 1);
  else return;
  event.preventDefault();
}

function begin() {
  const [, tab, at] = /^#(\d+)\.(\d+)$/.exec(location.hash) ?? [];
  document.body.classList.add("played");
  controls.hidden = false;
  showStory(at === undefined || Number(at) === 0);
  const chosen = tab === undefined ? 0 : Math.min(Math.max(Number(tab) - 1, 0), cases.length - 1);
  if (at !== undefined) state.at[chosen] = Math.min(Number(at) - 1, count(cases[chosen]));
  tabs.forEach((one, number) => one.addEventListener("click", () => choose(number)));
  for (const panel of cases) {
    panel.querySelector(".said").addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (item) go(Number(item.dataset.m));
    });
  }
  button("step").addEventListener("click", step);
  button("back").addEventListener("click", KEYS.ArrowLeft);
  button("first").addEventListener("click", KEYS.Home);
  button("last").addEventListener("click", KEYS.End);
  button("play").addEventListener("click", play);
  button("notes").addEventListener("click", KEYS.n);
  button("story-button").addEventListener("click", KEYS.s);
  button("speed").addEventListener("change", () => {
    if (state.timer === null) return;
    stop();
    play();
  });
  document.addEventListener("keydown", onKey);
  choose(chosen, false, true);
}

begin();
