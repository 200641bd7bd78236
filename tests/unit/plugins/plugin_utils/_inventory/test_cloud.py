# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request whose certificate a cloud presents has the options for that, and none that would give its key to others."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request

BARE = {"name": "static", "domains": ["static.example.org"], "served_by": "cloud"}


def completed(**changes):
    result = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate({"request": {**BARE, **changes}})
    assert result.error_messages == []
    return complete_request(result.validated_parameters["request"])


def test_the_account_and_the_service_may_be_left_out():
    cloud = completed()["cloud"]
    assert (cloud["account"], cloud["service"], cloud["resources"], cloud["patience"]) == (None, None, [], "15m")
    assert (cloud["redirect"], cloud["hsts"], cloud["tls_versions"], cloud["hosted"]) == (None, None, None, False)


def test_versions_of_tls_are_in_their_order():
    assert completed(cloud={"tls_versions": ["TLSv1.3", "TLSv1.2"]})["cloud"]["tls_versions"] == ["TLSv1.2", "TLSv1.3"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exports": [{"path": "/a.p12", "password": "x" * 8}]}, "exports is for a program of the host"),
        ({"links": {"/etc/a.pem": "cert.pem"}}, "links is for a program of the host that reads the key"),
        ({"adopt": {"key": "/a", "certificate": "/b"}}, "adopt is for a program of the host"),
        ({"reuse_key": True}, "reuse_key is for hosts that keep their key, .* each renewal has a new key"),
        ({"served_by": "nginx", "cloud": {}}, "cloud is for served_by: cloud, and it is nginx; correct one of them"),
        ({"cloud": {"account": ""}}, "cloud.account is '', which is empty"),
        ({"cloud": {"resources": ["a\nb"]}}, "cloud.resources has a name that is empty or has control characters"),
        ({"cloud": {"keep": 0}}, "cloud.keep is 0, and a way back needs"),
        ({"cloud": {"hsts": -1}}, "cloud.hsts is -1, and it is 0 to 63072000 seconds"),
        ({"cloud": {"hsts": 60, "redirect": False}}, "cloud.redirect is false; take one of them back"),
        ({"cloud": {"tls_versions": []}}, "cloud.tls_versions is empty"),
        (
            {"cloud": {"tls_versions": ["TLSv1.2", "TLSv9"]}},
            "cloud.tls_versions is TLSv1.2, TLSv9, and it is to have some of TLSv1,",
        ),
        ({"cloud": {"tls_versions": ["TLSv1", "TLSv1.2"]}}, r"write for example \[TLSv1.2, TLSv1.3\]"),
        ({"cloud": {"patience": "soon"}}, "cloud.patience: 'soon' is not a length of time"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(changes, words):
    with pytest.raises(TlsError, match=f"certificate request static: .*{words}"):
        completed(**changes)


def test_a_key_may_be_encrypted_on_the_disk():
    assert completed(encrypt_key=True)["encrypt_key"] is True


def test_a_complete_request_fits_the_spec_as_well():
    """The steps of a renewal take complete requests, in which what was left out is None."""
    result = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate({"request": completed()})
    assert result.error_messages == []
