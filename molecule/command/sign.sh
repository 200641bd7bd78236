#!/bin/sh
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A CA in a folder: signs what stands on its standard input for the names in EVERGREEN_NAMES, once somebody has made the file
# "approved". What goes to standard error is shown to people.
set -eu
cd "$(dirname "$0")"
cat > request.csr
if [ ! -e approved ]; then
    echo "ask the security team to approve $EVERGREEN_NAMES" >&2
    exit 75
fi
{
    echo "$EVERGREEN_NAMES" | sed 's/[][" ]//g; s/^/DNS:/; s/,/,DNS:/g; s/^/subjectAltName=/'
    echo 'basicConstraints=critical,CA:FALSE'
    echo 'keyUsage=critical,digitalSignature'
    echo 'extendedKeyUsage=serverAuth'
    echo 'authorityKeyIdentifier=keyid'
    echo 'subjectKeyIdentifier=hash'
} > leaf.ext
echo "warning: this CA is a script"
openssl x509 -req -in request.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -extfile leaf.ext
