"""The published library of Standard Webhooks on a notice as it came: `webhook.py SECRET BODY_FILE ID TIMESTAMP SIGNATURE`."""

import pathlib
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

secret, body, *values = sys.argv[1:]
headers = dict(zip(("webhook-id", "webhook-timestamp", "webhook-signature"), values, strict=True))
text = pathlib.Path(body).read_text()
assert Webhook(secret).verify(text, headers)["schema"] == "cutover.notice.v1"
try:
    Webhook(secret).verify(text.replace("end", "and", 1), headers)
except WebhookVerificationError:
    sys.exit(0)
sys.exit("an altered body was accepted")
