# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the clouds of the tests refuse. Needs the standard library only."""

from __future__ import annotations


class Refused(Exception):
    """An error that an API answers with."""

    def __init__(self, code, message="refused by the cloud of the tests"):
        super().__init__(code)
        self.code, self.message = code, message
