# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/diagnosis.md names each code that a diagnosis may have, and no other."""

from __future__ import annotations

import ast
import pathlib
import re

import yaml

from ansible_collections.evergreen.tls.plugins.action.diagnose import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._network.name_view import KINDS
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import SEVERITIES
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import (
    CRITICAL,
    REASONS,
    UNKNOWN_ACCOUNT,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_findings import UNREACHABLE, UNROUTED

ROOT = pathlib.Path(__file__).parents[5]
PAGE = (ROOT / "docs/diagnosis.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z_.*0-9]+)` \| ([a-z, ]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
CHECKS = "names caa addresses zone dnssec account limits http txt persist solver served late failed inventory rules view way validation".split()
CODE = re.compile(rf"(?:{'|'.join(CHECKS)})(?:\.[a-z_0-9]+)*")
PARTS = ("_preflight", "_served", "_solvers", "_issuers", "_diagnosis", "_inventory/public_names.py")
FINDINGS = ("Finding", "Fact", "Result", "WayError", "WrongResponseError")
WAY_FILES = ("http.py", "http_check.py", "webroot.py")  # whose steps hand on the last part of a code


def calls_of(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def texts_of(nodes):
    return [
        one.value
        for node in nodes
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]


def way_codes(tree):
    """Return the last parts of codes that stand in errors, and first in what functions return or assign to a code."""
    nodes = list(ast.walk(tree))
    errors = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("Error")]
    tuples = [node.value for node in nodes if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)]
    assigned = [
        node
        for node in nodes
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).lstrip("(").startswith("code")
    ]
    tuples += [node.value for node in assigned if isinstance(node.value, ast.Tuple)]
    singles = [value for node in assigned for value in ast.walk(node.value) if not isinstance(node.value, ast.Tuple)]
    places = [*(call.args[1] for call in errors if len(call.args) > 1), *(one.elts[0] for one in tuples), *singles]
    return {one.value for one in places if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def codes_of_the_code():
    """Return the codes in the calls that make findings, and those that are put together."""
    files = [path for part in PARTS for path in sorted((ROOT / "plugins/plugin_utils").glob(f"{part}/**/*.py"))]
    files.append(ROOT / "plugins/plugin_utils/_inventory/public_names.py")
    assert len(files) > 40
    codes = set()
    for path in files:
        for call in calls_of(path):
            name = getattr(call.func, "id", "")
            if name in FINDINGS:
                codes.update(text for text in texts_of(call.args[1:2]) if CODE.fullmatch(text))
            elif name == "NameProblem":
                codes.add(f"names.{call.args[0].value}")
            elif name == "add" and path.name == "hsts.py":
                codes.add(f"served.hsts{call.args[1].value}")
            elif name == "_finding" and path.name == "redirect.py":
                codes.add(f"served.redirect.{call.args[1].value}".removesuffix("."))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name in WAY_FILES:
            codes.update(f"http.{part}" for part in way_codes(tree))
    codes.update(f"caa.{reason}" for reason in (*REASONS, CRITICAL) if reason != UNKNOWN_ACCOUNT)
    codes.update(f"view.{kind}" for kind in KINDS)
    codes.update((f"http.{UNROUTED}", f"http.{UNREACHABLE}", "served.page.mixed.*"))
    return codes


def test_the_table_names_each_code_and_no_other():
    named = [code for code, *_rest in ROW.findall(PAGE) if CODE.match(code)]
    assert len(named) == len(set(named))
    assert set(named) == codes_of_the_code()


def test_each_row_has_severities_a_meaning_and_a_remedy():
    rows = ROW.findall(PAGE)
    assert len(rows) > 80
    for code, severities, meaning, remedy in rows:
        assert set(severities.split(", ")) <= set(SEVERITIES), code
        assert meaning.strip() and remedy.strip(), code


def test_the_page_has_each_variable():
    for variable in ActionModule.VARIABLES.values():
        assert f"`{variable}`" in PAGE


QUESTION = re.compile(r"^\| ([^|]+\?) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
LINE = re.compile(rf"(?:{'|'.join(SEVERITIES)})  ({CODE.pattern})  ([^`]+)")
LAB_NAME = re.compile(r"(\*\.)?[a-z-]+\.(?:way|caa)\.test")


def test_each_question_has_a_command_and_a_line_with_a_code_of_the_table():
    questions = QUESTION.findall(PAGE.partition("## Questions and answers")[2].partition("## Codes")[0])
    assert len(questions) > 26
    named = {code for code, *_rest in ROW.findall(PAGE)} | {"served.page.mixed.image"}
    codes = [code for _question, _command, line in questions for code, _sentence in LINE.findall(line)]
    assert len(codes) > 18
    assert set(codes) <= named
    assert all("`" in command or command == "the same" for _question, command, _line in questions)


def test_lines_of_the_lab_are_those_that_its_scenario_sees():
    rows = yaml.safe_load((ROOT / "molecule/diagnose/files/rows.yml").read_text(encoding="utf-8"))
    known = {(row["domain"], row["code"]) for row in rows}
    lines = [line for line in LINE.findall(PAGE) if line[0].split(".")[0] in ("caa", "http", "txt")]
    assert len(lines) > 5
    for code, sentence in lines:
        names = {match.group() for match in LAB_NAME.finditer(sentence)}
        assert names & {domain for domain, seen in known if seen == code}, sentence
