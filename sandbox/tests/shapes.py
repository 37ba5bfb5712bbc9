"""Compares JSON with the annotations of the `stripe` library's resource classes."""

import typing
from decimal import Decimal
from types import UnionType
from typing import Any, ForwardRef, Literal

import stripe
from stripe import ListObject, StripeObject
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._stripe_object import UntypedStripeObject

CLASSES = {name: get_object_class("V1", name) for name in OBJECT_CLASSES if name != "list"}
# Some names exist twice (`Plan`, `Authorization`): the library's top level wins.
BY_NAME = {cls.__name__: getattr(stripe, cls.__name__, cls) for cls in CLASSES.values()} | {
    "CardResource": stripe.Card,
    "DisputeResource": stripe.Dispute,
}
SEEN: set[str] = set()
INVISIBLE = {"OBJECT_NAME", "deleted", "last_response"}


def problems(value: Any, path: str = "") -> list[str]:
    """What is wrong with an answer: a list, a deleted object, or an object of a known class."""
    if value.get("object") == "list":
        return [
            p
            for n, item in enumerate(value["data"])
            for p in problems(item, f"{path or item.get('object')}[{n}]")
        ]
    if value.get("deleted"):
        return [] if set(value) == {"id", "object", "deleted"} else [f"{path}: deleted with more fields"]
    cls = CLASSES.get(value.get("object", ""))
    if cls is None:
        return [f"{path}: no class for object {value.get('object')!r}"]
    found = _fields(value, cls, path or str(value["object"]))
    if value["object"] == "event":
        found += problems(value["data"]["object"], f"event {value['type']}")
    return found


def _fields(value: dict[str, Any], cls: type, path: str) -> list[str]:
    SEEN.add(str(value.get("object")))
    hints = {
        name: hint
        for base in reversed(cls.__mro__)
        for name, hint in vars(base).get("__annotations__", {}).items()
        if name not in INVISIBLE
        and not name.startswith("_")
        and issubclass(base, StripeObject)
        and base is not StripeObject
    }
    found = [f"{path}.{name}: not a field of {cls.__name__}" for name in value if name not in hints]
    for name, hint in hints.items():
        if name in value:
            found += _value(value[name], hint, f"{path}.{name}")
        elif not _is_optional(hint):
            found.append(f"{path}.{name}: missing")
    return found


def _options(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return [option for part in typing.get_args(hint) for option in _options(part)]
    if isinstance(hint, str):
        hint = ForwardRef(hint)
    if isinstance(hint, ForwardRef):
        known = BY_NAME.get(hint.__forward_arg__)
        return [known if known is not None else Any]
    return [hint]


def _is_optional(hint: Any) -> bool:
    return type(None) in _options(hint)


def _value(value: Any, hint: Any, path: str) -> list[str]:
    options = _options(hint)
    if value is None:
        return [] if type(None) in options or Any in options else [f"{path}: null"]
    if Any in options:
        return []
    literals = [word for o in options if typing.get_origin(o) is Literal for word in typing.get_args(o)]
    if literals and isinstance(value, str):
        return [] if value in literals else [f"{path}: {value!r} is none of {literals}"]
    for option in options:
        result = _against(value, option, path)
        if result is not None:
            return result
    return [f"{path}: {value!r} is no {hint}"]


def _against(value: Any, option: Any, path: str) -> list[str] | None:
    """Problems inside a value of this type; None when it is not of this type at all."""
    origin = typing.get_origin(option)
    if isinstance(value, bool):
        return [] if option is bool or value in typing.get_args(option) else None
    if isinstance(value, int | float):
        return [] if option in (int, float) and not (option is int and isinstance(value, float)) else None
    if isinstance(value, str):
        return [] if option in (str, Decimal) else None
    if isinstance(value, list):
        if origin not in (list, typing.List):  # noqa: UP006 (the library writes it so)
            return None
        inner = typing.get_args(option)[0]
        return [p for n, item in enumerate(value) for p in _value(item, inner, f"{path}[{n}]")]
    if origin is ListObject or option is ListObject:
        return problems(value, path) if value.get("object") == "list" else None
    if origin in (UntypedStripeObject, dict) or option in (UntypedStripeObject, StripeObject):
        return []
    if isinstance(option, type) and issubclass(option, StripeObject):
        named = getattr(option, "OBJECT_NAME", None)
        return None if named and value.get("object") != named else _nested(value, option, path)
    return None


def _nested(value: dict[str, Any], cls: type, path: str) -> list[str]:
    return [] if value.get("deleted") else _fields(value, cls, path)
