"""`python -m sandbox --port N --db FILE|:memory:`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading

from sandbox import idempotency
from sandbox.clocks import Ticker
from sandbox.server import serve
from sandbox.store import Store
from sandbox.webhooks import LOOPBACK, Pusher


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A stateful Stripe double on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="0 (default): a free one")
    parser.add_argument("--db", default=":memory:", help="an SQLite file, or :memory: (default)")
    parser.add_argument("--host", default="127.0.0.1", help="loopback only")
    options = parser.parse_args(arguments)
    if options.host not in LOOPBACK:
        parser.error(f"the sandbox binds loopback only, not {options.host}")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = Store(options.db)
    idempotency.forget_unfinished(store)
    server = serve(store, options.host, options.port)
    helpers: list[Ticker | Pusher] = [Ticker(store), Pusher(store)]
    for thread in helpers:
        thread.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    print(f"sandbox listening on http://{options.host}:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    for thread in helpers:
        thread.stopping.set()
        thread.join(2)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
