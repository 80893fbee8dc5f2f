"""A bundle's settings hold what its author said and nothing else, so that its name survives a newer Headgate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import create_model

from headgate.bundle.oci import image_body, read_bundle, read_image, settings_body
from headgate.manifest import About, Manifest, Serve
from headgate.values import Value, digest_of

DOCUMENT: dict[str, Any] = {
    "model": {"name": "co2", "version": "1.0.0", "task": "forecasting", "owners": ["ada"]},
    "serve": {"python": "model:Model"},
    "schema": {"inputs": {"week": {"type": "integer"}}, "outputs": {"y": {"type": "number"}}},
}


def test_an_optional_field_of_a_later_version_changes_no_digest() -> None:
    """C-01: an unchanged model is the same bundle, whichever Headgate packs it."""
    served = create_model("Serve", __base__=Serve, warm=(int, 3))
    about = create_model("About", __base__=About, team=(str, "nobody"))
    later = create_model(
        "Manifest", __base__=Manifest, serve=(served, ...), model=(about, ...), more=(served | None, None)
    )
    body = settings_body(later.model_validate(DOCUMENT), "", {})
    assert body == settings_body(Manifest.model_validate(DOCUMENT), "", {})
    assert json.loads(body)["manifest"] == DOCUMENT


def test_what_is_not_stored_is_read_back() -> None:
    manifest = Manifest.model_validate(
        DOCUMENT | {"test": {"warnings_allowed": 2}, "build": {"limits": {"seconds": 5}}}
    )
    config = settings_body(manifest, "", {})
    image = image_body([], config)
    assert (
        read_bundle(digest_of(image), read_image(image, "application/vnd.headgate.bundle.v1"), config).manifest
        == manifest
    )


def test_what_the_author_insists_on_is_kept_also_where_a_plan_has_it_by_default() -> None:
    """C-13: a demand travels with the bytes; it is one only because it is written down."""
    demands = {"gates": {"beta": 0.05, "errors": {"guard": True}}, "replicas": 2}
    config = settings_body(Manifest.model_validate(DOCUMENT | {"release": demands}), "", {})
    image = image_body([], config)
    read = read_bundle(digest_of(image), read_image(image, "application/vnd.headgate.bundle.v1"), config)
    assert read.manifest.release == demands


def test_bundles_that_spelled_out_their_defaults_are_still_read() -> None:
    manifest = Manifest.model_validate(DOCUMENT)
    config = json.dumps(
        {"manifest": manifest.model_dump(mode="json", by_alias=True), "lock": "", "toolchain": {}}
    ).encode()
    image = image_body([], config)
    assert (
        read_bundle(digest_of(image), read_image(image, "application/vnd.headgate.bundle.v1"), config).manifest
        == manifest
    )


FOR_EVER = {  # stored bundles rely on these values: a field may be added here, and none may change
    "About": {"description": "", "licence": ""},
    "Agreement": {"absolute": 0, "relative": 0},
    "Backtest": {
        "series": None, "origins": 20, "stride": 4, "inputs": {}, "lower": None, "upper": None, "nominal": 0.95,
        "margin": 0.02, "coverage_margin": 0.03,
    },
    "Build": {
        "files": None, "exclude": (), "requirements": (), "command": (), "inputs": ("**/*",), "outputs": (),
        "scratch": (), "status": None, "env": ("PATH", "LANG", "HOME"), "digests": {},
    },
    "Constraint": {"severity": "fatal"},
    "Data": {"inputs": None, "features": None, "predictions": None, "sample_inputs": 0},
    "Golden": {"absolute": 1e-09, "relative": 1e-06},
    "Input": {"minimum": None, "maximum": None, "choices": (), "nullable": False, "unit": ""},
    "Limits": {"seconds": 600, "memory_mb": 4096, "output_mb": 1024},
    "Manifest": {"params": {}, "release": {}},
    "Output": {"minimum": None, "maximum": None, "choices": (), "nullable": False, "unit": ""},
    "Param": {"minimum": None, "maximum": None, "choices": (), "live": True, "provenance": None},
    "Provenance": {"method": "", "confidence": None},
    "Schema": {"max_rows": 1000},
    "Serve": {
        "python": None, "command": (), "mode": "once", "seed": 0, "stochastic": False, "timeout_seconds": 5,
        "load_seconds": 120, "memory_mb": 2048, "cpus": 1, "pickle": False, "env": (),
    },
    "Tests": {
        "samples": None, "golden": (), "constraint": (), "warnings_allowed": 0, "pytest": None, "backtest": None,
        "batch_invariant": True, "confidence": 0.8,
    },
}  # fmt: skip


def parts(annotation: Any) -> Iterator[type[Value]]:
    """The values that an annotation speaks of, and theirs."""
    if isinstance(annotation, type) and issubclass(annotation, Value):
        yield annotation
        for field in annotation.model_fields.values():
            yield from parts(field.annotation)
    for argument in get_args(annotation):
        yield from parts(argument)


def test_no_default_ever_changes() -> None:
    defaults: dict[str, dict[str, Any]] = {}
    for part in set(parts(Manifest)):
        for name, field in part.model_fields.items():
            if field.is_required():
                continue
            if isinstance(field.default, Value):  # a part of its own: equal to one that says nothing
                assert field.default == type(field.default)()
                continue
            defaults.setdefault(part.__name__, {})[name] = field.default
    assert defaults == FOR_EVER
