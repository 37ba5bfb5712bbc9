"""Finance in a real browser, without JavaScript: sign in, see the totals, download the CSV."""

from pathlib import Path
from typing import Any

import pytest

from accounts.tests.worlds import PASSWORD
from offboarding.tests.test_admin_roles import make_staff
from offboarding.tests.test_reports import give_back, make_cancellation

DAYS = "?first=2026-03-01&last=2026-03-31&part=all"


@pytest.mark.django_db(transaction=True)
def test_finance_downloads_a_report_without_javascript(
    live_server: Any, browser: Any, tmp_path: Path
) -> None:
    cancellation = make_cancellation(amount=2900)
    give_back(cancellation, 2900)
    finance = make_staff("finance", password=PASSWORD)
    context = browser.new_context(java_script_enabled=False, accept_downloads=True)
    page = context.new_page()
    page.goto(f"{live_server.url}/accounts/login/?next=/admin/billing/refundmovement/reports/{DAYS}")
    page.fill("input[name=login]", finance.email)
    page.fill("input[name=password]", PASSWORD)
    page.locator(
        "form[action$='/login/'] button[type=submit], form:has(input[name=password]) button"
    ).first.click()
    page.goto(f"{live_server.url}/admin/")
    page.get_by_role("link", name="Reports").first.click()
    page.fill("input[name=first]", "2026-03-01")
    page.fill("input[name=last]", "2026-03-31")
    page.get_by_role("button", name="Show the totals").click()
    section = page.locator("section", has=page.get_by_role("heading", name="Cancellations"))
    with page.expect_download() as waiting:
        section.get_by_role("button", name="Download as CSV").click()
    waiting.value.save_as(tmp_path / "report.csv")
    text = (tmp_path / "report.csv").read_text(encoding="utf-8")
    shown = section.inner_text()
    context.close()

    assert "€29.00" in shown
    assert cancellation.receipt_number in text
    assert text.endswith("EUR,all,1,29.00,2900,0.00,0\n")
