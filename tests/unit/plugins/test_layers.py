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


def short_name(path):
    return str(path.relative_to(PLUGINS))


@pytest.mark.parametrize("path", EVERY, ids=short_name)
def test_a_file_knows_only_the_layers_below_it(path):
    assert strangers_of(path) == set()


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
