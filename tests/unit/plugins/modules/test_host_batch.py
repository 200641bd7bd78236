# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several calls in one batch, run by a program of its own."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr, requested_names

NAME = "ansible_collections.evergreen.tls.plugins.modules.host_batch"
PROGRAM = f"""
import runpy, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = sys.stdin.buffer.read(), "legacy"
runpy.run_module("{NAME}", run_name="__main__")
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "ignore"}


def batch(*calls, check=False):
    """Return what the module says, and its exit status."""
    arguments = {"calls": [{"module": module, "arguments": told} for module, told in calls]}
    told = {"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(told), env=ENVIRONMENT, cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr and "PRIVATE KEY" not in done.stdout
    return json.loads(done.stdout), done.returncode


def request(folder, name, **more):
    wanted = {"name": name, "domains": [f"{name}.example.org"], **more}
    return "certificate_request", {"directory": str(folder), "request": wanted}


def test_calls_run_in_their_order_each_with_its_own_arguments_and_defaults(tmp_path):
    said, status = batch(request(tmp_path, "www"), request(tmp_path, "mail", type="RSA"), request(tmp_path, "www"))
    www, mail, again = said["results"]
    assert (status, said["changed"]) == (0, True)
    assert (www["changed"], mail["changed"], again["changed"]) == (True, True, False)
    assert again["csr"] == www["csr"] != mail["csr"]
    assert requested_names(load_csr(mail["csr"].encode())) == {"mail.example.org"}
    for name in ("www", "mail"):
        assert stat.S_IMODE((tmp_path / name / "next/privkey.pem").stat().st_mode) == 0o600


def test_one_that_fails_keeps_none_of_the_others_back(tmp_path):
    (tmp_path / "mail").write_text("a file where a folder should be")
    said, status = batch(request(tmp_path, "mail"), request(tmp_path, "www"))
    mail, www = said["results"]
    assert status == 0 and "failed" not in said
    assert mail["failed"] and str(tmp_path / "mail") in mail["msg"] and "; " in mail["msg"]
    assert not www.get("failed") and www["csr"]


def test_a_call_finds_what_the_call_before_has_done(tmp_path):
    install = (
        "certificate_install",
        {"directory": str(tmp_path), "request": {"name": "www", "domains": ["a.example"]}},
    )
    said, _status = batch(install, request(tmp_path, "www"), install)
    before, _asked, after = said["results"]
    assert "does not exist; request the certificate on this host first" in before["msg"]
    assert "no certificate is ready in" in after["msg"]


def test_check_mode_holds_for_all(tmp_path):
    said, _status = batch(request(tmp_path, "www"), request(tmp_path, "mail"), check=True)
    assert said["changed"] and [answer["changed"] for answer in said["results"]] == [True, True]
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_make_no_sense_fail_their_call_alone(tmp_path):
    said, status = batch(("certificate_request", {"request": {"name": "mail"}}), request(tmp_path, "www"))
    mail, www = said["results"]
    assert status == 0 and not www.get("failed")
    assert mail["failed"] and "domains" in mail["msg"] and mail["msg"].endswith("; correct it")


def test_a_module_that_no_batch_can_run_is_refused():
    said, status = batch(("ping", {}))
    assert status == 1 and said["failed"] and "value of module must be one of" in said["msg"]
