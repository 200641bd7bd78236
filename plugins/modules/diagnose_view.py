#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose_view
short_description: Have a host look at the names of a diagnosis
version_added: 0.1.0
description:
  - Has the host of the task, which C(delegate_to) names, look at the names that M(evergreen.tls.diagnose) diagnoses with the same options.
    See M(evergreen.tls.network_view) for what it looks at.
  - A host that cannot be reached, or on which the look fails, is no failure. RV(failure) says why, and the diagnosis reports it.
  - Runs once for the whole play. Nothing is changed.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - Nothing is changed.
  idempotent:
    support: full
options:
  requests:
    description: As with M(evergreen.tls.diagnose).
    type: list
    elements: str
    default: []
  domains:
    description: As with M(evergreen.tls.diagnose).
    type: list
    elements: str
    default: []
  issuer:
    description: As with M(evergreen.tls.diagnose).
    type: str
  from:
    description: The hosts that may look. The host of the task has to be one of them, unless the list is empty.
    type: list
    elements: str
    default: []
  timeout:
    description: For how many seconds the host may look at all names. What has not ended then is left out.
    type: float
    default: 20
seealso:
  - module: evergreen.tls.diagnose
  - module: evergreen.tls.network_view
"""

EXAMPLES = r"""
- name: Find out whether a name looks alike from three places
  hosts: web3
  gather_facts: false
  tasks:
    - name: See it from two other hosts
      evergreen.tls.diagnose_view:
        requests: [www.example.org]
      delegate_to: "{{ item }}"
      loop: [web-hk, web-us]
      register: views

    - name: Compare, with what this controller sees
      evergreen.tls.diagnose:
        requests: [www.example.org]
        from: [web-hk, web-us]
        views: "{{ views.results }}"
"""

RETURN = r"""
host:
  description: The host that looked.
  returned: success
  type: str
failure:
  description: Why it did not look; empty if it did.
  returned: success
  type: str
names:
  description: What it sees of each name, as M(evergreen.tls.network_view) returns it.
  returned: success
  type: list
  elements: dict
"""
