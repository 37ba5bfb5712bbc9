/* Comfort only: every page works without this file. */
"use strict";

document.addEventListener("click", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (menu && !menu.contains(event.target)) menu.open = false;
  if (event.target.closest("[data-print]")) window.print();
});

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

/* A second click while the first request is under way would only wait behind it. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.hasAttribute("data-repeatable")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
  /* An answer that is a file leaves the page as it is. */
  setTimeout(() => delete form.dataset.sent, 5000);
});

/* Back from the browser's memory: the form may be sent again. */
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

/* What is under way is fetched again and put in its place; a reload would take the reader's place away. */
function lookAgain() {
  const part = document.querySelector("[data-look-again]");
  if (!part) return;
  setTimeout(async () => {
    try {
      const answer = await fetch(part.dataset.lookAt || location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(part.id);
      if (!fresh) return location.reload();
      document.title = page.title;
      part.replaceChildren(...fresh.childNodes);
      for (const name of ["lookAgain", "lookAt"]) {
        if (name in fresh.dataset) part.dataset[name] = fresh.dataset[name];
        else delete part.dataset[name];
      }
    } catch (error) {
      /* The network is away for a moment: the next look may find it. */
    }
    lookAgain();
  }, 1000 * Number(part.dataset.lookAgain));
}
lookAgain();

for (const button of document.querySelectorAll("[data-print]")) button.hidden = false;

const summary = document.querySelector(".error-summary");
if (summary) summary.focus();
