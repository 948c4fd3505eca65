// Forms: sent without a reload; what they change comes by the stream.

async function send(form, submitter) {
  const phone = form.closest(".phone");
  const notice = phone ? phone.querySelector(".phone-notice") : live;
  const data = new FormData(form);
  const isComposer = form.classList.contains("composer");
  if (isComposer) clearComposer(form);
  if (phone && !("switches" in form.dataset)) toEnd(phone.querySelector(".thread"));
  notice.textContent = "";
  const isPlain = form.enctype !== "multipart/form-data";
  const request = {
    method: "POST",
    body: isPlain ? new URLSearchParams(data) : data,
    headers: { Accept: "text/plain" },
  };
  try {
    const answer = await fetch(submitter?.getAttribute("formaction") || form.action, request);
    if (!answer.ok) notice.textContent = await answer.text();
  } catch {
    notice.textContent = "The sandbox does not answer: is the service running?";
    if (isComposer && !form.elements.Body.value) form.elements.Body.value = data.get("Body");
  }
}

function clearComposer(form) {
  form.elements.Body.value = "";
  form.elements.file.value = "";
  showChosen(form);
}

function showChosen(form) {
  const file = form.elements.file.files[0];
  const chosen = form.querySelector(".chosen");
  chosen.hidden = !file;
  chosen.querySelector("span").textContent = file ? file.name : "";
}

document.addEventListener("submit", (event) => {
  if (!("live" in event.target.dataset)) return;
  event.preventDefault();
  send(event.target, event.submitter);
});
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form && "switches" in form.dataset && event.target.type === "checkbox") form.requestSubmit();
  if (event.target.type === "file") showChosen(form);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.target.name !== "Body") return;
  event.preventDefault();
  event.target.form.requestSubmit();
});
document.addEventListener("click", (event) => {
  const taken = event.target.closest(".chosen button");
  if (taken) {
    taken.form.elements.file.value = "";
    showChosen(taken.form);
    taken.form.elements.Body.focus();
  }
  if (event.target.matches(".newer")) toEnd(event.target.closest(".phone").querySelector(".thread"));
  const tab = event.target.closest("[data-tab]");
  if (!tab || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.replaceState(null, "", tab.href);
  for (const other of document.querySelectorAll("[data-tab]")) {
    other.toggleAttribute("aria-current", false);
    document.getElementById(other.dataset.tab).classList.toggle("shown", other === tab);
  }
  tab.setAttribute("aria-current", "true");
  const thread = document.querySelector(`#${CSS.escape(tab.dataset.tab)} .thread`);
  if (thread) toEnd(thread);
});

document.body.classList.add("scripted");
localTimes(document);
for (const thread of document.querySelectorAll(".thread")) {
  toEnd(thread);
  thread.addEventListener("scroll", () => {
    if (atEnd(thread)) thread.closest(".phone").querySelector(".newer").hidden = true;
  });
}
for (const sign of document.querySelectorAll(".typing")) showTyping(sign.closest(".phone"), Number(sign.dataset.ms));
document.querySelectorAll(".bubble").forEach(watchReading);
listen();
