# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names for which no public CA issues a certificate (CA/Browser Forum, Baseline Requirements, sections 4.2.2 and 7.1.2.7)."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import internal_domain
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.public_suffixes import (
    TEST_DOMAINS,
    list_remedy,
    suffix_error,
)

MAX_LABELS = 10  # Boulder (policy/pa.go)
ONION = "onion"  # RFC 7686


class NameProblem(t.NamedTuple):
    """Why CAs refuse a name, and what to do."""

    code: str
    fact: str
    remedy: str


# not a parser: names of the inventory are in their normal form
def public_name_problem(name: str) -> NameProblem | None:
    """Return why no public CA issues for a name in its normal form; None where one may.

    >>> public_name_problem("db.internal").code, public_name_problem("*.co.uk").code, public_name_problem("www.example.org")
    ('internal', 'suffix', None)
    """
    if "_" in name:
        fact = f"{name} has an underscore, and public CAs issue for letters, digits and hyphens alone"
        return NameProblem("underscore", fact, "rename it")
    if is_ip_address(name):
        return None
    if "." not in name:
        fact = f"{name} is the name of a machine in a network of your own, and public CAs issue for full names alone"
        return NameProblem("internal", fact, f"write {name}.example.org")
    domain = internal_domain(name)
    if domain:
        fact = f"{name} is in {domain}, a domain for which no public CA issues"
        return NameProblem("internal", fact, "write a name in a domain of yours that the internet knows")
    suffix = suffix_error(name)
    if suffix:
        remedy = f"correct it, {list_remedy()} where it is newer than the list"
        return NameProblem("suffix", f"{suffix}, and no public CA issues for that", remedy)
    reserved = next((label for label in name.split(".") if label[2:4] == "--" and not label.startswith("xn--")), None)
    if reserved:
        fact = f"{name} has the part {reserved}, and public CAs refuse two hyphens in the third and fourth place but in xn--"
        return NameProblem("hyphens", fact, "rename it")
    return None


# not a parser: names of the inventory are in their normal form
def acme_name_problem(name: str) -> NameProblem | None:
    """Return why CAs that issue by ACME refuse a name in its normal form that others may accept; None where they do not.

    >>> acme_name_problem("a." * 9 + "example.org").code, acme_name_problem("example.onion").code, acme_name_problem("example.org")
    ('labels', 'onion', None)
    """
    if is_ip_address(name):
        return None
    labels = name.removeprefix("*.").split(".")
    if len(labels) > MAX_LABELS:
        fact = f"{name} has {len(labels)} parts between its dots, and Let's Encrypt accepts {MAX_LABELS}"
        return NameProblem("labels", fact, "shorten it")
    if labels[-1] == ONION:
        fact = f"{name} is a name of the Tor network, for which Let's Encrypt does not issue"
        return NameProblem("onion", fact, "order for a name in DNS")
    return None


# not a parser: names of the inventory are in their normal form
def reserved_domain_problem(name: str) -> NameProblem | None:
    """Return why CAs of the internet refuse a name that test servers accept; None for other names.

    >>> reserved_domain_problem("www.example.test").fact, reserved_domain_problem("test.example.org")
    ('www.example.test ends in test, which is for tests and documentation alone', None)
    """
    top_level = name.rsplit(".", 1)[-1]
    if top_level not in TEST_DOMAINS:
        return None
    fact = f"{name} ends in {top_level}, which is for tests and documentation alone"
    return NameProblem("suffix", fact, "write a name in a domain of yours that the internet knows")
