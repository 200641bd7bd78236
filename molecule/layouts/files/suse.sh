#!/bin/sh
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Lay out /etc/nginx as openSUSE does.
set -eu
mkdir -p /etc/nginx/vhosts.d /etc/nginx/modules.d /srv/www/htdocs
echo 'server { listen 8088; }' > /etc/nginx/vhosts.d/own.conf
echo own > /srv/www/htdocs/own.html
systemctl restart nginx
