#!/usr/bin/env python3
"""Recomputes the chains, the anchor and the plan's name from the files beside it. Python's standard library is enough."""

import hashlib
import pathlib
import sqlite3
import sys

here = pathlib.Path(__file__).resolve().parent
head = dict()
lanes = dict()
for line in (here / "head").read_text().splitlines():
    word, *rest = line.split(" ")
    if word == "lane":
        lanes[int(rest[0])] = (int(rest[1]), rest[2])
    elif rest:
        head[word] = " ".join(rest)

wrong = []
db = sqlite3.connect((here / "journal.db").as_uri() + "?mode=ro", uri=True)
found = db.execute("SELECT run, plan_digest, n_rows FROM run WHERE id = ?", (head["run"],)).fetchone()
if found is None:
    sys.exit(f"journal.db has no run {head['run']}")
run, digest, n_rows = found

def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()

n_events = 0
heads = []
for lane, in db.execute("SELECT lane FROM lane WHERE run = ? ORDER BY lane", (run,)).fetchall():
    last, prev = 0, sha256(f"cutover.chain.v1\n{head['run']}\n{lane}\n")
    events = db.execute(
        "SELECT seq, at, kind, row, detail, lower(hex(prev)), lower(hex(hash)) FROM event WHERE run = ? AND lane = ? ORDER BY seq",
        (run, lane),
    )
    for seq, at, kind, row, detail, says_prev, says_hash in events:
        text = f"{prev}\n{lane}\n{seq}\n{at}\n{kind}\n{'' if row is None else row}\n{detail}\n"
        if seq != last + 1 or says_prev != prev or says_hash != sha256(text):
            wrong.append(f"lane {lane}: event {last + 1} is not as it was written")
            break
        last, prev = seq, says_hash
        n_events += 1
    heads.append(f"{lane} {last} {prev}\n")
    if lanes.get(lane) != (last, prev):
        wrong.append(f"lane {lane}: its head is not the one in `head`")

code = sha256(f"cutover.anchor.v1\n{head['run']}\n" + "".join(heads))[:20]
anchor = "-".join(code[at:at + 5] for at in range(0, 20, 5))
if anchor != head["anchor"]:
    wrong.append(f"the anchor is {anchor}, and `head` says {head['anchor']}")
plan = "sha256:" + hashlib.sha256((here / "plan.jsonl").read_bytes()).hexdigest()
if not plan == digest == head["plan"]:
    wrong.append(f"plan.jsonl is {plan}, the journal says {digest}, `head` says {head['plan']}")
rows, = db.execute("SELECT count(*) FROM row WHERE run = ?", (run,)).fetchone()
if not str(rows) == str(n_rows) == head["rows"]:
    wrong.append(f"there are {rows} rows, and {n_rows} were planned")

if wrong:
    sys.exit("\n".join(wrong))
print(f"run {head['run']}: {n_events} events in {len(heads)} chains, {rows} rows, anchor {anchor}: as they were written")
