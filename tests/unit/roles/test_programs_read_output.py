# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What programs read of a run stays what they can read, and the action group of the collection sets options of its modules."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from ansible_collections.evergreen.tls.tests.conftest import make_collections

# A callback as ansible.posix.json is: all results as one document, and nothing else on standard output.
JSON_CALLBACK = '''
import json
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: json
type: stdout
short_description: all results as one document
description: all results as one document
"""


class CallbackModule(CallbackBase):
    CALLBACK_TYPE, CALLBACK_NAME, CALLBACK_VERSION = "stdout", "json", 2.0

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.results = []

    def v2_runner_on_ok(self, result):
        self.results.append(json.loads(self._dump_results(result.result if hasattr(result, "result") else result._result)))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.v2_runner_on_ok(result)

    def v2_playbook_on_stats(self, stats):
        print(json.dumps(self.results))
'''


@pytest.fixture
def ansible(tmp_path):
    """Return a function that runs a playbook for one host whose certificate nobody serves."""
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks/json.py").write_text(JSON_CALLBACK)
    host = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_host": "127.0.0.1",
        "ansible_python_interpreter": sys.executable,
        "certificate_issuers": {"local": {"type": "local_ca", "directory": str(tmp_path / "pki")}},
        "certificate_requests": [{"name": "www", "domains": ["www.example.test"], "port": 1}],
    }
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": {"web1": host}}}))

    def run(playbook, callback="json"):
        environment = {
            **os.environ,
            "HOME": str(tmp_path),
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_COLLECTIONS_PATH": str(make_collections()),
            "ANSIBLE_CALLBACK_PLUGINS": str(tmp_path / "callbacks"),
            "ANSIBLE_STDOUT_CALLBACK": callback,
        }
        program = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
        command = [program, playbook, "-i", str(tmp_path / "inventory.json"), "--check"]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    return run


@pytest.mark.parametrize("playbook", ["survey", "renew"])
def test_a_callback_whose_output_programs_read_has_the_table_in_a_result_and_nothing_beside(ansible, playbook):
    done = ansible(f"evergreen.tls.{playbook}")
    results = json.loads(done.stdout)
    tables = [result["table"] for result in results if "table" in result]
    assert tables and all("web1" in table for table in tables), done.stdout + done.stderr


def test_people_get_the_table(ansible):
    done = ansible("evergreen.tls.survey", callback="ansible.builtin.default")
    assert "\nhost  name " in done.stdout


def test_the_action_group_sets_an_option_of_the_modules_of_the_collection(ansible, tmp_path):
    folder = tmp_path / "store"
    (folder / "www").mkdir(parents=True, mode=0o700)
    playbook = [
        {
            "hosts": "web1",
            "gather_facts": False,
            "module_defaults": {"group/evergreen.tls.all": {"directory": str(folder)}},
            "tasks": [
                {"evergreen.tls.certificate_info": {"name": "www"}, "register": "info"},
                {"ansible.builtin.debug": {"msg": "read {{ info.certificates | map(attribute='path') | join }}"}},
            ],
        }
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(playbook))
    done = ansible(str(tmp_path / "play.yml"), callback="ansible.builtin.default")
    assert f"read {folder}/www" in done.stdout, done.stdout + done.stderr
