#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_obtain
short_description: Have every certificate of a host valid and installed
version_added: 0.1.0
description:
  - Walks each of O(requests) through M(evergreen.tls.certificate_request), M(evergreen.tls.certificate_issue) and
    M(evergreen.tls.certificate_install), as far as it is due. Where nothing is due, the host is asked once, and nothing changes.
  - The requests of a host walk side by side, up to 50 of them. The host is visited once to ask for all of them and once to install
    them, and orders at ACME CAs go on at the same time, with the issuer's C(at_once) divided among the hosts of the run. Whoever is
    done does not wait longer than half a minute for one that its CA keeps.
  - Where an issuer waits for somebody, the certificate in use goes on, and nothing fails until its end is near.
  - Requests that wait for people and are in O(requests) no longer are withdrawn.
  - One certificate that cannot be had keeps none of the others back. The task fails in the end, with a sentence for each.
  - Where O(firewall) or O(nginx) say so, ports are opened and sites are configured in the same trips. No certificate is asked for before
    that is done on which it depends, and nginx is configured for it in the trip by which it is installed.
  - What is installed is not served yet; that is what M(evergreen.tls.certificate_serve) is for.
  - Runs on the controller, and logs in to the host for the parts that are done there.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request.requests
  - evergreen.tls.request.directory
  - evergreen.tls.request.issuers
  - evergreen.tls.request.force
options:
  make_ca:
    description:
      - When a private CA (C(type=local_ca)) that is missing is made. V(first) where no endpoint of the inventory serves a certificate of one with its name.
      - With V(always), a new CA takes the place of one that is lost; clients have to trust its root.
    type: str
    choices: [never, first, always]
    default: first
  refused:
    description: Why nothing is done about requests, by name, as M(evergreen.tls.survey) returned it for the host. They fail with that sentence.
    type: dict
    default: {}
  firewall:
    description:
      - What M(evergreen.tls.firewall_port) is told, where that is wanted as well.
      - Where it fails, no certificate is asked for.
    type: dict
  nginx:
    description:
      - What M(evergreen.tls.nginx_sites) is told, where that is wanted as well.
      - It is done once all certificates are installed, and before them too where challenges have to be answered or the passphrases of
        keys to be looked for. Where that fails, no certificate is asked for.
    type: dict
  removal:
    description:
      - Lists the certificates of the host that the inventory no longer has, and removes what is to be removed, as
        M(evergreen.tls.certificate_remove) says. This is the last step, once O(nginx) is configured.
      - It is done only if O(requests) are those that the inventory has for the host, in C(certificate_requests). Where that is
        undefined, nothing is removed.
    type: dict
    suboptions:
      grace:
        description:
          - How long a certificate stays after the first run that did not have a request for it, such as V(7d) or V(12h).
          - V(0) removes it in the same run. With V(never), nothing is removed or listed.
        type: str
        default: 7d
      verify_from:
        description: Whether the controller, too, sees by handshakes that no client gets the certificate any more, or the host alone.
        type: str
        choices: [controller, host]
        default: controller
  honour_tags:
    description:
      - Whether C(--tags) and C(--skip-tags) select what this task does, as if it were a task with the tag C(firewall) for O(firewall), one
        with the tag C(nginx) for O(nginx), and one with the tag C(certificates) for O(requests).
      - Other tags of the task, but for C(always), are tags of all three. Give the task the tag C(always), so that Ansible itself does not
        leave it out.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows certificates as people read them, never keys.
  idempotent:
    support: full
seealso:
  - module: evergreen.tls.certificate_serve
"""

EXAMPLES = r"""
- name: Have the certificates of the host valid
  evergreen.tls.certificate_obtain:
    requests:
      - name: www.example.org
        domains: [www.example.org, example.org]
      - name: mail.example.org
        domains: [mail.example.org]
        type: RSA

- name: Have them valid, and remove what the inventory no longer has
  evergreen.tls.certificate_obtain:
    requests: "{{ certificate_requests }}"
    removal:
      grace: 2d

- name: Have them valid, and a site configured in the same trips
  evergreen.tls.certificate_obtain:
    requests:
      - name: www.example.org
        domains: [www.example.org]
    firewall:
      ports: [80, 443]
    nginx:
      sites:
        - name: www.example.org
          root: /srv/www
"""

RETURN = r"""
unused:
  description:
    - The certificates of the host for which the inventory has no request, as RV(evergreen.tls.certificate_remove#module:unused) has them
      after the run, with C(name), C(state), C(sentence) and C(remove_after).
  returned: when O(removal) is given and they were listed
  type: list
  elements: dict
  sample:
    - name: old.example.org
      state: waiting
      remove_after: "2026-12-07T10:00:00+00:00"
certificates:
  description: What became of each request.
  returned: when the requests make sense
  type: list
  elements: dict
  contains:
    name:
      description: The name of the request.
      type: str
      returned: always
    changed:
      description: Whether anything was changed for it.
      type: bool
      returned: always
    failed:
      description: Whether it could not be had.
      type: bool
      returned: always
    msg:
      description: What was done, or why it could not be had and what to do about it.
      type: str
      returned: always
    due:
      description: Whether the certificate was due.
      type: bool
      returned: when the host could be asked
    reason:
      description: Why it was due.
      type: str
      returned: when it was due
    certificate:
      description: The certificate that is installed now, as people read it.
      type: dict
      returned: when one was installed
    waiting:
      description:
        - What somebody has to act on (C(for)), since when (C(since)), until when the certificate in use goes on (C(until)) and for which
          names (C(names)), and how urgent it is (C(urgency), V(plain), V(soon), V(hurry) or V(late)).
        - Whoever waits has not failed, unless it is V(late).
      type: dict
      returned: when the issuer waits for somebody
    fingerprint:
      description: The SHA-256 fingerprint of the certificate that is in use.
      type: str
      returned: when there is one
  sample:
    - name: www.example.org
      changed: true
      failed: false
      due: true
      reason: it expires on 2026-12-04 10:00:00 UTC, and 32% of its lifetime is left
      msg: corporate issued the certificate of www.example.org, v0002 of www.example.org is in use
ready:
  description: Whether all that O(firewall) and O(nginx) ask for is done.
  returned: when one of them asks for something
  type: bool
  sample: true
firewall:
  description: What M(evergreen.tls.firewall_port) returned.
  returned: when O(firewall) asks for something
  type: dict
nginx:
  description: What M(evergreen.tls.nginx_sites) returned, the second time where it was done twice.
  returned: when O(nginx) asks for something, and the host was ready for it
  type: dict
msg:
  description: The sentences for all requests, or for those that failed, and before them those for the host.
  returned: always
  type: str
  sample: "www.example.org: it is not due"
"""
