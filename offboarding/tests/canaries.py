"""A world in which every text that could be about a person holds a value found nowhere else."""

import datetime as dt
import pickle
from itertools import count
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.db import connection, models

from accounts.classification import Entry, Subject, registry
from accounts.models import (
    Acceptance,
    Account,
    ActivityDay,
    ApiKey,
    Hold,
    Invitation,
    Link,
    Member,
    Notice,
    User,
)
from accounts.tests.worlds import NOON, make_account, make_member, make_user
from billing import models as billing
from offboarding import export_files
from offboarding import models as leaving

DAY = dt.timedelta(days=1)
CANARY = "canary"
_number = count(1)


def canary(length: int = 40) -> str:
    """A value of its own, never longer than its column."""
    return f"{CANARY}{next(_number)}"[:length]


def make_leaver(*, closed_at: dt.datetime = NOON - 200 * DAY) -> Account:
    """A closed account with rows in every model that the map calls personal."""
    owner = make_user(f"{canary()}@example.com", password="secret words", name=canary())
    account = make_account(owner=owner, name=canary(), state="closed", closed_at=closed_at, country="ES")
    make_member(account)
    _fill_accounts(account, owner)
    _fill_billing(account)
    _fill_offboarding(account, owner)
    _fill_sign_in(account, owner)
    _fill_mirror(account)
    return account


def subject_of(account: Account) -> Subject:
    """The account and its people."""
    people = Member.objects.filter(account=account).values_list("user_id", flat=True)
    return Subject(account.pk, account.public_id, tuple(people))


def _fill_accounts(account: Account, owner: User) -> None:
    days = {"created_at": NOON, "expires_at": NOON}
    Invitation.objects.create(account=account, email=f"{canary()}@example.com", invited_by=owner, **days)
    for purpose in Link.Purpose:
        Link.objects.create(
            account=account,
            purpose=purpose,
            subject=canary(),
            token_hash=canary(),
            user=owner,
            created_at=NOON,
        )
    Acceptance.objects.create(
        account=account, terms=account.terms, accepted_at=NOON, accepted_by=owner, language="es"
    )
    ApiKey.objects.create(
        account=account,
        name=canary(),
        prefix=canary(16),
        token_hash=canary(),
        created_by=owner,
        created_at=NOON,
    )
    ActivityDay.objects.create(account=account, day=NOON.date())
    Hold.objects.create(
        account=account, reason="promise", note=canary(), starts_at=NOON, ends_at=NOON, created_at=NOON
    )
    for status in ("owed", "sent"):
        Notice.objects.create(
            account=account, user=owner, address=f"{canary()}@example.com", recipient=owner.public_id,
            kind="welcome", period=canary(), facts={"name": canary()}, window_from=NOON, window_to=NOON,
            next_attempt_at=NOON, created_at=NOON, status=status, message_id=canary(), sent_at=NOON,
        )  # fmt: skip


def _fill_billing(account: Account) -> None:
    customer = billing.Customer.objects.create(
        account=account, provider_id=f"cus_{account.pk}", card_id=canary(), card_brand=canary(20),
        card_last4="c4n4", card_expires="12/2030", card_fingerprint=canary(), test_clock=canary(),
    )  # fmt: skip
    plan = billing.Plan.objects.create(
        code=f"p{account.pk}", name_en="A", name_es="A", amount=900, currency="EUR",
        provider_price=f"price_{account.pk}",
    )  # fmt: skip
    subscription = billing.Subscription.objects.create(
        account=account, plan=plan, provider_id=f"sub_{account.pk}", status="canceled", started_at=NOON,
        ended_at=NOON,
    )  # fmt: skip
    billing.Pause.objects.create(
        subscription=subscription, starts_at=NOON, resumes_at=NOON + DAY, created_at=NOON
    )
    dearer = billing.Plan.objects.create(
        code=f"p{account.pk}-2", name_en="A", name_es="A", amount=1200, currency="EUR",
        provider_price=f"price_{account.pk}_2",
    )  # fmt: skip
    change = billing.PriceChange.objects.create(
        from_plan=plan, to_plan=dearer, effective_from=NOON, reason="costs", actor="staff", created_at=NOON
    )
    billing.PlannedPrice.objects.create(
        change=change, account=account, subscription=subscription, amount_before=900, amount_after=1200,
        currency="EUR", takes_at=NOON + DAY, state="dropped", reason="ended", created_at=NOON, closed_at=NOON,
    )  # fmt: skip
    billing.TrialStep.objects.create(
        subscription=subscription, kind="end", due_at=NOON, window_to=NOON, done_at=NOON
    )
    billing.TrialExtension.objects.create(
        account=account, subscription=subscription, days=1, ends_before=NOON, ends_after=NOON + DAY,
        via="staff", reason="other", note=canary(), actor="staff", actor_ref=canary(26), created_at=NOON,
    )  # fmt: skip
    billing.TrialRequest.objects.create(
        account=account, subscription=subscription, text=canary(), answer=canary(), state="declined",
        answer_by=NOON, created_at=NOON, closed_at=NOON,
    )  # fmt: skip
    billing.TrialAllowance.objects.create(account=account, note=canary(), created_at=NOON)
    invoice = billing.Invoice.objects.create(
        account=account, subscription=subscription, provider_id=f"in_{account.pk}", number=canary(),
        status="paid", paid_at=NOON, currency="EUR", created_at=NOON, synced_at=NOON, billing_reason=canary(),
    )  # fmt: skip
    case = billing.DunningCase.objects.create(
        account=account, invoice=invoice, terms=account.terms, status="paid", opened_at=NOON, told_at=NOON,
        decline=canary(), card_id=canary(), block_at=NOON, end_at=NOON, closed_at=NOON,
        closed_reason=canary(),
    )  # fmt: skip
    billing.DunningAttempt.objects.create(
        case=case, at=NOON, day=NOON.date(), outcome="declined", reason=canary(), card_id=canary()
    )
    billing.InvoiceLine.objects.create(
        invoice=invoice, provider_id=f"il_{account.pk}", net=900, starts_at=NOON, ends_at=NOON,
        description=canary(),
    )  # fmt: skip
    payment = billing.Payment.objects.create(
        account=account, invoice=invoice, provider_id=f"pi_{account.pk}", charge_id=f"ch_{account.pk}",
        amount=900, currency="EUR", paid_at=NOON, method_brand=canary(20), method_last4="c4n4",
        method_fingerprint=canary(), balance_transaction=canary(),
    )  # fmt: skip
    billing.Dispute.objects.create(
        payment=payment, provider_id=f"dp_{account.pk}", amount=1, currency="EUR", status="won",
        reason=canary(), opened_at=NOON, synced_at=NOON,
    )  # fmt: skip
    refund = billing.Refund.objects.create(
        account=account, payment=payment, amount=1, currency="EUR", basis="terms", created_at=NOON,
        state="succeeded", provider_id=f"re_{account.pk}", moved_at=NOON,
        approved_by=make_user(is_staff=True),
    )  # fmt: skip
    billing.RefundMovement.objects.create(
        refund=refund, kind="refund", amount=1, currency="EUR", moved_at=NOON
    )
    for kind, status in (("customer", "dead"), ("subscription", "dead"), ("refund", "done")):
        billing.Instruction.objects.create(
            account=account, kind=kind, subject=f"{kind}:{account.pk}", status=status, done_at=NOON,
            desired={"email": canary()} if kind == "customer" else {}, idempotency_key=canary(),
            next_attempt_at=NOON, created_at=NOON, error=canary(), closed_reason=canary(),
            answer={"x": canary()},
        )  # fmt: skip
    billing.Incoming.objects.create(
        event_id=f"evt_{account.pk}", type="x", customer_id=customer.provider_id, created=NOON,
        received_at=NOON, next_attempt_at=NOON, error=canary(),
    )  # fmt: skip


def _fill_offboarding(account: Account, owner: User) -> None:
    subscription = billing.Subscription.objects.get(account=account)
    used, _unused = (
        leaving.Quote.objects.create(
            account=account, subscription=subscription, ending="stop_now", terms=account.terms, made_at=NOON,
            measured_at=NOON, facts={"words": canary()}, facts_hash=canary(), currency="EUR", basis="terms",
            rule="full", access_ends_at=NOON, billing_ends_at=NOON, data_until=NOON, purge_on=NOON,
        )
        for _ in range(2)
    )  # fmt: skip
    cancellation = leaving.Cancellation.objects.create(
        account=account, subscription=subscription, ending="stop_now", status="completed", quote=used,
        completed_at=NOON, via="staff", declared_by=owner, caller_identified=canary(), declared_at=NOON,
        declared_zone="Europe/Madrid", effective_at=NOON, billing_ends_at=NOON, receipt_hash=canary(),
        undo_hash=canary(),
    )  # fmt: skip
    leaving.Reservation.objects.create(
        cancellation=cancellation, quote=used, amount=1, currency="EUR", free_until=NOON,
        deadline_at=NOON + 30 * DAY,
    )  # fmt: skip
    leaving.ExitSurvey.objects.create(
        cancellation=cancellation, problem=canary(), expectation=canary(), change=canary(),
        call_when=canary(), wants_call=True, answered_at=NOON,
    )  # fmt: skip
    leaving.Offer.objects.create(cancellation=cancellation, kind="call", shown_at=NOON)
    made = leaving.Export.objects.create(
        account=account, requested_by=owner, status="ready", file_name="x", requested_at=NOON,
        expires_at=NOON + 900 * DAY, sha256=canary(),
    )  # fmt: skip
    path = export_files.folder() / f"{made.public_id}.zip"
    path.write_text(canary())
    leaving.Export.objects.filter(pk=made.pk).update(file_name=path.name)


def _fill_sign_in(account: Account, owner: User) -> None:
    get = apps.get_model
    address = get("account", "EmailAddress").objects.create(user=owner, email=f"{canary()}@example.com")
    get("account", "EmailConfirmation").objects.create(email_address=address, key=canary())
    get("mfa", "Authenticator").objects.create(user=owner, type="totp", data={"secret": canary()})
    session = SessionStore()
    session["name"] = canary()
    session.save()
    get("usersessions", "UserSession").objects.create(
        user=owner, ip="10.9.8.7", session_key=session.session_key, user_agent=canary(), created_at=NOON
    )
    group = get("auth", "Group").objects.create(name=f"group {account.pk}")
    owner.groups.add(group)
    owner.user_permissions.add(get("auth", "Permission").objects.first())
    content_types = get("contenttypes", "ContentType").objects
    for row in (owner, account):
        get("admin", "LogEntry").objects.create(
            user=make_user(is_staff=True), content_type=content_types.get_for_model(row),
            object_id=str(row.pk), object_repr=canary(), action_flag=2, change_message=canary(),
        )  # fmt: skip


def _fill_mirror(account: Account) -> None:
    """One row of every model of the mirror, its body about this customer."""
    made: dict[str, models.Model] = {}
    for entry in registry:
        if entry.label.startswith("djstripe.") and entry.is_personal:
            _mirror_row(entry, account, made)
    for row in made.values():
        _close_circles(row, made)


def _close_circles(row: models.Model, made: dict[str, models.Model]) -> None:
    """What pointed at a row that was not there yet points at it now."""
    for field in row._meta.local_concrete_fields:
        target = made.get(field.related_model._meta.label) if field.is_relation else None
        if target is not None and getattr(row, field.attname) is None:
            setattr(row, field.name, target)
    row.save()


#: Where a mirror's row is found by what it says, not by a foreign key.
def _body(account: Account) -> dict[str, Any]:
    customer, charge = f"cus_{account.pk}", f"ch_{account.pk}"
    return {"customer": customer, "charge": charge, "name": canary(), "object": {"customer": customer}}


def _mirror_row(entry: Entry, account: Account, made: dict[str, models.Model]) -> models.Model:
    if entry.label in made:
        return made[entry.label]
    ids = {"Customer": "cus", "Charge": "ch", "Invoice": "in", "Subscription": "sub", "LineItem": "il"}
    name = entry.model.__name__
    made[entry.label] = row = entry.model()
    for field in entry.model._meta.local_concrete_fields:
        if isinstance(field, models.ForeignKey):
            target = next((e for e in registry if e.model is field.related_model), None)
            if target and target.is_personal and target.label.startswith("djstripe."):
                in_circle = target.label in made and made[target.label].pk is None
                if not in_circle:
                    setattr(row, field.name, _mirror_row(target, account, made))
            elif not field.null:
                setattr(row, field.name, _catalogue_row(field.related_model))
        elif field.name == "id" and not field.primary_key:
            row.id = f"{ids.get(name, name.lower())}_{account.pk}"
        elif isinstance(field, models.JSONField):
            setattr(row, field.name, _body(account))
        elif not field.primary_key and not field.has_default():
            setattr(row, field.name, _value(field))
    row.save()
    return row


def _catalogue_row(model: Any) -> models.Model:
    row = model()
    for field in model._meta.local_concrete_fields:
        if isinstance(field, models.JSONField):
            setattr(row, field.name, {})
        elif not field.primary_key and not field.has_default() and not field.is_relation:
            setattr(row, field.name, _value(field, "x"))
    row.save()
    return row


def _value(field: Any, text: str = "") -> Any:
    if isinstance(field, models.BooleanField):
        return False
    if isinstance(field, (models.IntegerField, models.DecimalField)):
        return 1
    if isinstance(field, models.DateTimeField):
        return NOON
    if isinstance(field, models.GenericIPAddressField):
        return "10.9.8.7"
    if isinstance(field, models.UUIDField):
        return field.get_default()
    return (text + str(next(_number)) if text else canary(field.max_length or 40))[: field.max_length or 40]


# --- Looking for them ---------------------------------------------------------------------------


def find_canaries() -> set[tuple[str, str]]:
    """(table, column) of every planted value in any table, (file, path) and (cache, key)."""
    found: set[tuple[str, str]] = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                found |= {
                    (table, name) for name, value in zip(columns, row, strict=True) if CANARY in repr(value)
                }
    for path in Path(settings.PRIVATE_FILES).rglob("*"):
        if path.is_file() and CANARY in path.read_text(errors="replace"):
            found.add(("file", path.name))
    for key, value in getattr(cache, "_cache", {}).items():
        if CANARY in key or CANARY in repr(pickle.loads(value)):
            found.add(("cache", key))
    return found
