"""Which lines of the runbooks do not run here as they stand, and why? One that stands nowhere any more fails a test.

Everything else runs as an operator types it, through bash.
"""

OUTPUT = "shows what the real service printed"
NAMES = "a container that is there, a name that is free"
IN_ITS_PLACE = "the command, with what the container has mounted at the paths that it names"
ON_THE_SAME_DATA = "starts the real service with the settings and on the data of the other one"
WITHOUT_AN_ENGINE = {
    "docker ps | grep ghost-fleet": "lists the real process",
    "docker logs ghost-fleet --since 1h | grep -i error": OUTPUT,
    "docker logs ghost-fleet --since 10m | grep ERROR | sort | uniq -c | sort -rn": OUTPUT,
    "docker logs ghost-fleet --since 10m | grep ERROR | grep -o 'class=[a-z_]*' | sort | uniq -c | sort -rn": OUTPUT,
    'docker logs ghost-fleet | grep "circuit breaker" | tail -20': OUTPUT,
    "docker logs ghost-fleet --tail 100": OUTPUT,
    "docker logs -f ghost-fleet": OUTPUT + ", for a second",
    'journalctl -u ghost-fleet --since "1 hour ago" | grep -i error': OUTPUT,
    "docker exec ghost-fleet ghost-fleet wallets generate 10 --out /etc/ghost-fleet/new-wallets --profile degen": IN_ITS_PLACE,
    "docker exec --interactive --tty ghost-fleet ghost-fleet fund --from treasury --native 0.05ether --token DATA=100 \\\n"
    "--to-csv /etc/ghost-fleet/new-wallets/wallets.csv": IN_ITS_PLACE,
    "docker exec ghost-fleet ghost-fleet reload": IN_ITS_PLACE,
    "docker exec --interactive --tty ghost-fleet ghost-fleet rotate --count 2 --native 0.05ether --token DATA=100": IN_ITS_PLACE,
    "docker exec ghost-fleet ghost-fleet status": "the command runs; that the image has it: tests/deploy/test_image.py",
    "docker restart ghost-fleet": "SIGTERM, the image's STOPSIGNAL; at most ten seconds; the process again",
    "docker stop ghost-fleet": "SIGTERM; the process is gone within ten seconds",
    "docker kill ghost-fleet": "SIGKILL",
    "docker build -t ghost-fleet:new -f Dockerfile .": "the file is there; `make image` really builds it",
    "docker run --rm ghost-fleet:new --help": "the program that is the image's entry point",
    "docker run --rm --volumes-from ghost-fleet ghost-fleet:new db upgrade --plan": "the image's entry point, on the same data",
    "docker run -d --name ghost-fleet-new --restart unless-stopped --network host \\\n"
    "-e CREDENTIALS_DIRECTORY=/run/secrets --volumes-from ghost-fleet ghost-fleet:new": ON_THE_SAME_DATA,
    "docker run -d --name ghost-fleet --restart unless-stopped --network host \\\n"
    "-e CREDENTIALS_DIRECTORY=/run/secrets --volumes-from ghost-fleet-bad ghost-fleet:previous": ON_THE_SAME_DATA
    + "; it is release 0.1.0, built from history",
    "docker rename ghost-fleet ghost-fleet-previous": NAMES,
    "docker rename ghost-fleet-new ghost-fleet": NAMES,
    "docker rename ghost-fleet ghost-fleet-bad": NAMES,
    "docker rm ghost-fleet-previous": "a container that is stopped",
    "docker image prune -f": "nothing: it removes no image that has a tag",
    "docker tag \"$(docker inspect --format '{{.Image}}' ghost-fleet)\" ghost-fleet:previous": "the image that the container has",
    "systemctl status ghost-fleet": "whether the process runs; the unit itself: tests/deploy/test_unit_file.py",
    "systemctl stop ghost-fleet": "SIGTERM; the process is gone",
    "systemctl restart ghost-fleet": "SIGTERM, and the process again",
    "systemctl reload ghost-fleet": "SIGHUP, as the unit's ExecReload has it",
    "systemd-run --pipe --wait --collect --uid=ghost-fleet -p UMask=0077"
    " -p LoadCredentialEncrypted=keystore-password:/etc/ghost-fleet/keystore-password.cred"
    " /opt/ghost-fleet/bin/ghost-fleet --config /etc/ghost-fleet/config.toml validate --deep": "the program, with a folder of"
    " credentials that nobody else has; what systemd makes of the options: tests/deploy/test_unit_file.py",
    # As ordered:
    "docker rm ghost-fleet": "a container that is stopped",
    "docker run -d --name ghost-fleet-new \\\n"
    "-v /path/to/config.toml:/etc/ghost-fleet/config.toml:ro \\\n"
    "ghost-fleet:new": "starts the real service with these settings; that the image looks there: tests/deploy/test_image.py",
    "docker run -d --name ghost-fleet ghost-fleet:previous": "starts release 0.1.0",
}
"""docker, systemctl and systemd-run have nobody to talk to where this is tested: `engine.py` is called instead. What that does
and checks."""

NOT_RUN = {
    "fuser -v /path/to/ghostfleet.db": "Debian's psmisc, which is not everywhere; it names every process that has the file open",
    "journalctl --vacuum-size=200M": "would throw away lines of this machine's own journal",
    "git pull": "would change the checkout that is being tested, over a network",
    "cd services": "as ordered, the product was to lie in services/ghost-fleet of a larger repository",
    "docker build -t ghost-fleet:new -f ghost-fleet/Dockerfile .": "as before; the runbook builds `Dockerfile`",
}

WRITTEN_OTHERWISE = {
    "http://localhost:8080": "the service's own port",
    "https://carrot.megaeth.com/rpc": "the development chain",
    "carrot.megaeth.com": "an endpoint of the settings",
    "generate-wallets.sh 10 ./new-wallets degen": "three, and quickly encrypted: a second for each would be too much",
    "wallets generate 10": "as before",
    "rotate --count 2": "quickly encrypted, as before",
    "0xHASH": "a transaction of this fleet",
    "0xSAFE_ADDRESS": "an address",
    "gf_...": "the token that is made there",
    "--name ghost-fleet ghost-fleet:previous": "with the mounts that it cannot do without, and which RUNBOOK.md names",
    "/path/to/config.toml": "the settings of this fleet",
    "--config /etc/ghost-fleet/config.toml": "the settings of this fleet",
    "/etc/ghost-fleet/keystore-password.cred": "the password as it is: nothing here decrypts",
    "/opt/ghost-fleet/bin/ghost-fleet": "the program of this checkout",
}
"""Texts that stand for something of the operator's own, and for what here."""
