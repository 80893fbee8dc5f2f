"""Release several models together, in order: all of them, or none."""

from __future__ import annotations

import os
import threading
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from headgate.bundle import Bundle, describe
from headgate.cli.asking import demands_of, document_from, plan_options
from headgate.cli.common import actor, environment_option, json_option, permitted, quiet_prefect, say
from headgate.cli.leaving import leave_behind, leaving
from headgate.cli.names import candidate_named
from headgate.cli.progress import Follower, entered_here
from headgate.cli.release import EXIT
from headgate.cli.storing import stored
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.journal import ReleaseJournal
from headgate.plan import Plan
from headgate.planes.local import refuse_conflict
from headgate.policies import policy_of
from headgate.policy import Role
from headgate.releasing.joint import JointEnding, JointRun, joint_ending
from headgate.releasing.joint_journal import JointJournal, joints_open
from headgate.stores import ObjectStore, open_store
from headgate.strategies import refuse_unfit
from headgate.tightening import plan_for
from headgate.values import Value

PAUSE_SECONDS = 0.5


class Together(Value):
    """The file of a joint release, as its author writes it."""

    reason: str = ""
    release: tuple[dict[str, Any], ...]
    """Each holds the values of one plan, with `model`: a folder (from the file's own), MODEL@VERSION or a digest."""


@click.command("joint")
@click.argument("what", nargs=-1, required=True, metavar="FILE.toml|MODEL...")
@environment_option
@plan_options
@click.option("--reason", default="", help="Why; it is recorded with your name.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Leave after that long if it is still open (exit code 4).",
)
@json_option
def joint_command(
    what: tuple[str, ...],
    environment: Environment,
    plan_file: Path | None,
    strategy: str | None,
    settings: tuple[str, ...],
    reason: str,
    wait: float | None,
    as_json: bool,
) -> int:
    """Release several models together, in the order in which they are named: all of them, or none.

    Use it when versions only make sense together. Every model is stored first; then one is released after the other,
    each with its own checks and gates. When one is rolled back, turned back or ended, those promoted before it go back
    to what served before them, the last one first, from stored bytes; nothing is quarantined that did not fail itself.
    The first version ever of a model stays, because there is nothing to go back to. Killed at any moment and called
    again with the same models and plans, it goes on; a sweep does the same. To end it, end the release under way.

    FILE.toml holds one [[release]] table per model, with `model` and values of its plan; without a file, --plan, --set
    and --strategy are for all.

    \b
    Examples:
      headgate joint prices-model routes-model
      headgate joint together.toml --reason "routes need the new prices"
    """
    store = permitted(environment, Role.OPERATOR, "release")
    said, documents = wanted(what, document_from(plan_file, strategy, settings))
    refuse_conflict(environment)
    plans = [plan_of(store, environment, document) for document in documents]
    quiet_prefect()

    def tell(ending: JointEnding) -> int:
        say(ending.model_dump(mode="json"), told(ending), as_json=as_json)
        return EXIT[ending.outcome]

    return tell(followed(plans, environment, reason or said, wait=wait, quietly=as_json, tell=tell))


def wanted(what: Sequence[str], shared: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The reason and the plans' values that are asked for, in order. Raises `Rejected` for a file that is wrong."""
    if len(what) > 1 or not what[0].endswith(".toml"):
        return "", [{**shared, "model": model} for model in what]
    path = Path(what[0])
    if shared:
        raise Rejected(f"{path} says how each model is released", "write --plan, --set and --strategy into it")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"{path} cannot be read: {error}", "name a readable TOML file") from error
    found = Together.parse(document, where=str(path))
    for number, table in enumerate(found.release):
        if not isinstance(table.get("model"), str):
            raise Rejected(f"{path} is not valid: release[{number}].model: is missing", "name a model in each table")
    beside = [
        {**table, "model": str(path.parent / table["model"])} if (path.parent / table["model"]).is_dir() else table
        for table in found.release
    ]
    return found.reason, beside


def plan_of(store: ObjectStore, environment: Environment, document: dict[str, Any]) -> Plan:
    """The plan of one part over what its environment and its model insist on, with its bundle in the store."""
    model, _ = candidate_named(store, document["model"])
    given = {**document, "model": model, "environment": environment.name}
    plan = plan_for(policy_of(store, environment.name), demands_of(store, model), given)
    refuse_unfit(plan)
    return plan.model_copy(update={"model": stored(store, model, tag="", accept_pickle=plan.accept_pickle).bundle})


def followed(
    plans: list[Plan],
    environment: Environment,
    reason: str,
    *,
    wait: float | None,
    quietly: bool,
    tell: Callable[[JointEnding], int],
) -> JointEnding:
    """Run the flow in this process, and show how far each part is; `tell` how it stands where there is no returning."""
    from flows.api import answering, reach
    from flows.joint import joint

    over = threading.Event()
    shown = PartsFollower(environment, [describe(open_store(environment.store), plan.model) for plan in plans], over)
    if not quietly:
        shown.start()
    with leaving(wait, lambda why: tell(standing(environment, why))) as left:
        try:
            reach()
            left.with_own_server()
            with answering():
                return joint(plans, environment.name, reason=reason, environment=environment, actor=actor())
        except BaseException as error:
            if not left.ends(error):
                raise
            ending = standing(environment, left.why)
            if left.lost:
                leave_behind(lambda: tell(ending))
            return ending
        finally:
            over.set()
            if not quietly:
                shown.join(timeout=5)


class PartsFollower(threading.Thread):
    """Shows one part's release after the other, by reading what is written of them; it changes nothing."""

    def __init__(self, environment: Environment, bundles: list[Bundle], over: threading.Event) -> None:
        super().__init__(name="parts", daemon=True)
        self.environment, self.over = environment, over
        self.models = [bundle.manifest.model.name for bundle in bundles]

    def run(self) -> None:
        """Until the flow is over."""
        for model in self.models:
            self._show(model)

    def _show(self, model: str) -> None:
        found: list[ReleaseJournal] = []

        def find() -> ReleaseJournal | None:
            journal = entered_here(self.environment, model)
            found.extend([journal] if journal else [])
            return journal

        done = threading.Event()
        follower = Follower(self.environment, done, find)
        follower.start()
        while not self.over.wait(PAUSE_SECONDS) and not (found and found[0].state.concluded):
            pass
        done.set()
        follower.join(timeout=5)


def standing(environment: Environment, why: str) -> JointEnding:
    """How the joint release stands that this process leaves open, if it had begun one."""
    store = open_store(environment.store)
    for joint in reversed(joints_open(store, environment.name)):
        journal = JointJournal(store, joint, "status")
        journal.refresh()
        taken = [entry.fact["process"] for entry in journal.entries if entry.fact["kind"] == "taken"]
        if taken and taken[-1].endswith(f" pid {os.getpid()}"):
            run = JointRun(joint=joint, attempt=journal.state.attempt, environment=environment, actor="status")
            return joint_ending(run).model_copy(update={"reason": why})
    return JointEnding(
        joint="", environment=environment.name, outcome=None, reason=f"{why}, before anything was begun", parts=()
    )


def told(ending: JointEnding) -> str:
    """The end in a few lines."""
    colour = {0: "green", 1: "red"}.get(EXIT[ending.outcome], "yellow")
    word = click.style((ending.outcome or "still open").upper(), fg=colour, bold=True)
    lines = [f"{word}  {len(ending.parts)} models together in {ending.environment}", f"  why      {ending.reason}"]
    for part in ending.parts:
        line = f"  part     {part.model} {part.version}: {part.outcome or part.reason or 'still open'}"
        lines.append(line + (f"; {part.undone}" if part.undone else ""))
    if ending.outcome is None and ending.joint:
        lines.append("  now      the same command, or a sweep, goes on with it; to end it, end the release under way")
    return "\n".join([*lines, f"  joint    {ending.joint}"] if ending.joint else lines)
