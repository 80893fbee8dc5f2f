"""`python -m benchmarks.faults.callers`: call a model all the time, and write down what each caller saw.

It judges nothing. One line of JSON for each request, in the order of their ends: when it was sent and ended (seconds
since 1970), what came (`ok`, a class such as `5xx`, `connection`, `timeout`), and which bundle and revision said so.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

import aiohttp

TIMEOUT_SECONDS = 15.0
MOST_AT_ONCE = 200


async def call(http: aiohttp.ClientSession, url: str, number: int, out: TextIO) -> None:
    """One request, and its line."""
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [float(number % 10)]}]}
    sent, came, bundle, revision, said = time.time(), "", "", 0, ""
    try:
        async with http.post(url, json=body, headers={"x-headgate-key": f"caller-{number}"}) as answer:
            text = await answer.text()
            bundle = answer.headers.get("x-headgate-bundle", "")
            revision = int(answer.headers.get("x-headgate-revision") or 0)
            right = answer.status == 200 and '"outputs"' in text
            came = "ok" if right else f"{answer.status // 100}xx"
            said = "" if right else f"{answer.status} {text[:200]}"
    except TimeoutError:
        came = "timeout"
    except (aiohttp.ClientError, OSError) as error:
        came, said = "connection", f"{type(error).__name__}: {error}"
    line = {"sent": sent, "ended": time.time(), "came": came, "bundle": bundle, "revision": revision}
    out.write(json.dumps(line | ({"said": said} if said else {})) + "\n")


async def calls(url: str, rate: float, out: TextIO) -> None:
    """Call `rate` times a second, whatever the answers do, until SIGTERM; then wait for the last ones."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    began, waiting = time.monotonic(), set[asyncio.Task[None]]()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        for number in itertools.count():
            ahead = began + number / rate - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
            if over.is_set():
                break
            if len(waiting) >= MOST_AT_ONCE:
                continue
            task = asyncio.create_task(call(http, url, number, out))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        if waiting:
            await asyncio.wait(waiting)


def main() -> int:
    """As the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.callers")
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    with asked.out.open("w", buffering=1, encoding="utf-8") as out:
        asyncio.run(calls(asked.url, asked.rate, out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
