"""Requests made up from a seed, and what the official SDK's own signer makes of them: one line of JSON each."""

import argparse
import base64
import json
import random
import urllib.parse

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

# No slash: it is decoded to a real one in the canonical path, and ids with one are refused.
ODD = "abzAZ09-_.~ !\"#$%&'()*+,:;<=>?@[]^`{|}éü中☃𝄞"


def text(die, longest):
    return "".join(die.choice(ODD) for _ in range(die.randint(0, longest)))


def path(die):
    parts = [urllib.parse.quote(text(die, 12), safe="") for _ in range(die.randint(1, 5))]
    return "/" + "/".join(parts) + die.choice(["", "/"])


def query(die):
    pairs = [(text(die, 6) or "name", text(die, 12)) for _ in range(die.randint(0, 6))]
    if pairs and die.random() < 0.4:
        pairs.append((pairs[0][0], text(die, 12)))
    die.shuffle(pairs)
    return pairs


def headers(die):
    given = {"X-Sdk-Date": f"20{die.randint(20, 30)}{die.randint(1, 12):02}{die.randint(1, 28):02}T{die.randint(0, 23):02}0102Z"}
    kind = die.choice(["application/json", "application/json;charset=utf-8", "text/plain", "application/bson", None])
    if kind:
        given["Content-Type"] = kind
    if die.random() < 0.5:
        given["X-Project-Id"] = f"{die.getrandbits(128):032x}"
    if die.random() < 0.5:
        given["X-Security-Token"] = base64.b64encode(die.randbytes(60)).decode()
    if die.random() < 0.5:
        given["X-Odd"] = die.choice(["  two  words ", "\ttab\t", "x" * 200, "a,b;c=d"])
    if die.random() < 0.3:
        given["x_internal"] = "left out"
    return given


def body(die):
    return die.choice([b"", text(die, 60).encode(), die.randbytes(40), b'{"copystate": "stopped"}'])


def case(die):
    made = {
        "ak": f"AK{die.getrandbits(64):016X}",
        "sk": f"SK{die.getrandbits(128):032x}",
        "method": die.choice(["GET", "PUT", "POST", "DELETE", "PATCH"]),
        "host": die.choice(["sms.ap-southeast-3.myhuaweicloud.com", "127.0.0.1:8080", "localhost"]),
        "path": path(die),
        "query": query(die),
    }
    content = body(die)
    request = SdkRequest(
        method=made["method"],
        schema="https",
        host=made["host"],
        resource_path=made["path"],
        query_params=list(made["query"]),
        header_params=headers(die),
        body=content,
    )
    # The signer encodes what it sends as header, in place.
    given = dict(request.header_params)
    signed = Signer(BasicCredentials(made["ak"], made["sk"])).sign(request)
    for name in ("X-Sdk-Content-Sha256", "Host"):
        if name in signed.header_params:
            given[name] = signed.header_params[name]
    made["headers"] = given
    made["body_base64"] = base64.b64encode(content).decode()
    made["authorization"] = signed.header_params["Authorization"]
    return made


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--n", type=int, required=True)
    args = parser.parse_args()
    die = random.Random(args.seed)
    for _ in range(args.n):
        print(json.dumps(case(die)))


main()
