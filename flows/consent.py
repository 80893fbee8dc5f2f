"""Ask for an approval in Prefect's UI, and take what was filled in to the ledger, where it is weighed."""

from __future__ import annotations

from datetime import UTC, timedelta

from prefect import get_run_logger
from prefect.input import RunInput
from pydantic import Field, ValidationError

from flows.asking import Decision, Person
from flows.carrying import this_run
from flows.sleeping import answers, ask, forget
from headgate import clock
from headgate.cli.common import short
from headgate.errors import HeadgateError, Unavailable
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Release
from headgate.policies import policy_of
from headgate.policy import Policy, Role
from headgate.releasing import Ending, Run
from headgate.releasing.approvals import record_form_answer
from headgate.stores import open_store
from headgate.walk import approved

PREFIX = "approval-"
"""Begins the key of every question; the attempt that asks follows, since no key may be used twice."""


class Answer(RunInput):
    """What an approver fills in."""

    decision: Decision = Field(title="Decision", description="A rejection is final.")
    approver: Person = Field(
        title="Approver", description="Your name, in one word; not that of whoever asked for the release."
    )
    note: str = Field(default="", title="Note", description="Why; recorded with your name.")


def take_answers(run: Run) -> None:
    """Record what was filled in since this run was entered last. What does not count is told, and asked for again."""
    store = open_store(run.environment.store)
    for key, filled_in in answers(this_run(), PREFIX):
        try:
            answer = Answer(**filled_in)
            approve = answer.decision is Decision.APPROVE
            record_form_answer(store, run.release, answer.approver, approve=approve, note=answer.note)
        except Unavailable:
            raise
        except (ValidationError, HeadgateError) as wrong:
            get_run_logger().warning("the answer in %s does not count: %s", key, wrong)
        forget(this_run(), key)


def ask_for_approval(run: Run, ending: Ending) -> None:
    """Suspend this run with a form, if its release waits for an approver; then this does not return."""
    journal = ReleaseJournal(open_store(run.environment.store), run.release, run.actor)
    state = journal.refresh()
    if ending.asleep and waits_for_approver(state):
        text = question(run, state, requester=journal.entries[0].actor, refused=last_refusal(journal))
        ask(Answer, text, key=f"{PREFIX}{run.attempt}", until=ending.asleep)


def waits_for_approver(state: Release) -> bool:
    """Whether an approver's word, and nothing else, is what the release waits for."""
    return bool(state.awaited and not state.declined and not state.aborted and not approved(state, clock.now()))


def last_refusal(journal: ReleaseJournal) -> str:
    """Why the last word of an approver did not count; empty when none was said, or it did."""
    weighed = [entry.fact for entry in journal.entries if entry.fact["kind"] == "weighed"]
    return str(weighed[-1]["reason"]) if weighed and not weighed[-1]["counts"] else ""


def approvers(policy: Policy) -> list[str]:
    """Whom the policy names; nobody when it gives no roles."""
    named = (*policy.roles.get(Role.APPROVER, ()), *policy.roles.get(Role.ADMIN, ()))
    return list(dict.fromkeys(named))


def question(run: Run, state: Release, *, requester: str, refused: str) -> str:
    """What an approver has to know, as Markdown."""
    assert state.awaited, "somebody is asked"
    assert state.compiled, "what waits has a bundle"
    policy = policy_of(open_store(run.environment.store), run.environment.name)
    until = state.awaited.since + timedelta(seconds=run.plan.approval_seconds)
    failed = [check.check for check in state.checks if not check.passed or check.warning]
    lines = [
        f"**{run.model} {run.version}** waits for approval before {state.awaited.stop} in **{run.environment.name}**.",
        f"- Release: `{run.release}`",
        f"- Bundle: `{short(state.compiled.bundle)}`, instead of `{short(state.compiled.stable)}`",
        f"- Asked for by: {requester}, who cannot approve it",
        f"- Checks: {len(state.checks)} passed" + (f", with warnings: {', '.join(failed)}" if failed else ""),
        *([f"- Steps passed: {', '.join(state.passed)}"] if state.passed else []),
        f"- Until: {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC; then it ends",
        *([f"- Who may: {', '.join(able)}"] if (able := approvers(policy)) else []),
        *([f"- The last answer did not count: {refused}"] if refused else []),
    ]
    return "\n".join(lines[:1]) + "\n\n" + "\n".join(lines[1:])
