"""`manage.py jobs`: every job with its last run, its age, what is due now, and what is wrong with it."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts import clock
from accounts.job_board import read_board


class Command(BaseCommand):
    """One line for each job."""

    help = "List the jobs: last run, its age, how much was due and done, how much is due now, what is wrong."

    def handle(self, *args: Any, **options: Any) -> None:
        at = clock.now()
        self.stdout.write(f"{'job':<32}{'last run':<18}{'age':>8}{'due':>7}{'done':>7}{'due now':>9}{'s':>8}")
        for line in read_board(at=at).lines:
            last, age = line.last, line.age
            now = "?" if line.due_now is None else line.due_now
            self.stdout.write(
                f"{line.job.name:<32}"
                f"{f'{last.started_at:%Y-%m-%d %H:%M}' if last else 'never':<18}"
                f"{f'{age.total_seconds() / 60:.0f} min' if age else '':>8}"
                f"{last.due if last else '':>7}{last.done if last else '':>7}{now:>9}"
                f"{f'{last.seconds:.2f}' if last else '':>8}"
                f"{f'  OFF: {line.off.reason}' if line.off else ''}"
                f"{f'  FAILED: {last.error}' if last and last.error else ''}"
                f"{'  LATE: is a worker running, and beat?' if line.state == 'late' else ''}"
            )
