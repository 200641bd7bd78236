# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a request may say, and what it says when it says nothing."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC, SUBJECT_FIELDS, key_mode
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import (
    VERSION_FILES,
    check_distinct_requests,
    complete_request,
    has_encrypted_key,
)

LEAST = {"name": "web", "domains": ["www.example.org"]}


def parsed(request):
    """Return a request as a module gets it from Ansible, and the messages of Ansible."""
    result = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate({"request": request})
    return result.validated_parameters["request"], result.error_messages


def completed(**changes):
    request, messages = parsed({**LEAST, **changes})
    assert messages == []
    return complete_request(request)


def test_a_request_needs_a_name_and_domains_alone():
    assert completed() == {
        **dict.fromkeys(SUBJECT_FIELDS),
        "name": "web",
        "domains": ["www.example.org"],
        "issuer": "local",
        "type": "ECC",
        "size": 2048,
        "curve": "secp256r1",
        "organization": None,
        "challenge_password": None,
        "allowed_domains": [],
        "lifetime": None,
        "renew_before": None,
        "reuse_key": False,
        "encrypt_key": False,
        "key_passphrase": None,
        "owner": None,
        "group": None,
        "mode": "0600",
        "keep": 3,
        "links": {},
        "adopt": None,
        "validate": None,
        "port": 443,
        "served_by": "nginx",
        "cloud": None,
        "appliance": None,
        "exports": [],
        "restart": [],
        "reload": [],
        "run_after": [],
        "kind": None,
        "validation": [],
    }


def test_a_complete_request_is_complete():
    request = completed(domains=["WWW.Example.org.", "www.example.org", "0::1"])
    assert request["domains"] == ["www.example.org", "::1"]
    assert complete_request(request) == request


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"domains": ["a.example"]}, "missing required arguments: name found in request"),
        ({"name": "web"}, "missing required arguments: domains found in request"),
        ({**LEAST, "type": "DSA"}, "value of type must be one of: RSA, ECC, Ed25519, got: DSA found in request"),
        ({**LEAST, "size": 1024}, "value of size must be one of: 2048, 3072, 4096, got: 1024 found in request"),
        ({**LEAST, "curve": "P-256"}, "value of curve must be one of: secp256r1, secp384r1, secp521r1, got: P-256"),
        ({**LEAST, "keep": "many"}, "'keep' is of type str"),
        ({**LEAST, "domain": "a.example"}, "request.domain. Supported parameters include: "),
    ],
)
def test_ansible_refuses_what_the_options_do_not_allow(request_, message):
    _request, messages = parsed(request_)
    assert message in "".join(messages)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"domains": []}, "the list of domains is empty; name at least one DNS name or IP address"),
        (
            {"domains": ["a b"]},
            (
                "'a b' is not a DNS name: the part 'a b' has characters other than letters, digits, "
                "hyphens and underscores; correct it"
            ),
        ),
        (
            {"lifetime": "a year"},
            "'a year' is not a length of time; write a number and a unit, such as 90d, 12h or 30m",
        ),
        (
            {"renew_before": "soon"},
            (
                "renew_before: 'soon' is not a length of time; write a number and a unit, such as 90d, "
                "12h or 30m, or a share such as 1/3"
            ),
        ),
        (
            {"renew_before": "3/3"},
            "renew_before: 3/3 is no share of a lifetime; write one between none and all of it, such as 1/3, or a duration",
        ),
        ({"keep": 0}, "keep is 0, and a way back needs at least one earlier version; write 1 or more"),
        *(
            (
                {"key_passphrase": passphrase},
                (
                    "key_passphrase has a line break or another control character, and nginx reads it from one line; "
                    "take that away, or have another one made"
                ),
            )
            for passphrase in (
                "correct horse\n",
                "\ncorrect horse",
                "correct\r\nhorse",
                "correct\0horse",
                "correct \ud800",
            )
        ),
        *(
            (
                {"key_passphrase": passphrase},
                (
                    f"key_passphrase {what}; write one of 8 characters or more, or leave it out and write encrypt_key: true "
                    "to have one made on the host"
                ),
            )
            for passphrase, what in (("", "is empty"), ("horse", "is too short to protect anything"))
        ),
        *(
            (
                {"key_passphrase": passphrase},
                "key_passphrase has more than 1023 bytes, and OpenSSL would not take the whole of it; shorten it",
            )
            for passphrase in ("x" * 1024, "ü" * 512)
        ),
        ({"port": 0}, "port is 0, and ports are 1 to 65535; correct it"),
        ({"port": 65536}, "port is 65536, and ports are 1 to 65535; correct it"),
        ({"country_name": "DEU"}, "country_name is 'DEU', and a country has two letters (ISO 3166); correct it"),
        ({"country_name": "ÄÖ"}, "country_name is 'ÄÖ', and a country has two letters (ISO 3166); correct it"),
        (
            {"common_name": "a" * 65},
            (
                "common_name has 65 bytes, and 64 are allowed; shorten it, or leave it out: "
                "clients look at domains alone"
            ),
        ),
        *(
            (
                {"email_address": address},
                f"email_address is '{address}', and an email address is like ops@example.org; correct it or leave it out",
            )
            for address in ("ops", "Ops <ops@example.org>", "ops@", "@example.org", "a@b@c")
        ),
        (
            {"email_address": "öps@example.org"},
            "email_address is 'öps@example.org', and certificates hold it in ASCII; correct it or leave it out",
        ),
        *(
            (
                {field: value},
                f"{field} is {value!r}, and a subject field holds printable text; correct it or leave it out",
            )
            for field in SUBJECT_FIELDS
            for value in ("", " ", "a\nb", "a\0", "\x1b[2J", "a\x7f", "a\ud800")
        ),
        *(
            (
                {"mode": mode},
                (
                    f"mode is {mode}, and the private key's file must be readable by its owner, at most readable "
                    'by its group, and closed to all others; write "0600" or "0640"'
                ),
            )
            for mode in (
                "0644",
                "0777",
                "0660",
                "0650",
                "0000",
                "0200",
                "0604",
                "600o",
                "u=rw",
                "",
                "384",
                "4600",
                "01600",
            )
        ),
        ({"validate": "nginx -t '"}, 'validate: "nginx -t \'" is no command: No closing quotation; correct its quotes'),
        ({"validate": "  "}, "validate is empty; write a command such as nginx -t, or leave it out"),
        (
            {"links": {"server.pem": "fullchain.pem"}},
            "links: 'server.pem' is not an absolute path in its plain form; correct it",
        ),
        *(
            (
                {"links": {path: "fullchain.pem"}},
                f"links: {path!r} is not an absolute path in its plain form; correct it",
            )
            for path in ("", "/etc/../root/a", "/etc//a", "/etc/a/", "~/a", "/etc/a\0")
        ),
        (
            {"links": {"/etc/a": "key.pem"}},
            (
                "links: /etc/a leads to 'key.pem', and a certificate has privkey.pem, cert.pem, "
                "chain.pem, fullchain.pem; choose one of these"
            ),
        ),
        (
            {"adopt": {"key": "server.key", "certificate": "/etc/a"}},
            "adopt: 'server.key' is not an absolute path in its plain form; correct it",
        ),
        (
            {"adopt": {"key": "/etc/both.pem", "certificate": "/etc/both.pem"}},
            "adopt: /etc/both.pem is to lead to fullchain.pem once it is adopted, and not to privkey.pem as well; give each path one ",
        ),
        ({"links": {"/etc/a": None}}, "links: /etc/a leads to None, and a certificate has"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_name_of_the_request(changes, sentence):
    with pytest.raises(TlsError) as caught:
        completed(**changes)
    assert str(caught.value).startswith(f"certificate request web: {sentence}")


def test_a_name_that_is_no_folder_is_refused():
    with pytest.raises(TlsError, match=r"^'\.\./web' cannot name a request, since it names a folder on the host"):
        completed(name="../web")


@pytest.mark.parametrize(
    "changes",
    [
        {"country_name": "de"},
        {"organization_name": "常青有限公司", "locality_name": "北京\u3000东城"},
        {"organizational_unit_name": 'R&D "+,;<>'},
        {"common_name": "a" * 64},
        {"common_name": "常" * 21},
        {"lifetime": "47d"},
        {"validate": "nginx -t -c '/etc/nginx/a b.conf'"},
        {"keep": 1},
        {"port": 65535},
        {"links": {f"/etc/{file}": file for file in VERSION_FILES}},
    ],
)
def test_what_makes_sense_is_taken_as_it_is(changes):
    request = completed(**changes)
    assert {field: request[field] for field in changes} == changes


@pytest.mark.parametrize("passphrase", ["correct horse", " ' \" \\ $HOME ", "ü中文naïve", "x" * 1023])
def test_a_key_with_a_passphrase_is_encrypted_unless_that_is_denied(passphrase):
    assert completed(key_passphrase=passphrase)["encrypt_key"] is True
    assert completed(key_passphrase=passphrase, encrypt_key="no")["encrypt_key"] is False
    assert completed(encrypt_key=True)["encrypt_key"] is True


@pytest.mark.parametrize(
    ("request_", "is_encrypted"),
    [
        ({}, False),
        ({"encrypt_key": "yes"}, True),
        ({"encrypt_key": "false", "key_passphrase": "correct horse"}, False),
        ({"encrypt_key": None, "key_passphrase": "correct horse"}, True),
        ({"encrypt_key": ["perhaps"]}, False),
    ],
)
def test_it_is_known_before_a_request_is_complete_whether_its_key_is_to_be_encrypted(request_, is_encrypted):
    assert has_encrypted_key(request_) is is_encrypted


@pytest.mark.parametrize(("renew_before", "normal"), [("33%", "0.330000"), ("30d", "2592000s"), (None, None)])
def test_what_has_to_be_left_is_completed_to_its_normal_form(renew_before, normal):
    assert completed(renew_before=renew_before)["renew_before"] == normal


@pytest.mark.parametrize(
    ("mode", "number"), [("0600", 0o600), ("600", 0o600), ("0640", 0o640), ("0400", 0o400), ("440", 0o440)]
)
def test_the_mode_of_the_key_is_octal(mode, number):
    assert key_mode(completed(mode=mode)) == number


def test_requests_of_a_host_have_names_of_their_own():
    check_distinct_requests([])
    check_distinct_requests([{"name": "a"}, {"name": "b"}])
    with pytest.raises(TlsError) as caught:
        check_distinct_requests([{"name": name} for name in ("b", "a", "c", "b", "a", "b")])
    assert str(caught.value) == (
        "two certificate requests are named a, b; give each request of a host a name of its own"
    )


def test_requests_of_a_host_have_links_of_their_own():
    with pytest.raises(TlsError) as caught:
        check_distinct_requests([{"name": name, "links": {"/etc/server.pem": "fullchain.pem"}} for name in ("a", "b")])
    assert str(caught.value) == "two certificate requests have a link at /etc/server.pem; give it to one of them"


def test_what_is_adopted_leads_into_the_store_from_then_on():
    adopt = {"key": "/etc/nginx/server.key", "certificate": "/etc/nginx/server.pem", "chain": "/etc/nginx/chain.pem"}
    links = {"/etc/a": "cert.pem", "/etc/nginx/server.key": "privkey.pem"}
    request = completed(adopt=adopt, links=links)
    assert request["links"] == {
        **links,
        "/etc/nginx/server.pem": "fullchain.pem",
        "/etc/nginx/chain.pem": "chain.pem",
    }
    assert complete_request(request)["links"] == request["links"]
    assert links == {"/etc/a": "cert.pem", "/etc/nginx/server.key": "privkey.pem"}


def test_two_requests_do_not_adopt_the_same_files():
    adopt = {"key": "/etc/nginx/server.key", "certificate": "/etc/nginx/server.pem"}
    requests = [{"name": "a", "adopt": adopt}, {"name": "b", "links": {"/etc/nginx/server.pem": "fullchain.pem"}}]
    with pytest.raises(TlsError, match="two certificate requests have a link at /etc/nginx/server.pem; give it to one"):
        check_distinct_requests(requests)


@pytest.mark.parametrize("requests", [{"name": "a"}, "a", ["a"], [None]])
def test_requests_are_a_list_of_dictionaries(requests):
    with pytest.raises(TlsError, match="certificate_requests is no list of dictionaries; write - name: "):
        check_distinct_requests(requests)


def test_a_name_may_be_a_number_in_yaml():
    with pytest.raises(TlsError, match="two certificate requests are named 7;"):
        check_distinct_requests([{"name": 7}, {"name": "7"}])


def test_no_two_exports_of_a_host_have_the_same_path():
    requests = [
        {"name": name, "exports": [{"path": "/etc/tomcat10/site.p12", "password": "secret"}]} for name in ("one", "two")
    ]
    with pytest.raises(TlsError, match="two exports of a host are to be written to /etc/tomcat10/site.p12; give each"):
        check_distinct_requests(requests)
