#!/usr/bin/env bash
# Builds the image and tries it: --help, then the service in it and its health check, then a stop. Usage: scripts/image.sh [TAG]
#
# With Docker where an engine answers. Elsewhere, as root, with Debian's buildah and debootstrap: no daemon, no registry; the base
# image is then the same Debian with the same Python, made once and tagged like the real one.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
image=${1:-ghost-fleet:$version}
base=docker.io/library/$(sed -n 's/^FROM \([^ ]*\)$/\1/p' Dockerfile)
port=28080 # of the service under test, where it shares the network of this machine
work=$(mktemp -d)
settings=$work/config.toml
mkdir -p "$work/run"
cp config/development.toml "$settings"
chmod 0644 "$settings"
mapfile -t build_args < <(printf '%s\n' \
  "--build-arg=VERSION=$version" \
  "--build-arg=REVISION=$(git describe --always --dirty --abbrev=40 2>/dev/null || echo unknown)" \
  "--build-arg=CREATED=$(date -u +%Y-%m-%dT%H:%M:%SZ)")

say() { printf '== %s (%s s)\n' "$*" "$SECONDS"; }

# healthy COMMAND...: until the health check succeeds, at most 60 s, and only while the service runs.
running=
healthy() {
  for _ in $(seq 60); do
    if "$@"; then return 0; fi
    if [ -n "$running" ] && ! kill -0 "$running" 2>/dev/null; then return 1; fi
    sleep 1
  done
  return 1
}

with_docker() {
  docker build "${build_args[@]}" --tag "$image" .
  say "built $image"
  docker run --rm "$image" --help
  local id
  id=$(docker run --detach --volume "$settings:/etc/ghost-fleet/config.toml:ro" "$image")
  trap 'docker rm --force --volumes "$id" >/dev/null' EXIT
  healthy docker exec "$id" ghost-fleet health
  say "the health check succeeds"
  docker stop "$id" >/dev/null
  test "$(docker inspect --format '{{.State.ExitCode}}' "$id")" = 0
  docker run --rm --volumes-from "$id" "$image" db status
}

with_buildah() {
  buildah inspect --type image "$base" >/dev/null 2>&1 || make_base
  # The build has this machine's network and has to trust what this machine trusts.
  local authorities=/etc/ssl/certs/ca-certificates.crt
  buildah bud --isolation chroot --pull-never --format docker "${build_args[@]}" \
    --volume "$authorities:/run/authorities.crt:ro" --build-arg=PIP_CERT=/run/authorities.crt --tag "$image" .
  say "built $image"
  container=$(buildah from --pull-never "$image")
  trap 'stop_inside; buildah rm "$container" >/dev/null' EXIT
  mapfile -t entrypoint < <(buildah inspect --type image --format '{{range .Docker.Config.Entrypoint}}{{println .}}{{end}}' "$image" | sed '/^$/d')
  mapfile -t health < <(buildah inspect --type image --format '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' "$image" | sed '1d;/^$/d')
  inside "${entrypoint[@]}" --help
  chown 10001:10001 "$work" "$work/run"
  # shellcheck disable=SC2016 # expanded inside
  inside sh -c 'echo $$ >/run/try/pid; exec "$@"' sh "${entrypoint[@]}" >"$work/output" 2>&1 &
  running=$!
  if ! healthy inside "${health[@]}"; then
    cat "$work/output"
    return 1
  fi
  say "the health check succeeds: ${health[*]}"
  stop_inside
  wait "$running"
  inside ghost-fleet db status
}

# The init process of the service under test is what a stop speaks to.
stop_inside() {
  if [ -e "$work/run/pid" ]; then
    kill -TERM "$(cat "$work/run/pid")" 2>/dev/null || true
    rm "$work/run/pid"
  fi
}

# inside COMMAND...: in the image, as its user, with its environment and volume, the settings read-only.
inside() {
  buildah run --isolation chroot --env "GHOST_FLEET__ADMIN__PORT=$port" --env TINI_SUBREAPER=1 \
    --volume "$settings:/etc/ghost-fleet/config.toml:ro" --volume "$work/run:/run/try" "$container" -- "$@"
}

make_base() {
  local root=$work/root scratch
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv bookworm "$root"
  ln -s /usr/bin/python3 "$root/usr/local/bin/python"
  scratch=$(buildah from scratch)
  buildah add --quiet "$scratch" "$root" / >/dev/null
  buildah config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin "$scratch"
  buildah commit --quiet --rm "$scratch" "$base" >/dev/null
  rm -rf "$root"
  say "made the base image $base"
}

if docker info >/dev/null 2>&1; then
  with_docker
elif command -v buildah >/dev/null && command -v debootstrap >/dev/null && [ "$(id -u)" = 0 ]; then
  with_buildah
else
  echo "scripts/image.sh: no Docker engine answers; as root, 'apt-get install buildah debootstrap' does without one" >&2
  exit 1
fi
rm -rf "$work"
say "$image is built and tried"
