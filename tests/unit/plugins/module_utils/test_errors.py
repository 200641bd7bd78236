# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors are sentences that end in what to do."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import (
    REMEDIES,
    TlsError,
    error_text,
    errors_as,
    is_failure,
    system_error,
    unexpected_error,
)


def test_an_error_is_its_sentence_and_keeps_details_beside_it():
    error = TlsError("nginx is not installed; install it", missing="nginx")
    assert str(error) == "nginx is not installed; install it"
    assert error.details == {"missing": "nginx"}


def test_an_error_without_details_has_none():
    assert TlsError("something; do something").details == {}


@pytest.mark.parametrize("number", sorted(REMEDIES))
def test_what_the_system_refuses_is_said_with_its_place_and_a_remedy(number):
    sentence = str(system_error(OSError(number, os.strerror(number), "/etc/evergreen")))
    assert sentence == f"/etc/evergreen: {os.strerror(number)}; {REMEDIES[number]}"


def test_what_no_remedy_is_known_for_still_ends_in_what_to_do():
    error = OSError(errno.ENODEV, "No such device", "/a")
    assert str(system_error(error)) == "/a: No such device; put that right and run this again"


def test_an_error_without_a_file_or_a_number_is_a_sentence_too():
    assert str(system_error(OSError(errno.ENOSPC, "No space left on device"))) == (
        "No space left on device; free some space there and run this again"
    )
    assert str(system_error(OSError("timed out"))) == "timed out; put that right and run this again"


def test_a_real_refusal_names_the_file(tmp_path):
    with pytest.raises(OSError) as caught:
        (tmp_path / "missing/file").write_bytes(b"")
    assert str(system_error(caught.value)) == (
        f"{tmp_path}/missing/file: No such file or directory; create what is missing and run this again"
    )


class PanicException(BaseException):
    """As Rust's panics are in Python: they have this name, and are no Exception."""


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError("odd"), RecursionError("odd"), PanicException("odd")])
def test_whatever_a_library_raises_becomes_the_sentence(error):
    with pytest.raises(TlsError) as caught, errors_as(lambda text: f"it cannot be read ({text}); have it sent again"):
        raise error
    assert str(caught.value).startswith(f"it cannot be read ({type(error).__name__}: ")
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [TlsError("a sentence; do this"), OSError(errno.EACCES, "no"), KeyboardInterrupt()])
def test_sentences_errors_of_the_system_and_interrupts_pass(error):
    with pytest.raises(type(error)) as caught, errors_as(str):
        raise error
    assert caught.value is error
    assert is_failure(error) is not isinstance(error, KeyboardInterrupt)


def test_the_text_of_an_error_is_one_short_line_that_is_safe_to_print():
    assert error_text(ValueError("a\x1b[2J\n\u202eb")) == "ValueError: a?[2J ?b"
    assert len(error_text(ValueError("x" * 10_000))) == 200
    assert error_text(MemoryError()) == "MemoryError"
    assert unexpected_error(ValueError("odd")) == (
        "it ended in an error that is not foreseen (ValueError: odd); run this again with -vvv, and report what that shows"
    )
