// What the page shows: the entries of the trace, what belongs together, and the filter.

const data = JSON.parse(document.getElementById("data").textContent);

const GROUPS = [
  {name: "Messages", kinds: ["send", "receive"]},
  {name: "Connections", kinds: ["connect", "accept", "refuse", "end", "reset", "close"]},
  {name: "Calls", kinds: ["call", "reply"]},
  {name: "Hosts", kinds: ["boot", "exit", "crash", "kill", "restart", "pause", "resume", "step_clock"]},
  {name: "Faults", kinds: ["fault", "heal", "rule"]},
  {name: "Logs", kinds: ["log"]},
  {name: "Checks", kinds: ["check"]},
  {name: "Disks", kinds: ["file", "sync", "lost"]},
  {name: "Tasks", kinds: ["task"]},
  {name: "Other", kinds: []},
];
const groupOf = new Map(GROUPS.flatMap((group) => group.kinds.map((kind) => [kind, group])));
const OTHER = GROUPS[GROUPS.length - 1];

let latest = 0;
const entries = data.entries.map((row, index) => {
  const kind = data.kinds[row[2]];
  latest = Number.isFinite(row[0]) ? row[0] : latest;
  return {
    index, tyme: latest, host: row[1], kind, details: row.slice(3), group: groupOf.get(kind) || OTHER,
    messages: [], call: null, spans: [],
  };
});
const hosts = data.hosts;
const START = entries.length ? entries[0].tyme : 0;
const END = entries.length ? entries[entries.length - 1].tyme : 1;

const messages = data.messages.map(([from, to]) => ({
  from: entries[from], to: to < 0 ? null : entries[to], target: to < 0 ? targetOf(entries[from]) : entries[to].host,
}));
for (const message of messages) {
  message.from.messages.push(message);
  if (message.to) message.to.messages.push(message);
}
const calls = data.calls.map(([call, reply, lane]) => ({from: entries[call], to: reply < 0 ? null : entries[reply], lane}));
for (const call of calls) {
  call.from.call = call;
  if (call.to) call.to.call = call;
}
const spans = data.spans.map((span) => ({
  ...span, from: span.from ?? START, to: span.to === null ? END : Math.min(span.to, END), ends: span.to !== null,
  members: span.entries.map((index) => entries[index]),
}));
for (const span of spans) for (const entry of span.members) entry.spans.push(span);
layOut(spans.filter((span) => span.kind === "fault"));

// Give each of these spans a lane in which it overlaps no other.
function layOut(list) {
  const ends = [];
  for (const span of list) {
    let lane = ends.findIndex((end) => end <= span.from);
    if (lane < 0) lane = ends.length;
    ends[lane] = span.to;
    span.lane = lane;
  }
}

// The row of the host to which something was sent that never arrived; -1 when it has none.
function targetOf(entry) {
  const [opener, other] = String(entry.details[0]).replace(/#\d+$/, "").split(">");
  const names = [opener, other || ""].map((end) => end.replace(/:\d+$/, ""));
  const name = names[0] === hosts[entry.host].name ? names[1] : names[0];
  return hosts.findIndex((host) => host.name === name);
}

function hostName(row) {
  return hosts[row].name || "world";
}

function numberOf(entry) {
  return data.first + entry.index;
}

function said(entry) {
  const details = entry.details.map((detail) => (detail === null ? "–" : String(detail)));
  if ((entry.kind === "send" || entry.kind === "receive") && details.length > 1) {
    details[1] += " bytes";
    if (typeof entry.details[2] === "number") details[2] = "crc " + entry.details[2].toString(16).padStart(8, "0");
  }
  return details.join("  ");
}

// What must catch the eye: failed checks, errors in logs, calls gone wrong.
function isBad(entry) {
  if (entry.kind === "check") return entry.details.some((detail) => detail === "failed" || detail === "raised");
  if (entry.kind === "log") return levelOf(entry) === "error";
  if (entry.kind === "reply") return isWrong(entry);
  return false;
}

// What a reply says beyond what its call has said: "ok", a status, the code of an error, or the name of an exception.
function outcomeOf(reply) {
  const said = reply.call ? reply.call.from.details : [];
  const same = said.findIndex((detail, index) => reply.details[index] !== detail);
  return reply.details.slice(same < 0 ? said.length : same);
}

function isWrong(reply) {
  return outcomeOf(reply).some((detail) => (typeof detail === "number" ? detail < 200 || detail >= 400 : detail !== "ok"));
}

function levelOf(entry) {
  const level = String(entry.details[0]).toLowerCase();
  if (/error|critical|fatal/.test(level)) return "error";
  return /warn/.test(level) ? "warning" : "info";
}

// The length of a time, in the unit that suits it.
function lasting(seconds) {
  const units = [[3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]];
  const [size, unit] = units.find(([least]) => Math.abs(seconds) >= least) || units[4];
  return `${Number((seconds / size).toPrecision(3))} ${unit}`;
}

// ---------------------------------------------------------------- the filter

const filter = {hidden: new Set(), words: [], shown: entries};

function holds(entry) {
  return !filter.hidden.has(entry.group) && matches(entry);
}

function matches(entry) {
  if (!filter.words.length) return true;
  entry.text ??= `${hostName(entry.host)} ${entry.kind} ${said(entry)}`.toLowerCase();
  return filter.words.every((word) => entry.text.includes(word));
}

function refilter() {
  filter.words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const entry of entries) {
    entry.shown = !filter.hidden.has(entry.group);
    entry.dim = !matches(entry);
  }
  filter.shown = entries.filter((entry) => entry.shown && !entry.dim);
}
