"""Opaque identifiers: 128 random bits or more, safe in addresses and in mails."""

import hashlib
import secrets

RECEIPT_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id() -> str:
    """A public id: 26 characters of base 32, 130 random bits."""
    return "".join(secrets.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(26))


def new_token() -> str:
    """A secret for a link: 256 random bits; only its hash is ever stored."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """The stored form of a link's secret (SHA-256, hexadecimal)."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_receipt_number() -> str:
    """A number a person can read out on the telephone: XXXX-XXXX-XXXX without look-alikes."""
    letters = "".join(secrets.choice(RECEIPT_ALPHABET) for _ in range(12))
    return f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"
