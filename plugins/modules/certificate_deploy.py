#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_deploy
short_description: Bring an installed certificate to the cloud or appliance that presents it
version_added: 0.1.0
description:
  - Takes the certificate that is in use in the store on the controller to the service that O(request.served_by) names, and has the
    resources of that service present it.
  - The service is looked at first. A resource that cannot be changed as it is, and a certificate that the service does not take, are
    refused before anything is uploaded. A certificate that lies there already is found by its content, and not uploaded again.
  - The private key is sent once, in the upload, over a connection whose certificate is checked. It is in no result, diff, log or argument,
    and it is never asked back.
  - Then it waits until the service says that the change is in effect. What takes longer than O(request.cloud.patience) is RV(waiting),
    which is no failure.
  - M(evergreen.tls.certificate_serve) runs this, proves with handshakes that clients get the certificate, and runs this again with
    O(proved=true), which sets the redirect and the other settings, and removes old uploads of the request.
  - Runs on the controller, in the process of C(ansible-playbook). The connection of the host has to be V(local), and the user of that
    process has to be able to read O(directory).
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request
  - evergreen.tls.request.directory
  - evergreen.tls.request.issuers
attributes:
  check_mode:
    support: full
    details:
      - Looks at the service, and says what would be uploaded, bound, set and removed.
  diff_mode:
    support: full
    details:
      - Shows what each resource is bound to, and its settings, before and after.
  idempotent:
    support: full
options:
  accounts:
    description:
      - The accounts with clouds by name, each a dictionary with a C(type) and the settings of that type, as in C(cloud_accounts).
      - C(docs/cloud.md) describes them. By default the variable C(cloud_accounts) of the host is used.
    type: dict
  proved:
    description:
      - Whether clients have been seen to get the certificate. Nothing is uploaded or bound then. The settings that O(request.cloud) names are
        compared and set, a new redirect is proved by a GET on port 80, and old uploads of the request that nothing uses are removed.
    type: bool
    default: false
seealso:
  - module: evergreen.tls.certificate_serve
  - module: evergreen.tls.handshake_verify
"""

EXAMPLES = r"""
- name: Bring the certificate to the content delivery network
  evergreen.tls.certificate_deploy:
    request:
      name: static.example.org
      domains: [static.example.org]
      served_by: cloud
      cloud: {account: main, redirect: true}
    directory: ~/.evergreen/certificates
"""

RETURN = r"""
certificate:
  description: The identifier that the service has given to the certificate; none where it would be uploaded.
  returned: unless O(proved)
  type: str
  sample: cVqJ3QyN
fingerprint:
  description: The SHA-256 fingerprint of the certificate.
  returned: unless O(proved)
  type: str
uploaded:
  description: Whether it was uploaded, or would be.
  returned: unless O(proved)
  type: bool
  sample: true
resources:
  description: What the resources of the service are bound to now.
  returned: unless O(proved)
  type: list
  elements: dict
  contains:
    resource:
      description: The resource, such as a domain.
      type: str
    certificate:
      description: The identifier of the certificate that it is bound to.
      type: str
    state:
      description: V(ready), V(busy) while a change is under way, or V(failed).
      type: str
    address:
      description: The name that the DNS has to lead to (CNAME), where the service has one.
      type: str
canonical_names:
  description: The names that the DNS has to lead to, by domain.
  returned: unless O(proved)
  type: dict
  sample: {static.example.org: static.example.org.cdn.dnsv1.com}
validity:
  description: The dates of a certificate that the cloud makes, in ISO 8601. The API gives neither the certificate nor its fingerprint without the key.
  returned: with O(request.cloud.hosted), unless O(proved)
  type: dict
  contains:
    not_before:
      description: Its first second.
      type: str
      sample: '2026-11-30T00:00:00+00:00'
    not_after:
      description: Its last second.
      type: str
      sample: '2027-02-28T23:59:59+00:00'
waiting:
  description: What is waited for, where the service has not brought the change into effect yet. What was served before goes on being served.
  returned: when it takes longer than O(request.cloud.patience)
  type: dict
  contains:
    for:
      description: A sentence.
      type: str
    since:
      description: The time, in ISO 8601.
      type: str
removed:
  description: The identifiers of the uploads that were removed, or would be.
  returned: with O(proved)
  type: list
  elements: str
msg:
  description: What was done, or would be, in a sentence.
  returned: always
  type: str
  sample: >-
    uploaded the certificate (SHA-256 3b0c44298fc1c149…) to the CDN of account main and bound it to static.example.org
"""
