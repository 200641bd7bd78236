# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that C(server.xml) of Tomcat names (https://tomcat.apache.org/tomcat-10.1-doc/config/http.html, SSL Support)."""

from __future__ import annotations

import os
import typing as t
from xml.parsers import expat

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._scan.place import (
    COMBINED,
    KEYSTORE,
    PEM,
    VARIABLE,
    Place,
)

MAX_ELEMENTS = 100_000
DEFAULT_HOST = "_default_"  # the hostName of an SSLHostConfig that has none


class _Elements:
    """The places that the elements of a file name, in their order."""

    def __init__(self, path: str, base: str, parser: expat.XMLParserType) -> None:
        self.path, self.base, self.parser = path, base, parser
        self.places: list[Place] = []
        self.ports: tuple[int, ...] = ()
        self.names: tuple[str, ...] = ()
        self.is_tls = False
        self.count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Note an element. Raises TlsError for too many of them."""
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise TlsError(f"{self.path} has more than {MAX_ELEMENTS} elements; see what wrote it")
        if name == "Connector":
            port = attributes.get("port", "")
            self.ports = (int(port),) if port.isascii() and port.isdigit() and len(port) < 6 else ()
            self.names = ()
            self.is_tls = attributes.get("SSLEnabled", "").lower() == "true"
            if self.is_tls and "keystoreFile" in attributes:  # before Tomcat 8.5
                self._add(attributes["keystoreFile"], form=KEYSTORE)
        elif name == "SSLHostConfig":
            host = attributes.get("hostName", DEFAULT_HOST).lower()
            self.names = () if host == DEFAULT_HOST else (host,)
        elif name == "Certificate" and self.is_tls:
            certificate = attributes.get("certificateFile", "")
            if certificate:
                key, chain = attributes.get("certificateKeyFile", ""), attributes.get("certificateChainFile", "")
                self._add(certificate, key, chain, PEM if key and key != certificate else COMBINED)
            elif "certificateKeystoreFile" in attributes:
                self._add(attributes["certificateKeystoreFile"], form=KEYSTORE)

    def refuse(self, *_declaration: t.Any) -> None:
        """Raise TlsError: entities of a document type could expand without end, or name other files."""
        raise TlsError(f"{self.path} has a document type, which a server.xml needs not; take the DOCTYPE away")

    def _add(self, certificate: str, key: str = "", chain: str = "", form: str = PEM) -> None:
        certificate, key, chain = (self._absolute(one) if one else "" for one in (certificate, key, chain))
        form = VARIABLE if any("${" in one for one in (certificate, key, chain)) else form
        line = self.parser.CurrentLineNumber
        self.places.append(Place(self.path, line, "tomcat", self.names, self.ports, certificate, key, chain, form))

    def _absolute(self, value: str) -> str:
        value = value.replace("${catalina.base}", self.base).replace("${catalina.home}", self.base)
        return value if "${" in value else os.path.normpath(os.path.join(self.base, value))


def tomcat_places(path: str, base: str, content: bytes) -> list[Place]:
    """Return the certificates of the connectors with TLS. Relative paths begin in *base* (CATALINA_BASE).

    Raises TlsError for a file that is no XML, or has a document type.
    """
    parser = expat.ParserCreate()
    elements = _Elements(path, base, parser)
    parser.StartElementHandler = elements.start
    parser.StartDoctypeDeclHandler = elements.refuse
    parser.EntityDeclHandler = elements.refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise TlsError(f"{path} is no XML ({error}), and Tomcat cannot read it either; correct it") from error
    return elements.places
