"""Ask the web process of this container for a page, as its proxy would; exit 0 when it is well."""

import os
import sys
import urllib.request
from urllib.parse import urlsplit


def main() -> int:
    """`probe.py /healthz`: the Host header is the public one, which ALLOWED_HOSTS accepts."""
    port = os.environ.get("WEB_BIND", ":8000").rpartition(":")[2]
    request = urllib.request.Request(f"http://127.0.0.1:{port}{sys.argv[1]}")
    request.add_header("Host", urlsplit(os.environ.get("SITE_URL", "")).netloc or "localhost")
    try:
        with urllib.request.urlopen(request, timeout=4) as response:
            return 0 if response.status == 200 else 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
