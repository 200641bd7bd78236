# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    REQUESTS: str  # see below

    # The option that every module and action shares that is about one certificate (module_utils/_request_spec.py).
    DOCUMENTATION = r"""
options:
  request:
    description:
      - What the certificate is to be, as an entry of C(certificate_requests) says it.
    type: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the request, and of its folder on the host.
          - Letters, digits, dots, hyphens and underscores; 128 characters at most.
        type: str
        required: true
      domains:
        description:
          - The DNS names and IP addresses that the certificate covers; at least one, and 1000 at most.
          - Wildcards such as V(*.example.org), internationalised names and IPv6 addresses are brought into the form that
            certificates hold.
        type: list
        elements: str
        required: true
      issuer:
        description: The name of the issuer, a key of C(certificate_issuers).
        type: str
        default: local
      type:
        description: The type of the private key.
        type: str
        choices: [RSA, ECC, Ed25519]
        default: ECC
      size:
        description: The size of an RSA key in bits.
        type: int
        choices: [2048, 3072, 4096]
        default: 2048
      curve:
        description: The curve of an ECC key.
        type: str
        choices: [secp256r1, secp384r1, secp521r1]
        default: secp256r1
      country_name:
        description: The country in the subject, two letters (ISO 3166).
        type: str
      state_or_province_name:
        description: The state or province in the subject.
        type: str
      locality_name:
        description: The locality in the subject.
        type: str
      organization_name:
        description: The organization in the subject.
        type: str
      organizational_unit_name:
        description: The organizational unit in the subject.
        type: str
      email_address:
        description: The email address in the subject, such as V(ops@example.org). C(type=local_ca) writes it into the alternative names, too.
        type: str
      common_name:
        description:
          - The common name in the subject, 64 characters at most (RFC 5280).
          - By default the first of the O(request.domains) that fits.
        type: str
      organization:
        description:
          - The name of an organisation in C(organizations) of the issuer, whose subject fields the request takes over.
        type: str
      kind:
        description:
          - What a public CA validates, V(DV) for the domain, V(OV) for the organization, and V(EV) for more of that.
          - It says how long the CA usually takes. For V(OV) and V(EV), an O(request.organization) of an issuer with C(rules=public) needs
            a C(phone), which the CA calls.
        type: str
      validation:
        description:
          - What the people of the CA want to see in DNS or at a URL, for issuers with C(type=manual) and O(request.cloud.hosted).
          - It is looked at in each run while the request waits.
          - A dictionary, or a list of them. V(dns) in C(type) has C(name), C(record) (V(CNAME) or V(TXT), the default) and C(value). V(file) in
            C(type) has C(url) and C(content). C(docs/manual.md) has examples.
        type: raw
      challenge_password:
        description: A password that the CA wants in the signing request (RFC 2985); printable ASCII, 255 characters at most.
        type: str
      allowed_domains:
        description:
          - Names that the certificate may cover besides, since the CA adds them for free.
          - Where C(may_add) of the issuer says so, V(www.example.org) for V(example.org) and the other way round are among them.
        type: list
        elements: str
        default: []
      lifetime:
        description:
          - How long the certificate is to live, where the issuer lets the applicant choose; a number and a unit
            (V(s), V(m), V(h), V(d), V(w)) such as V(47d).
          - By default what the issuer is configured for.
        type: str
      renew_before:
        description:
          - How much of the lifetime has to be left; with less the certificate is due.
          - A share such as V(1/3) or V(33%), or a duration such as V(30d).
          - By default V(1/3), and V(1/2) for certificates that live less than 10 days. So too where a duration is no shorter than
            the lifetime, which would have the certificate renewed on every run.
          - The renewals of a fleet are spread over a thirtieth of the lifetime before that moment, by host and name.
        type: str
      reuse_key:
        description: Whether renewals keep the private key. By default each renewal has a new one.
        type: bool
        default: false
      encrypt_key:
        description:
          - Whether the private key's file is encrypted. By default it is where there is a O(request.key_passphrase).
          - With V(true) and without a O(request.key_passphrase), the host makes a passphrase of its own for each key.
          - The passphrase lies in the file C(passphrase) beside the key, for root alone to read, and nginx is told of it by
            C(ssl_password_file). Where the key in use is not encrypted yet, C(evergreen.tls.deploy) is what changes that.
        type: bool
      key_passphrase:
        description:
          - The passphrase of the private key, from a vault; 8 characters at least, 1023 bytes at most, and no line break.
          - With another one, the present key is encrypted anew; it becomes a new version with the same certificate.
        type: str
      owner:
        description:
          - The owner of the private key's file. By default the user that the module runs as.
          - The folders of O(request.links) and O(request.adopt) may belong to this user, besides root.
        type: str
      group:
        description: The group of the private key's file. By default the group of the user that the module runs as.
        type: str
      mode:
        description: The mode of the private key's file; closed to others, at most readable by the group.
        type: str
        default: "0600"
      keep:
        description: How many earlier versions are kept as a way back.
        type: int
        default: 3
      links:
        description:
          - Further paths for programs that expect certificates elsewhere, each with the file that it leads to,
            V(privkey.pem), V(cert.pem), V(chain.pem) or V(fullchain.pem).
          - They become symbolic links into the current version.
          - The folders on the way to them belong to root, or to O(request.owner), and cannot be written by others.
            Below a folder of that user, all of them belong to the user. Symbolic links on the way are followed only where root made them in
            a folder of root's.
        type: dict
        default: {}
      adopt:
        description:
          - The files of a key and a certificate that somebody put on the host by hand. They become the first version, and symbolic links
            into the current version take their place, so that a server's configuration that names them goes on working.
          - A pair that is adopted is served as it is, and renewed when it is due. It is due at once if the certificate is none that the
            request asks for, or if others than the request names could read the key.
          - Where neither file is there, nothing is adopted, and the links come with the first certificate.
          - For the folders of the files holds what O(request.links) says. C(docs/adopt.md) says what is refused, and why.
        type: dict
        suboptions:
          key:
            description: The file of the private key, in PEM and without a passphrase; leads to V(privkey.pem) from then on.
            type: str
            required: true
          certificate:
            description: The file of the certificate, in PEM, with or without its chain; leads to V(fullchain.pem) from then on.
            type: str
            required: true
          chain:
            description: The file of the chain, in PEM, where it is another one; leads to V(chain.pem) from then on.
            type: str
      validate:
        description:
          - A command that must succeed once the new version is in place, such as V(nginx -t). If it fails, the earlier
            version is put back.
          - It runs without a shell.
        type: str
      port:
        description: The TCP port on which the certificate is served.
        type: int
        default: 443
      served_by:
        description:
          - V(nginx), or V(other) where another program has the port and reads O(request.links) or O(request.exports).
            nginx is not reloaded then, and need not be there.
          - V(cloud) where a service of a cloud presents the certificate, as O(request.cloud) says, and V(appliance) where a machine
            without Python does. The connection of such a host is V(local); the private key is made and kept on the controller,
            and M(evergreen.tls.certificate_deploy) brings it to the service.
          - In each case it is proved that clients of the port get the certificate.
        type: str
        choices: [nginx, other, cloud, appliance]
        default: nginx
      cloud:
        description: The service of a cloud that presents the certificate, for O(request.served_by=cloud).
        type: dict
        suboptions:
          account:
            description: The account, a key of C(cloud_accounts). It may be left out where there is only one.
            type: str
          service:
            description:
              - The service of the cloud, such as V(cdn) or V(cloudfront). C(docs/cloud.md) names those of each cloud.
              - The default is the content delivery network of the cloud.
            type: str
          resources:
            description:
              - The resources of the service that present the certificate, such as domains of a content delivery network.
              - The default is the domains of the request, where the resources of the service are domains.
            type: list
            elements: str
            default: []
          region:
            description: The region of the resources, for services that have regions. The default is that of the account.
            type: str
          zone:
            description: The zone that the domains belong to, for services that have zones.
            type: str
          load_balancer:
            description: The identifier of the load balancer, for services of that kind.
            type: str
          listener:
            description: The identifier of the listener of the load balancer.
            type: str
          redirect:
            description:
              - Whether HTTP is redirected to HTTPS. It is set once the certificate is proved.
              - Without it, the setting of the service stays as it is.
            type: bool
          hsts:
            description:
              - The C(max-age) of the header C(Strict-Transport-Security) in seconds; V(0) has no such header sent.
              - Without it, the setting of the service stays as it is.
            type: int
          tls_versions:
            description:
              - The versions of TLS that the service accepts, without a gap, out of V(TLSv1), V(TLSv1.1), V(TLSv1.2) and V(TLSv1.3).
              - Without it, the setting of the service stays as it is.
            type: list
            elements: str
          hosted:
            description: Whether the cloud makes the certificate and keeps its key. O(request.issuer) then says whose solver validates.
            type: bool
            default: false
          reimport:
            description:
              - Whether a renewed certificate takes the place of the one before under the same identifier, for accounts of type C(aws).
                What presents it is then not changed. The certificate before is imported again on the way back.
              - By default each certificate is imported by itself, and what presents it is changed.
            type: bool
            default: false
          free_quota:
            description: How many free certificates the account and each primary domain may have.
            type: int
            default: 20
          keep:
            description: How many uploads to the cloud stay there; older ones of this request are removed. The default is O(request.keep).
            type: int
          patience:
            description:
              - How long the service may take to bring a change into effect, such as V(15m). Until then the run waits.
              - After that the certificate is C(waiting), the certificate before stays in use, and the next run goes on.
            type: str
            default: 15m
      appliance:
        description:
          - The machine that presents the certificate, for O(request.served_by=appliance). It is reached by SSH and needs no Python.
          - C(docs/appliances.md) has an example for each preset, and says what was tried.
        type: dict
        suboptions:
          host:
            description: The name or address of its SSH server. The default is that at which clients reach the host.
            type: str
          port:
            description: The port of its SSH server.
            type: int
            default: 22
          user:
            description: The user who logs in, and who may write the files and run the commands.
            type: str
            required: true
          password:
            description: The password of the user, from a vault.
            type: str
          key_file:
            description: A file on the controller with the private key of the user.
            type: path
          key_passphrase:
            description: The passphrase of O(request.appliance.key_file), from a vault.
            type: str
          agent:
            description: Whether the keys of the SSH agent of the controller are tried.
            type: bool
            default: false
          host_key:
            description:
              - The fingerprints that the host key may have, such as V(SHA256:…), as C(ssh-keygen -lf FILE) prints them.
              - With any of them, O(request.appliance.known_hosts) is not read.
            type: list
            elements: str
            default: []
          known_hosts:
            description:
              - A file on the controller with the host keys of appliances, as OpenSSH writes it.
              - An appliance that shows a key which is not in it is refused before anything is sent.
            type: path
            default: ~/.ssh/known_hosts
          preset:
            description:
              - Files and commands for a known program.
              - What O(request.appliance.files), O(request.appliance.verify) and
                O(request.appliance.commands) say takes the place of what the preset says.
              - V(nginx) writes V(/etc/ssl/certs/NAME.pem) and V(/etc/ssl/private/NAME.key), V(haproxy) writes V(/etc/ssl/private/NAME.pem).
              - V(none) has no files and commands but those of the request.
              - V(iis) imports a keystore into Windows and binds it to O(request.appliance.host_names)
                of O(request.appliance.site).
            type: str
            choices: [none, nginx, haproxy, iis]
            default: none
          files:
            description: The files that the appliance gets. At least one of them holds the certificate.
            type: list
            elements: dict
            default: []
            suboptions:
              path:
                description: The path of the file on the appliance. Its folder has to be there.
                type: str
                required: true
              content:
                description:
                  - V(fullchain) is the certificate with the intermediates, V(cert) the certificate alone, V(chain) the intermediates alone.
                  - V(key) is the private key (PKCS#8), V(combined) the certificate, the intermediates and the key in one file.
                  - V(pkcs12) is a keystore with all of them.
                type: str
                choices: [fullchain, cert, chain, key, combined, pkcs12]
                required: true
              mode:
                description: The mode of the file. The default is V(0600) for one with the private key, and V(0644) for others.
                type: str
              password:
                description: The password of a keystore, from a vault; printable ASCII.
                type: str
              encryption:
                description: The encryption of a keystore, as in O(request.exports[].encryption).
                type: str
                choices: [modern, legacy]
                default: modern
          verify:
            description:
              - A command that has to succeed once the files are in place and before O(request.appliance.commands), such as V(nginx -t).
                If it fails, the files of before are put back.
            type: str
          commands:
            description:
              - The commands that have the new files used, one after the other. If one of them fails or takes too long, the files
                of before are put back, and the commands are run again.
              - The shell of the user runs them.
            type: list
            elements: dict
            default: []
            suboptions:
              command:
                description: The command line.
                type: str
                required: true
              timeout:
                description: The seconds that it may take.
                type: int
                default: 30
              exit_codes:
                description: The exit codes by which it has succeeded.
                type: list
                elements: int
                default: [0]
          timeout:
            description: The seconds that the connection, the key exchange and the login may take each.
            type: int
            default: 10
          patience:
            description:
              - How long the appliance may take until it presents the certificate, such as V(30s).
                After that, the files of before are put back.
            type: str
            default: 30s
          transfer:
            description:
              - V(sftp) uploads files by SFTP, V(exec) by commands of a POSIX shell that read them from their standard input.
              - V(auto) is SFTP where the appliance has it, else V(exec).
            type: str
            choices: [auto, sftp, exec]
            default: auto
          legacy_algorithms:
            description: Whether algorithms that OpenSSH no longer offers may be used, such as AES in CBC mode and HMAC with SHA-1.
            type: bool
            default: false
          site:
            description: The site of IIS, for O(request.appliance.preset=iis).
            type: str
            default: Default Web Site
          host_names:
            description:
              - The values of the field "Host name" of the bindings of IIS, each with SNI, for O(request.appliance.preset=iis).
              - The default is the domains of the request.
            type: list
            elements: str
            default: []
      exports:
        description:
          - Further forms of the certificate for programs that do not read PEM files, as M(evergreen.tls.certificate_export) writes them.
            They follow what is in use.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description:
              - The file. Its folder has to be there, and not be open to everybody for writing.
              - The folders on the way to it belong to root, or to O(request.exports[].owner), and cannot be written by others.
                Below a folder of that user, all of them belong to the user. Symbolic links on the way are followed only where root made them
                in a folder of root's.
            type: path
            required: true
          format:
            description:
              - V(pkcs12) is a keystore with the private key and the chain. V(pem) is the chain and the private key in one file, as HAProxy has it.
              - V(der) is the certificate alone, V(der_key) the private key alone (PKCS#8).
            type: str
            choices: [pkcs12, pem, der, der_key]
            default: pkcs12
          state:
            description:
              - V(absent) removes the file, and the password file that was made for it. No unit is told of that.
            type: str
            choices: [present, absent]
            default: present
          password:
            description:
              - The password of a keystore, from a vault; printable ASCII.
              - Either this or O(request.exports[].password_file) is needed.
            type: str
          password_file:
            description:
              - A file on the host whose first line is the password of a keystore.
              - Where there is none, one is made with a password made up at random, for those who may read the keystore.
            type: path
          friendly_name:
            description: What the key is called in a keystore, its alias in Java. By default the name of the request.
            type: str
          encryption:
            description:
              - V(modern) is AES-256 with SHA-256, for OpenSSL 1.1 and later, Java 8u301, 11.0.12 and later, and Windows Server 2019 and later.
              - V(legacy) is triple DES with SHA-1, for older ones.
            type: str
            choices: [modern, legacy]
            default: modern
          owner:
            description: The owner of the file, to whom its folders may belong. By default the user that the module runs as.
            type: str
          group:
            description: The group of the file. By default the group of the user that the module runs as.
            type: str
          mode:
            description:
              - The mode of the file, by default V(0600), and V(0644) for V(der).
              - A file with a private key is closed to others, and at most readable by the group.
            type: str
          restart:
            description: The units of systemd that are restarted when the file was written, such as V(tomcat10).
            type: list
            elements: str
            default: []
          reload:
            description: The units of systemd that are reloaded when the file was written, such as V(haproxy).
            type: list
            elements: str
            default: []
      restart:
        description:
          - The units of systemd that are restarted when another version is in use. Prefer O(request.reload) where a unit can do that.
          - A unit that is stopped stays so. One that has failed is started.
          - They are notified after nginx presents the certificate, or in its place where O(request.served_by=other), once for each
            version, again after a run that was killed, and until it succeeds. C(docs/hooks.md) has the details and examples.
        type: list
        elements: str
        default: []
      reload:
        description: The units of systemd that are reloaded when another version is in use, such as V(postfix).
        type: list
        elements: str
        default: []
      run_after:
        description:
          - Commands that are run when another version is in use, after the units. Each is a list, the absolute path of a program and
            its arguments. No shell runs them.
          - V({name}), V({folder}) and V({fingerprint}) in arguments stand for the name of the request, the folder of the files
            in use, and the SHA-256 fingerprint of the certificate. The program has these in its variables C(EVERGREEN_NAME),
            C(EVERGREEN_FOLDER) and C(EVERGREEN_FINGERPRINT), and the domains and the version in C(EVERGREEN_DOMAINS) and
            C(EVERGREEN_VERSION).
          - The program belongs to root, and nobody else can write to it or to the folders on the way.
          - A command that fails or takes longer than two minutes makes the run fail. The certificate stays, and the next run tries again.
          - All users of the host can see the arguments while the program runs. Do not put secrets into them.
        type: list
        elements: list
        default: []
"""

    # The folder of all certificates of a host.
    DIRECTORY = r"""
options:
  directory:
    description: The folder of all certificates of the host.
    type: path
    default: /etc/evergreen
"""

    # What has everything done anew.
    FORCE = r"""
options:
  force:
    description: Whether the certificates are due whatever their state is.
    type: bool
    default: false
"""

    # Where certificates come from (plugin_utils/_issuers/registry.py).
    ISSUERS = r"""
options:
  issuers:
    description:
      - The issuers by name, each a dictionary with a C(type) and the settings of that type, as in C(certificate_issuers).
      - The issuer V(local) is there without being configured, a private CA in C(~/.evergreen/ca) on the controller.
      - "C(type=local_ca) is a private CA that is made on first use. Its settings: C(directory), C(name), C(lifetime),
        C(passphrase), C(crl_url)."
      - "C(type=acme) orders from Let's Encrypt, or whatever ACME server C(directory) says. Its settings, all of which have defaults:
        C(directory), C(directories), C(test_directory), C(email), C(terms_of_service_agreed), C(eab_kid), C(eab_hmac), C(account_key),
        C(folder), C(solver), C(profile), C(ca_file), C(roots), C(preflight), C(at_once), C(timeout). C(docs/acme.md) describes them."
      - "C(type=manual) is a CA with people in it: requests go into an outbox, answers come into an inbox. Its settings: C(directory),
        C(outbox), C(inbox), C(bundle), C(roots), C(intermediates), C(aia), C(passwords), C(patience), C(asked_by),
        C(resolvers), C(caa_identities)."
      - "C(type=command) is a program that signs what stands on its standard input. Its settings: C(argv), C(timeout), C(environment),
        C(roots), C(directory)."
      - "Issuers of every type have C(defaults), C(organizations), C(rules), C(ip_addresses), C(may_add), C(chain_extra) and
        C(preferred_root). A CA may leave fields of the subject out; with C(may_add=[subject]) it may also add some."
    type: dict
    default: {}
"""


# The same for all certificates of a host, in a list.
ModuleDocFragment.REQUESTS = (
    ModuleDocFragment.DOCUMENTATION.replace("  request:\n", "  requests:\n", 1)
    .replace("an entry of C(certificate_requests) says it", "C(certificate_requests) says it", 1)
    .replace("What the certificate is to be", "What the certificates of the host are to be", 1)
    .replace("    type: dict\n", "    type: list\n    elements: dict\n", 1)
    .replace("O(request.", "O(requests[].")
)
