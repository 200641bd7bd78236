# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role schedule refuses before it installs anything, and what it has the jobs run, by Ansible itself."""

from __future__ import annotations

import getpass
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest
import yaml

from ansible_collections.evergreen.tls.tests.conftest import make_collections

ROLE = pathlib.Path(__file__).parents[3] / "roles/schedule"


@pytest.fixture
def ansible(tmp_path):
    """Run tasks of the role on this machine, with variables of the inventory; return what Ansible says."""

    def run(tasks_from, hosts=None, show="", **variables):
        user = variables.get("schedule_user", getpass.getuser())
        account = {"ansible.builtin.getent": {"database": "passwd", "key": user, "fail_key": False}}
        names = [tasks_from] if isinstance(tasks_from, str) else tasks_from
        role = [
            {"ansible.builtin.include_role": {"name": str(ROLE), "tasks_from": name, "public": True}} for name in names
        ]
        write = {"ansible.builtin.copy": {"content": show, "dest": str(tmp_path / "shown")}, "when": bool(show)}
        playbook = [{"hosts": "here", "gather_facts": False, "tasks": [account, *role, write]}]
        (tmp_path / "playbook.yml").write_text(json.dumps(playbook))
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
        inventory = {"all": {"hosts": {"here": here, "localhost": {"ansible_connection": "local"}, **(hosts or {})}}}
        inventory["all"]["hosts"]["localhost"]["ansible_python_interpreter"] = sys.executable
        (tmp_path / "inventory.json").write_text(json.dumps(inventory))
        (tmp_path / "home").mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "HOME": str(tmp_path / "home"),
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_COLLECTIONS_PATH": str(make_collections()),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_INVENTORY": str(tmp_path / "inventory.json"),
        }
        command = [str(pathlib.Path(sys.executable).with_name("ansible-playbook")), "playbook.yml"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


REQUESTS = [{"name": "site", "domains": ["site.example.test"]}]


def with_ca(directory):
    return {
        "certificate_issuers": {"local": {"type": "local_ca", "directory": directory}},
        "certificate_requests": REQUESTS,
    }


@pytest.mark.parametrize("directory", ["~/pki", "$HOME/pki", "${HOME}/pki"])
def test_a_private_ca_below_the_home_of_whoever_sets_this_up_is_not_made_anew_for_the_schedule(
    ansible, tmp_path, directory
):
    (tmp_path / "home/pki").mkdir(parents=True)
    done = ansible("issuer_folders", schedule_directory=str(tmp_path / "schedule"), **with_ca(directory))
    assert done.returncode == 2
    assert f"The private CA in {directory} is {tmp_path}/home/pki for you" in done.stdout
    assert f"it would be a new one in {tmp_path}/schedule/pki, which no client trusts; move the folder" in done.stdout


@pytest.mark.parametrize("directory", ["~/pki", "$HOME/pki"])
def test_a_private_ca_that_the_schedule_has_too_is_left_to_it(ansible, tmp_path, directory):
    (tmp_path / "home/pki").mkdir(parents=True)
    (tmp_path / "schedule/pki").mkdir(parents=True)
    done = ansible("issuer_folders", schedule_directory=str(tmp_path / "schedule"), **with_ca(directory))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("directory", ["pki", "./pki", "$SITE/pki", "/srv/$SITE/pki"])
def test_a_private_ca_that_lies_elsewhere_in_another_folder_is_refused(ansible, directory):
    done = ansible("issuer_folders", **with_ca(directory))
    assert done.returncode == 2
    assert f"The private CA in {directory} is another one for whoever works elsewhere" in done.stdout
    assert "give local_ca an absolute path as its directory" in done.stdout


def test_a_private_ca_with_an_absolute_path_is_the_same_for_all(ansible):
    done = ansible("issuer_folders", **with_ca("/srv/pki"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("issuer", "folder", "what", "so"),
    [
        ({"type": "acme", "directory": "letsencrypt"}, "acme", "ACME account", "for which no host answers the CA"),
        ({"type": "acme", "folder": "~/.evergreen/ours"}, "ours", "ACME account", "for which no host answers the CA"),
        ({"type": "manual"}, "manual", "outbox", "into which nobody looks"),
        ({"type": "local_ca"}, "ca", "private CA", "which no client trusts"),
    ],
)
def test_what_another_issuer_keeps_below_a_home_is_not_made_anew_either(ansible, tmp_path, issuer, folder, what, so):
    variables = {"certificate_issuers": {"shop": issuer}, "certificate_requests": [{**REQUESTS[0], "issuer": "shop"}]}
    schedule = str(tmp_path / "schedule")
    done = ansible("issuer_folders", schedule_directory=schedule, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "home/.evergreen" / folder).mkdir(parents=True)
    done = ansible("issuer_folders", schedule_directory=schedule, **variables)
    assert done.returncode == 2
    assert f"The {what} in ~/.evergreen/{folder} is {tmp_path}/home/.evergreen/{folder} for you" in done.stdout
    assert f"would be a new one in {schedule}/.evergreen/{folder}, {so}; move the folder" in done.stdout


def test_an_acme_account_whose_key_is_a_variable_lies_nowhere(ansible, tmp_path):
    (tmp_path / "home/.evergreen/acme").mkdir(parents=True)
    issuers = {"certificate_issuers": {"shop": {"type": "acme", "account_key": "from a vault"}}}
    done = ansible("issuer_folders", schedule_directory=str(tmp_path / "schedule"), **issuers)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hosts_that_say_nothing_of_issuers_and_certificates_are_passed_over(ansible):
    nothing = {"certificate_issuers": None, "certificate_requests": None}
    done = ansible("issuer_folders", hosts={"other": nothing}, **with_ca("/srv/pki"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("requests", [{}, {"certificate_requests": []}, {"certificate_requests": None}])
def test_a_host_that_would_renew_itself_and_has_nothing_to_renew_is_refused(ansible, requests):
    done = ansible("present", schedule_mode="pull", **requests)
    assert done.returncode == 2
    assert (
        "here would renew itself, and has no certificate_requests; say which hosts do with -e schedule_hosts="
        in done.stdout
    )


@pytest.fixture
def program(tmp_path):
    """A program in a folder to which nobody else can write."""
    path = tmp_path / "bin/ansible-playbook"
    path.parent.mkdir(mode=0o755)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def prove_program(ansible, program, **variables):
    return ansible("script", schedule_ansible=str(program), schedule_user=getpass.getuser(), **variables)


def test_a_host_runs_an_ansible_that_nobody_else_can_write_to(ansible, program):
    done = prove_program(ansible, program, schedule_mode="pull")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("where", ["bin", "bin/ansible-playbook"])
def test_a_host_does_not_run_an_ansible_that_somebody_else_could_replace(ansible, program, where):
    (program.parents[1] / where).chmod(0o777)
    done = prove_program(ansible, program, schedule_mode="pull")
    assert done.returncode == 2
    assert f"root can write to {program.parents[1] / where}; correct that, or give schedule_ansible" in done.stdout


def test_a_link_to_an_ansible_that_somebody_else_could_replace_is_seen_through(ansible, program, tmp_path):
    program.chmod(0o777)
    (tmp_path / "link").symlink_to(program)
    assert (
        f"root can write to {tmp_path}/link, {program};"
        in prove_program(ansible, tmp_path / "link", schedule_mode="pull").stdout
    )


def environment_of(ansible, tmp_path, **variables):
    """Return the program that jobs run, and the path that they have."""
    show = "{{ [schedule_command[0], schedule_variables.PATH] | to_json }}"
    done = ansible("script", show=show, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((tmp_path / "shown").read_text())


SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_the_folder_of_ansible_does_not_stand_before_those_of_the_system(ansible, program, tmp_path):
    shown = environment_of(ansible, tmp_path, schedule_ansible=str(program))
    assert shown == [str(program), f"{SYSTEM}:{program.parent}"]


def test_a_folder_that_somebody_could_make_later_is_not_looked_in(ansible, tmp_path):
    shown = environment_of(ansible, tmp_path, schedule_ansible=str(tmp_path / "nowhere/ansible-playbook"))
    assert shown == ["ansible-playbook", SYSTEM]


def test_a_host_that_renews_itself_does_not_look_where_the_controller_has_ansible(ansible, tmp_path):
    program, path = environment_of(ansible, tmp_path, schedule_mode="pull")
    assert program in ("ansible-playbook", "/usr/bin/ansible-playbook")
    assert str(pathlib.Path(sys.executable).parent) not in path


def test_a_repository_is_pulled_by_the_same_ansible(ansible, program, tmp_path):
    pull = {
        "schedule_mode": "pull",
        "schedule_user": getpass.getuser(),
        "schedule_repository": "https://git.example.test/site",
    }
    assert (
        environment_of(ansible, tmp_path, schedule_ansible=str(program), **pull)[0] == f"{program.parent}/ansible-pull"
    )


@pytest.fixture
def site(tmp_path):
    """A playbook, and an inventory whose variables are in a vault of which the password is beside it."""
    (tmp_path / "site/group_vars").mkdir(parents=True)
    (tmp_path / "site/hosts").write_text("web1.example.test\n")
    (tmp_path / "site/renew.yml").write_text('[{"hosts": "all", "gather_facts": false, "tasks": []}]')
    (tmp_path / "site/password").write_text("correct horse\n")
    (tmp_path / "site/group_vars/all.yml").write_text("token: Token-Secret\n")
    vault = str(pathlib.Path(sys.executable).with_name("ansible-vault"))
    command = [vault, "encrypt", "--vault-password-file", "password", "group_vars/all.yml"]
    subprocess.run(command, cwd=tmp_path / "site", check=True, capture_output=True)
    return tmp_path / "site"


def prove_site(ansible, site, *arguments, **variables):
    (site.parent / "proof").mkdir(exist_ok=True)
    program = pathlib.Path(sys.executable).with_name("ansible-playbook")
    return ansible(
        ["script", "verify"],
        schedule_ansible=str(program),
        schedule_user="root",
        schedule_directory=str(site.parent / "proof"),
        schedule_playbook=str(site / "renew.yml"),
        schedule_inventory=[str(site / "hosts")],
        schedule_extra_arguments=list(arguments),
        **variables,
    )


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


@as_root
def test_variables_that_the_schedule_could_not_read_are_refused(ansible, site):
    done = prove_site(ansible, site)
    assert done.returncode == 2
    sentence = (
        "Attempting to decrypt but no vault secrets found; nothing was scheduled, put that right and run this again"
    )
    assert sentence in done.stdout


@as_root
def test_variables_that_the_schedule_can_read_are_not_shown(ansible, site):
    done = prove_site(ansible, site, f"--vault-password-file={site}/password")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Token-Secret" not in done.stdout


@as_root
@pytest.mark.parametrize("argument", ["--nonsense", "--vault-password-file=/nowhere/password"])
def test_further_arguments_are_proved_too(ansible, site, argument):
    done = prove_site(ansible, site, argument)
    assert done.returncode == 2
    assert "nothing was scheduled, put that right and run this again" in done.stdout


@as_root
def test_single_variables_in_a_vault_that_the_schedule_could_not_read_are_refused(ansible, site):
    command = [str(pathlib.Path(sys.executable).with_name("ansible-vault")), "encrypt_string", "Token-Secret"]
    (site / "group_vars/all.yml").unlink()
    command += ["--vault-password-file", "password", "--name", "token"]
    encrypted = subprocess.run(command, cwd=site, check=True, capture_output=True, text=True).stdout
    issuers = "\ncertificate_issuers: {shop: {type: acme, eab_key: '{{ token }}'}}\n"
    (site / "group_vars/all.yml").write_text(encrypted + issuers)
    done = prove_site(ansible, site)
    assert done.returncode == 2
    assert "nothing was scheduled, put that right and run this again" in done.stdout
    assert re.search("no vault secrets|Decryption failed", done.stdout)
    assert "Token-Secret" not in done.stdout
    done = prove_site(ansible, site, f"--vault-password-file={site}/password")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Token-Secret" not in done.stdout


@as_root
def test_a_host_whose_variables_make_no_sense_keeps_no_schedule_from_being_set_up(ansible, site):
    (site / "group_vars/all.yml").write_text("certificate_requests: '{{ nowhere }}'\n")
    done = prove_site(ansible, site)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def ca():
    """The folder of a private CA that the user nobody can read and write; what pytest makes is root's alone."""
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        top.chmod(0o755)
        (top / "pki/issued").mkdir(parents=True)
        (top / "pki/root.pem").write_text("root")
        (top / "pki/root.key").write_text("key")
        (top / "pki/lock").touch()
        (top / "runs").mkdir()
        subprocess.run(["chown", "-R", "nobody", top / "pki", top / "runs"], check=True)
        yield top / "pki"


def prove_access(ansible, ca, **variables):
    more = {"schedule_user": "nobody", "renew_records": str(ca.parent / "runs"), **with_ca(str(ca)), **variables}
    return ansible("access", schedule_account=["x", "65534"], schedule_home="/nonexistent", **more)


@as_root
def test_folders_that_the_user_can_read_and_write_are_accepted(ansible, ca):
    done = prove_access(ansible, ca)
    assert done.returncode == 0, done.stdout + done.stderr


SPOILED = {
    "the CA is another user's": (".", lambda path: os.chown(path, 0, 0) or path.chmod(0o700)),
    "the CA cannot be written": (".", lambda path: path.chmod(0o500)),
    "its key is another user's": ("root.key", lambda path: os.chown(path, 0, 0) or path.chmod(0o600)),
    "its records are another user's": ("issued", lambda path: os.chown(path, 0, 0) or path.chmod(0o755)),
    "its lock is another user's": ("lock", lambda path: os.chown(path, 0, 0) or path.chmod(0o644)),
    "records of runs cannot be written": ("../runs", lambda path: path.chmod(0o500)),
}


@as_root
@pytest.mark.parametrize("title", SPOILED)
def test_a_folder_that_the_user_could_not_use_at_night_is_refused(ansible, ca, title):
    name, spoil = SPOILED[title]
    path = pathlib.Path(os.path.normpath(ca / name))
    spoil(path)
    done = prove_access(ansible, ca)
    assert done.returncode == 2
    assert (
        f"The user nobody cannot read and write {path}, which renewals need; give that to the user, as in"
        in done.stdout
    )
    assert f"chown -R nobody {path}, or say which user can with schedule_user; nothing was scheduled" in done.stdout


@as_root
@pytest.mark.parametrize(
    "issuer",
    [
        {"type": "acme", "folder": "/root/acme"},
        {"type": "manual", "directory": "/root/manual"},
        {"type": "command", "directory": "/root/c"},
    ],
)
def test_folders_of_other_issuers_that_could_not_be_made_are_refused(ansible, ca, issuer):
    variables = {"certificate_issuers": {"shop": issuer}, "certificate_requests": [{**REQUESTS[0], "issuer": "shop"}]}
    done = prove_access(ansible, ca, **variables)
    assert done.returncode == 2
    assert f"The user nobody cannot read and write {issuer.get('folder') or issuer['directory']}, which" in done.stdout


def has_ended(process):
    """Say whether a process is gone, or waits for nothing but for its parent to look at its status."""
    stat = pathlib.Path("/proc", process, "stat")
    return not stat.exists() or stat.read_text().rpartition(") ")[2].startswith("Z")


@as_root
@pytest.mark.parametrize("program", ["slow_inventory", "slow_password"])
def test_a_program_that_hangs_is_ended_and_named(ansible, site, program):
    (site / program).write_text('#!/bin/sh\necho $$ > "$0.pid"\nexec sleep 600\n')
    (site / program).chmod(0o755)
    arguments = [f"--vault-password-file={site}/{program if program == 'slow_password' else 'password'}"]
    arguments += [f"--inventory={site}/{program}"] if program == "slow_inventory" else []
    done = prove_site(ansible, site, *arguments, schedule_check_timeout=5)
    assert done.returncode == 2
    assert re.search(
        r"after 5 s these programs still ran: [^;]*,sleep; see what the last of them waits for, or allow more with schedule_check_timeout; "
        "nothing was scheduled, put that right and run this again",
        done.stdout,
    ), done.stdout
    assert has_ended((site / f"{program}.pid").read_text().strip())


@as_root
def test_a_repository_that_another_run_holds_is_not_waited_for_without_end(ansible, site):
    (site.parent / "proof").mkdir()
    (site.parent / "proof/lock").touch()
    holder = subprocess.Popen(["flock", "--close", "lock", "sleep", "600"], cwd=site.parent / "proof")
    try:
        done = prove_site(ansible, site, schedule_mode="pull", schedule_repository=str(site), schedule_check_timeout=2)
    finally:
        subprocess.run(["pkill", "--parent", str(holder.pid)], check=True)
        holder.wait()
    assert done.returncode == 2
    assert (
        f"with {site}: another run of evergreen is going on and holds the repository; wait for its end; nothing"
        in done.stdout
    )


@as_root
def test_a_folder_that_does_not_answer_is_given_up(ansible, ca, monkeypatch):
    (ca.parent / "find").write_text("#!/bin/sh\nexec sleep 600\n")
    (ca.parent / "find").chmod(0o755)
    monkeypatch.setenv("PATH", f"{ca.parent}:{os.environ['PATH']}")
    done = prove_access(ansible, ca, schedule_check_timeout=1)
    assert done.returncode == 2
    assert (
        f"can read and write {ca}, {ca.parent}/runs did not end within 1 s; see whether one of them lies on a file"
        in done.stdout
    )


def test_variables_of_a_schedule_that_only_other_hosts_have_are_warned_of(ansible):
    done = ansible(
        "ineffective", hosts={"web1": {"schedule_on_failure": {"command": "mail"}}, "web2": {"schedule_times": []}}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "WARNING: schedule_on_failure, schedule_times of other hosts takes no effect, since the schedule runs on here"
        in done.stdout
    )
    assert "set it for here, as in host_vars/here.yml, or for all hosts" in done.stdout


def test_variables_that_the_host_of_the_schedule_has_too_are_not_warned_of(ansible):
    done = ansible("ineffective", hosts={"web1": {"schedule_on_failure": {"command": "mail"}}}, schedule_on_failure={})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING: schedule" not in done.stdout


def test_the_script_of_the_jobs_is_for_its_user_alone():
    tasks = yaml.safe_load((ROLE / "tasks/install.yml").read_text())
    modes = {
        pathlib.PurePath(str(copied["dest"])).name: copied["mode"]
        for task in tasks
        for copied in task.values()
        if isinstance(copied, dict) and "dest" in copied
    }
    assert modes == {"run": "0500", "notify.py": "0644", "on_failure.json": "0600"}


@pytest.fixture
def homes():
    """A folder that everybody can pass, with one of another user; what pytest makes is root's alone."""
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        top.chmod(0o755)
        (top / "alice").mkdir()
        os.chown(top / "alice", 12345, 12345)
        yield top


def check_schedule_folder(ansible, folder):
    return ansible("folder", schedule_directory=str(folder), schedule_user="nobody")


FOREIGN = {
    "a folder of another user": ("alice", "{top}/alice of 12345 (mode 755)"),
    "a folder in the home of another user": ("alice/evergreen", "{top}/alice of 12345 (mode 755)"),
    "a link to a folder of another user": ("link", "{top}/alice of 12345 (mode 755)"),
    "a folder that everybody can write to": ("shared", "{top}/shared of root (mode 777)"),
    "a link in the place of its files": ("own", "{top}/own/on_failure.json of nobody (no file of its own)"),
}


@as_root
@pytest.mark.parametrize("title", FOREIGN)
def test_a_folder_of_the_schedule_that_others_could_lead_elsewhere_is_refused(ansible, homes, title):
    name, foreign = FOREIGN[title]
    (homes / "link").symlink_to(homes / "alice")
    (homes / "shared").mkdir()
    (homes / "shared").chmod(0o777)
    (homes / "own").mkdir()
    (homes / "own/on_failure.json").symlink_to("/etc/passwd")
    for path in ("own", "own/on_failure.json"):
        os.chown(homes / path, 65534, 65534, follow_symlinks=False)
    done = check_schedule_folder(ansible, homes / name)
    assert done.returncode == 2
    assert (
        f"files in {homes / name}, and {foreign.format(top=homes)} could lead root to other files; have" in done.stdout
    )
    assert "or choose another schedule_directory; nothing was scheduled" in done.stdout


@as_root
@pytest.mark.parametrize("owner", [0, 65534])
def test_a_folder_of_root_or_of_the_user_of_the_schedule_is_accepted(ansible, homes, owner):
    (homes / "own").mkdir()
    (homes / "own/on_failure.json").write_text("{}")
    os.chown(homes / "own", owner, owner)
    for folder in (homes / "own", homes / "missing/folder"):
        done = check_schedule_folder(ansible, folder)
        assert done.returncode == 0, done.stdout + done.stderr


SYSTEMD_RUN = """#!/bin/sh
printf '%s\\n' "$@" > {log}
for word in "$@"; do
    shift
    case $word in --uid=*) user=${{word#--uid=}} ;; --) break ;; esac
done
exec unshare --mount sh -c '{hide}; exec runuser --user '"$user"' -- "$@"' sh "$@"
"""


def prove_access_of_service(ansible, ca, monkeypatch, tmp_path, hide, **variables):
    """Check the folders with a systemd-run that hides something from the service; return what Ansible says, and the arguments."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no file systems can be mounted here")
    program, log = tmp_path / "systemd-run", tmp_path / "arguments"
    program.write_text(SYSTEMD_RUN.format(log=log, hide=hide))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = prove_access(ansible, ca, schedule_booted={"stat": {"exists": True}}, **variables)
    return done, log.read_text().splitlines()


@as_root
@pytest.mark.parametrize(
    "hide", ["mount -t tmpfs none {ca}", "mount --bind {ca} {ca} && mount -o remount,bind,ro {ca}"]
)
def test_a_folder_that_only_the_service_could_not_use_is_refused(ansible, ca, monkeypatch, tmp_path, hide):
    done, _arguments = prove_access_of_service(ansible, ca, monkeypatch, tmp_path, hide.format(ca=ca))
    assert done.returncode == 2
    assert (
        f"The user nobody can read and write {ca}, which renewals need, and the service cannot: systemd keeps"
        in done.stdout
    )
    assert "systemctl edit evergreen-renew evergreen-inspect and run this again; nothing was scheduled" in done.stdout


@as_root
@pytest.mark.parametrize("mode", ["push", "pull"])
def test_the_folders_are_proved_with_what_the_service_has(ansible, ca, monkeypatch, tmp_path, mode):
    drop_in = "[Service]\nProtectHome = read-only\nNoNewPrivileges=false\nExecStart=/bin/false\n"
    more = {"schedule_drop_ins": {"stdout": drop_in}, "schedule_mode": mode}
    done, arguments = prove_access_of_service(ansible, ca, monkeypatch, tmp_path, "true", **more)
    assert done.returncode == 0, done.stdout + done.stderr
    properties = [word.partition("=")[2] for word in arguments if word.startswith("--property=")]
    assert {"PrivateTmp=true", "ProtectSystem=true"} < set(properties)
    assert properties[-2:] == ["ProtectHome=read-only", "NoNewPrivileges=false"]
    service = (ROLE / "templates/job.service.j2").read_text()
    assert "schedule_sandbox_of_all | items" in service and "schedule_sandbox_of_users | items" in service
