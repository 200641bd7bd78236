#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: survey
short_description: Look at what every server of a fleet serves, without logging in
version_added: 0.1.0
description:
  - Makes a handshake with every endpoint of all hosts of the play, hundreds at a time, and compares what is served with what
    C(certificate_requests) wants, by the rules that decide on a host whether a certificate is due.
  - An endpoint is a domain of a request at an address. The address is C(certificate_endpoint), an address or a list of them,
    with or without a port; by default C(ansible_host), and the port of the request.
  - No endpoint is waited for longer than O(timeout), and none keeps another waiting. Each that cannot be seen is one line with
    its reason.
  - Runs once for the whole play, on the controller. Prints a table with the worst first, unless the callback of standard output is one
    whose output programs read (C(json), C(jsonl), C(null)). RV(table) has it in any case.
  - What a handshake does not show stays unseen, such as a key that was deleted while nginx still serves it.
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
  query:
    description:
      - A JMESPath expression that chooses what is returned and written, such as V([?state != 'fine']).
      - It needs the Python library jmespath on the controller.
    type: str
  states:
    description: The states of the endpoints that are returned and written. O(query) chooses among these.
    type: list
    elements: str
    choices: [expired, unknown, due, fine]
    default: [expired, unknown, due, fine]
  path:
    description: The file on the controller into which the chosen endpoints are written, in JSON. One that cannot be written is a warning.
    type: path
  fail_when:
    description:
      - From which state of an endpoint on the survey fails, for monitoring.
      - V(due) includes V(expired).
    type: str
    choices: [due, expired, never]
    default: never
  inspect:
    description:
      - Whether every host with requests is due, so that its disk is looked at as well. So is one with C(certificate_force).
      - Such a host is one more of the RV(endpoints), without an address, and in none of the RV(counts).
    type: bool
    default: false
  most:
    description: How many endpoints the table shows. If there are more, those that are fine are left out.
    type: int
    default: 100
  at_once:
    description:
      - How many handshakes are made at a time; at the most half as many as the limit of open files allows.
      - An endpoint that does not answer costs O(timeout), and so do as many of them as are looked at at a time.
    type: int
    default: 500
  timeout:
    description: For how many seconds a handshake may take, with the resolution of the name and the connection. By default 5.
    type: float
  addresses:
    description:
      - Where to look. V(inventory) is C(certificate_endpoint), or else C(ansible_host), of each host.
      - V(dns) is every IP address of each domain in DNS as well, so that an old certificate at one of several addresses is seen.
        An address to which this controller has no route is left out where the domain has others.
    type: str
    choices: [inventory, dns]
    default: inventory
  authorities_only:
    description:
      - Whether only the endpoints of private CAs (C(type=local_ca)) are looked at, for RV(refused), and no table is printed.
    type: bool
    default: false
  waves:
    description:
      - The sizes of the waves in which C(evergreen.tls.renew) renews, as a list or as a text with commas. Each is a number of hosts, or a
        share of them such as V(10%). They are checked before anything is looked at, and returned as RV(waves).
    type: raw
    default: [1, 10%, 100%]
  maintain:
    description:
      - Whether the revocation lists of private CAs on this controller are renewed before they end.
    type: bool
    default: false
seealso:
  - module: evergreen.tls.handshake_verify
"""

EXAMPLES = r"""
- name: Look at what the fleet serves
  hosts: all
  gather_facts: false
  tasks:
    - name: Find what is due
      evergreen.tls.survey:
        query: "[?state != 'fine'].{host: host, name: name, reason: reason}"
        fail_when: expired
      register: found
"""

RETURN = r"""
endpoints:
  description: What was found, the worst first, as far as O(query) chooses it.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: The name of the host in the inventory.
      type: str
    request:
      description: The name of the request.
      type: str
    name:
      description: The domain.
      type: str
    address:
      description: The address that was connected to.
      type: str
    port:
      description: The port that was connected to.
      type: int
    state:
      description: V(fine), V(due), V(expired), or V(unknown) where there was no handshake or this controller has not the CA.
      type: str
    reason:
      description: Why it is not fine.
      type: str
    protocol:
      description: The version of TLS.
      type: str
    days_left:
      description: How many days the certificate is valid for; negative once it has expired.
      type: float
    renew_at:
      description: From when on the certificate is due, in UTC. V(null) where none was seen.
      type: str
      sample: "2027-01-29T15:12:44+00:00"
    certificate:
      description: The certificate that is served, as M(evergreen.tls.certificate_info) describes it.
      type: dict
    refused:
      description:
        - Whether nothing is done about it, since this controller has not the CA of the issuer, or the variables of the host cannot be read.
      type: bool
hosts:
  description:
    - The hosts of which something is not fine, in the order in which C(evergreen.tls.renew) takes them.
    - Those that answered come first. Among them a lot decides, another one every four hours, so that a host that is broken does not
      stand before the others for ever.
  returned: always
  type: list
  elements: str
  sample: [web7, web2]
misspelled:
  description:
    - For each host with a variable that is probably a misspelling of one of this collection, a sentence. M(evergreen.tls.check_variables) tells
      which variables these are.
    - C(evergreen.tls.deploy) fails for these hosts. Elsewhere they are warnings.
  returned: always
  type: dict
  sample: {}
mistakes:
  description:
    - With O(authorities_only), for each host with a mistake that is visible before a login, a sentence for each of the first ones. A mistake is an
      issuer that there is not, or a site whose certificate is named almost as a request.
    - C(evergreen.tls.deploy) fails for these hosts. Otherwise this is empty.
  returned: always
  type: dict
  sample: {}
waves:
  description: The sizes of the waves.
  returned: always
  type: list
  elements: raw
  sample: [1, 10%, 100%]
counts:
  description: How many endpoints are in each state.
  returned: always
  type: dict
  sample: {expired: 0, unknown: 1, due: 2, fine: 997}
table:
  description: The table, with lines that are not cut. Left out with O(authorities_only).
  returned: unless authorities_only
  type: str
fine_requests:
  description: How many requests of hosts are fine, each at all of its endpoints.
  returned: always
  type: int
  sample: 997
unused:
  description:
    - The certificates that C(evergreen.tls.deploy) of this controller put on hosts, and for which the inventory has no request any more. No
      host is asked. A host without C(certificate_requests) has none.
    - C(remove_after) is when they are removed at the earliest; it is empty until C(evergreen.tls.deploy) has run without the request.
  returned: always
  type: list
  elements: dict
  sample:
    - host: web1
      name: old.example.org
      remove_after: "2026-12-07T10:00:00+00:00"
left:
  description:
    - The hosts on which C(evergreen.tls.deploy) of this controller put certificates, and for which the inventory defines neither
      C(certificate_requests) nor C(nginx_sites). Nothing is renewed or removed there.
  returned: always
  type: list
  elements: str
  sample: [web3]
refused:
  description:
    - Why nothing can be done about requests, by host and name of the request. This controller has not the private CA, or another one than the
      one that signed what is served; see C(docs/survey.md).
  returned: always
  type: dict
  sample:
    web1:
      www: the issuer corporate has no CA in /home/deploy/pki on this controller, and 3 hosts serve certificates of one; run this where the CA is, or set root
started:
  description: When the survey began, in UTC.
  returned: always
  type: str
  sample: "2026-11-21T12:30:05+00:00"
msg:
  description: What was found, in a sentence.
  returned: always
  type: str
  sample: "1000 endpoints of 1000 hosts: 1 unknown, 2 due, 997 fine"
"""
