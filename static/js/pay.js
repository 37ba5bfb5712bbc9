/* The card form: Stripe's Payment Element, prepared by us and confirmed by Stripe. What it needs stands in the
   form's data attributes. https://docs.stripe.com/payments/accept-a-payment-deferred */
"use strict";

(() => {
  const form = document.getElementById("card-form");
  const words = form.dataset;
  const part = (name) => document.getElementById(`card-${name}`);
  const show = (name, shown) => { part(name).hidden = !shown; };

  function fail(text) {
    part("status").textContent = "";
    show("progress", false);
    show("error", true);
    part("error").querySelector("p").textContent = text;
    part("error").focus();
    part("button").disabled = false;
  }

  function work() {
    show("error", false);
    show("progress", true);
    part("status").textContent = words.wordsWorking;
    part("button").disabled = true;
  }

  if (typeof window.Stripe !== "function") {
    fail(words.wordsUnreachable);
    return;
  }

  const stripe = window.Stripe(words.publishableKey, { locale: words.language });
  const wanted = { mode: words.mode, currency: words.currency };
  if (words.mode !== "setup") wanted.amount = Number(words.amount);
  if (words.mode === "setup") wanted.setupFutureUsage = "off_session";
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  // The fields take the page's own colours: https://docs.stripe.com/elements/appearance-api
  const colours = window.getComputedStyle(document.documentElement);
  const colour = (name) => colours.getPropertyValue(name).trim();
  const variables = {
    colorBackground: colour("--sheet"), colorText: colour("--ink"), colorTextSecondary: colour("--soft"),
    colorTextPlaceholder: colour("--soft"), colorPrimary: colour("--accent"), colorDanger: colour("--danger"),
  };
  const elements = stripe.elements({ ...wanted, locale: words.language, appearance: { theme: dark ? "night" : "stripe", variables } });
  const element = elements.create("payment");
  part("status").textContent = words.wordsLoading;
  show("slot", true);
  element.mount("#card-slot");
  element.on("ready", () => {
    part("status").textContent = "";
    show("button", true);
  });
  element.on("loaderror", () => fail(words.wordsUnreachable));

  async function prepare() {
    const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
    const answer = await fetch(words.start, { method: "POST", headers: { "X-CSRFToken": token }, credentials: "same-origin" });
    if (!(answer.headers.get("Content-Type") || "").startsWith("application/json")) throw new Error("no answer");
    return answer.json();
  }

  async function pay() {
    const checked = await elements.submit();
    if (checked.error) return fail(checked.error.message);
    const prepared = await prepare();
    if (prepared.error) return fail(prepared.error);
    if (prepared.kind === "none") return window.location.assign(words.done);
    const confirm = prepared.kind === "setup" ? stripe.confirmSetup : stripe.confirmPayment;
    const result = await confirm.call(stripe, { elements, clientSecret: prepared.client_secret, confirmParams: { return_url: words.done } });
    return fail(result.error ? result.error.message : words.wordsNotDone);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    work();
    try {
      await pay();
    } catch (error) {
      fail(words.wordsUnreachable);
    }
  });
})();
