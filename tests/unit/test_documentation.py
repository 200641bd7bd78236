# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written down twice agrees."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
HEADER = [
    "Copyright (c) Evergreen contributors",
    "GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "SPDX-License-Identifier: GPL-3.0-or-later",
]


def files(pattern, below=ROOT):
    """Return the files and folders that match a pattern. There are some: a test that loops over none asserts nothing."""
    found = sorted(below.glob(pattern))
    assert found, f"{pattern} matches nothing"
    return found


ROLES = [path for path in files("roles/*") if path.is_dir()]


def read_yaml(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def tracked_files(*patterns):
    """Return the files of the repository, committed or not, that git does not ignore."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = sorted({ROOT / name for name in names.split("\0") if (ROOT / name).is_file()})
    assert found, f"{patterns} match nothing"
    return found


def role_options(role):
    """Return the options of all entry points of a role, which agree where they have the same name."""
    options = {}
    specs = role / "meta/argument_specs.yml"
    for entry_point in read_yaml(specs)["argument_specs"].values() if specs.exists() else ():
        for name, option in entry_point.get("options", {}).items():
            assert options.setdefault(name, option) == option
    return options


def of_role(test):
    return pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)(test)


@of_role
def test_a_role_describes_its_defaults(role):
    path = role / "defaults/main.yml"
    defaults = (read_yaml(path) or {}) if path.exists() else {}
    options = role_options(role)
    assert set(defaults) <= set(options)
    described = {name: option["default"] for name, option in options.items() if "default" in option}
    computed = {name for name, value in defaults.items() if "{{" in str(value) and name not in described}
    assert {name: value for name, value in defaults.items() if name not in computed} == described


@of_role
def test_a_role_says_for_whom_it_is(role):
    assert (role / "README.md").is_file()


@of_role
def test_only_renew_and_deploy_know_other_roles(role):
    if role.name not in {"renew", "deploy"}:
        for path in files("**/*.yml", role):
            assert not re.search(r"\b(include_role|import_role):", path.read_text(encoding="utf-8")), path
    meta = role / "meta/main.yml"
    dependencies = read_yaml(meta)["dependencies"] if meta.exists() else []
    check = {"role": "evergreen.tls.check_variables", "vars": {"check_variables_role": role.name}}
    assert dependencies in ([], [check])  # whose task comes before the argument specs


def test_only_the_check_of_variables_has_no_options():
    assert [role.name for role in ROLES if not (role / "meta/argument_specs.yml").exists()] == ["check_variables"]


def test_the_action_group_holds_every_module():
    modules = [path.stem for path in files("plugins/modules/*.py")]
    assert read_yaml("meta/runtime.yml")["action_groups"]["all"] == modules


def test_what_travels_to_hosts_leaves_its_documentation_behind():
    for path in files("plugins/modules/*.py"):
        travels = "import " in path.read_text(encoding="utf-8").replace("from __future__ import", "")
        assert path.with_suffix(".yml").exists() == travels, path


def test_an_action_has_the_documentation_of_a_module():
    actions = {path.stem for path in files("plugins/action/*.py")}
    assert actions <= {path.stem for path in files("plugins/modules/*.py")}


def test_the_libraries_of_the_controller_are_named_once():
    assert read_yaml("meta/execution-environment.yml")["dependencies"] == {"python": "requirements.txt"}
    assert "-r ../requirements.txt" in (ROOT / "dev/requirements.txt").read_text(encoding="utf-8").splitlines()


def test_what_people_read_is_named_as_it_is_called():
    """Each evergreen.tls.NAME in a text is a playbook, role, module or other plugin."""
    there = {path.stem for path in [*files("plugins/*/*"), *files("playbooks/*"), *ROLES]}
    for path in tracked_files("*.md", "*.yml", "changelogs/fragments"):
        named = re.findall(
            r"(?<!ansible_collections\.)\bevergreen\.tls\.([a-z0-9_]+)", path.read_text(encoding="utf-8")
        )
        assert set(named) - {"all", "git", "plugins"} <= there, path


def table_rows(heading):
    """Return the names in the first column of the table of the README whose head begins so."""
    table = (ROOT / "README.md").read_text("utf-8").partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(?:evergreen\.tls\.)?(\w+)` ", table, re.MULTILINE)


def test_the_readme_has_one_row_for_each_module():
    assert sorted(table_rows("module")) == [path.stem for path in files("plugins/modules/*.py")]


def test_the_readme_has_one_row_for_each_playbook():
    assert sorted(table_rows("playbook")) == [path.stem for path in files("playbooks/*.yml")]


def test_a_page_of_the_documentation_names_each_playbook():
    pages = "".join(path.read_text("utf-8") for path in files("docs/*.md"))
    assert [path.stem for path in files("playbooks/*.yml") if f"evergreen.tls.{path.stem}" not in pages] == []


def test_what_is_said_of_drift_is_what_the_scenario_sees():
    rows = re.findall(
        r"^\| (.+) \| (.+) \| (.+) \| (.+) \|$", (ROOT / "docs/survey.md").read_text("utf-8"), re.MULTILINE
    )
    hosts = read_yaml("molecule/drift/inventory.yml")["web"]["hosts"].values()
    assert hosts
    observed = [(host["drift"], host["survey"], host["inspection"], host["renew"]) for host in hosts]
    assert rows[2 : 2 + len(observed)] == observed


def test_an_example_on_the_controller_runs_as_its_user_with_the_python_of_ansible():
    """Otherwise its modules become root, and run with a Python of the system that lacks cryptography."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in files("docs/*.md")}
    examples = [
        (name, example)
        for name, text in texts.items()
        for example in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        if "ansible_connection: local" in example
    ]
    assert len(examples) >= 3
    needed = (
        "ansible_become: false",
        'ansible_python_interpreter: "{{ ansible_playbook_python }}"',
        "certificate_directory: ~/",
    )
    assert [(name, line) for name, example in examples for line in needed if line not in example] == []


@pytest.mark.parametrize(
    "path", tracked_files("*.py", "*.yml", "*.yaml", "*.j2", "dev", ".ci"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_file_begins_with_its_licence(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    begin = 1 if lines[0].startswith("#!") else 0
    assert [re.sub(r"^(#|\{#-?|//)? ?| ?-?#\}$", "", line) for line in lines[begin : begin + 3]] == HEADER


def test_the_page_on_sites_has_each_option_of_a_site():
    table = (
        (ROOT / "docs/nginx.md").read_text(encoding="utf-8").partition("## Options of a site")[2].partition("\n## ")[0]
    )
    written = {
        name
        for row in table.splitlines()
        for name in re.findall(r"`([a-z0-9_]+)`", row.partition("|")[2].partition("|")[0])
    }
    described = read_yaml("plugins/modules/nginx_sites.yml")["DOCUMENTATION"]["options"]["sites"]["suboptions"]
    assert described and written == set(described)
