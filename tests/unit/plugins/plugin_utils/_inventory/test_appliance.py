# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import without_secrets
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request

LOGIN = {"user": "root", "agent": True}
NGINX = {**LOGIN, "preset": "nginx"}
IIS = {**LOGIN, "preset": "iis"}
PAIR = [{"path": "/etc/a.key", "content": "key"}, {"path": "/etc/a.pem", "content": "fullchain"}]


def completed(appliance, **changes):
    request = {
        "name": "www",
        "domains": ["www.example.org"],
        "served_by": "appliance",
        "appliance": appliance,
        **changes,
    }
    result = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate({"request": request})
    assert result.error_messages == []
    return complete_request(result.validated_parameters["request"])


def refusal(appliance, **changes):
    with pytest.raises(TlsError) as error:
        completed(appliance, **changes)
    assert str(error.value).startswith("certificate request www: ")
    return str(error.value)


@pytest.mark.parametrize(
    "appliance",
    [
        NGINX,
        IIS,
        {**IIS, "site": "Shop", "host_names": ["*.example.org", "www.example.org"]},
        {**LOGIN, "files": PAIR},
        {**LOGIN, "files": [{"path": "/a.pem", "content": "combined", "mode": "0640"}]},
        {**LOGIN, "files": [{"path": "/a.p12", "content": "pkcs12", "password": "changeit"}]},
        {
            **NGINX,
            "commands": [{"command": "service nginx reload", "timeout": 5, "exit_codes": [0, 3]}],
            "verify": "nginx -t",
        },
        {"user": "root", "password": "secret", "preset": "haproxy", "host_key": ["SHA256:" + "a" * 43]},
    ],
)
def test_it_makes_sense(appliance):
    request = completed(appliance)
    assert request["appliance"]["port"] == 22
    again = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate({"request": request})
    assert again.error_messages == [], "steps take complete requests, in which what was left out is None"


@pytest.mark.parametrize(
    ("appliance", "sentence"),
    [
        (None, "served_by is appliance, and nothing says which one"),
        ({"user": "root"}, "nothing says how its user logs in; write key_file, password or agent: true"),
        ({**NGINX, "user": ""}, "user is empty"),
        ({**NGINX, "user": "a\nb"}, "a name has no control characters"),
        ({**NGINX, "port": 0}, "port is 0, and ports are 1 to 65535"),
        (
            {**NGINX, "host_key": ["MD5:aa:bb"]},
            "a fingerprint is SHA256: and 43 characters, as ssh-keygen -lf prints it",
        ),
        ({**NGINX, "timeout": 0}, "timeout is 0, and it is 1 to 120 seconds"),
        ({**NGINX, "patience": "soon"}, "patience: 'soon' is not a length of time"),
        (
            LOGIN,
            "files: none of them holds the certificate; write one with content: fullchain or cert or combined or pkcs12, or a preset",
        ),
        ({**LOGIN, "files": PAIR[:1]}, "none of them holds the certificate"),
        ({**LOGIN, "files": PAIR[1:]}, "none of them holds the private key"),
        ({**LOGIN, "files": [*PAIR, PAIR[0]]}, "files: /etc/a.key is to be several files"),
        (
            {**LOGIN, "files": [{"path": "relative.pem", "content": "combined"}]},
            "is not an absolute path in its plain form",
        ),
        ({**LOGIN, "files": [{"path": "/a/../b", "content": "combined"}]}, "is not an absolute path in its plain form"),
        ({**LOGIN, "files": [{"path": "/a", "content": "combined", "mode": "0644"}]}, "closed to all others"),
        ({**LOGIN, "files": [PAIR[0], {**PAIR[1], "mode": "0666"}]}, "others may at most read a certificate"),
        (
            {**LOGIN, "files": [{"path": "/a", "content": "pkcs12"}]},
            "a keystore needs a password; write one, from a vault",
        ),
        (
            {**LOGIN, "files": [{"path": "/a", "content": "combined", "password": "x"}]},
            "password is for content: pkcs12 alone",
        ),
        ({**NGINX, "verify": " "}, "verify: ' ' is no command line"),
        ({**NGINX, "commands": [{"command": "a\nb"}]}, "is no command line; write one without control characters"),
        ({**NGINX, "commands": [{"command": "a", "timeout": 601}]}, "timeout is 601, and it is 1 to 600 seconds"),
        (
            {**NGINX, "commands": [{"command": "a", "exit_codes": []}]},
            "exit_codes are numbers from 0 to 255, and at least one",
        ),
        (
            {**IIS, "commands": [{"command": "iisreset"}]},
            "commands is not for preset: iis, which has its own; leave it out",
        ),
        ({**IIS, "site": "a'|b"}, "which cannot be the name of a site of IIS"),
        ({**IIS, "host_names": ["www.example.org; calc"]}, "cannot be the host name of a binding"),
    ],
)
def test_it_makes_no_sense(appliance, sentence):
    assert sentence in refusal(appliance)


def test_an_appliance_is_for_those_that_serve_it():
    assert "appliance is for served_by: appliance alone" in refusal(NGINX, served_by="nginx")


def test_no_secret_of_an_appliance_is_shown_in_an_error():
    appliance = {
        **LOGIN,
        "password": "the-secret",
        "files": [{"path": "/a", "content": "pkcs12", "password": "the-secret\x07"}],
    }
    assert "the-secret" not in refusal(appliance)


def test_requests_travel_without_what_lets_users_in():
    request = completed({**NGINX, "password": "the-secret"})
    assert "the-secret" not in str(without_secrets(request))
