"""The account that `bin/test` gives at its end is honest: what ran nowhere is named, and can be a failure."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.once
spec = importlib.util.spec_from_file_location("run_tests", ROOT / "bin" / "run_tests.py")
run_tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run_tests)

SKIPPED = '<testcase classname="a" name="{}"><skipped message="{}"/></testcase>'
RAN = '<testcase classname="a" name="{}"/>'


def results(folder: Path, name: str, *cases: str) -> Path:
    file = folder / name
    file.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return file


@pytest.fixture
def report(tmp_path):
    made = run_tests.Report()
    made.phases.append(("tests", True, 1.0))
    made.read(results(tmp_path, "sqlite.xml", RAN.format("one"), SKIPPED.format("two", "PostgreSQL only")))
    return made


def test_what_ran_on_one_database_is_not_called_left_out(report, tmp_path):
    report.read(results(tmp_path, "pg.xml", RAN.format("one"), RAN.format("two")))

    assert report.not_run() == []


def test_what_ran_nowhere_is_named_with_its_reason(report, tmp_path):
    report.read(
        results(tmp_path, "pg.xml", RAN.format("one"), SKIPPED.format("two", "no Chromium: install it"))
    )

    assert report.not_run() == ["1 tests: no Chromium: install it"]


@pytest.mark.parametrize(("required", "code"), [(False, 0), (True, 1)])
def test_ci_fails_where_anything_was_left_out(report, monkeypatch, required, code):
    monkeypatch.setattr(run_tests, "ALL_REQUIRED", required)

    assert report.finish() == code


def test_a_failed_phase_fails_the_run(report, capsys):
    report.run("types", ["false"])

    assert report.finish() == 1
    assert "FAILED: types" in capsys.readouterr().out


def test_without_any_postgresql_the_account_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(run_tests, "postgres_programs", lambda: None)
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    report = run_tests.Report()
    run_tests.tests_with_servers(report, ["nothing"])

    assert "postgresql redis-server" in report.not_run()[0]
    assert report.phases == []
