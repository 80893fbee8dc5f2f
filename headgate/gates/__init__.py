"""Conditions on a release: what a plan declares, what a step asks, and the judge that answers. Pure throughout."""

from headgate.gates.baseline import Baseline, frozen
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
from headgate.gates.probation import PROBATION, Probation, judge_probation
from headgate.gates.promised import ProbationQuestion, cuts_of
from headgate.gates.question import Calibration, DataCheck, Question, Split
from headgate.gates.standing import e_value
from headgate.gates.verdict import JUDGE, Answer, Finding, Verdict, conclude

__all__ = [
    "JUDGE",
    "PROBATION",
    "Answer",
    "Average",
    "Baseline",
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
    "Probation",
    "ProbationQuestion",
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
    "cuts_of",
    "e_value",
    "frozen",
    "judge",
    "judge_probation",
    "saturated",
]
