"""What lets a mail be written once and read as subject, as plain text and as HTML."""

import re

from django import template
from django.conf import settings
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

BLANK_LINES = re.compile(r"\n\s*\n")


def _is_html(context: template.Context) -> bool:
    return str(context.get("layout", "")).endswith(".html")


@register.simple_tag(takes_context=True)
def fact(context: template.Context, label: str, value: object) -> str:
    """`{% fact _("Refund") refund %}`: one row of the facts; nothing where there is no value."""
    if value is None or value == "":
        return ""
    if not _is_html(context):
        return mark_safe(f"{label}: {value}\n")  # noqa: S308  plain text: nothing reads it as markup
    return format_html("<tr><th>{}</th><td>{}</td></tr>", label, value)


@register.simple_tag(takes_context=True)
def link(context: template.Context, url: str, words: str) -> str:
    """`{% link url _("Choose another day") %}`: the words as a link; in plain text the address after them."""
    if not _is_html(context):
        return mark_safe(f"{words}: {url}")  # noqa: S308  plain text: nothing reads it as markup
    return format_html('<a href="{}">{}</a>', url, words)


@register.simple_tag(takes_context=True)
def code_block(context: template.Context, code: str) -> str:
    """`{% code_block code %}`: a code to type, alone on its line and large where there is HTML."""
    if not _is_html(context):
        return mark_safe(f"\n\n{code}\n\n")  # noqa: S308  plain text: nothing reads it as markup
    return format_html('\n\n<strong class="code">{}</strong>\n\n', code)


@register.filter(needs_autoescape=True)
def paragraphs(text: str, autoescape: bool = True) -> SafeString:
    """Blank lines part paragraphs; lines that begin with "- " are a list; other breaks are spaces."""
    parts = [part.strip() for part in BLANK_LINES.split(text) if part.strip()]
    keep_safe = conditional_escape if autoescape and not hasattr(text, "__html__") else mark_safe
    return format_html_join("\n", "{}", ((_paragraph(keep_safe(part)),) for part in parts))


def _paragraph(part: str) -> SafeString:
    lines = [line.strip() for line in part.splitlines() if line.strip()]
    if all(line.startswith("- ") for line in lines):
        items = format_html_join("", "<li>{}</li>", ((mark_safe(line[2:]),) for line in lines))  # noqa: S308
        return format_html("<ul>{}</ul>", items)
    return format_html("<p>{}</p>", _linked(" ".join(lines)))


def _linked(escaped: str) -> SafeString:
    """Our own addresses as links; no others, since a name that somebody chose may look like one."""
    own = re.compile(rf"(?<![\"'>=]){re.escape(settings.SITE_URL)}/[^\s<>\"']*[^\s<>\"'.,;:!?)]")
    return mark_safe(own.sub(r'<a href="\g<0>">\g<0></a>', escaped))  # noqa: S308  escaped by `paragraphs`


@register.filter
def close_up(text: str) -> str:
    """Rows of plain text one below the other, with no empty line between them."""
    return mark_safe("\n".join(line for line in text.splitlines() if line.strip()))  # noqa: S308  as before


@register.filter
def tidy(text: str) -> str:
    """Plain text without the indents and the runs of empty lines that template tags leave behind."""
    lines = [line.strip() for line in text.strip().splitlines()]
    kept = [line for index, line in enumerate(lines) if line or lines[index - 1]]
    return mark_safe("\n".join(kept) + "\n")  # noqa: S308  it was as safe before
