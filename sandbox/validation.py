"""Parameters are checked against the TypedDicts of the pinned `stripe` library, read at run time.

So the sandbox refuses what Stripe refuses, in the API version that the library speaks.
"""

from __future__ import annotations

import sys
import types
import typing
from functools import cache
from typing import Any, Literal, NotRequired, Required

import stripe
from stripe._request_options import RequestOptions
from typing_extensions import get_type_hints, is_typeddict

from sandbox.errors import InvalidParameters, missing_param
from sandbox.forms import as_list

# Texts that refer to something, or that an object cannot be without.
_NAMES = frozenset((
    "amount", "charge", "coupon", "currency", "customer", "discount", "display_name", "enabled_events",
    "id", "invoice", "invoice_line_item", "payment_intent", "payment_method", "price", "product",
    "subscription", "subscription_item", "tax_rate", "test_clock", "url",
))  # fmt: skip
_OPTIONS = frozenset(RequestOptions.__annotations__)


@cache
def fields_of(params_type: type) -> dict[str, tuple[Any, bool]]:
    """Name -> (type, required) of one of the library's parameter types."""
    own = {name: hint for name, hint in params_type.__annotations__.items() if name not in _OPTIONS}
    holder = types.SimpleNamespace(__annotations__=own)
    hints = get_type_hints(holder, vars(sys.modules[params_type.__module__]), include_extras=True)
    fields = {}
    for name, hint in hints.items():
        required = True
        origin: Any = typing.get_origin(hint)
        if origin in (NotRequired, Required):
            required = origin is Required
            hint = typing.get_args(hint)[0]
        fields[name] = (hint, required)
    return fields


def check(raw: dict[str, Any], params_type_name: str) -> dict[str, Any]:
    """The parameters with their types applied; raises what Stripe answers to a bad one."""
    holder = getattr(stripe.params, params_type_name, None) or getattr(
        stripe.params.test_helpers, params_type_name
    )
    return _check_fields(raw, holder, prefix="")


def _check_fields(raw: dict[str, Any], params_type: type, prefix: str) -> dict[str, Any]:
    fields = fields_of(params_type)
    unknown = [_join(prefix, name) for name in raw if name not in fields]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise InvalidParameters(
            f"Received unknown parameter{plural}: {', '.join(unknown)}",
            code="parameter_unknown",
            param=unknown[0],
        )
    for name, (_, required) in fields.items():
        if required and name not in raw:
            raise missing_param(_join(prefix, name))
    return {name: _convert(value, fields[name][0], _join(prefix, name)) for name, value in raw.items()}


def _join(prefix: str, name: str) -> str:
    return f"{prefix}[{name}]" if prefix else name


def _alternatives(hint: Any) -> list[Any]:
    """The members of a union, flattened; any other type is its own single alternative."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [option for part in typing.get_args(hint) for option in _alternatives(part)]
    return [hint]


def _convert(value: Any, hint: Any, path: str) -> Any:
    options = _alternatives(hint)
    literals = [v for o in options if typing.get_origin(o) is Literal for v in typing.get_args(o)]
    if value == "":
        return _empty(options, literals, path)
    if isinstance(value, (dict, list)):
        return _convert_structure(value, options, path)
    return _convert_scalar(value, options, [word for word in literals if word != ""], path)


def _empty(options: list[Any], literals: list[Any], path: str) -> str:
    """An empty value unsets what can be unset: what the types say, and plain texts that name nothing."""
    if "" in literals or dict in (typing.get_origin(o) for o in options):
        return ""
    last = path.rstrip("]").rpartition("[")[2]
    if str in options and not literals and last not in _NAMES:
        return ""
    raise InvalidParameters(
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a "
        "parameter; "
        f"however '{path}' cannot be unset. You should remove '{path}' from your request or supply a "
        "non-empty value.",
        code="parameter_invalid_empty",
        param=path,
    )


def _convert_structure(value: Any, options: list[Any], path: str) -> Any:
    for option in options:
        origin = typing.get_origin(option)
        if origin is list:
            items = as_list(value)
            if items is None:
                raise InvalidParameters("Invalid array", param=path)
            inner = typing.get_args(option)[0]
            return [_convert(item, inner, f"{path}[{n}]") for n, item in enumerate(items)]
        if is_typeddict(option):
            return _check_fields(value, option, path)
        if origin is dict:
            inner = typing.get_args(option)[1]
            return {k: v if v == "" else _convert(v, inner, f"{path}[{k}]") for k, v in value.items()}
    raise InvalidParameters("Invalid string", param=path)


def _convert_scalar(value: Any, options: list[Any], words: list[Any], path: str) -> Any:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text in words:
        return text
    if bool in options:
        if text in ("true", "false"):
            return text == "true"
        raise InvalidParameters(f"Invalid boolean: {text}", param=path)
    if int in options:
        return _integer(text, path)
    if float in options:
        return _number(text, path)
    if words:
        raise InvalidParameters(f"Invalid {path}: must be one of {_either(words)}", param=path)
    if str in options or any(getattr(o, "__name__", "") == "Decimal" for o in options):
        return text
    if any(typing.get_origin(o) is list for o in options):
        raise InvalidParameters("Invalid array", param=path)
    raise InvalidParameters("Invalid object", param=path)


def _integer(text: str, path: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidParameters(
            f"Invalid integer: {text}", code="parameter_invalid_integer", param=path
        ) from None


def _number(text: str, path: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidParameters(
            f"Invalid decimal: {text}; must contain at maximum two decimal places.", param=path
        ) from None


def _either(words: list[Any]) -> str:
    if len(words) < 3:
        return " or ".join(words)
    return ", ".join(words[:-1]) + f", or {words[-1]}"
