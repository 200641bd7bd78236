# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said where there is no browser, and what pages lead to. The real browser is in the scenario judged."""

from __future__ import annotations

import os
import stat
import time

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._served import checks
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.browser import Browser, running_browser
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.checks import check_pages
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.page import (
    BrowserOptions,
    Page,
    check_page,
    is_own_name,
    judge_page,
)
from ansible_collections.evergreen.tls.tests.unit.served_sites import NAME


def program(folder, *lines):
    """Return a program in the place of the browser."""
    path = folder / "browser"
    path.write_text("\n".join(["#!/bin/sh", *lines]))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def look(site, path, seconds=2.0):
    (finding,) = check_page(site.subject(roots=None), "127.0.0.1", BrowserOptions(path, timeout=seconds))
    assert (finding.severity, finding.code) == ("unknown", "served.page")
    return finding.sentence


def processes_with(text):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                found += [pid] if text.encode() in stream.read() else []
        except OSError:
            continue
    return found


def test_without_a_browser_the_packages_to_install_are_named(site):
    assert look(site, "/nowhere/chromium") == (
        f"the page of {NAME} is not looked at: diagnose_browser needs Chromium, and there is no program /nowhere/chromium; run apt install "
        "chromium libnss3-tools, or set diagnose_browser_path"
    )


def test_without_certutil_the_packages_to_install_are_named(site, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = check_page(site.subject(), "127.0.0.1", BrowserOptions(program(tmp_path)))
    assert "needs the program certutil for the roots of private CAs" in finding.sentence
    assert "run apt install chromium libnss3-tools" in finding.sentence


def test_a_browser_that_ends_at_once_is_told_with_its_last_words(site, tmp_path):
    sentence = look(site, program(tmp_path, "echo first >&2", "printf 'no \\033[2J display\\n' >&2", "exit 1"))
    assert "the browser has ended by itself (no ?[2J display); start it by hand to see why" in sentence


def test_a_browser_that_hangs_is_killed_with_its_children(site, tmp_path):
    mark = f"{tmp_path.name}-77.7"
    path = program(tmp_path, f'setsid sh -c "sleep 77; : $* {mark}" &', f": {mark}; exec sleep 78")
    start = time.monotonic()
    sentence = look(site, path, seconds=0.5)
    assert time.monotonic() - start < 4
    assert "the browser is not ready in time" in sentence
    assert processes_with(mark) == []


@pytest.mark.parametrize("words", ["printf '[1]\\0' >&4", "printf '{\"id\": 1, \"error\": {\"message\": \"no \\033 such\"}}\\0' >&4", "printf 'x\\0' >&4",
                                   "printf '{\"id\": 1, \"result\": []}\\0' >&4"])  # fmt: skip
def test_a_browser_that_answers_nonsense_is_a_finding(site, tmp_path, words):
    sentence = look(site, program(tmp_path, words, "sleep 1"))
    assert sentence.startswith(f"the page of {NAME} is not looked at: ") and "\x1b" not in sentence


def test_nothing_of_a_browser_stays_after_an_interrupt(tmp_path, monkeypatch):
    def interrupt(_browser):
        raise KeyboardInterrupt

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(Browser, "open_page", interrupt)
    path = program(tmp_path, "sleep 5")
    with pytest.raises(KeyboardInterrupt), running_browser(path, {}, None, time.monotonic() + 5):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["browser"]
    assert processes_with(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("host", "is_own"),
    [(NAME, True), ("example.org", True), ("a.shop.example.org", True), ("evil.example.net", False), ("shop.example.org", False), ("", False)],
)  # fmt: skip
def test_only_names_of_the_certificate_are_opened(site, host, is_own):
    subject = site.subject(domains=(NAME, "example.org", "*.shop.example.org"))
    assert is_own_name(host, subject) is is_own


class Recorded:
    """A browser of which only the commands are noted."""

    def __init__(self):
        self.commands = []

    def send(self, method, **parameters):
        self.commands.append((method, parameters))


def test_a_page_that_leads_to_another_name_is_not_followed(site):
    page = Page(Recorded(), site.subject())
    page.frame = "1"
    for frame, url in (
        ("1", f"https://{NAME}/"),
        ("2", "https://frame.example.net/"),
        ("1", "http://169.254.169.254/"),
    ):
        page.note("Fetch.requestPaused", {"requestId": url, "frameId": frame, "request": {"url": url}})
    assert [method for method, _parameters in page.browser.commands] == [
        "Fetch.continueRequest",
        "Fetch.continueRequest",
        "Fetch.failRequest",
    ]
    (finding,) = judge_page(page, f"https://{NAME}/", "127.0.0.1")
    assert (finding.severity, finding.code) == ("note", "served.page.redirect")


def test_a_page_that_leads_to_http_blocks(site):
    page = Page(Recorded(), site.subject())
    page.note("Page.frameNavigated", {"frame": {"id": "", "url": f"http://{NAME}/"}})
    (finding,) = judge_page(page, f"https://{NAME}/", "127.0.0.1")
    assert (finding.severity, finding.code) == ("blocks", "served.page.http")


def test_a_dialog_of_a_page_is_closed_and_its_issues_are_bounded(site):
    page = Page(Recorded(), site.subject())
    page.note("Page.javascriptDialogOpening", {})
    assert page.browser.commands == [("Page.handleJavaScriptDialog", {"accept": False})]
    for number in range(1000):
        details = {
            "resourceType": "Image",
            "resolutionStatus": "MixedContentWarning",
            "insecureURL": f"http://{number}/",
        }
        page.note("Audits.issueAdded", {"issue": {"details": {"mixedContentIssueDetails": details}}})
        page.note("Network.requestWillBeSent", {"requestId": str(number), "request": {"url": f"https://{number}/"}})
        page.note("Network.loadingFailed", {"requestId": str(number), "errorText": "net::ERR_FAILED"})
    assert len(page.mixed) == 200 and len(page.failed) == 200


def test_the_page_is_loaded_at_each_address_and_four_at_most(site, monkeypatch):
    loaded = []

    def note(subject, address, _browser):
        loaded.append((address, subject.port))
        return []

    monkeypatch.setattr(checks, "check_page", note)
    site.dns.by_name[NAME] = [f"127.0.0.{number}" for number in range(2, 9)]
    assert check_pages(site.subject(endpoints=(("127.0.0.1", 8443),)), BrowserOptions()) == []
    assert loaded == [("127.0.0.1", 8443), *((f"127.0.0.{number}", site.port) for number in (2, 3, 4))]


def test_a_name_without_addresses_has_no_page(site):
    (finding,) = check_pages(site.subject(), BrowserOptions())
    assert (finding.severity, finding.code) == ("unknown", "served.page")
    assert "create an A or AAAA record" in finding.sentence
