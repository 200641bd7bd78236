# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the debug log of paramiko, packets and all that it can be told to write, into the file PARAMIKO_LOG."""

from __future__ import annotations

import logging
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: paramiko_log
type: aggregate
short_description: the debug log of paramiko
description: Writes the debug log of paramiko.
"""


class CallbackModule(CallbackBase):
    """Listen to the loggers of paramiko."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "paramiko_log"

    def __init__(self) -> None:
        super().__init__()
        logger = logging.getLogger("paramiko")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(logging.FileHandler(os.environ["PARAMIKO_LOG"]))
