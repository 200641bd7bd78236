#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_serve
short_description: Have every installed certificate of a host served, and prove it
version_added: 0.1.0
description:
  - Has nginx present each installed certificate, as M(evergreen.tls.nginx_reload) does, and sees it from outside as a client does, as
    M(evergreen.tls.handshake_verify) does.
  - The exports of a request are written before that, as M(evergreen.tls.certificate_export) does, for the new version, and again if it goes back.
    Where O(requests[].served_by=other), they take the place of nginx.
  - The programs of O(requests[].restart), O(requests[].reload) and O(requests[].run_after) are notified after nginx presents the version,
    and before the proof; again if it goes back. If that fails, the task fails, the version stays, and the next run notifies them again.
  - Where O(requests[].served_by=cloud) or O(requests[].served_by=appliance), M(evergreen.tls.certificate_deploy) takes that place. It is proved
    at every address of the domains, three times in a row within a minute. Then the settings of the service follow.
  - Where that fails, and the certificate was put in use after nginx had loaded the one before, the version before is put back, served
    again, and proved in the same way for the domains that it covers. The task fails with the reason, when all certificates have been looked at.
  - So it does where nginx presents the certificate already and something answers that clients cannot take for it, since a run may have been
    killed before its proof. If the version before cannot be proved either, the certificate is put in use again.
  - Runs on the controller. The host is not logged in to where clients see what O(obtained) says is installed.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request.requests
  - evergreen.tls.request.directory
  - evergreen.tls.request.issuers
attributes:
  check_mode:
    support: full
    details:
      - Says what is not served yet, and does not fail for it.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  refused:
    description: Requests of which nothing is served or verified, by name, as M(evergreen.tls.survey) returned it for the host.
    type: dict
    default: {}
  obtained:
    description:
      - What M(evergreen.tls.certificate_obtain) returned for the same requests, where that was run before.
      - A request that failed there is not served. Neither is one that is pending, where no certificate of it is in use.
      - Where a request is pending, the certificate in use is presented for the names that it covers. It is not verified, since it may
        not be what the request asks for.
      - The host is not logged in to where clients get the certificates whose fingerprints it contains.
      - If the verification fails for a certificate that nginx has loaded in that run, the previous version is put back.
    type: dict
    default: {}
  started:
    description: Whether nginx is started where it does not run. By default that is an error, since somebody may have stopped it.
    type: bool
    default: false
  timeout:
    description: For how many seconds a handshake that fails is tried again; for clouds and appliances six times as long.
    type: float
    default: 10
  sites:
    description:
      - The sites of nginx, as in C(nginx_sites). By them it is known for which certificates handshakes begin with a header of the PROXY
        protocol, and which versions of TLS are not to be accepted.
    type: list
    elements: dict
    default: []
  profile:
    description: The Mozilla profile of sites that name none, as in O(evergreen.tls.nginx_sites#module:profile).
    type: str
    choices: [modern, intermediate]
    default: intermediate
  verify_from:
    description: From where the proof by handshake is made; V(host) where the controller cannot reach the port.
    type: str
    choices: [controller, host]
    default: controller
seealso:
  - module: evergreen.tls.certificate_obtain
  - module: evergreen.tls.certificate_export
  - module: evergreen.tls.nginx_reload
  - module: evergreen.tls.handshake_verify
"""

EXAMPLES = r"""
- name: Have the certificates of the host valid
  evergreen.tls.certificate_obtain:
    requests: "{{ certificate_requests }}"
  register: obtained

- name: Have them served, and prove it
  evergreen.tls.certificate_serve:
    requests: "{{ certificate_requests }}"
    obtained: "{{ obtained }}"
"""

RETURN = r"""
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
      description: Whether nginx was reloaded for it, or the version before put back.
      type: bool
      returned: always
    failed:
      description: Whether clients could not be seen to get the installed certificate.
      type: bool
      returned: always
    msg:
      description: What was proved, or why it could not be proved, what was done about it and what to do.
      type: str
      returned: always
    reason:
      description: Why nginx was reloaded.
      type: str
      returned: when it was
    waiting:
      description:
        - What is waited for, where a service has not brought the certificate into effect yet, and since when, in C(for) and C(since).
          The certificate before goes on being served, and the next run looks again.
      type: dict
      returned: while a service needs longer than C(patience)
    put_back:
      description: The earlier version that is in use again.
      type: str
      returned: when the proof failed and there was one
    exported:
      description: Which exports were written, and what became of the programs that read them or the certificate.
      type: str
      returned: when there was something to do
  sample:
    - name: www.example.org
      changed: true
      failed: false
      reason: www.example.org at 127.0.0.1 port 443 presents another certificate
      msg: www.example.org proved from the controller
sites:
  description:
    - The sites whose certificate was proved. With O(started), as in C(evergreen.tls.deploy), each is printed as one line, unless the callback of
      standard output is one whose output programs read.
  returned: when the requests make sense
  type: list
  elements: dict
  contains:
    name:
      description: The name of the site.
      type: str
    url:
      description: Where clients reach it.
      type: str
    not_after:
      description: The end of the certificate that clients get.
      type: str
    root:
      description: The file on the controller with the root that clients have to trust, where a private CA issued the certificate.
      type: str
  sample:
    - name: www.example.org
      url: https://www.example.org/
      not_after: "2027-02-28T08:55:29+00:00"
      root: /home/admin/.evergreen/ca/root.pem
msg:
  description: The sentences for all requests, or for those that failed.
  returned: always
  type: str
  sample: "www.example.org: www.example.org proved from the controller"
"""
