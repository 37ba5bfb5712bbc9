"""Stripe's form encoding: `items[0][price]=price_1&expand[]=customer`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sandbox.errors import InvalidParameters

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PART = re.compile(r"\[([^\[\]]*)\]")


def parse_form(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Nest the pairs; lists stay `{"0": ...}` until the types say that they are lists (see `validation`)."""
    tree: dict[str, Any] = {}
    for key, value in pairs:
        match = _KEY.match(key)
        if match is None:
            raise InvalidParameters(f"Invalid parameter name: {key}", param=key)
        _insert(tree, [match[1], *_PART.findall(match[2])], value, key)
    return tree


def _insert(tree: dict[str, Any], path: list[str], value: str, key: str) -> None:
    node = tree
    for part in path[:-1]:
        child = node.setdefault(part if part else str(len(node)), {})
        if not isinstance(child, dict):
            raise InvalidParameters(f"Invalid parameter name: {key}", param=key)
        node = child
    last = path[-1] if path[-1] else str(len(node))
    node[last] = value


def as_list(value: Any) -> list[Any] | None:
    """The list that `{"0": a, "1": b}` stands for, in index order; None when it is not one."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and all(key.isdigit() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return None
