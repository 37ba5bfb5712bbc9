"""What becomes of every field of this app and of dj-stripe's mirror.

The books (invoices, payments, refunds and what they refer to) are kept until the end of the
calendar year plus the years that the account's country asks for, without names, cards and free
text. The mirror repeats the provider's personal data, so the rows of an erased customer go
altogether; what the operator's own catalogue, bank and webhooks need concerns no customer.
"""

from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from accounts.classification import ANONYMISE, DELETE, KEEP, NOT_PERSONAL, Find, Subject, classify
from billing.models import Customer, Instruction, InvoiceLine, Payment

BOOKS = _("The law asks for invoices and payments, and for what explains them, for some years.")
INBOX = _("An event of the provider is applied once; its ids and times lead to nobody.")
UNSETTLED = _("Someone still has to look at it; it holds ids only.")

# --- billing ------------------------------------------------------------------------------------
classify(
    "billing.Plan",
    NOT_PERSONAL,
    hidden="""id code name_en name_es summary_en summary_es amount currency interval trial_days
        trial_needs_card provider_price is_active""",
    key="code",
)
classify(
    "billing.PriceChange",
    NOT_PERSONAL,
    hidden="""id public_id from_plan to_plan effective_from reason actor actor_ref created_at withdrawn_at
        withdrawn_by withdrawn_reason spread_to spread_at""",
    because=_("What a plan costs from which day, which of our staff planned it, and why."),
    key="public_id",
)
classify(
    "billing.Customer",
    KEEP,
    name="payment_customer",
    path="account",
    exported="provider_id card_brand card_last4 card_expires credit currency",
    hidden="""id account test_clock card_id card_fingerprint lock_until lock_token reconciled_at deleted_at
        synced_at""",
    anonymise={
        "card_id": "",
        "card_brand": "",
        "card_last4": "",
        "card_expires": "",
        "card_fingerprint": "",
        "test_clock": "",
    },
    because=BOOKS,
)
classify(
    "billing.Subscription",
    KEEP,
    name="subscriptions",
    path="account",
    exported="""public_id plan provider_id status started_at period_start period_end trial_end first_paid_at
        cancel_at ended_at""",
    hidden="id account trial_granted_end trial_granted_at desired_version synced_at",
    because=BOOKS,
    key="public_id",
)
classify(
    "billing.TrialStep",
    DELETE,
    name="trial_steps",
    path="subscription__account",
    exported="subscription kind due_at done_at",
    hidden="id window_to rule_ids",
)
classify(
    "billing.TrialExtension",
    DELETE,
    name="trial_extensions",
    path="account",
    exported="subscription days ends_before ends_after via reason active_days is_engaged actor created_at",
    # The note is support's own, or repeats what the request says.
    hidden="id account note actor_ref",
)
classify(
    "billing.TrialRequest",
    DELETE,
    name="trial_requests",
    path="account",
    own="asked_by",
    exported="public_id subscription asked_by text state answer answer_by created_at closed_at",
    hidden="id account hold",
    key="public_id",
)
classify(
    "billing.TrialAllowance",
    DELETE,
    path="account",
    hidden="id account note allowed_by created_at used_at",
)
classify(
    "billing.Pause",
    DELETE,
    name="pauses",
    path="subscription__account",
    exported="subscription status starts_at resumes_at created_at ended_at",
    hidden="id",
)
classify(
    "billing.Invoice",
    KEEP,
    name="invoices",
    path="account",
    exported="""provider_id number subscription status billing_reason currency subtotal discount tax total
        amount_due amount_paid amount_remaining credit_applied created_at due_at paid_at attempt_count
        period_start period_end""",
    hidden="id account next_attempt_at synced_at",
    because=BOOKS,
    key="provider_id",
)
classify(
    "billing.InvoiceLine",
    KEEP,
    name="invoice_lines",
    path="invoice__account",
    exported="invoice provider_id description net tax starts_at ends_at is_proration",
    hidden="id",
    because=BOOKS,
)
classify(
    "billing.Payment",
    KEEP,
    name="payments",
    path="account",
    exported="""charge_id provider_id invoice amount currency method_brand method_last4 paid_at
        refund_reserved refunded_elsewhere disputed""",
    hidden="id account balance_transaction method_fingerprint",
    anonymise={"method_brand": "", "method_last4": "", "method_fingerprint": ""},
    because=BOOKS,
    key="charge_id",
)
classify(
    "billing.Dispute",
    KEEP,
    name="disputes",
    path="payment__account",
    exported="payment provider_id amount currency status reason opened_at",
    hidden="id synced_at",
    because=BOOKS,
)
classify(
    "billing.Refund",
    KEEP,
    name="refunds",
    path="account",
    exported="""public_id payment reason_ref quote_ref terms basis amount tax currency state provider_id
        failure is_voluntary created_at sent_at moved_at failed_at arrives_by""",
    hidden="id account approved_by",
    because=BOOKS,
    key="public_id",
)
classify(
    "billing.RefundMovement",
    KEEP,
    name="refund_movements",
    path="refund__account",
    exported="refund kind amount tax currency moved_at",
    hidden="id balance_transaction",
    because=BOOKS,
)
classify(
    "billing.DunningCase",
    DELETE,
    name="unpaid_invoices",
    path="account",
    exported="""public_id invoice terms status opened_at told_at failures decline block_at end_at blocked_at
        chosen_on chosen_made_at end_action closed_at""",
    hidden="id account card_id plan next_step next_at last_step_on closed_reason",
    key="public_id",
)
classify(
    "billing.DunningAttempt",
    DELETE,
    name="payment_attempts",
    path="case__account",
    exported="case at outcome reason",
    hidden="id day card_id instruction",
)
classify(
    "billing.PlannedPrice",
    DELETE,
    name="planned_prices",
    path="account",
    exported="""public_id subscription amount_before amount_after currency takes_at state reason told_at
        set_at closed_at created_at""",
    hidden="id change account next_at",
    key="public_id",
)
classify(
    "billing.Instruction",
    KEEP,
    path="account",
    hidden="""id public_id account kind subject version desired answer idempotency_key status attempts
        next_attempt_at first_sent_at lease_until lease_token error closed_reason created_at done_at""",
    anonymise={"closed_reason": "", "error": "", "answer": {}},
    because=UNSETTLED,
    # One that makes a customer repeats a name and an address, and nobody needs it any more.
    only=lambda: Q(status=Instruction.Status.DEAD) & ~Q(kind=Instruction.Kind.CUSTOMER),
)
classify(
    "billing.Incoming",
    ANONYMISE,
    find=lambda subject: Q(customer_id__in=provider_ids(subject)),
    hidden="""id event_id type object_id customer_id payment_id invoice_id created received_at status
        attempts next_attempt_at lease_until lease_token error done_at mirrored_at mirror_attempts""",
    anonymise={"error": ""},
    because=INBOX,
)


# --- dj-stripe's mirror -------------------------------------------------------------------------
#: The columns that dj-stripe gives to nearly every model of its own.
BASE = (
    "djstripe_created djstripe_updated stripe_data djstripe_id id djstripe_owner_account livemode created"
    " metadata"
)
#: A body of the provider that says nothing any more.
EMPTY: dict[str, Any] = {"stripe_data": {}, "metadata": {}}
WITHOUT_METADATA = BASE.replace(" metadata", "")


def provider_ids(subject: Subject) -> list[str]:
    """The provider's ids of the account's customer: none or one."""
    return list(Customer.objects.filter(account_id=subject.account).values_list("provider_id", flat=True))


def of_customer(*paths: str) -> Find:
    """Rows that reach the customer's provider id by any of these ORM paths (or keys of a JSON body)."""

    def find(subject: Subject) -> Q:
        ids = provider_ids(subject)
        found = Q(pk__in=[])
        for path in paths:
            found |= Q(**{f"{path}__in": ids})
        return found

    return find


def _of_charges(subject: Subject) -> Q:
    charges = Payment.objects.filter(account_id=subject.account).values_list("charge_id", flat=True)
    return Q(stripe_data__charge__in=list(charges))


def _of_cards(subject: Subject) -> Q:
    """The customer's cards, those too that were taken off and are only known by what they paid."""
    return Q(customer__in=provider_ids(subject)) | _of_what_paid(subject, "id")


def _of_mandates(subject: Subject) -> Q:
    return of_customer("payment_method__customer")(subject) | _of_what_paid(subject, "payment_method")


def _of_what_paid(subject: Subject, column: str) -> Q:
    ids = provider_ids(subject)
    found = Q(pk__in=[])
    for name in ("Charge", "PaymentIntent", "SetupIntent"):
        paid = apps.get_model("djstripe", name).objects.filter(customer__in=ids)
        found |= Q(**{f"{column}__in": paid.exclude(payment_method=None).values("payment_method")})
    return found


def _of_lines(subject: Subject) -> Q:
    """The lines of our own invoices: in today's shape they name neither customer nor subscription."""
    lines = InvoiceLine.objects.filter(invoice__account_id=subject.account)
    found = of_customer("subscription__customer", "invoice_item__customer")(subject)
    return found | Q(id__in=lines.values("provider_id"))


def mirror(
    model: str,
    *paths: str,
    columns: str = BASE,
    name: str = "",
    find: Find | None = None,
    anonymise: Mapping[str, Any] | None = None,
) -> None:
    """A copy of the provider's object about one customer: deleted. `find` where `paths` are not enough.

    With a name the id and the body go into an export; the other columns repeat them. What
    `anonymise` names is emptied before any row goes.
    """
    shown = [column for column in ("id", "stripe_data") if name]
    classify(
        f"djstripe.{model}",
        DELETE,
        name=name,
        path=find or of_customer(*paths),
        exported=" ".join(shown),
        hidden=" ".join(column for column in columns.split() if column not in shown),
        anonymise=anonymise,
        is_mirror=True,
        ways=paths,
    )


def catalogue(model: str, hidden: str = BASE, apart: str = "") -> None:
    """The operator's own objects, or features of the provider that the product does not use."""
    classify(f"djstripe.{model}", NOT_PERSONAL, hidden=hidden, apart=apart)


mirror(
    "Customer",
    "id",
    name="provider_customer",
    columns=f"{BASE} email default_payment_method subscriber date_purged",
)
mirror(
    "PaymentMethod",
    "customer",
    find=_of_cards,
    name="provider_cards",
    # A card that was taken off belongs to no customer any more and is only reached through what it
    # paid: it is emptied while that is still there.
    anonymise=EMPTY,
    columns=f"{BASE} customer",
)
mirror(
    "Invoice",
    "customer",
    name="provider_invoices",
    columns=f"{BASE} charge customer default_payment_method payment_intent subscription",
)
mirror("Subscription", "customer", name="provider_subscriptions", columns=f"{BASE} customer")
mirror(
    "Charge",
    "customer",
    "invoice__customer",
    name="provider_charges",
    columns=f"""{BASE} amount currency balance_transaction customer invoice payment_intent payment_method
        source status""",
)
mirror(
    "Refund",
    "charge__customer",
    name="provider_refunds",
    columns=f"{BASE} amount balance_transaction charge currency failure_balance_transaction",
)
mirror("TaxId", "customer", name="provider_tax_ids", columns=f"{WITHOUT_METADATA} customer")
mirror(
    "Discount",
    "customer",
    "invoice__customer",
    "subscription__customer",
    columns=f"{BASE} customer invoice promotion_code subscription",
)
mirror("Invoice_default_tax_rates", "invoice__customer", columns="id invoice taxrate")
mirror(
    "UpcomingInvoice",
    "customer",
    columns=f"{BASE} charge customer default_payment_method payment_intent subscription".replace(" id ", " "),
)
mirror("InvoiceItem_tax_rates", "invoiceitem__customer", columns="id invoiceitem taxrate")
mirror("InvoiceItem", "customer", columns=f"{BASE} customer invoice price subscription")
mirror(
    "SubscriptionItem_tax_rates",
    "subscriptionitem__subscription__customer",
    columns="id subscriptionitem taxrate",
)
mirror("SubscriptionItem", "subscription__customer", columns=f"{BASE} price subscription")
mirror(
    "SubscriptionSchedule",
    "customer__id",
    columns=f"""{BASE} canceled_at completed_at current_phase customer default_settings end_behavior phases
       released_at released_subscription status subscription""",
)
mirror(
    "Session",
    "customer",
    columns=f"{BASE} customer payment_intent setup_intent subscription",
)
mirror("ApplicationFee", "charge__customer", columns=f"{BASE} account balance_transaction charge")
mirror("ApplicationFeeRefund", "fee__charge__customer", columns=f"{BASE} balance_transaction fee")
mirror(
    "Mandate",
    "payment_method__customer",
    find=_of_mandates,
    anonymise=EMPTY,
    columns=f"{BASE} payment_method",
)
mirror(
    "Dispute",
    "charge__customer",
    "payment_intent__customer",
    columns=f"{BASE} balance_transaction charge payment_intent",
)
mirror(
    "PaymentIntent",
    "customer",
    columns=f"{BASE} customer on_behalf_of payment_method",
)
mirror("SetupIntent", "customer", columns=f"{BASE} customer on_behalf_of payment_method")
mirror("BankAccount", "stripe_data__customer", columns=f"{BASE} account fingerprint")
mirror("Card", "stripe_data__customer", columns=f"{BASE} account fingerprint")
mirror("Source", "customer", columns=f"{BASE} customer")
mirror(
    "SourceTransaction",
    "source__customer",
    columns=f"{WITHOUT_METADATA} ach_credit_transfer amount currency customer_data source status",
)
mirror("ActiveEntitlement", "stripe_data__customer")
mirror("EarlyFraudWarning", find=_of_charges)
mirror("Review", find=_of_charges)
mirror(
    "LineItem",
    "subscription__customer",
    "invoice_item__customer",
    find=_of_lines,
    columns=f"{BASE} invoice_item subscription subscription_item",
)
mirror(
    "Event",
    "data__object__customer",
    "data__object__id",
    "stripe_data__data__object__customer",
    "stripe_data__data__object__id",
    columns=f"{BASE} api_version data request_id idempotency_key type",
)
mirror(
    "WebhookEventTrigger",
    "event__data__object__customer",
    "event__data__object__id",
    columns="""id remote_ip headers body valid processed exception traceback event djstripe_version created
       updated stripe_trigger_account webhook_endpoint""",
)
classify(
    "djstripe.BalanceTransaction",
    ANONYMISE,
    find=lambda subject: _balance(subject),
    hidden=f"{BASE} amount currency source type",
    anonymise=EMPTY,
    because=BOOKS,
)


def _balance(subject: Subject) -> Q:
    ids = provider_ids(subject)
    reached = ("charge__customer", "refund__charge__customer", "disputes__charge__customer")
    found = Q(pk__in=[])
    for path in reached:
        found |= Q(**{f"{path}__in": ids})
    return found


catalogue("IdempotencyKey", "uuid action livemode created")
catalogue("APIKey", f"{WITHOUT_METADATA} type name secret")
catalogue("Account")
catalogue("AccountV2")
catalogue("Coupon")
catalogue("PromotionCode")
catalogue("ShippingRate", f"{BASE} tax_code")
catalogue("TaxCode", WITHOUT_METADATA)
catalogue("TaxRate")
catalogue(
    "CountrySpec",
    """djstripe_created djstripe_updated stripe_data id default_currency supported_bank_account_currencies
    supported_payment_currencies supported_payment_methods supported_transfer_countries
    verification_fields""",
)
catalogue("Transfer", f"{BASE} balance_transaction")
catalogue("TransferReversal", f"{BASE} balance_transaction transfer")
catalogue("Product", f"{BASE} name active")
catalogue("File")
catalogue("FileLink", f"{BASE} file")
catalogue(
    "Payout",
    f"""{BASE} balance_transaction currency destination failure_balance_transaction original_payout
    reversed_by""",
    apart="destination",
)
catalogue("Price", f"{BASE} active currency nickname product lookup_key")
catalogue("Feature")
catalogue("ProductFeature", f"{BASE} product entitlement_feature")
catalogue(
    "VerificationSession",
    f"{BASE} last_error last_verification_report redaction verified_outputs status type",
)
catalogue("VerificationReport", f"{BASE} document id_number options selfie type")
catalogue("IssuingAuthorization")
catalogue("IssuingCard")
catalogue("IssuingCardholder")
catalogue("IssuingDispute")
catalogue("IssuingTransaction")
catalogue("DjstripePaymentMethod", "id type")
catalogue("ScheduledQueryRun", f"{BASE} data_load_time error file result_available_until sql status title")
catalogue(
    "WebhookEndpoint",
    f"""{BASE} api_version enabled_events secret status url application djstripe_uuid djstripe_tolerance
    djstripe_validation_method""",
)
