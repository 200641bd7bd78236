# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet: systemd containers on an internal network of their own, and the folder that remembers them.

What was planned is written down before it is made, and podman itself writes down the id of each container. So a run
that was interrupted can be completed by the next, and `down` removes what belongs to this fleet and nothing else.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import hashlib
import ipaddress
import itertools
import json
import os
import pathlib
import re
import shutil
import tempfile
import time
import typing as t

from fleet_distributions import ensure_image, image_name
from fleet_files import write_files
from fleet_podman import BUILD, FleetError, podman, run, try_podman

FLEETS = BUILD / "fleets"
CHECKOUT = hashlib.sha256(str(BUILD.parent).encode()).hexdigest()[:6]  # in the names of networks and containers
UNIFIED = pathlib.Path("/sys/fs/cgroup/unified")

# Each systemd holds several of the machine's 128 inotify instances; at about 25 containers further ones hang.
MOST_CONTAINERS = 18
AT_ONCE = 4
LAB_LABEL = "evergreen.lab"
START_TIMEOUT_S = 120.0

# Firewalls need the first; units that are locked up (ProtectSystem=, PrivateTmp=) are only locked up with the second.
CAPABILITIES = ("NET_ADMIN", "SYS_ADMIN")

# systemd 258 and later refuses the cgroup v1 that podman would give it on a machine with both versions.
NEEDS_UNIFIED = ("sid",)

ON_UNIFIED = [
    *("--systemd=false", "--env=container=podman"),
    *("--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp"),
    *("--cgroupns=host", f"--volume={UNIFIED}:/sys/fs/cgroup:rw"),
]

AUTHORIZE = """
set -e
umask 077
cat > /home/ops/.ssh/authorized_keys
chown ops:ops /home/ops/.ssh/authorized_keys
cat /etc/ssh/ssh_host_ed25519_key.pub
"""

T = t.TypeVar("T")
Host = dict[str, t.Any]
Record = dict[str, t.Any]


def folder_of(name: str) -> pathlib.Path:
    """Return the folder that remembers a fleet."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", name):
        raise FleetError(f"{name!r} is no name for a fleet; take small letters, digits, - and _, at most 31")
    return FLEETS / name


def all_names() -> list[str]:
    """Return the names of the fleets that this checkout remembers."""
    return sorted(path.parent.name for path in FLEETS.glob("*/fleet.json"))


def read_record(name: str) -> Record | None:
    """Return what is remembered of a fleet, or None."""
    try:
        return json.loads((folder_of(name) / "fleet.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise FleetError(f"{folder_of(name) / 'fleet.json'} cannot be read ({error}); remove that file") from error


def known_record(name: str) -> Record:
    """Return what is remembered of a fleet that has to be there."""
    record = read_record(name)
    if record is None:
        raise FleetError(f"there is no fleet {name}; run `dev/fleet up {name}` first")
    return record


def write_record(record: Record) -> None:
    """Remember a fleet."""
    path = folder_of(record["name"]) / "fleet.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    new.replace(path)


def container_of(record: Record, host_name: str) -> str:
    """Return the id of the container that is a host."""
    for host in record["hosts"]:
        if host["name"] == host_name:
            container = container_id(record, host)
            if container:
                return container
            raise FleetError(f"{host_name} has no container; run `dev/fleet up {record['name']}`")
    names = ", ".join(host["name"] for host in record["hosts"])
    raise FleetError(f"the fleet {record['name']} has no host {host_name}; it has {names}")


def container_id(record: Record, host: Host) -> str | None:
    """Return the id that podman wrote down when it made the container of a host, or None."""
    return id_of(record["name"], host["name"])


def id_of(fleet: str, part: str) -> str | None:
    """Return the id of a container that belongs to a fleet, or None."""
    try:
        return (folder_of(fleet) / f"{part}.id").read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def id_file_of(record: Record, host: Host) -> pathlib.Path:
    """Return the file that podman writes the id of a host's container into."""
    return folder_of(record["name"]) / f"{host['name']}.id"


def states() -> dict[str, str]:
    """Return the state of every container on this machine, by id."""
    return {container["Id"]: container["State"] for container in containers()}


def containers() -> list[dict[str, t.Any]]:
    """Return what podman knows of every container on this machine."""
    return json.loads(podman("ps", "--all", "--format", "json") or "[]")


@contextlib.contextmanager
def locked(path: pathlib.Path) -> t.Iterator[None]:
    """Hold the lock of fleets during this context."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@dataclasses.dataclass(frozen=True)
class Wish:
    """What somebody asks of a fleet; what they leave open is None."""

    name: str
    count: int | None = None
    images: list[str] | None = None
    prefix: str | None = None
    aliases: list[str] | None = None
    capabilities: list[str] | None = None


def up(wish: Wish) -> bool:
    """Bring a fleet up, or complete the one that is there; return whether anything had to be done."""
    folder = folder_of(wish.name)
    with locked(folder.with_suffix(".lock")):
        record = read_record(wish.name)
        if record is None:
            record = plan(wish)
        else:
            refuse_another_plan(record, wish)
        for suite in record["images"]:
            ensure_image(suite)
        with locked(FLEETS / "create.lock"):
            before = states()
            refuse_too_many(record)
            make_folders(record)
            create_network(record)
            for host in record["hosts"]:
                create_container(record, host, before)
        idle = [host for host in record["hosts"] if before.get(container_id(record, host) or "") != "running"]
        in_parallel(lambda host: podman("start", container_of(record, host["name"])), idle)
        refuse_foreign_routes(record)
        make_key(folder)
        keys = in_parallel(lambda host: wait_for_host(record, host), record["hosts"])
        write_files(folder, record, keys)
        in_parallel(lambda host: log_in(record, host), record["hosts"])
    return bool(idle)


def plan(wish: Wish) -> Record:
    """Return what a fleet is going to be. Addresses follow when its network is there."""
    count, images, prefix = wish.count or 5, wish.images or ["bookworm"], wish.prefix or "web"
    if not re.fullmatch(r"[a-z][a-z0-9]{0,15}", prefix):
        raise FleetError(f"{prefix!r} is no prefix for hosts; take small letters and digits, at most 16")
    domains = {f"{prefix}{number}": [f"{prefix}{number}.example.test"] for number in range(1, count + 1)}
    for alias in wish.aliases or []:
        one, equals, domain = alias.rpartition("=")
        if equals and one not in domains:
            raise FleetError(f"--alias {alias} names a host that this fleet has not; take {prefix}1 to {prefix}{count}")
        if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", domain):
            raise FleetError(f"--alias {alias} holds no domain; write it as web1=www.example.test or www.example.test")
        for host in [one] if equals else domains:
            domains[host].append(domain)
    return {
        "name": wish.name,
        "prefix": prefix,
        "network": f"evergreen-{CHECKOUT}-{wish.name}",
        "images": images,
        "capabilities": sorted({*CAPABILITIES, *(wish.capabilities or [])}),
        "aliases": wish.aliases or [],
        "hosts": [
            {"name": host, "container": f"{CHECKOUT}-{wish.name}-{host}", "image": image, "domains": names}
            for (host, names), image in zip(domains.items(), itertools.cycle(images))
        ],
    }


def refuse_another_plan(record: Record, wish: Wish) -> None:
    """Raise FleetError where a fleet of this name exists and is not what is asked for now."""
    requested = {key: value for key, value in dataclasses.asdict(wish).items() if value is not None}
    new_plan = plan(dataclasses.replace(wish, **{**given(record), **requested}))
    differences = [key for key in new_plan if key != "hosts" and new_plan[key] != record[key]]
    if len(new_plan["hosts"]) != len(record["hosts"]):
        differences.append("number of hosts")
    if differences:
        raise FleetError(
            f"there is a fleet {wish.name} already, with other {' and '.join(differences)}; "
            f"run `dev/fleet down {wish.name}` first, or take another name"
        )


def given(record: Record) -> dict[str, t.Any]:
    """Return the wish that an existing fleet was made from."""
    return {
        "count": len(record["hosts"]),
        **{key: record[key] for key in ("images", "prefix", "aliases", "capabilities")},
    }


def refuse_too_many(record: Record) -> None:
    """Raise FleetError where this fleet would be one too many for the machine."""
    own = {container_id(record, host) for host in record["hosts"]}
    # The programs of a lab run without systemd, and count for nothing here.
    others = [
        container
        for container in containers()
        if container["Id"] not in own and LAB_LABEL not in (container.get("Labels") or {})
    ]
    total = sum(container["State"] in ("running", "created", "paused") for container in others) + len(record["hosts"])
    if total > MOST_CONTAINERS:
        raise FleetError(
            f"with {len(record['hosts'])} hosts of {record['name']} this machine would have {total} containers, and "
            f"above {MOST_CONTAINERS} systemd finds no inotify instances; see `dev/fleet list` for what can go down"
        )


def make_folders(record: Record) -> None:
    """Make the folder that remembers a fleet, and a private one for the sockets of ssh.

    The path of a socket may have 107 bytes, so they cannot lie in a checkout that is somewhere deep. A restart of the
    machine empties /tmp, and somebody else could take the name.
    """
    sockets = pathlib.Path(record.get("sockets", "/nowhere"))
    if not sockets.is_dir() or sockets.stat().st_uid != os.geteuid():
        record["sockets"] = tempfile.mkdtemp(prefix="evergreen-", dir="/tmp")
    write_record(record)


def create_network(record: Record) -> None:
    """Make the network of a fleet, which has no way out, and give each host its address there."""
    owner = str(folder_of(record["name"]))
    status, printed, _ = try_podman("network", "inspect", record["network"])
    if status:
        podman("network", "create", "--internal", "--label", f"evergreen.fleet={owner}", record["network"])
        printed = podman("network", "inspect", record["network"])
    network = json.loads(printed)[0]
    made_by = (network.get("labels") or {}).get("evergreen.fleet")
    if made_by != owner:
        raise FleetError(
            f"the network {record['network']} belongs to {made_by or 'somebody else'}; take another name for this fleet"
        )
    record["interface"] = network["network_interface"]
    first = ipaddress.ip_network(network["subnets"][0]["subnet"]).network_address
    for number, host in enumerate(record["hosts"], 1):
        address = first + 10 + number
        host["address"] = str(address)
        # With a new MAC at every start, the neighbours would look for a restarted host at the old one for 45 s.
        host["mac"] = ":".join(f"{byte:02x}" for byte in (0x02, 0x42, *address.packed))
    write_record(record)


def create_container(record: Record, host: Host, before: dict[str, str]) -> None:
    """Make the container of a host unless it is there."""
    id_file = id_file_of(record, host)
    if container_id(record, host) in before:
        return
    id_file.unlink(missing_ok=True)
    aliases = ",".join(f"alias={domain}" for domain in host["domains"])
    podman(
        "create",
        "--cidfile", str(id_file),
        "--name", host["container"],
        "--hostname", host["domains"][0],
        "--network", f"{record['network']}:ip={host['address']},mac={host['mac']},{aliases}",
        "--cap-add", ",".join(record["capabilities"]),
        "--label", f"evergreen.fleet={folder_of(record['name'])}",
        *systemd_options(host["image"]),
        image_name(host["image"]),
    )  # fmt: skip


def systemd_options(suite: str) -> list[str]:
    """Return what podman has to be told so that systemd can be the first process of a suite's container."""
    return ON_UNIFIED if suite in NEEDS_UNIFIED and UNIFIED.is_dir() else ["--systemd=always"]


def refuse_foreign_routes(record: Record) -> None:
    """Raise FleetError unless the way to every host ends on this machine."""
    for host in record["hosts"]:
        _, route, complaint = run("ip", "route", "get", host["address"])
        if f" dev {record['interface']} " not in route:
            raise FleetError(
                f"packets for {host['name']} would not stay on this machine ({(route or complaint).splitlines()[0]}); "
                f"run `dev/fleet down {record['name']}` and look at the network {record['network']}"
            )


def make_key(folder: pathlib.Path) -> None:
    """Make the key that opens the hosts of a fleet."""
    if not (folder / "id_ed25519").exists():
        status, _, complaint = run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id_ed25519"))
        if status:
            raise FleetError(f"ssh-keygen made no key: {complaint}; put that right and run this again")


def wait_for_host(record: Record, host: Host) -> str:
    """Wait until a host has started, let our key in, and return the key that it shows to ssh."""
    container = container_of(record, host["name"])
    deadline = time.monotonic() + START_TIMEOUT_S
    look = f"look at `dev/fleet exec {record['name']} {host['name']} --"
    while True:
        _, state, complaint = try_podman("exec", container, "systemctl", "is-system-running", "--wait", timeout=60)
        if state == "degraded":
            print(f"{host['container']} started, but not all of it; {look} systemctl --failed`")
        if state in ("running", "degraded"):
            break
        if podman("inspect", "--format", "{{.State.Running}}", container) != "true":
            raise FleetError(f"{host['container']} stopped by itself; look at `podman logs {host['container']}`")
        if time.monotonic() > deadline:
            raise FleetError(
                f"{host['container']} has not started within {START_TIMEOUT_S:.0f} s ({state or complaint}); "
                f"{look} systemctl list-jobs`"
            )
        time.sleep(0.2)
    public_key = (folder_of(record["name"]) / "id_ed25519.pub").read_text(encoding="utf-8")
    return podman("exec", "--interactive", container, "sh", "-c", AUTHORIZE, stdin=public_key)


def log_in(record: Record, host: Host) -> None:
    """Raise FleetError unless ssh logs in and finds the known host key."""
    config = str(folder_of(record["name"]) / "ssh_config")
    status, _, complaint = run("ssh", "-F", config, "-o", "ConnectTimeout=10", host["name"], "sudo -n true", timeout=30)
    if status:
        raise FleetError(
            f"{host['name']} does not let us in: {complaint or status}; look at "
            f"`dev/fleet exec {record['name']} {host['name']} -- journalctl -u ssh`"
        )


def in_parallel(function: t.Callable[[Host], T], hosts: list[Host]) -> list[T]:
    """Do the same for all hosts, a few at a time."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(function, hosts))


def down(name: str) -> bool:
    """Remove a fleet with all that belongs to it; return whether there was one."""
    folder = folder_of(name)
    with locked(folder.with_suffix(".lock")):
        record = read_record(name)
        if record is None:
            return False
        for socket in pathlib.Path(record["sockets"]).glob("*"):
            run("ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "fleet")
        # Those of its lab, too.
        containers = [one for path in folder.glob("*.id") if (one := id_of(name, path.stem))]
        if containers:
            podman("rm", "--force", "--time", "0", "--ignore", *containers)
        status, printed, _ = try_podman("network", "inspect", "--format", "{{json .Labels}}", record["network"])
        if status == 0 and (json.loads(printed) or {}).get("evergreen.fleet") == str(folder):
            podman("network", "rm", record["network"])
        shutil.rmtree(record["sockets"], ignore_errors=True)
        shutil.rmtree(folder)
    return True
