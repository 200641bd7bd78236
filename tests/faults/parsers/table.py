# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All parsers that read what others wrote."""

from __future__ import annotations

from ansible_collections.evergreen.tls.tests.faults.parsers.alibaba import ALIBABA_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.appliance import APPLIANCE_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.certificates import CERTIFICATES_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.firewall import FIREWALL_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.inventory import INVENTORY_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.issuance import ISSUANCE_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.network import NETWORK_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.nginx import NGINX_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.results import RESULTS_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.scan import SCAN_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.served import SERVED_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.system import SYSTEM_PARSERS
from ansible_collections.evergreen.tls.tests.faults.parsers.tencent import TENCENT_PARSERS

PARSERS = (
    *APPLIANCE_PARSERS,
    *CERTIFICATES_PARSERS,
    *ISSUANCE_PARSERS,
    *SYSTEM_PARSERS,
    *NGINX_PARSERS,
    *FIREWALL_PARSERS,
    *INVENTORY_PARSERS,
    *RESULTS_PARSERS,
    *TENCENT_PARSERS,
    *ALIBABA_PARSERS,
    *SERVED_PARSERS,
    *NETWORK_PARSERS,
    *SCAN_PARSERS,
)
