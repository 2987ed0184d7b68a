"""Two sources for the expected values: the example that the authors publish, and their own verifier."""

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.webhooks.signing import new_secret, secret_text, signed_headers

PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLISHED_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_example_is_signed_as_published() -> None:
    headers = signed_headers(
        b'{"test": 2432232314}',
        secret=base64.b64decode(PUBLISHED_SECRET.removeprefix("whsec_")),
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": PUBLISHED_SIGNATURE,
    }


def test_the_specifications_own_verifier_takes_what_we_sign_and_nothing_else() -> None:
    secret, body = new_secret(), '{"type":"job.succeeded","text":"ä"}'.encode()
    headers = signed_headers(body, secret=secret, message_id="whd_1", timestamp=int(time.time()))
    verifier = Webhook(secret_text(secret))
    assert verifier.verify(body, headers) == {"type": "job.succeeded", "text": "ä"}
    for changed in ({**headers, "webhook-id": "whd_2"}, {**headers, "webhook-timestamp": str(int(time.time()) + 1)}):
        with pytest.raises(WebhookVerificationError):
            verifier.verify(body, changed)
    with pytest.raises(WebhookVerificationError):
        verifier.verify(body + b" ", headers)


def test_every_secret_is_its_own_and_long_enough() -> None:
    secrets = {new_secret() for _ in range(8)}
    assert len(secrets) == 8
    assert all(24 <= len(secret) <= 64 for secret in secrets)  # the specification's bounds
