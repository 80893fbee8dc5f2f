"""Forms: what a person may fill in, what is refused with the field's name, and what the form itself can show."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import validate
from pydantic import ValidationError

from deployments.offers import Offer, offers, tags
from flows.asking import ApprovalForm, ReleaseForm, ResumeForm, RollbackForm, SweepForm
from headgate.cli.asking import plan_from
from headgate.errors import Rejected
from headgate.plan import Approval, Strategy

RELEASE = {"model": "models/co2", "requested_by": "ada"}
APPROVAL = {"release": "co2-1.1.0-20260301T120000-4f2a", "decision": "reject", "approver": "grace", "note": "no"}
ROLLBACK = {"model": "co2", "reason": "wrong currency", "requested_by": "ada"}
OFFERS = {offer.flow.name: offer for offer in offers(["production", "staging"], orphan_seconds=20)}

BY_SCHEMA = {  # what Prefect's server refuses with HTTP 409, and its UI in the form
    "no model": ("release", {**RELEASE, "model": "  "}, "model"),
    "a name of two words": ("release", {**RELEASE, "requested_by": "ada lovelace"}, "requested_by"),
    "an environment that is not offered": ("release", {**RELEASE, "environment": "moon"}, "environment"),
    "a strategy that is none": ("release", {**RELEASE, "strategy": "hope"}, "strategy"),
    "an approval that is none": ("release", {**RELEASE, "approval": "later"}, "approval"),
    "an overlap that is none": ("release", {**RELEASE, "overlap": "both"}, "overlap"),
    "a setting without a value": ("release", {**RELEASE, "settings": ["shadow.percent"]}, "settings"),
    "no time at all": ("release", {**RELEASE, "patience_seconds": -1}, "patience_seconds"),
    "a field that is not there": ("release", {**RELEASE, "shoe": 3}, "shoe"),
    "a rollback without a reason": ("rollback", {**ROLLBACK, "reason": ""}, "reason"),
    "a release that cannot be an id": ("approve", {**APPROVAL, "release": "../x"}, "release"),
    "a decision that is none": ("approve", {**APPROVAL, "decision": "perhaps"}, "decision"),
    "nothing to look after": ("sweep", {"environments": []}, "environments"),
}
FORMS: dict[str, Any] = {
    "release": ReleaseForm,
    "rollback": RollbackForm,
    "approve": ApprovalForm,
    "resume": ResumeForm,
    "sweep": SweepForm,
}


def refusals(offer: Offer, request: dict[str, Any]) -> list[str]:
    """What Prefect's own validation says, as its server calls it."""
    errors = validate({"request": request}, offer.schema(["production", "staging"]), raise_on_error=False)
    return [f"{'.'.join(str(part) for part in error.path)}: {error.message}" for error in errors]


@pytest.mark.parametrize(("name", "request_", "field"), BY_SCHEMA.values(), ids=BY_SCHEMA)
def test_the_schema_refuses(name: str, request_: dict[str, Any], field: str) -> None:
    (refusal,) = refusals(OFFERS[name], request_)
    assert field in refusal
    if field != "environment":  # which ones are offered, only the schema knows
        with pytest.raises(ValidationError, match=field):
            FORMS[name](**request_)


@pytest.mark.parametrize(
    ("name", "request_"),
    [("release", RELEASE), ("approve", APPROVAL), ("rollback", ROLLBACK), ("sweep", {}), ("resume", {"release": "r"})],
)
def test_what_is_right_passes(name: str, request_: dict[str, Any]) -> None:
    assert refusals(OFFERS[name], request_) == []
    assert FORMS[name](**request_)


BY_MODEL = {
    "an unknown key": (["shaddow.percent=20"], "did you mean `shadow`"),
    "a value out of range": (["shadow.percent=200"], "shadow.percent"),
    "a schedule that falls": (["schedule=[{percent=50},{percent=5}]"], "schedule"),
    "a table in a value": (["replicas=2", "replicas.two=1"], "replicas is a value"),
}


@pytest.mark.parametrize(("settings", "said"), BY_MODEL.values(), ids=BY_MODEL)
def test_the_model_refuses_what_a_schema_cannot(settings: list[str], said: str) -> None:
    assert refusals(OFFERS["release"], {**RELEASE, "settings": settings}) == []
    with pytest.raises(ValidationError, match="settings") as refused:
        ReleaseForm.model_validate({**RELEASE, "settings": settings})
    assert said in str(refused.value)


def test_a_rejection_says_why() -> None:
    with pytest.raises(ValidationError, match="note: say why"):
        ApprovalForm.model_validate({**APPROVAL, "note": " "})


def test_a_choice_left_alone_leaves_it_to_the_policy() -> None:
    """A form that always said `approval = none` would be refused wherever a policy asks for one."""
    assert ReleaseForm.model_validate(RELEASE).wishes() == ()
    chosen = ReleaseForm.model_validate(
        {**RELEASE, "approval": "before promotion", "strategy": "blue-green", "settings": ["replicas=3"]}
    )
    plan = plan_from("m", "production", None, None, chosen.wishes())
    assert (plan.approval, plan.strategy, plan.replicas) == (Approval.PROMOTION, Strategy.BLUE_GREEN, 3)


def test_a_form_that_raises_names_itself() -> None:
    with pytest.raises(Rejected, match="ReleaseForm is not valid: strategy"):
        ReleaseForm.parse({**RELEASE, "strategy": "hope"}, where="ReleaseForm")


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_a_person_can_fill_it_in(offer: Offer) -> None:
    """Every field has a title and a sentence; nothing is of a shape that Prefect shows as an empty box."""
    schema = offer.schema(["production", "staging"])
    assert schema["properties"]["request"]["title"] == offer.flow.name.capitalize()
    form = next(found for name, found in schema["definitions"].items() if name.endswith("Form"))
    for name, field in form["properties"].items():
        kind = schema["definitions"][field["$ref"].rsplit("/", 1)[-1]] if "$ref" in field else field
        assert kind["type"] in {"string", "integer", "array"}, name
        assert {"title", "description"} <= kind.keys() | field.keys(), name
        assert "anyOf" not in kind, name


def test_environments_are_offered() -> None:
    fields = OFFERS["release"].schema(["staging", "production"])["definitions"]["ReleaseForm"]["properties"]
    assert fields["environment"]["enum"] == ["staging", "production"]
    assert fields["environment"]["default"] == "staging"
    looked_after = OFFERS["sweep"].parameters["request"]
    assert looked_after == {"environments": ["production", "staging"], "orphan_seconds": 20}


def test_entrypoints_are_modules() -> None:
    """A path would be looked for in whatever folder a worker starts a run."""
    assert {offer.entrypoint for offer in OFFERS.values()} == {f"flows.deployed.{name}" for name in FORMS}
    assert {offer.name for offer in OFFERS.values()} == {f"{name}/headgate" for name in FORMS}


def test_a_version_without_a_commit() -> None:
    assert len(tags("")) == 1
