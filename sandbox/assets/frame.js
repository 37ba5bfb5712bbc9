// The card form inside its frame. It answers its parent with results, never with what was typed.
(function () {
  "use strict";
  const WORDS = {
    en: {
      title: "Card details", number: "Card number", expiry: "Expiration date", cvc: "Security code",
      incomplete_number: "Your card number is incomplete.", invalid_number: "Your card number is invalid.",
      incomplete_expiry: "Your card's expiration date is incomplete.",
      invalid_expiry_year_past: "Your card's expiration date is in the past.",
      incomplete_cvc: "Your card's security code is incomplete.",
    },
    es: {
      title: "Datos de la tarjeta", number: "Número de tarjeta", expiry: "Fecha de caducidad", cvc: "Código de seguridad",
      incomplete_number: "El número de la tarjeta está incompleto.", invalid_number: "El número de la tarjeta no es válido.",
      incomplete_expiry: "La fecha de caducidad está incompleta.",
      invalid_expiry_year_past: "La tarjeta ya ha caducado.",
      incomplete_cvc: "El código de seguridad está incompleto.",
      card_declined: "Tu tarjeta ha sido rechazada.", insufficient_funds: "Tu tarjeta no tiene fondos suficientes.",
      expired_card: "Tu tarjeta ha caducado.", incorrect_cvc: "El código de seguridad no es correcto.",
      incorrect_number: "El número de la tarjeta no es correcto.",
      processing_error: "Se ha producido un error al procesar la tarjeta. Inténtalo de nuevo dentro de un momento.",
    },
  };
  const fields = { number: byId("number"), expiry: byId("expiry"), cvc: byId("cvc") };
  const touched = new Set();
  let locale = "en";
  let wasComplete = null;

  function byId(id) { return document.getElementById(id); }
  function tell(message) { window.parent.postMessage(message, "*"); }
  function digits(text) { return text.replace(/\D/g, ""); }
  function word(code) { return WORDS[locale][code] || WORDS.en[code]; }

  function isLuhnValid(number) {
    let sum = 0;
    for (let n = 0; n < number.length; n += 1) {
      let digit = Number(number[number.length - 1 - n]);
      if (n % 2) { digit = digit > 4 ? digit * 2 - 9 : digit * 2; }
      sum += digit;
    }
    return sum % 10 === 0;
  }

  const checks = {
    number(text) {
      const number = digits(text);
      if (number.length < (/^3[47]/.test(number) ? 15 : 16)) { return "incomplete_number"; }
      return isLuhnValid(number) ? null : "invalid_number";
    },
    expiry(text) {
      const [month, year] = [Number(digits(text).slice(0, 2)), Number(digits(text).slice(2, 4))];
      if (digits(text).length < 4 || month < 1 || month > 12) { return "incomplete_expiry"; }
      const today = new Date();
      const over = 2000 + year < today.getFullYear() || (2000 + year === today.getFullYear() && month <= today.getMonth());
      return over ? "invalid_expiry_year_past" : null;
    },
    cvc(text) {
      const wanted = /^3[47]/.test(digits(fields.number.value)) ? 4 : 3;
      return digits(text).length < wanted ? "incomplete_cvc" : null;
    },
  };

  function show(name, code) {
    fields[name].setAttribute("aria-invalid", code ? "true" : "false");
    byId(`${name}-error`).textContent = code ? word(code) : "";
    report();
  }

  function firstProblem(visible) {
    let first = null;
    for (const name of Object.keys(fields)) {
      const code = checks[name](fields[name].value);
      if (visible) { show(name, code); }
      if (code && !first) { first = { name, code }; }
    }
    if (first && visible) { fields[first.name].focus(); }
    return first && { type: "validation_error", code: first.code, message: word(first.code) };
  }

  function report() { tell({ type: "height", height: Math.ceil(byId("card").getBoundingClientRect().height) + 4 }); }

  function changed() {
    const complete = !firstProblem(false);
    const empty = Object.values(fields).every((field) => !field.value);
    if (complete !== wasComplete) { wasComplete = complete; }
    tell({ type: "event", name: "change", event: { complete, empty, collapsed: false, value: { type: "card" } } });
  }

  function format(name) {
    const field = fields[name];
    const atEnd = field.selectionStart === field.value.length;
    const plain = digits(field.value);
    let text = plain;
    if (name === "number") { text = plain.slice(0, 19).replace(/(\d{4})(?=\d)/g, "$1 "); }
    if (name === "expiry") {
      const four = /^[2-9]/.test(plain) ? `0${plain}` : plain;
      text = four.length > 2 ? `${four.slice(0, 2)} / ${four.slice(2, 4)}` : four;
    }
    if (atEnd && text !== field.value) { field.value = text; }
  }

  function setUp(given) {
    locale = given.locale === "es" ? "es" : "en";
    const root = document.documentElement;
    root.lang = locale;
    root.dataset.theme = given.theme === "night" ? "dark" : given.theme ? "light" : "auto";
    document.title = word("title");
    document.querySelectorAll("[data-word]").forEach((label) => { label.textContent = word(label.dataset.word); });
    fields.expiry.placeholder = locale === "es" ? "MM / AA" : "MM / YY";
    for (const [name, value] of Object.entries(given.variables || {})) {
      if (/^[A-Za-z]+$/.test(name)) { root.style.setProperty(`--${name}`, String(value)); }
    }
    report();
    tell({ type: "ready" });
  }

  async function confirm(request) {
    const problem = firstProblem(true);
    if (problem) { return { error: problem }; }
    const expiry = digits(fields.expiry.value);
    const card = {
      number: digits(fields.number.value), exp_month: expiry.slice(0, 2), exp_year: expiry.slice(2, 4), cvc: digits(fields.cvc.value),
    };
    try {
      const answer = await fetch("/v3/confirm", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...request, card }),
      });
      const content = await answer.json();
      if (!content.error) { return { intent: content }; }
      const error = content.error;
      const local = WORDS[locale][error.decline_code] || WORDS[locale][error.code];
      return { error: { ...error, message: local || error.message } };
    } catch (failure) {
      return { error: { type: "api_connection_error", message: String(failure) } };
    }
  }

  async function receive(event) {
    if (event.source !== window.parent || !event.data) { return; }
    const message = event.data;
    if (message.type === "setup") { setUp(message); }
    if (message.type === "focus") { fields.number.focus(); }
    if (message.type === "blur" && document.activeElement) { document.activeElement.blur(); }
    if (message.type === "clear") { Object.values(fields).forEach((field) => { field.value = ""; }); changed(); }
    if (message.type === "check") { tell({ type: "answer", id: message.id, result: { error: firstProblem(true) } }); }
    if (message.type === "confirm") { tell({ type: "answer", id: message.id, result: await confirm(message.request) }); }
  }

  for (const name of Object.keys(fields)) {
    fields[name].addEventListener("input", () => {
      format(name);
      if (touched.has(name)) { show(name, checks[name](fields[name].value)); }
      changed();
    });
    fields[name].addEventListener("blur", () => {
      if (fields[name].value) { touched.add(name); show(name, checks[name](fields[name].value)); }
      tell({ type: "event", name: "blur", event: {} });
    });
    fields[name].addEventListener("focus", () => tell({ type: "event", name: "focus", event: {} }));
  }
  byId("card").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("message", receive);
  window.addEventListener("resize", report);
  tell({ type: "loaded" });
})();
