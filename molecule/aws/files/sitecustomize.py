# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Switch on the debug log of botocore in each process that Ansible starts."""

from __future__ import annotations

import logging
import os

handler = logging.FileHandler(os.environ["BOTOCORE_LOG"])
for name in ("boto3", "botocore", "urllib3"):
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
