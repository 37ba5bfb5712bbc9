"""What comes of an instruction to Stripe, and the key under which a wish is said again."""

from dataclasses import dataclass, field
from typing import Any

from billing.models import Instruction
from billing.stripe_api import ProviderRefund


class Unresolved(Exception):
    """What happened cannot be found out by reading: a person looks."""


@dataclass(frozen=True)
class Answer:
    """What came of it: ids and codes to keep, and the provider's refund where it was one."""

    ids: dict[str, Any] = field(default_factory=dict)
    refund: ProviderRefund | None = None


def key_of_state(instruction: Instruction) -> str:
    """The key for calls that say what should be, after what is there was read; a new one each time.

    The provider keeps a 500 under its key and would answer it for a day. What creates something
    never uses this: it is looked for by our id, and made under the stored key.
    """
    key = str(instruction.idempotency_key)
    return key if instruction.attempts <= 1 else f"{key}:{instruction.attempts}"
