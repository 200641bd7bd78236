# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images that the hosts of a fleet start from: Debian servers with nginx as Debian installs it.

They are built by mmdebstrap from the Debian source of this machine, or from deb.debian.org where the machine has none.
An image carries the hash of the recipe that made it, and is built again when the recipe has changed.

The image `lab` holds no server of a fleet but what a fleet needs around it: CAs that speak ACME, and name servers. The image
`clients` is that of bookworm with the ACME clients of Debian on it, which the benchmark is about, and `judge` that of trixie with testssl.sh
and Chromium. The image `appliance` has no Python.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

from fleet_podman import BUILD, FleetError, as_root, podman, try_podman

SUITES = ("bullseye", "bookworm", "trixie", "sid")
NGINX = {"bullseye": "nginx-light", "bookworm": "nginx-light"}  # since trixie this is just nginx
SSH_CLIENT = {"sid": "openssh-client"}  # the server of the others brings it

PACKAGES = (
    "systemd systemd-sysv dbus netbase iproute2 procps ca-certificates curl openssl strace "
    "openssh-server sudo python3 python3-cryptography python3-pytest "
    "nftables iptables ufw firewalld"
)

# Of the suite that has them in the versions that matter: Pebble with ARI and profiles came after bookworm and trixie.
LAB = "lab"
LAB_SUITE = "sid"
LAB_PACKAGES = "ca-certificates pebble caddy knot knot-dnsutils unbound"

# A server with what others have their certificates from CAs by.
CLIENTS = "clients"
CLIENTS_SUITE = "bookworm"
CLIENTS_PACKAGES = "certbot lego"

# A server with programs that judge sites: a scanner that rates them, and a browser. testssl.sh rates from 3.2 on, which came with trixie.
JUDGE = "judge"
JUDGE_SUITE = "trixie"
JUDGE_PACKAGES = "testssl.sh chromium libnss3-tools python3-dnspython python3-idna"

# A machine without Python that presents a certificate, and two SSH servers to reach it by.
APPLIANCE = "appliance"
APPLIANCE_SUITE = "bookworm"
APPLIANCE_PACKAGES = (
    "systemd systemd-sysv dbus netbase iproute2 procps openssl sudo openssh-server dropbear-bin nginx-light haproxy"
)

# Each of the first two would hold two of the 128 inotify instances that all containers of a machine share.
MASKED = (
    "systemd-ask-password-wall.path systemd-ask-password-console.path "
    "getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer"
)

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"

FIREWALLS_OFF = "systemctl disable firewalld.service nftables.service"
HAPROXY_OFF = "systemctl disable haproxy.service"  # until it has a certificate

SETUP = f"""
set -eu
systemctl mask {MASKED}
{FIREWALLS_OFF}
systemctl enable nginx.service ssh.service
useradd --create-home --shell /bin/bash ops
install -d -m 0700 -o ops -g ops /home/ops/.ssh
echo "ops ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
# Each host makes its own key when it first starts, as if it had been installed.
rm -f /etc/ssh/ssh_host_*
install -d /etc/systemd/system/ssh.service.d
cat > /etc/systemd/system/ssh.service.d/host-key.conf <<'END'
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -e {HOST_KEY} || ssh-keygen -q -t ed25519 -N "" -f {HOST_KEY}'
ExecStartPre=/usr/sbin/sshd -t
END
"""

IMPORT = ['CMD ["/lib/systemd/systemd"]', "STOPSIGNAL SIGRTMIN+3"]


def image_name(suite: str) -> str:
    """Return what podman calls the image of a suite, or of the lab."""
    return f"localhost/evergreen-{suite}"


def debian_source(folder: pathlib.Path = pathlib.Path("/etc/apt")) -> str:
    """Return the address that this machine gets its Debian packages from.

    Both forms are read: "URIs: http://…" and "deb http://… bookworm main".
    """
    for path in (folder / "sources.list.d/debian.sources", folder / "sources.list"):
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            continue
        for address in re.findall(r"^(?:URIs:|deb\s+(?:\[[^\]]*\]\s+)?)\s*(\S+)", text, re.MULTILINE):
            if re.search(r"/debian/?$", address):
                return address
    return "http://deb.debian.org/debian"


def recipe(suite: str) -> list[str]:
    """Return the words for mmdebstrap that make the file system of a suite, or of what is beside the suites."""
    more = f" {SSH_CLIENT[suite]}" if suite in SSH_CLIENT else ""
    if suite == CLIENTS:
        suite, more = CLIENTS_SUITE, f" {CLIENTS_PACKAGES}"
    if suite == JUDGE:
        suite, more = JUDGE_SUITE, f" {JUDGE_PACKAGES}"
    packages, hooks = (
        f"{PACKAGES} {NGINX.get(suite, 'nginx')}{more}",
        [f"--customize-hook=chroot \"$1\" sh -c '{quoted(SETUP)}'"],
    )
    if suite == LAB:
        suite, packages, hooks = LAB_SUITE, LAB_PACKAGES, []
    if suite == APPLIANCE:
        suite, packages = APPLIANCE_SUITE, APPLIANCE_PACKAGES
        hooks = [
            f"--customize-hook=chroot \"$1\" sh -c '{quoted(SETUP.replace(FIREWALLS_OFF, HAPROXY_OFF))}'",
            '--customize-hook=! test -e "$1/usr/bin/python3"',
        ]
    return [
        "--variant=minbase",
        f"--include={packages}",
        # A mirror that stands still for a while is as good as any for a test.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")),
        *hooks,
        suite,
        "-",
        f"deb {debian_source()} {suite} main",
    ]


def quoted(script: str) -> str:
    """Return a script as it is written between the single quotes of a shell."""
    return script.replace("'", "'\\''")


def ensure_image(suite: str) -> bool:
    """Build the image of a suite unless it is there already; return whether it had to be built."""
    words = recipe(suite)
    fingerprint = hashlib.sha256(json.dumps([words, IMPORT]).encode()).hexdigest()[:16]
    folder = BUILD / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{suite}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, printed, _ = try_podman("image", "inspect", image_name(suite))
        old = json.loads(printed)[0] if status == 0 else {}
        if (old.get("Labels") or {}).get("evergreen.recipe") == fingerprint:
            return False
        build(suite, words, fingerprint, folder)
        if old:
            try_podman("image", "rm", old["Id"])  # which is refused, rightly, while a host still uses it
    return True


def build(suite: str, words: list[str], fingerprint: str, folder: pathlib.Path) -> None:
    """Make the image of a suite, which takes about a minute."""
    start = time.monotonic()
    print(f"Building {image_name(suite)} from {debian_source()} …", flush=True)
    with tempfile.TemporaryDirectory(prefix=f"{suite}.", dir=folder) as temporary:
        archive = os.path.join(temporary, "root.tar")
        log = folder / f"{suite}.log"
        with open(archive, "wb") as stream, open(log, "w", encoding="utf-8") as complaints:
            argv = [*as_root("mmdebstrap"), *words]
            made = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=complaints, check=False)
        if made.returncode:
            raise FleetError(f"mmdebstrap could not build {suite}; read {log}, put that right and run this again")
        changes = [*IMPORT, f"LABEL evergreen.recipe={fingerprint}"]
        podman("import", "--quiet", *(f"--change={change}" for change in changes), archive, image_name(suite))
    print(f"Built {image_name(suite)} in {time.monotonic() - start:.0f} s.", flush=True)
