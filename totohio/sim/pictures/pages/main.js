// The page comes to life: what it says at the top, the buttons, the pointer and the keys.

const byId = (id) => document.getElementById(id);

window.addEventListener("error", (event) => {
  document.documentElement.dataset.error = event.message;
  byId("notice").hidden = false;
  byId("notice").className = "error";
  byId("notice").textContent = `This page could not be drawn in full: ${event.message}`;
});

function introduce() {
  byId("title").textContent = data.title;
  const verdict = byId("verdict");
  verdict.textContent = data.failure === null ? "passed" : "failed";
  verdict.className = data.failure === null ? "" : "failed";
  const last = entries.length ? lasting(END - START) : "nothing";
  for (const [name, value] of [["seed", data.seed], ["simulated", last], ...data.facts]) {
    const fact = element("div");
    fact.append(element("dt", name), element("dd", value));
    byId("facts").append(fact);
  }
  byId("failure").hidden = data.failure === null;
  byId("reason").textContent = data.failure ?? "";
  byId("find").hidden = data.failed < 0;
  if (!entries.length) {
    byId("notice").hidden = false;
    byId("notice").textContent = "The trace is empty: nothing happened.";
  }
}

function makeNames() {
  const corner = element("div", "tyme", "corner");
  corner.style.height = `${AXIS}px`;
  corner.style.top = "0";
  byId("names").append(...hosts.map((host) => {
    const name = element("div");
    name.className = "name";
    const text = element("span", host.name || "world");
    text.title = host.name || "world";
    name.append(text, element("small", host.role === "world" ? "faults and checks" : host.role));
    return name;
  }), corner);
}

function placeNames() {
  const names = byId("names").children;
  stage.rows.forEach((row, index) => {
    names[index].style.top = `${topOf(index)}px`;
    names[index].style.height = `${row.height}px`;
    names[index].classList.toggle("low", row.height < 38);
  });
}

function makeGroups() {
  for (const group of GROUPS) {
    const count = entries.filter((entry) => entry.group === group).length;
    if (!count) continue;
    const button = element("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    group.icon = element("canvas");
    button.append(group.icon, element("span", group.name), element("small", count.toLocaleString("en")));
    button.addEventListener("click", () => {
      if (filter.hidden.delete(group)) button.setAttribute("aria-pressed", "true");
      else {
        filter.hidden.add(group);
        button.setAttribute("aria-pressed", "false");
      }
      filtered();
    });
    byId("groups").append(button);
  }
  drawIcons();
}

const ICONS = {
  Messages: ["arrow", "message", 6], Connections: ["ring", "life", 4], Calls: ["pill", "call", 7],
  Hosts: ["cross", "down", 4], Faults: ["diamond", "fault", 6], Logs: ["alarm", "warning", 5.5],
  Checks: ["failed", "failure", 6.5], Disks: ["stop", "other", 4], Tasks: ["dot", "other", 4], Other: ["dot", "other", 4],
};

function drawIcons() {
  for (const group of GROUPS) {
    if (!group.icon) continue;
    const [glyph, color, size] = ICONS[group.name];
    drawGlyph(resize(group.icon, 18, 14), {glyph, color: paint[color], size}, 9, 7.5);
  }
}

function filtered() {
  refilter();
  overview.stale = true;
  countShown();
  renderList();
  redraw();
}

function showWhole() {
  setView(scale.first, scale.last);
}

function showMoment(entry) {
  const length = Math.min(scale.to - scale.from, (scale.last - scale.first) / 20);
  const middle = positionOf(entry.tyme);
  setView(middle - length * 0.8, middle + length * 0.2);
  select(entry);
}

function toggleSqueeze() {
  setSqueezed(!scale.squeezed);
  byId("squeeze").setAttribute("aria-pressed", String(scale.squeezed));
}

function setTheme(dark) {
  document.documentElement.classList.toggle("dark", dark);
  readColors();
  overview.stale = true;
  drawIcons();
  renderList();
  redraw();
}

// ---------------------------------------------------------------- pointer

function listenToPointer() {
  const canvas = stage.canvas;
  let drag = null;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX * unit);
    else if (event.shiftKey) pan(event.deltaY * unit);
    else zoom(Math.exp(-event.deltaY * unit * 0.0018), event.offsetX);
  }, {passive: false});
  byId("names").addEventListener("wheel", (event) => {
    if (stage.content <= stage.height) return;
    event.preventDefault();
    scrollTo(stage.scroll + event.deltaY * (event.deltaMode === 1 ? 16 : 1));
  }, {passive: false});
  canvas.addEventListener("pointerdown", (event) => {
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur(); // so that keys act here
    canvas.setPointerCapture(event.pointerId);
    drag = {x: event.offsetX, y: event.offsetY, moved: false};
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
      if (!drag.moved && Math.hypot(dx, dy) < 4) return;
      drag = {x: event.offsetX, y: event.offsetY, moved: true};
      canvas.classList.add("dragging");
      showTip(null);
      scrollTo(stage.scroll - dy);
      pan(-dx);
      return;
    }
    point(hit(event.offsetX, event.offsetY), event.offsetX, event.offsetY);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) {
      const found = hit(event.offsetX, event.offsetY);
      select(found && found.entry, {move: false});
    }
    drag = null;
    canvas.classList.remove("dragging");
  });
  canvas.addEventListener("pointercancel", () => (drag = null));
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("dblclick", (event) => zoom(4, event.offsetX));

  const strip = overview.canvas;
  const center = (event) => {
    const share = (event.offsetX - (strip.clientWidth - scale.width)) / scale.width;
    const middle = scale.first + share * (scale.last - scale.first);
    const half = (scale.to - scale.from) / 2;
    setView(middle - half, middle + half);
  };
  strip.addEventListener("pointerdown", (event) => {
    strip.setPointerCapture(event.pointerId);
    if (scale.to - scale.from > (scale.last - scale.first) * 0.99) zoom(8, event.offsetX - (strip.clientWidth - scale.width));
    center(event);
  });
  strip.addEventListener("pointermove", (event) => event.buttons && center(event));
}

function point(found, pointX, pointY) {
  const before = chosen.near;
  chosen.near = found;
  stage.canvas.classList.toggle("pointing", Boolean(found));
  showTip(found, pointX, pointY);
  if (Boolean(before) !== Boolean(found) || (found && before.entry !== found.entry)) redraw();
}

// ---------------------------------------------------------------- keys

const KEYS = {
  ArrowLeft: () => pan(-scale.width * 0.15), ArrowRight: () => pan(scale.width * 0.15),
  ArrowUp: () => step(-1), ArrowDown: () => step(1), k: () => step(-1), j: () => step(1),
  "+": () => zoom(1.6, focus()), "=": () => zoom(1.6, focus()), "-": () => zoom(1 / 1.6, focus()),
  "0": showWhole, s: toggleSqueeze, Escape: () => select(null),
  PageUp: () => scrollTo(stage.scroll - stage.height * 0.7), PageDown: () => scrollTo(stage.scroll + stage.height * 0.7),
  Home: () => filter.shown.length && select(filter.shown[0]),
  End: () => filter.shown.length && select(filter.shown[filter.shown.length - 1]),
  Enter: () => chosen.entry && showMoment(chosen.entry),
  f: () => data.failed >= 0 && showMoment(entries[data.failed]),
  "/": () => byId("search").focus(),
};

// Zooming by key holds the selected entry where it is, when it is in view.
function focus() {
  const place = chosen.entry ? x(chosen.entry.tyme) : -1;
  return place >= 0 && place <= scale.width ? place : scale.width / 2;
}

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === byId("search")) {
      if (event.key === "Escape") {
        byId("search").value = "";
        filtered();
        event.target.blur();
      }
      if (event.key === "Enter") step(1);
      return;
    }
    if (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
    const action = KEYS[event.key] || KEYS[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function follow() {
  const wanted = /^#entry=(\d+)$/.exec(location.hash);
  const entry = wanted && entries[Number(wanted[1]) - data.first];
  if (entry) showMoment(entry);
  return Boolean(entry);
}

function begin() {
  introduce();
  document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches);
  readColors();
  makeNames();
  makeGroups();
  refilter();
  countShown();
  setColumns();
  measure();
  setSqueezed(mostlyIdle());
  showWhole();
  byId("squeeze").setAttribute("aria-pressed", String(scale.squeezed));
  stage.canvas.setAttribute("aria-label", `Timeline of ${hosts.length} rows; the list below has the same entries`);
  draw();
  renderList();
  renderDetails();
  if (!follow() && data.failed >= 0) select(entries[data.failed]);

  byId("search").addEventListener("input", filtered);
  byId("find").addEventListener("click", KEYS.f);
  byId("in").addEventListener("click", () => zoom(1.6));
  byId("out").addEventListener("click", () => zoom(1 / 1.6));
  byId("fit").addEventListener("click", showWhole);
  byId("squeeze").addEventListener("click", toggleSqueeze);
  byId("theme").addEventListener("click", () => setTheme(!document.documentElement.classList.contains("dark")));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => setTheme(event.matches));
  list.addEventListener("scroll", renderList, {passive: true});
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) select(row.entry, {scroll: false});
  });
  window.addEventListener("resize", () => {
    measure();
    renderList();
    redraw();
  });
  window.addEventListener("hashchange", follow);
  listenToPointer();
  listenToKeys();
  document.documentElement.dataset.drawn =
    `${stage.rows.length} rows, ${drawn.lines.length} messages, ${drawn.bars.length} calls, ${drawn.marks.length} marks`;
}

begin();
