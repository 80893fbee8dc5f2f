"""What `headgate init` writes: a model folder that works as it is, and whose comments teach the rest."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from headgate.errors import Conflict, Rejected

ENDING = ".template"
NAME_MARK = "@NAME@"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def write(folder: Path, *, name: str | None = None) -> tuple[Path, ...]:
    """Write a model folder; gives the files written, in order. Nothing that is there is changed.

    Raises `Conflict` that lists the files in the way, before anything is written, and `Rejected` for a bad name.

    Args:
        folder: made when it is not there.
        name: the model's; taken from the folder's when None.
    """
    name = name_for(folder) if name is None else name
    if not NAME_PATTERN.fullmatch(name):
        hint = "use a lower-case letter, then up to 62 of a-z, 0-9, `-` and `_`"
        raise Rejected(f"{name!r} is no name for a model", hint)
    contents = {folder / path: text.replace(NAME_MARK, name) for path, text in templates().items()}
    if there := [str(path) for path in contents if path.exists() or path.is_symlink()]:
        raise Conflict(f"already there: {', '.join(there)}", "choose another folder, or move these away")
    try:
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
    except OSError as error:
        raise Rejected(f"{folder} can not be written: {error}", "choose a folder that you may write to") from error
    return tuple(contents)


def name_for(folder: Path) -> str:
    """A model's name from its folder's.

    >>> name_for(Path("models/House Prices (2)")), name_for(Path("models/2024"))
    ('house-prices-2', 'model-2024')
    """
    plain = re.sub(r"[^a-z0-9_]+", "-", folder.absolute().name.lower()).strip("-_")
    return (plain if plain[:1].isalpha() else f"model-{plain}".strip("-"))[:63]


def templates() -> dict[str, str]:
    """Every template's text by the path that it is written to, in order."""
    return dict(sorted(read_all(files(__name__) / "template", "")))


def read_all(folder: Traversable, below: str) -> list[tuple[str, str]]:
    """The templates of one folder and of those in it."""
    found = []
    for entry in folder.iterdir():
        path = f"{below}{entry.name}"
        if entry.is_dir():
            found += read_all(entry, f"{path}/")
        elif path.endswith(ENDING):
            found.append((path.removesuffix(ENDING), entry.read_text(encoding="utf-8")))
    return found
