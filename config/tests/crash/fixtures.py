"""The house as a fixture; a test file that needs it imports it from here."""

import os

import pytest

from config.tests.crash.house import House


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One for the file: making it takes some ten seconds, a copy of its worlds a tenth of one."""
    built = House(tmp_path_factory.mktemp("house"), os.environ.get("DATABASE_URL", ""))
    yield built
    built.close()
