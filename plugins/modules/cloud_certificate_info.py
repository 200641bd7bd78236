#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_certificate_info
short_description: List the certificates of a cloud account
version_added: "0.1.0"
description:
  - Lists the certificates that lie in the certificate service of an account. Says of each until when it is valid, whether this collection
    put it there, and which services present it.
  - With an account of type C(tencent) or C(alibaba), these are the certificates of the account. With one of type C(aws), those in AWS
    Certificate Manager, in the region of the account and in us-east-1, where CloudFront takes them from.
  - Reads only, and asks for nothing that has a private key.
  - Runs on the controller. The host is not logged in to.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.cloud
options:
  bindings:
    description: Whether to look up what presents each certificate. That takes some seconds for each hundred, and with C(aws) a call for each.
    type: bool
    default: true
  expires_within:
    description: Lists only certificates that are issued and expire within so many days.
    type: int
seealso:
  - module: evergreen.tls.survey
    description: What endpoints really present.
"""

EXAMPLES = r"""
- name: List what expires within a month
  evergreen.tls.cloud_certificate_info:
    account: main
    expires_within: 30
  register: expiring

- name: Show what presents it
  ansible.builtin.debug:
    msg: "{{ item.domains | join(', ') }} until {{ item.not_after }}: {{ item.bound_to }}"
  loop: "{{ expiring.certificates }}"
"""

RETURN = r"""
certificates:
  description: The certificates, the one that ends first first.
  returned: success
  type: list
  elements: dict
  contains:
    certificate:
      description: The identifier.
      type: str
      sample: zN1Jyv5V
    alias:
      description: Its name in the account.
      type: str
      sample: evergreen/static/5f0c9a1be2d37748
    domains:
      description: The names that it is for.
      type: list
      elements: str
      sample: [static.example.org]
    origin:
      description:
        - Where it comes from, V(upload), V(free), V(bought) or V(private).
        - With C(aws), V(free) is issued by Amazon, and V(private) by a private CA in AWS.
      type: str
      sample: upload
    status:
      description: V(pending), V(issued), V(failed), V(expired), V(cancelled), V(revoked) or V(unknown).
      type: str
      sample: issued
    not_before:
      description: From when it is valid.
      type: str
      sample: "2026-11-30T00:00:00+00:00"
    not_after:
      description: Until when it is valid.
      type: str
      sample: "2027-02-28T00:00:00+00:00"
    days_left:
      description: How many days are left.
      type: int
      sample: 89
    ours:
      description: Whether this collection uploaded or ordered it.
      type: bool
      sample: true
    bound_to:
      description:
        - What presents it, by service and region. Null where that is not known.
        - With C(aws) and C(alibaba), C(names) has the names of the resources.
      type: list
      elements: dict
      sample: [{service: cdn, region: "", resources: 1}]
msg:
  description: How many there are.
  returned: always
  type: str
  sample: account main has 2 certificates
"""
