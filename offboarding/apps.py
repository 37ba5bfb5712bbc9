from django.apps import AppConfig


class OffboardingConfig(AppConfig):
    name = "offboarding"

    def ready(self) -> None:
        from offboarding import deletion_map  # noqa: F401 (fills the map)
