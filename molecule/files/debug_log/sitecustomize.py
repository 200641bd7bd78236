# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write what all libraries log, at the level DEBUG, into the file DEBUG_LOG, in each process of Python that Ansible starts."""

from __future__ import annotations

import logging
import os

logging.basicConfig(filename=os.environ["DEBUG_LOG"], level=logging.DEBUG)
logging.debug("the debug log is on")
