-- The change that a run sends, of one source and as often as it goes: `wrk -s put.lua URL`.

wrk.method = "PUT"
wrk.path = "/v3/sources/00000000-5e1f-4c0d-9a3b-000000000000/changestate"
wrk.body = '{"copystate":"stopped","migrationcycle":"syncing"}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Auth-Token"] = "x"
