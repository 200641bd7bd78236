# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx presents to clients, until it is the certificate that is installed."""

from __future__ import annotations

import os
import time

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import require_cryptography
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import NginxProcess
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import listening_sockets
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake

IN_A_ROW = 3  # looks that have to agree, since workers that are going away may still answer
LAST_WORDS = 2000  # characters of the error log that are worth a person's time
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}

# The one definition of the options of nginx_reload. Described for people in plugins/modules/nginx_reload.yml.
OPTIONS = {
    "request": REQUEST_SPEC,
    "directory": {"type": "path", "default": "/etc/evergreen"},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "started": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 30},
}


def decide(module):
    require_cryptography()
    wanted = module.params["request"]
    current = os.path.join(module.params["directory"], wanted["name"], "current")
    installed = installed_certificate(os.path.join(current, "fullchain.pem"))
    if installed is None and module.check_mode:
        return {"changed": False, "msg": f"{wanted['name']} is not installed yet"}
    if installed is None:
        raise TlsError(f"no certificate of {wanted['name']} is installed; install it first, with certificate_install")

    addresses, differences = differing(module, wanted, installed)
    result = {"changed": False, "fingerprint": fingerprint(installed), "addresses": addresses}
    if not differences:
        return {**result, "msg": f"nginx presents the installed certificate of {wanted['name']}"}
    reason = ". ".join(difference.sentence for difference in differences)
    result.update(
        changed=True,
        reason=reason,
        diff={"before": f"{reason}\n", "after": f"presented: {describe_certificate(installed)}\n"},
    )
    if module.check_mode:
        return {**result, "msg": f"nginx would be reloaded: {reason}"}

    master = NginxProcess(module)
    fresh = master.is_newer_than_loaded(current)
    try:
        load(module, master, wanted, installed)
    except TlsError as error:
        raise TlsError(str(error), fresh=fresh) from error
    return {
        **result,
        "addresses": differing(module, wanted, installed)[0],
        "msg": f"nginx presents the certificate of {wanted['name']} now",
    }


# not a parser: it only passes on foreign input
def load(module, master, wanted, installed):
    """Have nginx load its configuration, until it presents the installed certificate; raise TlsError where it never does."""
    refused = master.test_error()
    if refused:
        raise TlsError(
            f"nginx refuses its configuration, and goes on with what it has loaded: {refused}; repair that, then run this again"
        )
    end = master.error_log_size()
    if master.master_pid() is None:
        master.check_startable(wanted["port"])
    if master.master_pid() or not module.params["started"]:
        master.reload()
    else:
        master.start()
    remaining, refused = wait(module, master, wanted, installed, end)
    if refused:
        raise TlsError(
            f"nginx did not load its configuration, and goes on with what it has loaded: {refused}; "
            "remove the cause, then run this again"
        )
    if not remaining:
        return
    sentences = [explain(master, wanted, difference) for difference in remaining]
    errors = [line for line in master.error_log_since(end).splitlines() if "[notice]" not in line]
    if errors:
        sentences.append(f"The error log says: {' '.join(errors)[-LAST_WORDS:]}")
    raise TlsError(f"nginx was reloaded and does not present {describe_certificate(installed)}. {'. '.join(sentences)}")


def installed_certificate(path):
    """Return the certificate that is in use, or None where there is none."""
    pem = read_file(path)
    try:
        return parse_chain(pem)[0] if pem is not None else None
    except TlsError as error:
        raise TlsError(
            f"{path} holds no certificate that can be read; have it issued again, with certificate_force: true"
        ) from error


class Difference:
    """A domain that is not served as it should be, and what was seen in its place."""

    def __init__(self, domain, sentence, seen):
        self.domain, self.sentence, self.seen = domain, sentence, seen


def differing(module, wanted, installed):
    """Return the addresses that were looked at, and where another certificate than the installed one is presented."""
    listening = sorted({listener.address for listener in listening_sockets() if listener.port == wanted["port"]})
    addresses = (
        module.params["addresses"] or [EVERYWHERE.get(address, address) for address in listening] or ["127.0.0.1"]
    )
    differences = []
    for address in addresses:
        for domain in wanted["domains"]:
            try:
                chain, _protocol = handshake(address, wanted["port"], domain)
            except TlsError as error:
                differences.append(Difference(domain, str(error), error.details.get("failure")))
                continue
            if fingerprint(chain[0]) != fingerprint(installed):
                where = f"{probe_name(domain)} at {address} port {wanted['port']}"
                sentence = f"{where} presents another certificate: {describe_certificate(chain[0])}"
                differences.append(Difference(domain, sentence, "another"))
    return addresses, differences


def wait(module, master, wanted, installed, end):
    """Look until the installed certificate is presented everywhere, a few times in a row, or nginx has given up.

    Return what remains to differ, and what nginx has given up for.
    """
    deadline = time.monotonic() + master.reload_timeout(module.params["timeout"])
    agreed, delay = 0, 0.02
    while True:
        _addresses, differences = differing(module, wanted, installed)
        agreed = 0 if differences else agreed + 1
        if agreed == IN_A_ROW:
            return [], None
        is_over = time.monotonic() > deadline
        refused = master.reload_error(end, is_over) if differences else None
        if refused or (differences and is_over):
            return differences, refused
        time.sleep(delay)
        delay = min(delay * 1.5, 0.5) if differences else 0.01


def explain(master, wanted, difference):
    """Say what stands between the installed certificate and the client."""
    blocks = master.server_blocks_for(difference.domain, wanted["port"])
    if difference.seen == "nothing" and not blocks:
        return (
            f"{difference.sentence}: no server block of nginx has that name there; if its site has waited for this first certificate, "
            "run evergreen.tls.deploy"
        )
    if difference.seen == "nothing" or (not blocks and difference.seen != "another"):
        return difference.sentence
    if not blocks:
        return f"{difference.sentence}: no server block of nginx has that name on that port; add a site for it to nginx_sites"
    first = blocks[0]
    if first.certificate and f"/{wanted['name']}/current/" not in first.certificate:
        return (
            f"{difference.sentence}: the server block at {first.place} answers to that name, with the certificate "
            f"{first.certificate}; remove it, or let it refer to the installed one"
        )
    return f"{difference.sentence}: the server block at {first.place} answers to that name; see whether another process has its port"
