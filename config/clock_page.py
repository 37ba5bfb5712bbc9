"""The demo's clock, to turn in a browser: buttons, three stories to watch, what happened (demo only)."""

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import clock, jobs
from billing.periods import add_months
from config.demo.password import PASSWORD
from config.demo.runs import AlreadyTurning, Run, Teller, is_turning, read_run, start_telling
from config.demo.stories import STORIES
from config.demo.telling import moment_of_text, read_chapters
from config.demo.turning import FURTHEST, moment_of

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: Seconds after which a page without scripts looks again.
SECONDS: Final = 2
SPANS: "Final[list[tuple[str, StrOrPromise]]]" = [
    ("day", gettext_lazy("1 day on")),
    ("days", gettext_lazy("3 days on")),
    ("week", gettext_lazy("1 week on")),
    ("month", gettext_lazy("1 month on")),
]
_DAYS: Final = {"day": 1, "days": 3, "week": 7}

TITLES: "Final[dict[str, StrOrPromise]]" = {
    "turn": gettext_lazy("What happened on the way"),
    "trial": gettext_lazy("Watch a trial expire"),
    "card": gettext_lazy("Watch a card fail and recover"),
    "leave": gettext_lazy("Watch someone leave"),
}
ABOUT: "Final[list[tuple[str, StrOrPromise]]]" = [
    (
        "trial",
        gettext_lazy(
            "Fourteen days without a card, and nobody decides anything: what is said, and when it is off."
        ),
    ),
    (
        "card",
        gettext_lazy(
            "The bank refuses a renewal and nobody reacts, until access is blocked. Then a new card pays."
        ),
    ),
    (
        "leave",
        gettext_lazy(
            "Twelve days into a paid month: close and delete. The refund, the receipt, the data that goes."
        ),
    ),
]


class DateForm(forms.Form):
    """A day to turn to."""

    to = forms.DateField(
        label=gettext_lazy("To a date"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def clean_to(self) -> dt.datetime:
        """The moment of that day at which a hop ends; forward only, and not for years."""
        moment, now = moment_of(self.cleaned_data["to"]), clock.now()
        if moment <= now:
            raise forms.ValidationError(_("Time goes forward only: choose a later day."))
        if moment > now + FURTHEST:
            raise forms.ValidationError(_("That is too far for one go: choose a day within a year."))
        return moment


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def clock_page(request: HttpRequest) -> HttpResponse:
    """What time it is, the buttons, and the newest run; POST starts one."""
    form = DateForm(request.POST if "to" in request.POST else None)
    if request.method == "POST":
        try:
            if _start(request.POST.get("watch", ""), request.POST.get("span", ""), form):
                return redirect("demo_clock")
        except AlreadyTurning:
            messages.warning(request, _("The clock is being turned already. Wait until it stands still."))
            return redirect("demo_clock")
    timezone.activate(zoneinfo.ZoneInfo(settings.COMPANY_TIME_ZONE))
    return render(request, "demo/clock.html", _context(form))


def _start(story: str, span: str, form: DateForm) -> bool:
    """Begin what was asked for; False where the question was not understood."""
    if story in STORIES:
        tale, total = STORIES[story]
        start_telling(story, tale, total=total)
        return True
    to = _end_of(span)
    if to is None and form.is_bound and form.is_valid():
        to = form.cleaned_data["to"]
    if to is None:
        return False
    end = to

    def turn(teller: Teller) -> None:
        teller.chapter("")
        teller.turn_to(end)

    start_telling("turn", turn, until=end.isoformat())
    return True


def _end_of(span: str) -> dt.datetime | None:
    now = clock.now()
    if span == "month":
        return now + (add_months(now.date(), 1) - now.date())
    return now + dt.timedelta(days=_DAYS[span]) if span in _DAYS else None


def _context(form: DateForm) -> dict[str, Any]:
    run, now = read_run(), clock.now()
    return {
        "form": form,
        "now": now,
        "offset": clock.offset().days,
        "spans": SPANS,
        "stories": [(code, TITLES[code], text) for code, text in ABOUT],
        "run": run,
        "run_title": TITLES.get(run.code, "") if run else "",
        "chapters": read_chapters(run) if run else [],
        "progress": _progress(run) if run else None,
        "jobs": _jobs_of(run) if run else [],
        "password": PASSWORD,
        "is_turning": is_turning(),
        "seconds": SECONDS,
    }


def _progress(run: Run) -> dict[str, Any]:
    """How far a run is: chapters of a story, days of a turn."""
    if run.total:
        return {"done": max(0, len(run.chapters) - 1), "total": run.total, "unit": "chapters"}
    began, until = moment_of_text(run.began), moment_of_text(run.until)
    now = moment_of_text(run.now) or began
    if began is None or until is None or now is None:
        return {"done": 0, "total": 0}
    return {"done": (now - began).days, "total": max(1, (until - began).days)}


def _jobs_of(run: Run) -> list[tuple[Any, str, int]]:
    known = jobs.jobs()
    return [(known[name].title, name, run.done[name]) for name in sorted(run.done) if name in known]
