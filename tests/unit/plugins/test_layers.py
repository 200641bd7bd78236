# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may import whom: the drawing in CONTRIBUTING.md, as a test."""

from __future__ import annotations

import ast
import pathlib
import sys

import pytest

PLUGINS = pathlib.Path(__file__).parents[3] / "plugins"
OWN = "ansible_collections.evergreen.tls.plugins."
KNOWS = {
    "modules": {"module_utils"},
    "action": {"module_utils", "plugin_utils"},
    "filter": {"module_utils", "plugin_utils"},
    "plugin_utils": {"module_utils", "plugin_utils"},
    "module_utils": {"module_utils"},
    "doc_fragments": set(),
}
# The packages that each package may import. What lies in no package (_errors.py, _request_spec.py) is open to all of its layer
# and of the layers above it, but for DOORS.
EVERYTHING_FOR_HOSTS = {f"module_utils/_{name}" for name in ("system", "certificates", "tls", "nginx", "store")}
BASICS = {"module_utils/_system", "module_utils/_certificates"}
PACKAGES = {
    "module_utils/_system": set(),
    "module_utils/_certificates": {"module_utils/_system"},
    "module_utils/_network": set(),
    "module_utils/_tls": BASICS,
    "module_utils/_nginx": BASICS,
    "module_utils/_store": BASICS,
    "module_utils/_scan": {*BASICS, "module_utils/_nginx", "module_utils/_store"},
    "module_utils/_module_backends": EVERYTHING_FOR_HOSTS,
    "plugin_utils/_inventory": {*BASICS, "module_utils/_nginx"},  # the spec of a site
    "plugin_utils/_deployment": {*BASICS, "module_utils/_store", "module_utils/_tls", "plugin_utils/_inventory"},
    "plugin_utils/_appliance": {*BASICS, "module_utils/_tls", "plugin_utils/_deployment", "plugin_utils/_inventory"},
    "plugin_utils/_providers": {*BASICS, "plugin_utils/_deployment", "plugin_utils/_inventory"},
    "plugin_utils/_solvers": {
        *BASICS,
        *(f"plugin_utils/_{name}" for name in ("providers", "deployment", "inventory")),
    },
    "plugin_utils/_preflight": {
        *BASICS,
        *(f"plugin_utils/_{name}" for name in ("solvers", "inventory")),
    },
    "plugin_utils/_served": {
        *BASICS,
        "module_utils/_tls",
        *(f"plugin_utils/_{name}" for name in ("preflight", "solvers", "inventory")),
    },
    "plugin_utils/_issuance": BASICS,
    "plugin_utils/_issuers": {
        *BASICS,
        *(f"plugin_utils/_{name}" for name in ("solvers", "preflight", "issuance", "inventory")),
    },
    "plugin_utils/_firewall": BASICS,
    "plugin_utils/_cloud_firewall": {
        *BASICS,
        *(f"plugin_utils/_{name}" for name in ("firewall", "providers", "deployment")),
    },
    "plugin_utils/_reports": {
        *BASICS,
        "module_utils/_tls",
        "plugin_utils/_issuance",
        "plugin_utils/_issuers",
        "plugin_utils/_inventory",
        "plugin_utils/_documents",
    },
    "plugin_utils/_documents": BASICS,
    "plugin_utils/_views": {*BASICS, "plugin_utils/_documents"},
    "plugin_utils/_scan": BASICS,
    "plugin_utils/_diagnosis": {
        *BASICS,
        "module_utils/_network",
        *(f"plugin_utils/_{name}" for name in ("issuers", "preflight", "served", "reports", "solvers", "inventory")),
    },
    "plugin_utils/_plan": {
        *BASICS,
        *(f"plugin_utils/_{name}" for name in ("issuers", "reports", "inventory")),
    },
    "plugin_utils/_actions": {
        *BASICS,
        *(f"plugin_utils/_{name}" for name in ("issuance", "issuers", "inventory", "solvers")),
    },
}
# Files that only some may import: what speaks to Ansible on a host, and what knows every issuer.
DOORS = {
    "module_utils/_ansible_module": {"modules", "module_utils/_module_backends", "plugin_utils/_actions"},
    "plugin_utils/_issuers/registry": {
        "action",
        "filter",
        "plugin_utils/_issuers",
        "plugin_utils/_reports",
        "plugin_utils/_actions",
    },
    "plugin_utils/_issuers/acme": {"action", "plugin_utils/_issuers", "plugin_utils/_plan"},
    "plugin_utils/_issuers/manual": {"plugin_utils/_issuers"},
}
ON_HOSTS = {"modules", "module_utils"}
EVERY = sorted(path for path in PLUGINS.rglob("*.py"))


def layer_of(path):
    return path.relative_to(PLUGINS).parts[0]


def imports_of(source):
    """Return the full names of what a file imports, at its top or anywhere else, with a dot for a relative import."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update("." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names)
    return names


def strangers_of(path):
    """Return what a file imports and its layer may not know."""
    layer = layer_of(path)
    strangers = set()
    for name in imports_of(path.read_text(encoding="utf-8")):
        top = name.split(".")[0]
        if name.startswith(OWN):
            allowed = name[len(OWN) :].split(".")[0] in KNOWS[layer]
        elif top == "ansible_collections" or not top:  # somebody else's collection, or a relative import
            allowed = False
        elif layer not in ON_HOSTS:
            allowed = True
        elif top == "ansible":
            allowed = name.startswith("ansible.module_utils.") and (
                layer == "modules" or path.name == "_ansible_module.py"
            )
        else:
            allowed = top == "cryptography" or top in sys.stdlib_module_names
        if not allowed:
            strangers.add(name)
    return strangers


def targets_of(path):
    """Return the files of the collection that a file imports, below plugins/ and without their ending."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name[len(OWN) :] for alias in node.names if alias.name.startswith(OWN))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OWN):
            below = node.module[len(OWN) :]
            is_file = (PLUGINS / below.replace(".", "/")).with_suffix(".py").is_file()
            found.update([below] if is_file else [f"{below}.{alias.name}" for alias in node.names])
    return {name.replace(".", "/") for name in found}


def package_of(name):
    """Return the package of a file: C(plugin_utils/_issuers) for each file in and below it, the layer where it lies in none."""
    parts = name.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def trespasses_of(path):
    """Return what a file imports and its package may not."""
    name = str(path.relative_to(PLUGINS).with_suffix(""))
    package = package_of(name)
    found = set()
    for target in targets_of(path):
        other = package_of(target)
        if package in PACKAGES and other in PACKAGES and other not in {package, *PACKAGES[package]}:
            found.add(target)
        for door, who in DOORS.items():
            is_behind = target == door or target.startswith(f"{door}/")
            is_inside = name == door or name.startswith(f"{door}/")
            is_let_in = package in who and not any(name.startswith(f"{other}/") for other in DOORS)
            if is_behind and not is_inside and not is_let_in:
                found.add(target)
    return found


def cycle_in(arrows):
    """Return nodes that lead back to the first of them, or None."""
    done = set()

    def walk(node, way):
        if node in way:
            return way[way.index(node) :]
        if node in done:
            return None
        done.add(node)
        return next(filter(None, (walk(other, [*way, node]) for other in sorted(arrows.get(node, ())))), None)

    return next(filter(None, (walk(node, []) for node in sorted(arrows))), None)


def short_name(path):
    return str(path.relative_to(PLUGINS))


@pytest.mark.parametrize("path", EVERY, ids=short_name)
def test_a_file_knows_only_the_layers_below_it(path):
    assert strangers_of(path) == set()


@pytest.mark.parametrize("path", EVERY, ids=short_name)
def test_a_package_imports_only_those_of_the_table(path):
    assert trespasses_of(path) == set()


def test_every_package_stands_in_the_table():
    folders = {path.parent.relative_to(PLUGINS) for path in EVERY if path.parent.parent.parent == PLUGINS}
    assert {str(folder) for folder in folders} == set(PACKAGES)


def test_no_package_and_no_file_leads_back_to_itself():
    files = {str(path.relative_to(PLUGINS).with_suffix("")): targets_of(path) for path in EVERY}
    assert sum(map(len, files.values())) > len(files)  # there are arrows
    assert cycle_in(files) is None
    packages = {}
    for name, targets in files.items():
        packages.setdefault(package_of(name), set()).update(package_of(target) for target in targets)
    assert cycle_in({package: others - {package} for package, others in packages.items()}) is None


def test_a_cycle_is_found():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert cycle_in({"a": {"b", "c"}, "b": {"c"}}) is None


@pytest.mark.parametrize("path", EVERY, ids=short_name)
def test_what_is_no_public_api_has_an_underscore(path):
    layer, *rest = path.relative_to(PLUGINS).parts
    if layer in ("module_utils", "plugin_utils"):
        assert rest[0].startswith("_")
        assert not any(name.startswith("_") for name in rest[1:])


@pytest.mark.parametrize(
    "path",
    [
        *(path for path in EVERY if path.parent.name != "doc_fragments"),
        *(path for path in (PLUGINS.parent / "dev").iterdir() if path.is_file()),
    ],
    ids=lambda path: path.name,
)
def test_a_file_has_at_most_400_lines(path):
    """Fragments of documentation are texts: Ansible reads the suboptions of an option in one piece."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", EVERY, ids=short_name)
def test_a_file_is_named_after_its_subject(path):
    assert path.stem not in {"utils", "common", "helpers", "__init__"}


@pytest.mark.parametrize(
    ("file", "line", "stranger"),
    [
        (
            "modules/a.py",
            "from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import ISSUERS",
            "registry.ISSUERS",
        ),
        ("modules/a.py", "from ansible_collections.community.crypto.plugins.module_utils import x", "community.crypto"),
        ("modules/a.py", "from ansible.plugins.action import ActionBase", "ansible.plugins"),
        ("modules/a.py", "import idna", "idna"),
        ("module_utils/a.py", "from ansible.module_utils.basic import AnsibleModule", "AnsibleModule"),
        ("module_utils/a.py", "from ..module_utils._errors import TlsError", "..module_utils"),
        ("module_utils/a.py", "def late():\n    from .errors import TlsError", ".errors"),
        ("plugin_utils/a.py", "import ansible_collections.evergreen.tls.plugins.action.certificate_issue", "action"),
        ("doc_fragments/a.py", "import ansible_collections.evergreen.tls.plugins.module_utils._errors", "errors"),
    ],
)
def test_a_stranger_is_seen(tmp_path, monkeypatch, file, line, stranger):
    monkeypatch.setattr(sys.modules[__name__], "PLUGINS", tmp_path)
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(line, encoding="utf-8")
    assert stranger in "".join(strangers_of(path))


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("modules/a.py", "from ansible.module_utils.basic import AnsibleModule"),
        ("modules/a.py", "import ansible_collections.evergreen.tls.plugins.module_utils._errors"),
        ("module_utils/_ansible_module.py", "from ansible.module_utils.basic import missing_required_lib"),
        ("module_utils/a.py", "import os.path\nfrom cryptography import x509"),
        ("plugin_utils/a.py", "import idna\nfrom ansible.errors import AnsibleError"),
        ("action/a.py", "from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import ISSUERS"),
    ],
)
def test_a_neighbour_below_is_no_stranger(tmp_path, monkeypatch, file, line):
    monkeypatch.setattr(sys.modules[__name__], "PLUGINS", tmp_path)
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(line, encoding="utf-8")
    assert strangers_of(path) == set()


@pytest.mark.parametrize(
    ("file", "line", "stranger"),
    [
        ("module_utils/_store/a.py", "module_utils._nginx import config", "module_utils/_nginx"),
        ("module_utils/_store/a.py", "module_utils._ansible_module import run_module", "module_utils/_ansible_module"),
        ("plugin_utils/_issuance/a.py", "plugin_utils._issuers.policy import x", "plugin_utils/_issuers/policy"),
        ("plugin_utils/_solvers/a.py", "plugin_utils._issuers import registry", "plugin_utils/_issuers"),
        (
            "plugin_utils/_issuers/acme/a.py",
            "plugin_utils._issuers.registry import x",
            "plugin_utils/_issuers/registry",
        ),
        ("plugin_utils/_issuers/acme/a.py", "plugin_utils._issuers.manual.inbox import x", "_issuers/manual/inbox"),
        ("plugin_utils/_reports/a.py", "plugin_utils._issuers.acme.client import x", "_issuers/acme/client"),
    ],
)
def test_a_trespass_is_seen(tmp_path, monkeypatch, file, line, stranger):
    monkeypatch.setattr(sys.modules[__name__], "PLUGINS", tmp_path)
    for name in (
        "plugin_utils/_issuers/policy",
        "plugin_utils/_issuers/registry",
        "plugin_utils/_issuers/manual/inbox",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.py").touch()
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"from {OWN}{line}", encoding="utf-8")
    assert stranger in "".join(trespasses_of(path))
