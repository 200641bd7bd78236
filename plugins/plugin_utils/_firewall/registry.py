# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewalls that the option `backend` names.

A new backend is one file, with a class that extends Firewall, and one line in BACKENDS. Everything else loops over
BACKENDS. The documentation of the option names it too: `choices` in plugins/modules/firewall_port.py and in
roles/firewall/meta/argument_specs.yml; tests compare both with BACKENDS.
"""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.firewalld import Firewalld
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.iptables import Iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nftables import Nftables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.ufw import Ufw

# By name, in the order in which detect_firewall() looks for them.
BACKENDS: dict[str, type[Firewall]] = {
    backend.name: backend
    for backend in (
        Firewalld,
        Ufw,
        Nftables,
        Iptables,
    )
}
