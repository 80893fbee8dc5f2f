"""`python -m headgate.server`: serve one bundle until SIGTERM. Exits with 0 drained, 1 cut off, 2 usage, 3 no model."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from headgate.errors import HeadgateError, Unavailable
from headgate.files import write_whole
from headgate.launch import launch
from headgate.manifest import Manifest, read_manifest
from headgate.server.measures import Measures
from headgate.server.pool import Pool
from headgate.server.records import Records
from headgate.server.service import LARGEST_BODY, Service
from headgate.server.warm_up import first_request
from headgate.values import canonical

NO_MODEL = 3


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m headgate.server", description="Serve one bundle.")
    parser.add_argument("--model", required=True, help="name that callers use")
    parser.add_argument("--bundle", required=True, help="digest of the bundle")
    parser.add_argument("--folder", required=True, type=Path, help="unpacked bundle")
    parser.add_argument("--python", required=True, type=Path, help="interpreter with the bundle's requirements")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="written once the model is loaded and warm")
    parser.add_argument("--log-folder", required=True, type=Path, help="where the prediction log goes")
    parser.add_argument("--instance", required=True, help="name of this server among all")
    parser.add_argument("--workers", type=int, default=1, help="processes that hold the model")
    parser.add_argument("--queue", type=int, default=512, help="requests that may wait for a worker")
    return parser.parse_args()


class Watch:
    """Tells the log and the metrics what happens to workers."""

    def __init__(self, records: Records, measures: Measures) -> None:
        self.records = records
        self.measures = measures

    def worker_loaded(self, seconds: float) -> None:
        """Count and time a load."""
        self.measures.loads.inc()
        self.measures.load_seconds.set(seconds)
        self.records.event("worker loaded", seconds=round(seconds, 3))

    def worker_ended(self, reason: str) -> None:
        """Count a restart."""
        self.measures.restarts.inc()
        self.records.event("worker lost", reason=reason)


async def serve(options: argparse.Namespace, manifest: Manifest) -> int:
    """Serve until told to stop. The exit code."""
    sample_inputs = manifest.data.sample_inputs
    records = Records(options.log_folder, options.instance, options.model, options.bundle, sample_inputs)
    measures = Measures(options.model, options.bundle)
    pool = Pool(
        launch(manifest, options.folder, options.python, os.environ),
        manifest,
        Watch(records, measures),
        size=options.workers,
        queue=options.queue,
        warm_up=first_request(manifest, options.folder),
    )
    service = Service(manifest, options.bundle, pool, records, measures)
    runner = web.ServerRunner(
        web.Server(service, request_factory=roomy_request, access_log=None, auto_decompress=False)
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
        port = runner.addresses[0][1]
        records.event("listening", port=port, pid=os.getpid())
        if not await loaded(pool, stopped):
            return 0
        service.warm = True
        if options.ready_file:
            write_whole(options.ready_file, canonical({"port": port, "pid": os.getpid()}))
        records.event("ready", port=port)
        await stopped.wait()
        records.event("draining", in_flight=service.flying)
        drained = await service.drain()
        records.event("stopped", drained=drained)
        return 0 if drained else 1
    finally:
        await pool.stop()
        await runner.cleanup()
        records.close()


async def loaded(pool: Pool, stopped: asyncio.Event) -> bool:
    """Load the pool; False when told to stop first. Raises like `Pool.start`."""
    start, stop = asyncio.create_task(pool.start()), asyncio.create_task(stopped.wait())
    await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if start.done():
        start.result()
        return True
    start.cancel()
    # bounded: a start that is cancelled while its process is being made may wait for news that never come
    await asyncio.wait({start}, timeout=2)
    return False


def roomy_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """A request whose body may be as large as ours may."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)


def main() -> int:
    """Read the manifest, serve, and say in one line why not."""
    options = arguments()
    try:
        manifest = read_manifest(options.folder)
        return asyncio.run(serve(options, manifest))
    except HeadgateError as error:
        sys.stderr.write(f"headgate.server: {options.model} {options.bundle[:19]}: {error.message} -> {error.hint}\n")
        return 1 if isinstance(error, Unavailable) else NO_MODEL
    except OSError as error:
        sys.stderr.write(
            f"headgate.server: {options.model}: {error} -> is the port free and the log folder writable?\n"
        )
        return 1


if __name__ == "__main__":
    code = main()
    # At once: what the interpreter tidies up on its way out may complain after our last line, or wait.
    sys.stderr.flush()
    os._exit(code)
