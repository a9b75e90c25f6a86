"""The named moments at which tinkexd is killed, as rules for faults.py.

    faults.arm(CRASH_POINTS["before-commit"](3))   # the third commit from now

A commit is a sync of the -wal. A checkpoint writes to the database itself and then syncs it. A body above 64 KiB is
a file in spool/: written, synced, then the folder is synced, and only then its row is committed.
"""

from faults import Rule

DATABASE, WAL, SPOOL, SPOOL_FILE = "tinkexd.db", "tinkexd.db-wal", "spool", "spool/*"

CRASH_POINTS = {
    # Between the words of a transaction: some of its frames are in the -wal, the last may be half there.
    "during-commit": lambda k: Rule("write", WAL, k, action="kill-after"),
    "during-commit-torn": lambda k: Rule("write", WAL, k, action="kill-short"),
    # All is written, nothing is promised.
    "before-commit": lambda k: Rule("fsync", WAL, k, action="kill"),
    # All is promised, and nobody has been told.
    "after-commit-before-reply": lambda k: Rule("fsync", WAL, k, action="kill-after"),

    "spool-created": lambda k: Rule("create", SPOOL_FILE, k, action="kill-after"),
    "spool-half-written": lambda k: Rule("write", SPOOL_FILE, k, action="kill-short"),
    "spool-written-not-synced": lambda k: Rule("fsync", SPOOL_FILE, k, action="kill"),
    # The body lasts, its name need not yet.
    "spool-synced-name-not": lambda k: Rule("fsync", SPOOL, k, action="kill"),
    # The body and its name last, its row is not committed.
    "between-spool-sync-and-commit": lambda k: Rule("fsync", SPOOL, k, action="kill-after"),
    "before-unlink": lambda k: Rule("unlink", SPOOL_FILE, k, action="kill"),
    "after-unlink": lambda k: Rule("unlink", SPOOL_FILE, k, action="kill-after"),

    "during-checkpoint": lambda k: Rule("write", DATABASE, k, action="kill-after"),
    "during-checkpoint-torn": lambda k: Rule("write", DATABASE, k, action="kill-short"),
    "checkpoint-before-sync": lambda k: Rule("fsync", DATABASE, k, action="kill"),
    "checkpoint-after-sync": lambda k: Rule("fsync", DATABASE, k, action="kill-after"),

    # To be armed before the daemon starts: making the database, bringing an old one up to date, tidying up.
    "during-start": lambda k: Rule("change", "*", k, action="kill"),
    "during-start-after": lambda k: Rule("change", "*", k, action="kill-after"),
    "during-migration": lambda k: Rule("write|fsync|ftruncate", "tinkexd.db*", k, action="kill"),
}
