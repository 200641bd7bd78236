# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installs pip as ansible-test wants it, from the pip that Python brings along and the package index."""

from __future__ import annotations

import subprocess
import sys

UNKNOWN_TO_PIP = ("--no-setuptools", "--no-wheel")
words = [word for word in sys.argv[1:] if word not in UNKNOWN_TO_PIP]
subprocess.run([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL, check=True)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *words], check=True)
