# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles describe the options of requests and sites as the documentation of modules does."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[3]
SPECS = {"certificate": "certificate_requests", "nginx": "nginx_sites"}


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of what the program reads and writes."""
    for name in ("dev/role-specs", "plugins/doc_fragments/request.py", "plugins/modules/nginx_sites.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for role in SPECS:
        shutil.copytree(ROOT / "roles" / role / "meta", tmp_path / "roles" / role / "meta")
    return tmp_path


def run(checkout, *arguments):
    command = [sys.executable, str(checkout / "dev/role-specs"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def options(checkout, role):
    path = checkout / "roles" / role / "meta/argument_specs.yml"
    return yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"][SPECS[role]]["options"]


def documented(checkout, role):
    """Return the options of a role as the documentation has them."""
    if role == "nginx":
        text = (checkout / "plugins/modules/nginx_sites.yml").read_text()
        return yaml.safe_load(text)["DOCUMENTATION"]["options"]["sites"]["suboptions"]
    names = {}
    exec((checkout / "plugins/doc_fragments/request.py").read_text(), names)
    return yaml.safe_load(names["ModuleDocFragment"].DOCUMENTATION)["options"]["request"]["suboptions"]


def without_descriptions(described):
    return {
        name: {
            key: without_descriptions(value) if key in ("options", "suboptions") else value
            for key, value in option.items()
            if key != "description"
        }
        for name, option in described.items()
    }


def test_nothing_has_drifted():
    ended = subprocess.run(
        [sys.executable, "dev/role-specs", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("role", SPECS)
def test_a_role_takes_the_options_that_are_documented(role):
    described = without_descriptions(documented(ROOT, role))
    assert described
    assert (
        yaml.safe_load(yaml.safe_dump(without_descriptions(options(ROOT, role))).replace("options:", "suboptions:"))
        == described
    )


@pytest.mark.parametrize(
    ("role", "source"), [("certificate", "doc_fragments/request.py"), ("nginx", "modules/nginx_sites.yml")]
)
def test_what_is_added_to_the_documentation_is_missed_and_then_written(checkout, role, source):
    path = checkout / "plugins" / source
    text = path.read_text()
    option = next(name for name in documented(checkout, role) if name != "name")
    line = next(line for line in text.splitlines() if line.strip() == f"{option}:" and line.startswith("    "))
    indent = line[: -len(option) - 1]
    path.write_text(
        text.replace(
            f"{line}\n",
            f"{indent}brand_new:\n{indent}  description: See O(requests[].mode).\n{indent}  type: str\n{line}\n",
            1,
        )
    )
    missed = run(checkout, "--check")
    assert missed.returncode == 1
    assert "+          brand_new:" in missed.stderr
    assert missed.stderr.endswith("roles describe other options than the documentation; run dev/role-specs\n")
    assert "brand_new" not in options(checkout, role)
    assert run(checkout).returncode == 0
    assert options(checkout, role)["brand_new"] == {"description": f"See O({role}_requests[].mode).", "type": "str"}
    assert run(checkout, "--check").returncode == 0


@pytest.mark.parametrize("role", SPECS)
def test_what_somebody_changes_in_a_role_is_found(checkout, role):
    path = checkout / "roles" / role / "meta/argument_specs.yml"
    path.write_text(path.read_text().replace("required: true", "required: false", 1))
    assert "-            required: false" in run(checkout, "--check").stderr
    assert run(checkout).returncode == 0
    assert path.read_text() == (ROOT / "roles" / role / "meta/argument_specs.yml").read_text()
