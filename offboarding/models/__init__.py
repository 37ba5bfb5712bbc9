"""Leaving: from "I want to go" to "gone"."""

from offboarding.models.cancellation import Cancellation, Quote, Reservation
from offboarding.models.leftovers import Closure, Erasure, Export
from offboarding.models.survey import ExitReason, ExitSurvey, Offer

__all__ = [
    "Cancellation",
    "Closure",
    "Erasure",
    "ExitReason",
    "ExitSurvey",
    "Export",
    "Offer",
    "Quote",
    "Reservation",
]
