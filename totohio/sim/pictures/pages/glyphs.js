// The marks of single entries, and small tools for painting.

const glyphs = {
  dot: (pen, x, y, size) => disc(pen, x, y, size, true),
  ring: (pen, x, y, size) => disc(pen, x, y, size, false),
  diamond: (pen, x, y, size) => polygon(pen, [[x, y - size], [x + size, y], [x, y + size], [x - size, y]], true),
  open: (pen, x, y, size) => polygon(pen, [[x, y - size], [x + size, y], [x, y + size], [x - size, y]], false),
  start: (pen, x, y, size) => polygon(pen, [[x - size * 0.7, y - size], [x + size, y], [x - size * 0.7, y + size]], true),
  stop: (pen, x, y, size) => polygon(pen, [[x - size, y - size], [x + size, y - size], [x + size, y + size], [x - size, y + size]], true),
  tick: (pen, x, y, size) => pen.fillRect(x - 1, y - size, 2, size * 2),
  bar: (pen, x, y, size) => pen.fillRect(x - 0.75, y - size, 1.5, size * 2),
  pause: (pen, x, y, size) => {
    pen.fillRect(x - size * 0.8, y - size, size * 0.55, size * 2);
    pen.fillRect(x + size * 0.25, y - size, size * 0.55, size * 2);
  },
  cross: (pen, x, y, size) => {
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x - size, y - size);
    pen.lineTo(x + size, y + size);
    pen.moveTo(x + size, y - size);
    pen.lineTo(x - size, y + size);
    pen.stroke();
  },
  clock: (pen, x, y, size) => {
    disc(pen, x, y, size, false);
    pen.beginPath();
    pen.moveTo(x, y - size * 0.7);
    pen.lineTo(x, y);
    pen.lineTo(x + size * 0.6, y);
    pen.stroke();
  },
  alarm: (pen, x, y, size) => {
    polygon(pen, [[x, y - size * 1.1], [x + size * 1.2, y + size], [x - size * 1.2, y + size]], true);
    pen.fillStyle = paint.panel;
    pen.fillRect(x - 0.9, y - size * 0.35, 1.8, size * 0.75);
    pen.fillRect(x - 0.9, y + size * 0.58, 1.8, 1.6);
  },
  failed: (pen, x, y, size) => {
    disc(pen, x, y, size, true);
    pen.strokeStyle = paint.panel;
    glyphs.cross(pen, x, y, size * 0.42);
  },
  arrow: (pen, x, y, size) => {
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(x - size, y + size * 0.7);
    pen.lineTo(x + size, y - size * 0.7);
    pen.stroke();
    polygon(pen, [[x + size, y - size * 0.7], [x + size * 0.1, y - size * 0.7], [x + size * 0.6, y + size * 0.2]], true);
  },
  pill: (pen, x, y, size) => {
    pen.globalAlpha = 0.25;
    rounded(pen, x - size * 1.2, y - size * 0.7, size * 2.4, size * 1.4, 3, pen.fillStyle);
    pen.globalAlpha = 1;
    rounded(pen, x - size * 1.2, y - size * 0.7, size * 2.4, size * 1.4, 3, null, pen.strokeStyle, 1.3);
  },
};

// How entries are marked: glyph, color, size and how far from the line.
const MARKS = {
  connect: ["ring", "life", 2.5, 0], accept: ["ring", "life", 2.5, 0], refuse: ["cross", "lost", 4, 0],
  end: ["bar", "life", 5, 0], reset: ["cross", "lost", 4, 0], close: ["bar", "life", 3, 0],
  send: ["dot", "message", 2, 0], receive: ["dot", "message", 2, 0],
  boot: ["start", "call", 6, 0], restart: ["start", "call", 6, 0], exit: ["stop", "down", 4.5, 0],
  crash: ["cross", "down", 6, 0], kill: ["cross", "down", 6, 0], pause: ["pause", "paused", 6, 0],
  resume: ["start", "paused", 5, 0], step_clock: ["clock", "fault", 6, 0],
  fault: ["diamond", "fault", 6, 0], rule: ["diamond", "fault", 6, 0], heal: ["open", "fault", 5, 0],
  "log info": ["tick", "info", 3.5, -13], "log warning": ["alarm", "warning", 6, -14], "log error": ["alarm", "error", 6, -14],
  "check held": ["ring", "call", 4, 0], "check failed": ["failed", "failure", 8, 0],
  file: ["tick", "other", 3, 7], sync: ["tick", "other", 3, 7], lost: ["open", "lost", 5, 8],
  other: ["dot", "other", 3, -6],
};
const marks = new Map(); // by name, in the colors of now

// The mark of an entry; null for what a bar shows.
function markOf(entry) {
  if (entry.kind === "call" || entry.kind === "reply") return null;
  if (!entry.mark) {
    let name = entry.kind;
    if (name === "log") name = `log ${levelOf(entry)}`;
    if (name === "check") name = isBad(entry) ? "check failed" : "check held";
    entry.mark = Object.hasOwn(MARKS, name) ? name : "other";
  }
  return marks.get(entry.mark);
}

function colorMarks() {
  Object.entries(MARKS).forEach(([name, [glyph, color, size, rise]], number) => {
    marks.set(name, {glyph, color: paint[color], size, rise, number});
  });
}

function drawGlyph(pen, mark, x, y) {
  pen.fillStyle = pen.strokeStyle = mark.color;
  pen.lineWidth = 1.5;
  glyphs[mark.glyph](pen, x, y, mark.size);
}

// ---------------------------------------------------------------- tools

function box(pen, color, left, top, width, height) {
  pen.fillStyle = color;
  pen.fillRect(left, top, width, height);
}

function rounded(pen, left, top, width, height, radius, fill, edge, line = 1) {
  pen.beginPath();
  pen.roundRect(left, top, Math.max(1, width), height, Math.min(radius, Math.max(0.5, width / 2)));
  if (fill) {
    pen.fillStyle = fill;
    pen.fill();
  }
  if (edge) {
    pen.strokeStyle = edge;
    pen.lineWidth = line;
    pen.stroke();
  }
}

function disc(pen, x, y, size, filled) {
  pen.beginPath();
  pen.arc(x, y, size, 0, 7);
  if (filled) {
    pen.fill();
  } else {
    const color = pen.strokeStyle;
    pen.fillStyle = paint.panel;
    pen.fill();
    pen.strokeStyle = color;
    pen.stroke();
  }
}

function polygon(pen, points, filled) {
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
  if (!filled) pen.fillStyle = paint.panel;
  pen.fill();
  if (!filled) pen.stroke();
}

function label(pen, text, color, x, y) {
  pen.fillStyle = color;
  pen.fillText(text, x, y);
}

// Text that begins at the left end of a bar, or where it comes into view, as much of it as has room.
function inside(pen, text, color, left, right, y) {
  const begin = Math.max(left, 6);
  const letters = Math.floor((right - begin - 4) / 6.1);
  if (letters < 3) return;
  pen.textAlign = "left";
  label(pen, text.length <= letters ? text : `${text.slice(0, letters - 1)}…`, color, begin, y);
}

// Text on a ground of its own, where there is room for all of it.
function tag(pen, text, color, left, right, y) {
  const begin = Math.max(left, 6);
  const width = pen.measureText(text).width + 12;
  if (right - begin < width + 4) return;
  rounded(pen, begin, y - 9, width, 17, 4, paint.panel, color);
  label(pen, text, color, begin + 6, y);
}

function hatch(pen, color, alpha) {
  const key = `${color} ${alpha}`;
  if (!paint.hatches.has(key)) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const brush = tile.getContext("2d");
    brush.globalAlpha = alpha;
    brush.strokeStyle = color;
    brush.lineWidth = 1;
    for (const shift of [-8, 0, 8]) {
      brush.beginPath();
      brush.moveTo(shift, 8);
      brush.lineTo(shift + 8, 0);
      brush.stroke();
    }
    paint.hatches.set(key, pen.createPattern(tile, "repeat"));
  }
  return paint.hatches.get(key);
}
