#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_order
short_description: Order certificates as far as the files that hosts have to show
version_added: 0.1.0
description:
  - Walks each of O(requests) whose issuer has the solver C(webroot) through M(evergreen.tls.certificate_request), and if it is due, orders
    the certificate at the CA (RFC 8555) and returns which files have to be shown, and on which hosts. The others are passed over.
  - M(evergreen.tls.acme_challenge_files) writes these files, and M(evergreen.tls.certificate_obtain) goes on with the orders. The role
    C(evergreen.tls.certificate) does all three, and removes the files in the end.
  - An order that is under way is not placed again, however often this runs.
  - What fails here, such as a CA that refuses, does not fail the task. M(evergreen.tls.certificate_obtain) meets it again and tells it.
  - Runs on the controller, and logs in to the host for the signing requests.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request.requests
  - evergreen.tls.request.directory
  - evergreen.tls.request.issuers
  - evergreen.tls.request.force
attributes:
  check_mode:
    support: partial
    details:
      - Orders nothing in check mode, and asks no host.
  diff_mode:
    support: full
    details:
      - Shows why certificates are due.
  idempotent:
    support: full
seealso:
  - module: evergreen.tls.acme_challenge_files
  - module: evergreen.tls.certificate_obtain
"""

EXAMPLES = r"""
- name: Order what hosts have to show files for
  evergreen.tls.acme_order:
    requests: "{{ certificate_requests }}"
    issuers: "{{ certificate_issuers }}"
  register: ordered

- name: Show them
  evergreen.tls.acme_challenge_files:
    path: "{{ item.path }}"
    owner: "{{ item.owner | default(omit) }}"
    files: "{{ item.files }}"
  loop: "{{ ordered.places }}"
  loop_control:
    label: "{{ item.host }}"
  delegate_to: "{{ item.host }}"
"""

RETURN = r"""
places:
  description: The files that have to be shown, by host and folder.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: The name of a host in the inventory.
      type: str
      returned: always
    path:
      description: The folder that its nginx serves.
      type: str
      returned: always
    files:
      description: What files have to be below C(.well-known/acme-challenge/) there, each with its content.
      type: dict
      returned: always
    owner:
      description: The user to whom the folder may belong besides root.
      type: str
      returned: where C(owner) of the solver is set
  sample:
    - host: web1
      path: /var/www/html
      files:
        LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0: LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI
msg:
  description: What became of each request, in a sentence.
  returned: always
  type: str
  sample: "www.example.org: web1 has to show 2 files"
"""
