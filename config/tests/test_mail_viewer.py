"""The demo's mails can be read in a browser, and their HTML can do nothing there."""

import pytest
from django.core.mail import EmailMultiAlternatives, get_connection

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(settings, tmp_path):
    settings.EMAIL_FILE_PATH = str(tmp_path)
    connection = get_connection("django.core.mail.backends.filebased.EmailBackend")
    for name in ("Ana", "Bo"):
        mail = EmailMultiAlternatives(f"Grüße an {name}", f"Text für {name}", "us@x.test", [f"{name}@y.test"])
        mail.attach_alternative(f"<p>Hallo <b>{name}</b></p><script>alert(1)</script>", "text/html")
        mail.connection = connection
        mail.send()


def test_the_list_shows_newest_first(client, sent):
    page = client.get("/demo/mail/").content.decode()

    assert page.index("Grüße an Bo") < page.index("Grüße an Ana")


def test_the_list_can_be_narrowed_to_one_address(client, sent):
    page = client.get("/demo/mail/?to=ana@y").content.decode()

    assert "Grüße an Ana" in page
    assert "Grüße an Bo" not in page


def test_a_mail_shows_its_text_and_its_html_in_a_frame_without_rights(client, sent):
    number = client.get("/demo/mail/").context["mails"][0].number
    page = client.get(f"/demo/mail/{number}/").content.decode()
    frame = client.get(f"/demo/mail/{number}/html")

    assert "Text für Bo" in page
    assert "<script>alert" not in page
    assert "<b>Bo</b>" in frame.content.decode()
    assert "sandbox allow-popups" in frame["Content-Security-Policy"]
    assert "script-src" not in frame["Content-Security-Policy"]
    assert "default-src 'none'" in frame["Content-Security-Policy"]
    assert frame["X-Frame-Options"] == "SAMEORIGIN"


def test_an_unknown_number_is_not_found(client, sent):
    assert client.get("/demo/mail/no-such/").status_code == 404
    assert client.get("/demo/mail/..%2f..%2fetc/html").status_code == 404


def test_nothing_sent_yet_is_said_kindly(client, settings, tmp_path):
    settings.EMAIL_FILE_PATH = str(tmp_path / "none")

    assert client.get("/demo/mail/").status_code == 200
