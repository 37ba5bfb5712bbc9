"""What a server's environment must hold before it may start: every problem at once, with its remedy."""

from collections.abc import Mapping
from email.utils import parseaddr
from urllib.parse import urlsplit

STRIPE = "https://api.stripe.com"
PROVIDERS = [
    "amazon_ses",
    "brevo",
    "mailersend",
    "mailgun",
    "mailjet",
    "mandrill",
    "postal",
    "postmark",
    "resend",
    "scaleway",
    "sendgrid",
    "sparkpost",
    "unisender_go",
]


def problems(env: Mapping[str, str]) -> list[str]:
    """Sentences "SETTING: what is wrong; what to do", empty when the server may start."""
    found = _secret(env) + _addresses(env) + _storage(env) + _stripe(env) + _mail(env)
    return [f"  {number}. {sentence}" for number, sentence in enumerate(found, 1)]


def _secret(env: Mapping[str, str]) -> list[str]:
    key = env.get("SECRET_KEY", "")
    how = (
        "Set a random one of its own for this server, e.g. from "
        "`python -c 'import secrets; print(secrets.token_urlsafe(50))'`."
    )
    if not key:
        return [f"SECRET_KEY is missing. {how}"]
    if len(key) < 50 or len(set(key)) < 8 or "change" in key.lower() or "only-secret-key" in key:
        return [f"SECRET_KEY is not safe: it is short, repetitive or an example. {how}"]
    return []


def _addresses(env: Mapping[str, str]) -> list[str]:
    found = []
    hosts = [host.strip() for host in env.get("ALLOWED_HOSTS", "").split(",") if host.strip()]
    if not hosts:
        found.append("ALLOWED_HOSTS is missing. Set the host names of this server, e.g. billing.example.com.")
    if "*" in hosts:
        found.append("ALLOWED_HOSTS is not safe: `*` accepts any host name. Name each one.")
    site = urlsplit(env.get("SITE_URL", ""))
    if site.scheme != "https" or not site.hostname:
        found.append("SITE_URL must be the public https:// address; links in mails are made from it.")
    elif hosts and "*" not in hosts and not _allowed(site.hostname, hosts):
        found.append(f"SITE_URL names {site.hostname}, which is not in ALLOWED_HOSTS. Add it there.")
    if not env.get("TRUSTED_PROXY_COUNT", "").isdigit():
        found.append(
            "TRUSTED_PROXY_COUNT is missing. Set how many proxies of yours stand before the web process "
            "(1 behind one reverse proxy, 0 for none): rate limits and https depend on it."
        )
    return found


def _allowed(host: str, hosts: list[str]) -> bool:
    return any(host == name or (name.startswith(".") and host.endswith(name)) for name in hosts)


def _storage(env: Mapping[str, str]) -> list[str]:
    found = []
    if urlsplit(env.get("DATABASE_URL", "")).scheme not in {"postgres", "postgresql", "psql", "pgsql"}:
        found.append(
            "DATABASE_URL must name a PostgreSQL database: postgres://user:password@host:5432/name. "
            "SQLite is for the demo only."
        )
    if urlsplit(env.get("REDIS_URL", "")).scheme not in {"redis", "rediss", "unix"}:
        found.append("REDIS_URL must name a Redis server: redis://host:6379/0.")
    if not env.get("PRIVATE_FILES", "").startswith("/"):
        found.append("PRIVATE_FILES is missing. Set an absolute folder that web and workers share.")
    return found


def _stripe(env: Mapping[str, str]) -> list[str]:
    found = []
    secret, public = env.get("STRIPE_SECRET_KEY", ""), env.get("STRIPE_PUBLISHABLE_KEY", "")
    if not secret.startswith(("sk_live_", "sk_test_", "rk_live_", "rk_test_")):
        found.append("STRIPE_SECRET_KEY is missing or not a secret key (sk_... or rk_...).")
    if not public.startswith(("pk_live_", "pk_test_")):
        found.append("STRIPE_PUBLISHABLE_KEY is missing or not a publishable key (pk_...).")
    if secret[3:7] != public[3:7] and secret and public:
        found.append("STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY differ in mode: both live or both test.")
    if not env.get("STRIPE_WEBHOOK_SECRET", "").startswith("whsec_"):
        found.append(
            "STRIPE_WEBHOOK_SECRET is missing. Copy it (whsec_...) from the webhook endpoint at Stripe."
        )
    if env.get("STRIPE_API_BASE", STRIPE).rstrip("/") != STRIPE:
        found.append("STRIPE_API_BASE is not Stripe's address. Remove it; the sandbox is for demo and tests.")
    if not env.get("STRIPE_JS_URL", "https://js.stripe.com/v3/").startswith("https://js.stripe.com/"):
        found.append("STRIPE_JS_URL is not Stripe's address. Remove it.")
    return found


def _mail(env: Mapping[str, str]) -> list[str]:
    found = []
    provider = env.get("EMAIL_PROVIDER", "")
    if provider == "smtp":
        if urlsplit(env.get("EMAIL_URL", "")).scheme not in {"smtp+tls", "smtp+ssl"}:
            found.append("EMAIL_URL must be smtp+tls://user:password@host:587 or smtp+ssl://..., encrypted.")
    elif provider not in PROVIDERS:
        found.append(f"EMAIL_PROVIDER is missing or unknown. Set smtp or one of: {', '.join(PROVIDERS)}.")
    elif "WEBHOOK_SECRET" not in env.get("ANYMAIL", ""):
        found.append(
            'ANYMAIL must hold the provider\'s keys and a webhook secret as JSON: {"...": "...", '
            '"WEBHOOK_SECRET": "user:password"}. Bounces and complaints arrive by that webhook.'
        )
    address = parseaddr(env.get("DEFAULT_FROM_EMAIL", ""))[1]
    if "@" not in address or address.endswith("@example.com"):
        found.append(
            "DEFAULT_FROM_EMAIL is missing. Set the sender of all mails: Name <address@your.domain>."
        )
    if env.get("SUPPORT_EMAIL", "").endswith("@example.com") or "@" not in env.get("SUPPORT_EMAIL", ""):
        found.append("SUPPORT_EMAIL is missing. Set the address where customers reach people.")
    return found
