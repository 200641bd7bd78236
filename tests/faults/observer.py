# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client that asks a machine again and again while its modules are killed; OpenSSL judges what it presents."""

from __future__ import annotations

# A program of its own: it runs in another network, and with nothing of this collection.
WITNESS = r"""
import hashlib, json, socket, ssl, sys, threading

ADDRESS = "192.0.2.1"
PATIENCE = {"refused or shut": 0.2, "open": 20}

def https(port, name, root):
    context = ssl.create_default_context(cadata=root)
    with socket.create_connection((ADDRESS, port), PATIENCE["open"]) as plain:
        with context.wrap_socket(plain, server_hostname=name) as connection:
            found = hashlib.sha256(connection.getpeercert(True)).hexdigest()
            connection.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % name.encode())
            answer = connection.recv(100)
            return found if answer.startswith(b"HTTP/1.1 ") else "an empty answer"

def http(port):
    with socket.create_connection((ADDRESS, port), PATIENCE["open"]) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n")
        return "answers" if connection.recv(100).startswith(b"HTTP/1.1 ") else "an empty answer"

def tcp(port, may_be_shut):
    socket.create_connection((ADDRESS, port), PATIENCE["refused or shut" if may_be_shut else "open"]).close()
    return "open"

def attempt(place, what):
    kind, port, *name = place.split(":")
    try:
        if kind == "https":
            return https(int(port), *name, what)
        return http(int(port)) if kind == "http" else tcp(int(port), what)
    except ssl.SSLError as error:
        return "TLS: " + str(error.reason)
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror or str(error)

def look(places, seen):
    for place, what in places.items():
        found = place + " " + attempt(place, what)
        seen[found] = seen.get(found, 0) + 1

def watch(places, seen, ended):
    while not ended.wait(0.02):
        look(places, seen)

print("ready", flush=True)
for line in sys.stdin:
    what, places = json.loads(line)
    if what == "watch":
        seen, ended = {}, threading.Event()
        thread = threading.Thread(target=watch, args=(places, seen, ended), daemon=True)
        thread.start()
        continue
    if what == "end":
        ended.set()
        thread.join()
    else:
        seen = {}
    look(places, seen)
    print(json.dumps(seen), flush=True)
"""
