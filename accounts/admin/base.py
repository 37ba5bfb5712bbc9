"""What every page of the admin site has in common: lists that stay cheap, rows that only verbs change."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import clock
from accounts.errors import NotAllowed, WrongState
from accounts.events import By
from accounts.models import Account, Member, User
from accounts.reauthentication import ask_who_it_is, is_fresh
from accounts.rehearsal import rehearse
from accounts.templatetags.terms_format import day, format_money

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.utils.functional import _StrOrPromise as StrOrPromise

    class RowPaginator(Paginator[Any]):
        pass

else:
    from unfold.admin import ModelAdmin

    RowPaginator = Paginator

M = TypeVar("M", bound=Model)
#: Rows that a list counts and lets one page through; whoever wants more searches or filters.
COUNTED = 1000


class CheapPaginator(RowPaginator):
    """Counts up to `COUNTED` rows and no further: a list of a million opens as fast as a short one."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by().values("pk")[:COUNTED].count()


def require_fresh(request: HttpRequest) -> None:
    """What moves money or data, or speaks for a customer, wants the sign-in of the member of staff fresh."""
    if not is_fresh(request):
        ask_who_it_is(request)


def is_own(request: HttpRequest, row: Model) -> bool:
    """Whether the row is of an account that this member of staff belongs to: then somebody else acts (R7)."""
    account = row.pk if isinstance(row, Account) else getattr(row, "account_id", None)
    user = cast(User, request.user)
    return account is not None and Member.objects.current().filter(account_id=account, user=user).exists()


class DeskAdmin(ModelAdmin[M]):
    """A list that costs the same at any size, with the company's days and hours.

    `nothing_yet` says where the entries of an empty list come from, if nobody adds them here.
    """

    nothing_yet: "StrOrPromise" = gettext_lazy("Entries appear by themselves as things happen.")

    paginator = CheapPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 50
    ordering: ClassVar[Any] = ("-pk",)
    list_fullwidth = True
    actions = None
    compressed_fields = True

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        timezone.activate(settings.COMPANY_TIME_ZONE)
        return super().changelist_view(request, extra_context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        timezone.activate(settings.COMPANY_TIME_ZONE)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Nothing is deleted by hand: erasing is a verb with a date, and books are kept."""
        return False


def _as_money(name: str, label: "StrOrPromise") -> Callable[[Any], str]:
    @admin.display(description=label, empty_value="–")
    def amount(row: Any) -> str:
        return format_money(getattr(row, name), row.currency) if row.currency else ""

    return amount


class ReadOnlyAdmin(DeskAdmin[M]):
    """Facts and histories: to be looked at. What may be done to them are acts, each a verb.

    `amounts` names the columns that hold minor units of the row's currency.
    """

    amounts: ClassVar[tuple[str, ...]] = ()

    def get_fields(self, request: HttpRequest, obj: M | None = None) -> Any:
        """Amounts as people read them, in the place of the columns that hold them."""
        labels = {field.name: field.verbose_name for field in self.opts.concrete_fields}
        shown: dict[Any, Any] = {name: _as_money(name, labels[name]) for name in self.amounts}
        return [shown.get(name, name) for name in super().get_fields(request, obj)]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class Act(Generic[M]):
    """One thing staff may do to a row: a question before it, then one verb.

    `can` is the verb's own question; `do` gets the row, who acts, when, and the answers of `form`, and may
    return what came of it in words, in place of `done`. `undo` says what way there is back. With
    `is_rehearsed` a page between the question and the act shows what it would change in the account.
    `page` is where it is asked instead: the page of another row, which knows more to show.
    """

    code: str
    title: "StrOrPromise"
    text: "StrOrPromise"
    button: "StrOrPromise"
    permission: str
    can: Callable[[M, dt.datetime], bool]
    do: Callable[[M, By, dt.datetime, dict[str, Any]], str | None]
    done: "StrOrPromise"
    undo: "StrOrPromise" = ""
    form: type[Form] = Form
    is_grave: bool = False
    is_rehearsed: bool = False
    page: Callable[[M], str] | None = None


def _answers(form: Form) -> list[tuple["StrOrPromise", str]]:
    """What was answered, as it was read."""
    found: list[tuple[StrOrPromise, str]] = []
    for field in form:
        value = form.cleaned_data.get(field.name)
        labels = dict(getattr(field.field, "choices", ()))
        words = day(value) if isinstance(value, dt.date) else str(labels.get(value, value))
        found.append((field.label, words))
    return found


class ActsAdmin(ReadOnlyAdmin[M]):
    """Rows with acts: their buttons on the row's page, and a page of its own for each question."""

    acts: ClassVar[Sequence[Act[Any]]] = ()
    change_form_outer_before_template = "admin/desk/acts.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        view = self.admin_site.admin_view(self.act_view)
        return [path("<int:object_id>/do/<slug:code>/", view, name=name), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        acts = self.possible(request, row) if row is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "acts": acts})

    def possible(self, request: HttpRequest, row: M) -> list[dict[str, Any]]:
        """The acts that this person may do to this row now, with their addresses."""
        at = clock.now()
        return [
            {"title": act.title, "is_grave": act.is_grave, "url": self.act_url(row, act.code)}
            for act in self.acts
            if request.user.has_perm(act.permission) and act.can(row, at)
        ]

    def name_of(self, row: M) -> str:
        """How the pages of its acts name a row: whose it is, and what."""
        account = getattr(row, "account", None)
        return f"{account} · {row}" if account and str(account) != str(row) else str(row)

    def act_url(self, row: M, code: str) -> str:
        """Where the question of this act is asked."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_act", args=[row.pk, code])

    def act_view(self, request: HttpRequest, object_id: int, code: str) -> HttpResponse:
        """Ask, then do it, with the sign-in fresh."""
        act = next((act for act in self.acts if act.code == code), None)
        row = self.get_queryset(request).filter(pk=object_id).first()
        if act is None or row is None:
            raise Http404
        if not (self.has_view_permission(request, row) and request.user.has_perm(act.permission)):
            raise PermissionDenied
        if is_own(request, row):
            raise PermissionDenied(_("This is an account of your own. Please ask a colleague."))
        require_fresh(request)
        if act.page is not None:
            return redirect(act.page(row))
        return self._ask_and_do(request, act, row)

    def _ask_and_do(self, request: HttpRequest, act: Act[M], row: M) -> HttpResponse:
        form = act.form(request.POST if request.method == "POST" else None)
        back = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])
        context: dict[str, Any] = {"act": act, "row": self.name_of(row), "form": form, "back": back}
        account = row if isinstance(row, Account) else getattr(row, "account", None)
        timezone.activate(account.zone if account else settings.COMPANY_TIME_ZONE)
        if request.method == "POST" and form.is_valid():
            at, by = clock.now(), By.staff(cast(User, request.user))
            try:
                if act.is_rehearsed and "confirmed" not in request.POST:
                    meaning = rehearse(
                        cast(Account, account).pk, lambda: act.do(row, by, at, form.cleaned_data), at=at
                    )
                    context |= {"meaning": meaning, "answers": _answers(form)}
                    return self.page(request, "admin/desk/sure.html", act.title, **context)
                came = act.do(row, by, at, form.cleaned_data)
            except ValidationError as error:
                form.add_error(None, error)
            except (WrongState, NotAllowed):
                messages.error(request, _("That is not possible (any more). Nothing was done."))
                return redirect(back)
            else:
                messages.success(request, came or str(act.done))
                return redirect(back)
        return self.page(request, "admin/desk/ask.html", act.title, **context)

    def page(
        self, request: HttpRequest, template: str, title: "StrOrPromise", **context: Any
    ) -> TemplateResponse:
        """A page of our own inside the admin site."""
        request.current_app = self.admin_site.name
        common = self.admin_site.each_context(request) | {"title": title, "opts": self.opts}
        common["original"] = context.get("row")  # named in the breadcrumb
        return TemplateResponse(request, template, common | context)
