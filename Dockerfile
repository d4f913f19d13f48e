# The service alone: no development chain, no tests. Build from the repository's root: docker build -t ghost-fleet:new -f Dockerfile .
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/ghost-fleet \
 && /opt/ghost-fleet/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/ghost-fleet/bin/pip install --no-cache-dir hatchling
COPY pyproject.toml README.md alembic.ini ./
COPY migrations migrations
COPY ghostfleet ghostfleet
RUN /opt/ghost-fleet/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/ghost-fleet/bin/pip uninstall --yes hatchling

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/ghost-fleet ghost-fleet
COPY --from=build /opt/ghost-fleet /opt/ghost-fleet
ENV PATH=/opt/ghost-fleet/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GHOST_FLEET_CONFIG=/etc/ghost-fleet/config.toml
USER ghost-fleet
WORKDIR /var/lib/ghost-fleet
VOLUME /var/lib/ghost-fleet
# A stop finishes what is being recorded within ten seconds, docker's own patience.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
ENTRYPOINT ["ghost-fleet"]
