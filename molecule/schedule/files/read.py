# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows the first mail that has come, as a mail program does."""

import email
import email.policy
import pathlib
import sys

mails = sorted(pathlib.Path("/srv/received/mails/new").iterdir())
if not mails:
    sys.exit("There is no mail yet.")
mail = email.message_from_bytes(mails[0].read_bytes(), policy=email.policy.default)
sys.stdout.write(f"Subject: {mail['Subject']}\nTo: {mail['To']}\n\n{mail.get_content()}")
