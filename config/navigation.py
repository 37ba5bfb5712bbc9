"""What staff find in the admin site: a menu by role, and a first page that says what waits for a person."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts import clock
from accounts.arbiter import Category
from accounts.job_board import count_rows
from accounts.kinds import kinds_of
from accounts.models import JobRun, Notice, Terms, WebhookDelivery
from billing.models import DunningCase, Incoming, Instruction, Plan, Refund
from billing.reports import MAY_READ

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: Counted no further: a person sees that there are many.
MANY = 100

#: Title, icon, page, permission; a group without a line that one may open is not shown.
MENU: "list[tuple[StrOrPromise, list[tuple[StrOrPromise, str, str, str]]]]" = [
    (
        _("Support"),
        [
            (_("Accounts"), "apartment", "accounts_account_changelist", "accounts.view_account"),
            (
                _("Cancellations"),
                "logout",
                "offboarding_cancellation_changelist",
                "offboarding.view_cancellation",
            ),
            (
                _("Requests for more time"),
                "more_time",
                "billing_trialrequest_changelist",
                "billing.view_trialrequest",
            ),
            (_("Holds"), "pause_circle", "accounts_hold_changelist", "accounts.view_hold"),
            (
                _("Unpaid invoices"),
                "credit_card_off",
                "billing_dunningcase_changelist",
                "billing.view_dunningcase",
            ),
            (_("Mails"), "mail", "accounts_notice_changelist", "accounts.view_notice"),
            (
                _("Instructions to Stripe"),
                "outbox",
                "billing_instruction_changelist",
                "billing.view_instruction",
            ),
            (_("Messages from Stripe"), "inbox", "billing_incoming_changelist", "billing.view_incoming"),
            (
                _("Exit reasons"),
                "checklist",
                "offboarding_exitreason_changelist",
                "offboarding.view_exitreason",
            ),
        ],
    ),
    (
        _("Money"),
        [
            (_("Reports"), "table_view", "reports", MAY_READ),
            (_("Refunds"), "undo", "billing_refund_changelist", "billing.view_refund"),
            (_("Refund movements"), "swap_vert", "billing_refundmovement_changelist", MAY_READ),
            (_("Invoices"), "receipt_long", "billing_invoice_changelist", "billing.view_invoice"),
            (_("Payments"), "payments", "billing_payment_changelist", "billing.view_payment"),
            (_("Disputes"), "gavel", "billing_dispute_changelist", "billing.view_dispute"),
        ],
    ),
    (
        _("Mirror of Stripe"),
        [
            (_("Customers"), "person", "djstripe_customer_changelist", "djstripe.view_customer"),
            (
                _("Subscriptions"),
                "autorenew",
                "djstripe_subscription_changelist",
                "djstripe.view_subscription",
            ),
            (_("Invoices"), "receipt", "djstripe_invoice_changelist", "djstripe.view_invoice"),
            (_("Charges"), "credit_card", "djstripe_charge_changelist", "djstripe.view_charge"),
            (_("Refunds"), "undo", "djstripe_refund_changelist", "djstripe.view_refund"),
        ],
    ),
    (
        _("Set-up"),
        [
            (_("Plans"), "sell", "billing_plan_changelist", "billing.view_plan"),
            (_("Price changes"), "trending_up", "billing_pricechange_changelist", "billing.view_pricechange"),
            (_("Rules of law"), "balance", "law", "accounts.view_notice"),
            (_("Terms"), "contract", "accounts_terms_changelist", "accounts.view_terms"),
            (_("People and roles"), "group", "accounts_user_changelist", "accounts.view_user"),
            (_("API keys"), "key", "accounts_apikey_changelist", "accounts.view_apikey"),
            (
                _("Webhook endpoints"),
                "webhook",
                "accounts_webhookendpoint_changelist",
                "accounts.view_webhookendpoint",
            ),
            (
                _("Messages to webhooks"),
                "outbox",
                "accounts_webhookdelivery_changelist",
                "accounts.view_webhookdelivery",
            ),
            (_("Erasures"), "delete_forever", "offboarding_erasure_changelist", "offboarding.view_erasure"),
            (_("Jobs"), "schedule", "accounts_jobrun_board", "accounts.view_jobrun"),
        ],
    ),
]


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    """The menu of this person: what their role may open."""
    groups: list[dict[str, Any]] = []
    for title, lines in MENU:
        items = [
            {"title": name, "icon": icon, "link": reverse(f"admin:{page}"), "active": False}
            for name, icon, page, permission in lines
            if request.user.has_perm(permission)
        ]
        if items:
            groups.append({"title": title, "separator": bool(groups), "items": items})
    _mark_present(request.path, [item for group in groups for item in group["items"]])
    return groups


def _mark_present(path: str, items: list[dict[str, Any]]) -> None:
    """One line is the present one: the longest address that the path begins with."""
    fitting = [item for item in items if path.startswith(item["link"])]
    if fitting:
        max(fitting, key=lambda item: len(item["link"]))["active"] = True


@dataclass(frozen=True)
class Waiting:
    """One thing that may wait for a person: what, which rows, where they are listed, who may see them."""

    title: "StrOrPromise"
    text: "StrOrPromise"
    rows: Callable[[dt.datetime], QuerySet[Any]]
    page: str
    query: str | Callable[[], str]
    permission: str

    @property
    def url(self) -> str:
        """The list of these rows."""
        query = self.query if isinstance(self.query, str) else self.query()
        return f"{reverse(f'admin:{self.page}')}?{query}"


#: Notices that could not be sent and that nobody has seen to.
UNSEEN = "status__exact=failed&handled_at__isempty=1"


WAITING = [
    Waiting(
        _("Unpaid, for a person"),
        _("Every attempt has failed, and the terms leave it to a person."),
        lambda at: DunningCase.objects.filter(status="ended", end_action="keep"),
        "billing_dunningcase_changelist",
        "status__exact=ended&end_action__exact=keep",
        "billing.view_dunningcase",
    ),
    Waiting(
        _("Stripe refused"),
        _("Instructions that a person must send again or give up."),
        lambda at: Instruction.objects.filter(status=Instruction.Status.DEAD),
        "billing_instruction_changelist",
        "status__exact=dead",
        "billing.view_instruction",
    ),
    Waiting(
        _("Messages from Stripe not applied"),
        _("What they report is not in the accounts yet."),
        lambda at: Incoming.objects.filter(status=Incoming.Status.DEAD),
        "billing_incoming_changelist",
        "status__exact=dead",
        "billing.view_incoming",
    ),
    Waiting(
        _("Required by law, not sent"),
        _("Mails that could not leave in their days: tell the customer in another way."),
        lambda at: Notice.objects.needing_a_person().filter(kind__in=kinds_of(Category.LEGAL)),
        "accounts_notice_changelist",
        lambda: f"{UNSEEN}&kind__in={','.join(kinds_of(Category.LEGAL))}",
        "accounts.view_notice",
    ),
    Waiting(
        _("Mails not sent"),
        _("Mails that missed their time or could not be delivered."),
        lambda at: Notice.objects.needing_a_person(),
        "accounts_notice_changelist",
        UNSEEN,
        "accounts.view_notice",
    ),
    Waiting(
        _("Webhooks not taken"),
        _("Messages about access that your product did not take."),
        lambda at: WebhookDelivery.objects.filter(status=WebhookDelivery.Status.DEAD),
        "accounts_webhookdelivery_changelist",
        "status__exact=dead",
        "accounts.view_webhookdelivery",
    ),
    Waiting(
        _("Failed refunds"),
        _("The money came back to us: the customer still waits for it."),
        lambda at: Refund.objects.filter(state=Refund.State.FAILED),
        "billing_refund_changelist",
        "state__exact=failed",
        "billing.view_refund",
    ),
    Waiting(
        _("Refunds being checked"),
        _("Stripe’s answer was lost; they are read again, never sent twice."),
        lambda at: Refund.objects.filter(state=Refund.State.UNKNOWN),
        "billing_refund_changelist",
        "state__exact=unknown",
        "billing.view_refund",
    ),
    Waiting(
        _("Jobs that failed"),
        _("The last run of a job ended with an error."),
        lambda at: JobRun.objects.failed_last(),
        "accounts_jobrun_board",
        "",
        "accounts.view_jobrun",
    ),
]


def _missing(request: HttpRequest) -> "list[tuple[StrOrPromise, str]]":
    """What a new installation still lacks before its first customer, for whoever may make it."""
    found: list[tuple[StrOrPromise, str]] = []
    if request.user.has_perm("accounts.change_terms") and not Terms.objects.published().exists():
        found.append((_("Publish the first terms"), reverse("admin:accounts_terms_changelist")))
    if request.user.has_perm("billing.add_plan") and not Plan.objects.filter(is_active=True).exists():
        found.append((_("Make the plans that you sell"), reverse("admin:billing_plan_changelist")))
    return found


def first_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what waits for a person to the first page, in one query; each count stops at `MANY`."""
    at = clock.now()
    kinds = {str(place): kind for place, kind in enumerate(WAITING) if request.user.has_perm(kind.permission)}
    counts = count_rows({place: kind.rows(at) for place, kind in kinds.items()}, most=MANY)
    waiting = [
        {"title": kind.title, "text": kind.text, "count": counts[place], "url": kind.url}
        for place, kind in kinds.items()
    ]
    return context | {
        "missing": _missing(request),
        "waiting": waiting,
        "many": MANY,
        "may_search": request.user.has_perm("accounts.view_account"),
        "may_read_books": request.user.has_perm(MAY_READ),
    }
