# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module network_view takes and returns."""

from __future__ import annotations

import types

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.modules import network_view


@pytest.fixture
def looks(monkeypatch):
    """Return the calls of the look, which returns the name alone."""
    calls = []

    def look(names, token, resolvers, deadline):
        calls.append((names, token, resolvers))
        return [{"name": name, "errors": {}} for name in names]

    monkeypatch.setattr(network_view, "look_at_names", look)
    return calls


def decide(names, resolvers=(), timeout=20.0):
    params = {"names": list(names), "resolvers": list(resolvers), "timeout": timeout}
    return network_view.decide(types.SimpleNamespace(params=params))


def test_each_name_is_looked_at_once_with_a_token_by_chance(looks):
    result = decide(["www.example.org", "*.example.org", "2001:db8::7", "www.example.org"], ["192.0.2.53"])
    assert [one["name"] for one in result["names"]] == ["www.example.org", "*.example.org", "2001:db8::7"]
    assert (result["changed"], result["msg"]) == (False, "3 names were looked at")
    decide([], ["192.0.2.53"])
    (_names, token, resolvers), (_none, other, _resolvers) = looks
    assert len(token) == 43 and token != other
    assert resolvers == [("192.0.2.53", 53)]


@pytest.mark.parametrize("name", ["a b", "a/b", "http://a", "", "a\r\nHost: b", "*.*.a", "a" * 300])
def test_what_is_no_name_is_refused(looks, name):
    with pytest.raises(TlsError, match="names has .*; write at most 20000 domains or addresses"):
        decide([name])
    assert looks == []


def test_numbers_are_bounded(looks):
    with pytest.raises(TlsError, match="names has 20001 entries; write at most 20000"):
        decide([f"n{number}.example.org" for number in range(20001)])
    for timeout in (0, -1, 601, float("nan")):
        with pytest.raises(TlsError, match="timeout is .*; write seconds up to 600"):
            decide(["a.example"], timeout=timeout)
    assert looks == []


def test_what_is_no_resolver_is_refused(looks):
    with pytest.raises(TlsError, match="the resolver 'dns.example' is no address"):
        decide(["a.example"], ["dns.example"])
    assert looks == []
