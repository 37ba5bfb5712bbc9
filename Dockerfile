# syntax=docker/dockerfile:1
# The product on a server: one image for web, worker, beat and commands. See docs/operations.md.

FROM python:3.11-slim-trixie AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/venv PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements-uv.txt requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-uv.txt \
    && uv venv /opt/venv \
    && uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python --require-hashes -r requirements.txt
COPY manage.py ./
COPY accounts accounts
COPY billing billing
COPY offboarding offboarding
COPY config config
COPY templates templates
COPY static static
COPY locale locale
COPY bin bin
RUN for language in locale/*/LC_MESSAGES/django.po; do \
        /opt/venv/bin/pybabel compile -i "$language" -o "${language%.po}.mo" -l "$(basename "$(dirname "$(dirname "$language")")")"; \
    done \
    && DJANGO_SETTINGS_MODULE=config.settings.build /opt/venv/bin/python manage.py collectstatic --noinput

FROM python:3.11-slim-trixie
# pg_dump and pg_restore for bin/backup and bin/restore; the distribution's own version is the right one.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /home/goodterms goodterms \
    && install -d -o goodterms -g goodterms /data/private /data/beat /data/backups
# PRIVATE_FILES is a folder, no secret.
# hadolint ignore=DL3064
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings.prod \
    PRIVATE_FILES=/data/private
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
USER 10001
VOLUME ["/data"]
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "bin/probe.py", "/healthz"]
CMD ["gunicorn", "--config", "config/gunicorn_settings.py", "config.wsgi:application"]
