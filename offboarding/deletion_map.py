"""What becomes of every field of this app: the reasons of who left, downloads, the erasure's record."""

from django.db.models import Q
from django.utils.translation import gettext_noop as _

from accounts.classification import DELETE, KEEP, NOT_PERSONAL, classify
from offboarding.models import Cancellation

WHY_REFUNDED = _("It explains a refund in the books and proves that a declaration was received and kept.")
RECORD = _("The record that an account was erased; it holds its number, dates and counts only.")

classify(
    "offboarding.Quote",
    KEEP,
    name="quotes",
    path="account",
    exported="""public_id subscription ending terms made_at measured_at currency amount tax credit basis rule
        why_none parts lines access_ends_at keeps_access billing_ends_at undo_until refund_by claim_until
        data_until purge_on open_invoice open_invoice_amount open_invoice_owed""",
    hidden="id account facts facts_hash",
    because=WHY_REFUNDED,
    only=lambda: (
        Q(pk__in=Cancellation.objects.values("quote_id"))
        | Q(pk__in=Cancellation.objects.exclude(reservation=None).values("reservation__quote_id"))
    ),
    key="public_id",
)
classify(
    "offboarding.Cancellation",
    KEEP,
    name="cancellations",
    path="account",
    own="declared_by",
    exported="""public_id receipt_number subscription ending status quote via declared_by declared_at
        declared_zone effective_at billing_ends_at claim_until confirmed_at waived_retrieval scheduled_at
        completed_at withdrawn_at caller_identified""",
    hidden="id account receipt_hash undo_hash",
    anonymise={"declared_by": None, "caller_identified": "-", "declared_zone": "UTC"},
    because=WHY_REFUNDED,
    key="receipt_number",
)
classify(
    "offboarding.Reservation",
    KEEP,
    name="reserved_refunds",
    path="cancellation__account",
    exported="cancellation quote amount currency free_until deadline_at status closed_at",
    hidden="id",
    because=WHY_REFUNDED,
)
classify(
    "offboarding.ExitReason",
    NOT_PERSONAL,
    hidden="id code label_en label_es offer position is_active",
    key="code",
)
classify(
    "offboarding.ExitSurvey",
    KEEP,
    name="exit_surveys",
    path="cancellation__account",
    own="cancellation__declared_by",
    exported="""cancellation reason problem expectation usage change wants_call call_when wants_news
        answered_at""",
    hidden="id",
    anonymise={
        "problem": "",
        "expectation": "",
        "change": "",
        "call_when": "",
        "wants_call": False,
        "wants_news": False,
    },
    because=_("Which reason was chosen is counted in reports; the words are deleted."),
)
classify(
    "offboarding.Offer",
    DELETE,
    name="offers",
    path="cancellation__account",
    exported="cancellation kind status shown_at taken_at",
    hidden="id",
)
classify(
    "offboarding.Export",
    DELETE,
    name="downloads",
    path="account",
    own="requested_by",
    exported="public_id requested_by own_only status size sha256 requested_at ready_at expires_at",
    hidden="id account rows_total rows_done file_name attempts lease_until lease_token",
)
classify(
    "offboarding.Closure",
    KEEP,
    name="closures",
    path="account",
    exported="cancellation status data_until purge_on waived_retrieval stop_until created_at closed_at",
    hidden="id account",
    because=RECORD,
)
classify(
    "offboarding.Erasure",
    NOT_PERSONAL,
    hidden="""id account_ref terms_version due_on started_at finished_at step scope counts retained
        retained_until retained_gone_at lease_until lease_token""",
    because=RECORD,
)
classify("offboarding.Brake", NOT_PERSONAL, hidden="id allowed_on allowed")
