"""What the buyer's browser loads: the script double, the card form in its frame, the 3-D Secure page.

https://docs.stripe.com/js, https://docs.stripe.com/payments/3d-secure. The card's number is typed into a
frame that the sandbox serves and is sent to the sandbox; the page around it never sees it.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from sandbox import accounts, intents, payment_intents, payment_methods, setup_intents
from sandbox.errors import Doc, StripeError, invalid
from sandbox.store import Store
from sandbox.world import World, public

ASSETS = Path(__file__).parent / "assets"
FILES = {
    "/v3": ("stripe.js", "text/javascript"),
    "/v3/stripe.js": ("stripe.js", "text/javascript"),
    "/v3/frame.html": ("frame.html", "text/html"),
    "/v3/frame.js": ("frame.js", "text/javascript"),
    "/v3/frame.css": ("frame.css", "text/css"),
    "/v3/3ds.js": ("3ds.js", "text/javascript"),
}
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Stripe-Version",
    "Access-Control-Max-Age": "300",
}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action *; "
    "base-uri 'none'"
)
WORDS = {
    "en": {
        "title": "Confirm your payment",
        "body": "This is a test page. Your bank would ask here whether it is really you.",
        "complete": "Complete",
        "fail": "Fail",
        "done": "Thank you. You can go back now.",
    },
    "es": {
        "title": "Confirma el pago",
        "body": "Esta es una página de prueba. Aquí tu banco comprobaría que eres tú.",
        "complete": "Completar",
        "fail": "Rechazar",
        "done": "Gracias. Ya puedes volver.",
    },
}


def respond(store: Store, request: Request) -> Response:
    """Answer a browser."""
    if request.method == "OPTIONS":
        return Response(status=204, headers=CORS)
    path = request.path.rstrip("/")
    if path in FILES:
        return _file(*FILES[path])
    for prefix, handler in _PAGES.items():
        if request.path.startswith(prefix):
            return handler(store, request)
    if path in ("/v3/confirm", "/v3/intent"):
        return _json(store, request, _confirm if path == "/v3/confirm" else _retrieve)
    return Response("Not found\n", 404, content_type="text/plain")


def _file(name: str, kind: str) -> Response:
    headers = {**CORS, "Content-Security-Policy": CSP, "Cache-Control": "no-cache"}
    return Response((ASSETS / name).read_bytes(), headers=headers, content_type=f"{kind}; charset=utf-8")


def _json(store: Store, request: Request, action: Callable[[World, Doc], Doc]) -> Response:
    """Run an action of the publishable key; a decline's effects stay."""
    try:
        given = json.loads(request.get_data() or b"{}") if request.method == "POST" else dict(request.args)
        world = World(store, accounts.authenticate_public(given.get("key")))
        world.origin = request.host_url.rstrip("/")
        status, answer = _within(world, action, given)
    except StripeError as error:
        status, answer = error.http, error.body()
    return Response(json.dumps(answer), status, CORS, content_type="application/json")


def _within(world: World, action: Callable[[World, Doc], Doc], given: Doc) -> tuple[int, Doc]:
    with world.store.transaction():
        try:
            return 200, action(world, given)
        except StripeError as error:
            if not error.keeps_effects:
                raise
            return error.http, error.body()


def _intent_named(world: World, secret: Any) -> Doc:
    """The intent whose client secret the browser holds."""
    id = str(secret or "").partition("_secret_")[0]
    kind = "setup_intent" if id.startswith("seti_") else "payment_intent"
    return intents.need_by_secret(world, kind, id, secret)


def _visible(intent: Doc) -> Doc:
    """What a publishable key may see."""
    hidden = ("application", "metadata", "customer", "latest_charge", "on_behalf_of", "review")
    return {name: value for name, value in public(intent).items() if name not in hidden}


def _retrieve(world: World, given: Doc) -> Doc:
    return _visible(_intent_named(world, given.get("client_secret")))


def _confirm(world: World, given: Doc) -> Doc:
    """Confirm with a typed card or a saved payment method; the buyer is there, so on-session."""
    intent = _intent_named(world, given.get("client_secret"))
    params: Doc = {"return_url": given.get("return_url")}
    if given.get("card"):
        details = given.get("billing_details") or {}
        method = payment_methods.create(
            world, {"type": "card", "card": _card(given["card"]), "billing_details": details}
        )
        params["payment_method"] = method["id"]
    elif given.get("payment_method"):
        params["payment_method"] = given["payment_method"]
    module = setup_intents if intent["object"] == "setup_intent" else payment_intents
    return _visible(module.confirm(world, intent["id"], params))


def _card(given: Doc) -> Doc:
    try:
        year, month = int(given["exp_year"]), int(given["exp_month"])
    except (KeyError, TypeError, ValueError):
        raise invalid(
            "Your card's expiration date is incomplete.", "exp_month", "incomplete_expiry"
        ) from None
    return {"number": given.get("number"), "exp_month": month, "exp_year": year, "cvc": given.get("cvc")}


# Pages


def _page(body: str, *, lang: str = "en", script: bool = False) -> Response:
    tag = '<script src="/v3/3ds.js" defer></script>' if script else ""
    document = (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Sandbox</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/v3/frame.css">{tag}</head>'
        f'<body class="page"><main>{body}</main></body></html>'
    )
    return Response(
        document, headers={"Content-Security-Policy": CSP}, content_type="text/html; charset=utf-8"
    )


def _challenge(store: Store, request: Request) -> Response:
    """The bank's page: show it, or take its answer and send the buyer back."""
    id = request.path.rsplit("/", 1)[-1]
    secret = request.args.get("client_secret", "")
    account = _account_of(store, id)
    if account is None or not secret.startswith(id):
        return Response("Not found\n", 404, content_type="text/plain")
    world = World(store, account)
    world.origin = request.host_url.rstrip("/")
    wanted = request.args.get("locale") or request.accept_languages.best_match(["en", "es"]) or "en"
    lang = "es" if wanted.startswith("es") else "en"
    with store.transaction():
        intent = world.need("setup_intent" if id.startswith("seti_") else "payment_intent", id)
        if intent["client_secret"] != secret:
            return Response("Not found\n", 404, content_type="text/plain")
        if request.method == "POST":
            return _answered(world, intent, request, lang)
    return _page(_challenge_form(WORDS[lang]), lang=lang)


def _account_of(store: Store, id: str) -> str | None:
    rows = store.rows("SELECT account FROM objects WHERE id = ?", id)
    return rows[0][0] if rows else None


def _challenge_form(words: dict[str, str]) -> str:
    # The form posts to its own address, query and all.
    return (
        f"<h1>{words['title']}</h1><p>{words['body']}</p><form method='post'>"
        f"<button name='outcome' value='complete' class='primary'>{words['complete']}</button> "
        f"<button name='outcome' value='fail'>{words['fail']}</button></form>"
    )


def _answered(world: World, intent: Doc, request: Request, lang: str) -> Response:
    module = setup_intents if intent["object"] == "setup_intent" else payment_intents
    module.finish_authentication(world, intent, passed=request.form.get("outcome") == "complete")
    return_url = intent["_"].get("return_url")
    if request.args.get("embedded") or not return_url:
        body = f"<p id='done' data-intent='{html.escape(intent['id'])}'>{WORDS[lang]['done']}</p>"
        return _page(body, lang=lang, script=True)
    return redirect(_with_result(return_url, intent), 303)


def _with_result(url: str, intent: Doc) -> str:
    """The return address with Stripe's three parameters."""
    name = intent["object"]
    parts = urlsplit(url)
    extra = {
        name: intent["id"],
        f"{name}_client_secret": intent["client_secret"],
        "redirect_status": intent["status"] if intent["status"] in ("succeeded", "processing") else "failed",
    }
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *extra.items()])))


def _hosted(store: Store, request: Request) -> Response:
    """A plain page behind `hosted_invoice_url`, `invoice_pdf` and `receipt_url`."""
    id = request.path.split("/")[2]
    account = _account_of(store, id)
    doc = World(store, account).get(id) if account else None
    if doc is None:
        return Response("Not found\n", 404, content_type="text/plain")
    amount = doc.get("total", doc.get("amount"))
    name = html.escape(str(doc.get("number") or doc["id"]))
    status = html.escape(str(doc["status"]))
    return _page(f"<h1>{name}</h1><p>{amount} {doc['currency'].upper()} (minor units), {status}</p>")


_PAGES: dict[str, Callable[[Store, Request], Response]] = {
    "/3ds/": _challenge,
    "/i/": _hosted,
    "/receipts/": _hosted,
}
