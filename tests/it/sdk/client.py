"""The official SDK, unmodified, against a served sandbox: `client.py URL THEME`. Every claim is an assert."""

import json
import sys
import urllib.request

from huaweicloudsdkcore.auth import credentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.signer.signer import Signer
from huaweicloudsdksms.v3 import (
    ListErrorServersRequest,
    ListServersRequest,
    PutCopyStateReq,
    ShowOverviewRequest,
    ShowServerRequest,
    SmsClient,
    UpdateCopyStateRequest,
)

URL, THEME = sys.argv[1:3]
TOKEN, AK, SK, PROJECT = "sandbox-token", "sandbox-ak", "sandbox-sk", "sandbox-project"


def keys(ak=AK, sk=SK, project=PROJECT):
    return credentials.BasicCredentials(ak, sk, project)


class BasicCredentials(credentials.BasicCredentials):
    """A ready token: the SDK has no class for one, and asks a credential to dress each request."""

    def __init__(self, token):
        super().__init__("unused", "unused", PROJECT)
        self.token = token

    def sign_request(self, request):
        request.header_params["X-Auth-Token"] = self.token
        Signer.process_request_uri(request)
        return request


def client(who):
    return SmsClient.new_builder().with_credentials(who).with_endpoint(URL).build()


def change(sms, source, state, cycle):
    body = PutCopyStateReq(copystate=state, migrationcycle=cycle)
    return sms.update_copy_state(UpdateCopyStateRequest(source_id=source, body=body))


def show(sms, source):
    return sms.show_server(ShowServerRequest(source_id=source))


def refused(call, status, code):
    try:
        call()
    except ClientRequestException as error:
        assert (error.status_code, error.error_code) == (status, code), (error.status_code, error.error_code, error.error_msg)
        return error
    raise AssertionError("it was let in")


def names(answer):
    return [server.id for server in answer.source_servers]


def fresh_token():
    user = {"domain": {"name": "sandbox-domain"}, "name": "sandbox-user", "password": TOKEN}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"project": {"name": "ap-southeast-3"}}}}
    request = urllib.request.Request(URL + "/v3/auth/tokens?nocatalog=true", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        assert answer.status == 201
        token = json.load(answer)["token"]
        assert token["project"] == {"name": "ap-southeast-3"} and "catalog" not in token, token
        return answer.headers["X-Subject-Token"]


def calls():
    for n, who in enumerate([keys(), BasicCredentials(TOKEN), BasicCredentials(fresh_token())], 1):
        sms = client(who)
        source = f"vm-{n:05}"
        before = show(sms, source)
        assert (before.id, before.state, before.migration_cycle) == (source, "syncing", "syncing"), before
        change(sms, source, "stopped", "syncing")
        after = show(sms, source)
        assert (after.state, after.migration_cycle) == ("stopped", "syncing"), after
        overview = sms.show_overview(ShowOverviewRequest())
        assert overview.stopped == n, overview
        change(sms, f"vm-{n + 10:05}", "error", "syncing")
        errors = sms.list_error_servers(ListErrorServersRequest(limit=50, offset=0))
        assert errors.count == n and errors.migration_errors[-1].source_id == f"vm-{n + 10:05}", errors
        assert isinstance(json.loads(errors.migration_errors[0].error_json), list)


def lists():
    sms = client(keys())
    change(sms, "vm-00001", "stopped", "syncing")
    change(sms, "vm-00002", "init", "replicating")

    def found(**filters):
        answer = sms.list_servers(ListServersRequest(**filters))
        assert answer.count >= len(answer.source_servers)
        return answer

    assert found().count == 250 and len(found().source_servers) == 200
    assert len(found(limit=0).source_servers) == 200
    assert names(found(limit=3, offset=248)) == ["vm-00249", "vm-00250"]
    assert names(found(state="stopped")) == ["vm-00001"]
    assert names(found(state="initialize")) == ["vm-00002"]
    assert names(found(migration_cycle="replicating")) == ["vm-00002"]
    assert names(found(id="vm-00007")) == ["vm-00007"]
    seventh = found(id="vm-00007").source_servers[0]
    named = found(name=seventh.name)
    assert "vm-00007" in names(named) and all(seventh.name in server.name for server in named.source_servers)
    assert found(name="no such name 中").count == 0
    assert names(found(ip=seventh.ip)) == ["vm-00007"]
    assert names(found(ip=seventh.ip, ipv6="fd00::1")) == ["vm-00007"]
    assert names(found(ipv6="fd00::6")) == ["vm-00007"]
    connected, lost = found(connected=True), found(connected=False)
    assert connected.count + lost.count == 250 and lost.count > 0
    assert all(not server.connected for server in lost.source_servers)
    assert found(migproject="sandbox-migproject").count == 250 and found(migproject="another").count == 0
    assert found(enterprise_project_id="all_granted_eps").count == 250 and found(enterprise_project_id="x y&z").count == 0
    assert found(is_consistency_result_exist=True).count == 0 and found(is_consistency_result_exist=False).count == 250
    assert found(vm_id="some-clone").count == 0
    assert names(found(state="stopped", migration_cycle="syncing", limit=1, offset=0)) == ["vm-00001"]


def refusals():
    sms = client(keys())
    refused(lambda: show(client(keys(sk="wrong")), "vm-00001"), 401, "APIGW.0301")
    refused(lambda: show(client(keys(ak="nobody")), "vm-00001"), 401, "APIGW.0301")
    refused(lambda: show(client(keys(project="another")), "vm-00001"), 403, "APIGW.0310")
    refused(lambda: show(client(BasicCredentials("wrong")), "vm-00001"), 401, "APIGW.0301")
    refused(lambda: show(sms, "nobody"), 404, "SMS.2216")
    refused(lambda: change(sms, "vm-00001", "waiting", "cutovered"), 400, "SMS.9001")
    denied = refused(lambda: change(sms, "vm-00003", "stopped", "syncing"), 403, "SMS.9004")
    assert denied.encoded_auth_msg, denied
    # The SDK loses the body of a 429, and makes a code of the status.
    refused(lambda: change(sms, "vm-00004", "stopped", "syncing"), 429, "429")


def clock():
    """A signature from a clock that is off by more than a quarter of an hour."""
    from datetime import datetime, timedelta, timezone

    off = datetime.now(timezone.utc) + timedelta(minutes=float(sys.argv[3]))

    class Shifted(credentials.BasicCredentials):
        def sign_request(self, request):
            request.header_params["X-Sdk-Date"] = off.strftime("%Y%m%dT%H%M%SZ")
            return super().sign_request(request)

    Shifted.__name__ = "BasicCredentials"
    call = lambda: show(client(Shifted(AK, SK, PROJECT)), "vm-00001")
    if abs(float(sys.argv[3])) < 15:
        call()
    else:
        refused(call, 401, "APIGW.0301")


def lock():
    for _ in range(5):
        assert "verify aksk" in refused(lambda: show(client(keys(sk="wrong")), "vm-00001"), 401, "APIGW.0301").error_msg
    show(client(keys()), "vm-00001")
    for _ in range(6):
        refused(lambda: show(client(keys(sk="wrong")), "vm-00001"), 401, "APIGW.0301")
    locked = refused(lambda: show(client(keys()), "vm-00001"), 401, "APIGW.0301")
    assert "AK access failed to reach the limit" in locked.error_msg, locked.error_msg


def temporary():
    right = keys().with_security_token("sandbox-sts")
    assert show(client(right), "vm-00001").id == "vm-00001"
    refused(lambda: show(client(keys().with_security_token("other")), "vm-00001"), 401, "APIGW.0301")
    refused(lambda: show(client(keys()), "vm-00001"), 401, "APIGW.0301")


{"calls": calls, "lists": lists, "refusals": refusals, "clock": clock, "lock": lock, "temporary": temporary}[THEME]()
