"""Conditions on a release: what a plan declares, what a step asks, and the judge that answers. Pure throughout."""

from headgate.gates.declared import (
    Average,
    Disagreement,
    ErrorRate,
    Gate,
    Gates,
    Latency,
    Loss,
    Metric,
    Rate,
    Rules,
    ServiceLevel,
    Slices,
    Worse,
)
from headgate.gates.judge import Judge, Point, curve, judge, saturated
from headgate.gates.question import Calibration, DataCheck, Question, Split
from headgate.gates.standing import e_value
from headgate.gates.verdict import JUDGE, Answer, Finding, Verdict, conclude

__all__ = [
    "JUDGE",
    "Answer",
    "Average",
    "Calibration",
    "DataCheck",
    "Disagreement",
    "ErrorRate",
    "Finding",
    "Gate",
    "Gates",
    "Judge",
    "Latency",
    "Loss",
    "Metric",
    "Point",
    "Question",
    "Rate",
    "Rules",
    "ServiceLevel",
    "Slices",
    "Split",
    "Verdict",
    "Worse",
    "conclude",
    "curve",
    "e_value",
    "judge",
    "saturated",
]
