# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports of a request: which are complete, and which are refused."""

from __future__ import annotations

import re

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request

P12 = {"path": "/etc/tomcat10/site.p12", "password": "secret"}


def completed(exports, **options):
    """Return the exports of a completed request."""
    request = {"name": "web", "domains": ["www.example.org"], "exports": exports, **options}
    result = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate({"request": request})
    assert result.error_messages == []
    return complete_request(result.validated_parameters["request"])["exports"]


def test_an_export_needs_a_path_and_a_password_alone():
    (export,) = completed([P12])
    assert {word: value for word, value in export.items() if value not in (None, [])} == {
        **P12,
        "format": "pkcs12",
        "state": "present",
        "encryption": "modern",
    }


@pytest.mark.parametrize(
    ("export", "sentence"),
    [
        ({**P12, "path": "site.p12"}, "exports: 'site.p12' is not an absolute path in its plain form; correct it"),
        ({**P12, "path": "/etc/../site.p12"}, "is not an absolute path in its plain form; correct it"),
        ({"path": "/a.p12"}, "a keystore needs either password or password_file; write one of them"),
        ({**P12, "password_file": "/b"}, "a keystore needs either password or password_file; write one of them"),
        ({"path": "/a.p12", "password_file": "b"}, "exports: 'b' is not an absolute path"),
        ({"path": "/a.p12", "password_file": "/a.p12"}, "/a.p12 is to be several files; give each a path of its own"),
        ({**P12, "password": ""}, "password is text of letters, digits and signs that ASCII has"),
        ({**P12, "password": "pässword"}, "password is text of letters, digits and signs that ASCII has"),
        ({**P12, "friendly_name": " "}, "friendly_name is ' ', and it is printable text of 64 characters at most"),
        ({**P12, "mode": "0644"}, "exports: /etc/tomcat10/site.p12: mode is 0644, and the private key's file must be"),
        ({**P12, "restart": ["tomcat 10"]}, "'tomcat 10' cannot be a unit of systemd; write its name, such as"),
        ({**P12, "reload": ["--now"]}, "'--now' cannot be a unit of systemd"),
        ({**P12, "format": "pem"}, "password is for format: pkcs12 alone; leave it out, or choose that"),
        ({"path": "/a", "format": "der", "mode": "0666"}, "mode is 0666, and others may at most read a certificate"),
        ({**P12, "owner": "a\nb"}, "owner is 'a\\nb', and a name has no control characters"),
    ],
)
def test_an_export_that_cannot_be_written_is_refused(export, sentence):
    with pytest.raises(TlsError, match=re.escape(sentence)):
        completed([export])


def test_an_export_cannot_have_the_path_of_a_link():
    with pytest.raises(TlsError, match="/etc/site.pem is to be several files; give each a path of its own"):
        completed([{"path": "/etc/site.pem", "format": "pem"}], links={"/etc/site.pem": "fullchain.pem"})


def test_exports_may_share_a_password_file():
    shared = {"password_file": "/etc/keystorePass.txt"}
    assert len(completed([{"path": "/a.p12", **shared}, {"path": "/b.p12", **shared}])) == 2


def test_others_may_read_a_certificate_in_der():
    assert completed([{"path": "/a", "format": "der", "mode": "0644"}])[0]["mode"] == "0644"


def test_an_absent_export_needs_no_password():
    assert completed([{"path": "/a.p12", "state": "absent"}])[0]["state"] == "absent"
