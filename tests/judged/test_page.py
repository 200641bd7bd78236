# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Chromium says about pages that are right, and about some with one fault each. The scenario judged runs this, where Chromium is."""

from __future__ import annotations

import os
import pathlib
import threading

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._served.browser import DEFAULT_BROWSER
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.page import BrowserOptions, check_page
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.served_sites import NAME, served_site

ADDRESS = "127.0.0.2"  # not the one that a resolver would find
MIXED = b"""<!DOCTYPE html><title>Mixed</title>
<img src="http://img.example.net/a.png"><script src="http://js.example.net/a.js"></script>
<iframe src="http://frame.example.net/"></iframe><form action="http://form.example.net/"><input type="submit"></form>
<img src="https://static.example.net/b.png">
"""


@pytest.fixture
def site(tmp_path):
    with served_site(tmp_path) as one:
        one.chain = Authority("Intermediate CA", one.authority).chain([NAME], some_key())
        yield one


def serve(site, body=b"<!DOCTYPE html><title>Right</title>hello", chain=None, status=200, headers=(), wait=None):
    """Serve a page at an address."""

    def respond(_name, path):
        if wait and path != "/":
            wait.wait(30)
        return (status, [("Content-Type", "text/html"), *headers], body) if path == "/" else (404, (), b"")

    site.serve(ADDRESS, site.port, respond, site.context(chain or site.chain))


def look(site, **options):
    """Return the findings by code. Nothing of the browser is left."""
    findings = check_page(site.subject(), ADDRESS, BrowserOptions(**options))
    assert browsers() == []
    return {finding.code: finding for finding in findings}


def browsers():
    """Return the processes of Chromium that have a profile of ours."""
    lines = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    assert lines
    return [line for line in lines if b"evergreen-browser-" in line]


def test_chromium_is_there():
    assert os.access(DEFAULT_BROWSER, os.X_OK)


def test_a_right_page_is_secure_and_has_a_picture(site, tmp_path):
    serve(site)
    findings = look(site, pictures=str(tmp_path / "pictures"))
    assert sorted(findings) == ["served.page", "served.page.picture"]
    assert findings["served.page"].severity == "fine"
    assert findings["served.page"].evidence == ("security state: secure",)
    picture = pathlib.Path(findings["served.page.picture"].evidence[0])
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.name == f"{NAME}_{ADDRESS}.png"


def test_content_over_http_is_named_by_its_kind_and_url_though_the_page_is_secure(site):
    serve(site, MIXED)
    findings = look(site)
    found = {code.rpartition(".")[2]: (one.severity, one.evidence) for code, one in findings.items()}
    assert found == {
        "image": ("risk", ("http://img.example.net/a.png",)),
        "script": ("blocks", ("http://js.example.net/a.js",)),
        "frame": ("blocks", ("http://frame.example.net/",)),
        "form": ("risk", ("http://form.example.net/",)),
        "resource": ("risk", ("https://static.example.net/b.png",)),
    }
    assert all(one.sentence.count("; ") == 1 for one in findings.values())


@pytest.mark.parametrize(
    ("is_other", "error"), [(False, "net::ERR_CERT_AUTHORITY_INVALID"), (True, "net::ERR_CERT_COMMON_NAME_INVALID")]
)
def test_a_missing_intermediate_and_another_name_are_refused(site, is_other, error):
    serve(site, chain=site.authority.chain(["other.example.org"], some_key()) if is_other else site.chain[:1])
    (finding,) = look(site).values()
    assert (finding.severity, finding.code, finding.evidence) == ("blocks", "served.page.certificate", (error,))


def test_a_page_that_leads_to_plain_http_blocks(site):
    site.redirect(ADDRESS, lambda _name, _path: (200, [("Content-Type", "text/html")], b"hello"))
    serve(site, status=302, headers=[("Location", f"http://{NAME}:{site.http_port}/")])
    (finding,) = look(site).values()
    assert (finding.severity, finding.code) == ("blocks", "served.page.http")
    assert f"http://{NAME}:{site.http_port}/" in finding.sentence


def test_a_page_of_another_name_is_not_opened(site):
    visits = []
    site.redirect(ADDRESS, lambda name, _path: (200, (), visits.append(name) or b""))
    serve(site, status=302, headers=[("Location", f"http://{ADDRESS}:{site.http_port}/")])
    (finding,) = look(site).values()
    assert (finding.severity, finding.code, visits) == ("note", "served.page.redirect", [])


def test_a_page_that_hangs_has_a_deadline(site):
    released = threading.Event()
    serve(site, b'<!DOCTYPE html><script src="/hang.js"></script>', wait=released)
    (finding,) = look(site, timeout=6.0).values()
    released.set()
    assert (finding.severity, finding.code) == ("risk", "served.page.timeout")
    assert "is not loaded in a browser after 6 seconds (it is still loading)" in finding.sentence


def test_an_address_at_which_nothing_listens_is_an_error(site):
    (finding,) = look(site).values()
    assert (finding.code, finding.evidence) == ("served.page.error", ("net::ERR_CONNECTION_REFUSED",))
