"""What a power failure could have left of a directory whose changes were recorded (tests/faults/record.h).

    recording = Recording(faults.record_path)
    disk = Disk(recording)
    disk.advance(position)          # as far as faults.position() said
    disk.crash(seed, "/tmp/after")  # the directory that the machine comes up with

The disk that is imagined here keeps what it promised and nothing else, and so is worse than any real one:

File contents  What was written before the last fsync() or fdatasync() of a file that succeeded is there. Of what was
               written, cut and allocated after it, any part may be there and any part not, whichever came first;
               and of a write any of its sectors of 512 bytes, old and new side by side. Bytes that were never
               written where the file is long enough are zero.
Names          A file that was made, renamed or removed since the last fsync() of its directory may be there or not,
               each for itself, except that of two changes of one name the second is not there without the first. An
               fsync() of the file is no promise about its name. A rename is whole or not at all.
Failed fsync   What waited to be written when an fsync() failed has got to the disk or never will: a later success
               says nothing about it. Linux is like that: the pages are marked clean.
Directory      itself exists; so does what `base` had at the start of the recording.
-shm           is gone, or full of nonsense: nobody syncs it, and SQLite makes it anew from the -wal after a crash.
"""

import mmap
import os
import random
import shutil
import stat
import struct

HEADER = struct.Struct("=IHHIIQQQQ")
MAGIC = 0x52584B54
START, OPEN, CREATE, WRITE, TRUNCATE, ALLOCATE, SYNC, SYNC_FAILED, UNLINK, RENAME, MKDIR, UNKNOWN = range(1, 13)
NAMES = ["", "start", "open", "create", "write", "truncate", "allocate", "sync", "failed sync", "unlink", "rename",
         "mkdir", "unknown"]
INTENT = 256
FALLOC_FL_KEEP_SIZE = 1
SECTOR = 512


class Unsound(Exception):
    """The recording does not say enough: a replay would prove nothing."""


class Record:
    """One call: .type, .name, .inode, .offset, .extent, .flags, .mode, .data; it begins at .begin and ends at .end."""

    __slots__ = ("begin", "end", "type", "name", "flags", "mode", "inode", "offset", "extent", "data")

    def __str__(self):
        what = NAMES[self.type & ~INTENT] + (" about to be made" if self.type & INTENT else "")
        return f"{self.begin}: {what} {self.name} offset {self.offset} size {len(self.data)}"


class Recording:
    """A log, as it is when this is made: a record that a kill cut short is not part of it."""

    def __init__(self, path):
        self.records = []
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b"")
        at = 0
        while at + HEADER.size <= size:
            record = Record()
            (magic, record.type, name_size, record.flags, record.mode, record.inode, record.offset, record.extent,
             data_size) = HEADER.unpack_from(content, at)
            if magic != MAGIC:
                raise Unsound(f"no record at {at}")
            record.begin, data_at = at, at + HEADER.size + name_size
            record.end = data_at + data_size
            if record.end > size:
                break
            record.name = os.fsdecode(bytes(content[at + HEADER.size:data_at]))
            record.data = content[data_at:record.end]
            self.records.append(record)
            at = record.end

    @property
    def end(self):
        return self.records[-1].end if self.records else 0

    def positions(self, *types):
        """Where the records end of these types, or all."""
        return [record.end for record in self.records if not types or record.type in types]


class File:
    """`content` is on the disk; `pending` waits: (offset, bytes) written, or (length,) cut or made longer to.

    `cache` is what programs see, if that is not the two together, because something was lost that they still see.
    """

    def __init__(self, mode=0o600, content=b""):
        self.mode = mode
        self.content = bytearray(content)
        self.pending = []
        self.cache = None

    def change(self, *change):
        self.pending.append(change)
        if self.cache is not None:
            self.apply(self.cache, change)

    @staticmethod
    def apply(content, change):
        if len(change) == 1:
            length, = change
            if length < len(content):
                del content[length:]
            else:
                content.extend(bytes(length - len(content)))
            return
        offset, data = change
        if offset > len(content):
            content.extend(bytes(offset - len(content)))
        content[offset:offset + len(data)] = data

    def sync(self):
        for change in self.pending:
            self.apply(self.content, change)
        self.pending.clear()

    def current(self):
        """What programs see."""
        content = bytearray(self.content if self.cache is None else self.cache)
        for change in self.pending if self.cache is None else []:
            self.apply(content, change)
        return content

    def survivors(self, rng):
        """Of the pending changes, or of their sectors, those that reached the disk."""
        share = rng.choice((0, 0, 1, 0.5, 0.9, rng.random()))
        tears = rng.choice((0, 0.2, 1))
        for change in self.pending:
            if len(change) == 1 or not change[1] or rng.random() >= tears:
                if rng.random() < share:
                    yield change
                continue
            offset, data = change
            at = 0
            while at < len(data):
                end = min(len(data), at + SECTOR - (offset + at) % SECTOR)
                if rng.random() < share:
                    yield offset + at, data[at:end]
                at = end

    def lose(self, rng):
        """Pending changes get to the disk now or never; programs go on seeing them."""
        self.cache = self.current()
        for change in self.survivors(rng):
            self.apply(self.content, change)
        self.pending.clear()

    def crashed(self, rng):
        content = bytearray(self.content)
        for change in self.survivors(rng):
            self.apply(content, change)
        return content


class Directory:
    """`entries` is what programs see; `durable` is on the disk; `pending` are dictionaries name -> object or None."""

    def __init__(self, mode=0o700):
        self.mode = mode
        self.entries = {}
        self.durable = {}
        self.pending = []

    def change(self, names):
        self.apply(self.entries, names)
        self.pending.append(names)

    @staticmethod
    def apply(entries, names):
        for name, thing in names.items():
            if thing is None:
                entries.pop(name, None)
            else:
                entries[name] = thing

    def sync(self):
        for names in self.pending:
            self.apply(self.durable, names)
        self.pending.clear()

    def survivors(self, rng):
        share = rng.choice((0, 1, 0.5, rng.random()))
        lost = set()
        for names in self.pending:
            if lost.isdisjoint(names) and rng.random() < share:
                yield names
            else:
                lost.update(names)

    def lose(self, rng):
        for names in self.survivors(rng):
            self.apply(self.durable, names)
        self.pending.clear()

    def crashed(self, rng):
        entries = dict(self.durable)
        for names in self.survivors(rng):
            self.apply(entries, names)
        return entries


class Disk:
    """A directory as the recording makes it, up to a position that only moves forward.

    `base`: a copy of the directory from before the recording began; None: it was empty. All of that is on the disk.
    `seed` decides about what failed syncs left.
    """

    def __init__(self, recording, base=None, seed=0):
        self.recording = recording
        self.seed = seed
        self.next = 0
        self.inodes = {}
        self.root = self._load(base) if base else Directory()

    def _load(self, path):
        directory = Directory(stat.S_IMODE(os.stat(path).st_mode))
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                directory.entries[entry.name] = self._load(entry.path)
            else:
                with open(entry.path, "rb") as file:
                    directory.entries[entry.name] = File(stat.S_IMODE(entry.stat().st_mode), file.read())
        directory.durable = dict(directory.entries)
        return directory

    def advance(self, position=None):
        """Does what was recorded completely before `position`; None: all."""
        records = self.recording.records
        while self.next < len(records) and (position is None or records[self.next].end <= position):
            self._do(records[self.next])
            self.next += 1

    def _find(self, path):
        """The Directory or File of that name, as programs see it, or None."""
        thing = self.root
        for part in path.split("/") if path != "." else []:
            thing = thing.entries.get(part) if isinstance(thing, Directory) else None
        return thing

    def _parent(self, record, path):
        head, _, name = path.rpartition("/")
        parent = self._find(head or ".")
        if not isinstance(parent, Directory):
            raise Unsound(f"{record}: there is no such directory")
        return parent, name

    def _file(self, record):
        file = self.inodes.get(record.inode)
        if file is None:
            file = self._find(record.name)
            if not isinstance(file, File):
                raise Unsound(f"{record}: nobody made that file")
            self.inodes[record.inode] = file
        return file

    def _do(self, record):
        if record.type & INTENT:
            return  # what became of it follows, if anything did
        handler = self.HANDLERS.get(record.type)
        if handler is None:
            raise Unsound(f"{record}: {bytes(record.data).decode(errors='replace')}")
        handler(self, record)

    def _start(self, record):
        pass

    def _open(self, record):
        # The number may have belonged to a file that is gone: the name says which file it is now.
        self.inodes.pop(record.inode, None)
        file = self._file(record)
        if record.flags & os.O_TRUNC:
            file.change(0)

    def _create(self, record):
        parent, name = self._parent(record, record.name)
        file = self.inodes[record.inode] = File(stat.S_IMODE(record.mode))
        parent.change({name: file})

    def _write(self, record):
        self._file(record).change(record.offset, record.data)

    def _truncate(self, record):
        self._file(record).change(record.offset)

    def _allocate(self, record):
        if record.flags & ~FALLOC_FL_KEEP_SIZE:
            raise Unsound(f"{record}: a mode of fallocate() that is not known")
        if not record.flags:
            # A write of nothing at the new end: the file is at least so long.
            self._file(record).change(record.offset + record.extent, b"")

    def _sync(self, record):
        if stat.S_ISDIR(record.mode):
            thing = self._find(record.name)
            if not isinstance(thing, Directory):
                raise Unsound(f"{record}: there is no such directory")
        else:
            thing = self._file(record)
        if record.type == SYNC:
            thing.sync()
        else:
            thing.lose(random.Random(f"{self.seed} {record.begin}"))

    def _unlink(self, record):
        parent, name = self._parent(record, record.name)
        if name not in parent.entries:
            raise Unsound(f"{record}: nobody made that")
        parent.change({name: None})

    def _rename(self, record):
        target = os.fsdecode(bytes(record.data))
        parent, name = self._parent(record, record.name)
        to_parent, to_name = self._parent(record, target)
        if parent is not to_parent or record.flags or name not in parent.entries:
            raise Unsound(f"{record}: renames between directories, and exchanges, are not modelled")
        if name != to_name:
            parent.change({to_name: parent.entries[name], name: None})

    def _mkdir(self, record):
        if record.name != ".":
            parent, name = self._parent(record, record.name)
            parent.change({name: Directory(record.mode)})

    HANDLERS = {START: _start, OPEN: _open, CREATE: _create, WRITE: _write, TRUNCATE: _truncate, ALLOCATE: _allocate,
                SYNC: _sync, SYNC_FAILED: _sync, UNLINK: _unlink, RENAME: _rename, MKDIR: _mkdir}

    def crash(self, seed, target):
        """Makes the directory `target`, which must not exist, as a power failure at this position could leave it.

        The same seed makes the same of the same recording and position. Nothing here changes: another crash with
        another seed may follow, or an advance().
        """
        rng = random.Random(seed)
        self._store(self.root, target, lambda directory: directory.crashed(rng), lambda file: file.crashed(rng), rng)

    def copy(self, target):
        """Makes the directory `target` as programs see it at this position, without any loss."""
        self._store(self.root, target, lambda directory: directory.entries, lambda file: file.current(), None)

    def _store(self, directory, target, entries_of, content_of, rng):
        os.mkdir(target, 0o700)
        # Sorted, so that the seed's numbers are asked for in one order.
        for name, thing in sorted(entries_of(directory).items()):
            path = os.path.join(target, name)
            if isinstance(thing, Directory):
                self._store(thing, path, entries_of, content_of, rng)
            elif not name.endswith("-shm"):
                self._write_file(path, thing.mode, content_of(thing))
            elif rng and rng.random() < 0.5:
                self._write_file(path, thing.mode, rng.randbytes(32768))
        os.chmod(target, directory.mode)

    @staticmethod
    def _write_file(path, mode, content):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        os.chmod(path, mode)

    def differences(self, directory):
        """Sentences about how `directory` differs from what programs see at this position; none: the recording is
        complete. -shm files do not count."""
        found = []
        self._compare(self.root, directory, found)
        return found

    def _compare(self, expected, path, found):
        names = {name for name in {*os.listdir(path), *expected.entries} if not name.endswith("-shm")}
        for name in sorted(names):
            full, thing = os.path.join(path, name), expected.entries.get(name)
            if thing is None or not os.path.lexists(full):
                found.append(f"{full} is only in the {'recording' if thing else 'directory'}")
            elif isinstance(thing, Directory):
                self._compare(thing, full, found)
            else:
                with open(full, "rb") as file:
                    content, recorded = file.read(), thing.current()
                if content != recorded:
                    found.append(f"{full} has {len(content)} bytes, recorded are {len(recorded)}, or they differ")


def replay(path, position, seed, target, base=None):
    """One crash: the recording at `path` up to `position`, left in `target`, which is replaced."""
    shutil.rmtree(target, ignore_errors=True)
    disk = Disk(Recording(path), base, seed)
    disk.advance(position)
    disk.crash(seed, target)
