"""The page, its numbers and its markdown: what they say, and what they never do."""

from __future__ import annotations

import base64
import json
import math
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.cli.look import gates_text
from headgate.errors import Rejected
from headgate.gates import Gates, Question, Rate, Slices
from headgate.ledger import Entry
from headgate.lifecycle import Approved, Compiled, Declined, Judged, Paused, Proof, Weighed
from headgate.plan import Approval, Plan, Policy, Reaction
from headgate.report import EvidencePoint, Story, Traffic, markdown, numbers, plots_markdown, render, story
from headgate.report.charts import NARROW, WIDE, error_chart, traffic_chart
from headgate.report.policy import policy_words
from headgate.report.proofs import harm_chart, moments_of, safety_chart
from headgate.report.rulings import benches
from headgate.report.series import POINTS, bucketed, thinned, totals
from headgate.report.settings import settings_of
from tests.headgate.facts import LEDGERS, POINTS_SEEN, TRAFFIC
from tests.headgate.rulings import GOOD, GUARDS, LEAKING, PLAN, live_verdict, undecided
from tests.headgate.stories import (
    CHECKS,
    NOON,
    STORIES,
    after,
    began,
    judged,
    opening,
    promoted,
    rolled_back,
    written,
)

REPEATED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NASTY = '<script>alert(1)</script> & "quoted" | `code` [link](x)'


class Outline(HTMLParser):
    """Tags, attributes and headings of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.labels += [value or "" for name, value in attrs if name == "aria-labelledby"]


@pytest.mark.parametrize("name", STORIES)
def test_a_page_stands_alone(name: str) -> None:
    page = render(STORIES[name]())
    text, outline = page.decode(), Outline(page)
    assert all(reference.startswith(("#", "data:")) for reference in outline.references)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|\bsrc=|url\(", text)
    assert "script" not in outline.tags
    assert {"main", "header", "footer", "h1", "title"} <= set(outline.tags)
    assert outline.tags.count("h1") == outline.tags.count("main") == 1
    assert len(set(outline.ids)) == len(outline.ids)
    assert set(outline.labels) <= set(outline.ids)
    assert len(page) < 400_000


DECISIONS = {
    "first": ("promoted", "co2-weekly 1.0.0 serves all of production, its first release there."),
    "promoted": ("promoted", "co2-weekly 2.0.0 serves all of production."),
    "stopped-in-shadow": ("rolled back", "stopped in shadow; production went back to what served before."),
    "rolled-back": ("rolled back", "stopped in canary 50 %; production went back to what served before."),
    "slowed": ("rolled back", "stopped in canary 25 %; production went back to what served before."),
    "turned-back": ("turned back", "was turned back by its checks, before it saw any traffic."),
}


@pytest.mark.parametrize(("name", "decision"), DECISIONS.items(), ids=DECISIONS)
def test_the_decision_comes_first(name: str, decision: tuple[str, str]) -> None:
    """C-46: how it ended, why and by whom."""
    told = STORIES[name]()
    text = render(told).decode()
    word, sentence = decision
    assert f"<span>{word}</span>" in text
    assert sentence in text
    assert told.decided_by in text
    assert (
        text.index("decision-title") < text.index("who-title") < text.index("walk-title") < text.index("ledger-title")
    )


def test_an_open_release_says_where_it_is_and_what_was_said_last() -> None:
    facts = [
        *opening("2.0.0", "1.0.0", CHECKS),
        began("shadow", 27, 3, 0),
        judged("shadow", 33, undecided("shadow")),
        (after(40), "mira@example.org", Paused(reason="wait for the holiday")),
    ]
    told = story(release="r", entries=written(facts))
    text = render(told).decode()
    assert "co2-weekly 2.0.0 is paused in production, at shadow." in text
    assert "3 of 640 shadow answers differ" in markdown(told)
    assert [stop.state for stop in told.walk][2:4] == ["under way", "not reached"]


def test_every_step_counts_its_own_requests() -> None:
    told = rolled_back()
    last = told.walk[-1]
    candidate = last.total("candidate")
    assert [stop.state for stop in told.walk][-2:] == ["passed", "stopped here"]
    assert last.seconds == 26
    assert candidate is not None
    assert candidate.rate is not None
    assert 0.02 < candidate.rate < 0.03


def test_outside_text_never_becomes_markup() -> None:
    told = promoted().model_copy(update={"model": NASTY, "reason": NASTY, "decided_by": NASTY, "release": NASTY})
    stops = (*told.walk[:-1], told.walk[-1].model_copy(update={"name": NASTY + "\x00\x1b"}))
    page = render(told.model_copy(update={"walk": stops}))
    assert b"<script" not in page
    assert "script" not in Outline(page).tags
    prose = re.sub(r"`[^`]*`", "", markdown(told).replace("\\`", ""))
    assert "<" not in prose
    assert " | `code`" not in markdown(told)


def test_who_approved_is_named_with_the_proof_and_until_when() -> None:
    """C-10, C-11: a person's part in a release is a fact with a name and a time, also when it did not count."""
    facts = list(opening("2.0.0", "1.0.0", CHECKS))
    bundle = next(fact.bundle for _, _, fact in facts if isinstance(fact, Compiled))
    proof = Proof(method="ssh", signature="-----BEGIN SSH SIGNATURE-----")
    good = Approved(bundle=bundle, approver="ann", note="numbers agree", expires=after(3600), proof=proof)
    forged = good.model_copy(update={"approver": "bob", "note": NASTY})
    number = len(facts)
    facts += [
        (after(30), "eve", forged),
        (after(31), "worker", Weighed(entry=number + 1, said=forged, counts=False, reason="made with the key of eve")),
        (after(40), "ann", good),
        (after(41), "worker", Weighed(entry=number + 3, said=good, counts=True, reason="signed")),
        (after(50), "bob", Declined(bundle=bundle, reason="no")),
    ]
    text = re.sub(r"<[^>]*>", "", render(story(release="r", entries=written(facts))).decode())
    assert f"by ann, by an SSH signature, until {after(3600):%Y-%m-%d %H:%M:%S} UTC: numbers agree" in text
    assert "it does not count: made with the key of eve" in text
    assert "by bob, known by name only: no; not weighed yet" in text


@pytest.mark.parametrize("name", STORIES)
def test_numbers_give_the_story_back(name: str) -> None:
    told = STORIES[name]()
    assert Story.model_validate_json(numbers(told)) == told
    assert json.loads(numbers(told))["release"] == told.release


@REPEATED
@given(
    entries=LEDGERS,
    traffic=st.dictionaries(st.sampled_from(["shadow", "canary 5 %"]), st.lists(TRAFFIC, max_size=30)),
    evidence=st.lists(POINTS_SEEN, max_size=30),
)
def test_every_ledger_can_be_told(
    entries: list[Entry], traffic: dict[str, list[Traffic]], evidence: list[EvidencePoint]
) -> None:
    told = story(release="r", entries=entries, traffic=traffic, evidence=evidence)
    assert Story.model_validate_json(numbers(told)) == told
    assert "script" not in Outline(render(told)).tags
    assert render(told) == render(told)
    markdown(told, "report.html")
    for drawing in re.findall(r"base64,([A-Za-z0-9+/=]+)", plots_markdown(told)):
        ElementTree.fromstring(base64.b64decode(drawing))


def test_a_ledger_without_a_request_is_no_release() -> None:
    with pytest.raises(Rejected, match="no request"):
        story(release="r", entries=written([]))


@REPEATED
@given(st.lists(TRAFFIC, max_size=60), st.integers(10, POINTS))
def test_buckets_lose_no_request(traffic: list[Traffic], limit: int) -> None:
    sums, _ = bucketed(traffic, limit)
    assert totals(sums) == totals(traffic)
    assert len({bucket.time for bucket in sums}) <= limit


def test_thousands_of_points_become_few() -> None:
    points = [
        EvidencePoint(time=NOON + timedelta(seconds=s), log_harm=float(s == 7_000), log_safe=0) for s in range(9_000)
    ]
    kept = thinned(points)
    assert len(kept) <= POINTS
    assert points[7_000] in kept
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]


START = datetime(2026, 1, 1, tzinfo=UTC)
EDGES = {
    "one request": ([Traffic(time=after(30), variant="stable", requests=1)], []),
    "buckets without requests": ([Traffic(time=after(30), variant="candidate", requests=0)], []),
    "one point": ([], [EvidencePoint(time=after(30), log_harm=0, log_safe=0)]),
    "huge e-values": ([], [EvidencePoint(time=after(s), log_harm=s * 1e6, log_safe=-s * 1e6) for s in range(30, 40)]),
    "a year of seconds": (
        [Traffic(time=START + timedelta(days=d), variant="stable", requests=9) for d in range(365)],
        [],
    ),
}


@pytest.mark.parametrize(("traffic", "evidence"), EDGES.values(), ids=EDGES)
def test_charts_of_little_and_of_much(traffic: list[Traffic], evidence: list[EvidencePoint]) -> None:
    plan = promoted().model_copy(update={"walk": (), "totals": totals(traffic), "evidence": tuple(evidence)})
    sums, width = bucketed(traffic)
    told = plan.model_copy(update={"traffic": sums, "bucket_seconds": width})
    for chart in (traffic_chart, error_chart, harm_chart, safety_chart):
        for size in (WIDE, NARROW):
            drawn = chart(told, size)
            assert "nan" not in drawn
            assert "inf" not in drawn
            if drawn:
                assert ElementTree.fromstring(drawn).get("aria-label")


def test_markdown_is_short_and_its_pictures_need_nothing_else() -> None:
    told = rolled_back()
    text = markdown(told, "https://example.org/report.html")
    assert "[The whole report](https://example.org/report.html)" in text
    assert text.count("\n|") > len(told.checks)
    pictures = plots_markdown(told)
    assert pictures.count("data:image/svg+xml;base64,") == 4
    assert len(pictures) < 200_000


def test_every_gate_says_its_tier_its_role_and_how_far_it_is() -> None:
    """C-46, D-02, D-13: of the last verdict, the gate that found harm first."""
    told = STORIES["slowed"]()
    bench = benches(told)[-1]
    first = bench.gates[0]
    assert bench.open
    assert (first.gate, first.answer, first.role, first.tier) == ("latency", "fail", "guard", "tempered")
    assert (first.harm.proven, first.safe.proven, first.harm.needed) == (True, False, "90")
    roles = {one.gate: one.role for one in bench.gates}
    assert roles == dict.fromkeys(("latency", "errors", "invalid", "revenue"), "guard") | dict.fromkeys(
        ("disagreement", "level", "slices"), "only watched"
    ) | {"refunds": "dry run"}
    assert {one.gate: one.tier for one in bench.gates}["revenue"] == "block"
    assert [one.gate for one in bench.others] == ["data: outputs", "split"]
    for text in (render(told).decode(), markdown(told)):
        for said in ("only watched", "dry run", "tempered", "data: outputs", "rate ratio 0.41 to 2.23", "14.6"):
            assert said in text, said


def test_what_is_still_to_come_is_said_of_guards() -> None:
    facts = [
        *opening("2.0.0", "1.0.0", CHECKS),
        began("canary 5 %", 27, 3, 0.05),
        judged("canary 5 %", 33, undecided("canary 5 %", 0.05)),
    ]
    told = story(release="r", entries=written(facts))
    assert {one.gate: one.needed for one in benches(told)[-1].gates if one.needed} == {"errors": "4,200 requests"}
    assert "4,200 requests" in render(told).decode()


def test_a_broken_rule_is_told_beside_the_gates() -> None:
    told = rolled_back()
    assert "the candidate&#39;s servers were restarted 3 times (rule: 3)" in render(told).decode()
    assert "- **fail** **crashes**" in markdown(told)


def test_harm_adds_up_over_the_gates_that_share_the_budget() -> None:
    """The block tier and dry runs stand apart; every line is compared with the same bar."""
    told = rolled_back()
    last = moments_of(told)[-1]
    shares = told.plan.gates.shares
    apart = {"revenue", "refunds"}
    assert set(last.harm) == set(shares) | {"refunds"}
    assert last.total is not None
    assert math.exp(last.total) == pytest.approx(
        sum(math.exp(log) for gate, log in last.harm.items() if gate not in apart)
    )
    assert last.harm["refunds"] == pytest.approx(LEAKING["refunds"].harm)
    assert last.harm["revenue"] == pytest.approx(LEAKING["revenue"].harm + math.log(shares["revenue"]))
    assert set(last.safe) == {"errors", "invalid", "latency", "revenue"}
    assert last.weakest == last.safe["errors"]


def test_the_budget_is_the_one_that_was_judged() -> None:
    """Without copies no pair is ever seen, and the others have the part of alpha that agreement would have."""
    unfed = PLAN.gates.model_copy(update={"disagreement": None})
    question = Question(gates=unfed, guards=GUARDS)
    verdict = live_verdict(0.05, GOOD)
    facts = [
        *opening("2.0.0", "1.0.0", CHECKS),
        began("canary 5 %", 27, 3, 0.05),
        (after(60), "w", Judged(step="canary 5 %", question=question, verdict=verdict, watermark=after(58))),
    ]
    told = story(release="r", entries=written(facts))
    assert told.shares == unfed.shares
    assert moments_of(told)[-1].harm["errors"] == pytest.approx(GOOD["errors"].harm + math.log(unfed.shares["errors"]))


def test_a_policy_is_told_in_words() -> None:
    said = dict(policy_words(promoted().plan))
    assert said["a step's time is over and nothing is proven"].replace("\N{NO-BREAK SPACE}", " ") == (
        "go on judging for 10 min, then roll back"
    )
    hold = Plan(model="m", policy=Policy(harm=Reaction.HOLD), approval=Approval.PROMOTION)
    assert "stay and wait for a person" in dict(policy_words(hold))["harm is proven"]
    assert "before it is promoted" in dict(policy_words(hold))["all is well"]


SLICED = Plan(model="m", gates=Gates(slices=Slices(most=5)))
SETTINGS = {
    "a gate that is usually off": (SLICED, "gates.slices", ("on", "off")),
    "and what is unusual in it": (SLICED, "gates.slices.most", ("5", "50")),
    "a gate that is usually on": (Plan(model="m", gates=Gates(latency=None)), "gates.latency", ("off", "on")),
    "one's own": (Plan(model="m", gates=Gates(metrics={"sold": Rate()})), "gates.metrics.sold", ("on", "off")),
}


@pytest.mark.parametrize(("plan", "name", "expected"), SETTINGS.values(), ids=SETTINGS)
def test_settings_say_what_somebody_chose(plan: Plan, name: str, expected: tuple[str, str]) -> None:
    chosen = {one.name: (one.value, one.default) for one in settings_of(plan) if one.chosen}
    assert chosen[name] == expected
    assert "gates.slices.share" not in chosen


def test_the_command_line_shows_the_same_gates() -> None:
    told = STORIES["slowed"]().verdicts[-1]
    question = Question(gates=PLAN.gates, guards=GUARDS)
    judged_ = Judged(step=told.step, question=question, verdict=told.verdict, watermark=told.watermark)
    first, heading, worst, *rest = "\n".join(gates_text(judged_, PLAN)).splitlines()
    assert first == "  gates   as last judged, in canary 25 %"
    assert heading.split()[:3] == ["GATE", "ANSWER", "ROLE,"]
    assert worst.split()[:4] == ["latency", "fail", "guard,", "tempered"]
    assert len(rest) == 7 + 2
