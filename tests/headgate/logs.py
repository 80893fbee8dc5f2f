"""Logs of an environment, written as its gateway, its servers and its callers write them."""

import json
from datetime import UTC, datetime, timedelta

from headgate.evidence import CANDIDATE, STABLE
from headgate.gates.declared import Average, Loss, Rate
from headgate.manifest import Agreement, Output
from headgate.telemetry import look

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = int(START.timestamp())
MODEL = "co2"
NAN = float("nan")
FAILED = {"status": 500, "forecast": None}
METRICS = {"refund": Rate(), "basket": Average(margin=1, resolution=0.01), "mae": Loss()}
SCHEMA = {"forecast": Output(type="number", agree=Agreement(absolute=0.5))}
C, S = CANDIDATE, STABLE


def moment(seconds):
    return START + timedelta(seconds=seconds)


def stamp(seconds):
    return moment(seconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def request(seconds, name="1", *, key="", model=MODEL, assigned=S, answered=None, code=200, **more):
    return {
        "t": stamp(seconds), "id": name, "key": key, "model": model, "rev": 7, "assigned": assigned,
        "answered": assigned if answered is None else answered, "bundle": "", "code": code, "flags": "",
        "attempts": 1, "mirrored": False, "slice": "", "host": "127.0.0.1:1", "invalid": "",
        "us": 3456, "ms": 3, **more,
    }  # fmt: skip


def outcome(seconds, metric="refund", *, model=MODEL, assigned=C, **more):
    said = {"t": stamp(seconds), "model": model, "metric": metric, "rev": 7, "assigned": assigned, **more}
    return {name: value for name, value in said.items() if value is not None}


def answered(seconds, name="1", *, shadow=False, status=200, forecast=(1.0,)):
    outputs = None if forecast is None else {"forecast": list(forecast)}
    return {
        "t": stamp(seconds), "id": name, "bundle": "sha256:0", "shadow": shadow, "status": status, "ms": 1.0,
        "rows": 1, "inputs": "0", "outputs": outputs,
    }  # fmt: skip


class Logs:
    """An environment's folder that is written to as gateway and servers do."""

    def __init__(self, folder):
        self.folder = folder
        self.rotated = 0
        (folder / "gateway").mkdir(parents=True)
        (folder / "predictions").mkdir()
        (folder / "outcomes").mkdir()

    @property
    def access(self):
        return self.folder / "gateway" / "access.jsonl"

    def log(self, *lines):
        self.write(self.access, "".join(json.dumps(line) + "\n" for line in lines))

    def answer(self, *lines, instance="a"):
        self.write(self.folder / "predictions" / f"{instance}.jsonl", "".join(json.dumps(x) + "\n" for x in lines))

    def report(self, *lines, writer="a"):
        self.write(self.folder / "outcomes" / f"{writer}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

    def write(self, path, text):
        with path.open("a") as file:
            file.write(text)

    def rotate(self):
        self.rotated += 1
        self.access.rename(self.access.with_name(f"access-{self.rotated}.jsonl"))

    def look(self, cursor=None, now=1000.0):
        return look(self.folder, MODEL, cursor, now=moment(now), schema=SCHEMA, metrics=METRICS)


def requests(found):
    return sum(counters.get("requests", 0) for counters in found.evidence.counts.values())
