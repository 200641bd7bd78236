# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the page on compatibility says was tried, and the tests that it names."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
COMPATIBILITY = (ROOT / "docs/compatibility.md").read_text("utf-8")


def table_of(heading):
    """Return the rows of the table below a heading of the page on compatibility, without its head."""
    section = COMPATIBILITY.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) > 2
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_each_test_that_the_page_on_compatibility_names_is_there():
    paths = re.findall(r"`((?:tests|molecule|dev)/[a-z0-9_./-]+?)`", COMPATIBILITY)
    assert len(paths) > 10
    for path in paths:
        assert (ROOT / path).exists(), path
    named = re.findall(r"`(test_\w+)` in `(tests/[\w/]+\.py)`", COMPATIBILITY)
    assert len(named) == len(re.findall(r"`test_\w+`", COMPATIBILITY)) > 2
    for name, path in named:
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), name


def test_the_page_on_compatibility_names_each_scenario_with_an_acme_server():
    named = set(re.findall(r"`molecule/(\w+)`", COMPATIBILITY))
    scenarios = {
        path.parent.name for path in ROOT.glob("molecule/*/molecule.yml") if "--cas" in path.read_text("utf-8")
    }
    assert len(scenarios) > 5 and sorted(scenarios - named) == []


@pytest.mark.parametrize("heading", ["Controllers", "Python and cryptography of hosts", "nginx builds", "CAs"])
def test_each_row_of_the_page_on_compatibility_names_its_test(heading):
    for row in table_of(heading):
        assert re.search(r"`(?:dev/|make |molecule/|tests/)", row[-1]), row


def test_the_page_on_compatibility_has_the_systems_of_unit_edges_and_of_versions():
    edges = re.search(r"^\t@dev/unit-edges (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1].split()
    assert sorted(set(re.findall(r"`dev/unit-edges (\S+)`", COMPATIBILITY))) == sorted(edges)
    suites = re.findall(r'^        Controller\("(\w+)"', (ROOT / "dev/versions").read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"`dev/versions (\S+)`", COMPATIBILITY) == suites


def test_the_page_on_compatibility_has_each_form_of_certificate_files():
    path = "tests/unit/plugins/plugin_utils/_issuance/test_forms.py"
    tables = re.findall(r"^(?:CONTROLLER_)?FORMS = \{\n(.+?)^\}", (ROOT / path).read_text("utf-8"), re.M | re.S)
    on_hosts, on_controllers = (re.findall(r'^    "([^"]+)":', table, re.MULTILINE) for table in tables)
    rows = [[form, "yes", "yes"] for form in on_hosts] + [[form, "–", "yes"] for form in on_controllers]
    assert table_of("Forms of certificate files") == rows
