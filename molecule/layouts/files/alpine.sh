#!/bin/sh
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Lay out /etc/nginx as Alpine does, take systemd away from those who look for it, and start nginx as OpenRC would.
set -eu
mkdir -p /etc/nginx/http.d /etc/nginx/modules /run/nginx
echo 'server { listen 80 default_server; listen [::]:80 default_server; location / { return 404; } }' > /etc/nginx/http.d/default.conf
systemctl stop nginx
systemctl mask --quiet nginx
mv /usr/bin/systemctl /usr/bin/systemctl-of-debian
mv /run/systemd/system /run/systemd/system-of-debian
nginx < /dev/null > /dev/null 2>&1
