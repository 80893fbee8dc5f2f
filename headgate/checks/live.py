"""Data checks on live rows: suites and fatal constraints, asked of what was logged. It reads no log, decides nothing.

What is a fact about one row blocks at the first row that breaks it: null where none may be, out of bounds, a fatal
constraint. It may be asked at any time, of few rows, of the same row twice: a good row never breaks it. (Inputs are
what callers send: there one row may be one caller's mistake, so that it takes a tenth of the rows.) What is about
many rows (a mean, a share, `mostly`) is asked of disjoint batches, and blocks when they fail more often than chance
allows, however often it is asked (see `live_batches`). What is about one table (how many rows, unique, in order) says
nothing about traffic and is left out. Only expectations that are critical are asked. What was broken stays broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.checks.constraints import broken_rows
from headgate.checks.data import frame, read_suite
from headgate.checks.expectations import Expectation, Finding, Suite, evaluate
from headgate.checks.live_batches import batches, proven, staked
from headgate.gates import DataCheck
from headgate.manifest import Column, Constraint
from headgate.runtime import Subject
from headgate.values import Value

FEWEST_ROWS = 30
"""Below this nothing is said."""
BATCH_ROWS = 200
"""Rows of one batch, at least. Larger: statistics stray less, and a broken one is found later."""
BATCH_REQUESTS = 30
"""Requests they come from, at least: the rows of one request are alike."""
MOST_BATCHES = 5
"""Batches of one look."""
CALLERS_MISTAKES = 0.1
"""Share of sampled input rows that may break a rule for every row before it blocks without waiting for batches."""
MOST_SAID = 3
"""Unmet expectations that a summary names."""

ABOUT_A_TABLE = frozenset({
    "expect_column_sum_to_be_between",
    "expect_column_unique_value_count_to_be_between",
    "expect_column_proportion_of_unique_values_to_be_between",
    "expect_column_values_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    "expect_compound_columns_to_be_unique",
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_be_between",
    "expect_table_row_count_to_equal",
    "expect_table_row_count_to_equal_other_table",
    "unexpected_rows_expectation",
})  # fmt: skip
ABOUT_MANY_ROWS = frozenset({
    "expect_column_value_z_scores_to_be_less_than",
    "expect_column_values_to_not_be_outliers",
})  # fmt: skip
"""By their names rules for every row, but what they allow one row depends on the others."""
FOR_EVERY_ROW = (
    "expect_column_values_to_",
    "expect_column_value_lengths_to_",
    "expect_column_pair_values_",
    "expect_multicolumn_",
    "expect_select_column_values_to_be_unique_within_record",
    "expect_column_distinct_values_to_be_in_set",
)
"""Beginnings of the names of rules that one row can break."""

Rows = Sequence[tuple[str, Mapping[str, Any]]]
"""In order of time: which request a row came with, and its values by column."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one kind of rows: of answers, or of sampled inputs with their answers."""

    name: str
    """Of the suite, in a verdict."""
    suite: Suite | None
    """Its expectations that live rows can answer."""
    columns: Mapping[str, Column]
    """That the suite is about."""
    constraints: tuple[Constraint, ...]
    complete: frozenset[str]
    """Columns that a row must have for the constraints to be asked of it."""
    personal: bool
    """Whether its values must not be told."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the checks, as a verdict has them."""
        return (*([self.name] if self.suite else []), *([f"constraints on {self.name}"] if self.constraints else []))


class Standing(Value):
    """What live rows of one kind have said so far."""

    rows: int = 0
    """In batches that are closed; of thinned ones those that were kept."""
    batches: int = 0
    money: tuple[float, ...] = ()
    """On the table against each expectation of the suite."""
    checks: dict[str, DataCheck] = {}
    """By name; a check that has seen too few rows is missing."""

    def over(self, asked: Asked) -> bool:
        """Whether nothing that follows could change it."""
        return all(name in self.checks and not self.checks[name].passed for name in asked.names)


def of_answers(candidate: Subject) -> Asked | None:
    """What the manifest wants of answers, if anything. Raises `Rejected` for a suite that is no suite."""
    manifest = candidate.manifest
    outputs = manifest.schema_.outputs
    rules = tuple(rule for rule in fatal(candidate) if rule.names <= set(outputs))
    suite = live_suite(candidate, manifest.data.predictions)
    if not suite and not rules:
        return None
    return Asked("predictions", suite, outputs, rules, frozenset(outputs), personal=False)


def of_inputs(candidate: Subject) -> Asked | None:
    """What it wants of sampled inputs, if it has any sampled. Raises `Rejected` for a suite that is no suite."""
    schema, data = candidate.manifest.schema_, candidate.manifest.data
    rules = tuple(rule for rule in fatal(candidate) if not rule.names <= set(schema.outputs))
    suite = live_suite(candidate, data.inputs)
    if not data.sample_inputs or not (suite or rules):
        return None
    return Asked("inputs", suite, schema.inputs, rules, frozenset({*schema.inputs, *schema.outputs}), personal=True)


def fatal(candidate: Subject) -> list[Constraint]:
    """Constraints that no row may break."""
    return [rule for rule in candidate.manifest.test.constraint if rule.severity == "fatal"]


def live_suite(candidate: Subject, named: str | None) -> Suite | None:
    """The part of a suite that live rows can answer; None when that is nothing."""
    if not named:
        return None
    suite = read_suite(candidate, named, own_table=False)
    kept = tuple(e for e in suite.expectations if e.severity == "critical" and e.type not in ABOUT_A_TABLE)
    return suite.model_copy(update={"expectations": kept}) if kept else None


def after(standing: Standing, asked: Asked, rows: Rows) -> tuple[Standing, bool]:
    """What the rows say, and whether they are used up. If not, they are to be shown again with those that follow.

    Args:
        standing: after all rows that are used up.
        asked: what the candidate's manifest wants.
        rows: newer ones, in order of time, thinned without regard to what they hold.
    """
    if len(rows) < FEWEST_ROWS:
        return standing, False
    parts = batches(rows, lambda row: row[0], rows_each=BATCH_ROWS, requests_each=BATCH_REQUESTS, most=MOST_BATCHES)
    checks, money = dict(standing.checks), standing.money
    broken = {name for name, check in checks.items() if not check.passed}
    if asked.suite and asked.name not in broken:
        money, checks[asked.name] = suite_after(standing, asked, asked.suite, rows, parts)
    name = f"constraints on {asked.name}"
    if asked.constraints and name not in broken:
        whole = [values for _, values in rows if asked.complete <= set(values)]
        if len(whole) >= FEWEST_ROWS:
            checks[name] = constraints_after(name, asked, whole)
    if not parts:
        return standing.model_copy(update={"checks": checks}), False
    return Standing(
        rows=standing.rows + len(rows), batches=standing.batches + len(parts), money=money, checks=checks
    ), True


def suite_after(
    standing: Standing, asked: Asked, suite: Suite, rows: Rows, parts: Sequence[Rows]
) -> tuple[tuple[float, ...], DataCheck]:
    """The money after these batches, and what the suite says."""
    findings = evaluate(suite, table(asked, rows))
    fewest = CALLERS_MISTAKES * len(rows) if asked.personal else 0
    found = [finding for finding in findings if broken_by_rows(finding) and finding.unexpected >= fewest]
    count, money = len(suite.expectations), list(standing.money) or [0.0] * len(suite.expectations)
    against: dict[int, Finding] = {}
    if not found:
        for number, part in enumerate(parts, standing.batches + 1):
            # one batch is all rows; an expectation that all rows keep may still fail a batch of them
            in_part = findings if len(parts) == 1 else evaluate(suite, table(asked, part))
            money = [staked(m, number, failed=not f.met) for m, f in zip(money, in_part, strict=True)]
            against |= {i: in_part[i] for i in range(count) if i not in against and proven(money[i], count)}
    unmet = [*found, *against.values()]
    doubted = [finding for finding in findings if not finding.met]
    newest, ours = f"{len(rows)} newest rows", f"{count} expectations of {suite.name!r}"
    shown = "; ".join(told(finding, asked) for finding in (unmet or doubted)[:MOST_SAID])
    if unmet:
        often = f", more often than chance allows in {standing.batches + len(parts)} batches" if against else ""
        summary = f"{newest} break {len(unmet)} of {ours}{often}: {shown}"
    elif doubted:
        summary = f"{newest} do not meet {len(doubted)} of {ours}, which may still be chance: {shown}"
    else:
        summary = f"{newest} meet the {ours}; {standing.rows} rows before them"
    return tuple(money), DataCheck(name=asked.name, passed=not unmet, summary=summary)


def constraints_after(name: str, asked: Asked, rows: Sequence[Mapping[str, Any]]) -> DataCheck:
    """What the rows say of the constraints; one that cannot be worked out is broken."""
    columns = {column: [row[column] for row in rows] for column in sorted(asked.complete)}
    broken = {rule: found for rule in asked.constraints if (found := broken_rows(rule, columns)[0])}
    if not broken:
        summary = f"{len(rows)} newest rows keep {len(asked.constraints)} fatal constraints"
        return DataCheck(name=name, passed=True, summary=summary)
    said = [
        f"{rule.name}: {len(found)} of {len(rows)} rows break `{rule.rule}`"
        + ("" if asked.personal else f", first: {next(iter(found.values()))}")
        for rule, found in broken.items()
    ]
    more = [f"and {len(said) - MOST_SAID} more"] if len(said) > MOST_SAID else []
    return DataCheck(name=name, passed=False, summary="; ".join([*said[:MOST_SAID], *more]))


def table(asked: Asked, rows: Rows) -> Any:
    """The rows as the suite wants them."""
    columns = {name: [values[name] for _, values in rows] for name in asked.columns}
    return frame(columns, asked.columns)


def broken_by_rows(finding: Finding) -> bool:
    """Whether some row is wrong by itself: a fact, at any number of rows and looks.

    An expectation that could not be worked out is none, and neither is one that is unmet without a value to show for it
    (the largest of no values, which may be chance in few rows): batches judge those.
    """
    shown = finding.unexpected or finding.observed.startswith("observed ")
    return not finding.met and not finding.trouble and bool(shown) and for_every_row(finding.expectation)


def for_every_row(expectation: Expectation) -> bool:
    """Whether one row can break it, whatever the others are.

    >>> bounds = {"column": "y", "min_value": 0}
    >>> for_every_row(Expectation(type="expect_column_values_to_be_between", kwargs=bounds))
    True
    >>> for_every_row(Expectation(type="expect_column_values_to_be_between", kwargs={**bounds, "mostly": 0.9}))
    False
    >>> for_every_row(Expectation(type="expect_column_max_to_be_between", kwargs=bounds))  # one row can not
    False
    """
    kwargs = {name: value for name, value in expectation.kwargs.items() if value is not None}
    if expectation.type == "expect_column_min_to_be_between":
        return "max_value" not in kwargs
    if expectation.type == "expect_column_max_to_be_between":
        return "min_value" not in kwargs
    named = expectation.type.startswith(FOR_EVERY_ROW) and expectation.type not in ABOUT_MANY_ROWS
    return named and kwargs.get("mostly", 1) == 1


def told(finding: Finding, asked: Asked) -> str:
    """Expected against observed; of personal values only how many, or a statistic that is a number."""
    if not asked.personal:
        return str(finding)
    if finding.unexpected:
        observed = f"{finding.unexpected} values unexpected"
    else:
        words = finding.observed.removeprefix("observed ")
        observed = finding.observed if number(words) else "not met"
    return str(Finding(finding.expectation, met=False, observed=observed))


def number(words: str) -> bool:
    """Whether that is a number."""
    try:
        float(words)
    except ValueError:
        return False
    return True
