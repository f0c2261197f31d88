"""Reads each file of a table of credentials files with the official SDK, and compares with what the table says of it."""

import json
import os
import sys
import tempfile

from huaweicloudsdkcore.auth.provider import ProfileCredentialProvider


def read(text):
    with tempfile.NamedTemporaryFile("wb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.environ["HUAWEICLOUD_SDK_CREDENTIALS_FILE"] = file.name
        kind = "global" if "[global]" in text else "basic"
        try:
            found = ProfileCredentialProvider(kind).get_credentials()
        except Exception:
            return "error"
        return [found.ak, found.sk, getattr(found, "project_id", None), found.security_token or None]


with open(os.path.join(os.path.dirname(__file__), "credentials.json"), encoding="utf-8") as table:
    cases = json.load(table)
differing = [(case["file"], case["python"], read(case["file"])) for case in cases if read(case["file"]) != case["python"]]
for file, said, found in differing:
    print(f"{file!r}: the table says {said!r}, and the SDK reads {found!r}", file=sys.stderr)
sys.exit(1 if differing else 0)
