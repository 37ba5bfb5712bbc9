"""Stripe's error envelope: https://docs.stripe.com/api/errors."""

from __future__ import annotations

from typing import Any

Doc = dict[str, Any]


class StripeError(Exception):
    """One answer other than 200. `keeps_effects` says whether the work done so far is committed."""

    def __init__(
        self,
        message: str,
        *,
        http: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        decline_code: str | None = None,
        keeps_effects: bool = False,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message, self.http, self.type = message, http, type
        self.code, self.param, self.decline_code = code, param, decline_code
        self.keeps_effects = keeps_effects
        self.extra = extra

    def body(self) -> Doc:
        """The JSON object Stripe sends: only the fields that are set."""
        fields: Doc = {
            "code": self.code,
            "decline_code": self.decline_code,
            "doc_url": f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
            if self.code
            else None,
            "message": self.message,
            "param": self.param,
            **self.extra,
            "type": self.type,
        }
        return {"error": {name: value for name, value in fields.items() if value is not None}}


class InvalidParameters(StripeError):
    """Refused before execution began, so never stored under an idempotency key."""


def missing_param(name: str) -> InvalidParameters:
    """A required parameter was not sent."""
    return InvalidParameters(f"Missing required param: {name}.", code="parameter_missing", param=name)


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    """An ordinary 400 found while executing."""
    return StripeError(message, param=param, code=code)


def no_such(kind: str, id: str, param: str | None = None) -> StripeError:
    """The object does not exist: 404 when it is in the URL (`id`), 400 when a parameter names it."""
    names = {"payment_method": "PaymentMethod", "test_helpers.test_clock": "test clock"}
    return StripeError(
        f"No such {names.get(kind, kind)}: '{id}'",
        http=404 if param in (None, "id") else 400,
        code="resource_missing",
        param=param or "id",
    )


def unauthorized(message: str) -> StripeError:
    """The key is missing, malformed or not a test key."""
    return StripeError(message, http=401)


def unknown_url(method: str, path: str) -> StripeError:
    """What Stripe answers for an address it does not know."""
    return StripeError(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
        http=404,
    )
