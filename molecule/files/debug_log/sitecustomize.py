# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write what libraries log, at the level DEBUG, into the file DEBUG_LOG, in each process of Python that Ansible starts.

The root of all loggers is left to Ansible, whose own log needs it.
"""

from __future__ import annotations

import logging
import os

handler = logging.FileHandler(os.environ["DEBUG_LOG"])
for name in ("ansible_collections", "asyncio", "boto3", "botocore", "concurrent", "paramiko", "requests", "urllib3"):
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
handler.emit(logging.makeLogRecord({"msg": "the debug log is on"}))
