# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service of a cloud in memory, with a clock of its own, for the tests of a deployment."""

from __future__ import annotations

import threading

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Upload
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.errors import Busy
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Clock

CHANGING = {"upload", "bind", "configure", "remove"}


class Killed(BaseException):
    """The process was killed here."""


class FakeService:
    """Resources that take *spread* seconds to follow a change.

    kill: the number of the call at which the process dies, and whether that is before or after its effect.
    """

    title = "the fake service"

    def __init__(self, *resources, spread=4.0, settings=None):
        self.time, self.spread = 0.0, spread
        self.calls = []
        self.kill, self.count = None, 0
        self.lying = {}  # identifier: (label, fingerprint)
        self.state = {
            name: {"certificate": None, "until": 0.0, "fate": "ready", "settings": dict(settings or {})}
            for name in resources
        }
        self.bound_elsewhere = set()
        self.lock = threading.RLock()

    @property
    def clock(self):
        def sleep(seconds):
            self.time += seconds

        return Clock(lambda: self.time, sleep)

    def changing_calls(self):
        return [call for call in self.calls if call[0] in CHANGING]

    def named(self, name):
        return [call for call in self.calls if call[0] == name]

    def check(self, chain):
        if fingerprint(chain[0]) == "unfit":
            raise TlsError("unfit")

    def find(self, chain, label):
        return self._call("find", lambda: self._find(fingerprint(chain[0])))

    def _find(self, wanted):
        return next((name for name, (_label, print_) in self.lying.items() if print_ == wanted), None)

    def upload(self, chain, key, label):
        assert key is not None

        def effect():
            self.count += 1
            name = f"cert-{self.count}"
            self.lying[name] = (label, fingerprint(chain[0]))
            return name

        return self._call("upload", effect, label)

    def bindings(self):
        return self._call("bindings", lambda: [self._binding(name) for name in self.state])

    def _binding(self, name):
        one = self.state[name]
        state = "busy" if self.time < one["until"] else one["fate"]
        reason = {"busy": "a change is under way", "ready": ""}.get(state, "the console says no; ask there")
        return Binding(name, one["certificate"], state, reason, dict(one["settings"]), f"{name}.cdn.example")

    def bind(self, binding, certificate):
        self._change("bind", binding.resource, certificate=certificate)

    def configure(self, binding, settings):
        self._change("configure", binding.resource, settings=settings)

    def _change(self, name, resource, certificate=None, settings=()):
        def effect():
            one = self.state[resource]
            if self.time < one["until"]:
                raise Busy(f"{resource} is busy; wait")
            if certificate:
                assert certificate in self.lying
                one["certificate"] = certificate
            one["settings"].update(settings)
            one["until"] = self.time + self.spread

        return self._call(name, effect, resource)

    def uploads(self, prefix):
        bound = {one["certificate"] for one in self.state.values()} | self.bound_elsewhere

        def effect():
            ours = [(name, *one) for name, one in self.lying.items() if one[0].startswith(prefix)]
            return [Upload(name, label, print_, name in bound) for name, label, print_ in reversed(ours)]

        return self._call("uploads", effect)

    def remove(self, certificate):
        def effect():
            if certificate in self.bound_elsewhere:
                raise TlsError(f"{certificate} is bound; unbind it first")
            del self.lying[certificate]

        return self._call("remove", effect, certificate)

    def _call(self, name, effect, *what):
        with self.lock:
            number = len(self.calls)
            self.calls.append((name, *what))
            if self.kill == (number, "before"):
                raise Killed
            result = effect()
            if self.kill == (number, "after"):
                raise Killed
            return result
