# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An appliance on the loopback address: the SSH server of paramiko, the SFTP server of OpenSSH, and the shell of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

import paramiko

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
WITHOUT_EXTENSIONS = (SFTP_SERVER, "-P", "posix-rename,hardlink")
STOP_TIMEOUT_S = 10.0


class SshAppliance:
    """A server that lets a user in by password or key, and notes the commands that it runs.

    sftp: the command of the SFTP server, or None. commands: functions by command line, which take the channel and return the exit code.
    """

    def __init__(self, keys, listener, sftp=(SFTP_SERVER,), password="a password", user_key=None):
        self.keys, self.listener, self.sftp, self.password, self.user_key = keys, listener, sftp, password, user_key
        self.port = listener.getsockname()[1]
        self.commands, self.ran, self.logins, self.passwords = {}, [], 0, []
        self.disabled = None  # algorithms, as paramiko.Transport takes them
        self.transports, self.processes, self.threads = [], [], []
        self.environment = dict(os.environ)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                connection, _address = self.listener.accept()
            except OSError:  # the test is over
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(connection, disabled_algorithms=self.disabled)
            for key in self.keys:
                transport.add_server_key(key)
            self.transports.append(transport)
            with contextlib.suppress(Exception):
                transport.start_server(server=Login(self), event=threading.Event())

    def stop(self):
        """End the server and all sessions; wait until what they opened is closed."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(STOP_TIMEOUT_S)
        for transport in self.transports:
            transport.close()
        for thread in (self.thread, *self.transports):  # no session starts anything from here on
            thread.join(STOP_TIMEOUT_S)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)  # most end with their input
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
        for transport in self.transports:
            transport.packetizer.complete_handshake()  # stops its timer where no handshake was completed
        for thread in self.threads:
            thread.join(STOP_TIMEOUT_S)
        for process in self.processes:
            process.wait(STOP_TIMEOUT_S)
            for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
                with contextlib.suppress(OSError):  # what could not be written
                    stream.close()
        threads = (self.thread, *self.transports, *self.threads)
        assert not [thread for thread in threads if thread.is_alive()], f"commands do not end: {self.ran}"

    def start_process(self, command, **options):
        """Start a program that is ended with the server."""
        process = subprocess.Popen(command, start_new_session=True, **options)
        self.processes.append(process)
        return process

    def start_thread(self, function, *arguments):
        """Start a thread that is waited for when the server ends."""
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def options(self, **more):
        """Return the option appliance of a request, complete, that lets us in by password."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "operator",
            "password": self.password,
            "key_file": None,
            "key_passphrase": None,
            "agent": False,
            "host_key": [fingerprint_by_openssh(self.keys[0])],
            "known_hosts": "/nonexistent",
            "preset": "none",
            "files": [],
            "verify": None,
            "commands": [],
            "timeout": 5,
            "patience": "3s",
            "transfer": "auto",
            "legacy_algorithms": False,
            "site": "Default Web Site",
            "host_names": [],
            **more,
        }


class Login(paramiko.ServerInterface):
    """What the server allows in one session."""

    def __init__(self, appliance):
        self.appliance = appliance

    def check_auth_password(self, _user, password):
        self.appliance.passwords.append(password)
        return self.result(password == self.appliance.password)

    def check_auth_publickey(self, _user, key):
        return self.result(self.appliance.user_key is not None and key == self.appliance.user_key)

    def result(self, is_right):
        self.appliance.logins += is_right
        return paramiko.AUTH_SUCCESSFUL if is_right else paramiko.AUTH_FAILED

    def get_allowed_auths(self, _user):
        return "password,publickey"

    def check_channel_request(self, _kind, _number):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        line = command.decode()
        self.appliance.ran.append(line)
        function = self.appliance.commands.get(line)
        if function:
            self.appliance.start_thread(answer_with, channel, function)
        else:
            self.appliance.start_thread(run_in_shell, channel, line, self.appliance)
        return True

    def check_channel_subsystem_request(self, channel, name):
        if name != "sftp" or self.appliance.sftp is None:
            return False
        process = self.appliance.start_process(self.appliance.sftp, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.appliance.start_thread(copy_input, channel, process)
        self.appliance.start_thread(copy_output, process.stdout, channel.sendall, channel)
        return True


def answer_with(channel, function):
    try:
        channel.received = b""
        while data := channel.recv(32768):  # all that the client sends: by then it has been told that the command runs
            channel.received += data
        channel.send_exit_status(function(channel))
    except (OSError, EOFError):
        pass
    finally:
        channel.close()


def run_in_shell(channel, line, appliance):
    process = appliance.start_process(
        ["sh", "-c", line],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=appliance.environment,
    )
    appliance.start_thread(copy_input, channel, process)
    outputs = [
        appliance.start_thread(copy_output, process.stdout, channel.sendall),
        appliance.start_thread(copy_output, process.stderr, channel.sendall_stderr),
    ]
    status = process.wait()
    for thread in outputs:
        thread.join()
    with contextlib.suppress(OSError, EOFError):
        channel.send_exit_status(status if status >= 0 else 128 - status)  # as a shell says that a signal ended it
    channel.close()


def copy_input(channel, process):
    with contextlib.suppress(OSError):
        while data := channel.recv(32768):
            process.stdin.write(data)
            process.stdin.flush()
        process.stdin.close()


def copy_output(stream, send, channel=None):
    with contextlib.suppress(OSError, EOFError):  # the client has closed the channel, or the connection
        while data := os.read(stream.fileno(), 32768):
            send(data)
    if channel is not None:
        channel.close()


@contextlib.contextmanager
def ssh_appliances():
    """Yield a function that starts an appliance; stop all of them in the end."""
    with contextlib.ExitStack() as stack:

        def started(*keys, **options):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(50)
            appliance = SshAppliance(keys, listener, **options)
            stack.callback(appliance.stop)
            return appliance

        yield started


def fingerprint_by_openssh(key):
    """Return the fingerprint of a public key, by ssh-keygen."""
    line = f"{key.get_name()} {key.get_base64()}\n"
    done = subprocess.run(["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


def hang(channel):
    """Be a command that never ends by itself."""
    while not channel.closed:
        time.sleep(0.05)
    return 0
