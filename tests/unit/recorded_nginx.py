# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx says of itself on four releases of Debian, and a configuration in several files."""

from __future__ import annotations

# `nginx -V`
# As Debian's packages print it, without the options of the compiler and the linker.
BULLSEYE = """\
nginx version: nginx/1.18.0
built with OpenSSL 1.1.1n  15 Mar 2022 (running with OpenSSL 1.1.1w  11 Sep 2023)
TLS SNI support enabled
configure arguments: --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf \
--http-log-path=/var/log/nginx/access.log --error-log-path=/var/log/nginx/error.log --lock-path=/var/lock/nginx.lock \
--pid-path=/run/nginx.pid --modules-path=/usr/lib/nginx/modules --http-client-body-temp-path=/var/lib/nginx/body \
--http-fastcgi-temp-path=/var/lib/nginx/fastcgi --http-proxy-temp-path=/var/lib/nginx/proxy \
--http-scgi-temp-path=/var/lib/nginx/scgi --http-uwsgi-temp-path=/var/lib/nginx/uwsgi --with-compat --with-debug \
--with-pcre-jit --with-http_ssl_module --with-http_stub_status_module --with-http_realip_module \
--with-http_auth_request_module --with-http_v2_module --with-http_dav_module --with-http_slice_module --with-threads \
--with-http_gzip_static_module --without-http_browser_module --without-http_geo_module \
--without-http_limit_req_module --without-http_limit_conn_module --without-http_memcached_module \
--without-http_referer_module --without-http_split_clients_module --without-http_userid_module
"""

BOOKWORM = """\
nginx version: nginx/1.22.1
built with OpenSSL 3.0.20 7 Apr 2026
TLS SNI support enabled
configure arguments: --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf \
--http-log-path=/var/log/nginx/access.log --error-log-path=stderr --lock-path=/var/lock/nginx.lock \
--pid-path=/run/nginx.pid --modules-path=/usr/lib/nginx/modules --http-client-body-temp-path=/var/lib/nginx/body \
--http-fastcgi-temp-path=/var/lib/nginx/fastcgi --http-proxy-temp-path=/var/lib/nginx/proxy \
--http-scgi-temp-path=/var/lib/nginx/scgi --http-uwsgi-temp-path=/var/lib/nginx/uwsgi --with-compat --with-debug \
--with-pcre-jit --with-http_ssl_module --with-http_stub_status_module --with-http_realip_module \
--with-http_auth_request_module --with-http_v2_module --with-http_dav_module --with-http_slice_module --with-threads \
--with-http_addition_module --with-http_flv_module --with-http_gunzip_module --with-http_gzip_static_module \
--with-http_mp4_module --with-http_random_index_module --with-http_secure_link_module --with-http_sub_module \
--with-mail_ssl_module --with-stream_ssl_module --with-stream_ssl_preread_module --with-stream_realip_module \
--with-http_geoip_module=dynamic --with-http_image_filter_module=dynamic --with-http_perl_module=dynamic \
--with-http_xslt_module=dynamic --with-mail=dynamic --with-stream=dynamic --with-stream_geoip_module=dynamic
"""

TRIXIE = """\
nginx version: nginx/1.26.3
built with OpenSSL 3.5.6 7 Apr 2026 (running with OpenSSL 3.5.7 9 Jun 2026)
TLS SNI support enabled
configure arguments: --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf \
--http-log-path=/var/log/nginx/access.log --error-log-path=stderr --lock-path=/var/lock/nginx.lock \
--pid-path=/run/nginx.pid --modules-path=/usr/lib/nginx/modules --http-client-body-temp-path=/var/lib/nginx/body \
--http-fastcgi-temp-path=/var/lib/nginx/fastcgi --http-proxy-temp-path=/var/lib/nginx/proxy \
--http-scgi-temp-path=/var/lib/nginx/scgi --http-uwsgi-temp-path=/var/lib/nginx/uwsgi --with-compat --with-debug \
--with-pcre-jit --with-http_ssl_module --with-http_stub_status_module --with-http_realip_module \
--with-http_auth_request_module --with-http_v2_module --with-http_v3_module --with-http_dav_module \
--with-http_slice_module --with-threads --with-http_addition_module --with-http_flv_module --with-http_gunzip_module \
--with-http_gzip_static_module --with-http_mp4_module --with-http_random_index_module --with-http_secure_link_module \
--with-http_sub_module --with-mail_ssl_module --with-stream_ssl_module --with-stream_ssl_preread_module \
--with-stream_realip_module --with-http_geoip_module=dynamic --with-http_image_filter_module=dynamic \
--with-http_perl_module=dynamic --with-http_xslt_module=dynamic --with-mail=dynamic --with-stream=dynamic \
--with-stream_geoip_module=dynamic
"""

SID = """\
nginx version: nginx/1.30.6
built by gcc 16.2.0 (Debian 16.2.0-3)
built with OpenSSL 3.6.5 29 Sep 2026
TLS SNI support enabled
configure arguments: --override-system=Linux --override-release=3.16.0 --override-machine=x86_64 \
--prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf --http-log-path=/var/log/nginx/access.log \
--error-log-path=stderr --lock-path=/var/lock/nginx.lock --pid-path=/run/nginx.pid \
--modules-path=/usr/lib/nginx/modules --http-client-body-temp-path=/var/lib/nginx/body \
--http-fastcgi-temp-path=/var/lib/nginx/fastcgi --http-proxy-temp-path=/var/lib/nginx/proxy \
--http-scgi-temp-path=/var/lib/nginx/scgi --http-uwsgi-temp-path=/var/lib/nginx/uwsgi --with-compat --with-debug \
--with-pcre-jit --with-http_ssl_module --with-http_stub_status_module --with-http_realip_module \
--with-http_auth_request_module --with-http_v2_module --with-http_v3_module --with-http_dav_module \
--with-http_slice_module --with-threads --with-http_addition_module --with-http_flv_module --with-http_gunzip_module \
--with-http_gzip_static_module --with-http_mp4_module --with-http_random_index_module --with-http_secure_link_module \
--with-http_sub_module --with-mail_ssl_module --with-stream_ssl_module --with-stream_ssl_preread_module \
--with-stream_realip_module --with-http_geoip_module=dynamic --with-http_image_filter_module=dynamic \
--with-http_perl_module=dynamic --with-http_xslt_module=dynamic --with-mail=dynamic --with-stream=dynamic \
--with-stream_geoip_module=dynamic
"""

MAIN = "/etc/nginx/nginx.conf"
OURS = "/etc/nginx/conf.d/evergreen.conf"
FILES = {
    MAIN: "pid /run/nginx.pid;\ninclude modules/*.conf;\nhttp {\n  include conf.d/*.conf; # ours\n  include /etc/nginx/sites-enabled/*;\n}\n",
    "/etc/nginx/conf.d/a.conf": "server_tokens off;\n",
    "/etc/nginx/conf.d/z.conf": "gzip on;\n",
    "/etc/nginx/sites-enabled/default": "server {\n  listen 80 default_server;\n  listen [::]:80 default_server;\n  server_name _;\n}\n"
    "# another\nserver { include snippets/tls.conf; server_name WWW.example.org 'a b'; }\n",
    "/etc/nginx/snippets/tls.conf": "listen 443 ssl;\nlisten unix:/run/x.sock;\nlisten 192.0.2.1:8443 ssl;\nssl_certificate /etc/x.pem;\n",
}
