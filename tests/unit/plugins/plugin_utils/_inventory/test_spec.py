# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values over which Ansible's own validation stumbles."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors, validate_arguments
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import survey_hosts

SPEC = {"request": {"type": "dict", "options": {"port": {"type": "int"}}}}


def test_what_fits_passes():
    checked = validate_arguments(ArgumentSpecValidator(SPEC), {"request": {"port": "443"}})
    assert checked.validated_parameters == {"request": {"port": 443}}


@pytest.mark.parametrize("request_of_somebody", [0.5, {"port": float("inf")}])
def test_what_ansible_stumbles_over_is_told(request_of_somebody):
    with pytest.raises(TlsError, match="a value is of a kind that does not belong there .*; correct the inventory"):
        validate_arguments(ArgumentSpecValidator(SPEC), {"request": request_of_somebody})


def test_a_host_with_such_a_value_does_not_end_the_survey_of_the_others():
    broken = {"certificate_requests": [{"name": "www", "domains": ["www.example.org"], "port": float("inf")}]}
    hosts = {"web1": broken, "web2": {}}
    (finding,) = survey_hosts(list(hosts), hosts.__getitem__, lambda *_progress: None)
    assert (finding.host, finding.state) == ("web1", "unknown")
    assert finding.reason.endswith("; correct the inventory")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"request": {"port": 443}}, ""),
        ({"request": {"posrt": 443}}, "there is no request.posrt (did you mean port?)"),
        ({"request": {"kind": 443}}, "there is no request.kind, but port"),
        ({"request": "www"}, "argument 'request' is of type str"),
        ({"request": {"port": "https"}}, "argument 'port' is of type str found in 'request'."),
    ],
)
def test_errors_of_a_spec_are_one_sentence(arguments, sentence):
    assert spec_errors(validate_arguments(ArgumentSpecValidator(SPEC), arguments)).partition(" and we ")[0] == sentence


CHOICES = {"kind": {"type": "str", "choices": ["due", "expired", "never"]}}
CHOICES_OF_LIST = {"kinds": {"type": "list", "elements": "str", "choices": ["due", "expired"]}}


@pytest.mark.parametrize(
    ("spec", "arguments", "sentence"),
    [
        (
            CHOICES,
            {"kind": "expird"},
            "value of kind must be one of: due, expired, never, got: expird (did you mean expired?)",
        ),
        (
            CHOICES,
            {"kind": "NEVER"},
            "value of kind must be one of: due, expired, never, got: NEVER (did you mean never?)",
        ),
        (CHOICES, {"kind": "moon"}, "value of kind must be one of: due, expired, never, got: moon"),
        (
            {"request": {"type": "dict", "options": CHOICES}},
            {"request": {"kind": "nevr"}},
            "value of kind must be one of: due, expired, never, got: nevr found in request (did you mean never?)",
        ),
        (
            CHOICES_OF_LIST,
            {"kinds": ["expird"]},
            "value of kinds must be one or more of: due, expired. Got no match for: expird (did you mean expired?)",
        ),
    ],
)
def test_a_value_that_is_no_choice_gets_the_one_that_was_probably_meant(spec, arguments, sentence):
    assert spec_errors(validate_arguments(ArgumentSpecValidator(spec), arguments)) == sentence
