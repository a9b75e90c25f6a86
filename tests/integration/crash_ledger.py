"""What clients of a dying daemon were told, and what must be true because of it. Standard library only.

One ledger a run, used by all threads. Its clock is a counter that rises with every fact; "before" and "after" are its
order. Whoever asks the daemon takes the time first (`since`): what is known as answered before that must show in the
answer, and what may have been sent meanwhile must not be held against it.

    since = ledger.mark()
    reply = …
    ledger.outcome(uid, request_id, since, …)

A broken rule is a Violation. It is kept in .violations, with all facts of that registration.
"""

import hashlib
import threading
import time

N_FACTS_SHOWN = 60


class Violation(Exception):
    """A promise was broken; the text says which, and what was known."""


def failure_text(kind, category, status, message):
    """One text for what an error says; crash_client.c makes the same."""
    return f"{kind}|{category or '-'}|{status or 0}|{message}"


def digest(data):
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


class Outcome:
    """How a future ended: ok with `size` bytes of that SHA-256; or failed, with that of failure_text()."""

    def __init__(self, ok, size, sha256):
        self.ok, self.size, self.sha256 = ok, size, sha256

    @classmethod
    def failed(cls, *what):
        return cls(False, 0, digest(failure_text(*what)))

    def __eq__(self, other):
        return (self.ok, self.size, self.sha256) == (other.ok, other.size, other.sha256)

    def __str__(self):
        return f"{'ok' if self.ok else 'failed'}, {self.size} bytes, {self.sha256[:16]}"



class Entry:
    """A registration of one user. Times are the ledger's; None: it did not happen."""

    def __init__(self, uid, request_id, expected):
        self.uid, self.request_id = uid, request_id
        self.expected = expected  # an Outcome: what the server makes of it
        self.registered = None  # answered
        self.ended = None  # told for the first time that it has
        self.outcome = None  # the one that was told, in full
        self.told_size = None  # (ok, size) as register told it
        self.ack_sent = None
        self.acked = None  # answered
        self.cancel_sent = None
        self.cancelled = None  # answered
        self.facts = []

    @property
    def owed(self):
        """It must be there."""
        return self.registered is not None and self.ack_sent is None


class Ledger:
    def __init__(self):
        self.lock = threading.RLock()
        self.entries = {}  # (uid, request id): Entry
        self.time = 0
        self.life = 0  # which of the daemon's lives this is
        self.start = time.monotonic()
        self.violations = []
        self.counts = {}

    def mark(self):
        with self.lock:
            self.time += 1
            return self.time

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + n

    def new_life(self):
        with self.lock:
            self.life += 1
            return self.life

    def of(self, uid):
        with self.lock:
            return [entry for entry in self.entries.values() if entry.uid == uid]

    def get(self, uid, request_id):
        with self.lock:
            return self.entries.get((uid, request_id))

    # Writing down

    def _fact(self, entry, text):
        """Under the lock. The time of it."""
        self.time += 1
        entry.facts.append((self.time, time.monotonic() - self.start, self.life, threading.current_thread().name, text))
        return self.time

    def violate(self, entry, text):
        with self.lock:
            lines = [text]
            if entry:
                lines[0] = f"{entry.request_id} of uid {entry.uid}: {text}"
                lines.append(f"the server makes of it: {entry.expected}")
                lines += ["%8d %9.3f s  life %-4d %-14s %s" % fact for fact in entry.facts[-N_FACTS_SHOWN:]]
            self.violations.append("\n    ".join(lines))
        raise Violation(self.violations[-1])

    def sending(self, uid, request_id, expected):
        """A registration is about to be sent for the first time."""
        with self.lock:
            entry = self.entries[uid, request_id] = Entry(uid, request_id, expected)
            self._fact(entry, "is sent")
            return entry

    def ack_sending(self, entries):
        """An acknowledgement, or a call that acknowledges, is about to be sent. From here on they may be gone."""
        with self.lock:
            since = self.mark()
            for entry in entries:
                self._fact(entry, "ack is sent")
                if entry.ack_sent is None:
                    entry.ack_sent = since
            return since

    def ack_was_void(self, entry, since):
        """The call of ack_sending() was answered, and had nothing to acknowledge for this one."""
        with self.lock:
            if entry.ack_sent == since:
                entry.ack_sent = None
                self._fact(entry, "that ack had nothing to acknowledge")

    def cancel_sending(self, entries):
        with self.lock:
            for entry in entries:
                entry.cancel_sent = entry.cancel_sent or self._fact(entry, "cancel is sent")
            return self.mark()

    # What was answered. Each raises Violation

    def _entry(self, uid, request_id, what):
        entry = self.entries.get((uid, request_id))
        if entry is None:
            self.violate(None, f"uid {uid} was shown {request_id}, which it never registered: {what}")
        return entry

    def registered(self, uid, request_id, since, new, state, told=None):
        """`told`: (ok, size) of a registration that had ended."""
        with self.lock:
            entry = self._entry(uid, request_id, "register")
            self._fact(entry, f"registration answered: {'new' if new else 'known'}, {state}")
            if new and entry.registered is not None and entry.registered < since and entry.ack_sent is None \
                    and entry.cancel_sent is None:
                self.violate(entry, "registering it again made it anew: it had been lost")
            if entry.registered is None:
                entry.registered = self.mark()
            self._state(entry, since, state, None if told is None else told[0], restarted=new)
            if told is not None:
                if entry.outcome and (entry.outcome.ok, entry.outcome.size if told[0] else 0) != \
                        (told[0], told[1] if told[0] else 0):
                    self.violate(entry, f"register tells of another end: {told}")
                self.count("ends told by register")

    def _state(self, entry, since, state, ok, restarted=False):
        """`state` or `ok` were told for something asked at `since`. `restarted`: registered anew, which forgets."""
        is_ended = state in ("completed", "failed")
        if entry.acked is not None and entry.acked < since and not restarted:
            self.violate(entry, f"was acknowledged, and is there: {state}")
        if is_ended and entry.ended is None:
            entry.ended = self._fact(entry, f"known to have ended: {state}")
        elif not is_ended and not restarted:
            if entry.ended is not None and entry.ended < since and entry.ack_sent is None:
                self.violate(entry, f"had ended, and is {state}")
            if entry.cancelled is not None and entry.cancelled < since and entry.ack_sent is None:
                self.violate(entry, f"was cancelled, and is {state}")
        if is_ended and entry.outcome and (state == "completed") != entry.outcome.ok:
            self.violate(entry, f"had ended otherwise: {entry.outcome}, and now {state}")
        if is_ended and ok is not None and ok != (state == "completed"):
            self.violate(entry, f"is {state}, and ok is {ok}")

    def state(self, uid, request_id, since, state, ok=None):
        """list, status or collect told it."""
        with self.lock:
            entry = self._entry(uid, request_id, f"as {state}")
            self._state(entry, since, state, ok)
            return entry

    def outcome(self, uid, request_id, since, outcome, how, cancelled=False):
        """A result, or an error, was returned. `cancelled`: the error says that somebody did that."""
        with self.lock:
            entry = self._entry(uid, request_id, str(outcome))
            self._fact(entry, f"returned ({how}): {'cancelled, ' if cancelled else ''}{outcome}")
            self._state(entry, since, "completed" if outcome.ok else "failed", outcome.ok)
            if entry.outcome is not None and entry.outcome != outcome:
                self.violate(entry, f"was returned as {entry.outcome}, and now as {outcome}")
            if cancelled and entry.cancel_sent is None:
                self.violate(entry, "is cancelled, and nobody did that")
            if not cancelled and outcome != entry.expected:
                self.violate(entry, f"is not what the server made: {outcome}")
            entry.outcome = outcome
            self.count(f"outcomes returned {how}")
            return entry

    def not_there(self, uid, request_id, since):
        """It is not registered, some answer said."""
        with self.lock:
            entry = self.entries.get((uid, request_id))
            if entry is None:  # not ours, and so we were told
                return
            if entry.registered is not None and entry.registered < since and entry.ack_sent is None:
                self.violate(entry, "was registered and never acknowledged, and is not there")
            self._fact(entry, "is not there")

    def acked(self, uid, request_id, was_there):
        """An acknowledgement was answered."""
        with self.lock:
            entry = self._entry(uid, request_id, "acknowledged")
            self._fact(entry, f"ack answered: {'acknowledged' if was_there else 'not there'}")
            entry.acked = entry.acked or self.mark()
            self.count("acks answered")

    def cancelled(self, uid, request_id):
        """A cancel was answered: whatever it was, it has ended now."""
        with self.lock:
            entry = self._entry(uid, request_id, "cancelled")
            entry.cancelled = entry.cancelled or self._fact(entry, "cancel answered")
            self.count("cancels answered")

    def all_there(self, uid, since, shown):
        """`shown`: everything that the daemon lists for that user, asked at `since`."""
        with self.lock:
            for entry in self.of(uid):
                if entry.owed and entry.registered < since and entry.request_id not in shown:
                    self.violate(entry, "was registered and never acknowledged, and is not listed")
