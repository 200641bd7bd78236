# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._nginx.tls_profiles import PROFILE_VERSIONS
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REMOTE_SERVERS, REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._tls.verify import TLS_VERSIONS
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    PerRequestAction,
    diffs_and_warnings,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import is_hosted
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._pending_notifications import has_programs
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.printing import printer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.served_sites import (
    ServedSite,
    failures_text,
    served_sites,
    sites_text,
)

RESTART_TIMEOUT_S = 60.0  # that a server in Java may need until it listens again
REMOTE_TIMEOUT_FACTOR = 6  # the machines of a service follow after it says that a change is in effect
MAX_DEPLOYMENTS_AT_ONCE = 8
REMOTE_HANDSHAKES = 3  # in a row at each address of a service, where several machines may answer

display = Display()


class ActionModule(PerRequestAction):
    """Have each installed certificate of a host served, verify it as a client does, and go back to the version before on failure."""

    STEPS = (
        "certificate_deploy",
        "certificate_export",
        "certificate_info",
        "certificate_install",
        "handshake_verify",
        "nginx_reload",
    )
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "requests": {**REQUEST_SPEC, "type": "list", "elements": "dict"},
        "directory": {"type": "path", "default": "/etc/evergreen"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "obtained": {"type": "dict", "default": {}},
        "refused": {"type": "dict", "default": {}},
        "sites": {"type": "list", "elements": "dict", "default": []},
        "profile": {"type": "str", "choices": ["modern", "intermediate"], "default": "intermediate"},
        "started": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 10},
        "verify_from": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        obtained = Obtained(arguments["obtained"])
        served: list[ServedSite] = []

        async def run_step(name: str, step_arguments: dict[str, t.Any]) -> dict[str, t.Any]:
            return await self.run_step(name, step_arguments, task_vars)

        async def serve(request: dict[str, t.Any]) -> dict[str, t.Any]:
            pending = obtained.pending(request["name"])
            # The certificate in use meanwhile may have fewer names, and another issuer.
            request = request if pending is None else limited_to(request, pending)
            service = Service(request, arguments, run_step, obtained, is_pending=pending is not None)
            result = await service.serve()
            if service.handshakes and not (result.get("failed") or result.get("waiting")):
                found = served_sites(request, service.sites(request), service.handshakes, arguments["issuers"])
                served.extend(found)
            return result

        requests = [
            request
            for request in arguments["requests"]
            if not (obtained.is_missing(request["name"]) or request["name"] in arguments["refused"])
        ]
        self.invalid = {
            name: why
            for name, why in self.invalid.items()
            if not (obtained.is_missing(name) or name in arguments["refused"])
        }
        # Services are waited for side by side; everything else is done one after the other.
        remote = sum(request["served_by"] in REMOTE_SERVERS for request in requests)
        result = self.run_requests(requests, serve, at_once=max(1, min(remote, MAX_DEPLOYMENTS_AT_ONCE)))
        if served and arguments["started"] and not self._task.check_mode:
            failures = failures_text(arguments["obtained"])  # after the sites, since the last lines are read first
            printer(display.display)("\n".join(filter(None, (sites_text(served), failures))))
        return {**result, "sites": served}


class Obtained:
    """What certificate_obtain returned for the requests of the host; nothing of it needs to be there."""

    def __init__(self, result: dict[str, t.Any]) -> None:
        self._certificates = {one["name"]: one for one in result.get("certificates") or []}
        self._nginx = result.get("nginx") or {}

    def is_missing(self, name: str) -> bool:
        """Say whether there is no certificate to serve: it could not be obtained, or is pending and none is in use."""
        certificate = self._certificates.get(name, {})
        is_pending_first = "waiting" in certificate and "fingerprint" not in certificate
        return bool(certificate.get("failed")) or is_pending_first

    def pending(self, name: str) -> dict[str, t.Any] | None:
        """Return what certificate_obtain returned as C(waiting) for a request that is pending, else None."""
        return self._certificates.get(name, {}).get("waiting")

    def fingerprint(self, name: str) -> str | None:
        """Return the SHA-256 fingerprint of the installed certificate; nginx_sites read it last."""
        return (self._nginx.get("fingerprints") or {}).get(name) or self._certificates.get(name, {}).get("fingerprint")

    def is_loaded(self, name: str) -> bool:
        """Say whether nginx has loaded the certificate in this run already."""
        return name in (self._nginx.get("loaded") or [])


class Service:
    """One installed certificate, until clients are seen to get it, or the version before."""

    def __init__(
        self,
        request: dict[str, t.Any],
        arguments: dict[str, t.Any],
        step: t.Callable[[str, dict[str, t.Any]], t.Awaitable[dict[str, t.Any]]],
        obtained: Obtained,
        is_pending: bool = False,
    ) -> None:
        self.request, self.arguments, self.step, self.is_pending = request, arguments, step, is_pending
        self.obtained = obtained
        self.canonical_names: dict[str, str] = {}  # of the domains that a cloud serves
        self.validity: dict[str, str] | None = None  # of a certificate that a cloud makes
        self.handshakes: list[dict[str, t.Any]] = []  # of the last proof
        self.steps: list[dict[str, t.Any]] = []  # their results, for what Ansible shows of them

    async def serve(self) -> dict[str, t.Any]:
        """Have the installed version served, and verify that; return the result for the request."""
        known = self.obtained.fingerprint(self.request["name"])
        is_remote = self.request["served_by"] in REMOTE_SERVERS
        # Exports come first: if the run is killed after them, a handshake shows that nginx has still to be reloaded.
        exported = await self._export(self.request)
        is_export_done = not _has_news(exported)
        # A deployment compares the settings of a service as well; a renewal leaves it alone where clients get the certificate.
        may_skip = not self.arguments["started"] if is_remote else self.arguments["verify_from"] == "controller"
        notified: dict[str, t.Any] = {}
        if known and may_skip and is_export_done:
            handshake = await self._handshake(self.request, known, timeout=0)
            if not handshake.get("failed") and not handshake["problems"]:
                notified = await self._notify(self.request, exported)
                if not _has_news(notified):
                    return {"msg": handshake["msg"], **diffs_and_warnings([*self.steps, handshake])}
        loaded = await self._load(self.request, exported, started=self.arguments["started"])
        later = self._later_names(loaded)
        if loaded.get("waiting") and not later:
            return self._waiting(loaded)
        if later:  # names that were added to the request wait for deploy; the others are proved
            domains = complete_request(self.request)["domains"]
            self.request = {**self.request, "domains": [domain for domain in domains if domain not in later]}
        if not (notified or loaded.get("failed")):
            notified = await self._notify(self.request, exported)
        verified = loaded if loaded.get("failed") or self.is_pending else await self._verify(self.request, loaded)
        # Only check mode has problems without a failure. What would be done is said in the place of what clients do not get yet.
        is_planned = is_remote and loaded.get("changed") and verified.get("problems") and not verified.get("failed")
        result = {"msg": (loaded if is_planned else verified)["msg"], "failed": bool(verified.get("failed"))}
        failures = [exported["msg"]] if exported.get("failed") and loaded is not exported else []
        if loaded.get("reason"):
            result["reason"] = loaded["reason"]
        is_reloaded = loaded.get("changed") and loaded is not exported
        is_new = is_reloaded or any(step.get("fresh") for step in (loaded, exported, notified))
        is_new = is_new or self.obtained.is_loaded(self.request["name"])
        # A version that was served before this run may never have been verified: a run may have been killed right after its reload.
        if result["failed"] and verified.get("untrusted") and await self._would_fail_alike():
            result["msg"] += ". The version before leads to the same CA and would fail alike, so nothing is put back"
        elif result["failed"] and not is_hosted(self.request) and (is_new or verified.get("answered")):
            message, put_back = await self._go_back(bool(is_new))
            result["msg"] = f"{result['msg']}. {message}"
            result.update({"put_back": put_back} if put_back else {})
        elif is_remote and not result["failed"]:
            settled = await self._deploy(self.request, is_proved=True)
            result["failed"] = bool(settled.get("failed"))
            result["msg"] = ", ".join(dict.fromkeys(filter(None, (result["msg"], settled["msg"]))))
        result["failed"] = result["failed"] or bool(exported.get("failed"))
        finished = [step["msg"] for step in (exported, notified) if step.get("changed") and not _has_failed(step)]
        if finished:
            result["exported"] = ", ".join(finished)
        unfinished = notified if _has_failed(notified) else exported
        if unfinished.get("unnotified") or unfinished is notified:
            result["failed"] = True
            failures.append(unfinished["msg"])
        if later and not result["failed"]:
            result["waiting"] = {"for": loaded["waiting"]["for"]}
            result["msg"] = f"{result['msg']}; {loaded['waiting']['for']}"
        result["msg"] = ". ".join([result["msg"], *failures])  # after the proof, since what is left to do is read last
        return {**result, "changed": any(step.get("changed") for step in self.steps), **diffs_and_warnings(self.steps)}

    def _waiting(self, loaded: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result where a service has not brought a change into effect yet; what was served before goes on being served."""
        changed = any(step.get("changed") for step in self.steps)
        result = {"msg": loaded["msg"], "failed": False, "changed": changed, "waiting": loaded["waiting"]}
        return {**result, **diffs_and_warnings(self.steps)}

    def _later_names(self, loaded: dict[str, t.Any]) -> list[str]:
        """Return the domains that wait for deploy, as the host says; only those that the inventory gives a site count."""
        named = (loaded.get("waiting") or {}).get("names") or []
        return [name for name in self._await_names(self.request) if name in named]

    async def _would_fail_alike(self) -> bool:
        """Return whether clients that do not trust the version in use would not trust the one before either."""
        store = {"directory": self.arguments["directory"], "name": self.request["name"]}
        info = await self.step("certificate_info", store)
        certificate: dict[str, t.Any] = next(iter(info.get("certificates") or []), {})
        return certificate.get("same_ca") is True

    async def _go_back(self, is_new: bool) -> tuple[str, str | None]:
        """Have the version before served again. Return a message, and the version before if it is in use then.

        If the version before fails as well, and the one that failed is not new in this run, the version is not the cause. The newer
        one is put in use again.
        """
        back = await self._install(state="previous")
        if "put_back" not in back:
            return back["msg"], None
        request = limited_to(self.request, back.get("certificate") or {})
        loaded = await self._load_and_notify(request)
        verified = loaded if loaded.get("failed") else await self._verify(request, loaded)
        if not verified.get("failed"):
            return f"{back['msg']}: {verified['msg']}", back["put_back"]
        if is_new:
            server = {"nginx": "nginx", "cloud": "the cloud", "appliance": "the appliance"}.get(
                request["served_by"], "the host"
            )
            failure = (
                f"but {server} does not present it"
                if verified is loaded
                else f"and {server} presents it, but it is not proved"
            )
            return f"{back['msg']}, {failure}: {verified['msg']}", back["put_back"]
        forth = await self._install()
        again = forth if forth.get("failed") else await self._load_and_notify(self.request)
        version = f"{back['put_back']} of {self.request['name']}"
        messages = [f"{version}, the version before, is not proved either: {verified['msg']}", forth["msg"]]
        if again.get("failed") and again is not forth:
            messages.append(again["msg"])
        return ". ".join(messages), back["put_back"] if forth.get("failed") else None

    async def _handshake(self, request: dict[str, t.Any], fingerprint: str | None, timeout: float) -> dict[str, t.Any]:
        """Return the result of handshake_verify; timeout: seconds."""
        expected = {
            "fingerprint": fingerprint,
            "timeout": timeout,
            "verify_from": self.arguments["verify_from"],
            **self._proxy_protocol(request),
            **self._http3_names(request),
            **self._tls_versions(request),
        }
        if request["served_by"] in REMOTE_SERVERS:  # the host is the controller
            expected |= {
                "verify_from": "controller",
                "times": REMOTE_HANDSHAKES,
                "canonical_names": self.canonical_names,
                "validity": self.validity,
            }
        arguments = {"request": request, "issuers": self.arguments["issuers"], **expected}
        result = await self.step("handshake_verify", arguments)
        self.handshakes = result.get("handshakes") or []
        return result

    async def _verify(self, request: dict[str, t.Any], loaded: dict[str, t.Any]) -> dict[str, t.Any]:
        """Verify that clients get the certificate that was loaded; wait longer where units were restarted."""
        timeout = self.arguments["timeout"]
        if any(step.get("units") or step.get("commands") for step in self.steps):
            timeout = max(timeout, RESTART_TIMEOUT_S)
        if request["served_by"] in REMOTE_SERVERS:
            timeout *= REMOTE_TIMEOUT_FACTOR
        return self._recorded(await self._handshake(request, loaded.get("fingerprint"), timeout))

    async def _export(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Bring the exports up to date, and notify all programs unless nginx is to be reloaded before the others.

        Return the result of certificate_export, empty if there is nothing to do.
        """
        if request["served_by"] in REMOTE_SERVERS or (not request["exports"] and request["served_by"] == "nginx"):
            return {}
        is_first_part = request["served_by"] == "nginx" and has_programs(request)
        return await self._run_export(request, "exports" if is_first_part else "all")

    async def _notify(self, request: dict[str, t.Any], exported: dict[str, t.Any]) -> dict[str, t.Any]:
        """Notify the programs of the request after nginx was reloaded. Return the result of certificate_export, empty if there are none."""
        if request["served_by"] != "nginx" or not has_programs(request):
            return {}
        return await self._run_export(request, "programs" if exported.get("failed") else "all")

    async def _run_export(self, request: dict[str, t.Any], part: str) -> dict[str, t.Any]:
        """Return the result of certificate_export. Programs of the request that could not be notified are no failure of it.

        The certificate is in use and may be proved all the same; C(unnotified) says that they have to be notified again.
        """
        step = self._recorded(await self.step("certificate_export", {**self._store(request), "part": part}))
        return {**step, "failed": False} if step.get("unnotified") else step

    async def _load_and_notify(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Have the version in use loaded and notify all programs. Return the result, of which the message names all failures."""
        exported = await self._export(request)
        loaded = await self._load(request, exported)
        notified = {} if loaded.get("failed") else await self._notify(request, exported)
        return {**loaded, "msg": f"{loaded['msg']}. {notified['msg']}"} if _has_failed(notified) else loaded

    async def _load(self, request: dict[str, t.Any], exported: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
        """Have nginx load what is in use. Other programs load the exports, and the result is that of certificate_export."""
        if request["served_by"] in REMOTE_SERVERS:
            return await self._deploy(request)
        if request["served_by"] != "nginx" or (exported.get("failed") and exported.get("fresh")):
            return exported
        # In a renewal, the first certificate of a site may come before the site: evergreen.tls.deploy writes that.
        waits = {} if self.arguments["started"] else {"await_site": True, "await_names": self._await_names(request)}
        arguments = {**self._store(request), **self._proxy_protocol(request), **waits, **more}
        loaded = await self.step("nginx_reload", arguments)
        if loaded.get("waiting") and not self.sites(request):
            sentence = f"{loaded['waiting']['for']}, once nginx_sites has a site for it"
            loaded = {**loaded, "msg": sentence, "waiting": {"for": sentence}}
        return self._recorded(loaded)

    def _await_names(self, request: dict[str, t.Any]) -> list[str]:
        """Return the domains of a request that evergreen.tls.deploy gives a site, so that a renewal need not fail where it has not yet."""
        domains = complete_request(request)["domains"]
        names = {name for site in self.sites(request) for name in site.get("server_names") or domains}
        return [] if self.arguments["started"] else [domain for domain in domains if domain in names]

    def _proxy_protocol(self, request: dict[str, t.Any]) -> dict[str, bool]:
        """Return the argument by which handshakes begin with a header of the PROXY protocol, where a site of the request asks for it."""
        is_used = any(boolean(site.get("proxy_protocol"), strict=False) for site in self.sites(request))
        return {"proxy_protocol": True} if is_used else {}

    def _http3_names(self, request: dict[str, t.Any]) -> dict[str, list[str]]:
        """Return the argument that names what is proved over QUIC as well: the names of the sites of the request that have HTTP/3."""
        sites = [site for site in self.sites(request) if boolean(site.get("http3"), strict=False)]
        names = [name for site in sites for name in site.get("server_names") or request["domains"]]
        return {"http3_names": list(dict.fromkeys(names))} if names else {}

    def _tls_versions(self, request: dict[str, t.Any]) -> dict[str, list[str]]:
        """Return the argument by which handshakes show that no other versions of TLS are accepted than those of the sites."""
        versions: set[str] = set()
        for site in self.sites(request):
            own, profile = site.get("tls_versions"), site.get("profile") or self.arguments["profile"]
            versions.update(own if isinstance(own, list) and own else PROFILE_VERSIONS.get(str(profile), TLS_VERSIONS))
        return {"tls_versions": sorted(versions)} if len(versions & set(TLS_VERSIONS)) == len(versions) == 1 else {}

    def sites(self, request: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        """Return the sites of nginx that have the certificate of a request."""
        sites = self.arguments["sites"] if request["served_by"] == "nginx" else []
        return [site for site in sites if (site.get("certificate") or site.get("name")) == request["name"]]

    async def _deploy(self, request: dict[str, t.Any], is_proved: bool = False) -> dict[str, t.Any]:
        """Bring what is in use to the service that presents it. Once it is proved, the settings of the service follow."""
        arguments = {**self._store(request), "issuers": self.arguments["issuers"], "proved": is_proved}
        deployed = self._recorded(await self.step("certificate_deploy", arguments))
        self.canonical_names, self.validity = deployed.get("canonical_names") or {}, deployed.get("validity")
        return deployed

    async def _install(self, **more: t.Any) -> dict[str, t.Any]:
        issuers = {"issuers": self.arguments["issuers"]}
        return self._recorded(await self.step("certificate_install", {**self._store(self.request), **issuers, **more}))

    def _store(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        return {"request": request, "directory": self.arguments["directory"]}

    def _recorded(self, step: dict[str, t.Any]) -> dict[str, t.Any]:
        step = {"msg": "", **step}  # a host that was taken over may leave it out
        self.steps.append(step)
        return step


def _has_failed(exported: dict[str, t.Any]) -> bool:
    """Return whether exports could not be written, or programs could not be notified."""
    return bool(exported.get("failed") or exported.get("unnotified"))


def _has_news(exported: dict[str, t.Any]) -> bool:
    """Return whether certificate_export has changed anything, or could not."""
    return bool(exported.get("changed")) or _has_failed(exported)


def limited_to(request: dict[str, t.Any], certificate: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a request for those of its domains that a certificate covers, which may be older than some of them."""
    names = certificate.get("names")
    names = names if isinstance(names, list) else []
    domains = [domain for domain in complete_request(request)["domains"] if domain in names]
    return {**request, "domains": domains or [name for name in names if isinstance(name, str)]}
