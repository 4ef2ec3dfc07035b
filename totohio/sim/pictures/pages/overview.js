// The whole run above the picture, and which part of it is in view.

const STRIP = 40; // pixels
const overview = {canvas: document.getElementById("overview"), back: document.createElement("canvas"), stale: true};

function drawOverview() {
  const width = overview.canvas.clientWidth || 1000;
  const gutter = width - scale.width;
  const whole = scale.last - scale.first;
  if (overview.stale) drawWhole(width, (tyme) => gutter + ((positionOf(tyme) - scale.first) / whole) * scale.width);
  overview.stale = false;
  const pen = resize(overview.canvas, width, STRIP);
  pen.drawImage(overview.back, 0, 0, width, STRIP);
  const [left, right] = [scale.from, scale.to].map((position) => gutter + ((position - scale.first) / whole) * scale.width);
  pen.globalAlpha = 0.6;
  box(pen, paint.page, gutter, 0, left - gutter, STRIP);
  box(pen, paint.page, right, 0, width - right, STRIP);
  pen.globalAlpha = 1;
  rounded(pen, left + 0.75, 0.75, Math.max(3, right - left - 1.5), STRIP - 1.5, 3, null, paint.accent, 1.5);
  box(pen, paint.panel, 0, 0, gutter - 1, STRIP);
  box(pen, paint.edge, gutter - 1, 0, 1, STRIP);
  pen.font = FONT;
  pen.textBaseline = "middle";
  label(pen, "whole run", paint.muted, 10, STRIP / 2);
}

// Paint what does not change with the view: how much happens, what lasts, and what went wrong.
function drawWhole(width, at) {
  const pen = resize(overview.back, width, STRIP);
  box(pen, paint.panel, 0, 0, width, STRIP);
  for (const span of spans) {
    const left = at(span.from);
    const length = Math.max(2, at(span.to) - left);
    pen.globalAlpha = 0.1;
    if (span.kind === "fault") box(pen, paint.fault, left, 0, length, STRIP);
    pen.globalAlpha = 0.8;
    if (span.kind !== "fault") box(pen, paint[span.kind], left, STRIP - 4, length, 4);
  }
  pen.globalAlpha = 1;
  const bins = new Map();
  for (const entry of entries) {
    if (!entry.shown || entry.dim) continue;
    const bin = Math.round(at(entry.tyme) / 2);
    bins.set(bin, (bins.get(bin) || 0) + 1);
  }
  const most = Math.sqrt(Math.max(1, ...bins.values()));
  for (const [bin, count] of bins) {
    const height = 3 + (Math.sqrt(count) / most) * 25;
    box(pen, paint.message, bin * 2 - 1, STRIP - 5 - height, 2, height);
  }
  for (const entry of entries) {
    if (isBad(entry) && entry.shown && !entry.dim) box(pen, paint.error, at(entry.tyme) - 1, 0, 2, 6);
  }
  if (data.failed >= 0) box(pen, paint.failure, at(entries[data.failed].tyme) - 1, 0, 2, STRIP);
}
