#!/usr/bin/env python3
"""Checks the evidence of one run, beside which it lies or whose folder it is given: `python3 check.py [FOLDER]`.

It needs Python 3.8 and its standard library, writes nothing, and ends with 0 if everything holds, else with 1 and a line for each
finding. It believes none of the files: it recomputes

  1. the manifest: every file is named in SHA256SUMS with its hash, and there is no other file;
  2. that the journal has the tables and views of this version and no others; the chains of events, their heads and the anchor;
  3. from the events alone: every row of the table `row`, the table `run`, the quotas and stops of the table `lane`;
  4. from the plan: its name, and that the rows are those of the plan; and the approvals, as far as no key is needed for that;
     the same of each other run, if the journal was exported with all of its runs; else it has one, and nothing of another;
  5. the reports that programs read, report.csv and report.json, line by line from what 3. came to (of the summary in report.json all
     but how the run was steered, how long it took, and how many rows others moved).

Signatures need a key: README.md says how `ssh-keygen` checks them. The reports for people (HTML, Markdown, XLSX, JUnit) are covered
by the manifest alone. Whoever does not trust this very file takes another copy: `cutover audit checker` prints it.
"""

import csv
import hashlib
import json
import os
import re
import sqlite3
import stat
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone

MANIFEST, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
MOST_FILES, LONGEST_MANIFEST, LONGEST_LINE, MOST_SHOWN = 64, 1 << 16, 1 << 24, 100
NEEDED = ("form", "journal.db", "plan.jsonl", "head", "report.csv", "report.json")
FILES = [*NEEDED, *"README.md approvals.json check.py report.html report.md report.xlsx report.xml".split()]
FORM = 2  # of the bundles that this checks: each has the checker of its own form

# Each table, index, view and trigger of a journal of this version: the first half of the SHA-256 of its type, name, table and SQL.
SCHEMA = """
    03d7382e102fefeca4bd3803eae66bd6 09461a86f013c7749a131407c161cafb 0fce479339af9ccdeb6f104fc028bc65
    214accc14f0e069ecfe4fea15ffe15ac 265568fe77f7031583a03a344949b26a 2fe0cc726a98fb5965f5b0c4900327b2
    3721333b1bba994100685dd44959a3d9 417f7cd1b25ae5a42bfd24f1b4dcba37 41b244fb46bd79b600bb07da2086448f
    45c131c8b3f0d4533960e789f653f6d5 461de192c4b9568121f745a518ebeb8b 489460d5266cd307254e5ccf855bbe18
    61482071ee2f44a325fc4e7c72dffb0b 65ab5eb52e9aa77977bd2f9d21474e97 78e4962fd3b14e458b3dcf6c07c793e1
    7d7d8f72d9a00916342ccb7793c6dedc 80b734ec8483d7848a53de3b496318c6 8b3841659fe3645b799aba342501c109
    91151e91158b2c78661a211b4e01174d 943d7bbf6139e6401fd82e475921934c a1b59e2692c61b2f8ab072917f8f1a15
    a538ee521e61744f4fcee9ff5df1967e aca1f006364d5483f376d4b492bda093 b0cba36d236e764ef5807dc3612c1c47
    c580a0690e12faa65502d22f2f7337ea c735f4add84f609ecbe488b7eb709a07 db66c48f7769152435981a3c334f0dbd
    e8ca7215e40909b06672715b2caf6ec8 ef8206a0d4d9306f4e641fe91cf0d92a effc561cdb01f5bf56450bf0f9d57be5
    f02a2b942b737f06aa55f410c2d6ed8c f2b78275e890a5249447dc6f6400b427 fdd02cceaa536e8500fbd1b1c646b7eb
""".split()

findings, n_findings = [], 0


class Wrong(Exception):
    """Something after which nothing more can be checked."""


def wrong(text):
    """One more finding. The first of them are kept; characters that could trick a terminal are spelled out."""
    global n_findings
    n_findings += 1
    if n_findings <= MOST_SHOWN:
        findings.append("".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in str(text)))


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def read_json(text):
    """JSON as cutover writes it: no name twice, no NaN."""

    def once(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name that is there twice")
        return dict(pairs)

    def no_number(word):
        raise ValueError(f"{word} is no number")

    return json.loads(text, object_pairs_hook=once, parse_constant=no_number)


def as_json(value):
    """A value as cutover hashes it: no blanks, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def time(ms):
    """Milliseconds since 1970 as the reports show them."""
    if ms is None:
        return None
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


# 1. The manifest


def open_plain(name):
    """A file of this folder: no link, no pipe, no device."""
    handle = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Wrong(f"{name} is no plain file")
    return os.fdopen(handle, "rb")


def check_manifest():
    """Every file by name and hash. Nothing is read before it is known to be one that belongs here."""
    there = []
    with os.scandir(folder) as entries:
        for entry in entries:
            there.append(entry.name)
            if len(there) > MOST_FILES:
                raise Wrong(f"there are more than {MOST_FILES} files here")
    with open_plain(MANIFEST) as file:
        text = file.read(LONGEST_MANIFEST + 1)
    if len(text) > LONGEST_MANIFEST:
        raise Wrong(f"{MANIFEST} is too long")
    sums, small = {}, []
    for line in text.decode("ascii").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]{0,99})", line)
        if not match or match[2] in sums or match[2].lower() in (MANIFEST.lower(), SIGNATURE.lower()):
            raise Wrong(f"{MANIFEST} is not as it was written: {line[:200]}")
        sums[match[2]] = match[1]
        small.append(match[2].lower())
    for name in sorted(set(there) - set(sums) - {MANIFEST, SIGNATURE}):
        wrong(f"{name} is not in the manifest")
    for name in sorted(set(sums) - set(there)):
        wrong(f"{name} is in the manifest and not here")
    for name in sorted(set(sums) & set(there)):
        digest = hashlib.sha256()
        with open_plain(name) as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
        if digest.hexdigest() != sums[name]:
            wrong(f"{name} is not the file that the manifest names: its SHA-256 is {digest.hexdigest()}")
    for name in sorted(sums):
        if small.count(name.lower()) > 1:
            wrong(f"{name} and another file differ only in case: on some machines they are one")
    for name in NEEDED:
        if name not in sums:
            raise Wrong(f"{name} is not in the manifest")
    if n_findings:
        raise Wrong("the files are not those of the manifest; nothing else was checked")
    return sums


def check_form(sums):
    """Another version's bundle may have more columns and fields, or fewer: this would take them for forged."""
    with open_plain("form") as file:
        text = file.read(LONGEST_MANIFEST).decode("ascii")
    match = re.match(r"cutover\.bundle\.v1\nform ([0-9]{1,9})\n", text)
    if match and int(match[1]) != FORM:
        raise Wrong(f"the bundle is of form {match[1]}, and this checks form {FORM}: take the checker of the cutover that made it")
    if text != f"cutover.bundle.v1\nform {FORM}\n":
        raise Wrong("form is not as it was written")
    for name in sorted((set(sums) ^ set(FILES)) - {"approvals.json"}):
        wrong(f"{name}: a bundle has no such file" if name in sums else f"{name} is not there")


# 2. The journal and its chains


def open_journal():
    """Read as a file that nobody writes, so that SQLite leaves nothing beside it, and as one that nobody vouches for."""
    check_end()
    path = os.path.abspath(os.path.join(folder, "journal.db"))
    uri = "file:" + "".join(c if c.isalnum() or c in "/._-" else "".join(f"%{b:02x}" for b in os.fsencode(c)) for c in path)
    db = sqlite3.connect(uri + "?mode=ro&immutable=1", uri=True)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    if hasattr(db, "setlimit"):  # Python 3.11
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_LINE)
    check_schema(db)
    return db


def check_end():
    """The file has the pages that its header counts, and nothing behind them, which SQLite would not read."""
    with open_plain("journal.db") as file:
        header, length = file.read(100), os.fstat(file.fileno()).st_size
    page_size, pages = (int.from_bytes(header[at:to], "big") for at, to in ((16, 18), (28, 32)))
    if header[24:28] != header[92:96] or length != (65536 if page_size == 1 else page_size) * pages:
        wrong("journal.db: there is something behind its end, or it is not as long as it says")


def check_schema(db):
    """Every table, index, view and trigger is one that this version makes: another might show what was never written, or take
    for ever to be read."""
    left, tables, places = set(SCHEMA), set(), set()
    for kind, name, table, made, place in db.execute("SELECT type, name, tbl_name, sql, rootpage FROM sqlite_master"):
        digest = sha256("\n".join("" if text is None else str(text) for text in (kind, name, table, made)))[:32]
        if digest not in left or place and place in places:
            wrong(f"journal.db: the {kind} `{name}` is none that cutover makes")
            continue
        left.remove(digest)
        places.add(place)
        if kind == "table":
            tables.add(name)
    if left:
        wrong(f"journal.db: {len(left)} of the tables, indexes, views and triggers that cutover makes are not there as it makes them")
    for name in ("journal", "run", "lane", "row", "event", "tombstone"):
        if name not in tables:
            raise Wrong(f"journal.db: `{name}` is no table as cutover makes it; nothing in it was checked")


HEAD = "journal runs time run plan rows anchor previous".split()


def read_head():
    """The text of `head`: a name and a value on each line, always in this order; then the lanes."""
    with open_plain("head") as file:
        text = file.read(LONGEST_MANIFEST * 16).decode()
    head, lanes = {}, {}
    first, *lines = text.split("\n")
    # The third version is of a journal from which runs were taken out.
    words = {"cutover.head.v2": HEAD, "cutover.head.v3": [*HEAD[:2], "pruned", *HEAD[2:]]}.get(first)
    if words is None or not lines or lines.pop() != "":
        raise Wrong("head is not as it was written")
    for word, line in zip(words, lines):
        if not line.startswith(word + " "):
            raise Wrong("head is not as it was written")
        head[word] = line[len(word) + 1:]
    for line in lines[len(words):]:
        match = re.fullmatch(r"lane (0|[1-9][0-9]*) (0|[1-9][0-9]*) ([0-9a-f]{64})", line)
        if not match or int(match[1]) <= max(lanes, default=-1):
            raise Wrong("head is not as it was written")
        lanes[int(match[1])] = (int(match[2]), match[3])
    if set(head) != set(words) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", head["time"]):
        raise Wrong("head is not as it was written")
    return head, lanes


def check_journal(db, head, anchor, began):
    """`head` names anchor, plan and journal, how many runs were made in that and taken out of it, and the run before this one as it was
    when this began."""
    if anchor != head["anchor"]:
        wrong(f"the anchor is {anchor}, and `head` says {head['anchor']}")
    if (head["plan"], head["rows"]) != (began["plan"], str(began["rows"])):
        wrong("`head` names another plan than the run began with")
    journal, n_runs, n_pruned, last = db.execute("SELECT id, n_runs, n_pruned, lower(hex(pruned_head)) FROM journal").fetchone()
    if (head["journal"], head["runs"], head.get("pruned")) != (journal, str(n_runs), f"{n_pruned} {last}" if n_pruned else None):
        wrong("`head` is of another journal")
    before, previous = (began.get("after") or {}).get("runs"), "-"
    if before:
        lines = "".join(f"{lane} {seq} {digest}\n" for lane, seq, digest in before[0]["heads"])
        previous = f"{before[0]['run']} " + sha256(f"cutover.anchor.v1\n{before[0]['run']}\n{lines}")
    if head["previous"] != previous:
        wrong("`head` names another run before this one than the run began after")


def runs_of(db, run_id):
    """The run that `head` names, the others, and how many were taken out. A journal has all runs that were ever made in it, or their
    tombstones, or is an excerpt: that has one of several. It has nothing of a run that is not there, but for rows and events of one
    that is about to be taken out."""
    (n_runs, is_excerpt), = db.execute("SELECT n_runs, excerpt FROM journal")
    runs = db.execute("SELECT run, id FROM run ORDER BY run").fetchall()
    numbers = [run for run, _ in runs]
    pruned = tombstones_of(db, is_excerpt)
    made = sorted([*numbers, *pruned])
    if is_excerpt and not (len(runs) == 1 < n_runs and 1 <= numbers[0] <= n_runs):
        wrong(f"journal.db: an excerpt holds one of several runs, and this holds {len(runs)} of {n_runs}")
    if not is_excerpt and (len(set(made)) != n_runs or len(made) != n_runs or made[0] != 1 or made[-1] != n_runs):
        wrong(f"journal.db: {n_runs} runs were made in it, and it holds {len(runs)}, and tombstones of {len(pruned)}")
    for table, may_be_left in (("lane", ()), ("row", pruned), ("event", pruned), ("control", ()), ("notice", ())):
        for number, in db.execute(f"SELECT DISTINCT run FROM {table} NOT INDEXED"):
            if number not in numbers and number not in may_be_left:
                wrong(f"journal.db: table `{table}` has entries of run number {number}, which is not there")
    of_evidence = [run for run, other in runs if other == run_id]
    if len(of_evidence) != 1:
        raise Wrong("journal.db has no such run as `head` names")
    return of_evidence[0], [(run, other) for run, other in runs if other != run_id], len(pruned)


def tombstones_of(db, is_excerpt):
    """The numbers of the runs that were taken out. Their tombstones are chained in the order in which that was done; a copy of one run
    has their count and the last hash alone."""
    (journal, n_pruned, last), = db.execute("SELECT id, n_pruned, lower(hex(pruned_head)) FROM journal")
    prev, numbers = sha256(f"cutover.tombstones.v1\n{journal}\n"), set()
    stored = db.execute(
        "SELECT tombstone, run, id, run_key, quotas, detail, lower(hex(prev)), lower(hex(hash)) FROM tombstone ORDER BY tombstone"
    )
    for nth, (tombstone, run, run_id, run_key, quotas, detail, says_prev, says_hash) in enumerate(stored, 1):
        says = read_json(detail)
        of_run, digest = says["run"], sha256(f"{prev}\n{nth}\n{detail}\n")
        lines = "".join(f"{lane} {seq} {head}\n" for lane, seq, head in of_run["heads"])
        is_as_told = (run, run_id, run_key) == (of_run["number"], of_run["id"], of_run.get("run_key"))
        is_as_told = is_as_told and (None if quotas is None else read_json(quotas)) == says.get("quotas")
        is_as_told = is_as_told and of_run["anchor"] == sha256(f"cutover.anchor.v1\n{run_id}\n{lines}")
        if (tombstone, says_prev, says_hash) != (nth, prev, digest) or not is_as_told:
            wrong(f"journal.db: tombstone {nth} is not as it was written")
        prev = digest
        numbers.add(run)
    if is_excerpt and numbers:
        wrong("journal.db: an excerpt has no tombstones of other runs")
    if not is_excerpt and (n_pruned, last) != (len(numbers), prev if numbers else ""):
        wrong(f"journal.db: {n_pruned} runs were taken out of it, and their tombstones are not those that were made")
    return numbers


def events_of(db, run):
    """All events, lane after lane. The first that is out of its order ends it: behind that nothing is proven."""
    return db.execute(
        "SELECT lane, seq, at, kind, row, detail, lower(hex(prev)), lower(hex(hash)) FROM event NOT INDEXED"
        " WHERE run = ? ORDER BY lane, seq",
        (run,),
    )


def check_chains(db, run, run_id):
    """Each event carries the hash of the one before it. Returns what the run's and the lanes' own events add up to, the heads, and
    how many events there are."""
    sums, heads, n_events = Sums(), {}, 0
    for lane, seq, at, kind, row, detail, says_prev, says_hash in events_of(db, run):
        last, prev = heads.get(lane) or (0, sha256(f"cutover.chain.v1\n{run_id}\n{lane}\n"))
        digest = sha256(f"{prev}\n{lane}\n{seq}\n{at}\n{kind}\n{'' if row is None else row}\n{detail}\n")
        if seq != last + 1 or says_prev != prev or says_hash != digest:
            wrong(f"lane {lane}: event {last + 1} is not as it was written")
            raise Wrong("the chains are broken; nothing behind that was checked")
        heads[lane] = (seq, digest)
        n_events += 1
        if row is None or '"retry_after_ms"' in detail:
            sums.add(lane, at, kind, read_json(detail))
    return sums, heads, n_events


def check_heads(db, run, run_id, heads, named=None):
    """The heads in the journal and in `head` are those of the chains. Returns the anchor, a code over all of them."""
    lines = []
    for lane, seq, says in db.execute("SELECT lane, seq, lower(hex(head)) FROM lane WHERE run = ? ORDER BY lane", (run,)):
        # A lane in which nothing has happened has none.
        found = heads.pop(lane, None) or (0, sha256(f"cutover.chain.v1\n{run_id}\n{lane}\n"))
        if (seq, says) != found:
            wrong(f"lane {lane}: the head in the journal is not the hash of its last event")
        if named is not None and named.pop(lane, None) != found:
            wrong(f"lane {lane}: its head is not the one in `head`")
        lines.append(f"{lane} {found[0]} {found[1]}\n")
    for lane in heads:
        wrong(f"lane {lane}: there are events, and the journal has no such lane")
    for lane in named or ():
        wrong(f"lane {lane}: it is in `head`, and the journal has no such lane")
    return Anchor(sha256(f"cutover.anchor.v1\n{run_id}\n" + "".join(lines)))


class Anchor:
    """A hash over all heads. People keep its first 128 bits; earlier versions showed 80."""

    def __init__(self, digits):
        self.digits = digits

    def __eq__(self, code):
        digits = str(code).replace("-", "").lower()
        return len(digits) in (20, 32, 64) and self.digits.startswith(digits)

    def __str__(self):
        return "-".join(self.digits[at:at + 4] for at in range(0, 32, 4)) + f" ({self.digits[:20]} in short)"


# 3. What the events add up to


class Standing:
    """Where a row stands: the sum of its events, by the rules that its run was begun with. Names are those of the columns."""

    def __init__(self, rules):
        self.first = rules == "first"  # as the first versions of cutover added up
        self.reads_reasons = rules != "third"  # as those did that stored no grounds
        self.waits_are_sent = rules == "third"  # what a peer told to wait has left all the same
        self.standing, self.verdict = "untried", None
        self.started = self.attempts = self.throttled = 0
        self.doubted = self.looked = False
        self.before = self.after = self.moved = None  # (copystate, migrationcycle)
        self.http_status = self.error_code = self.error_msg = self.request_id = None
        self.first_sent_at = self.last_sent_at = self.settled_at = None
        self.reason = self.ground = self.last_word = None

    def add(self, kind, at, event):
        # A step that cannot have happened raises Wrong, as an event of another kind than these does.
        getattr(self, "on_" + kind)(at, event)

    def must(self, *standings):
        if self.standing not in standings:
            raise Wrong(f"it cannot follow `{self.standing}`")

    def was_sent(self):
        return self.attempts > 0 or (self.waits_are_sent and self.throttled > 0)

    def on_row_seen(self, at, event):
        """A look that did not settle the row."""
        self.must("untried", "due", "accepted", "in_doubt")
        seen = state(event.get("seen"))
        if self.standing == "in_doubt":
            self.standing = "due"  # it is as it was: the change may be sent again
        elif self.standing == "accepted":
            self.after = seen
        elif self.doubted:
            pass  # judged by what was seen before the doubt
        elif not self.was_sent() or (self.first and self.before is None):
            if not self.first and seen is not None and self.before is not None:
                seen = (seen[0] or self.before[0], seen[1] or self.before[1])
            self.before = seen
        else:
            self.after = seen
        if not self.first:
            self.moved = None
        self.looked = True

    def on_attempt_started(self, at, event):
        """The intent, committed before a byte leaves. A row in doubt is not sent again without a look."""
        self.must("untried", "due")
        if event["attempt"] != self.started + 1 or (self.doubted and not self.looked):
            raise Wrong("an attempt that cannot have begun")
        self.standing = "open"
        self.started += 1
        self.attempts += 1
        if self.doubted or self.first:
            self.looked = False
        if self.first_sent_at is None:
            self.first_sent_at = at
        self.last_sent_at = at
        self.reason = None

    def on_attempt_ended(self, at, event):
        """How the attempt ended: accepted, rejected, unauthenticated, barred, throttled, unsent, disclaimed or lost."""
        self.must("open")
        outcome = event["outcome"]
        ended = outcome["is"]
        if event["attempt"] != self.started:
            raise Wrong("the end of another attempt")
        if ended == "accepted":
            self.standing, self.looked, self.last_word = "accepted", False, "yes"
        elif ended == "rejected":
            # What it refuses may be that an earlier attempt has moved the row.
            self.standing = "in_doubt" if self.doubted and not self.first else "due"
            self.last_word = "no"
        elif ended in ("unauthenticated", "barred"):
            self.standing, self.last_word = "due", None
        elif ended == "throttled":
            self.standing, self.attempts, self.throttled = "due", self.attempts - 1, self.throttled + 1
        elif ended == "unsent":
            self.standing, self.attempts = "due", self.attempts - 1
        elif ended in ("lost", "disclaimed"):
            self.standing, self.looked, self.doubted, self.last_word = "in_doubt", False, True, None
        else:
            raise Wrong(f"an outcome `{ended}`, which this check does not know")
        self.http_status = (outcome.get("status") or 429) if ended == "throttled" else outcome.get("status")
        self.error_code = outcome.get("code")
        self.error_msg = outcome.get("message", outcome.get("cause"))
        self.request_id = event.get("request_id")
        if ended in ("unsent", "throttled"):
            if self.attempts == 0:
                self.first_sent_at = self.last_sent_at = None
        else:
            # The intent may have waited for leave to go; the answer knows when the request left.
            self.last_sent_at = at - event["took_ms"]
            if self.attempts == 1:
                self.first_sent_at = self.last_sent_at

    def on_row_settled(self, at, event):
        """The verdict."""
        self.must("untried", "in_doubt", "accepted", "due")
        seen = state(event.get("seen"))
        if seen is not None:
            if not self.was_sent() and (self.first or self.before is None):
                self.before = seen
            self.after = seen
        self.standing, self.verdict = "settled", event["verdict"]
        self.settled_at, self.reason = at, event.get("reason")
        self.ground = event.get("ground")
        if self.ground is None and self.reads_reasons:
            self.ground = worded(self.verdict, self.reason)

    def on_row_left(self, at, event):
        """A launch gave up on the row without a verdict."""
        self.must("untried", "in_doubt", "accepted", "due")
        self.reason = event["cause"]

    def on_row_reopened(self, at, event):
        """Somebody asked for it again."""
        self.must("settled")
        was, self.verdict = self.verdict, None
        # What was accepted and never proven may yet turn out to be done.
        self.doubted = was == "unverified"
        self.standing = "in_doubt" if self.doubted else "due"
        if was == "refused" if self.first else not self.was_sent():
            self.before = None
        if not self.first:
            self.moved = None
        self.looked = was in ("no_effect", "refused", "failed") and not self.first and self.was_sent()
        self.after = self.settled_at = self.reason = self.ground = None

    def on_row_moved(self, at, event):
        """A read that was made for others shows the row where we did not put it."""
        self.moved = state(event["seen"])

    def columns(self):
        """As the table `row` holds it."""
        pairs = {}
        for name in ("before", "after", "moved"):
            pairs[name + "_copystate"], pairs[name + "_migrationcycle"] = getattr(self, name) or (None, None)
        plain = {name: getattr(self, name) for name in SUMS if hasattr(self, name)}
        on_target = self.verdict in ("applied", "already") or (self.verdict, self.ground) == ("unverified", "not_verified")
        return {**plain, **pairs, "doubted": int(self.doubted), "looked": int(self.looked), "on_target": int(on_target)}


SUMS = (
    "standing verdict started attempts throttled doubted looked before_copystate before_migrationcycle after_copystate"
    " after_migrationcycle moved_copystate moved_migrationcycle http_status error_code error_msg request_id first_sent_at"
    " last_sent_at settled_at reason ground last_word on_target"
).split()


def state(seen):
    """What a look showed of both fields; none of a source that the service does not know."""
    return None if seen is None else (lower(seen.get("copystate")), lower(seen.get("migrationcycle")))


def lower(word):
    return None if word is None else word.lower()


def worded(verdict, reason):
    """The fact behind a verdict of an earlier version, which stored none: as that version worded it."""
    reason = reason or ""
    if verdict == "blocked":
        if reason.startswith("skipped by "):
            return "skipped"
        if reason == "the service does not know this source":
            return "unknown_source"
        if reason.startswith("the plan expects "):
            return "not_as_expected"
        if reason.endswith("answers success and changes nothing"):
            return "ignores_updates"
    elif verdict == "unverified":
        if reason == "verification is switched off":
            return "not_verified"
        if reason.startswith("no look succeeded"):
            return "unseen"
        if reason.startswith("reads never show "):
            return "never_shown"
    return None


class Sums:
    """What the events that name no row add up to: the tables `run` and `lane`."""

    def __init__(self):
        self.began = None
        self.run = dict(launches=0, running=0, pid=None, host=None, started_at=None, ended_at=None, elapsed_ms=0)
        self.run.update(exit_code=None, exit_name=None, exit_reason=None)
        self.lanes, self.stopped, self.shown, self.last_launch = {}, {}, {}, None

    def add(self, lane, at, kind, event):
        of_lane = self.lanes.setdefault(lane, dict(throttled=0, per_second=None, stated=None, learned_at=None, cooled_until=None))
        run = self.run
        if kind == "run_started":
            self.began = event
        elif kind == "launch_began":
            run.update(launches=event["launch"], running=1, pid=event["pid"], host=event["host"], ended_at=None)
            run.update(exit_code=None, exit_name=None, exit_reason=None)
            self.last_launch = dict(at=time(at), **{of: event[of] for of in ("launch", "verb", "pid", "host", "user", "version")})
            self.last_launch.update({"who": event["who"]} if "who" in event else {})
            run["elapsed_ms"] += event.get("cut_off_ms", 0)
            if run["started_at"] is None:
                run["started_at"] = at
        elif kind == "launch_ended":
            name = event["exit"]
            run.update(running=0, ended_at=at, exit_reason=event.get("reason"), exit_code=EXITS[name])
            run["exit_name"] = "interrupted" if EXITS[name] > 128 else name
            run["elapsed_ms"] += event["elapsed_ms"]
        elif kind == "lane_stopped":
            self.stopped[lane] = event["message"]
        elif kind == "quota_learned":
            of_lane.update(per_second=event["per_second"], stated=int(event["stated"]), learned_at=at)
        elif kind == "read_throttled":
            of_lane["throttled"] += 1
            cool(of_lane, at, event.get("retry_after_ms"))
        elif kind == "cool_down_began":
            cool(of_lane, at, event["wait_ms"])
        elif kind == "attempt_ended" and event["outcome"]["is"] == "throttled":
            cool(of_lane, at, event["outcome"].get("retry_after_ms"))


def cool(of_lane, at, wait_ms):
    """Nothing leaves in the lane for a time."""
    if wait_ms is not None:
        of_lane["cooled_until"] = max(of_lane["cooled_until"] or 0, at + wait_ms)


EXITS = dict(
    done=0, not_on_target=1, usage=2, refused=3, halted=4, credentials=5, locked=6, integrity=7, unreachable=8, internal=70,
    hung_up=129, interrupted=130, terminated=143,
)


def check_run(db, run, run_id, sums):
    """The tables `run` and `lane` say what the events add up to. Returns how the run began."""
    began = sums.began
    if began is None or began.get("rules", "first") not in ("first", "second", "third"):
        raise Wrong("the run has no beginning, or one by rules that this check does not know")
    names = [*sums.run, "id", "plan_digest", "n_rows", "settings", "rules", "run_key"]
    found = dict(zip(names, db.execute(f"SELECT {', '.join(names)} FROM run WHERE run = ?", (run,)).fetchone()))
    says = dict(sums.run, id=run_id, plan_digest=began["plan"], n_rows=began["rows"], settings=began["settings"])
    says.update(rules=began.get("rules", "first"), run_key=began.get("run_key"))
    found["settings"] = read_json(found["settings"])
    for name in says:
        if found[name] != says[name]:
            wrong(f"run: {name} is not what its events say")
    places, own = began.get("lanes", []), "throttled, stated, per_second, learned_at, cooled_until, stopped"
    if any(db.execute(f"SELECT {own} FROM lane WHERE run = ? AND lane = 0", (run,)).fetchone() or ()):
        wrong("lane 0: it is not what its events say")
    columns = "lane, stopped, name, endpoint, account, throttled, per_second, stated, learned_at, cooled_until"
    for lane, stopped, *stored in db.execute(f"SELECT {columns} FROM lane WHERE run = ? AND lane > 0", (run,)):
        # A launch that began later may have taken that back.
        if stopped != sums.stopped.get(lane) and not (stopped is None and sums.run["launches"] > 1):
            wrong(f"lane {lane}: it is not what its events say")
        of_report = ("name", "endpoint", "account", "throttled", "per_second", "stated")
        sums.shown[lane] = dict(zip(of_report, stored), lane=lane, stopped=stopped)
        sums.shown[lane]["stated"] = bool(stored[5])
        nothing = dict(throttled=0, per_second=None, stated=None, learned_at=None, cooled_until=None)
        if stored[3:] != list(sums.lanes.get(lane, nothing).values()):
            wrong(f"lane {lane}: it is not what its events say")
        if places and (lane > len(places) or stored[:3] != [places[lane - 1][of] for of in ("name", "endpoint", "account")]):
            wrong(f"lane {lane}: it is not the account that the run began with")
    return began


PLAN = (
    "source_id copystate migrationcycle expect_copystate expect_migrationcycle wave target name note".split(),
    "row line extra file lane wave_no canary sealed_copystate sealed_migrationcycle".split(),
)


def folded(db, run, rules):
    """Each row that has events, with their sum, in the order of rows."""
    events = db.execute(
        "SELECT row, lane, seq, at, kind, detail FROM event NOT INDEXED WHERE run = ? AND row IS NOT NULL ORDER BY row, seq", (run,)
    )
    row, standing = None, None
    for this, lane, seq, at, kind, detail in events:
        if this != row:
            if standing is not None:
                yield row, standing
            row, standing = this, Standing(rules)
        try:
            standing.add(kind, at, read_json(detail))
        except (Wrong, AttributeError, KeyError, TypeError, ValueError) as error:
            wrong(f"row {row}: event {seq} of lane {lane}, `{kind}`, cannot have happened: {error}")
            raise Wrong("what the events add up to is not known; nothing behind that was checked")
    if standing is not None:
        yield row, standing


def rows_of(db, run, began):
    """Each row of the journal as it was planned, with its columns as the events have them. What differs is said here."""
    names = ["row", *SUMS, *PLAN[0], *PLAN[1][1:]]
    events, last = folded(db, run, began.get("rules", "first")), 0
    ahead = next(events, None)
    for values in db.execute(f"SELECT {', '.join(names)} FROM row WHERE run = ? ORDER BY row", (run,)):
        row = dict(zip(names, values))
        if not isinstance(row["row"], int) or row["row"] <= last:
            raise Wrong("the table `row` is damaged")
        last = row["row"]
        if ahead is not None and ahead[0] < last:
            raise Wrong(f"row {ahead[0]}: there are events, and the journal has no such row")
        standing = Standing(None)
        if ahead is not None and ahead[0] == last:
            standing, ahead = ahead[1], next(events, None)
        says = standing.columns()
        differ = [name for name in SUMS if row[name] != says[name]]
        if differ:
            wrong(f"row {last}: {', '.join(differ)}: not what its events add up to")
        row.update(says)
        row["extra"] = [] if row["extra"] is None else read_json(row["extra"])
        yield row
    if ahead is not None:
        wrong(f"row {ahead[0]}: there are events, and the journal has no such row")


# 4. The plan and the approvals


class Plan:
    """plan.jsonl holds the very bytes whose SHA-256 names the plan: a line for each row, and one for the terms of a plan file."""

    def __init__(self, db, run, began, lines):
        self.began, self.n_rows = began, 0
        self.digest, self.lines = hashlib.sha256(), lines
        made = "SELECT id, plan_path, created_at, endpoint, account FROM run WHERE run = ?"
        self.layout = hashlib.sha256((as_json(list(db.execute(made, (run,)).fetchone())) + "\n").encode())

    def add(self, row):
        """The plan's half of a row, and where the row stands in plan, lanes and waves."""
        self.n_rows += 1
        texts = ("source_id", "wave", "target", "name", "note")
        words = [row[name] if name in texts else lower(row[name]) for name in PLAN[0]]
        line = as_json([*words, sorted(row["extra"])]) + "\n"
        self.digest.update(line.encode())
        if self.lines is not None and next(self.lines, None) != line:
            raise Wrong(f"plan.jsonl: line {self.n_rows} is not row {row['row']} of the journal; nothing behind it was checked")
        place = [[row[name] for name in ("row", "line", "lane", "wave_no", "canary")]]
        place.append([row["sealed_copystate"], row["sealed_migrationcycle"]])
        if row["file"] is not None:
            place.append(row["file"])
        self.layout.update((as_json(place) + "\n").encode())

    def finish(self):
        if self.n_rows != self.began["rows"]:
            wrong(f"there are {self.n_rows} rows, and the run began with {self.began['rows']}")
        # The plan of another run than that of the evidence is not here, and its terms cannot be made again.
        terms = None if self.lines is None else next(self.lines, None)
        if terms is not None:
            self.digest.update(terms.encode())
            if next(self.lines, None) is not None or read_json(terms) != self.began["settings"].get("plan"):
                wrong("plan.jsonl: what is behind its rows is not the terms that the run began with")
        has_name = self.lines is not None or "plan" not in self.began["settings"]
        if has_name and "sha256:" + self.digest.hexdigest() != self.began["plan"]:
            wrong(f"the plan is sha256:{self.digest.hexdigest()}, and the run began with {self.began['plan']}")
        if self.began.get("layout") not in (None, "sha256:" + self.layout.hexdigest()):
            wrong("where the plan came from, or the lines, lanes, waves or sealed states of its rows, is not as the run began")


def check_approvals(began, sums):
    """approvals.json is what the run began with; each approval is bound to the seal and to the one before it."""
    seal = began["settings"].get("seal")
    if (seal is None) != ("approvals.json" not in sums):
        wrong("approvals.json is here only if the plan was sealed")
    if seal is None or "approvals.json" not in sums:
        return []
    with open_plain("approvals.json") as file:
        if read_json(file.read(LONGEST_LINE).decode()) != seal:
            wrong("approvals.json is not what the run began with")
    if seal["plan_digest"] != began["plan"]:
        wrong("approvals.json: what was sealed is another plan")
    before = seal["digest"]
    for approval in seal["approvals"]:
        bound = [before, *(approval[name] for name in ("as", "user", "host", "at"))]
        bound += [approval["who"]] if "who" in approval else []
        before = "sha256:" + sha256(as_json(bound))
        if approval["check"] != before:
            wrong(f"approvals.json: the approval of {approval['as']} is not the one that was given")
    return seal["approvals"]


# 5. The reports


COLUMNS = (
    "row source_id copystate migrationcycle verdict before_copystate before_migrationcycle after_copystate after_migrationcycle"
    " attempts http_status error_code error_msg request_id wave target name first_sent_at settled_at reason throttled note line"
    " expect_copystate expect_migrationcycle last_sent_at moved_copystate moved_migrationcycle file"
).split()
PENDING = dict(untried="pending", due="pending", open="in_doubt", in_doubt="in_doubt", accepted="in_doubt")


def cells(row):
    """A row as the reports show it."""
    shown = {name: row[name] for name in COLUMNS}
    shown["verdict"] = row["verdict"] or PENDING[row["standing"]]
    for name in ("first_sent_at", "settled_at", "last_sent_at"):
        shown[name] = time(row[name])
    for name in ("copystate", "migrationcycle", "expect_copystate", "expect_migrationcycle"):
        shown[name] = lower(row[name])
    return shown


def as_cell(value):
    """As CSV has it: a spreadsheet would take such a beginning for a formula."""
    text = "" if value is None else str(value)
    return "'" + text if isinstance(value, str) and text.startswith(tuple("=+-@\t\r")) else text


class Csv:
    """report.csv: a line for each row, in plan order; the plan's own columns come last."""

    def __init__(self):
        csv.field_size_limit(LONGEST_LINE)
        self.lines = csv.reader(lines_of("report.csv"), strict=True)
        self.header = next(self.lines, [])
        self.own, self.met = self.header[len(COLUMNS):], set()
        if self.header[:len(COLUMNS)] != COLUMNS or len(set(self.own)) != len(self.own):
            raise Wrong("report.csv: its columns are not those of a report")

    def add(self, row, shown):
        own = {}
        for name, value in row["extra"]:
            own.setdefault("plan_" + name if name in COLUMNS else name, value)
        self.met.update(map(as_cell, own))
        own = {as_cell(name): value for name, value in own.items()}
        says = [as_cell(shown[name]) for name in COLUMNS] + [as_cell(own.get(name, "")) for name in self.own]
        line = next(self.lines, [])
        if line != says:
            at = next((name for name, one, other in zip(self.header, line, says) if one != other), "its end")
            wrong(f"report.csv: row {row['row']}: {at} is not what the events say")

    def finish(self):
        if next(self.lines, None) is not None:
            wrong("report.csv: there are lines behind the last row")
        if self.met != set(self.own):
            wrong("report.csv: its last columns are not those of the plan")


SUMMARY = (
    "schema run run_key plan verdicts unsettled on_target unproven attempts under_way throttled exit started_at elapsed_s journal anchor"
    " anchor_hash launches last_launch running waves paper steering moved lanes causes"
).split()


class Json:
    """report.json: the summary on a line, then each row on its own."""

    def __init__(self):
        self.lines = lines_of("report.json")
        if next(self.lines, "") != '{"schema":"cutover.report.v1",\n':
            raise Wrong("report.json: it does not begin as a report does")
        text = next(self.lines, "")
        self.summary = read_json("{" + text.rstrip(",\n") + "}").get("summary", {})
        if next(self.lines, "") != '"rows":[\n':
            raise Wrong("report.json: its rows do not begin where they should")
        self.is_last = False

    def add(self, row, shown):
        text = next(self.lines, "")
        own = {}
        for name, value in row["extra"]:
            own[name] = value
        try:
            found = read_json(text.rstrip("\n").rstrip(","))
        except ValueError:
            found = None
        if found != dict(shown, extra=own):
            found = found if isinstance(found, dict) else {}
            at = next((name for name in [*shown, "extra"] if found.get(name) != dict(shown, extra=own)[name]), "its form")
            wrong(f"report.json: row {row['row']}: {at} is not what the events say")

    def finish(self, head, began, sums, anchor, rows):
        tally = rows.tally
        end = [*zip(self.lines, range(3))]
        if [line for line, _ in end] not in ([["]}\n"], ["\n", "]}\n"]]):
            wrong("report.json: there is something behind the last row")
        run, verdicts = sums.run, {name: tally.get(name, 0) for name in VERDICTS}
        says = dict(
            schema="cutover.summary.v1", journal="journal.db", run=head["run"], run_key=began.get("run_key"),
            verdicts=verdicts, launches=run["launches"],
            on_target=tally["on_target"], started_at=time(run["started_at"]),
            exit=dict(code=run["exit_code"], name=run["exit_name"], reason=run["exit_reason"]),
            unsettled=dict(pending=tally.get("pending", 0), in_doubt=tally.get("in_doubt", 0)),
            attempts=tally["attempts"] - (tally["open"] if run["running"] else 0),
            throttled=tally["throttled"] + sum(lane["throttled"] for lane in sums.lanes.values()),
            unproven=tally["unproven"], last_launch=sums.last_launch, waves=[wave for _, wave in sorted(rows.waves.items())],
            lanes=[dict(lane, **rows.lanes.get(n, NO_ROWS)) for n, lane in sorted(sums.shown.items())],
        )
        paper, plan = self.summary.get("paper", {}), began["settings"].get("plan", {})
        for name in ("name", "ticket", "reason"):
            if paper.get(name) != plan.get(name):
                wrong(f"report.json: summary.paper.{name} is not what the run began with")
        if paper.get("seal") != began["settings"].get("seal") or paper.get("require_approvals") != plan.get("require_approvals", 0):
            wrong("report.json: summary.paper.seal is not what the run began with")
        causes = [tuple(cause.get(of) for of in ("verdict", "cause", "error_code", "text", "rows", "example")) for cause in self.summary.get("causes", [])]
        if len(causes) != min(50, len(rows.causes)) or Counter(causes) - Counter(rows.all_causes()):
            wrong("report.json: summary.causes is not what the events say")
        if run["running"] and not tally.get("pending") and not tally.get("in_doubt"):
            del says["exit"]  # its launch was cut off with nothing left to do, and is told as if it had ended
        for name, value in says.items():
            if self.summary.get(name) != value:
                wrong(f"report.json: summary.{name} is not what the events say")
        if anchor != self.summary.get("anchor") or anchor != self.summary.get("anchor_hash", self.summary["anchor"]):
            wrong("report.json: summary.anchor is not that of the chains")
        for name in sorted(set(self.summary) - set(SUMMARY)):
            wrong(f"report.json: summary.{name} is none that a report has")
        plan = self.summary.get("plan", {})
        if (plan.get("digest"), plan.get("rows")) != (began["plan"], began["rows"]):
            wrong("report.json: summary.plan is not the plan that the run began with")


class Rows:
    """What the rows come to, all of them, wave by wave and account by account, and why those are not on target that are not."""

    def __init__(self):
        self.tally = dict(on_target=0, unproven=0, attempts=0, throttled=0, open=0)
        self.waves, self.lanes, self.causes = {}, {}, {}

    def add(self, row, shown):
        for name in (shown["verdict"], "open" if row["standing"] == "open" else None):
            if name is not None:
                self.tally[name] = self.tally.get(name, 0) + 1
        for name in ("on_target", "attempts", "throttled"):
            self.tally[name] += row[name]
        self.tally["unproven"] += row["on_target"] and row["verdict"] == "unverified"
        wave = self.waves.setdefault(row["wave_no"], dict(NO_ROWS, wave=row["wave"]))
        for group in (wave, self.lanes.setdefault(row["lane"], dict(NO_ROWS))):
            group["rows"] += 1
            group["settled"] += row["verdict"] is not None
            group["on_target"] += row["on_target"]
        if row["verdict"] is not None and not row["on_target"]:
            text = next((text for text in (row["reason"], row["error_msg"]) if text is not None), "")
            cause = (row["verdict"], row["error_code"], text, row["ground"], row["http_status"])
            n, example = self.causes.get(cause, (0, row["source_id"]))
            self.causes[cause] = (n + 1, min(example, row["source_id"], key=str.encode))

    def all_causes(self):
        for (verdict, code, text, ground, status), (n, example) in self.causes.items():
            word = ground or re.sub("[^A-Za-z0-9._-]", "_", code or "") or (str(status) if (status or 0) >= 300 else "other")
            yield verdict, word, code, text, n, example


NO_ROWS = dict(rows=0, settled=0, on_target=0)
VERDICTS = "applied already unverified no_effect overtaken refused failed blocked".split()


def lines_of(name):
    """The lines of a text, none of them without bound."""
    with open_plain(name) as file:
        while True:
            line = file.readline(LONGEST_LINE + 1)
            if not line:
                return
            if len(line) > LONGEST_LINE:
                raise Wrong(f"{name}: a line is too long")
            yield line.decode()


def check_other(db, run, run_id):
    """A run that the reports are not of."""
    n_before = n_findings
    try:
        of_events, heads, n_events = check_chains(db, run, run_id)
        (n_earlier,), = db.execute("SELECT n_earlier FROM journal")
        if n_events == 0 and run <= n_earlier:  # made by an earlier version, and never begun
            made = db.execute("SELECT plan_digest, n_rows, settings, rules FROM run WHERE run = ?", (run,)).fetchone()
            of_events.began = dict(plan=made[0], rows=made[1], settings=read_json(made[2]), rules=made[3])
        anchor = check_heads(db, run, run_id, heads)
        began = check_run(db, run, run_id, of_events)
        plan = Plan(db, run, began, None)
        for row in rows_of(db, run, began):
            plan.add(row)
        plan.finish()
    except Wrong as error:
        wrong(error)
    if n_findings > n_before:
        raise Wrong(f"this was found in run {run_id}, which is not that of the reports; these were not compared")
    return f"run {run_id}: {n_events} events, {plan.n_rows} rows, anchor {anchor}: as they were written"


def check():
    sums = check_manifest()
    check_form(sums)
    db = open_journal()
    head, lanes = read_head()
    run_id = head["run"]
    run, others, n_pruned = runs_of(db, run_id)
    told = [check_other(db, *other) for other in others]
    of_events, heads, n_events = check_chains(db, run, run_id)
    anchor = check_heads(db, run, run_id, heads, lanes)
    began = check_run(db, run, run_id, of_events)
    check_journal(db, head, anchor, began)
    approvals = check_approvals(began, sums)
    plan, reports = Plan(db, run, began, lines_of("plan.jsonl")), (Csv(), Json())
    rows = Rows()
    for row in rows_of(db, run, began):
        plan.add(row)
        shown = cells(row)
        for report in reports:
            report.add(row, shown)
        rows.add(row, shown)
    plan.finish()
    reports[0].finish()
    reports[1].finish(head, began, of_events, anchor, rows)
    if n_findings:
        return
    print(f"run {run_id}: {n_events} events, {plan.n_rows} rows, anchor {anchor}: as they were written")
    named = ", ".join(f"{rows.tally[name]} {name}" for name in (*VERDICTS, "pending", "in_doubt") if rows.tally.get(name))
    print(f"{rows.tally['on_target']} of {plan.n_rows} rows on target: {named}")
    for approval in approvals:
        signed = "with a signature: see README.md" if "signature" in approval else "no signature: a name that somebody typed"
        print("approved as " + "".join(c if c.isprintable() else "?" for c in approval["as"]) + ", " + signed)
    for line in told:
        print("and " + line)
    if n_pruned:
        print(f"{n_pruned} runs were taken out before: of these there are tombstones, which name their archives and prove nothing else")
    for_people = [name for name in sums if name.startswith("report.") and name not in NEEDED]
    print(f"only the manifest covers {', '.join(for_people)}: they are for people, and were not compared")
    if not os.path.lexists(os.path.join(folder, SIGNATURE)):
        print("nobody signed the manifest: whoever wrote this folder could have written all of it")
    print("compare the anchor with the one that was noted down on the night")


arguments = sys.argv[1:]
if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
    is_asked = arguments in (["-h"], ["--help"])
    print("usage: python3 check.py [FOLDER]: checks the bundle in FOLDER, else the one beside it", file=sys.stdout if is_asked else sys.stderr)
    sys.exit(0 if is_asked else 1)
folder = arguments[0] if arguments else os.path.dirname(os.path.abspath(__file__))
try:
    check()
except Wrong as error:
    wrong(error)
except (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RecursionError, TypeError, ValueError, sqlite3.Error, csv.Error) as error:
    wrong(f"something is not as cutover writes it: {type(error).__name__}: {error}")
for finding in findings:
    print(finding, file=sys.stderr)
if n_findings > len(findings):
    print(f"… and {n_findings - len(findings)} more", file=sys.stderr)
sys.exit(1 if n_findings else 0)
