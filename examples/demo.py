"""Four releases of a forecasting model under live requests: two go live, one is stopped in shadow, one in its canary.

Starts a Prefect server to look at, runs the environment, replays the example's rows as live requests, and releases one
version after the other with the same commands that a person types. Writes `.headgate/demo.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
MODEL = Path(__file__).resolve().parent / "co2"
VERSIONS = {"v1": "promoted", "v2": "promoted", "v3": "rolled back", "v4": "rolled back"}
RATE = 500
"""Live requests per second, each with a routing key of its own."""
BOUND_SECONDS = 900
"""The load ends by itself after this long, whatever happens to this program."""


def main() -> int:
    """Run the demo; 0 when every release ended as told and no caller got an error, 130 when it was stopped."""
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):  # a cancelled job, a closed terminal: end what was started, too
        signal.signal(number, signal.default_int_handler)
    try:
        return demo(options)
    except KeyboardInterrupt:
        say("stopped; nothing of it is left running")
        return 130


def demo(options: argparse.Namespace) -> int:
    """Start everything, release one version after the other, and stop everything."""
    home = ROOT / ".headgate" / "demo"
    headgate = [sys.executable, "-m", "headgate"]
    environment = surroundings(home)
    stop(headgate, environment)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(stop, headgate, environment)
        environment |= {"PREFECT_API_URL": stack.enter_context(prefect_server(home, environment))}
        run([*headgate, "up"], environment)
        story = [release("v1", headgate, environment, plan=None)]
        load = stack.enter_context(live_requests(home, headgate, environment))
        story += [release(version, headgate, environment, plan=MODEL / "plan.toml") for version in ("v2", "v3", "v4")]
        callers = ended(load, home)
        report(story, callers, home, environment, seconds=time.monotonic() - began)
        if options.keep:
            input("everything still runs; press Enter to stop it ")
    good = all(line["outcome"] == VERSIONS[line["version"]] for line in story) and not callers["errors"]
    return 0 if good else 1


def arguments() -> argparse.Namespace:
    """What the caller wants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Enter is pressed")
    return parser.parse_args()


def surroundings(home: Path) -> dict[str, str]:
    """The environment variables of every command of the demo; a store given from outside gets a folder for this run."""
    given = os.environ.get("HEADGATE_STORE")
    store = f"{given.rstrip('/')}/demo-{int(time.time())}" if given else f"file://{home / 'store'}"
    return os.environ | {
        "HEADGATE_HOME": str(home),
        "HEADGATE_STORE": store,
        "HEADGATE_PORT": os.environ.get("HEADGATE_PORT") or str(free_port(8080)),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


@contextlib.contextmanager
def prefect_server(home: Path, environment: dict[str, str]) -> Any:
    """A local Prefect server, so that runs, tables and plots can be looked at."""
    port = free_port(4200)
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    told = environment | {"PREFECT_SERVER_UI_API_URL": f"{address}/api"}  # the pages ask port 4200 otherwise
    say(f"starting a Prefect server at {address}")
    with (home / "prefect.log").open("wb") as log:
        server = subprocess.Popen(command, env=told, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: httpx.get(f"{address}/api/health", timeout=2).status_code == 200, 120, "the Prefect server")
        yield f"{address}/api"
    finally:
        end(server)


@contextlib.contextmanager
def live_requests(home: Path, headgate: list[str], environment: dict[str, str]) -> Any:
    """The example's own rows as live requests, a fresh routing key each."""
    command = [*headgate, "load", str(MODEL / "v1"), "--rows", str(MODEL / "traffic.csv"), "--rate", str(RATE)]
    command += ["--seconds", str(BOUND_SECONDS), "--progress", str(home / "load.json"), "--json"]
    say(f"replaying {MODEL.name}/traffic.csv as {RATE} live requests per second")
    with (home / "load.log").open("wb") as log:
        load = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield load
    finally:
        end(load)


def release(version: str, headgate: list[str], environment: dict[str, str], *, plan: Path | None) -> dict[str, Any]:
    """Release one version as a person would, showing what the command shows."""
    say(f"releasing {MODEL.name}/{version}")
    began = time.monotonic()
    home = Path(environment["HEADGATE_HOME"])
    before = callers_so_far(home)
    command = [*headgate, "release", str((MODEL / version).relative_to(ROOT)), *(["--plan", str(plan)] if plan else [])]
    finished = subprocess.run(command, env=environment, cwd=ROOT, check=False)
    after = callers_so_far(home)
    last = newest_release(headgate, environment)
    return {
        "version": version,
        "outcome": last["outcome"],
        "why": last["reason"],
        "release": last["release"],
        "exit_code": finished.returncode,
        "seconds": round(time.monotonic() - began, 1),
        "requests": after["requests"] - before["requests"],
        "callers_errors": after["errors"] - before["errors"],
    }


def newest_release(headgate: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """The last release that was asked for, as the ledger tells it."""
    told = subprocess.run([*headgate, "history", "--json"], env=environment, check=True, capture_output=True)
    releases: list[dict[str, Any]] = json.loads(told.stdout)["releases"]
    return releases[-1]


def callers_so_far(home: Path) -> dict[str, int]:
    """Live requests sent since the load began, and how many of them got no good answer."""
    try:
        totals = json.loads((home / "load.json").read_text())
    except FileNotFoundError:  # nobody calls before the first release
        return {"requests": 0, "errors": 0}
    return {"requests": totals["sent"], "errors": sum(totals["errors"].values())}


def ended(load: subprocess.Popen[bytes], home: Path) -> dict[str, Any]:
    """Stop the load and read what its callers got."""
    load.send_signal(signal.SIGTERM)
    load.wait(timeout=60)
    summary: dict[str, Any] = json.loads((home / "load.json").read_text())
    return summary


def report(
    story: list[dict[str, Any]], callers: dict[str, Any], home: Path, environment: dict[str, str], *, seconds: float
) -> None:
    """Write demo.json, and say the same in a table."""
    for line in story:
        page = home / f"{line['version']}.html"
        command = [sys.executable, "-m", "headgate", "show", line["release"], "--report", str(page)]
        run([*command, "--json"], environment, quiet=True)
        line["report"] = str(page.relative_to(ROOT))
    document = {"seconds": round(seconds, 1), "releases": story, "callers": callers}
    (ROOT / ".headgate" / "demo.json").write_text(json.dumps(document, indent=2) + "\n")
    say("")
    for line in story:
        figures = f"{line['seconds']:>6} s  {line['requests']:>7,} requests"
        expected = "as told" if line["outcome"] == VERSIONS[line["version"]] else "NOT AS TOLD"
        print(f"  {line['version']}  {line['outcome']:<12} {figures}  {expected}")
        print(f"      {line['why']}\n      {line['report']}")
    errors = callers["errors"] or "no"
    print(f"\n  callers: {callers['sent']:,} requests, {errors} errors; {seconds:.0f} s in all")
    print("  the same as JSON: .headgate/demo.json")


def stop(headgate: list[str], environment: dict[str, str]) -> None:
    """End the environment, if it runs."""
    run([*headgate, "down"], environment, quiet=True)


def run(command: list[str], environment: dict[str, str], *, quiet: bool = False) -> None:
    """Run one command to its end; its failure ends the demo."""
    subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL if quiet else None)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and insist after a while."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, or any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise SystemExit("no free port on 127.0.0.1")


def wait_until(true: Any, seconds: float, what: str) -> None:
    """Wait for something to answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if true():
                return
        time.sleep(0.2)
    raise SystemExit(f"{what} did not start in {seconds:.0f} s; see .headgate/demo/prefect.log")


def say(line: str) -> None:
    """One line of the demo's own."""
    print(f"\n{line}" if line else "", flush=True)


if __name__ == "__main__":
    sys.exit(main())
