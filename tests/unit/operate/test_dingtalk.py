"""The signature of DingTalk's robots against a value worked out by OpenSSL."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from rollout.connectors.messaging_dingtalk_robot import sign

SECRET = "this is secret"


def test_it_is_what_dingtalk_s_own_example_computes():
    # timestamp + "\n" + secret under the secret, as the example in DingTalk's documents; computed with `openssl dgst`.
    assert sign(1577262236757, SECRET) == "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_openssl_agrees_on_another():
    text = b"1767225600000\nSEC" + b"0" * 61
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "SEC" + "0" * 61, "-binary"],
        input=text,
        capture_output=True,
        check=True,
    )
    encoded = subprocess.run(["openssl", "base64"], input=done.stdout, capture_output=True, check=True).stdout.decode()
    assert sign(1767225600000, "SEC" + "0" * 61) == encoded.strip()
