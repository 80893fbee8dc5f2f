"""Ask a model for answers, which must keep its own schema. Whether they are good is never decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headgate.checks.rows import request_rows
from headgate.checks.samples import Columns, row_count, take
from headgate.manifest import Manifest
from headgate.runtime import Session, Subject, session


def ask(running: Session, manifest: Manifest, rows: Mapping[str, Sequence[Any]]) -> Columns:
    """Answers to `rows`, in requests as large as the model takes. Raises `ModelFailed` for a wrong or no answer."""
    count = row_count(rows)
    size = manifest.schema_.max_rows
    answers: Columns = {name: [] for name in manifest.schema_.outputs}
    for start in range(0, count, size):
        part = take(rows, range(start, min(start + size, count)))
        found = running.predict(part)
        for name, values in answers.items():
            values.extend(found[name])
    return answers


def answers_of(
    subject: Subject,
    rows: Mapping[str, Sequence[Any]] | None = None,
    *,
    seed: int | None = None,
    hash_seed: int | None = None,
    params: Mapping[str, Any] | None = None,
) -> Columns:
    """Answers of a fresh process to `rows`, or to the subject's own request rows."""
    asked = request_rows(subject.manifest, subject.folder) if rows is None else rows
    with session(subject, seed=seed, hash_seed=hash_seed, params=params) as running:
        return ask(running, subject.manifest, asked)
