"""A model that doubles, or misbehaves as it is told in the column `act` of the first row."""

import os
import random
import signal
import sys
import time
from pathlib import Path


class Model:
    def load(self, folder, params):
        self.folder = folder
        self.params = params
        sys.stdout.write(f"loading {folder}\n")
        time.sleep(params["load_seconds"])

    def predict(self, inputs):
        act, _, detail = inputs["act"][0].partition(" ")
        note = [""] * len(inputs["x"])
        if act in ACTS:
            note[0] = str(ACTS[act](detail) or "")
        y = [self.params["factor"] * x for x in inputs["x"]]
        answers = {
            "nan": {"y": [float("nan")], "note": note},
            "infinite": {"y": [float("inf")], "note": note},
            "short": {"y": y[:-1], "note": note[:-1]},
            "ragged": {"y": y, "note": []},
            "extra": {"y": y, "note": note, "z": y},
            "missing": {"y": y},
            "type": {"y": ["1.0"], "note": note},
            "null": {"y": [None], "note": note},
            "list": [y],
            "object": {"y": [object()], "note": note},
        }
        if act == "large":
            note = ["x" * (65 << 20)]
        return answers.get(act, {"note": note, "y": y})


def forked(how):
    """A child that outlives its parent; `apart` puts it into a session of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if how == "apart":
            os.setsid()
            if os.fork():
                os._exit(0)
        os.write(writer, str(os.getpid()).encode())
        time.sleep(300)
        os._exit(0)
    return int(os.read(reader, 32))


def chatter(_):
    """What might be taken for an answer, in each way to write it."""
    sys.stdout.write('{"outputs": {"y": [0]}}\n')
    os.write(1, b"\x00\x00\x00\x02{}")
    sys.stderr.write("to the log\n")


def failing(_):
    raise KeyError("secret detail")


def placed(_):
    Path("scratch.txt").write_text("mine")
    return Path.cwd()


ACTS = {
    "print": chatter,
    "raise": failing,
    "leave": lambda _: sys.exit(0),
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "hoard": lambda _: len(bytearray(1 << 30)),
    "fork": forked,
    "random": lambda _: random.random(),
    "hash": lambda _: hash("text"),
    "environment": lambda _: " ".join(sorted(os.environ)),
    "place": placed,
    "pid": lambda _: os.getpid(),
    "echo": lambda text: text,
}
