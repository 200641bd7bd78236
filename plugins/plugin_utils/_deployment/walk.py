# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that bring an installed certificate to a service, and have its resources present it.

Look by content, upload once, bind, wait. A run may be killed between any two calls: the next one finds the upload by its content and
the bindings as they are, and goes on from there. Nothing is remembered on the controller.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import (
    Binding,
    CertificateService,
    Settings,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.errors import Busy

if t.TYPE_CHECKING:
    import contextlib

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

POLL_INTERVALS_S = (1.0, 2.0, 3.0, 5.0, 8.0, 10.0)  # between two looks at the bindings; the last one is repeated


class Clock(t.NamedTuple):
    """How time passes."""

    now: t.Callable[[], float] = time.monotonic  # in seconds
    sleep: t.Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()
NO_SETTINGS = Settings()


class Pair(t.NamedTuple):
    """An installed certificate. Its key is read when it is uploaded, and not before."""

    chain: list[x509.Certificate]  # the leaf first, without the root
    read_key: t.Callable[[], PrivateKeyTypes]
    label: str  # under which it is uploaded
    lock: t.Callable[
        [], contextlib.AbstractContextManager[t.Any]
    ]  # against another run on this machine, for look and upload


class Deployment(t.NamedTuple):
    """What was done, and what the resources are bound to now."""

    certificate: str | None  # the service's identifier; None where it would be uploaded
    is_uploaded: bool  # whether this run uploaded it, or would
    bound: list[Binding]  # the resources that were bound to it, as they were before
    bindings: list[Binding]  # all resources, as they are now
    pending: list[Binding] = []  # those that still bring the change into effect; what clients get is open

    @property
    def is_changed(self) -> bool:
        """Whether something was changed, or would be."""
        return self.is_uploaded or bool(self.bound)


def deploy_certificate(
    service: CertificateService,
    pair: Pair,
    patience_s: float,
    is_check: bool = False,
    clock: Clock = SYSTEM_CLOCK,
    settings: Settings = NO_SETTINGS,
) -> Deployment:
    """Have all resources of a service present an installed certificate, and return what was done.

    patience_s: seconds that the service has to bring it into effect; what takes longer is in C(pending).
    settings: what settle() is to set once the certificate is proved.
    Raises TlsError before anything is uploaded where the service cannot serve the certificate, or a resource is unfit.
    """
    service.check(pair.chain)
    before = fit_bindings(service)
    check_settings(service, before, settings)
    if is_check:
        certificate = service.find(pair.chain, pair.label)
        return Deployment(certificate, certificate is None, _to_bind(before, certificate), before)
    certificate, is_uploaded = _find_or_upload(service, pair)
    deadline = clock.now() + patience_s
    to_bind = _to_bind(before, certificate)
    bound = [binding for binding in to_bind if _bind(service, binding, certificate, deadline, clock)]
    bindings = before
    if bound or any(binding.state == "busy" for binding in before):
        concerned = {binding.resource for binding in before} - {one.resource for one in to_bind if one not in bound}
        bindings = wait_until_ready(service, lambda one: one.certificate == certificate, concerned, deadline, clock)
        _check_bound(service, bindings, certificate, concerned)
    pending = [binding for binding in bindings if binding.state != "ready" or binding.certificate != certificate]
    return Deployment(certificate, is_uploaded, bound, bindings, pending)


def _check_bound(
    service: CertificateService, bindings: list[Binding], certificate: str, resources: t.Container[str]
) -> None:
    """Raise TlsError where a resource is ready, and bound to another certificate all the same."""
    for binding in bindings:
        if binding.resource in resources and binding.state == "ready" and binding.certificate != certificate:
            raise TlsError(
                f"{service.title}: {binding.resource} was to be bound to {certificate}, which was accepted, and is bound to "
                f"{binding.certificate or 'no certificate'}; see who else changes it, and run this again"
            )


def fit_bindings(service: CertificateService) -> list[Binding]:
    """Return the bindings of a service. Raises TlsError where there is none, or a resource cannot be changed as it is."""
    bindings = service.bindings()
    if not bindings:
        raise TlsError(f"{service.title} names no resource; write cloud.resources in the certificate request")
    unfit = [f"{binding.resource}: {binding.reason}" for binding in bindings if binding.state == "unfit"]
    if unfit:
        raise TlsError(f"{service.title}: {'. '.join(unfit)}")
    return bindings


def check_settings(service: CertificateService, bindings: t.Iterable[Binding], settings: Settings) -> None:
    """Raise TlsError for a setting that a resource does not have."""
    for binding in bindings:
        unknown = [name for name in settings if name not in binding.settings]
        if unknown:
            raise TlsError(
                f"{service.title}: {binding.resource} has no setting {', '.join(unknown)} that can be changed here; "
                f"take {' and '.join(f'cloud.{name}' for name in unknown)} out of the certificate request"
            )


def _find_or_upload(service: CertificateService, pair: Pair) -> tuple[str, bool]:
    """Return the identifier of the certificate with the service, and whether it was uploaded now.

    The lock has a second run on this machine wait, and find what the first one uploaded.
    """
    with pair.lock():
        certificate = service.find(pair.chain, pair.label)
        if certificate is not None:
            return certificate, False
        return service.upload(pair.chain, pair.read_key(), pair.label), True


def _to_bind(bindings: list[Binding], certificate: str | None) -> list[Binding]:
    """Return the bindings that have to be changed. One that failed is tried again."""
    return [
        binding
        for binding in bindings
        if certificate is None or binding.certificate != certificate or binding.state == "failed"
    ]


def _bind(service: CertificateService, binding: Binding, certificate: str, deadline: float, clock: Clock) -> bool:
    """Bind a resource, and return whether that was accepted: while another change is under way, it is tried until the deadline."""
    for interval in intervals():
        try:
            service.bind(binding, certificate)
            return True
        except Busy:
            if clock.now() + interval > deadline:
                return False
            clock.sleep(interval)
            current = {one.resource: one for one in service.bindings()}
            binding = current.get(binding.resource, binding)
            if binding.certificate == certificate and binding.state != "failed":
                return True  # another run has bound it
    raise AssertionError("the intervals have no end")


def wait_until_ready(
    service: CertificateService,
    is_done: t.Callable[[Binding], bool],
    resources: t.Container[str],
    deadline: float,
    clock: Clock,
) -> list[Binding]:
    """Return the bindings once those of the resources are ready and done, or at the deadline as they are then.

    Raises TlsError where the service says that a change failed.
    """
    for interval in intervals():
        bindings = service.bindings()
        concerned = [binding for binding in bindings if binding.resource in resources]
        failed = [f"{one.resource}: {one.reason}" for one in concerned if one.state in ("failed", "unfit")]
        if failed:
            raise TlsError(f"{service.title}: {'. '.join(failed)}")
        if all(binding.state == "ready" and is_done(binding) for binding in concerned):
            return bindings
        if clock.now() + interval > deadline:
            return bindings
        clock.sleep(interval)
    raise AssertionError("the intervals have no end")


def intervals() -> t.Iterator[float]:
    """Return the seconds between two looks, without end."""
    yield from POLL_INTERVALS_S
    while True:
        yield POLL_INTERVALS_S[-1]


def describe_deployment(service: CertificateService, pair: Pair, done: Deployment, is_check: bool) -> str:
    """Return what was done, or would be, as a sentence."""
    if not done.is_changed:
        return f"{', '.join(binding.resource for binding in done.bindings)}: bound to it already in {service.title}"
    steps = []
    if done.is_uploaded:
        verb = "would upload" if is_check else "uploaded"
        steps.append(f"{verb} the certificate (SHA-256 {fingerprint(pair.chain[0])[:16]}…) to {service.title}")
    if done.bound:
        verb = "would bind" if is_check else "bound"
        steps.append(f"{verb} it to {', '.join(map(_replaced, done.bound))}")
    return " and ".join(steps)


def _replaced(binding: Binding) -> str:
    return f"{binding.resource} in place of {binding.certificate}" if binding.certificate else binding.resource


def deployment_diff(service: CertificateService, pair: Pair, done: Deployment) -> dict[str, str]:
    """Return before and after of what each changed resource is bound to, for C(--diff)."""
    after = describe_certificate(pair.chain[0]) if pair.chain else "made and kept by the cloud"
    return {
        "before_header": service.title,
        "after_header": service.title,
        "before": "".join(f"{one.resource}: {one.certificate or 'no certificate'}\n" for one in done.bound),
        "after": "".join(f"{one.resource}: {done.certificate or 'a new upload'} ({after})\n" for one in done.bound),
    }
