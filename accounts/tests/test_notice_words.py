"""Every code that ends or delays a notice has words for the desk."""

import re
from pathlib import Path

import pytest
from django.utils import translation

from accounts.notice_words import REASONS, reason_words

pytestmark = pytest.mark.once

WRITTEN = re.compile(
    r"drop_notices\([^()]*(?:\([^()]*\)[^()]*)*reason=\"(\w+)\""
    r"|Verdict\([^()]*?, \"(\w+)\""
    r"|_fail\(notice, \"(\w+)\""
    r"|Status\.DROPPED,?\s+reason=\"(\w+)\""
)


def test_every_code_that_the_program_writes_is_in_words():
    sources = [p for app in ("accounts", "billing", "offboarding") for p in Path(app).glob("*.py")]
    written = {code for p in sources for found in WRITTEN.findall(p.read_text()) for code in found if code}

    assert len(written) > 12
    assert written - set(REASONS) == set()


def test_a_code_of_the_mail_service_stays_as_it_is():
    with translation.override("es"):
        assert reason_words("confirmed") == "se dio el último paso"
        assert reason_words("smtp_451") == "smtp_451"
        assert reason_words("") == ""
