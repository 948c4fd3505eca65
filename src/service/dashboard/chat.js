// The chat: what is said comes by a stream, and what is written is sent without a reload.
"use strict";
(() => {
  const thread = document.getElementById("thread");
  const form = document.getElementById("chat-form");
  const notice = document.getElementById("chat-notice");
  const end = document.getElementById("newest");

  const toEnd = () => { thread.scrollTop = thread.scrollHeight; };
  const atEnd = () => thread.scrollHeight - thread.scrollTop - thread.clientHeight < 60;
  const entry = (number) => thread.querySelector(`[data-number="${number}"]`);

  // The server's own piece of the page; what people wrote in it is text.
  const piece = (html) => new DOMParser().parseFromString(html, "text/html").querySelector("li");

  const show = ({ number, html }) => {
    const item = piece(html);
    const old = entry(number);
    const followed = atEnd();
    thread.querySelector(".chat-none")?.remove();
    if (old) old.replaceWith(item);
    else thread.insertBefore(item, end);
    if (followed) toEnd();
  };
  const reach = ({ number, words, isBad }) => {
    const place = entry(number)?.querySelector(".reach");
    if (!place) return;
    place.textContent = words;
    place.classList.toggle("bad", isBad);
  };

  let last = null;
  let stream = null;
  const listen = () => {
    const address = new URL(thread.dataset.stream, location.href);
    if (last !== null) address.searchParams.set("after", last);
    stream = new EventSource(address);
    stream.onopen = () => { notice.textContent = ""; };
    for (const [name, tell] of [["said", show], ["reach", reach]]) {
      stream.addEventListener(name, (event) => { last = event.lastEventId; tell(JSON.parse(event.data)); });
    }
    stream.onerror = async ({ target }) => {
      if (target !== stream || target.readyState !== EventSource.CLOSED) return;
      // A stream does not tell why it was refused.
      const ask = new AbortController();
      const status = await fetch(address, { signal: ask.signal }).then((answer) => answer.status, () => 0);
      ask.abort();
      if (status === 401) {
        notice.textContent = "You are signed out. Open this page from CloudyBot once more.";
        return;
      }
      notice.textContent = status === 429
        ? "This page is open too many times. Close some of them; trying again…"
        : "The connection is lost; trying again…";
      setTimeout(listen, 5000);
    };
  };
  toEnd();
  if (thread.dataset.stream) {
    listen();
    // A page that was left keeps no connection, since browsers open few to one server.
    window.addEventListener("pagehide", () => stream.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  }

  // A place in the list of zones that this device goes by.
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = document.querySelector("select[name=timezone]");
  const offer = document.getElementById("times-here");
  if (zones && here && zones.value !== here && [...zones.options].some((option) => option.value === here)) {
    const button = offer.querySelector("button");
    button.textContent = `Take this device's: ${here}`;
    button.addEventListener("click", () => { zones.value = here; offer.hidden = true; zones.focus(); });
    offer.hidden = false;
  }

  if (!form || !thread.dataset.stream) return;
  // Sent one after the other, each under a key of its own: with the same key it is sent once, however often it is tried.
  const { text, key } = form.elements;
  const newKey = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const waiting = [];
  let returned = null;
  const post = async (body) => {
    for (const pause of [1000, 3000, 0]) {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/plain" } }).catch(() => null);
      if (answer || !pause) return answer;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  // What was not sent comes back into the box, before what was written since.
  const giveBack = async (answer) => {
    notice.textContent = answer ? await answer.text() : "This does not work just now. Please try again.";
    const [first] = waiting;
    returned = waiting.length === 1 && !text.value ? first : null;
    text.value = [...waiting.map(({ written }) => written), text.value].filter(Boolean).join("\n");
    waiting.length = 0;
  };
  const send = async () => {
    if (!text.value.trim()) return;
    key.value = returned?.written === text.value ? returned.key : newKey();
    returned = null;
    waiting.push({ written: text.value, key: key.value, body: new URLSearchParams(new FormData(form)) });
    text.value = "";
    notice.textContent = "";
    toEnd();
    if (waiting.length > 1) return;
    while (waiting.length) {
      const answer = await post(waiting[0].body);
      if (answer?.ok) waiting.shift();
      else await giveBack(answer);
    }
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
})();
