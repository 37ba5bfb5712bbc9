"""The account behind a secret key: https://docs.stripe.com/api/accounts/object."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from sandbox.errors import no_such, unauthorized
from sandbox.store import Doc
from sandbox.world import World

_SECRET = re.compile(r"sk_test_([A-Za-z0-9_]{16,})\Z")
_PUBLIC = re.compile(r"pk_test_([A-Za-z0-9_]{16,})\Z")
OPENED = 1_700_000_000


def account_id(suffix: str) -> str:
    """Each secret key is an isolated account; its publishable key has the same suffix."""
    return f"acct_1{hashlib.sha256(suffix.encode()).hexdigest()[:15]}"


def authenticate(authorization: str | None) -> str:
    """The account of a Bearer or Basic secret key; 401 as Stripe words it."""
    key = _key_in(authorization)
    if key is None:
        raise unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth "
            "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details, or "
            "we can help at https://support.stripe.com/."
        )
    match = _SECRET.match(key)
    if match is None:
        raise unauthorized(f"Invalid API Key provided: {_masked(key)}")
    return account_id(match[1])


def authenticate_public(key: str | None) -> str:
    """The account of a publishable key."""
    match = _PUBLIC.match(key or "")
    if match is None:
        raise unauthorized(f"Invalid API Key provided: {_masked(key or '')}")
    return account_id(match[1])


def _key_in(authorization: str | None) -> str | None:
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}" if len(key) > 16 else "*" * len(key)


def retrieve(world: World, id: str | None = None, *, params: Doc) -> Doc:
    """The account itself; no other one is visible."""
    if id not in (None, world.account):
        raise no_such("account", id or "")
    nothing: Doc = {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": [],
        "disabled_reason": None,
        "errors": [],
        "eventually_due": [],
        "past_due": [],
        "pending_verification": [],
    }
    return {
        "id": world.account,
        "object": "account",
        "business_profile": {
            "mcc": None,
            "name": "Sandbox",
            "product_description": None,
            "support_email": None,
            "url": None,
        },
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": OPENED,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "sandbox@example.com",
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/accounts/{world.account}/external_accounts",
        },
        "future_requirements": nothing,
        "metadata": {},
        "payouts_enabled": True,
        "requirements": nothing,
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_payments": {
                "decline_on": {"avs_failure": False, "cvc_failure": False},
                "statement_descriptor_prefix": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"},
            "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": "never"},
            "payments": {
                "statement_descriptor": "SANDBOX",
                "statement_descriptor_kana": None,
                "statement_descriptor_kanji": None,
            },
            "payouts": {
                "debit_negative_balances": True,
                "schedule": {"delay_days": 2, "interval": "daily"},
                "statement_descriptor": None,
            },
        },
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": "standard",
    }
