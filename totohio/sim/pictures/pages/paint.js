// The picture: rows, lifelines, spans, calls, messages and marks, painted anew for each view.

const AXIS = 26; // pixels at the top for the tymes
const LANE = 17; // pixels of a fault's bar
const MANY = 700; // messages in view from which on arrowheads would only blur
const FONT = "11px system-ui, 'DejaVu Sans', sans-serif";
const ITALIC = `italic ${FONT}`;
const CROWD = 1500; // and from which on those that fall on the same pixels are painted once

const stage = {canvas: document.getElementById("canvas"), height: 0, content: 0, scroll: 0, rows: [], ratio: 1};
const drawn = {marks: [], bars: [], lines: [], boxes: []}; // what can be pointed at
const chosen = {entry: null, near: null};
let paint = {};
let pending = false;

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const names = "page panel stripe edge text muted faint accent chosen message reply lost life call wrong open fault down " +
    "paused info warning error failure tint other";
  paint = Object.fromEntries(names.split(" ").map((name) => [name, style.getPropertyValue("--" + name).trim()]));
  paint.hatches = new Map();
  colorMarks();
}

function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    draw();
  });
}

// ---------------------------------------------------------------- where things are

function measure() {
  const lanes = Math.max(0, ...spans.map((span) => (span.lane ?? -1) + 1));
  const room = Math.max(300, window.innerHeight * 0.52) - AXIS;
  const height = Math.max(34, Math.min(84, Math.floor(room / (hosts.length + lanes * 0.2))));
  let top = AXIS;
  stage.rows = hosts.map((host) => {
    const row = {top, height, line: top + Math.round(height * (host.role === "client" ? 0.34 : 0.5)), role: host.role};
    if (host.role === "world") {
      row.height = Math.max(40, 30 + lanes * (LANE + 3));
      row.line = top + 15;
    }
    top += row.height;
    return row;
  });
  stage.content = top;
  stage.height = Math.min(top, Math.max(320, Math.round(window.innerHeight * 0.62)));
  stage.scroll = Math.max(0, Math.min(stage.scroll, stage.content - stage.height));
  stage.floor = stage.height - stage.rows[WORLD].height; // the row of the world stays below the others, however many
  stage.ratio = window.devicePixelRatio || 1;
  scale.width = stage.canvas.clientWidth || 1000;
  overview.stale = true;
  resize(stage.canvas, scale.width, stage.height);
  stage.canvas.style.height = `${stage.height}px`;
}

function resize(canvas, width, height) {
  canvas.width = Math.round(width * stage.ratio);
  canvas.height = Math.round(height * stage.ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(stage.ratio, 0, 0, stage.ratio, 0, 0);
  return pen;
}

const WORLD = hosts.length - 1;
const topOf = (row) => (row === WORLD ? stage.floor : stage.rows[row].top - stage.scroll);
const lineOf = (row) => topOf(row) + stage.rows[row].line - stage.rows[row].top;

// ---------------------------------------------------------------- painting

function draw() {
  const pen = stage.canvas.getContext("2d");
  for (const list of Object.values(drawn)) list.length = 0;
  pen.globalAlpha = 1;
  pen.clearRect(0, 0, scale.width, stage.height);
  pen.font = FONT;
  pen.textBaseline = "middle";
  drawRows(pen);
  within(pen, AXIS, stage.floor, () => {
    const tags = []; // to be written over the messages
    const met = new Set();
    for (let row = 0; row < WORLD; row++) box(pen, paint.life, x(START), lineOf(row) - 0.75, x(END) - x(START), 1.5);
    for (const span of spans) drawSpan(pen, span, false, tags);
    for (const call of calls) drawCall(pen, call, met);
    drawMessages(pen);
    for (const text of tags) tag(pen, ...text);
    drawMarks(pen, false);
  });
  for (const span of spans) drawSpan(pen, span, true, []);
  drawMarks(pen, true);
  drawFailure(pen);
  drawChosen(pen);
  drawAxis(pen);
  drawScroll(pen);
  drawOverview();
  placeNames();
  markSeen();
}

function within(pen, top, bottom, paintIt) {
  pen.save();
  pen.beginPath();
  pen.rect(0, top, scale.width, bottom - top);
  pen.clip();
  paintIt();
  pen.restore();
}

function drawRows(pen) {
  stage.rows.forEach((row, index) => {
    const top = topOf(index);
    box(pen, index % 2 ? paint.stripe : paint.panel, 0, top, scale.width, row.height);
    box(pen, paint.edge, 0, top, scale.width, 1);
  });
  scale.knots.forEach(([from, , idle], index) => {
    if (!idle) return;
    const [left, right] = [x(from), x(scale.knots[index + 1][0])];
    if (right < 0 || left > scale.width) return;
    box(pen, hatch(pen, paint.faint, 0.45), left, AXIS, right - left, stage.content);
  });
}

function drawAxis(pen) {
  box(pen, paint.panel, 0, 0, scale.width, AXIS);
  box(pen, paint.edge, 0, AXIS - 1, scale.width, 1);
  const taken = []; // pixels from and to
  const place = (text, color, middle) => {
    const half = pen.measureText(text).width / 2 + 6;
    const center = Math.min(Math.max(middle, half), scale.width - half);
    if (taken.some(([from, to]) => center + half > from && center - half < to)) return;
    taken.push([center - half, center + half]);
    label(pen, text, color, center, 12);
  };
  pen.textAlign = "center";
  if (data.failed >= 0) drawFlag(pen, taken);
  pen.font = ITALIC;
  scale.knots.forEach(([from, , idle], index) => {
    if (!idle) return;
    const to = scale.knots[index + 1][0];
    const [left, right] = [Math.max(0, x(from)), Math.min(scale.width, x(to))];
    const text = `${lasting(to - from)} idle`;
    if (right - left > pen.measureText(text).width + 12) place(text, paint.muted, (left + right) / 2);
  });
  pen.font = FONT;
  for (const tick of ticks()) {
    box(pen, paint.muted, Math.round(tick.place), AXIS - 5, 1, 5);
    place(tick.text, paint.text, tick.place);
  }
  pen.textAlign = "left";
}

// How much of the rows is in view, where not all of them are.
function drawScroll(pen) {
  if (stage.content <= stage.height) return;
  const room = stage.height - AXIS - 4;
  const share = (stage.height - AXIS) / (stage.content - AXIS);
  const top = AXIS + 2 + (stage.scroll / (stage.content - AXIS)) * room;
  pen.globalAlpha = 0.6;
  rounded(pen, scale.width - 8, top, 5, room * share, 3, paint.muted);
  pen.globalAlpha = 1;
}

function scrollTo(top) {
  stage.scroll = Math.max(0, Math.min(stage.content - stage.height, top));
  redraw();
}

function drawSpan(pen, span, world, tags) {
  const members = span.members;
  if (!members[0].shown) return;
  const left = Math.max(-3, x(span.from));
  const right = Math.min(scale.width + 3, Math.max(x(span.to), x(span.from) + 2));
  if (right < 0 || left > scale.width) return;
  const faint = members.every((entry) => entry.dim) ? 0.25 : 1;
  for (const index of span.rows) {
    if ((index === WORLD) !== world) continue;
    const row = stage.rows[index];
    let [top, height] = [topOf(index) + 1, row.height - 1];
    const color = paint[span.kind];
    if (world) {
      [top, height] = [topOf(index) + 27 + span.lane * (LANE + 3), LANE];
      pen.globalAlpha = 0.28 * faint;
      rounded(pen, left, top, right - left, height, 4, color);
      pen.globalAlpha = faint;
      rounded(pen, left, top, right - left, height, 4, null, color);
      inside(pen, span.text, paint.text, left + 6, right, top + height / 2 + 0.5);
    } else if (span.kind === "fault") {
      pen.globalAlpha = 0.09 * faint;
      box(pen, color, left, top, right - left, height);
      pen.globalAlpha = 1;
      continue;
    } else {
      pen.globalAlpha = faint;
      box(pen, span.kind === "down" ? paint.panel : paint.stripe, left, top, right - left, height);
      pen.globalAlpha = 0.2 * faint;
      box(pen, color, left, top, right - left, height);
      box(pen, hatch(pen, color, 1), left, top, right - left, height);
      pen.globalAlpha = faint;
      box(pen, color, left, top, 1.5, height);
      if (span.ends) box(pen, color, right - 1.5, top, 1.5, height);
      if (faint === 1) tags.push([`${doing(span)} · ${lasting(span.to - span.from)}`, color, left + 8, right, top + height - 12]);
    }
    pen.globalAlpha = 1;
    drawn.boxes.push({left, top, right, bottom: top + height, span, world, entry: members[0]});
  }
}

function doing(span) {
  return {crash: "crashed", kill: "killed", exit: "ended", pause: "paused"}[span.members[0].kind] || span.text;
}

function drawCall(pen, call, met) {
  if (!call.from.shown) return;
  const left = Math.max(-6, x(call.from.tyme));
  const right = Math.min(scale.width + 6, Math.max(call.to ? x(call.to.tyme) : x(END), x(call.from.tyme) + 2));
  if (right < 0 || left > scale.width) return;
  const row = stage.rows[call.from.host];
  const lanes = lanesOf(call.from.host);
  const room = row.top + row.height - row.line - 9;
  const height = Math.max(3, Math.min(18, Math.floor(room / lanes) - (lanes > 1 ? 2 : 0)));
  const top = lineOf(call.from.host) + 6 + (room / lanes) * (call.lane % lanes);
  const color = !call.to ? paint.open : isWrong(call.to) ? paint.wrong : paint.call;
  const faint = call.from.dim && (!call.to || call.to.dim) ? 0.15 : 1;
  if (right - left <= 3) {
    const key = ((call.from.host * 8 + (call.lane % lanes)) * 2 + (faint < 1 ? 1 : 0)) * 16384 + Math.round(left);
    if (met.has(key) && color === paint.call) return;
    met.add(key);
  }
  pen.globalAlpha = 0.22 * faint;
  rounded(pen, left, top, right - left, height, 3, color);
  pen.globalAlpha = faint;
  if (right - left > 3) rounded(pen, left, top, right - left, height, 3, null, color);
  else box(pen, color, left, top, right - left, height);
  if (height >= 12 && faint === 1) inside(pen, callText(call), paint.text, left + 5, right, top + height / 2 + 0.5);
  pen.globalAlpha = 1;
  drawn.bars.push({left, top, right, bottom: top + height, call, world: false, entry: call.from});
}

function lanesOf(host) {
  stage.lanes ??= hosts.map((_, row) => Math.min(6, calls.reduce((most, call) => (call.from.host === row ? Math.max(most, call.lane + 1) : most), 1)));
  return stage.lanes[host];
}

// A call in a few words: its method, and how it ended.
function callText(call) {
  const details = call.from.details.filter((detail, index) => index || detail !== hostName(call.from.host));
  const method = details.join(" ") || "call";
  if (!call.to) return `${method} …`;
  const outcome = outcomeOf(call.to);
  return outcome.length ? `${method} → ${outcome.map((detail) => detail ?? "–").join(" ")}` : method;
}

function drawMessages(pen) {
  const visible = messages.filter((message) => {
    if (!message.from.shown) return false;
    const from = x(message.from.tyme);
    const to = message.to ? x(message.to.tyme) : from + 20;
    return to >= -4 && from <= scale.width + 4;
  });
  const strength = visible.length < 200 ? 0.9 : Math.max(0.13, 0.9 * Math.sqrt(200 / visible.length));
  const heads = visible.length < MANY;
  const met = visible.length > CROWD ? new Set() : null;
  for (const message of visible) {
    const line = lineFor(message, heads);
    if (met) {
      const key = ((Math.round(line.left) * 8192 + Math.round(line.right)) * 512 + message.from.host) * 2 + (message.to ? 1 : 0);
      if (met.has(key)) continue;
      met.add(key);
    }
    const dim = message.from.dim && (!message.to || message.to.dim);
    pen.globalAlpha = dim ? 0.07 * strength : message.to ? strength : Math.max(0.45, strength);
    strokeMessage(pen, line, heads, 1.2);
    if (!dim) drawn.lines.push(line);
  }
  pen.globalAlpha = 1;
  pen.setLineDash([]);
}

function lineFor(message, heads = true) {
  const [left, top] = [x(message.from.tyme), lineOf(message.from.host)];
  const line = {left, top, right: left, bottom: top, message, entry: message.to || message.from, color: paint.message};
  if (message.from.kind === "connect") line.color = paint.life;
  else if (message.from.host !== rowOfOpener(message.from)) line.color = paint.reply;
  if (message.to) {
    line.right = x(message.to.tyme);
    line.bottom = lineOf(message.to.host);
  } else {
    const target = message.target < 0 ? top + 30 : lineOf(message.target);
    line.right = left + 14;
    line.bottom = top + (target - top) * 0.38;
    line.color = paint.lost;
    if (!heads) [line.right, line.bottom] = [left + 2, top + Math.sign(target - top) * 12];
  }
  return line;
}

function rowOfOpener(entry) {
  entry.opener ??= hosts.findIndex((host) => String(entry.details[0]).replace(/(:\d+)?>.*$/, "") === host.name);
  return entry.opener;
}

function strokeMessage(pen, line, head, width) {
  const lost = !line.message.to;
  pen.strokeStyle = pen.fillStyle = line.color;
  pen.lineWidth = width;
  pen.setLineDash(lost && head ? [3, 3] : []);
  pen.beginPath();
  pen.moveTo(line.left, line.top);
  if (line.message.to && line.message.from.host === line.message.to.host) {
    pen.bezierCurveTo(line.left, line.top - 26, line.right, line.top - 26, line.right, line.bottom);
  } else {
    pen.lineTo(line.right, line.bottom);
  }
  pen.stroke();
  pen.setLineDash([]);
  if (lost && head) {
    glyphs.cross(pen, line.right, line.bottom, 3.5);
  } else if (!lost && head) {
    const angle = Math.atan2(line.bottom - line.top, line.right - line.left);
    pen.beginPath();
    pen.moveTo(line.right, line.bottom);
    pen.lineTo(line.right - 8 * Math.cos(angle - 0.36), line.bottom - 8 * Math.sin(angle - 0.36));
    pen.lineTo(line.right - 8 * Math.cos(angle + 0.36), line.bottom - 8 * Math.sin(angle + 0.36));
    pen.fill();
  }
}

function drawMarks(pen, world) {
  const met = new Set();
  for (const entry of entries) {
    if (!entry.shown || (entry.host === WORLD) !== world) continue;
    const place = x(entry.tyme);
    if (place < -10 || place > scale.width + 10) continue;
    const mark = markOf(entry);
    if (!mark || (entry.dim && mark.size < 5)) continue;
    const key = ((entry.host * 64 + mark.number) * 2 + (entry.dim ? 1 : 0)) * 16384 + Math.round(place);
    if (met.has(key)) continue;
    met.add(key);
    const y = lineOf(entry.host) + mark.rise;
    pen.globalAlpha = entry.dim ? 0.12 : 1;
    drawGlyph(pen, mark, place, y);
    if (!entry.dim) drawn.marks.push({x: place, y, size: mark.size, entry});
  }
  pen.globalAlpha = 1;
}

function drawFailure(pen) {
  if (data.failed < 0) return;
  const place = x(entries[data.failed].tyme);
  if (place < -60 || place > scale.width + 60) return;
  pen.globalAlpha = 0.12;
  box(pen, paint.failure, place - 5, AXIS, 10, stage.content);
  pen.globalAlpha = 1;
  box(pen, paint.failure, place - 1, AXIS - 6, 2, stage.content);
}

function drawFlag(pen, taken) {
  const place = x(entries[data.failed].tyme);
  if (place < -30 || place > scale.width + 30) return;
  const middle = Math.min(Math.max(place, 29), scale.width - 29);
  rounded(pen, middle - 28, 3, 56, 17, 4, paint.failure);
  label(pen, "failure", paint.panel, middle, 12);
  taken.push([middle - 30, middle + 30]);
}

// What belongs to the entry that is selected, and to what the pointer is over.
function drawChosen(pen) {
  for (const [entry, strong] of [[chosen.near && chosen.near.entry, false], [chosen.entry, true]]) {
    if (!entry) continue;
    const near = chosen.near;
    const lines = strong ? entry.messages : near.line ? [near.line.message] : [];
    for (const message of lines) strokeMessage(pen, lineFor(message), true, strong ? 2.4 : 2.6);
    const bars = drawn.bars.filter((bar) => (strong ? bar.call === entry.call : bar === near.bar));
    for (const bar of bars) rounded(pen, bar.left, bar.top, bar.right - bar.left, bar.bottom - bar.top, 3, null, paint.accent, 2);
    const place = x(entry.tyme);
    if (!strong && (near.line || near.bar || near.box)) continue;
    const mark = markOf(entry);
    if (strong && entry.index !== data.failed) {
      pen.globalAlpha = 0.55;
      box(pen, paint.accent, place - 0.5, AXIS, 1, stage.content);
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = paint.accent;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(place, lineOf(entry.host) + (mark ? mark.rise : 0), strong ? 9 : 8, 0, 7);
    pen.stroke();
  }
}
