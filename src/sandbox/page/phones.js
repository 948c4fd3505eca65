// Phones: what changes comes by a stream and is put in its place; forms are sent without a reload.
"use strict";

const live = document.getElementById("live");
const requests = document.getElementById("requests");
const held = document.getElementById("held");
let waiting = [];

const fragment = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
};
const two = (number) => String(number).padStart(2, "0");
const atEnd = (thread) => thread.scrollHeight - thread.scrollTop - thread.clientHeight < 40;

// Times as the reader's clock shows them.
function localTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const date = new Date(time.dateTime);
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
    time.textContent = "seconds" in time.dataset ? `${clock}:${two(date.getSeconds())}` : clock;
    time.title = date.toString();
  }
}

// Whether a finger or the keyboard is on something in there that can be pressed.
function isHeld(root) {
  return root.querySelector("button:hover, a:hover, summary:hover, :focus-visible") !== null;
}

function toEnd(thread) {
  thread.scrollTop = thread.scrollHeight;
  thread.closest(".phone").querySelector(".newer").hidden = true;
}

// In its place by its order; one that is there already is replaced, and stays open or focused.
function place(list, item, old, isBefore) {
  localTimes(item);
  if (old) {
    const details = old.querySelector("details");
    if (details?.open) item.querySelector("details").open = true;
    const focused = [...old.querySelectorAll("a, button, summary")].indexOf(document.activeElement);
    const focusVisible = old.querySelector(":focus-visible") !== null;
    old.replaceWith(item);
    const again = item.querySelectorAll("a, button, summary")[focused];
    again?.focus({ preventScroll: true, focusVisible });
    return;
  }
  const order = Number(item.dataset.order);
  const next = [...list.children].find((other) => isBefore(order, Number(other.dataset.order)));
  list.insertBefore(item, next ?? null);
}

function showMessage({ phone, sid, html, mine }) {
  const thread = document.querySelector(`#${CSS.escape(phone)} .thread`);
  if (!thread) return;
  const followed = atEnd(thread);
  const old = [...thread.children].find((bubble) => bubble.dataset.sid === sid);
  if (mine && thread.querySelector(".hint")) {
    thread.querySelector(".hint").remove();
    thread.closest(".phone").querySelector("textarea").placeholder = "Message";
  }
  const item = fragment(html);
  if (!old) item.classList.add("arriving");
  place(thread, item, old, (order, other) => order < other);
  for (const picture of item.querySelectorAll("img")) {
    picture.addEventListener("load", () => { if (followed && !isHeld(thread)) toEnd(thread); });
  }
  if (followed && thread.children.length > 400) thread.firstElementChild.remove();
  if (followed && !isHeld(thread)) toEnd(thread);
  else if (!old) thread.closest(".phone").querySelector(".newer").hidden = false;
  watchReading(item);
}

function showRequest({ order, html }) {
  const old = requests.querySelector(`:scope > [data-order="${order}"]`);
  place(requests, fragment(html), old, (mine, other) => mine > other);
  while (requests.children.length > Number(requests.dataset.limit)) requests.lastElementChild.remove();
}

// New requests come in above: while somebody is about to press one, they wait.
function showRequests(list) {
  const isKnown = ({ order }) => requests.querySelector(`:scope > [data-order="${order}"]`);
  for (const request of list) {
    const same = waiting.findIndex(({ order }) => order === request.order);
    if (same >= 0) waiting[same] = request;
    else if (isKnown(request) || !isHeld(requests)) showRequest(request);
    else waiting.push(request);
  }
  if (!isHeld(requests)) release();
  held.hidden = waiting.length === 0;
  held.textContent = `Show ${waiting.length} new`;
}

function release() {
  waiting.forEach(showRequest);
  waiting = [];
  held.hidden = true;
}
held.addEventListener("click", release);
requests.addEventListener("pointerleave", () => { if (!isHeld(requests)) release(); });
requests.addEventListener("focusout", ({ relatedTarget }) => {
  if (relatedTarget !== held) setTimeout(() => { if (!isHeld(requests)) release(); });
});

const typing = new Map();
function showTyping(phone, ms) {
  const sign = phone.querySelector(".typing");
  clearTimeout(typing.get(phone));
  sign.hidden = ms <= 0;
  if (ms > 0) typing.set(phone, setTimeout(() => { sign.hidden = true; }, ms));
}

function showPhone({ phone: id, name, initial, typing: ms }) {
  const phone = document.getElementById(id);
  if (!phone) return;
  phone.querySelector(".phone-name").textContent = name;
  phone.querySelector(".avatar").textContent = initial;
  document.querySelector(`[data-tab="${CSS.escape(id)}"] .tab-name`).textContent = name;
  showTyping(phone, ms);
}

function showControls({ switches, reading }) {
  let on = 0;
  for (const [name, state] of Object.entries(switches)) {
    const input = document.querySelector(`.faults input[name="${name}"]`);
    const chance = input.closest("label").querySelector(".chance-now");
    input.checked = state.on;
    chance.textContent = state.chance;
    chance.hidden = !state.chance;
    if (state.on) on += 1;
  }
  const count = document.getElementById("faults-on");
  count.textContent = on ? `${on} on` : "none";
  count.classList.toggle("warn", on > 0);
  for (const [id, reads] of Object.entries(reading)) {
    const phone = document.getElementById(id);
    if (phone) phone.querySelector("input[name=reads]").checked = reads;
  }
  reportRead();
}

// What somebody who reads has before the eyes is read.
const seen = new Set();
const visible = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) seen.add(target);
    else seen.delete(target);
  }
  reportRead();
}, { threshold: 0.5 });

function watchReading(bubble) {
  if ("unread" in bubble.dataset) visible.observe(bubble);
}

function reportRead() {
  if (document.visibilityState !== "visible") return;
  for (const phone of document.querySelectorAll(".phone")) {
    if (!phone.querySelector("input[name=reads]").checked) continue;
    const shown = [...seen].filter((bubble) => phone.contains(bubble));
    if (shown.length === 0) continue;
    const form = new URLSearchParams({ show: phone.dataset.number });
    for (const bubble of shown) {
      form.append("sid", bubble.dataset.sid);
      seen.delete(bubble);
      visible.unobserve(bubble);
    }
    fetch("/sandbox/phone/read", { method: "POST", body: form, headers: { Accept: "text/plain" } })
      .catch(() => shown.forEach(watchReading));
  }
}
document.addEventListener("visibilitychange", reportRead);

function show({ reset, messages, phones, requests: changed, controls }) {
  if (reset) {
    document.querySelectorAll(".bubble, .request").forEach((item) => item.remove());
    seen.clear();
    waiting = [];
  }
  messages.forEach(showMessage);
  phones.forEach(showPhone);
  showRequests(changed);
  if (controls) showControls(controls);
}

// While something is being pressed nothing is put in its place: the press would be lost.
let isPressed = false;
const pressedMeanwhile = [];
document.addEventListener("pointerdown", (event) => {
  isPressed = event.target.closest("a, button, summary, label, input") !== null;
}, true);
function letGo() {
  setTimeout(() => {
    isPressed = false;
    pressedMeanwhile.splice(0).forEach(show);
  });
}
for (const end of ["pointerup", "pointercancel", "dragend"]) document.addEventListener(end, letGo, true);
window.addEventListener("blur", letGo);

let last = null;
function listen() {
  const address = new URL(document.body.dataset.stream, location.href);
  if (last) address.searchParams.set("after", last);
  const stream = new EventSource(address);
  stream.onopen = () => { live.textContent = "Live."; };
  stream.addEventListener("changes", (event) => {
    last = event.lastEventId;
    if (isPressed) pressedMeanwhile.push(JSON.parse(event.data));
    else show(JSON.parse(event.data));
  });
  stream.onerror = () => {
    live.textContent = "The connection is lost; trying again…";
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
}

