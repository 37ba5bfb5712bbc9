"""nginx itself, with the very text of docs/gate.md, before the product and a small server that it guards."""

import http.server
import json
import os
import re
import shutil
import threading

import pytest
import requests
from django.conf import settings as django_settings
from django.test import Client

from accounts import clock as product_clock
from accounts.events import SYSTEM
from accounts.keys import make_key
from accounts.models import ActivityDay
from accounts.states import move_account
from accounts.tests.worlds import make_account, owner_of
from config.demo.processes import Process, free_port

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.once,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx: sudo apt-get install -y nginx"),
]

FRAME = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream good_terms {{ server {gate}; }}
    upstream product {{ server 127.0.0.1:{product}; }}
    server {{ listen 127.0.0.1:{port}; {snippet} }}
}}
"""


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
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def front(tmp_path, product):
    """Starts nginx before a gate at this address; the address under which people come."""
    started = []

    def start(gate):
        page = (django_settings.BASE_DIR / "docs" / "gate.md").read_text()
        snippet = re.search(r"```nginx\n(.*?)```", page, flags=re.DOTALL).group(1)
        folder, port = tmp_path / f"nginx{len(started)}", free_port()
        folder.mkdir()
        text = FRAME.format(
            folder=folder,
            gate=gate,
            product=product,
            port=port,
            snippet=snippet,
            user="user root;" if os.geteuid() == 0 else "",
        )
        (folder / "nginx.conf").write_text(text)
        command = [shutil.which("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        process = Process("nginx", command, folder / "out.log")
        started.append(process)
        process.wait_until(lambda: answers(port), seconds=10)
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.stop()


def answers(port):
    try:
        requests.get(f"http://127.0.0.1:{port}/_gate", timeout=2)
    except requests.ConnectionError:
        return False
    return True


def get(url, *, key="", session="", **headers):
    if key:
        headers["Authorization"] = f"Bearer {key}"
    cookies = {django_settings.SESSION_COOKIE_NAME: session} if session else {}
    return requests.get(url, headers=headers, cookies=cookies, allow_redirects=False, timeout=20)


def test_nginx_lets_in_sends_to_sign_in_and_sends_to_pay(front, live_server):
    account = make_account()
    owner = owner_of(account)
    key = make_key(account, "app", by_user=owner, at=product_clock.now())[1]
    browser = Client()
    browser.force_login(owner)
    session = browser.session.session_key
    url = f"{front(live_server.url.removeprefix('http://'))}/reports?year=2026"
    stranger, wrong = get(url), get(url, key="gt_wrong")
    by_key = get(url, key=key, **{"X-Account-Id": "made-up", "X-User-Id": "made-up"})
    by_session = get(url, session=session)

    assert (stranger.status_code, wrong.status_code) == (302, 401)
    assert stranger.headers["Location"].endswith("/accounts/login/?next=/reports?year=2026")
    assert wrong.headers["Content-Type"] == "application/problem+json"
    assert wrong.headers["WWW-Authenticate"].startswith("Bearer ")
    assert by_key.json()["x-account-id"] == account.public_id
    assert "made-up" not in by_key.text
    assert by_session.json()["x-user-id"] == owner.public_id
    assert by_session.json()["x-account-state"] == "active"
    assert ActivityDay.objects.count() == 1

    move_account(account, "frozen", by=SYSTEM, at=product_clock.now(), reason="test")
    off, machine = get(url, session=session), get(url, key=key)

    assert (off.status_code, machine.status_code) == (302, 402)
    assert off.headers["Location"].endswith(f"/a/{account.public_id}/")
    assert machine.headers["Content-Type"] == "application/problem+json"
    assert machine.json()["payment"] == off.headers["Location"]
    base = url.partition("/reports")[0]
    paywall = get(f"{base}/a/{account.public_id}/", session=session)
    assert paywall.status_code == 402
    assert get(f"{base}/_gate", key=key).status_code == 404


def test_nobody_gets_in_where_the_gate_does_not_answer(front):
    url = f"{front(f'127.0.0.1:{free_port()}')}/reports"

    assert get(url, key="gt_any").status_code == 503
    assert get(url).status_code == 503
