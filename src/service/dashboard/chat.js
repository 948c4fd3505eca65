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
    stream.onerror = ({ target }) => {
      if (target !== stream || target.readyState !== EventSource.CLOSED) return;
      notice.textContent = "The connection is lost; trying again…";
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
  const send = async () => {
    const { text, key } = form.elements;
    const body = new URLSearchParams(new FormData(form));
    if (!text.value.trim()) return;
    const written = text.value;
    text.value = "";
    notice.textContent = "";
    toEnd();
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/plain" } }).catch(() => null);
    if (answer?.ok) {
      key.value = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
      return;
    }
    // With the same key it is sent once, however often it is tried.
    notice.textContent = answer ? await answer.text() : "This does not work just now. Please try again.";
    if (!text.value) text.value = written;
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  form.elements.text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
})();
