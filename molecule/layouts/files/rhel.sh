#!/bin/sh
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Lay out /etc/nginx as RHEL does.
set -eu
mkdir -p /etc/nginx/default.d /usr/share/nginx/modules
echo 'location = /from-default.d { return 200 own; }' > /etc/nginx/default.d/own.conf
systemctl restart nginx
