"""Every row of a plan, sent as fast as one event loop does it, and nothing kept: `aiohttp_client.py URL CONCURRENCY PLAN`."""

import asyncio
import csv
import sys

import aiohttp

URL, CONCURRENCY, PLAN = sys.argv[1], int(sys.argv[2]), sys.argv[3]


async def sender(session, rows):
    for row in rows:
        body = {"copystate": row["copystate"], "migrationcycle": row["migrationcycle"]}
        async with session.put(f"{URL}/v3/sources/{row['source_id']}/changestate", json=body) as answer:
            await answer.read()
            assert answer.status == 200, answer.status


async def main():
    with open(PLAN, newline="") as file:
        # One iterator for all: whoever is free takes the next row.
        rows = iter(list(csv.DictReader(file)))
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector, headers={"X-Auth-Token": "x"}) as session:
        await asyncio.gather(*(sender(session, rows) for _ in range(CONCURRENCY)))


asyncio.run(main())
