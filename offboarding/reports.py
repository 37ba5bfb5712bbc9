"""The report of who left, why, and what it cost."""

from django.db.models import BigIntegerField, CharField, F, OuterRef, Subquery, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Concat
from django.utils.translation import gettext_lazy as _

from billing.csv_stream import Code, LocalDay, LocalMoment, Major, Typed, YesNo
from billing.models import Refund
from billing.reports import Column, Report, register
from offboarding.models import Cancellation


def _refunded(field: str) -> Combinable:
    """What was given back for it: failed and abandoned refunds aside."""
    ref = Concat(Value("cancellation:"), Cast(OuterRef("public_id"), CharField()), output_field=CharField())
    sums = (
        Refund.objects.alive()
        .exclude(reason_ref="")
        .filter(reason_ref=ref)
        .order_by()
        .values("reason_ref")
        .annotate(total=Sum(field))
        .values("total")
    )
    return Coalesce(Subquery(sums), 0, output_field=BigIntegerField())


def cancellations_report() -> Report:
    """Each declaration with what was promised, what was refunded, and the answers of the exit survey."""
    currency = F("quote__currency")
    return Report(
        name="cancellations",
        title=_("Cancellations"),
        meaning=_(
            "One row for each declaration to leave, by the day on which it was made, as it stands now, "
            "with the answers of the exit survey."
        ),
        rows=Cancellation.objects.all,
        moment="declared_at",
        currency=currency,
        state=F("status"),
        amount=_refunded("amount"),
        tax=_refunded("tax"),
        columns=[*_what_applies(), *_money(currency), *_survey()],
    )


def _what_applies() -> list[Column]:
    return [
        Column("date", _("Day of the declaration, in the company's time zone."), LocalDay("declared_at")),
        Column("declared", _("The same with its time of day."), LocalMoment("declared_at")),
        Column("receipt", _("Number of the receipt."), Code("receipt_number")),
        Column("account", _("Our number of the account."), Code("account__public_id")),
        Column(
            "ending",
            _("What was chosen: stop_renewing, stop_now, free_days, close_delete."),
            Code("ending"),
        ),
        Column("state", _("received, scheduled, completed, or withdrawn (they stayed)."), Code("status")),
        Column(
            "via",
            _(
                "self (the customer), staff (for a caller), provider; by itself: unpaid (an invoice was not "
                "paid), untold (no mail about the next charge arrived)."
            ),
            Code("via"),
        ),
        Column(
            "caller_identified", _("How the caller was identified, as a code."), Code("caller_identified")
        ),
        Column("effective", _("Day of the last moment of access."), LocalDay("effective_at")),
        Column(
            "billing_ends", _("Nothing is billed for the time after this day."), LocalDay("billing_ends_at")
        ),
        Column("confirmed", _("Day of the last step, where there is one."), LocalDay("confirmed_at")),
        Column("withdrawn", _("Day on which it was taken back."), LocalDay("withdrawn_at")),
        Column("completed", _("Day on which it was carried out."), LocalDay("completed_at")),
        Column(
            "terms_version",
            _("Version of the terms it follows."),
            Cast("quote__terms__version", BigIntegerField()),
        ),
    ]


def _money(currency: Combinable) -> list[Column]:
    return [
        Column("quote", _("Number of the quote."), Code("quote__public_id")),
        Column("quoted", _("The refund that the quote names."), Major(F("quote__amount"), currency)),
        Column(
            "refunded",
            _("What was refunded or is on its way; failed refunds aside."),
            Major(_refunded("amount"), currency),
        ),
        Column("refunded_minor", _("The same in the smallest unit (cents)."), _refunded("amount")),
        Column("currency", _("ISO 4217 code."), Code("quote__currency")),
        Column("basis", _("Why a refund is due: terms or statutory (the law)."), Code("quote__basis")),
    ]


def _survey() -> list[Column]:
    return [
        Column("reason", _("The main reason, as a code."), Code("survey__reason__code")),
        Column("problem", _("What problem were you trying to solve?"), Typed("survey__problem")),
        Column(
            "expectation",
            _("Why do you feel you did not get what you thought you were buying?"),
            Typed("survey__expectation"),
        ),
        Column("usage", _("How much it was used: high, medium, low."), Code("survey__usage")),
        Column(
            "change", _("What would you change to attract more people like you?"), Typed("survey__change")
        ),
        Column("wants_call", _("Whether a call is wanted."), YesNo("survey__wants_call")),
        Column("call_when", _("When it suits."), Typed("survey__call_when")),
        Column("wants_news", _("Whether news of changes are welcome."), YesNo("survey__wants_news")),
    ]


def register_reports() -> None:
    """Called from `AppConfig.ready`."""
    register(cancellations_report())
