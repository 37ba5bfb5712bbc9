"""Webhooks on their way out: lease a message, post it outside any transaction, record the answer.

Only to public addresses over https: the name is looked up once, every address it has must be public, and the
connection goes to the very address that was looked at, so that a second look-up cannot lead elsewhere.
Redirects are not followed, and of the answer only the status is read.
"""

import contextlib
import datetime as dt
import http.client
import ipaddress
import logging
import secrets
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import F

from accounts.models import WebhookDelivery
from accounts.webhooks_out import signatures

logger = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Status = WebhookDelivery.Status
LEASE: Final = dt.timedelta(minutes=2)
#: Seconds for connecting and for each answer, and for the whole of one sending.
TIMEOUT, DEADLINE = 5.0, 15.0
#: A run of the sweeper ends after so many seconds; the next one goes on.
RUN_SECONDS: Final = 45.0
#: Seconds until the next attempt; after the last one, within the hour, a person decides.
BACK_OFF: Final = (5, 30, 120, 300, 600, 1200)
#: IPv6 networks whose addresses only wrap an IPv4 address: who goes there ends up at that one.
WRAPPED: Final = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "2002::/16", "2001::/32")))


class NotSent(Exception):
    """The message was not taken: the address is refused, nobody answers, or the answer is not 2xx."""


@dataclass(frozen=True)
class Target:
    """Where a message goes: the name for the certificate, and the address that was looked at."""

    scheme: str
    host: str
    port: int
    path: str
    address: str


def send_due_webhooks(*, at: dt.datetime, limit: int = 500) -> int:
    """Send what is due, oldest first; an endpoint that fails waits for its next turn. Returns how many."""
    started, sent, failing = time.monotonic(), 0, set[int]()
    due = WebhookDelivery.objects.due(at).order_by("next_attempt_at", "pk")
    for pk, endpoint in list(due.values_list("pk", "endpoint_id")[:limit]):
        passed = time.monotonic() - started
        if passed > RUN_SECONDS:
            break
        if endpoint in failing:
            continue
        delivery = _claim(pk, at=at + dt.timedelta(seconds=int(passed)))
        if delivery is None:
            continue
        if _send(delivery, at=at):
            sent += 1
        else:
            failing.add(endpoint)
    return sent


def _claim(pk: int, *, at: dt.datetime) -> WebhookDelivery | None:
    token = secrets.token_hex(16)
    free = WebhookDelivery.objects.due(at).filter(pk=pk)
    if not free.update(lease_until=at + LEASE, lease_token=token, attempts=F("attempts") + 1):
        return None
    return WebhookDelivery.objects.select_related("endpoint").filter(pk=pk, lease_token=token).first()


def _send(delivery: WebhookDelivery, *, at: dt.datetime) -> bool:
    try:
        post(delivery, at=at)
    except NotSent as refusal:
        _put_off(delivery, str(refusal), at=at)
        return False
    return _record(delivery, status=Status.DONE, done_at=at, error="")


def _record(delivery: WebhookDelivery, **columns: Any) -> bool:
    """Write the outcome, if the lease is still ours."""
    held = WebhookDelivery.objects.filter(pk=delivery.pk, lease_token=delivery.lease_token)
    return bool(held.filter(status=Status.PENDING).update(lease_until=None, **columns))


def _put_off(delivery: WebhookDelivery, why: str, *, at: dt.datetime) -> None:
    """Later, longer each time; within the hour it is a dead letter that staff see (I1)."""
    if delivery.attempts > len(BACK_OFF):
        logger.error("webhook needs a person", extra={"webhook": delivery.message_id, "why": why})
        _record(delivery, status=Status.DEAD, error=why[:200])
        return
    wait = dt.timedelta(seconds=BACK_OFF[delivery.attempts - 1])
    _record(delivery, error=why[:200], next_attempt_at=at + wait)


def post(delivery: WebhookDelivery, *, at: dt.datetime) -> None:
    """Sign and post one message; raises `NotSent` unless the answer is 2xx."""
    target, timestamp = look_up(delivery.endpoint.url), int(at.timestamp())
    headers = {
        "Host": urlsplit(delivery.endpoint.url).netloc,
        "Content-Type": "application/json",
        "User-Agent": "Good-Terms-Webhooks/1",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(delivery.endpoint, delivery.message_id, timestamp, delivery.body, at),
    }
    status = _call(target, delivery.body.encode(), headers)
    if not 200 <= status < 300:
        raise NotSent(f"the answer was {status}")


def look_up(url: str) -> Target:
    """Resolve the address once; raises `NotSent` for anything that is not public, or not https."""
    parts = urlsplit(url)
    host, scheme = parts.hostname or "", parts.scheme
    if not host or scheme not in ("https", "http") or parts.username is not None:
        raise NotSent("this is no https address")
    try:
        port = parts.port or (443 if scheme == "https" else 80)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise NotSent("the name is unknown") from error
    addresses = [ipaddress.ip_address(str(entry[4][0])) for entry in found]
    is_near = settings.WEBHOOKS_MAY_STAY_HERE and all(address.is_loopback for address in addresses)
    if not is_near and not all(is_public(address) for address in addresses):
        raise NotSent("the address is not public")
    if scheme != "https" and not is_near:
        raise NotSent("this is no https address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, host, port, path, str(addresses[0]))


def is_public(address: Address) -> bool:
    """Whether it can be anybody's on the internet: no private, loopback, link-local or wrapped one."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return is_public(mapped)
    if any(address in network for network in WRAPPED if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast


def _call(target: Target, body: bytes, headers: dict[str, str]) -> int:
    """One POST to the address that was looked at; the status of the answer."""
    connection = http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT)
    try:
        connection.sock = _connect(target)
        end = threading.Timer(DEADLINE, _hang_up, [connection.sock])
        end.daemon = True
        end.start()
        try:
            connection.request("POST", target.path, body, headers)
            return connection.getresponse().status
        finally:
            end.cancel()
    except (OSError, http.client.HTTPException) as error:
        raise NotSent(f"no answer: {type(error).__name__}") from error
    finally:
        connection.close()


def _connect(target: Target) -> socket.socket:
    plain = socket.create_connection((target.address, target.port), timeout=TIMEOUT)
    if target.scheme == "http":
        return plain
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)
    except OSError:
        plain.close()
        raise


def _hang_up(connected: socket.socket) -> None:
    """A receiver that answers a byte at a time does not hold the queue up."""
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
