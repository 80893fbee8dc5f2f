"""What a release costs beside the work that it does: against a bare Prefect flow, and second by second."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.faults.seconds import MANIFEST, PROGRAM, breakdown
from benchmarks.faults.server import prefect_server
from benchmarks.histories import figure
from benchmarks.releases.figures import told
from headgate.build import compile_folder
from headgate.bundle import push
from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.lifecycle import Outcome
from headgate.plan import Plan, Strategy
from headgate.releasing import Acts, Ending, Run, checks_of
from headgate.stores import open_store
from headgate.topology import Digest

MOST = 1.2
PAIRS, PAIRS_QUICK = 15, 5
NAME = "orchestration cost, a release / bare flow of as many tasks"


@dataclass(frozen=True)
class Took:
    """How long one flow took."""

    seconds: float
    processor_seconds: float
    """Of this process alone, all of its threads."""


def figures(seed: int, quick: bool) -> list[dict[str, Any]]:
    """What orchestration costs (goal), and where the seconds of a real local release go (no goal, about a minute)."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with tempfile.TemporaryDirectory(prefix="headgate-cost-") as folder, prefect_server(Path(folder)) as address:
        return [*ratios(address, Path(folder), PAIRS_QUICK if quick else PAIRS), *breakdown(address, seed)]


def ratios(address: str, folder: Path, pairs: int) -> list[dict[str, Any]]:
    """Releases on the memory plane and store and bare flows, one after the other, in this process."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings  # noqa: PLC0415 -- takes seconds

    environment = Environment(
        name="bench", home=str(folder), store=f"memory:{uuid.uuid4().hex}", plane=f"memory:{uuid.uuid4().hex}"
    )
    with temporary_settings({PREFECT_API_URL: address, PREFECT_HOME: folder}):
        counts: Counter[str] = Counter()
        release, bare = release_flow(counts), bare_flow()

        def pair(number: int) -> tuple[Took, Took]:
            plan = plan_of(bundle(environment, f"1.{number}.0"))
            counts.clear()
            ours = timed(lambda: succeeded(release(plan, environment)))
            return ours, timed(lambda: bare(counts.total()))

        measured = [pair(number) for number in range(pairs + 1)]
    kept = measured[1:]  # the first ones load what all others find
    return compared(kept, counts.total())


def compared(measured: list[tuple[Took, Took]], tasks: int) -> list[dict[str, Any]]:
    """The ratio of the times that somebody waits, and what the processor does meanwhile."""
    ours, bare = (median(pair[of].seconds for pair in measured) for of in (0, 1))
    busy, idle = (median(pair[of].processor_seconds for pair in measured) for of in (0, 1))
    ratio = median(one.seconds / other.seconds for one, other in measured)
    spread = sorted(one.seconds / other.seconds for one, other in measured)
    against = (
        f"{ours:.3f} s and {bare:.3f} s, medians of {len(measured)} pairs of {tasks} tasks; "
        f"ratios {spread[0]:.2f} to {spread[-1]:.2f}; heartbeats as shipped"
    )
    return [
        figure(NAME, ratio, "times", MOST, against),
        told("orchestration cost, processor, a release", busy, "s", f"a bare flow {idle:.3f} s; without the server"),
    ]


def release_flow(counts: Counter[str]) -> Callable[[Plan, Environment], Ending]:
    """The flow as shipped, but for the checks, which are looked up and not run; it counts its tasks."""
    from prefect import flow, task  # noqa: PLC0415 -- takes seconds

    from headgate.releasing import walk  # noqa: PLC0415 -- as above
    from tasks.acts import TASKS  # noqa: PLC0415 -- as above
    from tasks.begin import begin  # noqa: PLC0415 -- as above
    from tasks.retry import RETRY  # noqa: PLC0415 -- as above

    @task(**RETRY)
    def validate(run: Run) -> tuple[str, ...]:
        checks_of(run)
        return ()

    def counting(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            counts[name] += 1
            return act(*arguments)

        return counted

    known = {field.name: getattr(TASKS, field.name) for field in fields(TASKS)} | {"validate": validate}
    acts = Acts(**{name: counting(name, act) for name, act in known.items()})
    first = counting("begin", begin)

    @flow(name="release", flow_run_name="release {plan.model} to {plan.environment}")
    def release(plan: Plan, environment: Environment) -> Ending:
        return walk(first(plan, environment, "benchmarks.faults"), acts)

    return release


def bare_flow() -> Callable[[int], None]:
    """As many tasks that do nothing."""
    from prefect import flow, task  # noqa: PLC0415 -- takes seconds

    @task
    def nothing() -> None:
        pass

    @flow
    def bare(tasks: int) -> None:
        for _ in range(tasks):
            nothing()

    return bare


def plan_of(digest: Digest) -> Plan:
    """All traffic at once, nothing to wait for."""
    return Plan(model=digest, environment="bench", strategy=Strategy.DIRECT, warm_up_seconds=0, probation_seconds=0)


def bundle(environment: Environment, version: str) -> Digest:
    """Compile and store a version of a tiny model, before anything is timed."""
    with tempfile.TemporaryDirectory() as private:
        tree, layout = Path(private) / "model", Path(private) / "layout"
        tree.mkdir()
        (tree / "headgate.toml").write_text(MANIFEST.format(version=version))
        (tree / "model.py").write_text(PROGRAM.format(version=version))
        compile_folder(tree, into=layout)
        return push(layout, open_store(environment.store)).digest


def timed(act: Callable[[], object]) -> Took:
    """Do it once."""
    began, busy = time.perf_counter(), time.process_time()
    act()
    return Took(time.perf_counter() - began, time.process_time() - busy)


def succeeded(ending: Ending) -> None:
    """Raise when a release was not promoted: then its time would say nothing."""
    if ending.outcome is not Outcome.PROMOTED:
        raise Unavailable(f"a release ended as {ending.outcome}: {ending.reason}", "the benchmark cannot measure that")
