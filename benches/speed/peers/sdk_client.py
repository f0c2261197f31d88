"""Every row of a plan, sent by the official SDK from a pool of threads, signed: `sdk_client.py URL THREADS PLAN`."""

import csv
import sys
from concurrent.futures import ThreadPoolExecutor

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdksms.v3 import PutCopyStateReq, SmsClient, UpdateCopyStateRequest

URL, THREADS, PLAN = sys.argv[1], int(sys.argv[2]), sys.argv[3]

keys = BasicCredentials("ak", "sk", "project")
# Each thread keeps its connection: as it comes, the pool keeps ten and throws the others away.
config = HttpConfig(pool_maxsize=THREADS)
client = SmsClient.new_builder().with_credentials(keys).with_http_config(config).with_endpoint(URL).build()


def change(row):
    body = PutCopyStateReq(copystate=row["copystate"], migrationcycle=row["migrationcycle"])
    client.update_copy_state(UpdateCopyStateRequest(source_id=row["source_id"], body=body))


with open(PLAN, newline="") as file:
    rows = list(csv.DictReader(file))
with ThreadPoolExecutor(THREADS) as pool:
    # Whatever one of them raises is raised here.
    for _ in pool.map(change, rows):
        pass
