# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One message covers every way in which a value is malformed."""

from __future__ import annotations

import json

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

LOOP = []
LOOP.append(LOOP)


def nested(value):
    return nested(value[0])


@pytest.mark.parametrize(
    "read",
    [
        lambda: {}["key"],
        lambda: "".split()[0],
        lambda: None.get("key"),
        lambda: 1 + "1",
        lambda: int("one"),
        lambda: int(float("inf")),
        lambda: json.loads("{"),
        lambda: next(iter([])),
        lambda: nested(LOOP),
    ],
)
def test_a_malformed_value_is_told_in_the_message(read):
    with pytest.raises(TlsError, match="^the record is malformed; restore it$"):
        with reject_malformed_input("the record is malformed; restore it"):
            read()


def test_the_message_takes_the_place_of_another():
    with pytest.raises(TlsError, match="^malformed$"):
        with reject_malformed_input("malformed"):
            raise TlsError("a part of it is malformed")


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()])
def test_what_is_not_the_fault_of_a_value_passes(error):
    with pytest.raises(type(error)):
        with reject_malformed_input("malformed"):
            raise error
