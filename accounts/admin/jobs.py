"""The operators' page: how the jobs are doing, and their switches."""

from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import clock, jobs
from accounts.admin.base import ReadOnlyAdmin, require_fresh
from accounts.events import By
from accounts.job_board import read_board, skip_words, turns
from accounts.models import JobRun, JobSwitch, User

MAY_SWITCH = "accounts.change_jobswitch"
#: A bar of the picture is this high at the longest of the runs shown, and never lower than the second.
HIGH, LOW = 28, 2
BAR = 6


class SwitchForm(forms.Form):
    """Why: read by whoever finds the switch off at three in the morning."""

    reason = forms.CharField(
        label=gettext_lazy("Why"), max_length=200, widget=forms.TextInput(attrs={"size": 60})
    )


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin[JobRun]):
    """Every run that is still recorded; the page above it shows the jobs side by side."""

    list_display = ("title", "started_at", "seconds", "due", "done", "waited", "was_off", "error")
    fields = (
        "title",
        "name",
        "slot",
        "was_off",
        "started_at",
        "finished_at",
        "seconds",
        "due",
        "done",
        "waited",
        "error",
    )
    list_filter = ("was_off",)
    search_fields = ("name", "error")
    search_help_text = gettext_lazy("Name of a job, or its error")
    ordering: ClassVar[Any] = ("-started_at", "-pk")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("board/", wrap(self.board_view), name="accounts_jobrun_board"),
            path("board/<str:name>/switch/", wrap(self.switch_view), name="accounts_jobrun_switch"),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("job"), ordering="name")
    def title(self, run: JobRun) -> str:
        job = jobs.jobs().get(run.name)
        return str(job.title) if job else run.name

    @admin.display(description=gettext_lazy("had to wait"), empty_value="–")
    def waited(self, run: JobRun) -> str:
        return ", ".join(f"{number}: {skip_words(code)}" for code, number in run.skipped.items()) or "–"

    def board_view(self, request: HttpRequest) -> HttpResponse:
        """Each job: what it did last, how long it takes, what is due now. GET only."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        timezone.activate(settings.COMPANY_TIME_ZONE)
        board = read_board(at=clock.now())
        return self._page(
            request,
            "admin/desk/jobs.html",
            _("Jobs"),
            board=board,
            lines=[{"line": line, "bars": bars(line.runs)} for line in board.lines],
            all_grave=jobs.ALL_GRAVE,
            may_switch=request.user.has_perm(MAY_SWITCH),
        )

    def switch_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask why, then turn the switch, with the sign-in fresh."""
        job = jobs.jobs().get(name)
        if job is None and name != jobs.ALL_GRAVE:
            raise Http404
        if not request.user.has_perm(MAY_SWITCH):
            raise PermissionDenied
        require_fresh(request)
        timezone.activate(settings.COMPANY_TIME_ZONE)
        is_off = name in JobSwitch.objects.filter(name=name).off_now()
        form = SwitchForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            turn = jobs.turn_on if is_off else jobs.turn_off
            by = By.staff(cast(User, request.user))
            turn(name, by=by, at=clock.now(), reason=form.cleaned_data["reason"])
            messages.success(request, _("It runs again.") if is_off else _("It is switched off."))
            return redirect("admin:accounts_jobrun_board")
        what = job.title if job else _("Everything that moves money or destroys data")
        title = (_("Turn on: %(what)s") if is_off else _("Turn off: %(what)s")) % {"what": what}
        stopped = [job] if job else [each for each in jobs.jobs().values() if each.is_grave]
        return self._page(
            request,
            "admin/desk/job_switch.html",
            title,
            form=form,
            is_off=is_off,
            stopped=stopped,
            turns=turns(name),
            back=reverse("admin:accounts_jobrun_board"),
        )

    def _page(self, request: HttpRequest, template: str, title: Any, **context: Any) -> TemplateResponse:
        request.current_app = self.admin_site.name
        common = self.admin_site.each_context(request) | {"title": title, "opts": self.opts}
        return TemplateResponse(request, template, common | context)


def bars(runs: list[JobRun]) -> list[dict[str, Any]]:
    """One bar for each run, the oldest first: its height is its time, its tone how it ended."""
    ran = list(reversed(runs))
    longest = max([run.seconds for run in ran], default=0) or 1
    found = []
    for place, run in enumerate(ran):
        height = max(LOW, round(HIGH * run.seconds / longest))
        tone = "off" if run.was_off else "danger" if run.error else "some" if run.done else "idle"
        found.append({"x": place * BAR, "y": HIGH - height, "height": height, "tone": tone, "run": run})
    return found
