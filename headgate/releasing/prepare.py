"""Everything before traffic: compile, check, stage. Each act reads the ledger first and repeats nothing done."""

from __future__ import annotations

import tempfile
from pathlib import Path

from headgate import clock
from headgate.agreement import column_differences
from headgate.build import compile_folder, reproducible, source_digest
from headgate.bundle import best_known, describe, other_contents, push, register, versions
from headgate.checks import planned
from headgate.checks import run as run_check
from headgate.errors import Rejected, Unavailable
from headgate.lifecycle import Checked, CheckResult, Compiled, Intent, Staged
from headgate.manifest import Agreement, Golden, Manifest
from headgate.policies import policy_of, tested_before
from headgate.protocol import answer_columns, request
from headgate.releasing.run import Desk, Run
from headgate.releasing.waiting import await_ready
from headgate.topology import Topology, Variant

BUSY = (429, 502, 503, 504)
"""Answers that say nothing about a model: asking again may get one that does."""


def compile_bundle(run: Run) -> Compiled:
    """Make the bundle and put it into the store, whole. Raises `Rejected` for whatever the author must correct."""
    desk = Desk(run)
    done = desk.journal.refresh().compiled
    if done:
        return done
    if run.plan.model.startswith("sha256:"):
        bundle = describe(desk.store, run.plan.model)
    else:
        with tempfile.TemporaryDirectory(prefix="headgate-") as folder:
            layout = Path(folder) / "layout"
            compile_folder(Path(run.plan.model), into=layout, accept_pickle=run.plan.accept_pickle)
            if source_digest(Path(run.plan.model)) != desk.journal.state.requested_source:
                raise Rejected(
                    f"{run.plan.model} has changed since release {run.release} was asked for",
                    "release it again as it is now",
                )
            bundle = push(layout, desk.store)
    known = versions(desk.store, run.model).get(run.version, bundle.digest)
    if known != bundle.digest:
        raise other_contents(run.model, run.version, run.plan.model, given=known, made=bundle.digest)
    serving = desk.serving.refresh()
    if bundle.digest in serving.quarantined:
        raise Rejected(
            f"{bundle.digest} failed in {run.environment.name} before: {serving.quarantined[bundle.digest]}",
            "change the model; a bundle that failed never serves here again",
        )
    if run.intent is Intent.RELEASE:
        tested_before(desk.store, policy_of(desk.store, run.environment.name), run.model, bundle.digest)
    stable = serving.topology.stable if serving.topology else None
    fact = Compiled(
        bundle=bundle.digest,
        stable=stable.bundle if stable else None,
        stable_replicas=stable.replicas if stable else run.plan.replicas,
        provenance=best_known(desk.store, bundle.digest),
        calibration=serving.calibration,
        differs=built_otherwise(run, bundle.manifest),
    )
    desk.journal.record(fact)
    return fact


def built_otherwise(run: Run, manifest: Manifest) -> tuple[str, ...]:
    """Outputs that a second build makes differently; without a build command there is nothing to differ."""
    given = run.plan.model.startswith("sha256:")
    return () if given or not manifest.build.command else reproducible(Path(run.plan.model))


def checks_of(run: Run) -> tuple[str, ...]:
    """Names of the checks that this release must pass, in order; none when the bundle serves already."""
    desk = Desk(run)
    compiled = desk.compiled
    if compiled.bundle == compiled.stable:
        return ()
    manifest = describe(desk.store, compiled.bundle).manifest
    return planned(manifest, has_stable=compiled.stable is not None)


def check(run: Run, name: str) -> CheckResult:
    """Run one check and record what it found; one that passed is not run again."""
    desk = Desk(run)
    compiled = desk.compiled
    known = next((result for result in desk.journal.state.checks if result.check == name), None)
    if known and known.passed:
        return known
    stable = desk.subject(compiled.stable) if compiled.stable else None
    result = run_check(name, desk.subject(compiled.bundle), stable)
    desk.journal.record(Checked(result=result))
    return result


def stage(run: Run) -> Staged:
    """Run the candidate beside stable, without traffic, and hold it to a golden request.

    Raises `Rejected` when it does not load or answers wrongly, `Unavailable` when the plane does not get there.
    """
    desk = Desk(run)
    compiled = desk.compiled
    done = desk.journal.state.staged
    if done:
        return done
    if compiled.bundle == compiled.stable:
        fact = Staged(revision=desk.serving.refresh().revision, summary="it serves already")
        desk.journal.record(fact)
        return fact
    bundle = describe(desk.store, compiled.bundle)
    register(desk.store, bundle)
    candidate = Variant(bundle=compiled.bundle, replicas=run.plan.candidate_replicas)
    if compiled.stable is None:
        topology = Topology(model=run.model, stable=candidate.model_copy(update={"replicas": run.plan.replicas}))
    else:
        stable = Variant(bundle=compiled.stable, replicas=compiled.stable_replicas)
        topology = Topology(model=run.model, stable=stable, candidate=candidate, salt=run.release)
    started = clock.elapsed()
    revision = desk.serving.wish(topology, because=run.release, claim=run.claim)
    desk.plane.apply(revision, topology)
    load = bundle.manifest.serve.load_seconds
    await_ready(desk.plane, run.model, revision, compiled.bundle, seconds=load + 120)
    probed = probe(desk, compiled.bundle, bundle.manifest.test.golden)
    fact = Staged(revision=revision, summary=f"ready in {clock.elapsed() - started:.1f} s; {probed}")
    desk.journal.record(fact)
    return fact


def probe(desk: Desk, bundle: str, cases: tuple[Golden, ...], *, as_caller: bool = False) -> str:
    """Ask a running bundle its first golden request, straight or the way a caller asks.

    Raises `Rejected` when another bundle answers or the answer is not the known one, `Unavailable` when nobody does.
    """
    model = desk.run.model
    if not cases:
        return "no golden request declared"
    manifest = describe(desk.store, bundle).manifest
    case = cases[0]
    answer = desk.plane.ask(model, request(manifest.schema_, case.inputs), bundle="" if as_caller else bundle)
    if answer.status in BUSY or not answer.bundle:
        raise Unavailable(
            f"{model}: probe `{case.name}` got status {answer.status} from {answer.bundle or 'nobody'}",
            "it is asked again; if that goes on, see `headgate logs --of servers`",
        )
    if answer.status != 200 or answer.bundle != bundle:
        raise Rejected(
            f"{model}: probe `{case.name}` got status {answer.status} from {answer.bundle or 'nobody'}: {answer.body}",
            f"expected 200 from {bundle}; see `headgate logs`",
        )
    found, agree = answer_columns(answer.body), Agreement(absolute=case.absolute, relative=case.relative)
    for name, expected in case.outputs.items():
        for row, reason in column_differences(expected, found.get(name), agree).items():
            where = f"{model}: probe `{case.name}` of {bundle}: {name}[{row}]"
            raise Rejected(f"{where}: {reason}", "correct the model, or the golden case in headgate.toml")
    return f"golden request `{case.name}` answered as known"
