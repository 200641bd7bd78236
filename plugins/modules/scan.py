#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scan
short_description: Write which certificates a host has as requests
version_added: 0.1.0
description:
  - Reads which certificates nginx, Apache, HAProxy and Tomcat of a host are configured with, and writes them as C(certificate_requests) with C(adopt).
  - The file is to be read before it is used. What C(adopt) would refuse is a comment that says why.
  - Nothing is changed on the host.
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
      - The file is there to be read.
  idempotent:
    support: full
options:
  directory:
    description: The folder of the certificates of this collection on the host. What leads into it is left out.
    type: path
    default: /etc/evergreen
  scan_directory:
    description: The folder on the controller for the file C(HOST.yml).
    type: path
    default: scan
seealso:
  - module: evergreen.tls.tls_inventory
"""

EXAMPLES = r"""
- name: Write which certificates a host has
  evergreen.tls.scan:
    scan_directory: /tmp/scan
"""

RETURN = r"""
path:
  description: The file on the controller.
  returned: success
  type: str
certificates:
  description: What the host has, as M(evergreen.tls.tls_inventory) returns it.
  returned: success
  type: list
  elements: dict
"""
