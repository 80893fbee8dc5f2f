"""What can happen to several models that are released together, and what is to be done next. A pure fold over facts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, TypeAdapter

from headgate.lifecycle import Outcome
from headgate.plan import Plan
from headgate.topology import Digest
from headgate.values import Value


class Part(Value):
    """One of the models, as it shall be released."""

    plan: Plan
    """Its `model` is the digest of a stored bundle, so that every part is what it was when all were asked for."""
    model: str
    version: str
    known: int = 0
    """Entries of the model's ledger in the environment when all were asked for: its releases come after those."""


class Asked(Value):
    """Someone asked for these, in this order."""

    kind: Literal["asked"] = "asked"
    environment: str
    parts: tuple[Part, ...] = Field(min_length=2)
    reason: str = ""


class Taken(Value):
    """A process took it up; older attempts must stop when they see a newer one."""

    kind: Literal["taken"] = "taken"
    attempt: int = Field(ge=1)
    process: str = ""


class Rested(Value):
    """No process holds it until it is due, or its part that is under way has ended."""

    kind: Literal["rested"] = "rested"
    until: AwareDatetime
    why: str
    release: str = ""
    """What it waits for."""


class Ended(Value):
    """A part's release has ended; or what it had put into service serves no more. The newest such fact stands."""

    kind: Literal["ended"] = "ended"
    part: int = Field(ge=0)
    release: str
    """Empty when it could not even begin."""
    outcome: Outcome
    reason: str
    bundle: Digest | None = None
    before: Digest | None = None
    """What served before it; none for the first of its model."""


class Undone(Value):
    """A part was taken back to what served before it, or there is a reason why not."""

    kind: Literal["undone"] = "undone"
    part: int = Field(ge=0)
    release: str = ""
    """The release that took it back; empty when there was none."""
    outcome: Outcome | None = None
    why: str


class Closed(Value):
    """All parts serve; or one failed, and those before it were taken back."""

    kind: Literal["closed"] = "closed"
    outcome: Literal[Outcome.PROMOTED, Outcome.ROLLED_BACK]
    reason: str


JointFact = Annotated[Asked | Taken | Rested | Ended | Undone | Closed, Field(discriminator="kind")]
JOINT_FACT: TypeAdapter[JointFact] = TypeAdapter(JointFact)


class Joint(Value):
    """The state of one joint release: what its facts add up to."""

    asked: Asked | None = None
    attempt: int = 0
    rested: Rested | None = None
    ended: dict[int, Ended] = {}
    undone: dict[int, Undone] = {}
    closed: Closed | None = None

    def after(self, fact: JointFact) -> Joint:
        """The state once `fact` has happened too."""
        match fact:
            case Asked():
                return self.model_copy(update={"asked": self.asked or fact})
            case Taken():
                return self.model_copy(update={"attempt": max(self.attempt, fact.attempt), "rested": None})
            case Rested():
                return self.model_copy(update={"rested": fact})
            case Ended():
                return self.model_copy(update={"ended": {**self.ended, fact.part: fact}})
            case Undone():
                return self.model_copy(update={"undone": {fact.part: fact, **self.undone}})
            case Closed():
                return self.model_copy(update={"closed": self.closed or fact})

    @property
    def failed(self) -> Ended | None:
        """The first part that did not make it."""
        return next((end for _, end in sorted(self.ended.items()) if end.outcome is not Outcome.PROMOTED), None)

    @property
    def serving(self) -> tuple[int, ...]:
        """Parts that were promoted and not taken back, the last one first."""
        made = [part for part, end in self.ended.items() if end.outcome is Outcome.PROMOTED and part not in self.undone]
        return tuple(sorted(made, reverse=True))

    def named(self, part: int) -> str:
        """A part in its reader's words."""
        assert self.asked
        return f"{self.asked.parts[part].model} {self.asked.parts[part].version}"


class Do(StrEnum):
    """What comes next."""

    RELEASE = "release"
    """Begin, or carry on, the release of a part."""
    UNDO = "undo"
    """Take a part back to what served before it."""
    CLOSE = "close"
    NOTHING = "nothing"


class Next(Value):
    """What comes next, and for which part."""

    do: Do
    part: int = 0
    outcome: Literal[Outcome.PROMOTED, Outcome.ROLLED_BACK] | None = None
    reason: str = ""


def next_act(joint: Joint) -> Next:
    """One part after the other; once one has failed, those that serve go back, the last one first."""
    if joint.closed or joint.asked is None:
        return Next(do=Do.NOTHING)
    if joint.failed:
        if joint.serving:
            return Next(do=Do.UNDO, part=joint.serving[0], reason=why_back(joint))
        return Next(do=Do.CLOSE, outcome=Outcome.ROLLED_BACK, reason=told(joint))
    ahead = [part for part in range(len(joint.asked.parts)) if part not in joint.ended]
    if ahead:
        return Next(do=Do.RELEASE, part=ahead[0])
    return Next(do=Do.CLOSE, outcome=Outcome.PROMOTED, reason="every part was promoted, and serves")


def why_back(joint: Joint) -> str:
    """Why the others go back, in one sentence."""
    assert joint.failed
    return f"{joint.named(joint.failed.part)} was {joint.failed.outcome}: {joint.failed.reason}"


def told(joint: Joint) -> str:
    """Why it failed, and what became of the parts that had been promoted."""
    parts = [f"{joint.named(part)}: {undone.why}" for part, undone in sorted(joint.undone.items(), reverse=True)]
    return "; ".join([why_back(joint), *parts])
