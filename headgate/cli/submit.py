"""Ask for a release that a Prefect worker carries out: CI's command. It stores the bundle, and moves no traffic."""

from __future__ import annotations

import itertools
import math
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import click

from headgate.cli.asking import document_from, plan_from, plan_options, settings_of
from headgate.cli.common import actor, environment_option, json_option, say
from headgate.cli.leaving import leaving
from headgate.cli.orders import FlowRun, PrefectServer, prefect_server, trouble_of
from headgate.cli.progress import Follower
from headgate.cli.release import EXIT
from headgate.cli.release import told as told_end
from headgate.cli.storing import Stored, stored
from headgate.environment import Environment
from headgate.errors import Rejected, Unavailable
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Outcome
from headgate.releasing import Ending
from headgate.stores import ObjectStore, open_store
from headgate.strategies import refuse_unfit
from headgate.values import canonical, digest_of

DEPLOYMENT = "release/headgate"
FIELDS = ("strategy", "approval", "overlap")
"""Values of a plan that the form asks for by themselves; all others are its settings."""
LOOK_SECONDS = 2.0
"""Between two looks at the run and the ledger."""
LAST_WORDS_SECONDS = 30.0
"""How long a run may take from the end of its release to its own."""


class Asked(Ending):
    """What became of an order: how its release stands, and where to see it."""

    bundle: str = ""
    tag: str = ""
    flow_run: str = ""
    """Prefect's id of the run."""
    page: str = ""
    """Address of the run in Prefect's UI."""
    created: bool = False
    """False when the same had been asked for before: then this is that run."""


@click.command("submit")
@click.argument("model")
@environment_option
@plan_options
@click.option("--tag", default="", help="Git tag that must point at the bundle's commit and name its version.")
@click.option("--key", default="", help="What makes this order one: the CI pipeline's id, for example.")
@click.option("--note", default="", help="For people; kept with the run.")
@click.option(
    "--record", type=click.Path(dir_okay=False, path_type=Path), help="Also write what --json prints to this file."
)
@click.option("--push-only", is_flag=True, help="Store the bundle, print its digest, and ask for nothing.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    is_flag=False,
    flag_value=math.inf,
    metavar="[SECONDS]",
    help="Show how far it is until it has ended; not longer than that, if a number follows.",
)
@json_option
def submit_command(
    model: str,
    environment: Environment,
    plan_file: Path | None,
    strategy: str | None,
    settings: tuple[str, ...],
    tag: str,
    key: str,
    note: str,
    record: Path | None,
    push_only: bool,
    wait: float | None,
    as_json: bool,
) -> int:
    """Have a Prefect server release MODEL: a model folder, or a stored bundle as MODEL@VERSION or digest.

    Compiles the folder here, puts the bundle into HEADGATE_STORE, and asks the server that PREFECT_API_URL names for a
    run of its deployment `release/headgate`. Use it in CI, and wherever a worker shall do the work. With --wait it
    shows progress and leaves with the release's exit code; Ctrl-C and the end of the time leave it running (4).

    The same order is placed once: asked again, it finds the run that was made. Orders differ by model, digest,
    environment, plan and --key; without --key, an order is new when another release has ended there since.

    \b
    Examples:
      headgate submit my-model --environment staging --wait
      headgate submit my-model --environment production --tag v1.2.0 --wait 3600 --json
      headgate submit my-model@1.2.0 --environment production --key "$GITHUB_RUN_ID" --wait
    """
    document = document_from(plan_file, strategy, settings)
    plan = plan_from("any", environment.name, plan_file, strategy, settings)
    refuse_unfit(plan)
    store = open_store(environment.store)
    if push_only:
        found = stored(store, model, tag=tag, accept_pickle=plan.accept_pickle)
        say(found.model_dump(mode="json"), found.bundle, as_json=as_json)
        return 0
    with prefect_server() as server:
        deployment = server.deployment(DEPLOYMENT)  # before a long build
        found = stored(store, model, tag=tag, accept_pickle=plan.accept_pickle)
        form = form_of(found, environment, document, note)
        order = order_key(form, found, key or ended_last(store, environment, found.model))
        run = placed(server, deployment, form, order)
        asked = Asked(
            release=run.release,
            model=found.model,
            version=found.version,
            environment=environment.name,
            outcome=None,
            reason="asked for" if run.created else "asked for before",
            bundle=found.bundle,
            tag=found.tag,
            flow_run=run.id,
            page=server.page(run.id),
            created=run.created,
        )
        if not as_json:
            click.echo(f"{asked.reason}: {found.model} {found.version} to {environment.name}; {asked.page}", err=True)
        keep(asked, record)
        if wait is None:
            say(asked.model_dump(mode="json"), f"run {run.id}", as_json=as_json)
            return 0
        ended = followed(server, asked, environment, wait=wait, as_json=as_json)
    keep(ended, record)
    say(ended.model_dump(mode="json"), told(ended, environment), as_json=as_json)
    return EXIT[ended.outcome]


def keep(asked: Asked, path: Path | None) -> None:
    """Write the order down for the steps of a pipeline that come after."""
    if path:
        path.write_text(asked.model_dump_json(indent=2) + "\n", encoding="utf-8")


def form_of(found: Stored, environment: Environment, document: dict[str, Any], note: str) -> dict[str, Any]:
    """The form of the deployment, filled in; what nobody asked for is left out, so that a policy may say it."""
    tagged = f"tag {found.tag} at commit {found.commit[:12]}" if found.tag else ""
    return {
        "model": found.bundle,
        "environment": environment.name,
        "requested_by": actor(),
        "note": "; ".join(filter(None, (note, tagged))),
        "settings": settings_of({name: value for name, value in document.items() if name not in FIELDS}),
        **{name: document[name] for name in FIELDS if name in document},
    }


def order_key(form: dict[str, Any], found: Stored, since: str) -> str:
    """What makes two orders one: model, digest, environment, the plan, and `since`.

    Who asks and with what note makes no difference.

    Args:
        form: the form as it is sent.
        found: the bundle.
        since: what a repetition has in common with the first: the pipeline's id, or the last end of a release there.
    """
    wished = {name: value for name, value in form.items() if name not in {"requested_by", "note"}}
    body = canonical({"model": found.model, "form": wished, "since": since})
    return f"headgate-{digest_of(body).removeprefix('sha256:')[:32]}"


def ended_last(store: ObjectStore, environment: Environment, model: str) -> str:
    """The entry with which a release of the model last let go of the environment; empty before the first."""
    ledger = EnvironmentJournal(store, environment.name, model, "submit").ledger
    last = ledger.last()
    backwards = (ledger.one(seq) for seq in range(last.seq if last else 0, 0, -1))
    return next((str(entry.seq) for entry in backwards if entry.fact["kind"] == "freed"), "")


def placed(server: PrefectServer, deployment: str, form: dict[str, Any], key: str) -> FlowRun:
    """The run of an order. One that failed before it had begun a release counts for nothing: a new one is made."""
    tags = [f"environment:{form['environment']}"]
    for number in itertools.count(1):
        numbered = key if number == 1 else f"{key}-{number}"
        run = server.create(deployment, {"request": form}, key=numbered, tags=tags)
        if run.created or run.release or not run.failed:
            return run
    raise AssertionError("counting has no end")


def followed(server: PrefectServer, asked: Asked, environment: Environment, *, wait: float, as_json: bool) -> Asked:
    """The order once its release has ended, or as it stands when the time is over or somebody presses Ctrl-C."""
    watch = Watch(server, asked, environment, speaks=not as_json)
    done = threading.Event()
    follower = Follower(environment, done, watch.begun)
    if not as_json:
        follower.start()
    with leaving(None if math.isinf(wait) else wait) as left:
        try:
            return watch.until_it_ends()
        except BaseException:
            if not left.why:
                raise
            return watch.standing(left.why)
        finally:
            done.set()
            if not as_json:
                follower.join(timeout=5)


class Watch:
    """Looks at a run and at the ledger of its release, until the release has ended."""

    def __init__(self, server: PrefectServer, asked: Asked, environment: Environment, *, speaks: bool) -> None:
        self.server, self.asked, self.environment, self.speaks = server, asked, environment, speaks
        self.store = open_store(environment.store)
        self.release = asked.release
        self.last_said = ""

    def begun(self) -> ReleaseJournal | None:
        """The journal of the release, once the run has begun one and the store shows it."""
        if not self.release:
            return None
        journal = ReleaseJournal(self.store, self.release, "submit")
        return journal if journal.refresh().requested else None

    def until_it_ends(self) -> Asked:
        """The order with its outcome. Raises what a release here would raise, when the run failed without one.

        Once the release has begun, a server or a store that goes away for a while ends no watch.
        """
        run, journal = FlowRun(id=self.asked.flow_run, state="SCHEDULED"), None
        ended_at: float | None = None
        while True:
            with suppress(Unavailable) if journal else nullcontext():
                run = self.server.run(run.id)
                self.release = run.release or self.release
            journal = journal or self.begun()
            if journal is None:
                self._without_release(run)
            elif self._over(journal):
                ended_at = ended_at or time.monotonic()
                if run.ended or time.monotonic() - ended_at > LAST_WORDS_SECONDS:
                    return self._concluded(journal, run)
            time.sleep(LOOK_SECONDS)

    def _over(self, journal: ReleaseJournal) -> bool:
        """Whether the release has ended, as far as the store tells now."""
        with suppress(Unavailable):
            journal.refresh()
        return journal.state.concluded is not None

    def _without_release(self, run: FlowRun) -> None:
        """Say what a run waits for that has not begun a release. Raises when it never will."""
        if run.failed:
            raise trouble_of(run)
        if run.ended:
            raise Unavailable(
                f"run {run.id} is over, and {self.environment.store} knows no release of it",
                "the worker must have the same HEADGATE_STORE as this command",
            )
        said = f"{run.name or run.state}: {run.said}".removesuffix(": ")
        if self.speaks and said != self.last_said:
            hint = "; does a worker run for its work pool?" if run.name == "Late" else ""
            click.echo(f"          the run is {said}{hint}", err=True)
        self.last_said = said

    def _concluded(self, journal: ReleaseJournal, run: FlowRun) -> Asked:
        """The end. Raises `Rejected` when it was turned back because a person must correct something."""
        state = journal.state
        assert state.concluded
        if state.concluded.outcome is Outcome.TURNED_BACK and run.failed and isinstance(trouble_of(run), Rejected):
            raise trouble_of(run)
        return self.asked.model_copy(
            update={
                "release": journal.release,
                "outcome": state.concluded.outcome,
                "reason": state.decided.reason if state.decided else "",
                "serving": state.concluded.serving,
                "report": state.reported.page if state.reported else "",
            }
        )

    def standing(self, why: str) -> Asked:
        """The order as it stands; the release goes on."""
        return self.asked.model_copy(update={"release": self.release, "reason": f"{why}; the release goes on"})


def told(asked: Asked, environment: Environment) -> str:
    """How it stands, for a person."""
    if asked.outcome is not None:
        return f"{told_end(asked, environment)}\n  run      {asked.page}"
    lines = [
        f"{click.style('STILL OPEN', fg='yellow', bold=True)}  {asked.model} {asked.version} in {asked.environment}",
        f"  why      {asked.reason}",
        f"  run      {asked.page}",
    ]
    return "\n".join([*lines, f"  release  {asked.release}"] if asked.release else lines)
