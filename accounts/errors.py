"""The few errors that verbs raise, each with one meaning."""


class WrongState(Exception):
    """The row is not in a state that allows this move: someone else was faster, or it is too late."""


class NotAllowed(Exception):
    """This person may not do this here; the page says who can."""


class TooMany(Exception):
    """More of this than one account may do in a day."""
