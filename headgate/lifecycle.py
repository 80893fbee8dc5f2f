"""What can happen to a release, and where it stands as a result. A pure fold over facts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, TypeAdapter

from headgate.gates import Answer, Calibration, ProbationQuestion, Question, Verdict
from headgate.plan import Plan
from headgate.topology import Digest
from headgate.values import Value


class Outcome(StrEnum):
    """How a release ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    """Traffic had moved (or been copied) and went back to stable."""
    TURNED_BACK = "turned back"
    """A check said no before any traffic."""
    ABORTED = "aborted"
    """A person ended it; traffic went back to stable."""
    RESTORED = "restored"
    """A stored bundle was made stable without checks or gates: a rollback by hand, or an adoption."""


class CheckResult(Value):
    """What one check found, with its numbers."""

    check: str
    """Name, for example `golden`, `determinism`, `data: inputs`."""
    passed: bool
    summary: str
    """One sentence with the deciding numbers."""
    numbers: dict[str, float] = {}
    details: tuple[str, ...] = ()
    """Lines for a person: which case, which row, expected and found. At most 20."""
    warning: bool = False
    """True when it did not pass cleanly but does not block."""


class Intent(StrEnum):
    """What a walk is for."""

    RELEASE = "release"
    ROLLBACK = "rollback"
    """Back to a stored bundle; the one that is left is quarantined."""
    ADOPTION = "adoption"
    """A model that runs already, elsewhere, becomes the first stable."""


# -- facts of a release


class Requested(Value):
    """Someone asked for this plan; `source` names the content asked for (digest of the folder, or a bundle)."""

    kind: Literal["requested"] = "requested"
    plan: Plan
    source: Digest
    model: str
    version: str
    intent: Intent = Intent.RELEASE
    joint: str = ""
    """The joint release that it is a part of."""
    reason: str = ""
    """Why a person asked for it, if a reason was given: of a rollback."""


class Entered(Value):
    """A process took the release up; older attempts must stop when they see a newer one."""

    kind: Literal["entered"] = "entered"
    attempt: int = Field(ge=1)
    process: str = ""
    """Host and pid, for people."""
    flow_run: str = ""
    """Prefect's id of the run, for whoever wakes it."""


class Slept(Value):
    """No process holds the release until it is due; the claim stays. A sweep looks at it meanwhile."""

    kind: Literal["slept"] = "slept"
    until: AwareDatetime
    """When it is entered again at the latest; earlier, when a look finds something to do."""
    why: str
    """What it waits for."""


class Compiled(Value):
    """The bundle exists in the store, whole and verified; `stable` is what it will be compared with."""

    kind: Literal["compiled"] = "compiled"
    bundle: Digest
    stable: Digest | None
    stable_replicas: int = 1
    provenance: dict[str, str] = {}
    """Source commit, toolchain, dependency lock and the like."""
    calibration: Calibration = Calibration()
    """What the environment knew of its own noise; the whole release is judged by this one."""
    differs: tuple[str, ...] = ()
    """Files that a second build of the same folder made differently; empty for a reproducible one."""


class Checked(Value):
    """A check ran."""

    kind: Literal["checked"] = "checked"
    result: CheckResult


class Staged(Value):
    """The candidate runs beside stable, answers its health and golden probes, and gets no traffic."""

    kind: Literal["staged"] = "staged"
    revision: int
    summary: str = ""


class Began(Value):
    """A step's topology is what callers get since `at` of this entry."""

    kind: Literal["began"] = "began"
    step: str
    revision: int
    weight: float = Field(ge=0, le=1)
    """The candidate's share under this revision."""
    mirror: float = Field(ge=0, le=1)
    judged_from: datetime
    """Observations before this are warm-up."""


class Observed(Value):
    """Evidence since the last such fact, and how far the logs were read: one entry, so that neither is lost alone."""

    kind: Literal["observed"] = "observed"
    step: str
    evidence: Digest
    """Blob with the evidence (delta) in its canonical JSON form."""
    cursor: dict[str, Any]
    """Where reading goes on."""
    watermark: datetime
    """Blocks that ended before this are closed."""
    late: int = 0
    """Lines that came after their block was closed, since the last such fact."""
    unused: dict[str, int] = {}
    """What else was read and is no evidence, since the last such fact: by why."""
    live: dict[str, Any] = {}
    """How far live rows were held to the data checks, and what those said; empty before the first look."""


class Judged(Value):
    """The judge said this, from all evidence up to `watermark`."""

    kind: Literal["judged"] = "judged"
    step: str
    question: Question
    """What was asked: with it and the evidence anyone can judge again."""
    verdict: Verdict
    watermark: datetime


class Passed(Value):
    """A step is done; the walk goes on."""

    kind: Literal["passed"] = "passed"
    step: str


class Decided(Value):
    """How this release will end, and why; from here on only that end is carried out."""

    kind: Literal["decided"] = "decided"
    outcome: Outcome
    reason: str


class Overruled(Value):
    """A person wants another end than the one that was decided and is not yet carried out."""

    kind: Literal["overruled"] = "overruled"
    outcome: Outcome
    reason: str


class Concluded(Value):
    """The end is carried out: this is what serves, confirmed by a probe."""

    kind: Literal["concluded"] = "concluded"
    outcome: Outcome
    serving: Digest | None
    revision: int = 0


class Awaited(Value):
    """From now on somebody's approval is waited for."""

    kind: Literal["awaited"] = "awaited"
    since: AwareDatetime
    stop: str
    """What it guards: traffic, or promotion."""


class Proof(Value):
    """How it is known who spoke."""

    method: Literal["named", "form", "ssh"] = "named"
    """`named`: whoever could write to the store said so; `form`: somebody at the Prefect UI did; `ssh`: a signature."""
    signature: str = ""
    """Of `ssh`: the armoured signature (`ssh-keygen -Y sign`) of what was said."""


class Approved(Value):
    """A person let this bundle pass."""

    kind: Literal["approved"] = "approved"
    bundle: Digest
    note: str = ""
    approver: str = ""
    """Who; empty in entries that only the entry's own actor names."""
    expires: AwareDatetime | None = None
    """From then on it counts for nothing; None in entries of old."""
    proof: Proof = Proof()


class Declined(Value):
    """A person refused this bundle; terminal once it was weighed."""

    kind: Literal["declined"] = "declined"
    bundle: Digest
    reason: str
    approver: str = ""
    proof: Proof = Proof()


class Weighed(Value):
    """What an approver said was held to the environment's policy: only from here on it counts, or never."""

    kind: Literal["weighed"] = "weighed"
    entry: int
    """Number of the entry that was weighed."""
    said: Annotated[Approved | Declined, Field(discriminator="kind")]
    counts: bool
    reason: str
    """Why not; or by what it is known who spoke."""


class Paused(Value):
    """Hold the walk where it is; gates that prove harm still act."""

    kind: Literal["paused"] = "paused"
    reason: str = ""


class Resumed(Value):
    """Go on."""

    kind: Literal["resumed"] = "resumed"


class Aborted(Value):
    """End it; traffic goes back to stable."""

    kind: Literal["aborted"] = "aborted"
    reason: str


class Watched(Value):
    """What the judge of a probation said, from all evidence up to `watermark`: what serves, held to what stable was."""

    kind: Literal["watched"] = "watched"
    question: ProbationQuestion
    verdict: Verdict
    watermark: datetime


class Released(Value):
    """Its probation is over: from here on nobody judges what it put into service."""

    kind: Literal["released"] = "released"
    reason: str
    harmed: bool = False
    """Whether it ended because harm was found, and what served before was asked for again."""


class Reported(Value):
    """The page and its numbers are in the store."""

    kind: Literal["reported"] = "reported"
    page: str
    numbers: str


Fact = Annotated[
    Requested
    | Entered
    | Slept
    | Compiled
    | Checked
    | Staged
    | Began
    | Observed
    | Judged
    | Passed
    | Decided
    | Overruled
    | Concluded
    | Approved
    | Weighed
    | Declined
    | Paused
    | Resumed
    | Aborted
    | Watched
    | Released
    | Reported
    | Awaited,
    Field(discriminator="kind"),
]
FACT: TypeAdapter[Fact] = TypeAdapter(Fact)


class Phase(StrEnum):
    """Where a release is. Each is a pure function of its facts."""

    REQUESTED = "requested"
    COMPILED = "compiled"
    STAGED = "staged"
    BAKING = "baking"
    """A step's topology is live."""
    DECIDED = "decided"
    """Its end is known and being carried out."""
    CONCLUDED = "concluded"


class Release(Value):
    """The state of one release: what its facts add up to."""

    requested: Requested | None = None
    attempt: int = 0
    compiled: Compiled | None = None
    checks: tuple[CheckResult, ...] = ()
    staged: Staged | None = None
    began: tuple[Began, ...] = ()
    observed: tuple[Observed, ...] = ()
    verdict: Judged | None = None
    harm: str = ""
    """Why harm was proven, once it was; a person who says `resume` has seen it."""
    passed: tuple[str, ...] = ()
    approved: Approved | None = None
    declined: Declined | None = None
    weighed: int = 0
    """Number of the last entry of an approver that was weighed."""
    awaited: Awaited | None = None
    """Since when an approver is waited for."""
    asleep: Slept | None = None
    """Until when no process holds it; None while one does, or should."""
    flow_run: str = ""
    """Prefect's id of the run of the newest attempt."""
    paused: bool = False
    aborted: Aborted | None = None
    decided: Decided | None = None
    concluded: Concluded | None = None
    reported: Reported | None = None
    watched: Watched | None = None
    """The newest verdict of its probation."""
    released: Released | None = None
    """How its probation ended."""

    def after(self, fact: Fact) -> Release:
        """The state once `fact` has happened too."""
        kind = type(fact)
        if kind in NOT_YET_WEIGHED:
            return self
        if kind in FIRST_STANDS:
            name = FIRST_STANDS[kind]
            return self.model_copy(update={name: getattr(self, name) or fact})
        if kind in LAST_STANDS:
            return self.model_copy(update={LAST_STANDS[kind]: fact})
        if kind in ALL_STAND:
            name = ALL_STAND[kind]
            return self.model_copy(update={name: (*getattr(self, name), fact)})
        match fact:
            case Entered():
                newest = {"attempt": max(self.attempt, fact.attempt), "flow_run": fact.flow_run or self.flow_run}
                return self.model_copy(update={**newest, "asleep": None})
            case Weighed():
                return self._weighed(fact)
            case Checked():
                others = tuple(check for check in self.checks if check.check != fact.result.check)
                return self.model_copy(update={"checks": (*others, fact.result)})
            case Overruled():
                return self.model_copy(update={"decided": Decided(outcome=fact.outcome, reason=fact.reason)})
            case Judged():
                failed = fact.verdict.reason if fact.verdict.answer is Answer.FAIL else ""
                return self.model_copy(update={"verdict": fact, "harm": self.harm or failed})
            case Passed():
                return self.model_copy(update={"passed": (*self.passed, fact.step)})
            case Paused() | Resumed():
                paused = isinstance(fact, Paused)
                return self.model_copy(update={"paused": paused, "harm": self.harm if paused else ""})
            case _:
                raise AssertionError(f"no rule for {kind.__name__}: every fact needs one")

    def _weighed(self, fact: Weighed) -> Release:
        """What an approver said, if it counts; the first refusal stands, and so does the newest approval.

        What counted counts no more when it is weighed again and found wanting.
        """
        update: dict[str, Any] = {"weighed": max(self.weighed, fact.entry)}
        if isinstance(fact.said, Approved):
            update["approved"] = fact.said if fact.counts else None if self.approved == fact.said else self.approved
        elif fact.counts:
            update["declined"] = self.declined or fact.said
        elif self.declined == fact.said:
            update["declined"] = None
        return self.model_copy(update=update)

    @property
    def requested_source(self) -> Digest | None:
        """Digest of the content that was asked for."""
        return self.requested.source if self.requested else None

    @property
    def phase(self) -> Phase:
        """Where it is."""
        reached = [
            (Phase.CONCLUDED, self.concluded),
            (Phase.DECIDED, self.decided),
            (Phase.BAKING, self.began),
            (Phase.STAGED, self.staged),
            (Phase.COMPILED, self.compiled),
        ]
        return next((phase for phase, fact in reached if fact), Phase.REQUESTED)

    def beginning_of(self, step: str) -> Began | None:
        """The last time `step` went live."""
        return next((began for began in reversed(self.began) if began.step == step), None)


FIRST_STANDS: dict[type[Value], str] = {
    Requested: "requested",
    Compiled: "compiled",
    Aborted: "aborted",
    Awaited: "awaited",
    Decided: "decided",
    Concluded: "concluded",
    Released: "released",
}
"""Facts that happen once: whatever repeats them later changes nothing."""

LAST_STANDS: dict[type[Value], str] = {
    Staged: "staged",
    Slept: "asleep",
    Watched: "watched",
    Reported: "reported",
}
"""Facts whose newest replaces the ones before."""


ALL_STAND: dict[type[Value], str] = {
    Began: "began",
    Observed: "observed",
}
"""Facts that are kept one after the other."""

NOT_YET_WEIGHED = (Approved, Declined)
"""What an approver says changes nothing by itself."""


def release_of(facts: list[Fact]) -> Release:
    """Fold a whole ledger."""
    return reduce(Release.after, facts, Release())
