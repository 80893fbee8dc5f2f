"""Several models released together, in order; when one does not make it, those before it go back."""

from __future__ import annotations

from prefect import flow

from headgate.environment import Environment
from headgate.plan import Plan
from headgate.releasing import Run
from headgate.releasing.joint import JointActs, JointEnding, JointRun, ask_joint
from headgate.releasing.joint_course import carry_on_joint, walk_joint
from headgate.topology import Digest
from tasks.acts import TASKS
from tasks.begin import begin, begin_rollback, take_over


def begin_part(plan: Plan, run: JointRun) -> Run:
    """Begin a part's release, or take up the open one."""
    return begin(plan, run.environment, run.actor, patience_seconds=run.patience_seconds, joint=run.joint)


def begin_back(run: JointRun, model: str, to: Digest, reason: str) -> Run:
    """Begin to take a part back."""
    return begin_rollback(
        run.environment, model, to, run.actor, reason, patience_seconds=run.patience_seconds, joint=run.joint
    )


def take_over_part(release: str, run: JointRun) -> Run:
    """Take up a release of this joint release that exists."""
    return take_over(release, run.environment, run.actor, run.patience_seconds)


JOINT_TASKS = JointActs(begin=begin_part, begin_rollback=begin_back, take_over=take_over_part, acts=TASKS)
"""The acts of a joint release as Prefect's tasks."""


@flow(name="joint", flow_run_name="joint release to {environment_name}")
def joint(
    plans: list[Plan],
    environment_name: str = "production",
    *,
    reason: str = "",
    environment: Environment | None = None,
    actor: str = "prefect",
    patience_seconds: float | None = None,
) -> JointEnding:
    """Release stored bundles one after the other. Killed at any moment and run again with equal plans, it goes on."""
    where = environment or Environment.here(environment_name)
    return walk_joint(ask_joint(plans, where, actor, reason=reason, patience_seconds=patience_seconds), JOINT_TASKS)


@flow(name="carry on joint", flow_run_name="carry on {joint_id}")
def carry_on(
    joint_id: str, environment: Environment, actor: str = "prefect", patience_seconds: float | None = None
) -> JointEnding:
    """Take up a joint release that exists, and bring it to its end."""
    return carry_on_joint(joint_id, environment, actor, patience_seconds=patience_seconds, acts=JOINT_TASKS)
