"""Who has an account, under which terms, in which state, and what we owe them."""

from accounts.models.account import Account, Invitation, Link, Member
from accounts.models.event import Event
from accounts.models.gate import ActivityDay, ApiKey
from accounts.models.hold import Hold
from accounts.models.job import JobRun, JobSwitch
from accounts.models.notice import Notice, Suppression
from accounts.models.terms import Acceptance, Terms, TermsText
from accounts.models.user import User
from accounts.models.webhook import WebhookDelivery, WebhookEndpoint

__all__ = [
    "Acceptance",
    "Account",
    "ActivityDay",
    "ApiKey",
    "Event",
    "Hold",
    "Invitation",
    "JobRun",
    "JobSwitch",
    "Link",
    "Member",
    "Notice",
    "Suppression",
    "Terms",
    "TermsText",
    "User",
    "WebhookDelivery",
    "WebhookEndpoint",
]
