// The list of entries: only the rows that are in view exist. And what is told of the selected one.

const ROW = 22; // pixels
const list = document.getElementById("list");
const spacer = document.getElementById("spacer");

function renderList() {
  spacer.style.height = `${filter.shown.length * ROW}px`;
  const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 6);
  const to = Math.min(filter.shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 6);
  const related = new Set(relatives(chosen.entry).map((item) => item.entry));
  spacer.replaceChildren(...filter.shown.slice(from, to).map((entry, offset) => listRow(entry, from + offset, related)));
  markSeen();
}

function listRow(entry, position, related) {
  const row = element("div", undefined, "row");
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", String(entry === chosen.entry));
  row.id = `entry-${numberOf(entry)}`;
  row.style.top = `${position * ROW}px`;
  row.entry = entry;
  row.append(
    element("span", numberOf(entry), "number"), element("span", entry.tyme.toFixed(6), "tyme"),
    element("span", hostName(entry.host), "host"), element("span", entry.kind, "kind"), element("span", said(entry)),
  );
  const mark = markOf(entry);
  row.children[3].style.setProperty("--color", mark ? mark.color : paint.call);
  row.classList.toggle("bad", isBad(entry) || entry.index === data.failed);
  row.classList.toggle("chosen", entry === chosen.entry);
  row.classList.toggle("related", related.has(entry));
  return row;
}

function markSeen() {
  const whole = scale.to - scale.from >= (scale.last - scale.first) * 0.999;
  const [from, to] = whole ? [1, 0] : [tymeAt(0), tymeAt(scale.width)];
  for (const row of spacer.children) {
    row.classList.toggle("seen", row.entry.tyme >= from && row.entry.tyme <= to);
    row.classList.toggle("near", Boolean(chosen.near) && chosen.near.entry === row.entry);
  }
}

function countShown() {
  const left = data.first ? `, ${data.first.toLocaleString("en")} older ones left out` : "";
  const all = entries.length.toLocaleString("en");
  const some = filter.shown.length === entries.length ? "" : `${filter.shown.length.toLocaleString("en")} of `;
  document.getElementById("count").textContent = `${some}${all} ${entries.length === 1 ? "entry" : "entries"}${left}`;
}

// Columns as wide as what is in them, within reason.
function setColumns() {
  const longest = Math.max(5, ...hosts.map((host) => (host.name || "world").length));
  list.style.setProperty("--number", `${String(data.first + entries.length).length + 2}ch`);
  list.style.setProperty("--tyme", `${END.toFixed(6).length}ch`);
  list.style.setProperty("--host", `${Math.min(24, longest)}ch`);
}

// Select an entry, and show it both in the list and in the picture.
function select(entry, {scroll = true, move = true} = {}) {
  chosen.entry = entry;
  if (entry && scroll) {
    const position = filter.shown.indexOf(entry);
    const top = position * ROW;
    if (position >= 0 && (top < list.scrollTop + ROW || top > list.scrollTop + list.clientHeight - 2 * ROW)) {
      spacer.style.height = `${filter.shown.length * ROW}px`;
      list.scrollTop = Math.max(0, top - list.clientHeight / 2);
    }
  }
  if (entry && move) {
    reveal(entry.tyme);
    const row = stage.rows[entry.host];
    const top = topOf(entry.host);
    if (entry.host !== WORLD && top < AXIS) scrollTo(row.top - AXIS);
    else if (entry.host !== WORLD && top + row.height > stage.floor) scrollTo(row.top + row.height - stage.floor);
  }
  list.toggleAttribute("aria-activedescendant", false);
  if (entry) list.setAttribute("aria-activedescendant", `entry-${numberOf(entry)}`);
  renderList();
  renderDetails();
  redraw();
}

function step(by) {
  const shown = filter.shown;
  if (!shown.length) return;
  const current = chosen.entry ? shown.findIndex((entry) => entry.index >= chosen.entry.index) : by > 0 ? -1 : shown.length;
  const exact = current >= 0 && chosen.entry && shown[current] === chosen.entry;
  const next = current < 0 ? (chosen.entry ? shown.length - 1 : 0) : exact || by < 0 ? current + by : current;
  select(shown[Math.min(shown.length - 1, Math.max(0, next))]);
}

// What belongs to an entry: the other ends of its messages, its call or reply, the other end of its span.
function relatives(entry) {
  if (!entry) return [];
  const found = [];
  for (const {from, to} of entry.messages) {
    if (entry === from && to) found.push({entry: to, text: `arrives after ${lasting(to.tyme - from.tyme)}`});
    if (entry === to) found.push({entry: from, text: `was sent ${lasting(to.tyme - from.tyme)} before`});
  }
  if (entry.call && entry.call.to) {
    const {from, to} = entry.call;
    const other = entry === from ? to : from;
    found.push({entry: other, text: `${entry === from ? "is answered after" : "was called"} ${lasting(to.tyme - from.tyme)}${entry === from ? "" : " before"}`});
  }
  for (const span of entry.spans) {
    for (const other of span.members) {
      if (other === entry) continue;
      const text = other.index > entry.index ? "ends after" : "began";
      found.push({entry: other, text: `${text} ${lasting(Math.abs(other.tyme - entry.tyme))}${other.index > entry.index ? "" : " before"}`});
    }
  }
  return found;
}

function renderDetails() {
  const panel = document.getElementById("details");
  const entry = chosen.entry;
  if (!entry) {
    panel.replaceChildren(element("p", "Click on anything in the picture or in the list to see what belongs together."));
    return;
  }
  const link = element("a", `entry ${numberOf(entry).toLocaleString("en")}`);
  link.href = `#entry=${numberOf(entry)}`;
  const where = element("p");
  where.append(`${at(entry.tyme)}, ${hostName(entry.host)}, `, link);
  const parts = [element("h2", entry.kind), where];
  if (entry.index === data.failed && data.failure) parts.push(element("pre", data.failure));
  const details = said(entry) === "" ? [] : entry.details.map((detail) => element("pre", detail === null ? "–" : String(detail)));
  if (entry.kind === "send" || entry.kind === "receive") parts.push(...said(entry).split("  ").map((text) => element("pre", text)));
  else parts.push(...details);
  if (entry.messages.some((message) => !message.to)) parts.push(element("p", "It never arrived."));
  if (entry.call && !entry.call.to) parts.push(element("p", "It was never answered."));
  const others = relatives(entry);
  if (others.length) {
    const items = element("ul");
    for (const other of others) {
      const item = element("li");
      const button = element("button", `${other.text}: ${other.entry.kind}, ${hostName(other.entry.host)}`);
      button.type = "button";
      button.addEventListener("click", () => select(other.entry));
      item.append(button);
      items.append(item);
    }
    parts.push(items);
  }
  panel.replaceChildren(...parts);
}
