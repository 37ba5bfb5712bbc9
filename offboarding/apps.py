from django.apps import AppConfig


class OffboardingConfig(AppConfig):
    name = "offboarding"

    def ready(self) -> None:
        from accounts import calendar, panels, ways_out
        from accounts.signals import access_changed
        from billing import signals
        from offboarding import (
            audit_checks,
            data_notices,
            data_words,
            deletion_map,  # noqa: F401 (fills the map)
            desk,
            leaving_notices,
            leaving_panel,
            leaving_words,
            reactions,
            reports,
            tasks,  # noqa: F401 (declares the jobs)
        )
        from offboarding.ways_out import WAYS

        data_notices.register_kinds()
        data_words.register_words()
        leaving_notices.register_kinds()
        leaving_words.register_words()
        reports.register_reports()
        desk.register_desk()
        panels.register(leaving_panel.LEAVING_PANEL)
        for way in WAYS:
            ways_out.register(way)
        calendar.register("offboarding", leaving_panel.leaving_to_come)
        calendar.register_moot("offboarding", leaving_panel.moot_mails)
        signals.instruction_done.connect(reactions.schedule_when_told, dispatch_uid="offboarding.scheduled")
        signals.subscription_changed.connect(reactions.follow_subscription, dispatch_uid="offboarding.follow")
        signals.payment_received.connect(
            reactions.refund_what_slipped_through, dispatch_uid="offboarding.slipped"
        )
        signals.payment_received.connect(reactions.follow_payment, dispatch_uid="offboarding.paid")
        signals.trials_closed.connect(reactions.date_data_of_trials, dispatch_uid="offboarding.trials")
        access_changed.connect(reactions.keep_data_of_who_is_back, dispatch_uid="offboarding.back")
        audit_checks.register_invariants()
