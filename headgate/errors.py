"""The four families of failure, grouped by what the reader does next. Nothing here decides or acts."""

from __future__ import annotations


class HeadgateError(Exception):
    """A failure that says what broke (`message`) and what to do about it (`hint`).

    >>> print(HeadgateError("no file headgate.toml in ./model", "run `headgate init ./model` to write one"))
    no file headgate.toml in ./model
      -> run `headgate init ./model` to write one
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)

    @property
    def message(self) -> str:
        """What broke, and where."""
        return str(self.args[0])

    @property
    def hint(self) -> str:
        """What the reader should do next."""
        return str(self.args[1])

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}"


class Unavailable(HeadgateError):
    """No answer. Repeating the same call is safe and may work."""


class Conflict(HeadgateError):
    """Someone else was first. Read again, then decide again."""


class Rejected(HeadgateError):
    """The request is wrong. A person must change something."""


class Missing(Rejected):
    """What was named is not there."""


class ModelFailed(Rejected):
    """The model itself failed: it raised, died, ran out of time, or broke the schema it declares."""


class Corrupt(HeadgateError):
    """Stored bytes disagree with their digest. Stop before writing anything."""


def message_of(error: Exception) -> str:
    """What went wrong; with its name, if it is none of ours."""
    return error.message if isinstance(error, HeadgateError) else f"{type(error).__name__}: {error}"
