# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client that connects to a machine continuously while its modules are killed. OpenSSL verifies the certificates."""

from __future__ import annotations

# A program of its own: it runs in another network, and with nothing of this collection.
OBSERVER = r"""
import hashlib, json, socket, ssl, sys, threading

ADDRESS = "192.0.2.1"
TIMEOUTS_S = {"refused or blocked": 0.2, "open": 20}

def https(port, name, root):
    context = ssl.create_default_context(cadata=root)
    with socket.create_connection((ADDRESS, port), TIMEOUTS_S["open"]) as plain:
        with context.wrap_socket(plain, server_hostname=name) as connection:
            fingerprint = hashlib.sha256(connection.getpeercert(True)).hexdigest()
            connection.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % name.encode())
            response = connection.recv(100)
            return fingerprint if response.startswith(b"HTTP/1.1 ") else "an empty answer"

def http(port):
    with socket.create_connection((ADDRESS, port), TIMEOUTS_S["open"]) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n")
        return "answers" if connection.recv(100).startswith(b"HTTP/1.1 ") else "an empty answer"

def tcp(port, may_be_blocked):
    socket.create_connection((ADDRESS, port), TIMEOUTS_S["refused or blocked" if may_be_blocked else "open"]).close()
    return "open"

def attempt(endpoint, expected):
    kind, port, *name = endpoint.split(":")
    try:
        if kind == "https":
            return https(int(port), *name, expected)
        return http(int(port)) if kind == "http" else tcp(int(port), expected)
    except ssl.SSLError as error:
        return "TLS: " + str(error.reason)
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror or str(error)

def try_once(endpoints, counts):
    for endpoint, expected in endpoints.items():
        observation = endpoint + " " + attempt(endpoint, expected)
        counts[observation] = counts.get(observation, 0) + 1

def watch(endpoints, counts, ended):
    while not ended.wait(0.02):
        try_once(endpoints, counts)

print("ready", flush=True)
for line in sys.stdin:
    command, endpoints = json.loads(line)
    if command == "watch":
        counts, ended = {}, threading.Event()
        thread = threading.Thread(target=watch, args=(endpoints, counts, ended), daemon=True)
        thread.start()
        continue
    if command == "end":
        ended.set()
        thread.join()
    else:
        counts = {}
    try_once(endpoints, counts)
    print(json.dumps(counts), flush=True)
"""
