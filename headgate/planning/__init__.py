"""Say before a release what it will need: how many requests, how long, and whether its limits allow it. Pure."""

from headgate.planning.advice import hardest, refuse_undecidable, remedies, span
from headgate.planning.forecast import LIKELY, Forecast, Need, StepForecast, forecast
from headgate.planning.traffic import ENOUGH, Assumed, Traffic, assumed

__all__ = [
    "ENOUGH",
    "LIKELY",
    "Assumed",
    "Forecast",
    "Need",
    "StepForecast",
    "Traffic",
    "assumed",
    "forecast",
    "hardest",
    "refuse_undecidable",
    "remedies",
    "span",
]
