# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give tests an AWS of their own, with a session of an account in it."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch, tmp_path):
    """Hide what the machine of the tests has of AWS."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def cloud():
    from ansible_collections.evergreen.tls.tests.cloud.aws.server import aws_cloud

    with aws_cloud() as started:
        yield started


@pytest.fixture
def settings(cloud):
    """Return the settings of an account, which a test may change."""
    return {"access_key": "AKIAEXAMPLE", "secret_key": "secret", "region": "eu-central-1", "endpoint": cloud.url}


@pytest.fixture
def session(settings):
    from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession

    return AwsSession("shop", settings)


@pytest.fixture
def boto(cloud):
    """Return a function that opens a client of boto3: the hand of a person, and the judge of what was done."""
    import boto3

    def client(service, region="eu-central-1", **options):
        keys = {"aws_access_key_id": "AKIAPERSON", "aws_secret_access_key": "secret"}
        return boto3.client(service, region_name=region, endpoint_url=cloud.url, **{**keys, **options})

    return client


@pytest.fixture
def authority():
    from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority

    return Authority()
