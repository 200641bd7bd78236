#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: check_variables
short_description: Check the variables of a role of this collection
version_added: 0.1.0
description:
  - Compares the variables of a host with the argument specification of a role, as Ansible does. Says in one sentence what is wrong, and
    which option was probably meant.
  - Fails for a variable of the inventory that is probably a misspelling of one of this collection, such as C(nginx_site) for
    C(nginx_sites). It has one of the prefixes of this collection, as many words and the same digits as a known variable, and is at least
    85 per cent like that. Other variables with these prefixes are the user's own.
  - Fails for facts that would take the place of variables of the inventory.
  - Runs on the controller. The roles do so before anything else, by the role C(evergreen.tls.check_variables).
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  role:
    description: The name of the role.
    type: str
    required: true
    choices: [certificate, firewall, nginx, schedule]
  refuse_misspellings:
    description:
      - Whether a variable that is probably a misspelling is a failure. The playbook C(evergreen.tls.renew) only warns of it, so that no
        certificate expires for it.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Check the variables of the role nginx
  evergreen.tls.check_variables:
    role: nginx
"""

RETURN = r"""
msg:
  description: That the variables are in order, or what is wrong with the first that is not.
  returned: always
  type: str
  sample: there is no variable nginx_site (did you mean nginx_sites?); correct its name in the inventory, or rename one of your own
"""
