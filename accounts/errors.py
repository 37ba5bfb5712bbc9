"""The few errors that verbs raise, each with one meaning."""


class WrongState(Exception):
    """The row is not in a state from which this move is allowed: someone else was faster, or it is too late."""


class NotAllowed(Exception):
    """This person may not do this here; the page says who can."""
