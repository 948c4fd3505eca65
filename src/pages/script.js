// Live updates: where a page names a stream of events, its parts are asked for again when the stream says so, and those that differ are put in place.
// A part under the pointer, with the focus, with a selection or with an open question stays as it is until it is left.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  if (!main || !window.EventSource) return;
  let waiting = false;

  // A part that is called "now" is what somebody waits for: it changes under the pointer, too, but for an open question.
  const isHeld = (part) => {
    if (part.dataset.part === "now") return part.querySelector("details[open]") !== null;
    const selection = document.getSelection();
    return part.matches(":hover") || part.contains(document.activeElement) || part.querySelector("details[open]") !== null ||
      (selection && !selection.isCollapsed && part.contains(selection.anchorNode));
  };

  // The focus stays where it was, and what is new is read out.
  const renew = (part, next) => {
    const hadFocus = part.contains(document.activeElement);
    part.replaceChildren(...next.childNodes);
    if (hadFocus) part.focus({ preventScroll: true });
    const announcer = document.getElementById("announcer");
    if (announcer) announcer.textContent = part.querySelector("[data-announce]")?.textContent ?? "";
  };

  const follow = async () => {
    waiting = false;
    if (document.hidden) { waiting = true; return; }
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" }).catch(() => null);
    if (!answer || !answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const parts = [...main.querySelectorAll("[data-part]")];
    const next = [...fresh.querySelectorAll("[data-part]")];
    if (parts.length !== next.length) {
      if (parts.some(isHeld)) { waiting = true; return; }
      const said = main.querySelector(".result");
      const others = fresh.querySelector("main");
      main.replaceChildren(...(said ? [said] : []), ...others.childNodes);
      return;
    }
    parts.forEach((part, place) => {
      if (part.innerHTML === next[place].innerHTML) return;
      if (isHeld(part)) { waiting = true; return; }
      if (part.dataset.part === "now") { renew(part, next[place]); return; }
      next[place].classList.add("fresh");
      part.replaceWith(next[place]);
    });
    document.title = fresh.title;
  };

  let timer = 0;
  const soon = () => { clearTimeout(timer); timer = setTimeout(follow, 250); };
  let events = null;
  const listen = () => {
    events = new EventSource(main.dataset.live);
    events.addEventListener("changed", soon);
  };
  listen();
  // A page that was left keeps no connection, since browsers open few to one server. One that comes back is looked at anew.
  window.addEventListener("pagehide", () => events.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) { listen(); soon(); } });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && waiting) soon(); });
  document.addEventListener("mouseout", () => { if (waiting) soon(); });
  document.addEventListener("focusout", () => { if (waiting) soon(); });
})();
