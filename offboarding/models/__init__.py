"""Leaving: from "I want to go" to "gone"."""

from offboarding.models.cancellation import Cancellation, Ending, Quote, Reservation
from offboarding.models.leftovers import Brake, Closure, Erasure, Export
from offboarding.models.survey import ExitReason, ExitSurvey, Offer

__all__ = [
    "Brake",
    "Cancellation",
    "Closure",
    "Ending",
    "Erasure",
    "ExitReason",
    "ExitSurvey",
    "Export",
    "Offer",
    "Quote",
    "Reservation",
]
