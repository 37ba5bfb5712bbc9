"""What an account pays for, what Stripe knows of it, and what travels between the two."""

from billing.models.customer import Customer
from billing.models.dunning import DunningAttempt, DunningCase
from billing.models.incoming import Incoming
from billing.models.instruction import Instruction
from billing.models.invoice import Invoice, InvoiceLine
from billing.models.payment import Dispute, Payment
from billing.models.plan import Plan
from billing.models.price import PlannedPrice, PriceChange
from billing.models.refund import Refund, RefundMovement
from billing.models.subscription import Pause, Subscription
from billing.models.trial import TrialAllowance, TrialExtension, TrialRequest, TrialStep

__all__ = [
    "Customer",
    "Dispute",
    "DunningAttempt",
    "DunningCase",
    "Incoming",
    "Instruction",
    "Invoice",
    "InvoiceLine",
    "Pause",
    "Payment",
    "Plan",
    "PlannedPrice",
    "PriceChange",
    "Refund",
    "RefundMovement",
    "Subscription",
    "TrialAllowance",
    "TrialExtension",
    "TrialRequest",
    "TrialStep",
]
