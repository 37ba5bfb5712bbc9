"""The proxies themselves, with the very texts of docs/gate.md, before the product and what they guard."""

import http.server
import json
import os
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest
import requests
from django.conf import settings as django_settings
from django.test import Client
from django.urls import get_resolver

from accounts import clock as product_clock
from accounts.events import SYSTEM
from accounts.keys import make_key
from accounts.models import ActivityDay
from accounts.states import move_account
from accounts.tests.worlds import make_account, owner_of
from config.demo.processes import Process, free_port

TOOLS = Path(sys.executable).parent
PAGE = (django_settings.BASE_DIR / "docs" / "gate.md").read_text()
PROXIES = {"nginx": shutil.which("nginx"), "caddy": TOOLS / "caddy", "traefik": TOOLS / "traefik"}
#: Not of the account: what answers the proxy itself or supervisors, the front page, and the demo.
NOT_ITS_PAGES = {"", "access", "healthz", "readyz", "demo"}

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream good_terms {{ server {gate}; }}
    upstream product {{ server {product}; }}
    server {{ listen {front}; {snippet} }}
}}
"""


def snippet(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL).group(1)


def nginx(folder, front, gate, product):
    user = "user root;" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    text = NGINX.format(
        folder=folder, front=front, gate=gate, product=product, user=user, snippet=snippet("nginx")
    )
    file.write_text(text)
    return ["-p", str(folder), "-c", str(file)]


def caddy(folder, front, gate, product):
    text = snippet("caddyfile").replace("app.example.com", f"http://{front}")
    text = text.replace("good-terms:8000", gate).replace("product:9000", product)
    (folder / "Caddyfile").write_text(f"{{\n admin off\n persist_config off\n}}\n{text}")
    return ["run", "--config", str(folder / "Caddyfile")]


def traefik(folder, front, gate, product):
    text = snippet("yaml").replace("good-terms:8000", gate).replace("product:9000", product)
    (folder / "routes.yml").write_text(text)
    return [
        f"--entrypoints.web.address={front}",
        f"--providers.file.filename={folder / 'routes.yml'}",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]


class Product(http.server.BaseHTTPRequestHandler):
    """Says who it was told is there."""

    def do_GET(self):
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def product():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Product)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=PROXIES)
def front(request, tmp_path, product):
    """Starts this proxy before a gate at an address; the address under which people come."""
    program, started = PROXIES[request.param], []
    if program is None:
        pytest.skip("no nginx: sudo apt-get install -y nginx")

    def start(gate):
        address = f"127.0.0.1:{free_port()}"
        options = globals()[request.param](tmp_path, address, gate, product)
        env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        process = Process(request.param, [str(program), *options], tmp_path / "out.log", env=env)
        started.append(process)
        process.wait_until(lambda: knows_its_routes(address), seconds=20)
        return f"http://{address}"

    yield start
    for process in started:
        process.stop()


def knows_its_routes(address):
    """A proxy may listen before it has read where to send what: it has nothing to say until then but 404."""
    try:
        return requests.get(f"http://{address}/", allow_redirects=False, timeout=20).status_code != 404
    except requests.ConnectionError:
        return False


def get(url, *, key="", session="", **headers):
    if key:
        headers["Authorization"] = f"Bearer {key}"
    cookies = {django_settings.SESSION_COOKIE_NAME: session} if session else {}
    return requests.get(url, headers=headers, cookies=cookies, allow_redirects=False, timeout=20)


def test_a_proxy_lets_in_sends_to_sign_in_and_sends_to_pay(front, live_server):
    account = make_account()
    owner = owner_of(account)
    key = make_key(account, "app", by_user=owner, at=product_clock.now())[1]
    browser = Client()
    browser.force_login(owner)
    session = browser.session.session_key
    base = front(live_server.url.removeprefix("http://"))
    url = f"{base}/reports?year=2026"
    made_up = {"X-Account-Id": "made-up", "X-User-Id": "made-up", "X-Role": "made-up", "X-Access-Until": "x"}
    stranger, wrong = get(url), get(url, key="gt_wrong")
    by_key = get(url, key=key, **made_up)
    by_session = get(url, session=session)

    assert (stranger.status_code, wrong.status_code) == (302, 401)
    sign_in, _, back = stranger.headers["Location"].partition("?next=")
    assert sign_in.endswith("/accounts/login/")
    assert requests.utils.unquote(back) == "/reports?year=2026"
    assert wrong.headers["Content-Type"] == "application/problem+json"
    assert wrong.headers["WWW-Authenticate"].startswith("Bearer ")
    assert by_key.json()["x-account-id"] == account.public_id
    assert "made-up" not in by_key.text
    assert not by_key.json().get("x-access-until")
    assert by_session.json()["x-user-id"] == owner.public_id
    assert by_session.json()["x-account-state"] == "active"
    assert ActivityDay.objects.count() == 1

    move_account(account, "frozen", by=SYSTEM, at=product_clock.now(), reason="test")
    off, machine = get(url, session=session), get(url, key=key)

    assert (off.status_code, machine.status_code) == (302, 402)
    assert off.headers["Location"].endswith(f"/a/{account.public_id}/")
    assert machine.headers["Content-Type"] == "application/problem+json"
    assert machine.json()["payment"] == off.headers["Location"]
    paywall = get(f"{base}/a/{account.public_id}/", session=session)
    assert paywall.status_code == 402


def test_nobody_gets_in_where_the_gate_does_not_answer(front):
    url = f"{front(f'127.0.0.1:{free_port()}')}/reports"

    assert get(url, key="gt_any").status_code >= 500
    assert get(url).status_code >= 500


def test_every_address_of_the_account_is_led_to_it():
    """A page that a proxy keeps for the product is a page that nobody can pay on."""
    ours = {str(entry.pattern).partition("/")[0] for entry in addresses(get_resolver().url_patterns)}
    ours -= NOT_ITS_PAGES
    listed = {
        "nginx": set(re.search(r"location ~ \^/\((.*?)\)/", snippet("nginx")).group(1).split("|")),
        "caddy": set(re.findall(r"/([\w-]+)/\*", snippet("caddyfile"))),
        "traefik": set(re.search(r"PathRegexp\(`\^/\((.*?)\)/", snippet("yaml")).group(1).split("|")),
    }

    assert listed == dict.fromkeys(PROXIES, ours | {"static"})


def addresses(entries):
    """The first step of every address: an `include` at the root is looked into."""
    for entry in entries:
        if str(entry.pattern) == "" and hasattr(entry, "url_patterns"):
            yield from addresses(entry.url_patterns)
        else:
            yield entry
