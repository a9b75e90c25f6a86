#include "resolve.h"

#include "place.h"
#include "raw.h"

/* Each piece as it is now: part of the write may have been made. */
static void record_bytes(const struct record *intent, const char *name, int fd)
{
	static char buffer[64 * 1024];
	struct record record = *intent;
	uint64_t end = intent->offset + intent->extent;

	record.type = RECORD_WRITE;
	record.extent = 0;
	while (record.offset < end) {
		size_t size = end - record.offset < sizeof(buffer) ? (size_t)(end - record.offset)
								   : sizeof(buffer);
		ssize_t n = raw_pread(fd, buffer, size, (off_t)record.offset);
		struct iovec part = raw_part(buffer, n > 0 ? (size_t)n : 0);

		if (n <= 0)
			return;
		record.data_size = (uint64_t)n;
		record_add(&record, name, &part, 1);
		record.offset += (uint64_t)n;
	}
}

static void record_length(const struct record *intent, const char *name, int fd)
{
	struct record record = *intent;
	struct stat stat;

	if (raw_fstat(fd, &stat) < 0)
		return;
	record.type = RECORD_TRUNCATE;
	record.offset = (uint64_t)stat.st_size;
	record_add(&record, name, NULL, 0);
}

static void record_opened(const struct record *intent, const char *name, int fd)
{
	struct record record = *intent;

	record.type &= (uint16_t)~RECORD_INTENT;
	record.flags = 0;
	record_identify(&record, fd);
	record_add(&record, name, NULL, 0);
	if (record.type == RECORD_OPEN)
		record_length(&record, name, fd);
}

/* A file that has no name any more has nothing that could be lost. */
static void resolve_file(const struct record *intent, const char *name)
{
	int fd = place_open(name);
	struct record now = {0};

	if (fd < 0)
		return;
	record_identify(&now, fd);
	if (!S_ISREG(now.mode))
		now.inode = 0;
	else if (intent->type == (RECORD_INTENT | RECORD_OPEN) ||
		 intent->type == (RECORD_INTENT | RECORD_CREATE))
		record_opened(intent, name, fd);
	else if (now.inode == intent->inode && intent->type == (RECORD_INTENT | RECORD_WRITE))
		record_bytes(intent, name, fd);
	else if (now.inode == intent->inode)
		record_length(intent, name, fd);
	raw_close(fd);
}

/* `inode` of such an intent is what the name was before. */
static void resolve_name(const struct record *intent, const char *name, const char *data)
{
	struct record record = *intent;
	struct iovec part = raw_part(data, (size_t)record.data_size);
	struct stat stat;
	bool there = place_stat(name, &stat) == 0, was_there = intent->inode != 0;

	record.type &= (uint16_t)~RECORD_INTENT;
	if (record.type == RECORD_MKDIR ? there && !was_there : was_there && !there)
		record_add(&record, name, &part, 1);
}

void resolve_intent(const struct record *intent, const char *name, const char *data)
{
	switch (intent->type & ~RECORD_INTENT) {
	case RECORD_OPEN:
	case RECORD_CREATE:
	case RECORD_WRITE:
	case RECORD_TRUNCATE:
	case RECORD_ALLOCATE:
		resolve_file(intent, name);
		break;
	case RECORD_UNLINK:
	case RECORD_RENAME:
	case RECORD_MKDIR:
		resolve_name(intent, name, data);
		break;
	default:
		break;
	}
}
