# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The PowerShell that binds a certificate in IIS, and the command that runs it.

Script and values are two lines of standard input: the script in base64, the values as JSON in ASCII. So no value is ever part of a
script or of a command line, whatever characters it has, and the password of the keystore is in neither.
"""

from __future__ import annotations

import base64
import json
import typing as t

# It runs with Windows PowerShell 5.1, which Windows Server 2016 and later have. $input has the lines of standard input.
BOOTSTRAP = (
    "$lines = @($input); "
    "$script = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($lines[0])); "
    "& ([ScriptBlock]::Create($script)) ($lines[1] | ConvertFrom-Json)"
)

# Values: action, name, thumbprint, pfx, password, site, port, host_names, before.
# - bind imports the keystore and binds the certificate to each host name with SNI. Where one fails, all have what they had before.
# - restore binds what each host name had before; one that was made by bind is removed.
# - clean removes the certificates that were bound before, if they were imported by this script and nothing is bound to them any more.
# It prints one line of JSON: error, or before with the thumbprint of each host name ("" for none, null for no binding).
SCRIPT = r"""
param($values)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$label = 'evergreen ' + $values.name

function Get-Binding($hostName) {
    Get-WebBinding -Name $values.site -Protocol 'https' -Port $values.port |
        Where-Object { $_.bindingInformation.Split(':')[-1] -eq $hostName } |
        Select-Object -First 1
}

function Get-BoundThumbprint($hostName) {
    $binding = Get-Binding $hostName
    if ($null -eq $binding) { return $null }
    return [string]$binding.certificateHash
}

function Set-BoundThumbprint($hostName, $thumbprint) {
    $binding = Get-Binding $hostName
    if ($null -eq $binding) {
        New-WebBinding -Name $values.site -Protocol 'https' -Port $values.port -HostHeader $hostName -SslFlags 1
        $binding = Get-Binding $hostName
    }
    if ([string]$binding.certificateHash -ne '') {
        $binding.RebindSslCertificate($thumbprint, 'My')
    } else {
        $binding.AddSslCertificate($thumbprint, 'My')
    }
}

function Restore-Bindings($before) {
    foreach ($entry in $before) {
        $binding = Get-Binding $entry.host_name
        if ($null -eq $binding) { continue }
        if ($null -eq $entry.thumbprint) {
            $binding | Remove-WebBinding
        } elseif ($entry.thumbprint -ne '') {
            $binding.RebindSslCertificate($entry.thumbprint, 'My')
        } elseif ([string]$binding.certificateHash -ne '') {
            $binding.RemoveSslCertificate()
        }
    }
}

function Import-Keystore {
    $password = ConvertTo-SecureString -String $values.password -AsPlainText -Force
    try {
        Import-PfxCertificate -FilePath $values.pfx -CertStoreLocation 'Cert:\LocalMachine\My' -Password $password | Out-Null
    } finally {
        Remove-Item -LiteralPath $values.pfx -Force -ErrorAction SilentlyContinue
    }
    $certificate = Get-Item -LiteralPath ('Cert:\LocalMachine\My\' + $values.thumbprint)
    if (-not $certificate.HasPrivateKey) { throw 'the certificate was imported without its private key' }
    $certificate.FriendlyName = $label
}

function Remove-OldCertificates($before) {
    $bound = @(Get-WebBinding -Protocol 'https' | ForEach-Object { [string]$_.certificateHash })
    foreach ($thumbprint in @($before | ForEach-Object { $_.thumbprint } | Select-Object -Unique)) {
        if (-not $thumbprint -or $thumbprint -eq $values.thumbprint -or $bound -contains $thumbprint) { continue }
        $path = 'Cert:\LocalMachine\My\' + $thumbprint
        $certificate = Get-Item -LiteralPath $path -ErrorAction SilentlyContinue
        if ($null -ne $certificate -and $certificate.FriendlyName -eq $label) { Remove-Item -LiteralPath $path -DeleteKey }
    }
}

$result = @{ error = $null; before = @() }
try {
    Import-Module WebAdministration
    if (-not (Get-Website | Where-Object { $_.name -eq $values.site })) { throw ('there is no site ' + $values.site) }
    if ($values.action -eq 'bind') {
        $result.before = @($values.host_names | ForEach-Object {
            @{ host_name = $_; thumbprint = (Get-BoundThumbprint $_) }
        })
        Import-Keystore
        try {
            foreach ($hostName in $values.host_names) { Set-BoundThumbprint $hostName $values.thumbprint }
        } catch {
            Restore-Bindings $result.before
            throw
        }
    } elseif ($values.action -eq 'restore') {
        Restore-Bindings $values.before
    } else {
        Remove-OldCertificates $values.before
    }
} catch {
    $result.error = $_.Exception.Message
}
ConvertTo-Json -InputObject $result -Compress -Depth 4
"""


# not a parser: it writes what the collection has made or checked
def powershell_command() -> str:
    """Return the command line that runs a script from standard input. It is the same each time, and has no quotes."""
    encoded = base64.b64encode(BOOTSTRAP.encode("utf-16-le")).decode()
    return f"powershell.exe -NoProfile -NonInteractive -EncodedCommand {encoded}"


# not a parser: it writes what the collection has made or checked
def script_input(values: t.Mapping[str, t.Any]) -> bytes:
    """Return the standard input of the command: the script, and its values, which are in ASCII whatever characters they have."""
    script = base64.b64encode(SCRIPT.encode())
    return script + b"\r\n" + json.dumps(values, ensure_ascii=True).encode() + b"\r\n"
