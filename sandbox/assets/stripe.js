// The sandbox's double of Stripe.js: the Payment Element, confirmSetup, confirmPayment and their results.
// No eval, no inline script, no style attributes: a page whose policy names this origin for scripts, frames and
// connections can use it.
(function () {
  "use strict";
  const ORIGIN = new URL(document.currentScript.src).origin;
  let serial = 0;

  function emitter() {
    const listeners = {};
    return {
      on(name, call) { (listeners[name] = listeners[name] || []).push(call); },
      off(name, call) { listeners[name] = (listeners[name] || []).filter((one) => call && one !== call); },
      once(name, call) {
        const wrapped = (event) => { this.off(name, wrapped); call(event); };
        this.on(name, wrapped);
      },
      fire(name, event) { (listeners[name] || []).slice().forEach((call) => call(event)); },
    };
  }

  // The frame with the card fields. Messages carry no card data out of it.
  class PaymentElement {
    constructor(owner, options) {
      this.owner = owner;
      this.options = options || {};
      this.events = emitter();
      this.pending = {};
      this.ready = new Promise((resolve) => { this.setReady = resolve; });
      this.listen = (event) => this.receive(event);
    }

    mount(where) {
      const node = typeof where === "string" ? document.querySelector(where) : where;
      if (!node) { throw new Error(`The selector you specified (${where}) applies to no DOM elements.`); }
      const look = this.owner.options.appearance || {};
      const frame = document.createElement("iframe");
      frame.title = locale(this.owner.options.locale) === "es" ? "Datos de la tarjeta" : "Card details";
      frame.name = `__privateStripeFrame${++serial}`;
      frame.src = `${ORIGIN}/v3/frame.html`;
      frame.allow = "payment *";
      // The same scheme as inside, else the browser paints the frame's ground.
      const scheme = look.theme === "night" ? "dark" : look.theme ? "light" : "light dark";
      Object.assign(frame.style, { width: "100%", border: "0", height: "220px", display: "block", colorScheme: scheme });
      this.frame = frame;
      this.setup = { locale: locale(this.owner.options.locale), theme: look.theme || "", variables: look.variables || {} };
      window.addEventListener("message", this.listen);
      node.textContent = "";
      node.append(frame);
    }

    receive(event) {
      if (!this.frame || event.source !== this.frame.contentWindow || event.origin !== ORIGIN) { return; }
      const message = event.data || {};
      if (message.type === "loaded") {
        this.send({ type: "setup", ...this.setup });
      } else if (message.type === "ready") {
        this.setReady();
        this.events.fire("ready", { elementType: "payment" });
      } else if (message.type === "height") {
        this.frame.style.height = `${message.height}px`;
      } else if (message.type === "answer") {
        const resolve = this.pending[message.id];
        delete this.pending[message.id];
        if (resolve) { resolve(message.result); }
      } else if (message.type === "event") {
        this.events.fire(message.name, { elementType: "payment", ...message.event });
      }
    }

    send(message) { this.frame.contentWindow.postMessage(message, ORIGIN); }

    async ask(message) {
      await this.ready;
      const id = ++serial;
      const answer = new Promise((resolve) => { this.pending[id] = resolve; });
      this.send({ ...message, id });
      return answer;
    }

    on(name, call) { this.events.on(name, call); return this; }
    off(name, call) { this.events.off(name, call); return this; }
    once(name, call) { this.events.once(name, call); return this; }
    update(options) { Object.assign(this.options, options); }
    focus() { this.ready.then(() => { this.frame.focus(); this.send({ type: "focus" }); }); }
    blur() { this.ready.then(() => this.send({ type: "blur" })); }
    clear() { this.ready.then(() => this.send({ type: "clear" })); }
    collapse() {}
    unmount() {
      window.removeEventListener("message", this.listen);
      if (this.frame) { this.frame.remove(); }
      this.frame = null;
    }
    destroy() { this.unmount(); this.owner.element = null; }
  }

  class Elements {
    constructor(options) { this.options = options || {}; this.element = null; }
    create(type, options) {
      if (type !== "payment") { throw new Error(`The sandbox has a Payment Element and no "${type}".`); }
      if (this.element) { throw new Error("Can only create one Element of type payment through the same Elements instance."); }
      this.element = new PaymentElement(this, options);
      return this.element;
    }
    getElement(type) { return type === "payment" || type === PaymentElement ? this.element : null; }
    update(options) {
      Object.assign(this.options, options);
      if (this.element && this.element.frame) {
        const look = this.options.appearance || {};
        this.element.frame.style.colorScheme = look.theme === "night" ? "dark" : look.theme ? "light" : "light dark";
        this.element.ready.then(() => this.element.send({
          type: "setup", locale: locale(this.options.locale), theme: look.theme || "", variables: look.variables || {},
        }));
      }
    }
    async submit() {
      if (!this.element || !this.element.frame) { throw new Error("elements.submit() needs a mounted Payment Element."); }
      const result = await this.element.ask({ type: "check" });
      return result.error ? { error: result.error } : { selectedPaymentMethod: "card" };
    }
    async fetchUpdates() { return {}; }
  }

  function locale(wanted) {
    const asked = !wanted || wanted === "auto" ? navigator.language || "en" : wanted;
    return asked.toLowerCase().startsWith("es") ? "es" : "en";
  }

  async function call(path, body) {
    try {
      const answer = await fetch(`${ORIGIN}${path}`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
      const content = await answer.json();
      return content.error ? { error: content.error } : { intent: content };
    } catch (problem) {
      return { error: { type: "api_connection_error", message: "We are experiencing issues connecting to our payments provider." } };
    }
  }

  // The bank's page in a dialog over the page, as for cards at Stripe; resolves when the buyer has answered.
  function challenge(intent, language) {
    const action = intent.next_action;
    const url = new URL(action.redirect_to_url ? action.redirect_to_url.url : action.use_stripe_sdk.stripe_js);
    url.searchParams.set("embedded", "1");
    url.searchParams.set("locale", language);
    const cover = document.createElement("div");
    cover.setAttribute("role", "dialog");
    cover.setAttribute("aria-modal", "true");
    cover.setAttribute("aria-label", language === "es" ? "Confirmación del banco" : "Bank confirmation");
    Object.assign(cover.style, {
      position: "fixed", inset: "0", zIndex: "2147483647", background: "rgba(0, 0, 0, .5)", display: "grid", placeItems: "center",
    });
    const frame = document.createElement("iframe");
    frame.title = language === "es" ? "Confirmación del banco (3-D Secure)" : "Bank confirmation (3-D Secure)";
    frame.name = `__stripeJSChallengeFrame${++serial}`;
    frame.src = url.href;
    Object.assign(frame.style, { width: "min(30rem, 94vw)", height: "min(24rem, 90vh)", border: "0", background: "#fff", borderRadius: "8px" });
    cover.append(frame);
    const before = document.activeElement;
    return new Promise((resolve) => {
      window.addEventListener("message", function done(event) {
        if (event.source !== frame.contentWindow || event.origin !== ORIGIN || event.data.type !== "3ds-done") { return; }
        window.removeEventListener("message", done);
        cover.remove();
        if (before && before.focus) { before.focus(); }
        resolve();
      });
      document.body.append(cover);
      frame.focus();
    });
  }

  function Stripe(key, settings) {
    if (!/^pk_test_\w{16,}$/.test(key || "")) {
      throw new Error("Please call Stripe() with your publishable key. You used an empty string or another key.");
    }
    const language = locale(settings && settings.locale);
    const nameOf = (secret) => (String(secret).startsWith("seti_") ? "setup_intent" : "payment_intent");
    const fieldOf = (secret) => (nameOf(secret) === "setup_intent" ? "setupIntent" : "paymentIntent");
    const failureOf = (intent) => intent.last_setup_error || intent.last_payment_error;

    async function retrieve(secret) {
      const query = new URLSearchParams({ key, client_secret: secret });
      const content = await (await fetch(`${ORIGIN}/v3/intent?${query}`)).json();
      return content.error ? { error: content.error } : { [fieldOf(secret)]: content };
    }

    async function afterAction(secret, intent, spoken) {
      await challenge(intent, spoken);
      const result = await retrieve(secret);
      const now = result[fieldOf(secret)];
      if (now && now.status === "requires_payment_method" && failureOf(now)) {
        return { error: { ...failureOf(now), [nameOf(secret)]: now } };
      }
      return result;
    }

    function leave(secret, intent, address) {
      const url = new URL(address);
      url.searchParams.set(nameOf(secret), intent.id);
      url.searchParams.set(`${nameOf(secret)}_client_secret`, secret);
      url.searchParams.set("redirect_status", intent.status === "succeeded" ? "succeeded" : "failed");
      window.location.assign(url.href);
      return new Promise(() => {});
    }

    async function confirm(given) {
      const params = given.confirmParams || {};
      const elements = given.elements;
      const secret = given.clientSecret || (elements && elements.options.clientSecret);
      if (!secret) { throw new Error("A client secret is needed: clientSecret, or elements created with one."); }
      if (given.redirect !== "if_required" && !params.return_url) {
        throw new Error("confirmParams.return_url is required unless redirect is 'if_required'.");
      }
      const spoken = locale((elements && elements.options.locale) || language);
      const request = { key, client_secret: secret, return_url: params.return_url };
      const details = (params.payment_method_data || {}).billing_details;
      const result = elements
        ? await elements.element.ask({ type: "confirm", request: { ...request, billing_details: details } })
        : await call("/v3/confirm", { ...request, payment_method: params.payment_method });
      if (result.error) { return { error: result.error }; }
      let intent = result.intent;
      if (intent.status === "requires_action") {
        const after = await afterAction(secret, intent, spoken);
        if (after.error) { return after; }
        intent = after[fieldOf(secret)];
      }
      return given.redirect === "if_required" ? { [fieldOf(secret)]: intent } : leave(secret, intent, params.return_url);
    }

    return {
      elements: (options) => new Elements({ locale: settings && settings.locale, ...options }),
      confirmPayment: confirm,
      confirmSetup: confirm,
      retrievePaymentIntent: retrieve,
      retrieveSetupIntent: retrieve,
      async handleNextAction({ clientSecret }) {
        const result = await retrieve(clientSecret);
        const intent = result[fieldOf(clientSecret)];
        return intent && intent.status === "requires_action" ? afterAction(clientSecret, intent, language) : result;
      },
    };
  }

  Stripe.version = "sandbox";
  window.Stripe = Stripe;
})();
