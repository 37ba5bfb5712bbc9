"""How gunicorn serves the product: bound to all addresses of its container, logs as JSON, no access log."""

import os

# Inside a container; the proxy stands before it.
bind = os.environ.get("WEB_BIND", "0.0.0.0:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "4"))
timeout = 60
graceful_timeout = 25
max_requests = 20_000
max_requests_jitter = 2_000
# The product logs each request itself, without path and address.
accesslog = None
control_socket_disable = True
#: A folder in memory: a slow disk must not look like a hanging worker.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.JsonFormatter"}},
    "handlers": {"stream": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"level": "INFO", "handlers": ["stream"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["stream"], "propagate": False}},
}
