"""The official SDK of the notification service, unmodified, against a served sandbox: `topic.py URL TOPIC_URN`."""

import sys

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdksmn.v2 import PublishMessageRequest, PublishMessageRequestBody, SmnClient

URL, TOPIC = sys.argv[1:3]
credentials = BasicCredentials("sandbox-ak", "sandbox-sk", "sandbox-project")
client = SmnClient.new_builder().with_credentials(credentials).with_endpoints([URL]).build()
body = PublishMessageRequestBody(subject="from the SDK", message="hello")
answer = client.publish_message(PublishMessageRequest(topic_urn=TOPIC, body=body))
assert answer.message_id and answer.request_id, answer
