"""What becomes of every field of this app, of Django's own tables and of allauth's.

A person who belongs to another account that is not erased, or to staff, survives: only what ties
them to the erased account goes. Everyone else's user row is deleted, and with it addresses,
authenticators and sessions.
"""

from typing import Any

from django.apps import apps
from django.db.models import CharField, Q
from django.db.models.functions import Cast
from django.utils.translation import gettext_noop as _

from accounts.classification import ANONYMISE, DELETE, KEEP, NOT_PERSONAL, Subject, classify, registry
from accounts.models import Account, Link, Member, User

#: Stands where a name was; `accounts.states.move_account` writes it with the move to erased.
NO_NAME = "–"

PROOF = _("Proof that the terms were accepted and the contract was ended, kept as long as the books.")
STUB = _("The account's number stays so that the books and the history have something to refer to.")


def _people(subject: Subject) -> Q:
    return Q(pk__in=Member.objects.filter(account_id=subject.account).values("user_id"))


def _history(subject: Subject) -> Q:
    return Q(account_ref=subject.account_ref)


def _sessions(subject: Subject) -> Q:
    tracked = apps.get_model("usersessions", "UserSession").objects.filter(user_id__in=subject.users)
    return Q(session_key__in=tracked.values("session_key"))


def _admin_log(subject: Subject) -> Q:
    """Entries of the admin log about the subject's rows: they repeat names and addresses."""
    content_types = apps.get_model("contenttypes", "ContentType").objects
    found = Q(user_id__in=subject.users)
    for entry in registry:
        # Nobody edits the provider's copies or sessions in admin, so no entry is about them.
        if entry.is_personal and not entry.is_mirror and entry.label not in _NEVER_IN_THE_ADMIN_LOG:
            keys = entry.rows(subject).values_list(Cast("pk", CharField()), flat=True)
            found |= Q(content_type=content_types.get_for_model(entry.model), object_id__in=keys)
    return found


_NEVER_IN_THE_ADMIN_LOG = {"admin.LogEntry", "sessions.Session"}

# --- accounts -----------------------------------------------------------------------------------
classify(
    "accounts.Account",
    ANONYMISE,
    name="account",
    path="pk",
    exported="""public_id name country time_zone language currency kind state access_ends_at terms created_at
        closed_at""",
    hidden="id event_count",
    anonymise={"name": NO_NAME, "time_zone": "UTC", "access_ends_at": None},
    because=STUB,
    key="public_id",
)
classify(
    "accounts.User",
    DELETE,
    name="people",
    path=_people,
    own="pk",
    find=lambda subject: Q(pk__in=subject.users),
    exported="public_id email name language date_joined last_login",
    hidden="id password is_staff is_active is_superuser",
    key="public_id",
)
classify("accounts.User_groups", DELETE, own="user", hidden="id user group")
classify("accounts.User_user_permissions", DELETE, own="user", hidden="id user permission")
classify(
    "accounts.Member",
    DELETE,
    name="members",
    path="account",
    own="user",
    exported="user role joined_at left_at",
    hidden="id account",
)
classify(
    "accounts.Invitation",
    DELETE,
    name="invitations",
    path="account",
    exported="email role invited_by created_at expires_at accepted_at withdrawn_at",
    hidden="id account",
)
classify(
    "accounts.Link",
    KEEP,
    path="account",
    own="user",
    hidden="id purpose account subject token_hash user created_at expires_at used_at",
    anonymise={"user": None},
    because=PROOF,
    only=lambda: Q(purpose=Link.Purpose.RECEIPT),
)
classify(
    "accounts.Acceptance",
    KEEP,
    name="accepted_terms",
    path="account",
    own="accepted_by",
    exported="terms accepted_at accepted_by language text_hash immediate_start",
    hidden="id account",
    anonymise={"accepted_by": None},
    because=PROOF,
)
classify(
    "accounts.Notice",
    DELETE,
    name="notices",
    path="account",
    own="user",
    exported="user address kind period facts window_from window_to status reason created_at sent_at",
    hidden="""id account recipient subject rule_ids attempts next_attempt_at lease_until lease_token
        message_id unanswered outcome outcome_at gentle_day handled_at""",
)
classify(
    "accounts.Hold",
    DELETE,
    name="holds",
    path="account",
    exported="reason note starts_at ends_at created_at",
    hidden="id public_id account placed_by",
)
classify(
    "accounts.ApiKey",
    DELETE,
    name="api_keys",
    path="account",
    exported="name prefix created_by created_at last_used_on revoked_at",
    hidden="id account token_hash",
)
classify(
    "accounts.ActivityDay",
    DELETE,
    name="activity_days",
    path="account",
    exported="day",
    hidden="id account",
)
classify(
    "accounts.Event",
    NOT_PERSONAL,
    name="history",
    find=_history,
    exported="seq kind subject actor actor_ref facts at",
    hidden="id account_ref",
    because=_("The history holds ids, codes, amounts and times only."),
)
classify(
    "accounts.Terms",
    NOT_PERSONAL,
    hidden="""id version in_force_from published_at
        trial_grace_days trial_end_plan trial_extension_days trial_extension_engaged_days engaged_days
        trial_extensions_max trial_card_days
        dunning_attempt_days dunning_block_after dunning_grace_days dunning_choose_days dunning_end
        open_invoice charge_move_days hold_max_days
        refund_full_days refund_after refund_keeps_access refund_once_per_months refund_arrival_days
        free_days free_days_claim_days pause_max_months pause_per_months pause_notice_days offers_call
        team_hold_hours deletion_days retrieval_days retention_days export_days""",
    key="version",
)
classify("accounts.TermsText", NOT_PERSONAL, hidden="id text_hash terms language text")
classify(
    "accounts.JobRun",
    NOT_PERSONAL,
    hidden="id name slot was_off started_at finished_at seconds due done skipped error",
)
classify(
    "accounts.JobSwitch",
    NOT_PERSONAL,
    hidden="id name is_off actor actor_ref reason at",
    because=_("Which job staff stopped, and why."),
)
classify(
    "accounts.WebhookEndpoint",
    NOT_PERSONAL,
    hidden="id url description secret former_secret former_until is_active created_at",
)
classify(
    "accounts.WebhookDelivery",
    NOT_PERSONAL,
    hidden="""id endpoint message_id account_ref kind body status attempts next_attempt_at lease_until
        lease_token error created_at done_at""",
    because=_("It says which number may get in, as the history does, and goes after some weeks."),
)
classify(
    "accounts.Suppression",
    NOT_PERSONAL,
    hidden="id address_hash reason at",
    because=_("That an address must not be written to outlives it, as a hash."),
)

# --- Django -------------------------------------------------------------------------------------
classify(
    "admin.LogEntry",
    DELETE,
    find=_admin_log,
    hidden="id action_time user content_type object_id object_repr action_flag change_message",
)
classify("auth.Group", NOT_PERSONAL, hidden="id name")
classify("auth.Group_permissions", NOT_PERSONAL, hidden="id group permission")
classify("auth.Permission", NOT_PERSONAL, hidden="id name content_type codename")
classify("contenttypes.ContentType", NOT_PERSONAL, hidden="id app_label model")
classify("sessions.Session", DELETE, find=_sessions, hidden="session_key session_data expire_date")

# --- allauth ------------------------------------------------------------------------------------
classify(
    "account.EmailAddress",
    DELETE,
    name="email_addresses",
    own="user",
    exported="email verified primary",
    hidden="id user",
)
classify(
    "account.EmailConfirmation",
    DELETE,
    own="email_address__user",
    hidden="id email_address created sent key",
)
classify(
    "mfa.Authenticator",
    DELETE,
    name="authenticators",
    own="user",
    exported="type created_at last_used_at",
    hidden="id user data",
)
classify(
    "usersessions.UserSession",
    DELETE,
    name="sessions",
    own="user",
    exported="created_at ip last_seen_at user_agent",
    hidden="id user session_key data",
)


def leaving_users(account: Account) -> "list[int]":
    """Who goes with this account: its people, former ones too, in no other that lives on, and not staff."""
    elsewhere = Member.objects.exclude(account=account).exclude(account__state=Account.State.ERASED)
    people: Any = User.objects.filter(memberships__account=account, is_staff=False, is_superuser=False)
    return sorted(set(people.exclude(pk__in=elsewhere.values("user_id")).values_list("pk", flat=True)))
