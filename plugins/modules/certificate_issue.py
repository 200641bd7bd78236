#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_issue
short_description: Have a signing request signed by an issuer, on the controller
version_added: 0.1.0
description:
  - Passes a signing request that M(evergreen.tls.certificate_request) returned to its issuer, and returns the chain for
    M(evergreen.tls.certificate_install). Runs on the controller; nothing is sent to the host.
  - The host is not believed. The request must prove possession of its key, and its names and type of key must be those that
    the inventory says; nothing else in it is taken over.
  - The issuer is not believed either. Its answer must belong to the key, cover exactly the names, be valid now, be for servers,
    and lead to the issuer's roots; it is put in order, and duplicates, strangers and the root are dropped. A wrong answer
    changes nothing.
  - What an issuer answered is kept on the controller for 30 days. A signing request that comes again, from a run that goes on where
    another was killed or from two controllers at once, gets the answer that is there, and nothing is issued twice.
  - Where somebody has to act first, there is no chain yet. RV(waiting) says so, and that is no failure.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request
  - evergreen.tls.request.issuers
attributes:
  check_mode:
    support: full
    details:
      - Says who would issue; asks no issuer, and so returns no RV(chain).
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each signing request is answered once. Run it only where M(evergreen.tls.certificate_request) returned one.
options:
  make_ca:
    description:
      - When a private CA (C(type=local_ca)) that is missing is made. V(first) where no endpoint of the inventory serves a certificate of one with its name.
      - With V(always), a new CA takes the place of one that is lost; clients have to trust its root.
      - Without V(always), a private CA replaces no certificate where an endpoint of the request serves one of another private CA with its name.
    type: str
    choices: [never, first, always]
    default: first
  csr:
    description: The signing request in PEM. Needed but for check mode.
    type: str
  in_use:
    description:
      - The SHA-256 fingerprint of the certificate that is in use, as M(evergreen.tls.certificate_request) returned it.
      - It is never returned again, though the signing request may be equal to that for it, where the key is kept.
    type: str
  valid:
    description:
      - For which names and from when to when that certificate is valid, as M(evergreen.tls.certificate_request) returned it.
      - With less than a sixth of the lifetime left, messages become more urgent; with less than a fortieth, waiting is a failure.
    type: dict
  reason:
    description: Why a certificate is due, for people who have to act.
    type: str
  since:
    description: Since when the signing request waits on its host, in ISO 8601.
    type: str
seealso:
  - module: evergreen.tls.certificate_request
  - module: evergreen.tls.certificate_install
"""

EXAMPLES = r"""
- name: Have it issued by the corporate CA
  evergreen.tls.certificate_issue:
    request:
      name: www.example.org
      domains: [www.example.org, example.org]
      issuer: corporate
    issuers:
      corporate:
        type: local_ca
        directory: ~/pki
        lifetime: 47d
    csr: "{{ requested.csr }}"
  register: issued
"""

RETURN = r"""
chain:
  description: The chain in PEM, leaf first, without the root.
  returned: when it was issued
  type: str
  sample: "-----BEGIN CERTIFICATE-----\\n..."
roots:
  description: The roots that clients of the issuer trust, in PEM.
  returned: when it was issued
  type: str
  sample: "-----BEGIN CERTIFICATE-----\\n..."
certificate:
  description: The certificate, as people read it.
  returned: when it was issued
  type: dict
  sample:
    names: [example.org, www.example.org]
    not_after: "2027-01-07T10:00:00+00:00"
waiting:
  description:
    - What somebody has to act on (C(for)), since when (C(since)), until when the certificate in use goes on (C(until)) and for which
      names (C(names)), and how urgent it is (C(urgency), V(plain), V(soon), V(hurry) or V(late)).
  returned: when the issuer waits for somebody
  type: dict
  sample:
    for: hand /srv/bought/outbox/www_web1.csr in to bought, and put what comes back into /srv/bought/inbox
    since: "2026-11-21T10:00:00+00:00"
    until: "2026-12-18T00:00:00+00:00"
    urgency: plain
    names: [www.example.org]
msg:
  description: What was done, in a sentence.
  returned: success
  type: str
  sample: corporate issued the certificate of www.example.org
"""
