# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How to install the Python libraries of the controller, for sentences about one that is missing."""

from __future__ import annotations

# The versions that work, by library; those of requirements.txt, which users with an installed collection do not have in front of them.
VERSIONS = {
    "acme": ">= 5, < 6",
    "aioquic": ">= 1.2, < 2",
    "boto3": ">= 1.34",
    "dnspython": ">= 2.6",
    "jmespath": ">= 1.0",
    "paramiko": ">= 3.4",
    "prometheus_client": ">= 0.20, < 1",
    "publicsuffixlist": ">= 1.0",
    "pyopenssl": ">= 25",
}


def install_command(library: str) -> str:
    """Return the remedy for a library that is missing on the controller, as the end of a sentence.

    >>> install_command("jmespath")
    "run pip install 'jmespath >= 1.0' with the Python of ansible-playbook"
    """
    return f"run pip install '{library} {VERSIONS[library]}' with the Python of ansible-playbook"
