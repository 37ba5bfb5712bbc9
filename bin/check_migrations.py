"""Run every real migration, the mirror's too, on a new PostgreSQL database, as a server's first start does.

Takes about 100 s of CPU, so CI runs it once; DATABASE_URL names the server.
"""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

ROOT = Path(__file__).resolve().parent.parent
NAME = f"migrations_{os.getpid()}"


def main() -> int:
    """Create a database, migrate it for real, look for what is missing, drop it."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {NAME}")
        try:
            own = urlsplit(url)._replace(path=f"/{NAME}").geturl()
            env = {**os.environ, "DATABASE_URL": own, "DJANGO_SETTINGS_MODULE": "config.settings.build"}
            for command in (
                ["migrate", "--noinput", "-v", "1"],
                ["migrate", "--check"],
                ["createcachetable"],
            ):
                code = subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=env).returncode
                if code:
                    return code
        finally:
            server.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
