"""The one password of every example of the demo; it can be read where Django is not set up."""

PASSWORD = "good-terms-demo"  # noqa: S105 (printed for whoever tries the demo)
