"""Data: Great Expectations suites on what goes in, what is in between, and what comes out. It changes no data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headgate.checks.asking import answers_of
from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.checks.expectations import Suite, evaluate
from headgate.checks.rows import request_rows
from headgate.checks.samples import Columns, read_table
from headgate.errors import Rejected
from headgate.lifecycle import CheckResult
from headgate.manifest import Column
from headgate.runtime import Subject

if TYPE_CHECKING:
    import pandas

PANDAS_TYPES = {"number": "float64", "integer": "Int64", "boolean": "boolean", "string": "str"}
IGNORED = ("id", "meta", "notes", "rendered_content")
"""Keys that Great Expectations writes into a saved suite, and that say nothing about data."""


def inputs(candidate: Subject) -> CheckResult:
    """The sample rows meet the suite of the inputs."""
    suite = read_suite(candidate, candidate.manifest.data.inputs, own_table=False)
    rows = request_rows(candidate.manifest, candidate.folder)
    return judged("data: inputs", suite, frame(rows, candidate.manifest.schema_.inputs))


def predictions(candidate: Subject) -> CheckResult:
    """The answers to the sample rows meet the suite of the predictions."""
    suite = read_suite(candidate, candidate.manifest.data.predictions, own_table=False)
    return judged("data: predictions", suite, frame(answers_of(candidate), candidate.manifest.schema_.outputs))


def features(candidate: Subject) -> CheckResult:
    """The table that the suite itself names, for example of features that the build wrote, meets it."""
    suite = read_suite(candidate, candidate.manifest.data.features, own_table=True)
    read_table(candidate.folder / suite.data)  # its errors say more than those of pandas
    import pandas  # noqa: PLC0415  # heavy

    return judged("data: features", suite, pandas.read_csv(candidate.folder / suite.data))


def read_suite(candidate: Subject, named: str | None, *, own_table: bool) -> Suite:
    """A suite file of the bundle. Raises `Rejected` when it is missing or malformed."""
    assert named, "applies only when the manifest names the file"
    try:
        document = json.loads((candidate.folder / named).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        hint = 'write JSON such as {"name": "inputs", "expectations": [{"type": "expect_...", "kwargs": {...}}]}'
        raise Rejected(f"{named} is not a readable suite: {error}", hint) from error
    suite = Suite.parse(without(document), where=named)
    if own_table != bool(suite.data):
        need = "needs `data`, the CSV it is about" if own_table else "must not name `data`: it is about the sample rows"
        raise Rejected(f"{named} {need}", f"correct {named}")
    if suite.data and not (candidate.folder / suite.data).resolve().is_relative_to(candidate.folder.resolve()):
        raise Rejected(f"{named}: {suite.data} is outside the bundle", "name a file of the bundle")
    return suite


def without(document: object) -> object:
    """The document, without what Great Expectations adds for itself."""
    if not isinstance(document, dict):
        return document
    kept = {name: value for name, value in document.items() if name not in IGNORED}
    if isinstance(kept.get("expectations"), list):
        kept["expectations"] = [without(item) for item in kept["expectations"]]
    return kept


def frame(columns: Columns, rules: Mapping[str, Column]) -> pandas.DataFrame:
    """A table for pandas, each column by its declared type."""
    import pandas  # noqa: PLC0415  # heavy

    typed = {name: pandas.Series(values, dtype=PANDAS_TYPES[rules[name].type]) for name, values in columns.items()}
    return pandas.DataFrame(typed)


def judged(name: str, suite: Suite, rows: pandas.DataFrame) -> CheckResult:
    """Hold a table to a suite. What is critical fails; a warning is reported; what cannot be worked out fails too."""
    findings = evaluate(suite, rows)
    unmet = [finding for finding in findings if not finding.met]
    blocking = [finding for finding in unmet if finding.blocks]
    return CheckResult(
        check=name,
        passed=not blocking,
        warning=bool(unmet) and not blocking,
        summary=f"{len(rows)} rows meet {len(findings) - len(unmet)} of {len(findings)} expectations of {suite.name!r}"
        + (f"; {len(blocking)} unmet ones block" if blocking else ""),
        numbers={
            "expectations": len(findings),
            "unmet": len(unmet),
            "blocking": len(blocking),
            "unexpected_values": sum(finding.unexpected for finding in unmet),
            "rows": len(rows),
        },
        details=few([str(finding) for finding in unmet]),
    )


INPUTS = Check("data: inputs", lambda manifest, _: bool(manifest.data.inputs), lambda candidate, _: inputs(candidate))
FEATURES = Check(
    "data: features", lambda manifest, _: bool(manifest.data.features), lambda candidate, _: features(candidate)
)
PREDICTIONS = Check(
    "data: predictions",
    lambda manifest, _: bool(manifest.data.predictions),
    lambda candidate, _: predictions(candidate),
)
