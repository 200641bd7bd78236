# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that runs the jobs of a schedule, one at a time, with a stand-in for ansible-playbook that writes down its words."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import pathlib
import shlex
import shutil
import subprocess

import jinja2
import pytest

TEMPLATES = pathlib.Path(__file__).parents[3] / "roles/schedule/templates"
PLAYBOOK = '#!/bin/sh\nprintf "%s\\n" "$@" > words\necho "$SECRET" > secret\n. ./behaviour\n'


def render(name, **variables):
    """Return what Ansible makes of a template of the role."""
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    environment.filters["quote"] = shlex.quote
    return environment.from_string((TEMPLATES / name).read_text(encoding="utf-8")).render(**variables)


@pytest.fixture
def program(tmp_path):
    """The program in a folder of its own, in which `behaviour` says how ansible-playbook ends."""
    (tmp_path / "ansible-playbook").write_text(PLAYBOOK)
    (tmp_path / "ansible-playbook").chmod(0o755)
    (tmp_path / "behaviour").write_text("exit 0\n")
    text = render(
        "run.j2",
        schedule_name="evergreen",
        schedule_user=getpass.getuser(),
        schedule_directory=str(tmp_path),
        schedule_timeout=1,
        schedule_variables={"PATH": f"{tmp_path}:/usr/bin:/bin", "SECRET": 'it\'s "$HOME"'},
        schedule_command=["ansible-playbook", "evergreen.tls.renew", "--inventory=/srv/two words"],
        schedule_extra_arguments=["--extra-vars=it's=$HOME"],
    )
    path = tmp_path / "run"
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(program, *words):
    return subprocess.run([str(program), *words], capture_output=True, text=True, check=False)


@contextlib.contextmanager
def locked(folder):
    """Hold the lock of a schedule, as another run of it does."""
    words = ["flock", "lock", "sh", "-c", "echo locked; cat"]
    with subprocess.Popen(words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        yield
        holder.stdin.close()


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_it_is_a_shell_script_that_nobody_complains_about(program):
    subprocess.run(["shellcheck", "--severity=warning", str(program)], check=True)


def test_it_begins_with_the_name_of_its_shell(program):
    assert program.read_text().startswith("#!/bin/sh\n# Written by the role evergreen.tls.schedule.\n")


def test_it_gives_ansible_its_words_and_environment_as_they_are(program):
    assert run(program, "renew").returncode == 0
    words = (program.parent / "words").read_text().splitlines()
    assert words == ["evergreen.tls.renew", "--inventory=/srv/two words", "--extra-vars=it's=$HOME"]
    assert (program.parent / "secret").read_text() == 'it\'s "$HOME"\n'


def test_an_inspection_says_so_to_the_playbook(program):
    assert run(program, "inspect").returncode == 0
    assert (program.parent / "words").read_text().splitlines()[-1] == "--extra-vars=renew_inspect=true"


@pytest.mark.parametrize("status", [1, 2, 4, 250])
def test_it_ends_as_ansible_ends(program, status):
    (program.parent / "behaviour").write_text(f"exit {status}\n")
    assert run(program, "renew").returncode == status


def test_a_renewal_leaves_it_to_the_run_that_is_going_on(program):
    with locked(program.parent):
        done = run(program, "renew")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Another run of evergreen is going on, and does what this one was for; nothing was started.\n"
    )
    assert not (program.parent / "words").exists()


def test_an_inspection_waits_its_turn_and_no_longer_than_a_run_may_take(program):
    with locked(program.parent):
        done = run(program, "inspect")
    assert done.returncode == 75
    assert done.stderr == "Another run of evergreen did not end within 1 s; see what it waits for.\n"
    assert not (program.parent / "words").exists()


def test_a_run_that_hangs_is_ended(program):
    (program.parent / "behaviour").write_text("exec sleep infinity\n")
    done = run(program, "renew")
    assert done.returncode == 124
    assert done.stderr.startswith("The run was ended after 1 s; see what it waited for, or allow more with")


def test_what_a_run_leaves_behind_does_not_hold_the_lock(program):
    """As ssh does, which keeps connections open for the next run."""
    (program.parent / "behaviour").write_text("sleep 300 > /dev/null 2>&1 &\necho $! >> left\n")
    assert run(program, "renew").returncode == 0
    assert "Another run" not in run(program, "renew").stdout
    for left in (program.parent / "left").read_text().split():
        subprocess.run(["kill", left], check=True)


def test_another_user_is_told_how_to_start_it(program):
    program.write_text(program.read_text().replace(f"!= {getpass.getuser()} ]", "!= somebody ]"))
    done = run(program, "renew")
    assert done.returncode == 77
    assert "run `systemctl start evergreen-renew`" in done.stderr


@pytest.mark.parametrize("words", [[], ["deploy"]])
def test_it_knows_two_jobs(program, words):
    done = run(program, *words)
    assert done.returncode == 64
    assert done.stderr.endswith("renew|inspect\n")


@pytest.fixture
def by_cron(program):
    """What cron starts, with a stand-in for logger that keeps what it is given, and a command that keeps its notification."""
    folder = program.parent
    programs = folder / "programs"
    programs.mkdir()
    shutil.copy(TEMPLATES.parent / "files/notify.py", programs / "notify.py")
    shutil.copy(program, programs / "run")
    (folder / "on_failure.json").write_text(json.dumps({"command": f"tee {programs}/told"}))
    logger = '#!/bin/sh\nshift 2\ncase $1 in --file) cat "$2" ;; "") cat ;; *) echo "$1" ;; esac >> "$0.log"\n'
    (programs / "logger").write_text(logger)
    (programs / "logger").chmod(0o755)
    (programs / "logger.log").touch()
    text = render(
        "run_by_cron.j2",
        schedule_name="evergreen",
        schedule_directory=str(folder),
        schedule_programs=str(programs),
        schedule_delay=0,
    )
    (programs / "run_by_cron").write_text(text)
    return programs / "run_by_cron"


def run_by_cron(path):
    environment = {**os.environ, "PATH": f"{path.parent}:{os.environ['PATH']}"}
    return subprocess.run(["sh", path, "renew"], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_what_cron_starts_is_a_shell_script_that_nobody_complains_about(by_cron):
    subprocess.run(["shellcheck", "--severity=warning", str(by_cron)], check=True)


def test_cron_hands_a_failure_over_with_the_log_of_the_run(program, by_cron):
    (program.parent / "behaviour").write_text("echo fatal; exit 4\n")
    assert run_by_cron(by_cron).returncode == 4
    assert (program.parent / "renew.log").read_text() == "fatal\n"
    notification = (by_cron.parent / "told").read_text()
    assert notification.startswith("evergreen-renew failed on ")
    assert notification.endswith("\nfatal\n")
    log = (by_cron.parent / "logger.log").read_text()
    assert log.startswith("fatal\n")
    assert log.endswith("; told by command.\n")


def test_cron_names_whom_it_could_not_tell_in_the_log_of_the_machine(program, by_cron):
    (program.parent / "behaviour").write_text("exit 4\n")
    (program.parent / "on_failure.json").write_text('{"command": "false"}')
    assert run_by_cron(by_cron).returncode == 4
    assert "Not everybody was told: the command ended with status 1" in (by_cron.parent / "logger.log").read_text()


def test_cron_has_people_told_when_nothing_can_be_written(by_cron):
    (by_cron.parent / "mktemp").write_text("#!/bin/sh\nexit 1\n")
    (by_cron.parent / "mktemp").chmod(0o755)
    done = run_by_cron(by_cron)
    assert done.returncode == 1
    sentence = f"Nothing was run, since nothing can be written to {by_cron.parents[1]}; see whether the disk is full."
    assert (by_cron.parent / "logger.log").read_text().splitlines()[0] == sentence
    assert (by_cron.parent / "told").read_text().endswith(f"\n{sentence}\n")


def test_cron_says_in_the_log_of_the_machine_that_the_folder_is_gone(by_cron):
    path = by_cron.parents[1] / "gone"
    by_cron.write_text(
        by_cron.read_text().replace(str(path.parent), str(path)).replace(f"{path}/programs", str(by_cron.parent))
    )
    assert run_by_cron(by_cron).returncode == 1
    first, second = (by_cron.parent / "logger.log").read_text().splitlines()
    assert first == f"Nothing was run, since the folder {path} cannot be entered; run evergreen.tls.schedule again."
    assert second.startswith(f"Nobody was told, since {path}/on_failure.json")
