"""Judge a past release again, from nothing but what is stored, and find the first verdict that differs."""

from __future__ import annotations

from dataclasses import dataclass, field

from headgate.bundle import get_blob
from headgate.errors import Missing, Rejected
from headgate.evidence import Evidence
from headgate.gates import JUDGE, PROBATION, Probation, ProbationQuestion, Verdict, judge
from headgate.journal import release_ledger
from headgate.ledger import Ledger
from headgate.lifecycle import FACT, Judged, Observed, Watched
from headgate.stores import ObjectStore
from headgate.values import Value


class Replayed(Value):
    """What judging again gave."""

    release: str
    verdicts: int
    """How many verdicts were derived again."""
    differs_at: int | None = None
    """Entry of the first verdict that came out otherwise; None when all are equal, bit for bit."""
    stored: Verdict | None = None
    derived: Verdict | None = None


def replay(store: ObjectStore, release: str) -> Replayed:
    """Derive every verdict of a release from its stored evidence and questions. Raises `Corrupt` on a broken chain."""
    entries = Ledger(store, release_ledger(release)).entries()
    if not entries:
        raise Missing(f"no release {release}", "list them with `headgate history`")
    evidence, watch, verdicts = Evidence(), Watch(), 0
    for entry in entries:
        fact = FACT.validate_python(entry.fact)
        if isinstance(fact, Observed):
            news = Evidence.from_json(get_blob(store, fact.evidence))
            if fact.step == PROBATION:
                watch.take(news)
            else:
                evidence = evidence.merge(news)
        if isinstance(fact, Judged | Watched):
            verdicts += 1
            if fact.verdict.judge != JUDGE:
                raise Rejected(
                    f"{release}, entry {entry.seq}: judged by judge {fact.verdict.judge}, and this is judge {JUDGE}",
                    "replay it with the version of headgate that released it",
                )
            derived = judge(evidence, fact.question) if isinstance(fact, Judged) else watch.verdict(fact.question)
            if derived != fact.verdict:
                return Replayed(
                    release=release, verdicts=verdicts, differs_at=entry.seq, stored=fact.verdict, derived=derived
                )
    return Replayed(release=release, verdicts=verdicts)


@dataclass
class Watch:
    """A probation judged again. Its fold goes on from verdict to verdict: a watch of weeks has thousands of them."""

    evidence: list[Evidence] = field(default_factory=list)
    question: ProbationQuestion | None = None
    state: Probation = field(default_factory=Probation)

    def take(self, news: Evidence) -> None:
        """Further minutes."""
        self.evidence.append(news)
        if self.question:
            self.state = self.state.after(news, self.question)

    def verdict(self, question: ProbationQuestion) -> Verdict:
        """The answer from all minutes so far; from the first one on when something else is asked than before."""
        if self.question != question.lasting:
            self.question, self.state = question.lasting, Probation.begin(question)
            for news in self.evidence:
                self.state = self.state.after(news, question)
        return self.state.verdict(question)
