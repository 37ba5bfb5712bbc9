"""The gate: what it costs a page that names an account, and what `/access/check` costs.

`no_gate` is the same stack without it, `orm_gate` one written with the ORM and without copies: session,
person, seat, account, and the day with activity. A *hit* is an account that was let in seconds ago, a *miss*
one that was not.
"""

import io
import statistics
from importlib import import_module
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.core.handlers.wsgi import WSGIHandler
from django.test.utils import override_settings
from django.utils import timezone

from accounts import activity, copies
from accounts.ids import hash_token, new_token
from accounts.models import Account, ApiKey, Member
from bench import _world
from bench.harness import Result, Run, ratio, take_turns, watching

SIZE: Final = 100_000
ROUNDS: Final = 31
#: Requests in a turn, over so many people and keys.
REQUESTS: Final = 100
PEOPLE: Final = 100

GATE: Final = "accounts.middleware.GateMiddleware"


def run(size: int, rounds: int, *, requests: int = REQUESTS) -> Result:
    """Make the accounts, then take turns on pages and on the check, hit and miss."""
    with override_settings(ROOT_URLCONF="bench._gate_urls"):
        return _run_all(make_world(size), size, rounds, requests)


def _run_all(callers: list[dict[str, str]], size: int, rounds: int, requests: int) -> Result:
    without = [name for name in settings.MIDDLEWARE if name != GATE]
    ours, bare = _handler(settings.MIDDLEWARE), _handler(without)
    orm = _handler([*without, "bench._gate_urls.OrmGate"])
    pages = [(f"/a/{caller['account']}/bench/", caller["cookie"], "") for caller in callers]
    keys = [("/access/check", "", caller["key"]) for caller in callers]
    runs = {
        "page hit": _run(ours, pages, requests),
        "page miss": _run(ours, pages, requests, miss=True),
        "page no_gate": _run(bare, pages, requests),
        "page orm_gate": _run(orm, pages, requests),
        "check hit": _run(ours, keys, requests),
        "check miss": _run(ours, keys, requests, miss=True),
        "check no_gate": _run(bare, [("/access/bare", "", key) for _path, _no, key in keys], requests),
        "check orm_gate": _run(bare, [("/access/orm", "", key) for _path, _no, key in keys], requests),
        "session hit": _run(ours, [("/access/check", cookie, "") for _path, cookie, _key in pages], requests),
    }
    for each in runs.values():
        each.seconds()  # warm: connections, imports, today's activity
    statements = _statements(ours, pages[0], keys[0])
    seconds = take_turns(runs, rounds)
    result = Result("gate", size, rounds, _ratios(seconds), statements=statements["check miss"])
    result.notes = [f"statements: {statements} (a page's are beside the session's and the person's)"]
    result.seconds_per_row = statistics.median(seconds["page hit"]) / requests
    per = {name: min(each) / requests * 1e6 for name, each in seconds.items()}
    result.notes.append("µs a request: " + ", ".join(f"{name} {value:.0f}" for name, value in per.items()))
    return result


def _ratios(seconds: dict[str, list[float]]) -> dict[str, float]:
    """The table's keys are a page's hit; the others say what they are."""
    return {
        "no_gate": ratio(seconds, "page hit", "page no_gate"),
        "orm_gate": ratio(seconds, "page hit", "page orm_gate"),
        "miss_no_gate": ratio(seconds, "page miss", "page no_gate"),
        "check_no_gate": ratio(seconds, "check hit", "check no_gate"),
        "check_orm_gate": ratio(seconds, "check hit", "check orm_gate"),
        "check_miss_no_gate": ratio(seconds, "check miss", "check no_gate"),
        "check_session_no_gate": ratio(seconds, "session hit", "check no_gate"),
    }


def _handler(middleware: list[str]) -> WSGIHandler:
    with override_settings(MIDDLEWARE=middleware):
        return WSGIHandler()


Caller = tuple[str, str, str]


def _run(handler: WSGIHandler, callers: list[Caller], requests: int, *, miss: bool = False) -> Run:
    def work() -> None:
        for number in range(requests):
            if miss:
                copies.new_version()
            ask(handler, *callers[number % len(callers)])

    def let_everybody_in() -> None:
        """Whoever had the turn before may have ended all copies."""
        for caller in callers:
            ask(handler, *caller)

    return Run(work=work) if miss else Run(work=work, prepare=let_everybody_in)


def ask(handler: WSGIHandler, path: str, cookie: str, key: str) -> int:
    """One request as a server hands it over; anything but 200 is an error of the bench."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
    }
    if cookie:
        environ["HTTP_COOKIE"] = f"{settings.SESSION_COOKIE_NAME}={cookie}"
    if key:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    response = handler(environ, lambda status, headers, exc_info=None: lambda body: None)
    response.close()
    if response.status_code != 200:
        raise AssertionError(f"{path} answers {response.status_code}")
    return int(response.status_code)


def _statements(handler: WSGIHandler, page: Caller, key: Caller) -> dict[str, int]:
    counted = {}
    for name, caller in (("page", page), ("check", key)):
        for kind in ("miss", "hit"):
            if kind == "miss":
                copies.new_version()
            with watching() as seen:
                ask(handler, *caller)
            counted[f"{name} {kind}"] = seen.statements
    return counted


def make_world(size: int) -> list[dict[str, str]]:
    """`size` accounts with an owner each; the first hundred have a session and a key."""
    _world.make_accounts(Account(country="ES", created_at=timezone.now()), size)
    _world.analyze()
    activity.forget_seen()
    seats = Member.objects.select_related("account", "user").order_by("pk")
    return [_caller(seat) for seat in seats[: min(PEOPLE, size)]]


def _caller(seat: Member) -> dict[str, str]:
    key = f"gt_{new_token()}"
    ApiKey.objects.create(
        account=seat.account,
        name="bench",
        prefix=key[:11],
        token_hash=hash_token(key),
        created_at=seat.joined_at,
    )
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(seat.user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = seat.user.get_session_auth_hash()
    store.save()
    from allauth.usersessions.models import UserSession

    UserSession.objects.create(user=seat.user, session_key=store.session_key, ip="127.0.0.1", user_agent="")
    return {"account": seat.account.public_id, "cookie": str(store.session_key), "key": key}
