# The service alone: no development chain, no tests. From the repository's root: docker build -t ghost-fleet:new -f Dockerfile .
FROM python:3.11-slim-bookworm AS build
# Where a network has its own certificate authority or mirror: --build-arg PIP_CERT=FILE, --build-arg PIP_INDEX_URL=URL.
ARG PIP_CERT
ARG PIP_INDEX_URL
# The newest of a stable distribution is wanted: it has security fixes and nothing else.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/ghost-fleet \
 && /opt/ghost-fleet/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md alembic.ini ./
COPY migrations migrations
COPY ghostfleet ghostfleet
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/ghost-fleet/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM python:3.11-slim-bookworm
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="ghost-fleet" \
      org.opencontainers.image.description="An event-sourced service that runs a fleet of an operator's own EVM wallets" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"
RUN groupadd --system --gid 10001 ghost-fleet \
 && useradd --system --no-log-init --uid 10001 --gid 10001 --home-dir /var/lib/ghost-fleet --shell /usr/sbin/nologin ghost-fleet \
 && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/ghost-fleet \
 && install --directory --mode=0755 /etc/ghost-fleet
COPY --from=build /usr/bin/tini-static /usr/bin/tini
COPY --from=build /opt/ghost-fleet /opt/ghost-fleet
ENV PATH=/opt/ghost-fleet/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GHOST_FLEET_DATA_DIRECTORY=/var/lib/ghost-fleet \
    CREDENTIALS_DIRECTORY=/run/secrets \
    GHOST_FLEET_CONFIG=/etc/ghost-fleet/config.toml
# By number, so that an orchestrator can tell that it is not root.
USER 10001:10001
WORKDIR /var/lib/ghost-fleet
VOLUME ["/var/lib/ghost-fleet"]
EXPOSE 8080
# A stop finishes what is being recorded within ten seconds, docker's own patience.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=600s --retries=3 CMD ["ghost-fleet", "health"]
ENTRYPOINT ["/usr/bin/tini", "--", "ghost-fleet"]
