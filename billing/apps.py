from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from accounts import banners, calendar, panels, ways_out
        from accounts.signals import account_opened, hold_changed
        from billing import (
            audit_checks,
            deletion_map,  # noqa: F401 (fills the map)
            tasks,  # noqa: F401 (declares the jobs)
            trial_audit,
        )
        from billing.account_panel import PLAN_PANEL
        from billing.coming import billing_to_come
        from billing.desk import register_desk
        from billing.dunning_dates import follow_hold
        from billing.history_words import register_history
        from billing.notices import register_notices
        from billing.price_audit import register_price_invariants
        from billing.price_following import follow_payment, follow_subscription
        from billing.price_notices import register_price_notices
        from billing.rehearsal import register_rehearsal
        from billing.signals import payment_received, subscription_changed
        from billing.subscriptions import put_on_free_plan
        from billing.trial_notices import register_trial_notices
        from billing.trial_panel import TRIAL_PANEL, trial_banner
        from billing.trial_steps import replan_when_held
        from billing.ways_in import MORE_TIME, PAY

        register_notices()
        register_trial_notices()
        register_price_notices()
        register_desk()
        register_rehearsal()
        register_history()
        panels.register(TRIAL_PANEL)
        panels.register(PLAN_PANEL)
        banners.register("billing.trial", trial_banner)
        ways_out.register(PAY)
        ways_out.register(MORE_TIME)
        calendar.register("billing", billing_to_come)
        account_opened.connect(put_on_free_plan, dispatch_uid="billing.free_plan")
        hold_changed.connect(replan_when_held, dispatch_uid="billing.trials_held")
        hold_changed.connect(follow_hold, dispatch_uid="billing.dunning")
        subscription_changed.connect(follow_subscription, dispatch_uid="billing.prices")
        payment_received.connect(follow_payment, dispatch_uid="billing.prices_after_trial")
        audit_checks.register_invariants()
        trial_audit.register_invariants()
        register_price_invariants()
