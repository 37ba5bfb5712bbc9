"""What the buyer's browser loads: the script double, the card form, the 3-D Secure page."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from sandbox.store import Store


def respond(store: Store, request: Request) -> Response:
    """Answer a browser."""
    return Response("Not found\n", 404, content_type="text/plain")
