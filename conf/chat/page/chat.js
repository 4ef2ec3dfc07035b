// A chat over server-sent events, or over long polls where those do not get through.
"use strict";

const SLOWEST = 8000; // milliseconds between two tries at most
const TRIES = 3; // of a stream that never opens, before long polls are tried
const element = (id) => document.getElementById(id);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

let room = "";
let nick = "";

function show(className, nickname, text) {
  const line = document.createElement("li");
  if (nickname !== null) {
    const name = document.createElement("span");
    name.className = "nick";
    name.textContent = nickname; // never as HTML: it is anybody's
    line.append(name);
  }
  line.className = className;
  line.append(text);
  element("log").append(line);
  line.scrollIntoView({ block: "end" });
}

const told = (message) => show("said", message.nick, message.text);
const note = (text) => show("note", null, text);
const state = (text) => { element("state").textContent = text; };
const missed = () => note("Some messages may be missing here.");

async function call(method, parameters) {
  const reply = await fetch("/" + method.replaceAll(".", "/"), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ parameters }),
  });
  return reply.json();
}

function listen() {
  if (!("EventSource" in window) || new URLSearchParams(location.search).get("transport") === "poll") {
    poll();
    return;
  }
  let failed = 0;
  const source = new EventSource("/events/stream?name=chat." + room); // it comes again by itself, and says where it was
  source.addEventListener("open", () => { failed = 0; state("connected"); });
  source.addEventListener("recovered", (event) => { if (!JSON.parse(event.data).recovered) { missed(); } });
  source.addEventListener("gap", missed);
  source.addEventListener("chat." + room, (event) => told(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    failed += 1;
    state("connecting");
    if (failed >= TRIES && source.readyState !== EventSource.OPEN) {
      source.close();
      poll();
    }
  });
}

async function poll() {
  let last = null;
  let wait = 250;
  for (;;) {
    try {
      const reply = await call("events.poll", { name: "chat." + room, last_id: last, timeout: 25 });
      if (reply.error) {
        throw new Error(reply.error.value);
      }
      const { events, last_id: id, recovered } = reply.result;
      if (!recovered) {
        missed();
      }
      events.forEach((event) => told(event.args));
      last = id;
      wait = 250;
      state("connected, by polling");
    } catch (error) {
      state("connecting");
      await pause(wait);
      wait = Math.min(SLOWEST, wait * 2);
    }
  }
}

element("join").addEventListener("submit", (event) => {
  event.preventDefault();
  nick = element("nick").value;
  room = element("room").value;
  element("join").hidden = true;
  element("join").style.display = "none";
  element("talk").hidden = false;
  document.title = room + " – Chat";
  note("You are in the room " + room + ".");
  element("text").focus();
  listen();
});

element("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = element("text").value;
  try {
    const reply = await call("say", { room, nick, text });
    if (reply.error) {
      note(String(reply.error.value));
    } else {
      element("text").value = "";
    }
  } catch (error) {
    note("That could not be sent. Try again.");
  }
});
