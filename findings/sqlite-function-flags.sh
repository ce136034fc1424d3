#!/bin/sh
# One would guess: the functions which `pragma function_list` shows without the flag DIRECTONLY are pure, or at least
# cannot write.
# What happens: optimize() of FTS3/FTS4 is listed as any other function, without that flag, and rewrites the index when a
# SELECT calls it: the number of the index's segments falls.
# Needs python3 whose SQLite has FTS4, as that of Debian and of python.org has.
set -eu
python3 - <<'PY'
import sqlite3, sys
print("SQLite", sqlite3.sqlite_version)
db = sqlite3.connect(":memory:")
try:
    db.execute("CREATE VIRTUAL TABLE docs USING fts4(body)")
except sqlite3.OperationalError:
    sys.exit("this SQLite has no FTS4")
flags = [f for (f,) in db.execute("SELECT flags FROM pragma_function_list WHERE name = 'optimize'")]
print("flags of optimize:", flags, "DIRECTONLY:", [bool(f & 0x80000) for f in flags])
for n in range(40):
    db.execute("INSERT INTO docs VALUES (?)", (f"word{n} text",))
    db.commit()
count = lambda: db.execute("SELECT count(*) FROM docs_segdir").fetchone()[0]
before = count()
said = db.execute("SELECT optimize(docs) FROM docs LIMIT 1").fetchone()[0]
after = count()
print("segments before:", before, "after one SELECT:", after, "it said:", said)
sys.exit(0 if flags and not any(f & 0x80000 for f in flags) and after < before else "changed")
PY
