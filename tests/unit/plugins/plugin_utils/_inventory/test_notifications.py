# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units and commands that are notified of a certificate, as people write them."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request


def completed(**options):
    """Return a complete request with these options."""
    checked = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate(
        {"request": {"name": "mail", "domains": ["mail.example.org"], **options}}
    )
    assert checked.error_messages == []
    return complete_request(checked.validated_parameters["request"])


def test_units_and_commands_stay_as_they_are_written():
    command = ["/usr/local/sbin/publish", "{name}", "{folder}/cert.pem", "{fingerprint}", '{"json": 1}', "a b; c"]
    request = completed(restart=["dovecot.service"], reload=["postfix@-.service"], run_after=[command])
    assert (request["restart"], request["reload"], request["run_after"]) == (
        ["dovecot.service"],
        ["postfix@-.service"],
        [command],
    )


@pytest.mark.parametrize("option", ["restart", "reload"])
@pytest.mark.parametrize("unit", ["--help", "-H root@other", "a b", "", "a;b", "a/b", "a\nb"])
def test_what_cannot_be_a_unit_is_refused(option, unit):
    with pytest.raises(
        TlsError, match=f"certificate request mail: {option}: .* cannot be a unit of systemd; write its"
    ):
        completed(**{option: [unit]})


@pytest.mark.parametrize(
    ("commands", "sentence"),
    [
        pytest.param(["/usr/local/sbin/publish", "{name}"], "'{name}' is not the absolute path", id="one flat list"),
        pytest.param(["/usr/local/sbin/publish --now"], "Each command is a list of its own, and no shell", id="a text"),
        pytest.param([["publish"]], "'publish' is not the absolute path of a program", id="no path"),
        pytest.param([["/usr/sbin/../bin/publish"]], "is not an absolute path in its plain form", id="no plain path"),
        pytest.param([[]], "is not a command, which is a list of words", id="nothing"),
        pytest.param([["/bin/publish", 5]], "with numbers in quotes", id="a number"),
        pytest.param([["/bin/publish", "a\nb"]], "without control characters", id="a line break"),
        pytest.param(
            [["/bin/publish", "{path}"]], "{path} is not known; write one of {name}", id="an unknown placeholder"
        ),
    ],
)
def test_what_cannot_be_a_command_is_refused_with_an_example(commands, sentence):
    with pytest.raises(TlsError, match="certificate request mail: run_after: ") as caught:
        completed(run_after=commands)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("option", ["restart", "reload", "run_after"])
def test_programs_of_a_host_are_refused_where_a_cloud_presents_the_certificate(option):
    values = {"restart": ["postfix"], "reload": ["postfix"], "run_after": [["/bin/true"]]}
    with pytest.raises(
        TlsError, match=f"{option} is for a program of the host that reads the key, and with served_by: cloud"
    ):
        completed(served_by="cloud", cloud={"service": "clb"}, **{option: values[option]})
