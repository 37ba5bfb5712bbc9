"""Our strings as they stand in code and templates, and their Spanish; read without GNU gettext."""

import ast
import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[2]
APPS = ("accounts", "billing", "offboarding", "config")
TEMPLATES = ROOT / "templates"
PO = ROOT / "locale" / "es" / "LC_MESSAGES" / "django.po"

#: How many strings each function of django.utils.translation takes, and whether a context comes first.
SINGLE = {"gettext": (False, 1), "ngettext": (False, 2), "pgettext": (True, 1), "npgettext": (True, 2)}
FUNCTIONS = {name + ending: shape for name, shape in SINGLE.items() for ending in ("", "_lazy", "_noop")}
CALL = re.compile(r"(?<![\w.])(_|n?p?gettext)\(")
LITERAL = re.compile(r"\s*u?(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')\s*,?", re.DOTALL)

Key = tuple[str, tuple[str, ...]]  # context, one or two forms

#: No Spanish sentence has one of these.
FUNCTION_WORDS = """
the of to and is are was were with for from you your yours we our it its this that these those not have had
been be when which what will would can cannot could should by at on an there here nothing more then than who
how all any they their them my after before until again please yes
"""
ENGLISH = frozenset(FUNCTION_WORDS.split())


def python_sources() -> list[Path]:
    """Every module of the product, tests and migrations apart."""
    found = [path for app in APPS for path in (ROOT / app).rglob("*.py")]
    return [path for path in found if not {"tests", "migrations", "mirror_tables"} & set(path.parts)]


def template_sources() -> list[Path]:
    """Every template."""
    return [path for path in TEMPLATES.rglob("*") if path.suffix in (".html", ".txt")]


def in_python(source: str) -> Iterator[Key]:
    """The strings that a module hands to gettext, under whatever name it imports it."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation":
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = names.get(called.id, "") if isinstance(called, ast.Name) else getattr(called, "attr", "")
        if name not in FUNCTIONS:
            continue
        has_context, forms = FUNCTIONS[name]
        values = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        strings = [value for value in values if isinstance(value, str)][: forms + has_context]
        if len(strings) == forms + has_context:
            yield (strings[0] if has_context else "", tuple(strings[has_context:]))


def in_template(source: str) -> Iterator[Key]:
    """The strings of the translation tags and of `_("...")`, as Django itself finds them."""
    calls = templatize(source)
    for found in CALL.finditer(calls):
        has_context, forms = FUNCTIONS["gettext" if found[1] == "_" else found[1]]
        strings, at = [], found.end()
        while len(strings) < forms + has_context and (literal := LITERAL.match(calls, at)):
            strings.append(ast.literal_eval(literal[1]))
            at = literal.end()
        if len(strings) == forms + has_context:
            yield (strings[0] if has_context else "", tuple(strings[has_context:]))


@cache
def strings_of_the_code() -> dict[Key, str]:
    """Every string, with a file that says it."""
    found: dict[Key, str] = {}
    for paths, read in ((python_sources(), in_python), (template_sources(), in_template)):
        for path in paths:
            for key in read(path.read_text(encoding="utf-8")):
                found.setdefault(key, str(path.relative_to(ROOT)))
    return found


@cache
def spanish() -> Catalog:
    """What stands in the file that translators edit."""
    with PO.open("rb") as file:
        return read_po(file, locale="es")


def messages() -> list[Message]:
    """Every entry but the header."""
    return [message for message in spanish() if message.id]


def forms(message: Message) -> list[tuple[str, str]]:
    """Each Spanish form beside the English form that it stands for."""
    if isinstance(message.id, str):
        return [(message.id, str(message.string))]
    strings = message.string if isinstance(message.string, tuple) else (message.string,)
    return list(zip(message.id, strings, strict=False))


def bare_words(template: str) -> list[str]:
    """Words of a template that stand outside every translation tag and that a reader would see."""
    for pattern in (
        r"\{%\s*blocktrans.*?\{%\s*endblocktrans(late)?\s*%\}",
        r"\{%\s*comment\b.*?\{%\s*endcomment\s*%\}",
        r"\{%\s*block (width|tone|rows)\s*%\}.*?\{%\s*endblock\s*%\}",
        r"<(style|script|svg)\b.*?</\1>",
        r"\{#.*?#\}",
        r"\{%.*?%\}",
        r"\{\{.*?\}\}",
    ):
        template = re.sub(pattern, " ", template, flags=re.DOTALL)
    seen = " ".join(re.findall(r'\b(?:alt|title|aria-label|placeholder)="([^"]*)"', template))
    return re.findall(r"[A-Za-z]{2,}", html.unescape(re.sub(r"<[^>]*>", " ", template)) + " " + seen)


def visible(page: str) -> str:
    """What a reader sees or hears of a page: its text, titles and labels, without addresses and codes."""
    body = re.sub(r"(?s)<(script|style|svg|template|pre|code)\b.*?</\1>", " ", page)
    body = re.sub(r'(?s)<(\w+)\b[^>]*\blang="en"[^>]*>.*?</\1>', " ", body)
    body = re.sub(r"<option[^>]*>\s*\w+/[^<]*</option>", " ", body)  # time zones have one name everywhere
    heard = re.findall(r'\b(?:alt|title|aria-label|placeholder|data-words-[a-z-]+)="([^"]*)"', body)
    text = html.unescape(re.sub(r"<[^>]+>", "\n", body) + "\n" + "\n".join(heard))
    return re.sub(r"https?://\S+|\S+@\S+", " ", text)


def english_in(text: str) -> list[str]:
    """The lines that sound English."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if ENGLISH & set(re.findall(r"\w+", line.lower()))]
