#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose
short_description: Say why certificates cannot be issued, or are not in effect
version_added: 0.1.0
description:
  - Makes the checks that precede an order, for each domain of each request of all hosts of the play, whether its certificate is due or not.
    Each endpoint of a request is looked at as clients see it.
  - Nothing is ordered, registered, written or changed. No account is created at a CA, and no host is logged in to but those of C(diagnose_from).
  - Runs once for the whole play, on the controller. Prints what it found with the worst first, unless the callback of standard output is
    one whose output programs read (C(json), C(jsonl), C(null)). RV(screen) has it in any case.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
attributes:
  check_mode:
    support: full
    details:
      - Looks as ever, and writes no file.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  requests:
    description: The names of the requests that are diagnosed. By default all of them.
    type: list
    elements: str
    default: []
  domains:
    description:
      - The domains that are diagnosed. By default all domains of the requests.
      - A domain of no request is checked as well, as a request for it alone would be. This needs no host.
    type: list
    elements: str
    default: []
  issuer:
    description:
      - The issuer of domains that no request has, by its name in C(certificate_issuers).
      - By default the only one. Where C(certificate_issuers) has none, the checks are made that do not depend on the CA.
    type: str
  path:
    description: The file on the controller into which the chosen diagnoses are written, in JSON. One that cannot be written is a warning.
    type: path
  query:
    description:
      - A JMESPath expression that chooses what is returned and written, such as V([?verdict == 'refused']).
      - It needs the Python library jmespath on the controller.
    type: str
  fail_when:
    description:
      - From which verdict on the task fails, for monitoring.
      - V(refused) is for names of which an order would be refused, or that are not in effect everywhere. V(risk) includes it.
    type: str
    choices: [never, refused, risk]
    default: never
  most:
    description:
      - Up to so many names have a block of lines each. Of more names, those with the same findings share a block, and so many blocks are shown.
    type: int
    default: 10
  timeout:
    description: For how many seconds all checks may take together. What has not ended then is reported as unknown.
    type: float
    default: 45
  from:
    description:
      - Hosts of the inventory that looked as well, in O(views). What they see otherwise than this controller is reported as a risk, with the
        host in C(seen_from).
      - A host that did not look is reported as unknown, and does not end the task. A host that the inventory does not have does.
    type: list
    elements: str
    default: []
  views:
    description: What the hosts of O(from) see, as M(evergreen.tls.diagnose_view) returns it. The playbook C(diagnose) passes it on.
    type: list
    elements: dict
    default: []
  browser:
    description:
      - Whether Chromium loads the page of each name that is served, at each of its addresses, C(https://NAME/).
      - It shows content over HTTP, resources that fail, and what browsers think of the certificate. The lock alone does not.
      - It needs the program Chromium on the controller, and C(certutil) for the roots of private CAs. On Debian these are the packages
        C(chromium) and C(libnss3-tools). A page takes a second or so, one after the other, after O(timeout).
      - Only URLs of the names of the certificate are opened. As root, Chromium runs without its sandbox.
    type: bool
    default: false
  browser_path:
    description: The program of O(browser).
    type: path
    default: /usr/bin/chromium
  pictures:
    description: A folder on the controller for a picture of each page (PNG), with O(browser). In check mode none is written.
    type: path
  trust_stores:
    description:
      - Files with the roots of older clients in PEM, each by a name of your own.
      - The chain that is served is verified against each of them.
    type: dict
    default: {}
seealso:
  - module: evergreen.tls.diagnose_view
  - module: evergreen.tls.survey
"""

EXAMPLES = r"""
- name: Find out why certificates would not be issued
  hosts: all
  gather_facts: false
  tasks:
    - name: Diagnose one request of each host
      evergreen.tls.diagnose:
        requests: [www.example.org]
        fail_when: refused

- name: See the pages of a site as browsers do, and its chain as old clients do
  hosts: web3
  gather_facts: false
  tasks:
    - name: Diagnose one request
      evergreen.tls.diagnose:
        requests: [www.example.org]
        browser: true
        pictures: pictures
        trust_stores:
          windows7: /etc/ssl/windows7.pem
"""

RETURN = r"""
diagnoses:
  description: What was found, the worst first, as far as O(query) chooses it.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: The name of the host in the inventory; empty for a domain that no request has.
      type: str
    request:
      description: The name of the request.
      type: str
    domain:
      description: The domain; empty where the variables of the host, or the request, make no sense.
      type: str
    issuer:
      description: The name of the issuer in C(certificate_issuers).
      type: str
    challenge:
      description: The type of the ACME challenge; empty for other issuers.
      type: str
      sample: http-01
    verdict:
      description:
        - V(refused) where the CA would refuse an order, V(not_in_effect) where clients do not get the certificate everywhere,
          V(risk), V(unknown) or V(fine).
      type: str
    findings:
      description:
        - What was found, with the keys C(severity) (V(blocks), V(risk), V(unknown), V(note) or V(fine)), C(code), C(sentence), C(evidence),
          C(seen_from) and C(source).
      type: list
      elements: dict
counts:
  description: How many names have each verdict.
  returned: always
  type: dict
  sample: {refused: 0, not_in_effect: 1, risk: 2, unknown: 0, fine: 997}
screen:
  description: What is printed, with lines that are not cut.
  returned: always
  type: str
"""
