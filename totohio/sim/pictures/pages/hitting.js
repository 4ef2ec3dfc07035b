// What the pointer is over, and what is said of it.

const REACH = 5; // pixels from a line that still count

function hit(pointX, pointY) {
  let best = null;
  let least = Infinity;
  const world = pointY >= stage.floor;
  for (const mark of drawn.marks) {
    if ((mark.entry.host === WORLD) !== world) continue;
    const distance = Math.hypot(mark.x - pointX, mark.y - pointY) - mark.size;
    if (distance < REACH && distance < least) [best, least] = [{entry: mark.entry}, distance];
  }
  if (best) return best;
  for (const line of world ? [] : drawn.lines) {
    const distance = distanceTo(line, pointX, pointY);
    if (distance < REACH && distance < least) [best, least] = [{entry: line.entry, line}, distance];
  }
  if (best) return best;
  for (const name of ["bars", "boxes"]) {
    for (const area of drawn[name]) {
      if (area.world !== world) continue;
      if (pointX < area.left - 2 || pointX > area.right + 2 || pointY < area.top || pointY > area.bottom) continue;
      const size = area.right - area.left;
      if (size < least) [best, least] = [{entry: area.entry, [name === "bars" ? "bar" : "box"]: area}, size];
    }
    if (best) return best;
  }
  return null;
}

function distanceTo(line, pointX, pointY) {
  const [dx, dy] = [line.right - line.left, line.bottom - line.top];
  const length = dx * dx + dy * dy;
  const share = length ? Math.min(1, Math.max(0, ((pointX - line.left) * dx + (pointY - line.top) * dy) / length)) : 0;
  return Math.hypot(line.left + share * dx - pointX, line.top + share * dy - pointY);
}

function showTip(found, pointX, pointY) {
  const tip = document.getElementById("tip");
  tip.hidden = !found;
  if (!found) return;
  const [title, ...lines] = tipText(found);
  tip.replaceChildren(element("b", title), ...lines.filter(Boolean).map((text) => element("div", text)));
  const left = stage.canvas.offsetLeft + pointX + 14;
  const right = stage.canvas.offsetLeft + scale.width - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(4, Math.min(left, right))}px`;
  const below = pointY + 16;
  tip.style.top = `${below + tip.offsetHeight > stage.height ? Math.max(2, pointY - tip.offsetHeight - 12) : below}px`;
}

function tipText(found) {
  if (found.line) return messageText(found.line.message);
  if (found.bar) {
    const {from, to} = found.bar.call;
    return [
      callText(found.bar.call),
      to ? `took ${lasting(to.tyme - from.tyme)}` : "never answered",
      `${at(from.tyme)}${to ? ` to ${at(to.tyme)}` : ""}, ${hostName(from.host)}`,
      from.details.length > 1 ? said(from) : "",
    ];
  }
  if (found.box) {
    const span = found.box.span;
    const title = span.kind === "fault" ? span.text : `${hostName(found.entry.host)} ${doing(span)}`;
    return [title, `for ${lasting(span.to - span.from)}${span.ends ? "" : ", to the end"}`, `${at(span.from)} to ${at(span.to)}`];
  }
  const entry = found.entry;
  return [`${entry.kind}  ${said(entry)}`, `${at(entry.tyme)}, ${hostName(entry.host)}`];
}

function messageText({from, to, target}) {
  const ends = `${hostName(from.host)} → ${target < 0 ? "?" : hostName(target)}`;
  const size = from.kind === "send" && from.details.length > 1 ? `${from.details[1]} bytes` : from.kind;
  const arrival = to ? `arrived ${at(to.tyme)}, after ${lasting(to.tyme - from.tyme)}` : "never arrived";
  return [`${ends}: ${size}`, `sent ${at(from.tyme)}`, arrival, String(from.details[0])];
}

function at(tyme) {
  return `${tyme.toFixed(6)} s`;
}

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
