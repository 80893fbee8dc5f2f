"""Hold a table to a Great Expectations suite. It sends nothing, stores nothing and skips nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from headgate.values import Value

if TYPE_CHECKING:
    import pandas


class Expectation(Value):
    """One expectation of a suite."""

    type: str = Field(pattern=r"^expect_[a-z0-9_]+$")
    kwargs: Mapping[str, Any] = {}
    severity: Literal["critical", "warning", "info"] = "critical"


class Suite(Value):
    """A suite file."""

    name: str = Field(min_length=1)
    expectations: tuple[Expectation, ...] = Field(min_length=1)
    data: str = ""
    """CSV in the bundle that the suite is about, for a suite of features."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one expectation fared."""

    expectation: Expectation
    met: bool
    observed: str = ""
    unexpected: int = 0  # values that should not be there
    trouble: str = ""  # why it could not be worked out; then it is not met

    @property
    def blocks(self) -> bool:
        """Whether it alone fails the check: critical, or not worked out."""
        return not self.met and (bool(self.trouble) or self.expectation.severity == "critical")

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.expectation.kwargs.items())
        said = self.trouble and f"cannot be worked out: {self.trouble}"
        return f"{self.expectation.type}({arguments}), {self.expectation.severity}: {said or self.observed}"


def evaluate(suite: Suite, rows: pandas.DataFrame) -> list[Finding]:
    """Every expectation, each on its own, so that one that cannot be worked out hides no other."""
    import great_expectations  # noqa: PLC0415  # five seconds
    from great_expectations.data_context.types.base import (  # noqa: PLC0415
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    # they say where a temporary folder is and what was loaded, which concerns nobody; one sets its own level
    for name in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(name).setLevel(logging.WARNING)
    quiet = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    context = great_expectations.get_context(mode="ephemeral", project_config=quiet)
    source = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = source.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": rows})
    return [found(batch, expectation) for expectation in suite.expectations]


def found(batch: Any, expectation: Expectation) -> Finding:
    """How the rows fare with one expectation."""
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration  # noqa: PLC0415
    from great_expectations.expectations.metadata_types import FailureSeverity  # noqa: PLC0415

    configured = ExpectationConfiguration(
        type=expectation.type, kwargs=dict(expectation.kwargs), severity=FailureSeverity(expectation.severity)
    )
    try:
        result = batch.validate(configured.to_domain_obj())
    except Exception as error:  # noqa: BLE001  # whatever the library raises means that there is no answer
        return Finding(expectation, met=False, trouble=" ".join(str(error).split()))
    trouble = raised(result.exception_info or {})
    numbers = result.result or {}
    unexpected = int(numbers.get("unexpected_count") or 0)
    return Finding(
        expectation, bool(result.success) and not trouble, observed(numbers), unexpected=unexpected, trouble=trouble
    )


def observed(numbers: Mapping[str, Any]) -> str:
    """What was seen, in words."""
    words = []
    if numbers.get("observed_value") is not None:
        words.append(f"observed {numbers['observed_value']}")
    if numbers.get("unexpected_count"):
        examples = ", ".join(map(str, numbers.get("partial_unexpected_list", [])[:5]))
        words.append(f"{numbers['unexpected_count']} of {numbers.get('element_count')} values unexpected: {examples}")
    return "; ".join(words) or "not met"


def raised(info: Mapping[str, Any]) -> str:
    """The messages of what the library caught: at the top, or for each metric that it could not compute."""
    if info.get("raised_exception"):
        return " ".join(str(info.get("exception_message")).split())
    inner = [entry for entry in info.values() if isinstance(entry, Mapping) and entry.get("raised_exception")]
    return "; ".join(dict.fromkeys(" ".join(str(entry.get("exception_message")).split()) for entry in inner))
