"""The one failure of a start."""


class StartFailed(RuntimeError):
    """Something that has to run did not start; the message says what and shows the end of its log."""
