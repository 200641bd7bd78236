# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a parser is fed, it returns a value or says in a sentence what to do, in bounded time and space."""

from __future__ import annotations

import ast
import os
import pathlib
import random
import re
import resource
import subprocess
import sys
import warnings

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import config, process
from ansible_collections.evergreen.tls.plugins.module_utils._tls import handshake
from ansible_collections.evergreen.tls.tests.faults.mutations import mutate
from ansible_collections.evergreen.tls.tests.faults.parsers import parser as parser_module
from ansible_collections.evergreen.tls.tests.faults.parsers.issuance import remove_folders
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, decode_text, feed
from ansible_collections.evergreen.tls.tests.faults.parsers.table import PARSERS
from ansible_collections.evergreen.tls.tests.faults.regressions import REGRESSIONS
from ansible_collections.evergreen.tls.tests.unit.servers import servers

PLUGINS = pathlib.Path(__file__).parents[2] / "plugins"
EXAMPLES, EXAMPLES_OF_SAMPLE = 3000, 150  # inputs that hypothesis makes for each parser
GUIDED_SECONDS = 4  # that atheris spends on each parser, in the whole suite
MAX_MEMORY_MIB = 1024  # that a parser may use, whatever it is fed
GUIDED = pathlib.Path(__file__).with_name("coverage_guided.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "ignore"}

each_parser = pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)


@pytest.fixture(autouse=True, scope="module")
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, about certificates that it takes all the same
        yield
    remove_folders()


def inputs(parser):
    """Return what hypothesis feeds a parser: bytes and text by chance, and mutated seeds."""
    mutated = st.builds(
        lambda seed, chance: mutate(parser.kind, seed, chance, parser.seeds, parser.signer),
        st.sampled_from(parser.seeds),
        st.integers(0, 2**32).map(random.Random),
    )
    by_chance = st.one_of(st.binary(), st.text().map(lambda words: words.encode(errors="surrogateescape")))
    return st.one_of(by_chance, mutated, mutated, mutated)


def feed_examples(parser, examples):
    """Feed a parser the inputs that hypothesis makes; return their number."""
    count = 0

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(parser))
    def feed_once(content):
        nonlocal count
        count += 1
        feed(parser, content)

    feed_once()
    return count


@each_parser
def test_a_parser_returns_or_says_what_to_do_whatever_it_is_fed(parser, tally, is_sample):
    for content in parser.seeds:
        feed(parser, content)
    count = feed_examples(parser, EXAMPLES_OF_SAMPLE if is_sample else EXAMPLES)
    tally.add_inputs(parser.file, parser.what, count + len(parser.seeds))


def test_a_parser_is_labelled_with_the_file_that_it_tests():
    for parser in PARSERS:
        paths = [PLUGINS / f"{layer}{parser.file}.py" for layer in ("", "module_utils/_", "plugin_utils/_")]
        assert any(path.is_file() for path in paths), parser.name


def test_what_once_broke_a_parser_does_not_any_more(tally):
    parsers = {parser.name: parser for parser in PARSERS}
    assert set(REGRESSIONS) <= set(parsers)
    for name, contents in REGRESSIONS.items():
        for content in contents:
            feed(parsers[name], content)
        tally.add_inputs(parsers[name].file, parsers[name].what, len(contents))


def test_no_parser_has_taken_more_memory_than_it_may():
    """Runs behind the others, whose peak it sees."""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MAX_MEMORY_MIB * 1024


@each_parser
def test_no_new_way_through_a_parser_leads_to_an_error(parser, tally, is_sample, tmp_path):
    if is_sample:
        pytest.skip("coverage leads through the parsers in the whole suite alone")
    (tmp_path / "corpus").mkdir()
    for number, content in enumerate([*parser.seeds, *REGRESSIONS.get(parser.name, [])]):
        if len(content) < 5000:
            (tmp_path / "corpus" / f"seed{number}").write_bytes(content)
    ended = guided(tmp_path, parser.name, f"-max_total_time={GUIDED_SECONDS}", f"-rss_limit_mb={MAX_MEMORY_MIB}")
    runs = [
        int(line.split()[1]) for line in ended.stderr.splitlines() if line.startswith("stat::number_of_executed_units:")
    ]
    assert ended.returncode == 0 and runs, f"{left_inputs(tmp_path)}\n{ended.stderr[-3000:]}"
    tally.add_inputs(parser.file, parser.what, runs[0])


def guided(folder, parser, *options):
    """Have atheris feed a parser, beginning with what is in the corpus of a folder; return how that ended."""
    return subprocess.run(
        [sys.executable, str(GUIDED), parser, str(folder / "corpus"), *options],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "TMPDIR": str(folder)},
        cwd=folder,
        timeout=600,
        check=False,
    )


def left_inputs(folder):
    """Return the inputs that atheris left behind, as they would stand in regressions.py."""
    return "\n".join(repr(path.read_bytes()) for path in sorted(folder.glob("*-*")) if path.is_file())


# -- the suite can fail ----------------------------------------------------------------------------------------------

FAULTY_PARSERS = {
    "raises another error": (int, "ValueError: invalid literal"),
    "says what is wrong, and not what to do": (lambda words: fail_with("it is no number"), "ends in no advice"),
    "does not end": (lambda words: endless() if "7" in words else None, "Hang: no end within"),
    "panics": (lambda _words: panic(), "Panic"),
}


class Panic(BaseException):
    """As pyo3_runtime.PanicException, which is no Exception."""


def fail_with(sentence):
    raise TlsError(sentence)


def endless():
    while True:
        pass


def panic():
    raise Panic


@pytest.mark.parametrize("fault", FAULTY_PARSERS)
def test_a_faulty_parser_is_found(fault, monkeypatch):
    monkeypatch.setattr(parser_module, "PROCESSOR_TIMEOUT_S", 0.2)
    parse, message = FAULTY_PARSERS[fault]
    with pytest.raises(AssertionError, match=message):
        feed_examples(
            Parser("faulty", fault, lambda content: parse(decode_text(content)), (b"17", b"18")), EXAMPLES_OF_SAMPLE
        )


def test_coverage_leads_to_what_chance_does_not_find(tmp_path):
    """A ladder of comparisons, which only whoever sees each step climbs: so atheris sees inside of the plugins."""
    (tmp_path / "corpus").mkdir()
    ended = guided(tmp_path, "--ladder", "-max_total_time=120", "-seed=1")
    assert ended.returncode != 0 and "the top of the ladder" in ended.stdout, ended.stdout + ended.stderr


# -- nothing is forgotten --------------------------------------------------------------------------------------------

# Whatever takes foreign bytes or words apart goes through one of these, all of which raise for what they do not like.
TAKES_APART = {
    *("load_der_x509_certificate", "load_pem_x509_certificate", "load_pem_x509_csr", "load_pem_x509_crl"),
    *("load_pem_private_key", "load_pem_public_key", "PEM_cert_to_DER_cert", "public_key", "get_extension_for_class"),
    *("loads", "raw_decode", "fromisoformat", "strptime", "ip_network", "ip_address", "IPv6Address", "int", "float"),
    *(
        "decode",
        "encode",
        "pack",
        "split",
        "splitlines",
        "partition",
        "rpartition",
        "finditer",
        "findall",
        "shlex.split",
    ),
    *("fullmatch", "match", "search"),
}
# A function that no parser of the table reaches, and need not, says why in the line above it.
EXCUSE = re.compile(r" *# not a parser: \S.*")


def parsing_functions():
    """Return the functions of plugins/ that take something apart, by file and first line: their name, and whether they are excused."""
    functions = {}
    for path in sorted(PLUGINS.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                called = [inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call)]
                names = {getattr(one, "attr", getattr(one, "id", "")) for one in called}
                first = min(one.lineno for one in (node, *node.decorator_list))
                is_excused = EXCUSE.fullmatch(lines[first - 2]) is not None
                if names & TAKES_APART or is_excused:
                    name = f"{path.relative_to(PLUGINS)}:{first}:{node.name}"
                    functions[os.path.realpath(path), first] = (name, is_excused)
    assert functions, f"there is nothing in {PLUGINS}"
    return functions


def entered(run):
    """Return the functions that were entered while *run* ran, as path and first line."""
    functions = set()

    def watch(frame, event, _argument):
        if event == "call" and "/plugins/" in frame.f_code.co_filename:
            functions.add((os.path.realpath(frame.f_code.co_filename), frame.f_code.co_firstlineno))

    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(None)
    return functions


def test_the_table_names_whatever_takes_foreign_bytes_apart(monkeypatch):
    def run():
        for parser in PARSERS:
            for content in parser.seeds:
                feed(parser, content)

    monkeypatch.setattr(process, "nginx_pids", list)  # whatever runs on this machine
    remove_folders()  # what an earlier test has prepared would not be reached
    config.parse_config.cache_clear()  # nor what it has read
    reached = entered(run)
    missed = {key: function for key, function in parsing_functions().items() if key not in reached}
    assert sorted(name for name, is_excused in missed.values() if not is_excused) == []
    excused = {key: name for key, (name, is_excused) in parsing_functions().items() if is_excused}
    assert sorted(name for key, name in excused.items() if key not in missed) == [], "these need no excuse"


# -- servers that do not stop ----------------------------------------------------------------------------------------

ENDLESS = {
    "bytes by chance": bytes(range(256)) * 256,
    "a record whose end does not come": b"\x16\x03\x03\x40\x00" + b"\x02",
    "records without content": b"\x16\x03\x03\x00\x00" * 1000,
    "changes of the cipher": b"\x14\x03\x03\x00\x01\x01" * 1000,
    "warnings": b"\x15\x03\x03\x00\x02\x01\x5a" * 1000,
    "a message of the handshake without an end": b"\x16\x03\x03\x40\x00\x02\xff\xff\xff" + b"\0" * 16380,
}


@pytest.mark.parametrize("content", ENDLESS.values(), ids=ENDLESS)
def test_a_server_that_does_not_stop_is_left_in_bounded_time_and_space(content, tmp_path, monkeypatch, tally):
    monkeypatch.setattr(handshake, "HANDSHAKE_TIMEOUT_S", 1.0)
    sent = 0

    def never_stop(_server, connection):
        nonlocal sent
        while True:
            connection.sendall(content)
            sent += len(content)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with servers(tmp_path) as start:
        server = start(never_stop)
        with pytest.raises(TlsError, match="; "):
            handshake.handshake("127.0.0.1", server.port, "www.example.org")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    tally.add_inputs("tls/handshake", "the bytes of a server", 1)
