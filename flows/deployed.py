"""What deployments run: a form becomes a plan, the walk goes on as everywhere, and what has to wait holds no process.

Every run is entered again from the top after a sleep, a crash, or an answer. Which release it carries, it knows from
its tags; what is done, from the release's ledger.
"""

from __future__ import annotations

import os
from pathlib import Path

import httpx
from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.runtime import deployment
from prefect.states import Completed, Failed

from flows.asking import ApprovalForm, Decision, ReleaseForm, ResumeForm, RollbackForm, SweepForm
from flows.carrying import carried, carry, this_run
from flows.consent import ask_for_approval, take_answers
from flows.sleeping import sleep_until
from flows.waking import drop_backlog, look_after, rouse
from headgate.cli.asking import plan_under
from headgate.cli.names import DIGEST, candidate_named, model_named
from headgate.cli.release import digest_of_target
from headgate.environment import Environment
from headgate.errors import Conflict
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Intent, Outcome
from headgate.policies import policy_of
from headgate.policy import Role, permit
from headgate.releasing import Ending, Run, end, walk
from headgate.releasing.approvals import hand_in, parted, record_form_answer
from headgate.stores import ObjectStore, open_store
from tasks.acts import TASKS
from tasks.artifacts import show_story
from tasks.begin import begin, begin_rollback, put_aside, take_over

FOLDER = "HEADGATE_FOLDER"
"""Environment variable: the folder that relative paths of models start from; the worker's own, unless set."""
SWEEPER = "sweep"
"""Who acts where no person does."""
GOOD = {Outcome.PROMOTED, Outcome.RESTORED}


@flow(name="release", flow_run_name="release {request.model} to {request.environment}")
def release(request: ReleaseForm) -> State[None]:
    """Release one model. Its state at the end says how: promoted, or that it failed, and why."""
    where, who = Environment.here(request.environment), request.requested_by
    if known := carried():
        return go_on(take_over(known, where, who, request.patience_seconds))
    candidate, _ = candidate_named(permitted(where, who, "release"), on_this_machine(request.model))
    plan = plan_under(where, candidate, None, None, request.wishes())
    return go_on(begin(plan, where, who, patience_seconds=request.patience_seconds))


@flow(name="rollback", flow_run_name="roll back {request.model} in {request.environment}")
def rollback(request: RollbackForm) -> State[None]:
    """Go back to a stored bundle; an open release is ended first, and without a bundle named that is all."""
    where, who = Environment.here(request.environment), request.requested_by
    before = take_over(known, where, who) if (known := carried()) else None
    if before and before.intent is Intent.ROLLBACK:
        return go_on(before)
    store = permitted(where, who, "roll back")
    model_named(store, where, request.model)
    to = digest_of_target(store, request.model, request.to) if request.to else ""
    why = f"rolled back by {who}: {request.reason}"
    if not to and (aside := before or put_aside(where, request.model, who, why)):
        carry(aside.release)  # entered again, this run must not take what it has ended for what served before
        ending = end(aside, Outcome.ABORTED, why, TASKS)
        if ending.outcome is not Outcome.PROMOTED:
            return Completed(name="Restored", message=f"the open release was ended: {ending.reason}")
    return go_on(begin_rollback(where, request.model, to, who, request.reason))


@flow(name="resume", flow_run_name="{request.release}")
def resume(request: ResumeForm) -> State[None]:
    """Go on with a release that exists, from where its ledger stands."""
    return go_on(take_over(request.release, Environment.here(request.environment), SWEEPER, request.patience_seconds))


@flow(name="approve", flow_run_name="{request.decision.value} {request.release}")
def approve(request: ApprovalForm) -> None:
    """Record what an approver says, and have the release look at it at once. Fails when it does not count, with why."""
    store = open_store(Environment.here().store)
    if request.signed:
        hand_in(store, request.release, request.approver, *parted(request.signed))
    else:
        approves = request.decision is Decision.APPROVE
        record_form_answer(store, request.release, request.approver, approve=approves, note=request.note)
    rouse(store, request.release)


@flow(name="sweep", flow_run_name="sweep")
def sweep(request: SweepForm) -> None:
    """Look after every open release of some environments, and enter what is due."""
    if deployment_id := deployment.get_id():
        try:
            drop_backlog(deployment_id)
        except (PrefectException, httpx.HTTPError) as error:  # sweeps too many do no harm
            get_run_logger().warning("sweeps that are late stay: %s", error)
    failed: list[Exception] = []
    for name in request.environments:
        try:
            swept = look_after(Environment.here(name), SWEEPER, orphan_seconds=request.orphan_seconds)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the other environments are looked after
            get_run_logger().error("%s: %s", name, error)
            failed.append(error)
            continue
        for done in swept:
            log = get_run_logger().warning if done.problem else get_run_logger().info
            log("%s, %s: %s", name, done.about, done.what)
    if failed:
        raise failed[0]


def go_on(run: Run) -> State[None]:
    """Walk to the end, or until nothing can be done for a while: then this process ends here, and the run does not."""
    carry(run.release)
    take_answers(run)
    try:
        ending = walk(run, TASKS)
    except Conflict as conflict:
        if newest_attempt(run) == run.attempt:
            raise
        return Completed(name="Handed over", message=f"a newer attempt carries {run.release} on: {conflict.message}")
    if ending.asleep:
        show_story(run)
        ask_for_approval(run, ending)
        sleep_until(this_run(), ending.asleep, ending.reason)
    return last_state(ending)


def permitted(environment: Environment, who: str, act: str) -> ObjectStore:
    """The environment's store, if its policy lets `who` move traffic there. Raises `Rejected` if not."""
    store = open_store(environment.store)
    permit(policy_of(store, environment.name), who, Role.OPERATOR, act)
    return store


def newest_attempt(run: Run) -> int:
    """The attempt that carries the release now."""
    return ReleaseJournal(open_store(run.environment.store), run.release, run.actor).refresh().attempt


def last_state(ending: Ending) -> State[None]:
    """A release that did not go live has failed, so that whatever started its run sees that."""
    name = ending.outcome.value.capitalize() if ending.outcome else "Open"
    message = f"{ending.model} {ending.version} in {ending.environment}: {ending.reason}"
    return Completed(name=name, message=message) if ending.outcome in GOOD else Failed(name=name, message=message)


def on_this_machine(model: str) -> str:
    """What a form names, with a folder's path made whole: the process of a run starts anywhere."""
    if "@" in model or DIGEST.fullmatch(model):
        return model
    return str(Path(os.environ.get(FOLDER, ".")) / model)
