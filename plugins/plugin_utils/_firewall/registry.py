# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewalls that the option `backend` names."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.firewalld import Firewalld
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.iptables import Iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nftables import Nftables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.ufw import Ufw

# In the order in which they are asked for: the first two have their rules in those that follow.
BACKENDS: dict[str, t.Any] = {one.name: one for one in (Firewalld, Ufw, Nftables, Iptables)}
