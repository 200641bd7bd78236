# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab: CAs and name servers in containers of their own on the network of a fleet, and the folder that remembers them.

names     Knot, with authority over the domains of the fleet and with keys for dynamic updates
resolver  Unbound, which the CAs ask
pebble    Pebble, as Let's Encrypt has it for tests
caddy     Caddy's ACME server
faults    a proxy before Pebble that fails as it is told
plain     Unbound that validates no signatures and sees another address for one name, for the diagnosis
wrong     wrong name servers and wrong HTTP hosts, for the diagnosis (lab_diagnosis.py)

A part whose configuration has changed is made again, and with it what it kept in memory is gone: the accounts and the
root of Pebble, the updates of a zone. `dev/fleet down` removes the lab with its fleet.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import ipaddress
import json
import os
import pathlib
import socket
import ssl
import time
import typing as t
import urllib.error
import urllib.request

import lab_diagnosis
import lab_files
from fleet_distributions import LAB, ensure_image, image_name
from fleet_hosts import CHECKOUT, FLEETS, LAB_LABEL, Record, folder_of, id_of, known_record, locked, states
from fleet_podman import BUILD, FleetError, as_root, podman, run, try_podman

PARTS = ("names", "resolver", "pebble", "caddy", "faults", "plain", "wrong")
DIAGNOSIS = ("plain", "wrong")
NEEDED = ("names", "resolver")
FIRST_ADDRESS = 201
START_TIMEOUT_S = 60.0
SIGNED_AGAIN_S = 3600.0  # some signatures shall end in 20 hours
CODE = pathlib.Path(__file__).parent

COMMANDS = {
    "names": ["knotd", "--config", f"{lab_files.HOME}/knot.conf"],
    "resolver": ["unbound", "-d", "-p", "-c", f"{lab_files.HOME}/unbound.conf"],
    "pebble": ["pebble", "-config", f"{lab_files.HOME}/pebble.json", "-dnsserver", "{resolver}:53"],
    "caddy": ["caddy", "run", "--config", f"{lab_files.HOME}/Caddyfile", "--adapter", "caddyfile"],
    "faults": ["python3", f"{lab_files.HOME}/faults.py", "https://{pebble}:14000/dir"],
    "plain": ["unbound", "-d", "-p", "-c", f"{lab_files.HOME}/plain.conf"],
    "wrong": ["python3", f"{lab_files.HOME}/lab_misbehaving.py"],
}
# Of the parts that need nothing but Python; all others are in the image of the lab.
IMAGES = {"faults": "bookworm", "wrong": "bookworm"}
ROOT_OF_CADDY = "/data/caddy/pki/authorities/local/root.crt"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What somebody asks of a lab."""

    fleet: str
    parts: tuple[str, ...] = (*NEEDED, "pebble", "caddy")
    profiles: tuple[str, ...] = (f"default={90 * lab_files.DAY}",)
    eab: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    reject_nonces: int = 5
    reuse_authorizations: int = 0
    retry_after: int = 1
    alternate_roots: int = 0


def lab_of(name: str) -> pathlib.Path:
    """Return the folder of a fleet's lab."""
    return folder_of(name) / "lab"


def file_of(name: str) -> pathlib.Path:
    """Return the file that says where the parts of a lab are."""
    return folder_of(name) / "lab.json"


def up(wish: Wish) -> list[str]:
    """Bring a lab up, or what is missing or different of it; return the parts that were made."""
    for image in sorted({IMAGES.get(part, LAB) for part in wish.parts}):
        ensure_image(image)
    with locked(folder_of(wish.fleet).with_suffix(".lock")):
        record = known_record(wish.fleet)
        addresses = addresses_of(record)
        folder = lab_of(wish.fleet)
        folder.mkdir(exist_ok=True)
        write_files(wish, record, addresses, folder)
        with locked(FLEETS / "create.lock"):
            before = states()
            made = [part for part in wish.parts if not is_up_to_date(wish, part, addresses, before)]
            for part in made:
                create(wish, record, part, addresses)
        for part in made:
            podman("start", id_of(wish.fleet, f"lab-{part}") or "")
        refuse_foreign_routes(record, [addresses[part] for part in wish.parts])
        if "wrong" in wish.parts:
            reach_ipv6(record, addresses["names"])
        description = describe(wish, record, addresses, folder)
        file_of(wish.fleet).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return made


def addresses_of(record: Record) -> dict[str, str]:
    """Return the addresses of the parts, far above those of the hosts."""
    first = int(ipaddress.ip_address(record["hosts"][0]["address"])) & ~0xFF
    return {part: str(ipaddress.ip_address(first + FIRST_ADDRESS + number)) for number, part in enumerate(PARTS)}


def write_files(wish: Wish, record: Record, addresses: dict[str, str], folder: pathlib.Path) -> None:
    """Write what the programs read. Secrets and keys are made once."""
    known = {**addresses, **{host["name"]: host["address"] for host in record["hosts"]}}
    zones = lab_files.zones_of(record["hosts"], [text.format(**known) for text in wish.records])
    files = lab_files.name_server_files(addresses, zones, secrets_of(folder))
    if "wrong" in wish.parts:
        files.update(lab_diagnosis.files(addresses["names"], record["hosts"][0]["address"], zones, files["knot.conf"]))
    files["pebble.json"] = lab_files.pebble_file(wish)
    files["Caddyfile"] = lab_files.CADDYFILE.format(address=addresses["caddy"])
    files["faults.py"] = pathlib.Path(__file__).with_name("lab_faults.py").read_text(encoding="utf-8")
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    for part, name in (("pebble", "pebble"), ("faults", "faults"), ("wrong", "misbehaving")):
        if part in ("pebble", *wish.parts) and not (folder / f"{name}.pem").exists():
            make_certificate(folder, name, addresses[part])
    if "wrong" in wish.parts:
        sign_zones(folder, files["unsigned.json"])


def sign_zones(folder: pathlib.Path, unsigned: str) -> None:
    """Sign the zones of the diagnosis, unless they are and their signatures hold for as long as they should."""
    done = folder / "signed.json"
    if (
        done.exists()
        and done.read_text(encoding="utf-8") == unsigned
        and time.time() - done.stat().st_mtime < SIGNED_AGAIN_S
    ):
        return
    status, _, complaint = run(str(BUILD / "venv/bin/python"), str(CODE / "lab_signing.py"), str(folder))
    if status:
        raise FleetError(f"the zones were not signed: {complaint}; run `make setup`, and this again")
    done.write_text(unsigned, encoding="utf-8")


def secrets_of(folder: pathlib.Path) -> dict[str, str]:
    """Return the secrets of the keys for dynamic updates."""
    path = folder / "secrets.json"
    if not path.exists():
        secrets = {name: base64.b64encode(os.urandom(32)).decode() for name in lab_files.KEYS}
        path.touch(mode=0o600)
        path.write_text(json.dumps(secrets), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def make_certificate(folder: pathlib.Path, part: str, address: str) -> None:
    """Make the certificate that a part itself shows, and the root by which both are trusted if that is not there yet."""
    (folder / "openssl.cnf").write_text(lab_files.OPENSSL.format(address=address), encoding="utf-8")
    words = ["openssl", "req", "-x509", "-config", str(folder / "openssl.cnf"), "-days", "90", "-nodes"]
    words += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    ca = [*words, "-subj", "/CN=Lab", "-extensions", "ca", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem"]
    leaf = [*words, "-subj", f"/CN={part}", "-extensions", "server", "-CA", f"{folder}/ca.pem"]
    leaf += ["-CAkey", f"{folder}/ca.key", "-keyout", f"{folder}/{part}.key", "-out", f"{folder}/{part}.pem"]
    for argv in (leaf,) if (folder / "ca.pem").exists() else (ca, leaf):
        status, _, complaint = run(*argv)
        if status:
            raise FleetError(f"openssl made no certificate: {complaint}; put that right and run this again")


def words_for(wish: Wish, part: str, addresses: dict[str, str]) -> list[str]:
    """Return what a container is made with, and what it runs."""
    environment = lab_files.pebble_environment(wish) if part == "pebble" else {"XDG_DATA_HOME": "/data"}
    return [
        "--dns", addresses["resolver"],
        "--stop-signal", "KILL",  # as first processes, these ignore SIGTERM
        "--volume", f"{lab_of(wish.fleet)}:{lab_files.HOME}:ro",
        *(f"--env={name}={value}" for name, value in environment.items()),
        *(("--tmpfs=/run/knot", "--tmpfs=/var/lib/knot") if part == "names" else ()),
        *(("--cap-add=NET_ADMIN", "--sysctl=net.ipv6.conf.default.disable_ipv6=0") if part == "wrong" else ()),
        image_name(IMAGES.get(part, LAB)),
        *(word.format(**addresses) for word in COMMANDS[part]),
    ]  # fmt: skip


READ = {
    "names": ("knot.conf", "*.zone"),
    "resolver": ("unbound.conf", "root.*"),
    "pebble": ("pebble.*",),
    "caddy": ("Caddyfile",),
    "faults": ("faults.*",),
    "plain": ("plain.conf", "root.hints"),
    "wrong": ("lab_*.py", "misbehaving.*"),
}


def fingerprint_of(wish: Wish, part: str, addresses: dict[str, str]) -> str:
    """Return the hash of all that a part depends on."""
    folder = lab_of(wish.fleet)
    paths = sorted(path for pattern in READ[part] for path in folder.glob(pattern))
    read = [[path.name, path.read_text(encoding="utf-8")] for path in paths]
    return hashlib.sha256(json.dumps([words_for(wish, part, addresses), read]).encode()).hexdigest()[:16]


def is_up_to_date(wish: Wish, part: str, addresses: dict[str, str], before: dict[str, str]) -> bool:
    """Return whether a part runs with the requested settings."""
    container = id_of(wish.fleet, f"lab-{part}")
    if before.get(container or "") != "running":
        return False
    label = podman("inspect", "--format", '{{index .Config.Labels "evergreen.recipe"}}', container or "")
    return label == fingerprint_of(wish, part, addresses)


def create(wish: Wish, record: Record, part: str, addresses: dict[str, str]) -> None:
    """Make the container of a part, in the place of the one that is there."""
    old = id_of(wish.fleet, f"lab-{part}")
    if old:
        podman("rm", "--force", "--time", "0", "--ignore", old)
    id_file = folder_of(wish.fleet) / f"lab-{part}.id"
    id_file.unlink(missing_ok=True)
    address = ipaddress.ip_address(addresses[part])
    mac = ":".join(f"{byte:02x}" for byte in (0x02, 0x42, *address.packed))
    podman(
        "create",
        "--cidfile", str(id_file),
        "--name", f"{CHECKOUT}-{wish.fleet}-lab-{part}",
        "--network", f"{record['network']}:ip={address},mac={mac}",
        "--label", f"evergreen.fleet={folder_of(wish.fleet)}",
        "--label", f"{LAB_LABEL}={part}",
        "--label", f"evergreen.recipe={fingerprint_of(wish, part, addresses)}",
        *words_for(wish, part, addresses),
    )  # fmt: skip


def refuse_foreign_routes(record: Record, addresses: list[str]) -> None:
    """Raise FleetError unless the way to every part ends on this machine."""
    for address in addresses:
        _, route, complaint = run("ip", "route", "get", address)
        if f" dev {record['interface']} " not in route:
            raise FleetError(
                f"packets for {address} would not stay on this machine ({(route or complaint).splitlines()[0]}); "
                f"run `dev/fleet down {record['name']}` and look at the network {record['network']}"
            )


def reach_ipv6(record: Record, names: str) -> None:
    """Give this machine an address in the IPv6 network of the diagnosis. It goes with the network of the fleet."""
    network = lab_diagnosis.ipv6_network(names)
    words = ("ip", "-6", "address", "replace", f"{network[1]}/64", "dev", record["interface"], "nodad")
    status, _, complaint = run(*as_root(words[0]), *words[1:])
    if status:
        raise FleetError(f"`{' '.join(words)}` failed: {complaint}; let this machine have IPv6 and run this again")


def describe(wish: Wish, record: Record, addresses: dict[str, str], folder: pathlib.Path) -> dict[str, t.Any]:
    """Return where the parts are and how to trust them, once they answer."""
    secrets = secrets_of(folder)
    description: dict[str, t.Any] = {
        "resolver": addresses["resolver"],
        "name_server": addresses["names"],
        "dynamic_zone": lab_files.DYNAMIC,
        "tsig": {name: {"name": name, "algorithm": lab_files.TSIG, "secret": secrets[name]} for name in lab_files.KEYS},
    }
    if "wrong" in wish.parts:
        description["diagnosis"] = lab_diagnosis.description(addresses["names"], record["hosts"][0]["address"])
        description["plain_resolver"] = addresses["plain"]
        description["thumbprint_file"] = str(folder / "thumbprint")
        # The one that listens last.
        patient(
            wish,
            "wrong",
            lambda: socket.create_connection((description["diagnosis"]["servers"]["trickle"], 53), 1.0).close(),
        )
    if "pebble" in wish.parts:
        url, management = f"https://{addresses['pebble']}:14000/dir", f"https://{addresses['pebble']}:15000"
        patient(wish, "pebble", lambda: fetch(url, folder / "ca.pem"))
        pages = [fetch(f"{management}/roots/{number}", folder / "ca.pem") for number in range(wish.alternate_roots + 1)]
        for number, page in enumerate(pages):
            (folder / f"root-of-pebble-{number}.pem").write_bytes(page)
        description["pebble"] = {
            "directory": url,
            "management": management,
            "ca": str(folder / "ca.pem"),
            "root": str(folder / "root-of-pebble-0.pem"),
            "roots": [str(folder / f"root-of-pebble-{number}.pem") for number in range(len(pages))],
            "issuer_domain": lab_files.ISSUER_DOMAIN,
        }
    if "faults" in wish.parts:
        url, control = f"https://{addresses['faults']}:14000/dir", f"https://{addresses['faults']}:15000"
        patient(wish, "faults", lambda: fetch(url, folder / "ca.pem"))
        description["faults"] = {**description["pebble"], "directory": url, "control": control}
    if "caddy" in wish.parts:
        url, root = f"https://{addresses['caddy']}/acme/local/directory", folder / "root-of-caddy.pem"

        def look() -> None:
            root.write_text(
                podman("exec", id_of(wish.fleet, "lab-caddy") or "", "cat", ROOT_OF_CADDY), encoding="utf-8"
            )
            fetch(url, root)

        patient(wish, "caddy", look)
        description["caddy"] = {"directory": url, "ca": str(root), "root": str(root)}
    return description


def fetch(url: str, ca: pathlib.Path) -> bytes:
    """Return what a server says, if it can be trusted."""
    with urllib.request.urlopen(url, timeout=10, context=ssl.create_default_context(cafile=str(ca))) as answer:
        return answer.read()


def patient(wish: Wish, part: str, look: t.Callable[[], t.Any]) -> None:
    """Look until a part answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    container = id_of(wish.fleet, f"lab-{part}") or ""
    while True:
        try:
            look()
            return
        except (OSError, urllib.error.URLError, FleetError) as error:
            reason = error
        _, state, _ = try_podman("inspect", "--format", "{{.State.Running}}", container)
        if state != "true" or time.monotonic() > deadline:
            raise FleetError(
                f"{part} does not answer ({reason}); look at `dev/lab logs {wish.fleet} {part}`, put that right and run this again"
            )
        time.sleep(0.2)
