from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import (
            audit_checks,
            calendar,
            classification,  # noqa: F401 (registers the check)
            deletion_map,  # noqa: F401 (fills the map)
            history_words,
            mail_reports,  # noqa: F401 (listens to the mail service)
            notice_kinds,
            sending,
            signals,
            tasks,  # noqa: F401 (declares the jobs)
        )

        calendar.register("accounts.mails", calendar.mails_to_come)
        history_words.register_words()
        notice_kinds.register_kinds()
        signals.hold_changed.connect(sending.wake_held, dispatch_uid="accounts.wake_held")
        audit_checks.register_invariants()
