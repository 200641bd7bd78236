# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows once clients are seen to get a certificate from a service: further settings, and the removal of old uploads."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import (
    Binding,
    CertificateService,
    Settings,
    Upload,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.errors import Busy
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import (
    SYSTEM_CLOCK,
    Clock,
    check_settings,
    intervals,
    wait_until_ready,
)

if t.TYPE_CHECKING:
    from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Cloud

    ProveRedirect = t.Callable[[Binding], None]  # raises TlsError unless HTTP is redirected


ORDER: tuple[t.Literal["tls_versions", "hsts", "redirect"], ...] = ("tls_versions", "hsts", "redirect")
TAKE_BACK_S = 600.0  # for which it is tried to take a redirect back


class Settled(t.NamedTuple):
    """What was changed, or would be."""

    changes: list[tuple[Binding, Settings]]  # the resources as they were, and what was set there
    pending: list[str] = []  # the resources that still bring it into effect
    removed: list[str] = []  # the identifiers of the uploads that were removed
    warnings: list[str] = []


def settings_of(cloud: Cloud) -> Settings:
    """Return the settings that the inventory has, and nothing for those that it leaves out."""
    settings = Settings()
    if cloud["redirect"] is not None:
        settings["redirect"] = cloud["redirect"]
    if cloud["hsts"] is not None:
        settings["hsts"] = cloud["hsts"]
    if cloud["tls_versions"] is not None:
        settings["tls_versions"] = cloud["tls_versions"]
    return settings


def differing(binding: Binding, settings: Settings) -> Settings:
    """Return those of the settings that the resource has otherwise."""
    now: t.Mapping[str, t.Any] = binding.settings
    return t.cast(Settings, {name: value for name, value in settings.items() if now.get(name) != value})


def settle(
    service: CertificateService,
    settings: Settings,
    prove_redirect: ProveRedirect,
    patience_s: float,
    is_check: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> Settled:
    """Bring the settings of all resources into effect, each that differs.

    A redirect that is switched on is proved. Where that fails, it is switched off again, and TlsError says why.
    """
    bindings = service.bindings()
    check_settings(service, bindings, settings)
    changes = [(binding, different) for binding in bindings if (different := differing(binding, settings))]
    if is_check:
        return Settled(changes)
    deadline = clock.now() + patience_s
    changed = [binding.resource for binding, _different in changes]
    if not changed:
        return Settled([])
    late = {
        binding.resource
        for binding, one in _one_by_one(changes)
        if not _configure(service, binding, one, deadline, clock)
    }
    now = wait_until_ready(service, lambda one: not differing(one, settings), set(changed) - late, deadline, clock)
    pending = [
        one.resource for one in now if one.resource in changed and (one.state != "ready" or differing(one, settings))
    ]
    for binding, different in changes:
        if different.get("redirect") and binding.resource not in pending:
            _prove_or_take_back(service, binding, prove_redirect, clock)
    return Settled(changes, pending)


def _one_by_one(changes: list[tuple[Binding, Settings]]) -> list[tuple[Binding, Settings]]:
    """Return changes of one setting each, the redirect last. A resource takes one change at a time, and all of them change meanwhile."""
    return [
        (binding, t.cast(Settings, {name: different[name]}))
        for name in ORDER
        for binding, different in changes
        if name in different
    ]


def _configure(
    service: CertificateService, binding: Binding, settings: Settings, deadline: float, clock: Clock
) -> bool:
    """Set what differs, and return whether that was accepted: while another change is under way, it is tried until the deadline."""
    for interval in intervals():
        try:
            service.configure(binding, settings)
            return True
        except Busy:
            if clock.now() + interval > deadline:
                return False
            clock.sleep(interval)
    raise AssertionError("the intervals have no end")


def _prove_or_take_back(
    service: CertificateService, binding: Binding, prove_redirect: ProveRedirect, clock: Clock
) -> None:
    try:
        prove_redirect(binding)
    except TlsError as error:
        is_back = _configure(service, binding, Settings(redirect=False), clock.now() + TAKE_BACK_S, clock)
        what = "is taken back" if is_back else "stays on, as another change of it does not end; switch it off there"
        raise TlsError(f"{error}; the redirect of {binding.resource} {what}", **error.details) from error


def remove_old_uploads(
    service: CertificateService, prefix: str, certificate: str, keep: int, is_check: bool = False
) -> tuple[list[str], list[str]]:
    """Remove old uploads of a request; return their identifiers, and warnings for those that could not be removed.

    keep: how many of them stay, the newest ones. The certificate in use stays, and whatever is bound, or may be.
    """
    try:
        uploads = service.uploads(prefix)
    except TlsError as error:
        return [], [f"old uploads are not removed: {error}"]
    removed, warnings = [], []
    for upload in _superfluous(uploads, certificate, keep):
        if upload.is_bound is None:
            warnings.append(
                f"{upload.certificate} ({upload.label}) stays in {service.title}, as it is not known whether something is bound to it"
            )
            continue
        try:
            if not is_check:
                service.remove(upload.certificate)
            removed.append(upload.certificate)
        except TlsError as error:
            warnings.append(f"{upload.certificate} ({upload.label}) is not removed: {error}")
    return removed, warnings


def _superfluous(uploads: list[Upload], certificate: str, keep: int) -> list[Upload]:
    earlier = [upload for upload in uploads if upload.certificate != certificate]
    return [upload for upload in earlier[max(0, keep) :] if upload.is_bound is not True]


def settings_diff(service: CertificateService, changes: list[tuple[Binding, Settings]]) -> dict[str, str]:
    """Return before and after of the settings that differ, for C(--diff)."""
    before, after = "", ""
    for binding, different in changes:
        now: t.Mapping[str, t.Any] = binding.settings
        for name, value in different.items():
            before += f"{binding.resource}: {name}: {_shown(now.get(name))}\n"
            after += f"{binding.resource}: {name}: {_shown(value)}\n"
    return {"before_header": service.title, "after_header": service.title, "before": before, "after": after}


def describe_settings(changes: list[tuple[Binding, Settings]], is_check: bool) -> str:
    """Return what was set, or would be, as a sentence; nothing where nothing was."""
    verb = "would set" if is_check else "set"
    return ", ".join(
        f"{verb} {', '.join(f'{name} to {_shown(value)}' for name, value in different.items())} for {binding.resource}"
        for binding, different in changes
    )


def _shown(value: t.Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(value) if isinstance(value, list) else str(value)
