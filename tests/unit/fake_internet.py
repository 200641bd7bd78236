# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small DNS on the loopback network for tests: zones, their name servers, and one resolver that knows all of them.

Every server has an address of its own in 127.0.0.0/8, and all share one port. Updates are taken where they are signed.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update

RESOLVER = "127.0.0.1"
TTL = 1
MAX_UDP_BYTES, MAX_BYTES = 1232, 65535


def name_of(text):
    return dns.name.from_text(text)


def truncated(wire):
    """Return a message as it is sent by UDP."""
    if len(wire) <= MAX_UDP_BYTES:
        return wire
    message = dns.message.from_wire(wire)
    message.flags |= dns.flags.TC
    message.answer, message.authority, message.additional = [], [], []
    return message.to_wire()


class Zone:
    """The records of a zone."""

    def __init__(self, name, records):
        self.name, self.records = name_of(name), {}
        self.signatures = {}  # RRSIG records by owner and kind, where the zone is signed
        for owner, kind, *values in records:
            self.records.setdefault((name_of(owner), dns.rdatatype.from_text(kind)), set()).update(values)

    def rrset(self, owner, kind):
        values = self.records.get((owner, kind))
        return (
            dns.rrset.from_text_list(owner, TTL, "IN", dns.rdatatype.to_text(kind), sorted(values)) if values else None
        )

    def has(self, owner):
        return any(name.is_subdomain(owner) for name, _kind in self.records)

    def cut(self, owner):
        """Return the delegation above a name, if there is one."""
        for name, kind in self.records:
            if kind == dns.rdatatype.NS and name != self.name and owner.is_subdomain(name):
                return self.rrset(name, kind)
        return None


class NameServer:
    """A name server at an address."""

    def __init__(self, internet, address, zones, recursive=False):
        self.internet, self.address, self.zones, self.recursive = internet, address, zones, recursive
        self.keys = {}
        self.forbidden = set()
        self.silent = False
        self.status = None  # of all answers, where it is to be another one
        self.updates = []
        self.queries = []

    def answer(self, wire):
        """Return the response to a message, or None for silence."""
        if self.silent:
            return None
        try:
            query = dns.message.from_wire(wire, keyring=self.keys)
        except dns.message.UnknownTSIGKey:  # as Knot does: it cannot sign, and says no more
            return self.refused(wire, dns.rcode.NOTAUTH)
        except dns.tsig.BadSignature:
            return self.refused(wire, dns.rcode.NOTAUTH, dns.rcode.BADSIG)
        response = dns.message.make_response(query)
        if self.status is not None:
            response.set_rcode(self.status)
        elif query.opcode() == dns.opcode.UPDATE:
            response.set_rcode(self.update(query))
        else:
            self.queries.append((query.question[0].name.to_text(), query.question[0].rdtype))
            self.look_up(query.question[0], response)
            if query.ednsflags & dns.flags.DO:
                self.add_signatures(response)
        return response.to_wire(max_size=MAX_BYTES)

    def send_by_tcp(self, write, wire):
        write(wire)

    def refused(self, wire, status, tsig_error=0):
        response = dns.message.make_response(dns.message.from_wire(wire, keyring=False))
        response.set_rcode(status)
        response.tsig = None
        if tsig_error:
            response.use_tsig(self.keys, tsig_error=tsig_error)
        return response.to_wire()

    def update(self, query):
        zone = self.zone_of(query.zone[0].name)
        if zone is None or zone.name != query.zone[0].name or not query.had_tsig:
            return dns.rcode.NOTAUTH
        if any(change.name.to_text(True) in self.forbidden for change in query.update):
            return dns.rcode.REFUSED
        for change in query.update:
            values = zone.records.setdefault((change.name, change.rdtype), set())
            texts = {record.to_text() for record in change}
            values.difference_update(texts) if change.deleting == dns.rdataclass.NONE else values.update(texts)
            if not values:
                del zone.records[change.name, change.rdtype]
        self.updates.append(query)
        return dns.rcode.NOERROR

    def zone_of(self, name):
        around = [zone for zone in self.zones if name.is_subdomain(zone.name)]
        return max(around, key=lambda zone: len(zone.name.labels), default=None)

    def add_signatures(self, response):
        for section in (response.answer, response.authority):
            for rrset in list(section):
                signatures = (zone.signatures.get((rrset.name, rrset.rdtype)) for zone in self.zones)
                section.extend(filter(None, signatures))

    def look_up(self, question, response):
        name, rrset = question.name, None
        while len(response.answer) < 8:
            is_above = question.rdtype == dns.rdatatype.DS and name != dns.name.root
            zone = self.zone_of(name.parent() if is_above else name)
            if zone is None:
                response.set_rcode(dns.rcode.NXDOMAIN if self.recursive else dns.rcode.REFUSED)
                return
            cut = None if self.recursive or is_above else zone.cut(name)
            if cut:
                response.authority.append(cut)
                glue = (
                    zone.rrset(record.target, kind) for record in cut for kind in (dns.rdatatype.A, dns.rdatatype.AAAA)
                )
                response.additional.extend(filter(None, glue))
                return
            response.flags |= 0 if self.recursive else dns.flags.AA
            rrset = zone.rrset(name, question.rdtype)
            alias = zone.rrset(name, dns.rdatatype.CNAME)
            if rrset or not alias:
                break
            response.answer.append(alias)
            name = alias[0].target
            if not self.recursive and self.zone_of(name) is not zone:
                return
        if rrset:
            response.answer.append(rrset)
            return
        response.authority.append(zone.rrset(zone.name, dns.rdatatype.SOA))
        if not zone.has(name):
            response.set_rcode(dns.rcode.NXDOMAIN)


class FakeInternet:
    """Zones, their name servers, and a resolver that knows all zones."""

    def __init__(self, resolver=RESOLVER, port=None):
        self.port = port or free_port()
        self.servers = {}
        self.stack = contextlib.ExitStack()
        self.resolver = self.serve(resolver, [], recursive=True)

    def zone(self, name, *records, servers=None, primary=None):
        """Add a zone and return it.

        servers: address by name; all of them have the same records.
        """
        servers = servers or {f"ns.{name}": "127.0.0.2"}
        first = primary or next(iter(servers))
        mailbox = f"hostmaster.{name}".rstrip(".") + "."
        own = [
            (name, "SOA", f"{first}. {mailbox} 1 3600 600 86400 60"),
            *((name, "NS", f"{server}.") for server in servers),
            *((server, "A", address) for server, address in servers.items()),
        ]
        zone = Zone(name, [*own, *records])
        self.resolver.zones.append(zone)
        for address in servers.values():
            if address in self.servers:
                self.servers[address].zones.append(zone)
            else:
                self.serve(address, [zone])
        return zone

    def serve(self, address, zones, recursive=False):
        """Start a server."""
        server = self.servers[address] = NameServer(self, address, zones, recursive)

        class ByUdp(socketserver.BaseRequestHandler):
            def handle(self):
                answer = server.answer(self.request[0])
                if answer:
                    self.request[1].sendto(truncated(answer), self.client_address)

        class ByTcp(socketserver.StreamRequestHandler):
            def handle(self):
                length = self.rfile.read(2)
                answer = len(length) == 2 and server.answer(self.rfile.read(struct.unpack("!H", length)[0]))
                if answer:
                    with contextlib.suppress(OSError):  # of a client that does not wait
                        server.send_by_tcp(self.wfile.write, struct.pack("!H", len(answer)) + answer)

        for kind, handler in ((socketserver.ThreadingUDPServer, ByUdp), (Listener, ByTcp)):
            listener = self.stack.enter_context(kind((address, self.port), handler))
            thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            self.stack.callback(thread.join)
            self.stack.callback(listener.shutdown)
        return server


class Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


def free_port():
    """Return a port that is free for UDP and TCP on all addresses of the loopback network."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind(("", 0))
            try:
                datagram.bind(("", stream.getsockname()[1]))
            except OSError:  # somebody else has it
                continue
            return stream.getsockname()[1]


@contextlib.contextmanager
def fake_internet():
    """Yield an internet without zones; stop its servers in the end."""
    internet = FakeInternet()
    with internet.stack:
        yield internet
