# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Issuers are opened by name, and wrong settings are refused before anything happens."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer, Issuer, PendingIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import ISSUERS, open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority


def test_without_configuration_there_is_a_local_ca(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    issuer = open_issuer("local", {})
    assert isinstance(issuer, LocalCa)
    assert issuer.directory == f"{tmp_path}/.evergreen/ca"
    assert issuer.lifetime == datetime.timedelta(days=90)
    assert list(tmp_path.iterdir()) == []


def test_an_issuer_has_the_settings_that_are_configured(tmp_path):
    settings = {"type": "local_ca", "directory": str(tmp_path / "pki"), "name": "Beispiel", "lifetime": "47d"}
    issuer = open_issuer("corporate", {"corporate": settings})
    assert (issuer.directory, issuer.name, issuer.lifetime.days) == (f"{tmp_path}/pki", "Beispiel", 47)
    assert settings["type"] == "local_ca"


def test_the_local_issuer_can_be_configured(tmp_path):
    issuer = open_issuer("local", {"local": {"type": "local_ca", "directory": str(tmp_path)}})
    assert issuer.directory == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "issuers", "sentence"),
    [
        (
            "corprate",
            {"corporate": {"type": "local_ca"}},
            "there is no issuer named corprate (did you mean corporate?); add it to certificate_issuers or correct the request",
        ),
        (
            "letsencrypt",
            {"corporate": {"type": "local_ca"}},
            "there is no issuer named letsencrypt, only corporate, local; add it to certificate_issuers or correct the request",
        ),
        (
            "corporate",
            {"corporate": {"type": "locla_ca"}},
            (
                f"issuer corporate: there is no type 'locla_ca', only {', '.join(sorted(ISSUERS))}; "
                "correct certificate_issuers"
            ),
        ),
        (
            "corporate",
            {"corporate": {"directory": "~/pki"}},
            f"issuer corporate: there is no type None, only {', '.join(sorted(ISSUERS))}; correct certificate_issuers",
        ),
        (
            "corporate",
            {"corporate": "local_ca"},
            "issuer corporate: its settings are no dictionary; write corporate: {type: local_ca} in certificate_issuers",
        ),
        (
            "corporate",
            {"corporate": None},
            "issuer corporate: its settings are no dictionary; write corporate: {type: local_ca} in certificate_issuers",
        ),
        (
            "corporate",
            {"corporate": {"type": ["local_ca"]}},
            (
                f"issuer corporate: there is no type ['local_ca'], only {', '.join(sorted(ISSUERS))}; "
                "correct certificate_issuers"
            ),
        ),
        (
            "corporate",
            {"corporate": {"type": "local_ca", "lifetime": "a year"}},  # after Ansible has found nothing wrong
            "issuer corporate: 'a year' is not a length of time; write a number and a unit, such as 90d, 12h or 30m",
        ),
    ],
)
def test_unknown_issuers_and_wrong_settings_are_refused(name, issuers, sentence):
    with pytest.raises(TlsError) as caught:
        open_issuer(name, issuers)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"direktory": "/pki"}, "there is no direktory (did you mean directory?)"),
        ({"passphrase": {"a": "b"}, "lifetimes": "9d"}, "there is no lifetimes (did you mean lifetime?)"),
        ({"colour": "blue"}, "there is no colour, but chain_extra, "),
    ],
)
def test_a_typo_in_a_setting_is_named_with_the_setting_that_was_meant_or_those_that_there_are(settings, remedy):
    with pytest.raises(TlsError) as caught:
        open_issuer("corporate", {"corporate": {"type": "local_ca", **settings}})
    sentence = str(caught.value)
    assert sentence.startswith("issuer corporate: ") and sentence.endswith("; correct certificate_issuers")
    assert remedy in sentence and len(sentence) <= 300


def test_a_passphrase_is_in_no_error(tmp_path):
    with pytest.raises(TlsError) as caught:
        open_issuer("corporate", {"corporate": {"type": "local_ca", "passphrase": "correct horse", "direktory": "/"}})
    assert "correct horse" not in str(caught.value)


FOLDERS = [
    ("local_ca", "directory", {}),
    ("command", "directory", {"argv": ["/bin/true"]}),
    ("acme", "folder", {}),
    ("manual", "directory", {}),
    ("manual", "inbox", {}),
    ("manual", "outbox", {}),
]
EITHER_WAY = "write a path that begins with /"


@pytest.mark.parametrize(("kind", "option", "settings"), FOLDERS)
@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("pki", f"it is another folder wherever Ansible is started; {EITHER_WAY}"),
        ("./pki", f"it is another folder wherever Ansible is started; {EITHER_WAY}"),
        ("~nobody-here/pki", f"there is no user 'nobody-here' here; correct it, or {EITHER_WAY}"),
        ("$NO_SUCH_VARIABLE/pki", f"'$NO_SUCH_VARIABLE' is not set here; set it, or {EITHER_WAY}"),
    ],
)
def test_a_folder_that_does_not_begin_with_a_slash_is_refused(kind, option, settings, folder, why, tmp_path):
    with pytest.raises(TlsError) as caught:
        open_issuer("corporate", {"corporate": {"type": kind, **settings, option: folder}})
    assert str(caught.value) == f"issuer corporate: {option} is {folder!r}, and {why}"


@pytest.mark.parametrize("home", ["", "relative/home", "."])
@pytest.mark.parametrize("folder", [None, "~", "~/pki", "$HOME/pki", "${HOME}/pki"])
@pytest.mark.parametrize("kind", ["local_ca", "command", "acme", "manual"])
def test_a_home_that_is_no_absolute_path_is_refused_where_a_folder_is_below_it(
    kind, folder, home, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", home)
    monkeypatch.chdir(tmp_path)
    option = "folder" if kind == "acme" else "directory"
    settings = {"argv": ["/bin/true"]} if kind == "command" else {}
    with pytest.raises(TlsError) as caught:
        open_issuer("corporate", {"corporate": {"type": kind, **settings, **({option: folder} if folder else {})}})
    assert f"issuer corporate: {option} is '{folder or '~/.evergreen/'}" in str(caught.value)
    assert f", and HOME is {home!r} here, which is not an absolute path; set HOME to the home folder" in str(
        caught.value
    )
    assert list(tmp_path.iterdir()) == []
    assert open_issuer("corporate", {"corporate": {"type": kind, **settings, option: str(tmp_path / "kept")}})


@pytest.mark.parametrize("setting", [{"root": "$HOME/root.pem"}, {"root": "~/root.pem"}])
def test_a_home_that_is_no_absolute_path_is_refused_where_a_root_is_below_it(setting, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "")
    with pytest.raises(TlsError, match=r"^issuer corporate: root is .*, and HOME is '' here"):
        open_issuer("corporate", {"corporate": {"type": "local_ca", "directory": str(tmp_path), **setting}})


ROOT = Authority("Registry Root CA")
PEM_TEXT = ROOT.pem.decode()
KEY_TEXT = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("text", [PEM_TEXT, KEY_TEXT], ids=["a certificate", "a key"])
@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"type": "local_ca"}, "root"),
        ({"type": "local_ca"}, "directory"),
        ({"type": "manual"}, "inbox"),
        ({"type": "acme", "directory": "https://ca.example/"}, "ca_file"),
    ],
)
def test_the_text_of_a_pem_file_in_the_place_of_its_path_is_refused_in_one_line(settings, option, text):
    with pytest.raises(TlsError) as caught:
        open_issuer("corporate", {"corporate": {**settings, option: text}})
    assert str(caught.value) == (
        f"issuer corporate: {option} is the text of a PEM file, and its path is expected; write the text to a file, and the path of "
        "that file here"
    )


def test_roots_may_be_the_text_of_a_pem_file_or_its_path(tmp_path):
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    for roots in (PEM_TEXT, str(tmp_path / "root.pem")):
        issuer = open_issuer("corporate", {"corporate": {"type": "manual", "directory": str(tmp_path), "roots": roots}})
        assert issuer.roots() == ROOT.pem


@pytest.mark.parametrize("option", ["roots", "root", "directory"])
def test_base64_in_the_place_of_a_path_is_not_repeated_whole(option, tmp_path):
    settings = {"type": "manual", "directory": str(tmp_path)} if option == "roots" else {"type": "local_ca"}
    with pytest.raises(TlsError, match="MIIB.*(does not exist; correct|write a path that begins with /)") as caught:
        open_issuer("corporate", {"corporate": {**settings, option: "MIIB" * 300}}).roots()
    assert len(str(caught.value)) <= 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["local_ca", "command", "acme", "manual"])
def test_without_a_home_no_folder_is_named_after_the_tilde(kind, monkeypatch, tmp_path):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    settings = {"argv": ["/bin/true"]} if kind == "command" else {}
    with pytest.raises(TlsError) as caught:
        open_issuer("corporate", {"corporate": {"type": kind, **settings}})
    assert "HOME is not set, and this user has no entry in /etc/passwd; set HOME, or write a path" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(ISSUERS))
def test_every_issuer_has_the_methods_of_the_protocol(name):
    methods = {method for method in vars(Issuer) if not method.startswith("_")}
    assert methods >= {"roots", "terms", "issue", "record", "revoke"}
    assert all(callable(getattr(ISSUERS[name], method)) for method in methods)
    assert "type" not in ISSUERS[name].SETTINGS


def test_the_issuers_fit_the_protocols(tmp_path):
    settings = {
        "manual": {"type": "manual", "directory": str(tmp_path)},
        "acme": {"type": "acme", "folder": str(tmp_path)},
    }
    manual, acme, local_ca = (open_issuer(name, settings) for name in ("manual", "acme", "local"))
    assert [isinstance(one, PendingIssuer) for one in (manual, acme, local_ca)] == [True, False, False]
    assert [isinstance(one, AcmeIssuer) for one in (manual, acme, local_ca)] == [False, True, False]


def test_the_sentence_about_an_unknown_issuer_stays_short_with_many_issuers():
    issuers = {f"internal-authority-of-department-{number}": {"type": "local_ca"} for number in range(40)}
    with pytest.raises(TlsError) as caught:
        open_issuer("letsencrypt", issuers)
    assert len(str(caught.value)) <= 300
    assert str(caught.value).endswith("…; add it to certificate_issuers or correct the request")
