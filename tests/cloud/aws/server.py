# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS for tests: moto behind a layer that refuses what AWS refuses and moto takes, and that keeps a list of calls.

moto takes a certificate with the key of another, lists all types of keys, deletes what is in use, binds certificates that do not exist, takes
a stale If-Match, and drops the other certificates of a listener with its default. Signatures and IAM policies are checked by moto.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
import threading
import time
import urllib.parse
import xml.sax.saxutils

import moto.backends
import moto.core.authorization
import moto.settings
from botocore import xform_name
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from moto.iam import access_control
from moto.moto_api import state_manager
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from ansible_collections.evergreen.tls.tests.cloud.killing import Killer

ACCOUNT_ID = "123456789012"
# Service, method and path of calls of REST APIs, and the name of the action.
REST_ACTIONS = [
    ("cloudfront", "GET", r"/2020-05-31/distribution", "ListDistributions"),
    ("cloudfront", "POST", r"/2020-05-31/distribution", "CreateDistribution"),
    ("cloudfront", "GET", r"/2020-05-31/distribution/([^/]+)", "GetDistribution"),
    ("cloudfront", "GET", r"/2020-05-31/distribution/([^/]+)/config", "GetDistributionConfig"),
    ("cloudfront", "PUT", r"/2020-05-31/distribution/([^/]+)/config", "UpdateDistribution"),
    ("route53", "GET", r"/2013-04-01/hostedzonesbyname", "ListHostedZonesByName"),
    ("route53", "POST", r"/2013-04-01/hostedzone", "CreateHostedZone"),
    ("route53", "GET", r"/2013-04-01/hostedzone/([^/]+)", "GetHostedZone"),
    ("route53", "GET", r"/2013-04-01/hostedzone/([^/]+)/rrset", "ListResourceRecordSets"),
    ("route53", "POST", r"/2013-04-01/hostedzone/([^/]+)/rrset", "ChangeResourceRecordSets"),
    ("route53", "GET", r"/2013-04-01/change/([^/]+)", "GetChange"),
]
# What moto answers where it refuses a signature or an action, and the codes of other APIs for the same.
IAM_ERROR = re.compile(rb"<Errors>\s*<Error>\s*<Code>([^<]*)</Code>\s*<Message>([^<]*)</Message>")
IAM_CODES = {
    "json": {
        "AccessDenied": "AccessDeniedException",
        "InvalidClientTokenId": "UnrecognizedClientException",
        "SignatureDoesNotMatch": "InvalidSignatureException",
    },
    "ec2": {"AccessDenied": "UnauthorizedOperation", "SignatureDoesNotMatch": "AuthFailure"},
}
READING = re.compile("Describe|Get|List|AssumeRole")


class Refusal(Exception):
    """What AWS answers in place of what moto would."""

    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Call:
    """A request, as the layer reads it."""

    def __init__(self, environ):
        self.method, self.path = environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/")
        self.body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        scope = re.search(r"Credential=([^/]+)/[0-9]+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        self.access_key, self.region, self.service = scope.groups() if scope else ("", "", "")
        self.if_match = environ.get("HTTP_IF_MATCH")
        self.target = environ.get("HTTP_X_AMZ_TARGET")
        self.resource = None
        self.action = self._action()

    def _action(self):
        if self.target:
            return self.target.rpartition(".")[2]
        for service, method, path, action in REST_ACTIONS:
            match = re.fullmatch(path, self.path)
            if (service, method) == (self.service, self.method) and match:
                self.resource = match[1] if match.groups() else None
                return action
        return self.query().get("Action", "?")

    def query(self):
        """Return the parameters of a call of a query API."""
        return dict(urllib.parse.parse_qsl(self.body.decode("latin-1")))

    def json(self):
        return json.loads(self.body)

    def error(self, refusal):
        """Return the body of an error and its media type, as this API has them."""
        code, message = refusal.code, xml.sax.saxutils.escape(refusal.message)
        if self.target:
            text = json.dumps({"__type": code, "message": refusal.message})
            return text.encode(), "application/x-amz-json-1.1"
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if self.service == "ec2":
            text = f"<Response><Errors>{error}</Errors><RequestID>11111111-2222</RequestID></Response>"
        else:
            text = f"<ErrorResponse>{error}<RequestId>11111111-2222</RequestId></ErrorResponse>"
        return text.encode(), "text/xml"


class AwsCloud:
    """A running AWS. Each instance has the state of moto to itself, so there is one at a time."""

    def __init__(self, deployment_s=0.0):
        self.deployment_s = deployment_s  # that CloudFront is busy with a change
        self.calls = []  # pairs of service and action
        self.refusals = {}  # by action: what is raised in place of an answer
        self.answers = {}  # by action: bytes that are sent with status 200
        self.before = {}  # by action: a function that is called before the answer
        self.after = {}  # by action: a function that is called after the answer of moto
        self.killer = Killer()
        self.is_stubborn = False  # whether the edges follow no change
        self.control = None  # what answers to /state: get() and post()
        self.held = set()  # actions that get no answer while they are in here
        self.served = {}  # the certificate that the edges present, by distribution
        self.looks_until_insync = 0  # at a change of Route 53
        self._pending_looks = 0
        self._changed_at = {}  # by distribution, in seconds
        self.chains = {}  # the chain in PEM that was imported, by ARN
        self._moto = moto_application()
        self._lock = threading.RLock()

    def __enter__(self):
        for backend in ("acm", "cloudfront", "ec2", "elbv2", "iam", "route53", "sts"):
            moto.backends.get_backend(backend).reset()
        state_manager.set_transition("cloudfront::distribution", {"progression": "manual", "times": 10**9})
        self.check_policies(None)
        self._server = make_server(
            "127.0.0.1",
            0,
            self,
            threaded=True,
            request_handler=type("Handler", (MotoRequestHandler,), {"log": lambda *_: None}),
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_arguments):
        self.held.clear()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.check_policies(None)

    def check_policies(self, first_calls):
        """Have signatures and IAM policies checked after so many calls from now, or never."""
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf") if first_calls is None else first_calls
        moto.core.authorization.ActionAuthenticatorMixin.request_count = 0

    def changes(self):
        """Return the actions so far that are not reading ones."""
        return [action for _service, action in self.calls if not READING.match(action)]

    def actions(self):
        return [action for _service, action in self.calls]

    # What moto has.

    def certificates(self, region="us-east-1"):
        """Return the imports by ARN."""
        return moto.backends.get_backend("acm")[ACCOUNT_ID][region]._certificates

    def distributions(self):
        return moto.backends.get_backend("cloudfront")[ACCOUNT_ID]["aws"].distributions

    def listeners(self, region):
        balancers = moto.backends.get_backend("elbv2")[ACCOUNT_ID][region].load_balancers
        return {arn: listener for balancer in balancers.values() for arn, listener in balancer.listeners.items()}

    def bound(self, identifier):
        """Return the ARN that a distribution has in its configuration."""
        return self.distributions()[identifier].distribution_config.ViewerCertificate.acm_certificate_arn or None

    def users_of(self, arn):
        """Return the ARNs of what uses a certificate."""
        distributions = [one.arn for one in self.distributions().values() if self.bound(one.id) == arn]
        region = arn.split(":")[3]
        return distributions + [name for name, one in self.listeners(region).items() if arn in one.certificates]

    def settle(self):
        """Have changes that are old enough reach the edges."""
        with self._lock:
            for identifier, one in self.distributions().items():
                age = time.monotonic() - self._changed_at.get(identifier, 0.0)
                if one._status == "InProgress" and age >= self.deployment_s:
                    one.status = "Deployed"
                if one._status == "Deployed" and not self.is_stubborn:
                    self.served[identifier] = self.bound(identifier)

    # The layer.

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/state":
            return self._answer_control(environ, start_response)
        if environ["PATH_INFO"].startswith("/moto-api") or not environ.get("HTTP_AUTHORIZATION"):
            return self._moto(environ, start_response)
        call = Call(environ)
        with self._lock:
            self.calls.append((call.service, call.action))
        self.killer.meet(call.action, call.body, int(environ.get("REMOTE_PORT", 0)))
        while call.action in self.held:
            time.sleep(0.02)
        self.before.get(call.action, lambda: None)()
        try:
            if call.action in self.answers:
                start_response("200 OK", [("Content-Type", "text/html")])
                return [self.answers[call.action]]
            if call.action in self.refusals:
                raise self.refusals[call.action]
            with self._lock:
                self.settle()
                check = getattr(self, f"_check_{xform_name(call.action)}", None)
                kept = check(call) if check else None
                status, headers, body = self._ask_moto(environ, call)
                refused = IAM_ERROR.search(body) if status.startswith("4") else None
                if refused:  # in the form of another API
                    code, message = (xml.sax.saxutils.unescape(part.decode()) for part in refused.groups())
                    raise Refusal(
                        IAM_CODES.get("ec2" if call.service == "ec2" else "json" if call.target else "", {}).get(
                            code, code
                        ),
                        message,
                        403,
                    )
                if status.startswith("2"):
                    finish = getattr(self, f"_finish_{xform_name(call.action)}", None)
                    body = (finish(call, body, kept) if finish else None) or body
            self.after.get(call.action, lambda: None)()
        except Refusal as refusal:
            body, media_type = call.error(refusal)
            status, headers = (
                f"{refusal.status} Refused",
                [("Content-Type", media_type), ("x-amzn-RequestId", "11111111-2222")],
            )
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _answer_control(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._lock:
            answer = self.control.post(json.loads(body)) if environ["REQUEST_METHOD"] == "POST" else self.control.get()
        content = json.dumps(answer).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        return [content]

    def _ask_moto(self, environ, call):
        import io

        answer = {}

        def start_response(status, headers, _error=None):
            answer.update(status=status, headers=headers)
            return lambda _data: None

        body = b"".join(self._moto({**environ, "wsgi.input": io.BytesIO(call.body)}, start_response))
        return answer["status"], answer["headers"], body

    def _check_import_certificate(self, call):
        request = call.json()
        texts = {name: base64.b64decode(request[name]) for name in ("Certificate", "PrivateKey")}
        certificates = x509.load_pem_x509_certificates(texts["Certificate"])
        if len(certificates) != 1:
            raise Refusal("ValidationException", "The certificate field contains more than one certificate.")
        key = serialization.load_pem_private_key(texts["PrivateKey"], None).public_key()
        if _public(key) != _public(certificates[0].public_key()):
            raise Refusal("ValidationException", "The private key is not matched with the certificate.")
        if _key_type(key) not in KEY_TYPES:
            raise Refusal("ValidationException", f"The key algorithm {_key_type(key)} is not supported.")
        before = certificates[0]
        chain = base64.b64decode(request.get("CertificateChain", ""))
        for one in x509.load_pem_x509_certificates(chain) if chain else []:
            try:
                before.verify_directly_issued_by(one)
            except Exception as error:
                raise Refusal(
                    "ValidationException", "Could not validate the certificate with the certificate chain."
                ) from error
            before = one
        if request.get("CertificateArn") and request.get("Tags"):
            raise Refusal("ValidationException", "Tagging is not permitted on re-import.")
        for tag in request.get("Tags", []):
            if not re.fullmatch(r"[\w\s.:/=+@-]{0,256}", tag["Value"]):
                raise Refusal("ValidationException", "the value of a tag failed to satisfy constraint")
        arn = request.get("CertificateArn")
        old = self.certificates(call.region).get(arn) if arn else None
        if old and _key_type(old._cert.public_key()) != _key_type(key):
            raise Refusal("ValidationException", "The key type and size cannot be changed on re-import.")
        return dict(old.tags) if old else None

    def _finish_import_certificate(self, call, body, kept):
        arn = json.loads(body)["CertificateArn"]
        self.chains[arn] = base64.b64decode(call.json().get("CertificateChain") or "").decode()
        if kept:  # moto forgets the tags of what it replaces
            self.certificates(call.region)[arn].tags.add([{"Key": key, "Value": value} for key, value in kept.items()])

    def _finish_get_certificate(self, call, body, _kept):
        answer = json.loads(body)
        chain = self.chains.get(call.json()["CertificateArn"])  # moto adds one of its own
        if chain is not None:
            answer["CertificateChain"] = chain
        if not chain:
            answer.pop("CertificateChain", None)
        return json.dumps(answer).encode()

    def _finish_list_certificates(self, call, body, _kept):
        answer = json.loads(body)
        types = call.json().get("Includes", {}).get("keyTypes") or ["RSA_1024", "RSA_2048"]
        summaries = [one for one in answer["CertificateSummaryList"] if one["KeyAlgorithm"] in types]
        for one in summaries:
            one["InUse"] = bool(self.users_of(one["CertificateArn"]))
        return json.dumps({**answer, "CertificateSummaryList": summaries}).encode()

    def _finish_describe_certificate(self, _call, body, _kept):
        answer = json.loads(body)
        answer["Certificate"]["InUseBy"] = self.users_of(answer["Certificate"]["CertificateArn"])
        return json.dumps(answer).encode()

    def _check_delete_certificate(self, call):
        if self.users_of(call.json()["CertificateArn"]):
            raise Refusal("ResourceInUseException", f"Certificate {call.json()['CertificateArn']} is in use.")

    def _check_update_distribution(self, call):
        distribution = self.distributions().get(call.resource)
        if distribution is None:
            return
        if call.if_match != distribution.etag:
            raise Refusal("PreconditionFailed", "The If-Match version is missing or not valid for the resource.", 412)
        text = call.body.decode()
        match = re.search(r"<ACMCertificateArn>([^<]*)</ACMCertificateArn>", text)
        if not match:
            return
        bundle = self.certificates().get(match[1])
        if bundle is None:
            raise Refusal(
                "InvalidViewerCertificate", "The specified SSL certificate doesn't exist, isn't in us-east-1 region."
            )
        if _key_type(bundle._cert.public_key()) not in (
            "RSA_1024",
            "RSA_2048",
            "RSA_3072",
            "RSA_4096",
            "EC_prime256v1",
        ):
            raise Refusal("InvalidViewerCertificate", "The specified SSL certificate has a key that is not supported.")
        for alias in re.findall("<CNAME>([^<]*)</CNAME>", text):
            if alias not in bundle.sans and f"*.{alias.partition('.')[2]}" not in bundle.sans:
                raise Refusal("InvalidViewerCertificate", f"The certificate doesn't cover {alias}.")
        if not re.search("<SSLSupportMethod>sni-only</SSLSupportMethod>", text):
            raise Refusal("InvalidArgument", "The parameter SSLSupportMethod is required.")

    def _finish_update_distribution(self, call, body, _kept):
        distribution = self.distributions()[call.resource]
        before, distribution.etag = distribution.etag, f"E{time.monotonic_ns()}"
        distribution.status, self._changed_at[call.resource] = "InProgress", time.monotonic()
        return body.replace(before.encode(), distribution.etag.encode()).replace(b"Deployed", b"InProgress")

    def record_sets(self, zone_id):
        """Return the values and the TTL of the record sets of a hosted zone, by name and type."""
        zone = moto.backends.get_backend("route53")[ACCOUNT_ID]["aws"].zones[zone_id]
        return {(one.name.rstrip("."), one.type): (sorted(one.records), int(one.ttl)) for one in zone.rrsets}

    def _check_change_resource_record_sets(self, call):
        """Refuse a batch in which a DELETE is not exactly what is there, or a CREATE is of what is there after the changes before it."""
        zone = moto.backends.get_backend("route53")[ACCOUNT_ID]["aws"].zones.get(call.resource)
        if zone is None:
            return
        current = self.record_sets(call.resource)
        for change in re.findall("<Change>(.*?)</Change>", call.body.decode(), re.DOTALL):
            action, name, kind = (re.search(f"<{tag}>([^<]*)<", change)[1] for tag in ("Action", "Name", "Type"))
            values = sorted(xml.sax.saxutils.unescape(one) for one in re.findall("<Value>([^<]*)</Value>", change))
            key, record_set = (name.rstrip("."), kind), (values, int(re.search("<TTL>([0-9]+)<", change)[1]))
            if action == "DELETE" and current.pop(key, None) != record_set:
                raise Refusal(
                    "InvalidChangeBatch", f"Tried to delete resource record set {name}, but the values do not match"
                )
            if action == "CREATE" and current.setdefault(key, record_set) is not record_set:
                raise Refusal(
                    "InvalidChangeBatch", f"Tried to create resource record set {name}, but it already exists"
                )
        # moto judges by a journal of all changes, and takes a set that was deleted meanwhile for one that is there.
        del zone.rr_changes[:]
        for one in zone.rrsets:
            values = [{"Value": value} for value in one.records]
            record_set = {"Name": one.name, "Type": one.type, "TTL": one.ttl, "ResourceRecords": values}
            zone.rr_changes.append({"Action": "UPSERT", "ResourceRecordSet": record_set})

    def _finish_change_resource_record_sets(self, _call, body, _kept):
        self._pending_looks = self.looks_until_insync
        return body.replace(b"INSYNC", b"PENDING")

    def _finish_get_change(self, _call, body, _kept):
        self._pending_looks -= 1
        return body.replace(b"INSYNC", b"PENDING") if self._pending_looks >= 0 else body

    def _check_modify_listener(self, call):
        listener = self.listeners(call.region).get(call.query()["ListenerArn"])
        return list(listener.certificates) if listener else None

    def _finish_modify_listener(self, call, _body, kept):
        query = call.query()
        default = query.get("Certificates.member.1.CertificateArn")
        if default and kept:  # moto drops the others
            self.listeners(call.region)[query["ListenerArn"]].certificates = [default, *kept[1:]]


KEY_TYPES = ("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1")


def _key_type(public_key):
    if hasattr(public_key, "curve"):
        return f"EC_{public_key.curve.name.replace('secp256r1', 'prime256v1')}"
    return f"RSA_{public_key.key_size}" if hasattr(public_key, "key_size") else type(public_key).__name__


def _public(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _signed_request(self, create=access_control.IAMRequestBase._create_aws_request):
    """Return what was signed. moto takes the query of a call without a body for its body, and so refuses each signature of one."""
    request = create(self)
    if self._method in ("GET", "DELETE"):
        request.data = b""
    return request


def _check_action(self, resource, check=access_control.IAMRequestBase.check_action_permitted):
    """Check a policy. moto names the actions of the Resource Groups Tagging API otherwise than AWS does."""
    self._action = re.sub("^tagging:", "tag:", self._action)
    return check(self, resource)


access_control.IAMRequestBase._create_aws_request = _signed_request
access_control.IAMRequestBase.check_action_permitted = _check_action


@functools.cache
def moto_application():
    """Return the application of moto, which takes long to make."""
    return DomainDispatcherApplication(create_backend_app)


@contextlib.contextmanager
def aws_cloud(**options):
    """Run an AWS, and yield it."""
    with AwsCloud(**options) as cloud:
        yield cloud


def distribution_config(*aliases, policies=("allow-all",)):
    """Return the configuration of a distribution as a person writes it, with a cache behavior for each viewer protocol policy."""

    def behavior(policy):
        forwarded = {"QueryString": False, "Cookies": {"Forward": "none"}}
        return {"TargetOriginId": "origin", "ViewerProtocolPolicy": policy, "ForwardedValues": forwarded, "MinTTL": 0}

    more = [{"PathPattern": f"/{number}/*", **behavior(policy)} for number, policy in enumerate(policies[1:])]
    origin = {"Id": "origin", "DomainName": "origin.example.org"}
    origin["CustomOriginConfig"] = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
    return {
        "CallerReference": f"{aliases} {time.monotonic_ns()}",
        "Aliases": {"Quantity": len(aliases), "Items": list(aliases)},
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": behavior(policies[0]),
        "CacheBehaviors": {"Quantity": len(more), "Items": more} if more else {"Quantity": 0},
        "Comment": "made by a person",
        "Enabled": True,
    }
