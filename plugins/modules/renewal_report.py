#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: renewal_report
short_description: Say what became of everything that was due, and keep a record of the run
version_added: 0.1.0
description:
  - The last look back of C(evergreen.tls.renew). Reads what M(evergreen.tls.survey) found (registered as C(renew_found) for any host of the play), and for
    each host of which something was not fine what the run left in its variables; prints a line for each outcome, the worst
    first, and a sentence that sums them up.
  - Reads C(certificate_obtained) and C(certificate_served), what the tasks of the role P(evergreen.tls.certificate#role) registered, with a
    result for each request in C(certificates); and C(renew_failed), the sentence with which a host failed as a whole. A host
    without any of them was not touched.
  - Runs once for the whole play, on the controller, and never fails because of what it reports. RV(failed_hosts) says which
    hosts to fail.
  - Writes a JSON file for each run, also for one in which nothing was due. It holds what is returned and when the run began and
    ended, who ran which playbook with which limit on which controller, and what the survey counted. Neither keys nor
    variables are in it.
  - Names of records sort by time. Several controllers may share a folder.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
attributes:
  check_mode:
    support: full
    details:
      - Says what would be renewed. Writes no record, and removes none.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Adds a record each time, which does not count as a change.
options:
  directory:
    description:
      - The folder on the controller into which the record is written, made where it is missing. If it is empty, there is no record.
      - A record that cannot be written is a warning.
    type: path
    default: ~/.evergreen/runs
  keep:
    description:
      - How long records are kept, as a number and a unit, such as V(400d) or V(52w). Older ones are removed; other files in the
        folder are left alone.
      - If it is empty, none is ever removed.
    type: str
    default: 400d
  most:
    description: How many outcomes of each state are printed. All are returned and recorded.
    type: int
    default: 100
seealso:
  - module: evergreen.tls.survey
"""

EXAMPLES = r"""
- name: Say what became of it
  hosts: all
  gather_facts: false
  tasks:
    - name: Report, and keep a record for a year
      evergreen.tls.renewal_report:
        directory: /var/lib/evergreen/runs
        keep: 52w
      register: renew_report
      run_once: true  # so that it is registered for all hosts

- name: Fail where something failed
  hosts: all
  gather_facts: false
  tasks:
    - name: Fail with what has to be done
      ansible.builtin.fail:
        msg: "{{ renew_report.failed_hosts[inventory_hostname] }}"
      when: inventory_hostname in renew_report.failed_hosts

- name: Read what was renewed in the last thirty days
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Find the records
      ansible.builtin.find:
        paths: /var/lib/evergreen/runs
        patterns: "*Z-*.json"
        age: -30d
      register: records

    - name: Read them
      ansible.builtin.slurp:
        src: "{{ item }}"
      loop: "{{ records.files | map(attribute='path') | sort }}"
      loop_control:
        label: "{{ item | basename }}"
      register: record

    - name: Show what was renewed
      ansible.builtin.debug:
        msg: "{{ run.finished }}: {{ run.outcomes | selectattr('state', 'eq', 'renewed') | map(attribute='host') | join(', ') }}"
      vars:
        run: "{{ item.content | b64decode | from_json }}"
      loop: "{{ record.results }}"
      loop_control:
        label: "{{ item.item | basename }}"
"""

RETURN = r"""
outcomes:
  description: What became of each request that was due or was changed, the worst first.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: The name of the host in the inventory.
      type: str
    request:
      description: The name of the request; empty where something is said of the host as a whole.
      type: str
    state:
      description:
        - V(failed), or V(untouched) where the run was stopped before it came to this host.
        - V(waiting) for a person, V(renewed), or V(repaired) where nothing was issued, but what is installed is served again
          or links and modes were set right.
        - In check mode, V(renewed) and V(repaired) are what would be.
      type: str
    reason:
      description: Why it was renewed, what was repaired, what somebody has to do, or what failed and what to do about it.
      type: str
    until:
      description:
        - Until when the certificate that is served is valid, in UTC, as far as it is known. That is the new one where it was
          renewed, and elsewhere the one that the survey saw.
      type: str
    since:
      description: Since when it waits, in UTC.
      type: str
    unproved:
      description: Whether what failed is the proof that clients see the certificate. A failed proof stops the run.
      type: bool
    put_back:
      description: The earlier version that is served again after a failed proof.
      type: str
  sample:
    - host: web7
      request: www.example.org
      state: failed
      reason: >-
        www.example.org at 192.0.2.7 port 443: another certificate is presented; see which server block answers. v0002 is served again
      until: "2026-12-04T10:00:00+00:00"
      since: null
      unproved: true
      put_back: v0002
counts:
  description:
    - How many requests of hosts are in each state. C(fine) are those with which nothing was wrong, from outside or on the host.
  returned: always
  type: dict
  sample: {renewed: 2, repaired: 0, waiting: 0, failed: 1, untouched: 3, fine: 994}
stopped_by:
  description: The hosts whose failed proof, or else failure, kept others from being touched.
  returned: always
  type: list
  elements: str
  sample: [web7]
failed_hosts:
  description: A sentence for each host on which something failed.
  returned: always
  type: dict
  sample:
    web7: >-
      www.example.org at 192.0.2.7 port 443: another certificate is presented; see which server block answers.
      v0002 is served again
table:
  description: The report as people read it, with a line for each outcome.
  returned: always
  type: str
record:
  description: The path of the record of this run.
  returned: when a record was written
  type: str
  sample: /var/lib/evergreen/runs/2026-11-21T12-30-41Z-5f0c9a1be2d37748.json
msg:
  description: What became of it all, in a sentence.
  returned: always
  type: str
  sample: >-
    2 renewed, 1 failed, 3 untouched, 994 fine; web7 could not be proved, which stopped the run: correct it and run evergreen.tls.renew
    again
"""
