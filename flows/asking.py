"""What a person fills in to start something from Prefect's UI, its API, or a schedule: flat forms. It opens nothing.

A form is a JSON Schema, so most wrong values are refused before a run exists; the rest is refused by the same model
when the run starts, before its first act. Either way the field is named.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from headgate.cli.asking import plan_from
from headgate.errors import Rejected
from headgate.plan import Approval, Overlap, Strategy
from headgate.values import Value

PATIENCE_SECONDS = 120
"""How long a run waits in one place before it ends its process and is entered again when due."""
ORPHAN_SECONDS = 30
"""How long a release gives no sign of life before it is taken for an orphan."""
SOMETHING = r"\S"
ENVIRONMENT = r"^[a-z][a-z0-9-]{0,40}$"

Person = Annotated[str, Field(pattern=r'^[^\s,*?!"]{1,128}$')]
"""A name as policies and signatures write it: a login name, an e-mail address."""
Setting = Annotated[str, Field(title="NAME=VALUE", pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*=.+$")]
Patience = Annotated[
    int,
    Field(
        ge=0,
        le=86_400,
        title="Patience in seconds",
        description="After waiting so long in one place the run ends its process, and is entered again when due.",
    ),
]
EnvironmentName = Annotated[str, Field(title="Environment", pattern=ENVIRONMENT)]


class Decision(StrEnum):
    """What an approver says."""

    APPROVE = "approve"
    REJECT = "reject"


class ReleaseForm(Value):
    """A release: compile, check, stage, shadow, canary, promote or roll back."""

    model: str = Field(
        title="Model",
        pattern=SOMETHING,
        description="A model folder on the worker's machine, or a stored bundle as `MODEL@VERSION` or digest: "
        "`models/co2`, `co2@1.1.0`.",
        examples=["examples/co2/v2", "co2@1.1.0"],
    )
    environment: EnvironmentName = Field(default="production", title="Environment", description="Where it shall serve.")
    requested_by: Person = Field(
        title="Requested by",
        description="Your name, in one word. Whoever asks for a release cannot approve it.",
        examples=["ada"],
    )
    strategy: Strategy = Field(
        default=Strategy.CANARY,
        title="Strategy",
        description="How live requests get to it. `canary`: a growing share, each judged. `blue-green`: all at once "
        "after a smoke test. `shadow`: copies first, then all at once. `rolling`: one server after the other. `ab`: "
        "half for the whole time. `direct`: all at once, refused in production.",
    )
    approval: Approval = Field(
        default=Approval.NONE,
        title="Approval",
        description="What waits for somebody else to approve it; `none` leaves it to the environment's policy.",
    )
    overlap: Overlap = Field(
        default=Overlap.REFUSE,
        title="If another release of the model is open",
        description="`refuse` this one, `queue` it until its turn, or `supersede` the open one: it is aborted first.",
    )
    settings: list[Setting] = Field(
        default=[],
        title="Settings",
        description="Single values of the plan, one `NAME=VALUE` each, as `headgate release --set` takes them: "
        "`shadow.percent=20`, `gates.errors.difference_margin=0.01`.",
        examples=[["shadow.percent=20", "gates.errors.difference_margin=0.01"]],
    )
    patience_seconds: Patience = PATIENCE_SECONDS
    note: str = Field(default="", title="Note", description="For people; kept with the run.")

    @field_validator("settings")
    @classmethod
    def settings_make_a_plan(cls, settings: list[str]) -> list[str]:
        """What the plan refuses is refused here."""
        try:
            plan_from("any", "any", None, None, tuple(settings))
        except Rejected as wrong:
            raise ValueError(wrong.message) from wrong
        return settings

    def wishes(self) -> tuple[str, ...]:
        """The plan's values, one `NAME=VALUE` each. A choice left as it was says nothing, so that a policy may."""
        chosen = {
            name: value for name, value in self.choices().items() if value != type(self).model_fields[name].default
        }
        settings = tuple(f"{name}={value.value}" for name, value in chosen.items())
        return (*settings, *self.settings)

    def choices(self) -> dict[str, Strategy | Approval | Overlap]:
        """The plan's values that have a field of their own."""
        return {"strategy": self.strategy, "approval": self.approval, "overlap": self.overlap}


class RollbackForm(Value):
    """Back to a stored bundle, at once. An open release of the model is ended first."""

    model: str = Field(title="Model", pattern=SOMETHING, description="The model's name.", examples=["co2"])
    environment: EnvironmentName = Field(default="production", title="Environment", description="Where it serves.")
    to: str = Field(
        default="",
        title="Back to",
        description="A version, or the digest of a bundle, that served here; what served before, if left empty.",
        examples=["1.0.0"],
    )
    reason: str = Field(
        title="Reason",
        pattern=SOMETHING,
        description="Why; it is recorded with your name.",
        examples=["wrong currency"],
    )
    requested_by: Person = Field(title="Requested by", description="Your name, in one word.", examples=["ada"])


class ApprovalForm(Value):
    """Approve or reject a release that waits for a person."""

    release: str = Field(
        title="Release",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$",
        description="Its id, as the run's name and `headgate status` show it.",
        examples=["co2-1.1.0-20260301T120000-4f2a"],
    )
    decision: Decision = Field(title="Decision", description="A rejection is final.")
    approver: Person = Field(
        title="Approver",
        description="Your name, in one word; not that of whoever asked for the release.",
        examples=["grace"],
    )
    note: str = Field(default="", title="Note", description="Why; recorded with your name. A rejection needs one.")
    signed: str = Field(
        default="",
        title="Signed text",
        description="Where the environment's policy asks for a signature: what `headgate approve RELEASE "
        "--print-words` prints, and after it what `ssh-keygen -Y sign -n headgate-approval` makes of it.",
    )

    @model_validator(mode="after")
    def a_rejection_says_why(self) -> Self:
        """Whoever asked for the release must be able to do better."""
        if self.decision is Decision.REJECT and not self.note.strip():
            raise ValueError("note: say why it is rejected")
        return self


class ResumeForm(Value):
    """Enter a release that exists and go on from where its ledger stands."""

    release: str = Field(title="Release", pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$", description="Its id.")
    environment: EnvironmentName = Field(default="production", title="Environment", description="Where it goes.")
    patience_seconds: Patience = PATIENCE_SECONDS


class SweepForm(Value):
    """Look after every open release: enter what is due, crashed, or left by its process."""

    environments: list[EnvironmentName] = Field(
        default=["production"], min_length=1, title="Environments", description="Which ones are looked after."
    )
    orphan_seconds: int = Field(
        default=ORPHAN_SECONDS,
        ge=5,
        le=86_400,
        title="Orphan after seconds",
        description="A release that gives no sign of life for so long is entered again.",
    )
