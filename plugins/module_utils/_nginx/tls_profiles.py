# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The TLS profiles of sites, in the directives that the nginx of a host understands.

They follow the guideline 6.0 of Mozilla's server side TLS (https://ssl-config.mozilla.org/guidelines/).
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import Session, Site
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import NginxBuild, version_text

INTERMEDIATE_CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
    )
)
PROFILE_VERSIONS = {"modern": ["TLSv1.3"], "intermediate": ["TLSv1.2", "TLSv1.3"]}
CURVES = "X25519:prime256v1:secp384r1"


def tls_versions(sites: t.Iterable[Site]) -> list[str]:
    """Return the versions of TLS that the sites together have, in ascending order."""
    return sorted(
        {version for site in sites for version in site.get("tls_versions") or PROFILE_VERSIONS[site["profile"]]}
    )


def profile_name(versions: t.Collection[str]) -> str:
    """Return the name of a snippet with these versions of TLS: that of the profile that has the same ones.

    >>> profile_name(["TLSv1.3"])
    'modern'
    """
    names = [name for name, of_profile in PROFILE_VERSIONS.items() if of_profile == sorted(versions)]
    return names[0] if names else "-".join(versions).lower().replace(".", "")


def tls_directives(nginx: NginxBuild, versions: t.Collection[str], session: Session) -> list[str]:
    """Return the TLS directives for one server block.

    versions: those of TLS, such as PROFILE_VERSIONS has them for V(modern) and V(intermediate).
    *session* has the keys C(timeout), C(cache) and C(tickets); tickets are C(None) to follow the guideline.
    """
    protocols = _protocols(nginx, versions)
    return [
        f"ssl_protocols {' '.join(protocols)};",
        *([f"ssl_ciphers {INTERMEDIATE_CIPHERS};"] if "TLSv1.2" in protocols else []),
        f"ssl_ecdh_curve {_curves(nginx)};",
        "ssl_prefer_server_ciphers off;",
        f"ssl_session_timeout {session['timeout']};",
        f"ssl_session_cache {session['cache']};",
        *_session_tickets(nginx, session["tickets"]),
    ]


def _protocols(nginx: NginxBuild, versions: t.Collection[str]) -> list[str]:
    # An unknown library gets TLS 1.3 in its list: nginx leaves out what the library does not have.
    has_tls13 = not nginx.openssl or nginx.openssl >= (1, 1, 1)
    if "TLSv1.2" not in versions and not has_tls13:
        raise TlsError(
            f"the profile modern, or tls_versions of TLSv1.3 alone, needs TLS 1.3, and OpenSSL {version_text(nginx.openssl)} does not have it; "
            "upgrade OpenSSL to 1.1.1 or later, or use the profile intermediate"
        )
    return [version for version in sorted(versions) if has_tls13 or version != "TLSv1.3"]


def _curves(nginx: NginxBuild) -> str:
    # nginx does not start with a group that its OpenSSL does not know, unless a question mark stands before it, as of OpenSSL 3.3
    # (SSL_CTX_set1_groups_list(3)). OpenSSL has X25519MLKEM768 from 3.5 on.
    return f"?X25519MLKEM768:{CURVES}" if nginx.openssl >= (3, 3) else CURVES


def _session_tickets(nginx: NginxBuild, option: bool | None) -> list[str]:
    if option is None:
        # Until 1.23.2 the key of the tickets stays the same for as long as nginx runs.
        return ["ssl_session_tickets off;"] if nginx.version < (1, 23, 2) else []
    return [f"ssl_session_tickets {'on' if option else 'off'};"]
