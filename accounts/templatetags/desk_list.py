"""What lists of the admin site need beside their theme."""

import re

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_LABEL = re.compile(r'(?<= data-label=")\S')
#: The sign of an address in the text of a cell, not in its tags.
_AT = re.compile(r"@(?=[\w.-]+(?:<|\s|$))")


@register.filter
def with_sentence_label(cell: SafeString) -> SafeString:
    """A cell of a list, whose label on narrow screens begins with a capital, as the column's head does.

    An address in it breaks before its @, where it must break.
    """
    named = _LABEL.sub(lambda found: found[0].upper(), cell, count=1)
    return mark_safe(_AT.sub("<wbr>@", named))  # noqa: S308 (escaped before; one letter's case, and a place to break)


@register.filter
def address(text: str) -> SafeString:
    """An e-mail address that breaks before its @, where it must break."""
    name, at, host = str(text).partition("@")
    return format_html("{}<wbr>{}{}", name, at, host)
