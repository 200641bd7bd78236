# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A hundred certificates from one CA that speaks ACME, by ourselves and by others.

The CA is Pebble, which validates each name for real, by HTTP to nginx on the host that has it. Others are certbot and lego on
the hosts, from Debian, and the ACME modules of community.crypto on the controller. Each way begins without an account; what
answers after it at each name is looked at by curl, which trusts the root of Pebble alone, and the orders are counted at the CA.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import typing as t

from bench_runs import BUILD, HERE, ROOT, BenchError, Fleet, Hosts, command, log_of, no_times, say, short
from fleet_podman import as_root, podman

PLAYBOOKS = ROOT / "tests/bench/acme"
FLEET = Fleet("bench-acme", PLAYBOOKS / "variables.yml")
LAB = BUILD / "fleets" / FLEET.name / "lab.json"
PEBBLE = BUILD / "fleets" / FLEET.name / "lab-pebble.id"
LABELS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")  # of the names of each host

FORCED = ["--extra-vars", "peer_force=true"]
# What each way runs, and what it needs for that.
WAYS: dict[str, dict[str, list[str]]] = {
    "evergreen.tls": {
        "issue": ["evergreen.tls.deploy"],
        "renew": ["evergreen.tls.renew", "--extra-vars", "certificate_force=true"],
        "nothing": ["evergreen.tls.renew"],
    },
    "certbot": {
        "issue": [str(PLAYBOOKS / "certbot.yml")],
        "renew": [str(PLAYBOOKS / "certbot_renew.yml"), *FORCED],
        "nothing": [str(PLAYBOOKS / "certbot_renew.yml")],
    },
    "lego": {
        "issue": [str(PLAYBOOKS / "lego.yml")],
        "renew": [str(PLAYBOOKS / "lego.yml"), "--extra-vars", "peer_renew=true", *FORCED],
        "nothing": [str(PLAYBOOKS / "lego.yml"), "--extra-vars", "peer_renew=true"],
    },
    "community.crypto": {
        "issue": [str(PLAYBOOKS / "crypto.yml")],
        "renew": [str(PLAYBOOKS / "crypto.yml"), *FORCED],
        "nothing": [str(PLAYBOOKS / "crypto.yml")],
    },
}

KEEP_BARE = "systemctl disable --quiet --now certbot.timer; cp -a /etc/nginx /root/nginx; cat > /root/pebble.pem"
MAKE_BARE = """
set -e
systemctl stop nginx
rm -rf /etc/evergreen /etc/letsencrypt /etc/lego /etc/nginx /var/www/html/.well-known
rm -f /etc/ssl/private/*.example.test.key /etc/ssl/certs/*.example.test.pem
cp -a /root/nginx /etc/nginx
systemctl start nginx
"""
VERSIONS = "dpkg-query --show --showformat '${Package} ${Version}\\n' certbot lego nginx python3 python3-cryptography"
SPENT, ISSUED = "POST /order-plz", "Issued certificate serial"  # in what Pebble says


def measured(count: int, rounds: int) -> dict[str, t.Any]:
    """Return what each way takes for its certificates, and what it asks of the CA; leave no host behind."""
    say("Certificates by ACME")
    aliases = [
        f"--alias=web{number}={label}.web{number}.example.test" for number in range(1, count + 1) for label in LABELS
    ]
    try:
        hosts = FLEET.up("--hosts", str(count), "--image", "clients", *aliases)
        renew_pebble()
        trust = json.loads(LAB.read_text(encoding="utf-8"))["pebble"]
        with open(trust["ca"], encoding="utf-8") as stream:
            pem = stream.read()
        FLEET.on_all(hosts, f"{KEEP_BARE} <<'END'\n{pem}END")
        versions: dict[str, str] = dict(
            line.split() for line in FLEET.execute(next(iter(hosts)), VERSIONS).splitlines()
        )
        return {
            "certificates": count * len(LABELS),
            "versions": versions,
            "ways": time_all_runs(hosts, rounds, trust["root"]),
        }
    finally:
        FLEET.down()


def conditions(results: dict[str, t.Any]) -> dict[str, str]:
    """Return what the figures hold for."""
    versions = results["versions"]
    debian = {name: versions[name] for name in ("nginx", "certbot", "lego")}
    return {
        **debian,
        "Pebble": "validates each name, refuses no nonce, and wants to be left alone for a second between two looks",
    }


def time_all_runs(hosts: Hosts, rounds: int, root: str) -> dict[str, dict[str, t.Any]]:
    """Time all runs, round by round, each round in another order."""
    times = {
        way: {run: {**no_times(), "tasks": 0, "orders": 0, "issued": 0} for run in runs} for way, runs in WAYS.items()
    }
    names = list(WAYS)
    for number in range(rounds):
        for way in names[number % len(names) :] + names[: number % len(names)]:
            say(f"Round {number + 1} of {rounds}: {way}")
            make_bare(hosts)
            renew_pebble()
            before: dict[str, str] = {}
            for run in WAYS[way]:
                before = timed(hosts, way, run, times[way][run], before, root)
    return times


def timed(
    hosts: Hosts, way: str, run: str, times: dict[str, t.Any], before: dict[str, str], root: str
) -> dict[str, str]:
    """Do a run and add what it took; return what is served after it, once that is what it was for."""
    log, at_first = f"acme {way} {run}", pebble()
    FLEET.timed(hosts, times, lambda: FLEET.play(log, WAYS[way][run]))
    printed = log_of(log).read_text(encoding="utf-8")
    orders, issued = (pebble()[what] - at_first[what] for what in (SPENT, ISSUED))
    recap = re.findall(r"^\S+ +: ok=(\d+) +changed=(\d+) .* skipped=(\d+) ", printed, re.MULTILINE)
    times["tasks"] = max(int(ok) + int(skipped) for ok, _changed, skipped in recap)
    times["orders"], times["issued"] = orders, issued
    served = served_certificates(hosts, root)
    same = [name for name in served if served[name] == before.get(name)]
    expected = 0 if run == "nothing" else len(served)
    look = f"see {short(log_of(log))} for why"
    if issued != expected:
        raise BenchError(f"{way} had {issued} certificates issued where {expected} were wanted ({run}); {look}")
    if len(same) != len(served) - expected:
        raise BenchError(
            f"{way} left {len(same)} of {len(served)} names with the certificate of before ({run}); {look}"
        )
    if run == "nothing" and {changed for _ok, changed, _skipped in recap} != {"0"}:
        raise BenchError(f"{way} changed something where nothing was due; {look}")
    return served


def served_certificates(hosts: Hosts, root: str) -> dict[str, str]:
    """Return the chain that each name serves. curl trusts the root of the CA alone."""
    served = {}
    for host, variables in hosts.items():
        for label in LABELS:
            name = f"{label}.{variables['fleet_domain']}"
            words = [
                "curl",
                "--silent",
                "--show-error",
                "--cacert",
                root,
                "--output",
                "/dev/null",
                "--write-out",
                "%{certs}",
            ]
            words += ["--resolve", f"{name}:443:{variables['ansible_host']}", f"https://{name}/"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode or "BEGIN CERTIFICATE" not in done.stdout:
                raise BenchError(f"{host} does not serve {name}: {done.stderr.strip()}; see the logs in {short(HERE)}")
            served[name] = done.stdout
    return served


def renew_pebble() -> None:
    """Start a new Pebble. The more it has issued, the longer it takes for an order, and the likelier it gets stuck."""
    with contextlib.suppress(FileNotFoundError):
        podman("rm", "--force", "--time", "0", "--ignore", PEBBLE.read_text(encoding="utf-8").strip())
    # Whoever is refused a nonce twice in a row gives up, but us; that is no matter of time.
    command("lab", "up", FLEET.name, "--cas", "pebble", "--reject-nonces", "0", "--retry-after", "1")


def make_bare(hosts: Hosts) -> None:
    """Bring nginx on all hosts back to how Debian installed it, and forget accounts and certificates."""
    FLEET.on_all(hosts, MAKE_BARE)
    for folder in ("acme", "crypto"):
        shutil.rmtree(HERE / folder, ignore_errors=True)


def pebble() -> dict[str, int]:
    """Return how many orders the CA has had, and how many certificates it has issued."""
    container = PEBBLE.read_text(encoding="utf-8").strip()
    done = subprocess.run([*as_root("podman"), "logs", container], capture_output=True, text=True, check=False)
    log_text = done.stdout + done.stderr
    return {what: log_text.count(what) for what in (SPENT, ISSUED)}
