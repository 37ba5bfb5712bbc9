"""The download of one's data in a real browser without JavaScript: asked for, made, checked."""

import pytest

from config.demo.journey import check_archive

pytestmark = [pytest.mark.once, pytest.mark.timeout(180)]


def test_who_asks_for_the_data_gets_all_of_it_with_right_checksums(someone):
    person = someone("renew@example.com").tab("Your data").press("Prepare the whole account")
    person.until("available until")
    with person.page.expect_download() as waiting:
        person.press("Download")
    files, rows = check_archive(waiting.value.path().read_bytes())

    assert files > 10
    assert rows > 10


def test_the_worker_says_by_mail_that_it_is_there(house, someone):
    someone("renew@example.com").tab("Your data").press("Only what is mine").until("What is mine")

    assert house.mail("renew@example.com", "download")


def test_with_javascript_the_progress_comes_by_itself(someone):
    person = someone("call@example.com", javascript=True).tab("Your data")
    person.press("Only what is mine")
    person.page.wait_for_selector("text=available until")

    assert person.page.locator("[data-look-again]").count() == 0
