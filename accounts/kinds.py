"""The kinds of mail: in words, what each needs to know, and how it is treated beside the others."""

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accounts.arbiter import Category
from accounts.models import Account, Notice

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

logger = logging.getLogger(__name__)


def alert(notice: Notice, at: dt.datetime) -> None:
    """Nobody was told what they had to be told: operators are alarmed; staff find the row in their queue."""
    kind = _KINDS.get(notice.kind)
    is_legal = kind is not None and kind.category == Category.LEGAL
    level = logging.CRITICAL if is_legal else logging.ERROR
    logger.log(level, "nobody was told", extra={"notice": notice.pk, "kind": notice.kind})


@dataclass(frozen=True)
class Sample:
    """What a notice of a kind would be about, for a preview with real facts."""

    subject: str = ""
    period: str = ""
    facts: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class NoticeKind:
    """One kind of mail, in words for the account page, and the questions about it.

    `title` says what will be sent and `why` it is ("Your trial ends"); both are lazy translations.
    A member who has left the account gets nothing more, unless `to_former_members`.

    Kinds of one `topic` about one subject speak of the same thing: the newest word (by the beginning of
    its window) counts, and what was to be said before it is not said after it.

    `on_missed` is called once nobody can be told any more: postpone the charge, or alert. It runs in the
    transaction that writes the outcome, may be called again after a crash, and must not reach outside.
    `consent` is asked of news, which nobody gets unasked. `sample` finds a subject for a preview.
    `needless_after` names a kind that says all that this one does, and how long before: `still_true` is
    false then, and the calendar leaves it out already.
    """

    code: str
    title: "StrOrPromise"
    why: "StrOrPromise"
    context: Callable[[Notice, dt.datetime], dict[str, Any]]
    still_true: Callable[[Notice, dt.datetime], bool] = lambda notice, at: True
    category: Category = Category.TRANSACTIONAL
    topic: str = ""
    on_missed: Callable[[Notice, dt.datetime], None] = alert
    consent: Callable[[Notice, dt.datetime], bool] | None = None
    sample: Callable[[Account, dt.datetime], Sample | None] | None = None
    to_former_members: bool = False
    despite_hold: bool = False
    needless_after: tuple[str, dt.timedelta] | None = None


_KINDS: dict[str, NoticeKind] = {}


def register(kind: NoticeKind) -> None:
    """Make a kind known; called from `AppConfig.ready`. News without a question of consent is refused."""
    if kind.category == Category.COMMERCIAL and kind.consent is None:
        raise ValueError(f"{kind.code} is news: say how its readers consented.")
    _KINDS[kind.code] = kind


def kinds() -> dict[str, NoticeKind]:
    """Every registered kind, by its code."""
    return dict(_KINDS)


def category_of(code: str) -> Category:
    """The category of a kind; one that is not known any more is treated as what happened."""
    kind = _KINDS.get(code)
    return kind.category if kind else Category.TRANSACTIONAL


def kinds_of(*categories: Category) -> list[str]:
    """The codes of the kinds of these categories."""
    return [code for code, kind in _KINDS.items() if kind.category in categories]


def title_of(code: str) -> str:
    """What a kind of mail is called, in the active language; one that is gone keeps its code."""
    kind = _KINDS.get(code)
    return str(kind.title) if kind else code
