# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load the page of a name in a real browser: its security state, content over HTTP, and resources that fail.

A lock does not mean a whole page: Chromium calls a page secure whose scripts over HTTP it has blocked. Its issues tell.
"""

from __future__ import annotations

import base64
import os
import re
import time
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import make_folder, replace_file
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import is_covered
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.browser import (
    DEFAULT_BROWSER,
    Browser,
    PageTimeoutError,
    running_browser,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.subject import HTTPS_PORT, ServedSubject
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import bracketed

PAGE_TIMEOUT_S = 20.0  # for one page, from the start of the browser on
SETTLE_TIME_S = 0.5  # after the page is loaded: what its scripts do then
MAX_NOTES = 200  # issues, and failed resources, of one page
MAX_URL_CHARACTERS = 150
SOURCE = "https://www.w3.org/TR/mixed-content/"
BLOCKED = "MixedContentBlocked"
RESOLUTIONS = {
    BLOCKED: "which browsers block",
    "MixedContentAutomaticallyUpgraded": "which browsers fetch over HTTPS instead, if that host has it",
    "MixedContentWarning": "about which browsers warn",
}
DOMAIN_REMEDY = "see that its host has a certificate for that name"


class BrowserOptions(t.NamedTuple):
    """How pages are looked at."""

    path: str = DEFAULT_BROWSER
    pictures: str = ""  # the folder of pictures; empty: none are taken
    timeout: float = PAGE_TIMEOUT_S  # seconds


class Mixed(t.NamedTuple):
    """Content over HTTP of a page over HTTPS."""

    kind: str  # as in Image, Script, Frame, Form
    resolution: str  # one of RESOLUTIONS
    url: str


class Page:
    """What the browser tells about a page."""

    def __init__(self, browser: Browser, subject: ServedSubject) -> None:
        self.browser, self.subject = browser, subject
        self.frame, self.state, self.error = "", "", ""
        self.explanations: list[str] = []
        self.is_loaded = False
        self.mixed: list[Mixed] = []
        self.urls: dict[str, str] = {}
        self.failed: dict[str, str] = {}  # errors by URL
        self.left_for = ""  # a URL of another name, to which the page redirects
        self.address = ""  # the URL of the page that is shown

    def load(self, url: str) -> None:
        """Load a URL, and note what happens until the page is loaded."""
        browser = self.browser
        browser.on_event = self.note
        for domain in ("Page", "Network", "Security", "Audits"):
            browser.call(f"{domain}.enable")
        browser.call("Fetch.enable", patterns=[{"urlPattern": "*", "resourceType": "Document"}])
        self.frame = browser.call("Page.getFrameTree")["frameTree"]["frame"]["id"]
        browser.send("Page.navigate", url=url)
        browser.listen_for(lambda: self.is_loaded or bool(self.error) or bool(self.left_for))
        browser.listen(time.monotonic() + SETTLE_TIME_S)

    # not a parser: it reads messages of Chromium, whose form the protocol has fixed
    def note(self, method: str, event: dict[str, t.Any]) -> None:
        """Take down an event."""
        if method == "Page.loadEventFired":
            self.is_loaded = self.is_loaded or bool(self.address)
        elif method == "Page.frameNavigated" and event["frame"]["id"] == self.frame:
            self.address = str(event["frame"].get("url") or "")
        elif method == "Page.javascriptDialogOpening":
            self.browser.send("Page.handleJavaScriptDialog", accept=False)
        elif method == "Security.visibleSecurityStateChanged":
            self.state = str(event["visibleSecurityState"].get("securityState") or "")
        elif method == "Audits.issueAdded":
            self._note_issue(event["issue"])
        elif method == "Network.requestWillBeSent" and len(self.urls) < MAX_NOTES * 10:
            self.urls[event["requestId"]] = str(event["request"]["url"])
        elif method == "Network.loadingFailed":
            self._note_failure(event)
        elif method == "Fetch.requestPaused":
            self._decide(event)

    def _note_issue(self, issue: dict[str, t.Any]) -> None:
        details = (issue.get("details") or {}).get("mixedContentIssueDetails")
        if details and len(self.mixed) < MAX_NOTES:
            mixed = Mixed(
                str(details.get("resourceType") or "resource"),
                str(details.get("resolutionStatus") or ""),
                str(details.get("insecureURL") or ""),
            )
            if mixed not in self.mixed:
                self.mixed.append(mixed)

    def _note_failure(self, event: dict[str, t.Any]) -> None:
        url, error = self.urls.get(event["requestId"], ""), str(event.get("errorText") or "")
        if event.get("canceled") or event.get("blockedReason") or self.left_for:
            return
        if event.get("type") == "Document" and not self.address:
            self.error = self.error or error
        elif url.startswith("https://") and len(self.failed) < MAX_NOTES:
            self.failed.setdefault(url, error)

    def _decide(self, event: dict[str, t.Any]) -> None:
        """Let the browser request a document, but no page of another name in the place of this one."""
        host = _host(str(event["request"]["url"]))
        if event.get("frameId") == self.frame and not is_own_name(host, self.subject):
            self.left_for = str(event["request"]["url"])
            self.browser.send("Fetch.failRequest", requestId=event["requestId"], errorReason="BlockedByClient")
        else:
            self.browser.send("Fetch.continueRequest", requestId=event["requestId"])


def check_page(subject: ServedSubject, address: str, options: BrowserOptions) -> list[Finding]:
    """Return what a browser finds on the page of a name at an address. Nothing is raised but interrupts.

    Only URLs of the names of the certificate are opened.
    """
    name = probe_name(subject.domain)
    deadline = min(subject.deadline, time.monotonic() + options.timeout)
    port = "" if subject.port == HTTPS_PORT else f":{subject.port}"
    url = f"https://{bracketed(name)}{port}/"
    page: Page | None = None
    try:
        with running_browser(options.path, {name: address}, subject.roots, deadline) as browser:
            page = Page(browser, subject)
            page.load(url)
            findings = judge_page(page, url, address)
            if options.pictures:
                findings.append(_take_picture(page, name, address, options.pictures))
            return findings
    except PageTimeoutError as error:
        if page is None or not page.frame:
            return [Finding("unknown", "served.page", f"the page of {name} is not looked at: {error}")]
        return [*_mixed_content(page, url), _timeout(page, url, address, options.timeout)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, TlsError) as error:
        why = (
            str(error)
            if isinstance(error, TlsError)
            else f"{type(error).__name__}: {error}; try again, or update the browser"
        )
        return [Finding("unknown", "served.page", f"the page of {name} is not looked at: {why}")]


def _timeout(page: Page, url: str, address: str, seconds: float) -> Finding:
    pending = "it is still loading" if page.address else "no page has come"
    sentence = f"{url} at {address} is not loaded in a browser after {seconds:.0f} seconds ({pending}); see what the application waits for"
    return Finding("risk", "served.page.timeout", sentence, (f"security state: {page.state or 'none yet'}",))


# not a parser: it compares names
def is_own_name(host: str, subject: ServedSubject) -> bool:
    """Say whether a host is one of the names of the certificate."""
    return is_covered(host, [*subject.domains, subject.domain]) or host == probe_name(subject.domain)


# not a parser: the standard library takes the URL apart
def _host(url: str) -> str:
    try:
        return (urllib.parse.urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def judge_page(page: Page, url: str, address: str) -> list[Finding]:
    """Return the findings about a page that is loaded, or has failed."""
    where, evidence = f"{url} at {address}", (f"security state: {page.state or 'none'}",)
    if page.left_for:
        sentence = f"{where} redirects a browser to {_shown(page.left_for)}, which is no name of the certificate and is not opened; diagnose that name"
        return [Finding("note", "served.page.redirect", sentence, (page.left_for,))]
    if page.error.startswith("net::ERR_CERT"):
        sentence = f"a browser refuses {where} ({_shown(page.error)}); see the findings about its certificate and chain"
        return [Finding("blocks", "served.page.certificate", sentence, (page.error,))]
    if page.error:
        sentence = f"a browser cannot load {where} ({_shown(page.error)}); see that the server answers there"
        return [Finding("blocks", "served.page.error", sentence, (page.error,))]
    if page.address.startswith("http:"):
        sentence = f"{where} leads a browser to {_shown(page.address)}, which is not encrypted; redirect to HTTPS, not away from it"
        return [Finding("blocks", "served.page.http", sentence, (page.address, *evidence))]
    findings = [*_mixed_content(page, url), *_failures(page, url)]
    if page.state not in ("secure", ""):
        sentence = f"a browser shows {where} as {_shown(page.state)}; see the other findings, and look at it by hand"
        findings.append(Finding("risk", "served.page.state", sentence, evidence))
    if not findings:
        findings.append(
            Finding("fine", "served.page", f"a browser shows {where} as secure, with all that is on it", evidence)
        )
    return findings


def _mixed_content(page: Page, url: str) -> list[Finding]:
    """Return a finding for each kind of content over HTTP."""
    groups: dict[tuple[str, str], list[str]] = {}
    for mixed in page.mixed:
        groups.setdefault((mixed.kind, mixed.resolution), []).append(mixed.url)
    return [
        Finding(
            "blocks" if resolution == BLOCKED else "risk",
            f"served.page.mixed.{re.sub('[^a-z]', '', kind.lower())}",
            f"the page {url} asks for {_shown(urls[0])}{f' and {len(urls) - 1} more' if len(urls) > 1 else ''} over HTTP ({kind.lower()}), "
            f"{RESOLUTIONS.get(resolution, 'which is not safe')}, whatever the lock shows; write https://, or a path without a host",
            tuple(urls),
            SOURCE,
        )
        for (kind, resolution), urls in groups.items()
    ]


def _failures(page: Page, url: str) -> list[Finding]:
    """Return a finding for each host whose resources have failed."""
    upgraded = {mixed.url.replace("http://", "https://", 1) for mixed in page.mixed}
    hosts: dict[tuple[str, str], list[str]] = {}
    for failed, error in page.failed.items():
        if failed not in upgraded:
            hosts.setdefault((_host(failed), error), []).append(failed)
    return [
        Finding(
            "risk",
            "served.page.resource",
            f"the page {url} needs {_shown(urls[0])}{f' and {len(urls) - 1} more' if len(urls) > 1 else ''}, and a browser cannot load it "
            f"({_shown(error)}); {DOMAIN_REMEDY if 'CERT' in error or 'SSL' in error else f'see that {host} answers'}",
            tuple(urls),
        )
        for (host, error), urls in hosts.items()
    ]


# not a parser: Chromium has encoded the picture
def _take_picture(page: Page, name: str, address: str, folder: str) -> Finding:
    """Write a picture of the page, and return where it is."""
    content = base64.b64decode(page.browser.call("Page.captureScreenshot", format="png")["data"])
    path = os.path.join(folder, f"{re.sub('[^A-Za-z0-9._-]', '_', f'{name} {address}')}.png")
    try:
        make_folder(folder)
        replace_file(path, content)
    except OSError as error:
        raise TlsError(f"the picture of the page cannot be written: {system_error(error)}") from error
    return Finding(
        "note",
        "served.page.picture",
        f"the page of {name} at {address} is in the picture {path}; attach it to a ticket",
        (path,),
    )


def _shown(text: str) -> str:
    return shorten(text, MAX_URL_CHARACTERS)
