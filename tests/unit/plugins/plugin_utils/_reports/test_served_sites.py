# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a deployment says at its end about each site."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.served_sites import (
    failures_text,
    served_sites,
    sites_text,
)

REQUEST = {"name": "www", "domains": ["www.example.org"], "issuer": "local"}
HANDSHAKES = [{"certificate": {"not_after": "2027-02-28T08:55:29+00:00"}}]


def test_a_site_of_a_private_ca_has_its_address_its_end_and_the_file_to_trust(tmp_path):
    issuers = {"local": {"type": "local_ca", "directory": str(tmp_path)}}
    (tmp_path / "root.pem").write_text("")
    sites = served_sites(REQUEST, [{"name": "www"}], HANDSHAKES, issuers)
    assert sites == [
        {
            "name": "www",
            "url": "https://www.example.org/",
            "not_after": "2027-02-28T08:55:29+00:00",
            "root": f"{tmp_path}/root.pem",
        }
    ]
    assert sites_text(sites) == (
        f"https://www.example.org/, valid until 2027-02-28 08:55 UTC, clients trust {tmp_path}/root.pem"
    )


def test_a_site_of_another_ca_has_nothing_to_trust(tmp_path):
    issuers = {"local": {"type": "acme", "folder": str(tmp_path)}}
    (site,) = served_sites(REQUEST, [{"name": "www"}], HANDSHAKES, issuers)
    assert site["root"] is None
    assert sites_text([site]) == "https://www.example.org/, valid until 2027-02-28 08:55 UTC"


def test_the_address_has_the_port_and_the_first_name_that_is_no_wildcard():
    issuers = {"local": {"type": "local_ca", "directory": "/nowhere"}}
    sites = [
        {"name": "a", "server_names": ["*.example.org", "a.example.org"], "https_port": "8443"},
        {"name": "b", "server_names": ["2001:db8::1"], "https_port": 443},
        {"name": "c", "server_names": ["*.example.org"]},
    ]
    served = served_sites(REQUEST, sites, [], issuers)
    urls = ["https://a.example.org:8443/", "https://[2001:db8::1]/", "https://*.example.org/"]
    assert [site["url"] for site in served] == urls
    assert sites_text(served).splitlines() == urls


def test_no_more_lines_are_printed_than_people_read():
    site = {"name": "a", "url": "https://a.example.org/", "not_after": None, "root": None}
    lines = sites_text([site] * 130).splitlines()
    assert len(lines) == 101 and lines[-1] == "… and 30 more"


def test_a_site_of_somebody_else_that_nginx_has_gets_a_line_as_well():
    issuers = {"local": {"type": "local_ca", "directory": "/nowhere"}}
    adopted = {**REQUEST, "served_by": "nginx", "port": 8443}
    (site,) = served_sites(adopted, [], HANDSHAKES, issuers)
    assert site["name"] == "www"
    assert sites_text([site]) == "https://www.example.org:8443/, valid until 2027-02-28 08:55 UTC"


def test_what_no_nginx_serves_is_no_site():
    issuers = {"local": {"type": "local_ca", "directory": "/nowhere"}}
    assert served_sites({**REQUEST, "served_by": "other", "port": 25}, [], HANDSHAKES, issuers) == []


def test_each_certificate_that_could_not_be_obtained_is_a_line():
    obtained = {
        "failed": True,
        "msg": "shop: there is no issuer named corprate",
        "certificates": [
            {"name": "www", "failed": False, "msg": "it is issued"},
            {"name": "shop", "failed": True, "msg": "there is no issuer\nnamed corprate " + "x" * 400},
        ],
    }
    (line,) = failures_text(obtained).splitlines()
    assert line.startswith("shop failed: there is no issuer") and "named corprate" in line
    assert len(line) <= len("shop failed: ") + 300
    assert failures_text({"failed": True, "msg": "the host does not answer"}) == "failed: the host does not answer"
    assert failures_text({}) == failures_text({"failed": False, "certificates": []}) == ""
