from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_out

        from accounts import (
            audit_checks,
            calendar,
            classification,  # noqa: F401 (registers the check)
            copies,
            deletion_map,  # noqa: F401 (fills the map)
            history_words,
            mail_reports,  # noqa: F401 (listens to the mail service)
            notice_kinds,
            sending,
            signals,
            tasks,  # noqa: F401 (declares the jobs)
            ways_out,
            webhooks_out,
        )
        from accounts.signals import access_changed

        calendar.register("accounts.mails", calendar.mails_to_come)
        history_words.register_words()
        notice_kinds.register_kinds()
        signals.hold_changed.connect(sending.wake_held, dispatch_uid="accounts.wake_held")
        audit_checks.register_invariants()
        ways_out.register(ways_out.LEAVE_TEAM)
        for signal in (access_changed, user_logged_out):
            signal.connect(copies.forget_on_signal, dispatch_uid="accounts.copies")
        access_changed.connect(webhooks_out.on_access_changed, dispatch_uid="accounts.webhooks")
