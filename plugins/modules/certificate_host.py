#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_host
short_description: Have a cloud make a certificate and keep its key
version_added: "0.1.0"
description:
  - Orders a free certificate of Tencent Cloud for a request with C(hosted) in C(request.cloud), where one is due. The cloud makes the
    private key and keeps it. Nobody else has it.
  - Adds the DNS records, TXT or CNAME, with which the cloud validates the domain, by the solver of the issuer that the request names.
    Removes them once the certificate is issued.
  - An order that is under way is found by its name, and waited for. There is never a second one. One that failed is not repeated before
    somebody says so with O(force).
  - Counts the free certificates of the account and of the primary domain before an order. Looks whether CAA records allow its CA, and warns
    of words in the name for which CAs often refuse free certificates.
  - A refusal for which waiting helps is remembered in C(~/.evergreen/orders). Until then nothing is ordered, unless O(force) says so.
  - M(evergreen.tls.certificate_deploy) binds the certificate. M(evergreen.tls.certificate_obtain) and the playbooks do both.
  - Runs on the controller. The host is not logged in to.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request
  - evergreen.tls.cloud.accounts
options:
  issuers:
    description: The issuers, as in C(certificate_issuers). Of that of the request, which is of type C(acme), the solver is used.
    type: dict
    default: {}
  force:
    description: Whether to order a certificate though none is due, though the last order failed or was refused, or though CAA records forbid it.
    type: bool
    default: false
  state:
    description:
      - With V(issued), there is a certificate that does not expire soon, or it is waited for.
      - With V(revoked), the newest certificate, or O(certificate), is revoked. That is refused while a resource presents it. The module
        M(evergreen.tls.certificate_replace) and the playbook C(revoke) have another one issued, bound and proved first.
    type: str
    choices: [issued, revoked]
    default: issued
  certificate:
    description: The identifier of the certificate to revoke. The default is the newest one of the request.
    type: str
  reason:
    description: Why it is revoked, in words for the cloud.
    type: str
    default: ""
notes:
  - A free certificate is for one domain, or for a wildcard, and is valid for three months.
  - It fits the published description of the API, and was not run against the real service.
seealso:
  - module: evergreen.tls.cloud_certificate_info
    description: What lies in an account, and what it is bound to.
"""

EXAMPLES = r"""
- name: Have the cloud make the certificate of a CDN domain
  evergreen.tls.certificate_host:
    request:
      name: static
      domains: [static.example.org]
      issuer: letsencrypt
      served_by: cloud
      cloud: {account: main, hosted: true}
    issuers: "{{ certificate_issuers }}"
"""

RETURN = r"""
bound_to:
  description: The resources that present the certificate, which is therefore not revoked.
  returned: where a revocation is refused
  type: list
  elements: str
  sample: [static.example.org]
due:
  description: Whether a certificate was ordered, or is waited for.
  returned: success
  type: bool
  sample: true
hosted:
  description: The identifier of the certificate to present, or of the one that is revoked.
  returned: where there is one
  type: str
  sample: zN1Jyv5V
reason:
  description: Why a certificate was due.
  returned: where one was ordered
  type: str
  sample: there is no certificate yet
waiting:
  description: What is waited for, and since when.
  returned: while an order is not issued
  type: dict
  contains:
    for:
      description: What is waited for, as a sentence.
      type: str
    since:
      description: When the certificate was ordered.
      type: str
msg:
  description: What was done, in sentences.
  returned: always
  type: str
  sample: "had the cloud issue a certificate: there is no certificate yet"
"""
