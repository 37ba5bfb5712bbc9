"""A server does not start with a missing or unsafe setting, and says which and what to do."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings.policy import mail_hours
from config.settings.safety import problems

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.once
GOOD = {
    "SECRET_KEY": "kJ8s7dh3Jk29dkLQmXn48fhs7Hs83hKs92jsmZ01aPqLwTTy71bb",
    "SITE_URL": "https://billing.good.test",
    "ALLOWED_HOSTS": "billing.good.test",
    "TRUSTED_PROXY_COUNT": "1",
    "DATABASE_URL": "postgres://u:p@127.0.0.1:1/x",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "PRIVATE_FILES": "/data/private",
    "STRIPE_SECRET_KEY": "sk_test_1234567890abcdef12345678",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_1234567890abcdef12345678",
    "STRIPE_WEBHOOK_SECRET": "whsec_1234",
    "EMAIL_PROVIDER": "postmark",
    "ANYMAIL": '{"POSTMARK_SERVER_TOKEN": "x", "WEBHOOK_SECRET": "a:b"}',
    "DEFAULT_FROM_EMAIL": "Good <hello@good.test>",
    "SUPPORT_EMAIL": "support@good.test",
}
UNSAFE = {
    "SECRET_KEY": [
        "x" * 60,
        "short",
        "change-me-" * 6,
        "development-only-secret-key-not-for-any-other-use-x",
    ],
    "SITE_URL": ["http://billing.good.test", "https://other.test"],
    "ALLOWED_HOSTS": ["*"],
    "TRUSTED_PROXY_COUNT": ["yes"],
    "DATABASE_URL": ["sqlite:///db.sqlite3"],
    "REDIS_URL": ["memory://"],
    "PRIVATE_FILES": ["relative/folder"],
    "STRIPE_SECRET_KEY": ["pk_test_123", "sk_live_1234567890abcdef12345678"],
    "STRIPE_PUBLISHABLE_KEY": ["sk_test_123"],
    "STRIPE_WEBHOOK_SECRET": ["secret"],
    "STRIPE_API_BASE": ["http://127.0.0.1:8420", "https://api.stripe.com.evil.test"],
    "STRIPE_JS_URL": ["http://127.0.0.1:8420/v3/"],
    "EMAIL_PROVIDER": ["console", "pigeon"],
    "ANYMAIL": ["{}"],
    "DEFAULT_FROM_EMAIL": ["nobody", "Example <hello@example.com>"],
    "SUPPORT_EMAIL": ["support@example.com"],
}
OPTIONAL = {"STRIPE_API_BASE", "STRIPE_JS_URL"}


def test_a_complete_environment_has_no_problem():
    assert problems(GOOD) == []


@pytest.mark.parametrize("name", sorted(set(GOOD) - OPTIONAL))
def test_a_missing_setting_is_named(name):
    found = problems({key: value for key, value in GOOD.items() if key != name})

    assert any(name in sentence for sentence in found), found


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in UNSAFE for value in UNSAFE[name]])
def test_an_unsafe_setting_is_named(name, value):
    found = problems(GOOD | {name: value})

    assert any(name in sentence for sentence in found), found


def test_smtp_must_be_encrypted():
    smtp = GOOD | {"EMAIL_PROVIDER": "smtp"}

    assert problems(smtp | {"EMAIL_URL": "smtp+tls://u:p@mail.good.test:587"}) == []
    assert "EMAIL_URL" in problems(smtp | {"EMAIL_URL": "smtp://mail.good.test:25"})[0]


def test_all_problems_are_told_at_once_and_without_a_traceback():
    done = start({"SITE_URL": "http://x.test"}, "check")

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    for name in set(GOOD) - {"ANYMAIL"}:
        assert name in done.stderr


def test_the_web_server_refuses_too():
    command = [
        str(Path(sys.executable).parent / "gunicorn"),
        "--bind",
        "127.0.0.1:0",
        "config.wsgi:application",
    ]
    env = {"PATH": os.environ["PATH"]} | GOOD | {"SECRET_KEY": ""}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "SECRET_KEY is missing" in done.stderr + done.stdout


def test_a_safe_server_passes_djangos_own_checks():
    code = (
        "import django; django.setup()\n"
        "from django.core.checks import run_checks, Tags\n"
        "print([m.id for m in run_checks(tags=[Tags.security], include_deployment_checks=True)])"
    )
    done = start({**GOOD}, "-c", code)

    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_cookies_transport_and_policy_are_strict_on_a_server():
    code = (
        "import json; from django.conf import settings as s\n"
        "print(json.dumps([s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_SSL_REDIRECT,"
        " s.SECURE_HSTS_SECONDS > 3e7, not s.DEBUG, not s.DEMO_PAGES, not s.CLOCK_FILE,"
        " 'unsafe' not in str(s.CONTENT_SECURITY_POLICY), s.STAFF_NEED_MFA,"
        " s.DATABASES['default']['OPTIONS']['pool']['max_size'] == 4]))"
    )
    done = start({**GOOD}, "-c", code)

    assert set(json.loads(done.stdout)) == {True}, done.stderr


def start(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the server's settings and nothing else in its environment."""
    program = ["manage.py"] if arguments[0] == "check" else []
    own = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings.prod"}
    return subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env=own | env,
        capture_output=True,
        text=True,
        check=False,
    )


def names_in_the_example() -> set[str]:
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def names_that_are_read() -> set[str]:
    """What settings ask the environment for, what gunicorn does, and what the compose file puts in."""
    found: set[str] = set()
    for path in (ROOT / "config" / "settings").glob("*.py"):
        found |= set(re.findall(r"\benv(?:\.\w+)?\(\s*\"([A-Z0-9_]+)\"", path.read_text()))
    gunicorn = (ROOT / "config" / "gunicorn_settings.py").read_text()
    found |= set(re.findall(r"environ\.get\(\"([A-Z0-9_]+)\"", gunicorn))
    return found | set(re.findall(r"\$\{([A-Z0-9_]+)[:}]", (ROOT / "docker-compose.yml").read_text()))


def test_the_example_names_every_setting_and_no_other():
    read = names_that_are_read()

    assert names_in_the_example() == read
    assert {"SECRET_KEY", "WEB_THREADS", "POSTGRES_PASSWORD", "EMAIL_URL"} <= read


def test_the_example_alone_does_not_start_a_server():
    lines = re.findall(r"^([A-Z][A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert problems(dict(lines)), "an example must not be safe to run"


def test_hours_of_mail_are_times_and_days():
    hours = mail_hours("09:30", "18:00", ["Mon", "saturday"])

    assert hours == (dt.time(9, 30), dt.time(18), frozenset({0, 5}))


@pytest.mark.parametrize(
    ("opens", "closes", "days", "name"),
    [
        ("8", "20:00", ["mon"], "MAIL_HOURS_FROM"),
        ("20:00", "08:00", ["mon"], "MAIL_HOURS_TO"),
        ("08:00", "09:59", ["mon"], "MAIL_HOURS_TO"),
        ("08:00", "20:00", [], "MAIL_WORKDAYS"),
        ("08:00", "20:00", ["someday"], "MAIL_WORKDAYS"),
    ],
)
def test_hours_that_would_keep_reminders_for_ever_are_refused(opens, closes, days, name):
    with pytest.raises(ImproperlyConfigured, match=name):
        mail_hours(opens, closes, days)
