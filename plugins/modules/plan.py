#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Say when all certificates of a fleet can be issued, and which limits of the CA they wait for
version_added: 0.1.0
description:
  - Reads the requests of all hosts of the play, and what the records of this controller have of them. From that it computes when each certificate
    that is missing, or becomes due within seven days, can be issued with the limits of its CA.
  - Expired certificates come first, then those that expire soon, then new ones. Renewals do not wait for new certificates.
  - Says what the load will be with the lifetimes that are to come, and whether the schedule renews inside the window of the renewal information,
    where no limit counts.
  - Nothing is ordered, asked over the network, or written but O(path). No host is logged in to. What other controllers and programs order is not
    known.
  - Runs once for the whole play, on the controller. Prints the plan, unless the callback of standard output is one whose output programs read
    (C(json), C(jsonl), C(null)). RV(table) has it in any case.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
attributes:
  check_mode:
    support: full
    details:
      - Computes as ever, and writes no file.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  mode:
    description:
      - V(plan) is the whole plan. V(summary) prints one line of it.
      - V(replacement) is for a revocation. All certificates of the requests are to be replaced now, and there is a warning where a limit keeps some
        of them from being replaced within a day.
    type: str
    choices: [plan, summary, replacement]
    default: plan
  requests:
    description: The names of the requests that are planned. By default, and with V(all), all of them.
    type: list
    elements: str
    default: []
  path:
    description: The file on the controller into which the plan is written, in JSON. One that cannot be written is a warning.
    type: path
  until:
    description:
      - When all certificates are to be issued, as a date such as V(2026-12-24), or a duration such as V(14d). Later ones are late.
      - A renewal after the expiry of its certificate is late in any case. Renewals that become due before this date are planned as well.
    type: str
  fail_when:
    description: Whether the task fails where a certificate is late.
    type: str
    choices: [late, never]
    default: never
  most:
    description: How many limits, quotas and requests that cannot be read are shown, each.
    type: int
    default: 20
  schedule_times:
    description:
      - When certificates are renewed, as for the role P(evergreen.tls.schedule#role). By default what is the default there.
      - Times of a day are understood, such as V(00/4:00), V(*:07), V(06:30) and V(hourly).
    type: list
    elements: str
  schedule_delay:
    description: The most seconds by which a run begins later than its time says.
    type: int
    default: 3600
seealso:
  - module: evergreen.tls.survey
  - module: evergreen.tls.diagnose
"""

EXAMPLES = r"""
- name: Find out when a new fleet has its certificates
  hosts: web
  gather_facts: false
  tasks:
    - name: Plan
      evergreen.tls.plan:
        until: 14d
        fail_when: late
      register: issue_plan

    - name: Show what waits
      ansible.builtin.debug:
        msg: "{{ issue_plan.certificates | selectattr('waits_for') | map(attribute='host') | unique }}"
      run_once: true
"""

RETURN = r"""
certificates:
  description: The certificates that are to be issued, in the order of their dates.
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
    domains:
      description: The domains of the request.
      type: list
      elements: str
    issuer:
      description: The name of the issuer.
      type: str
    kind:
      description: V(expired), V(renewal), V(new), or V(replacement) with O(mode=replacement).
      type: str
    at:
      description: When it can be issued, in UTC.
      type: str
    waits_for:
      description: What the limit is counted for that puts it off, if one does.
      type: str
    expires:
      description: When the present certificate expires, in UTC.
      type: str
    is_late:
      description: Whether it is issued after O(until), or after the expiry of the present certificate.
      type: bool
limits:
  description: The limits that put certificates off, with what lifts them.
  returned: always
  type: list
  elements: dict
  sample:
    - issuer: letsencrypt
      subject: names in example.org
      number: 200
      at_once: 50
      done: "2026-12-22T01:00:00+00:00"
      limit: acme-v02.api.letsencrypt.org issues 50 certificates a week for names in example.org
      remedy: Put several names into a certificate
quotas:
  description: How the free certificates that clouds make fit the quotas of their accounts.
  returned: always
  type: list
  elements: dict
loads:
  description:
    - What the certificates cost at several lifetimes.
    - C(busiest_day) is the number of first renewals on one day, where all certificates are issued on one day. C(busiest_day_spread) is the same with
      first renewals spread, as C(docs/renewal.md) describes it.
  returned: always
  type: list
  elements: dict
faults:
  description: Sentences about hosts and requests that cannot be read.
  returned: always
  type: list
  elements: str
table:
  description: The plan as people read it.
  returned: always
  type: str
msg:
  description: What is to be issued, and when all of it is, in a sentence.
  returned: always
  type: str
"""
