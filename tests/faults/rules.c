#include "rules.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <sys/mman.h>

#include "place.h"
#include "raw.h"

struct rules {
	char magic[8];
	uint32_t size;       /* of this structure, so that both sides mean the same */
	uint32_t operations; /* all that the armed rules are about */
	uint32_t reserved[12];
	struct rule rules[RULES_MAX];
};

_Static_assert(sizeof(struct rule) == 192 && sizeof(struct rules) == 64 + 192 * RULES_MAX,
	       "tests/integration/faults.py knows the layout");

static struct rules *rules;

void rules_open(const char *path)
{
	int fd = raw_openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	long address;

	if (fd < 0)
		raw_give_up("cannot open the file named by TINKEX_FAULTS_CONTROL");
	address = syscall(SYS_mmap, NULL, sizeof(*rules), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
	raw_close(fd);
	if (address == -1)
		raw_give_up("cannot map the file named by TINKEX_FAULTS_CONTROL");
	rules = (struct rules *)address;
	if (memcmp(rules->magic, RULES_MAGIC, sizeof(rules->magic)) != 0 || rules->size != sizeof(*rules))
		raw_give_up("the file named by TINKEX_FAULTS_CONTROL has another layout");
}

bool rules_concern(uint32_t operations)
{
	return rules && __atomic_load_n(&rules->operations, __ATOMIC_ACQUIRE) & operations;
}

static bool is_armed(struct rule *rule)
{
	return __atomic_load_n(&rule->armed, __ATOMIC_ACQUIRE) != 0;
}

/* The bytes of all files below the directory by their lengths, as a disk would count them that knows no
 * holes. */
static uint64_t bytes_below(int dirfd, const char *path)
{
	_Alignas(struct dirent64) char buffer[4096];
	int fd = raw_openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	uint64_t total = 0;
	long length;

	if (fd < 0)
		return 0;
	while ((length = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0)
		for (long at = 0; at < length;) {
			const struct dirent64 *entry = (const void *)(buffer + at);
			struct stat stat;

			at += entry->d_reclen;
			if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			    raw_lstatat(fd, entry->d_name, &stat) < 0)
				continue;
			if (S_ISDIR(stat.st_mode))
				total += bytes_below(fd, entry->d_name);
			else if (S_ISREG(stat.st_mode))
				total += (uint64_t)stat.st_size;
		}
	raw_close(fd);
	return total;
}

/* How many of the bytes fit on a disk of so many. Two threads that ask at once may get a little too much. */
static size_t bytes_that_fit(uint64_t disk, const struct extent *extent)
{
	struct stat stat;
	int64_t offset = extent->offset;
	uint64_t used, end, growth;

	if (raw_fstat(extent->fd, &stat) < 0)
		return extent->size;
	if (offset < 0)
		offset = raw_position(extent->fd);
	end = (uint64_t)offset + extent->size;
	if (end <= (uint64_t)stat.st_size)
		return extent->size;
	growth = end - (uint64_t)stat.st_size;
	used = bytes_below(AT_FDCWD, place_directory());
	if (used + growth <= disk)
		return extent->size;
	growth = used < disk ? growth - (disk - used) : growth;
	return growth < extent->size ? extent->size - growth : 0;
}

static size_t half(const struct extent *extent)
{
	return !extent ? SIZE_MAX : extent->size > 1 ? extent->size / 2 : extent->size;
}

/* False: the rule has nothing to say about this call after all. */
static bool act(struct rule *rule, const struct extent *extent, struct verdict *verdict)
{
	switch ((enum action)rule->action) {
	case ACTION_COUNT:
		return false;
	case ACTION_ERROR:
		verdict->error = rule->error;
		return true;
	case ACTION_SHORT:
	case ACTION_KILL_SHORT:
		verdict->limit = half(extent);
		verdict->kill_after = rule->action == ACTION_KILL_SHORT;
		return true;
	case ACTION_KILL_AFTER:
		verdict->kill_after = true;
		return true;
	case ACTION_QUOTA:
		if (!extent || (verdict->limit = bytes_that_fit(rule->value, extent)) == extent->size) {
			verdict->limit = SIZE_MAX;
			return false;
		}
		if (verdict->limit == 0)
			verdict->error = ENOSPC;
		return true;
	case ACTION_KILL:
	case ACTION_STALL:
	case ACTION_SLOW:
		return true;
	}
	raw_give_up("a rule has an action that is not known");
}

/* What takes time, or ends it; the rule's `fired` is written before. */
static void carry_out(struct rule *rule)
{
	if (rule->action == ACTION_KILL)
		raw_kill_self();
	if (rule->action == ACTION_SLOW)
		raw_sleep(rule->value);
	if (rule->action != ACTION_STALL)
		return;
	__atomic_add_fetch(&rule->waiting, 1, __ATOMIC_ACQ_REL);
	while (is_armed(rule))
		raw_sleep(1);
	__atomic_sub_fetch(&rule->waiting, 1, __ATOMIC_ACQ_REL);
}

struct verdict rules_judge(uint32_t operations, const char *name, const struct extent *extent)
{
	struct verdict verdict = {.limit = SIZE_MAX};
	struct rule *due = NULL;
	int error = errno;

	for (size_t i = 0; rules && i < RULES_MAX; i++) {
		struct rule *rule = &rules->rules[i];
		uint64_t matched;

		if (!is_armed(rule) || !(rule->operations & operations) ||
		    fnmatch(rule->pattern, name, 0) != 0)
			continue;
		matched = __atomic_add_fetch(&rule->matched, 1, __ATOMIC_ACQ_REL);
		if (due || (rule->always ? matched < rule->nth : matched != rule->nth) ||
		    !act(rule, extent, &verdict))
			continue;
		due = rule;
		__atomic_add_fetch(&rule->fired, 1, __ATOMIC_ACQ_REL);
	}
	if (due)
		carry_out(due);
	errno = error;
	return verdict;
}
