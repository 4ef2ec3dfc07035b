// From tyme to pixels: the part of the run that is in view, and idle time drawn shorter than it is.

const PAD = 0.02; // of the view stay free on both sides of the run
const LEAST = 2e-6; // seconds that fill the picture at the closest
const IDLE = 20; // times as long as most gaps between entries: nothing happens
const TICK = 92; // pixels between the labels of the axis at least

const scale = {squeezed: false, knots: [], from: 0, to: 1, width: 1, first: 0, last: 1};

// Knots are pairs of tyme and position; between two knots positions grow evenly.
function setSqueezed(squeezed) {
  const middle = tymeAt(scale.width / 2);
  const share = (scale.to - scale.from) / (scale.last - scale.first);
  scale.squeezed = squeezed;
  overview.stale = true;
  scale.knots = squeezed ? squeezedKnots() : [[START, START, false], [Math.max(END, START + LEAST), Math.max(END, START + LEAST), false]];
  const length = scale.knots[scale.knots.length - 1][1] - scale.knots[0][1];
  scale.first = scale.knots[0][1] - length * PAD;
  scale.last = scale.knots[scale.knots.length - 1][1] + length * PAD;
  const half = (Math.min(1, share) * (scale.last - scale.first)) / 2;
  setView(positionOf(middle) - half, positionOf(middle) + half);
}

function squeezedKnots() {
  const tymes = entries.map((entry) => entry.tyme).sort((one, other) => one - other);
  const gaps = [];
  for (let index = 1; index < tymes.length; index++) {
    if (tymes[index] > tymes[index - 1]) gaps.push(tymes[index] - tymes[index - 1]);
  }
  gaps.sort((one, other) => one - other);
  const idle = gaps.length ? gaps[Math.floor(gaps.length * 0.75)] * IDLE : Infinity;
  let position = START;
  const knots = [[START, START, false]];
  for (let index = 1; index < tymes.length; index++) {
    const gap = tymes[index] - tymes[index - 1];
    if (gap <= idle * 4) continue;
    const last = knots[knots.length - 1];
    position = last[1] + (tymes[index - 1] - last[0]);
    knots.push([tymes[index - 1], position, true]); // idle from here
    knots.push([tymes[index], position + idle * (1 + Math.log10(gap / idle)), false]);
  }
  const last = knots[knots.length - 1];
  knots.push([Math.max(END, last[0] + LEAST), last[1] + Math.max(END - last[0], LEAST), false]);
  return knots;
}

// Whether most of the run is idle, so that what happens would be a few thin lines.
function mostlyIdle() {
  const knots = squeezedKnots();
  return knots[knots.length - 1][1] - START < (END - START) * 0.4;
}

function between(value, from, to) {
  const knots = scale.knots;
  let low = 0;
  let high = knots.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (knots[middle][from] <= value) low = middle;
    else high = middle - 1;
  }
  const [one, other] = [knots[low], knots[low + 1]];
  const length = other[from] - one[from];
  return one[to] + (length ? ((value - one[from]) * (other[to] - one[to])) / length : 0);
}

function positionOf(tyme) {
  return scale.knots.length ? between(tyme, 0, 1) : tyme;
}

function x(tyme) {
  return ((positionOf(tyme) - scale.from) / (scale.to - scale.from)) * scale.width;
}

function tymeAt(pixel) {
  const position = scale.from + (pixel / scale.width) * (scale.to - scale.from);
  return scale.knots.length ? between(position, 1, 0) : position;
}

function setView(from, to) {
  const whole = scale.last - scale.first;
  const length = Math.min(whole, Math.max(LEAST, to - from));
  const middle = (from + to) / 2;
  scale.from = Math.min(Math.max(middle - length / 2, scale.first), scale.last - length);
  scale.to = scale.from + length;
  redraw();
}

function zoom(factor, pixel = scale.width / 2) {
  const length = scale.to - scale.from;
  const wanted = Math.min(scale.last - scale.first, Math.max(LEAST, length / factor));
  const held = scale.from + (pixel / scale.width) * length;
  setView(held - (pixel / scale.width) * wanted, held + (1 - pixel / scale.width) * wanted);
}

function pan(pixels) {
  const shift = (pixels / scale.width) * (scale.to - scale.from);
  setView(scale.from + shift, scale.to + shift);
}

// Bring a tyme into view, without zooming when it is there already.
function reveal(tyme) {
  const place = x(tyme);
  if (place < 40 || place > scale.width - 40) pan(place - scale.width / 2);
}

// The ticks of the axis: in each part that is not idle at round tymes, as dense as their labels allow.
function ticks() {
  const found = [];
  for (let index = 0; index + 1 < scale.knots.length; index++) {
    if (scale.knots[index][2]) continue;
    const begin = Math.max(scale.knots[index][0], tymeAt(0));
    const end = Math.min(scale.knots[index + 1][0], tymeAt(scale.width));
    if (end <= begin) continue;
    const perSecond = scale.width / (scale.to - scale.from);
    const step = roundUp(TICK / perSecond);
    const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    for (let number = Math.ceil(begin / step - 1e-9); number * step <= end; number++) {
      const place = x(number * step);
      if (!found.length || place - found[found.length - 1].place >= TICK * 0.8) {
        found.push({place, text: `${(number * step).toFixed(Math.min(9, decimals))} s`});
      }
    }
  }
  return found;
}

function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((digit) => digit * power >= value * 0.999);
}
