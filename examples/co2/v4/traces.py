"""The working of a few calls, kept so that an analyst can ask later how an answer came about."""

import zlib

EVERY = 20  # one call in so many is kept


class Traces:
    """A sample of calls in a buffer of fixed size, until somebody collects it."""

    def __init__(self, calls: int) -> None:
        self.room = max(1, calls // EVERY)
        self.calls = 0
        self.kept: list[dict] = []

    def offer(self, inputs: dict, outputs: dict) -> None:
        """Keep this call if it is one of the sample."""
        self.calls += 1
        if zlib.crc32(self.calls.to_bytes(8, "big")) % EVERY:
            return
        if len(self.kept) == self.room:
            raise MemoryError(f"the trace buffer is full: {self.room} calls were kept and none collected")
        self.kept.append({"call": self.calls, "inputs": inputs, "outputs": outputs})

    def collect(self) -> list[dict]:
        """Everything kept so far; the buffer is empty afterwards."""
        kept, self.kept = self.kept, []
        return kept
