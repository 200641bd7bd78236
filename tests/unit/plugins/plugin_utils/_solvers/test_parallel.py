# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Functions on many items in threads, and their errors."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import (
    error_of,
    map_in_threads,
    raise_errors,
)


def fail(sentence):
    raise TlsError(sentence)


def test_results_come_in_the_order_of_the_items():
    meeting = threading.Barrier(3)  # which opens only if all three run at the same time

    def double(number):
        meeting.wait(60)
        return 2 * number

    assert map_in_threads(double, [3, 1, 2]) == [6, 2, 4]
    assert map_in_threads(double, []) == []


def test_an_error_is_returned_as_its_sentence():
    assert error_of(lambda: fail("it is missing; create it")) == "it is missing; create it"
    assert error_of(lambda: None) is None


def test_errors_are_raised_together_and_each_once():
    with pytest.raises(TlsError, match="^a; do b · c; do d$"):
        raise_errors(["a; do b", None, "c; do d", "a; do b"])
    raise_errors([None])
