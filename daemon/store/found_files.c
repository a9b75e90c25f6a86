#include "found_files.h"

#include <stdlib.h>

#include "core/alloc.h"
#include "core/table.h"
#include "sys/log.h"

struct found_file {
	struct table_node by_id;
	uint64_t id, size;
	bool taken;
};

struct found_files {
	struct spool *spool;
	struct table by_id;
	uint64_t last;
};

static void on_file(void *context, uint64_t id, const char *name, uint64_t size)
{
	struct found_files *files = context;
	struct found_file *file;

	if (!id || id >= INT64_MAX) { /* no row has such an id */
		log_warning("store", "spool/%s is no file of tinkexd's, and is left alone", name);
		return;
	}
	file = xnew(struct found_file);
	file->id = id;
	file->size = size;
	if (id > files->last)
		files->last = id;
	table_insert(&files->by_id, &file->by_id, hash_u64(id));
}

int found_files_new(struct spool *spool, struct found_files **ret_files)
{
	struct found_files *files = xnew(struct found_files);
	int r;

	files->spool = spool;
	table_init(&files->by_id);
	r = spool_each(spool, on_file, files);
	if (r < 0) {
		found_files_free(files);
		return r;
	}
	*ret_files = files;
	return 0;
}

static void each(struct found_files *files, void (*visit)(struct found_files *files, struct found_file *file))
{
	for (size_t i = 0; files->by_id.count && i <= files->by_id.mask; i++) {
		struct table_node *node = files->by_id.buckets[i], *next;

		for (; node; node = next) {
			next = node->next;
			visit(files, container_of(node, struct found_file, by_id));
		}
	}
}

static void free_file(struct found_files *files, struct found_file *file)
{
	(void)files;
	free(file);
}

struct found_files *found_files_free(struct found_files *files)
{
	if (!files)
		return NULL;
	each(files, free_file);
	table_release(&files->by_id);
	free(files);
	return NULL;
}

static struct found_file *find(const struct found_files *files, uint64_t id)
{
	struct table_node *node = table_find(&files->by_id, hash_u64(id));

	for (; node; node = table_find_next(node)) {
		struct found_file *file = container_of(node, struct found_file, by_id);

		if (file->id == id)
			return file;
	}
	return NULL;
}

bool found_files_take(void *context, uint64_t id, uint64_t size)
{
	struct found_file *file = find(context, id);

	if (file && file->size >= size)
		return file->taken = true;
	log_warning("store", "the body of result %llu is missing: it is asked for again",
		    (unsigned long long)id);
	return false;
}

uint64_t found_files_last(const struct found_files *files)
{
	return files->last;
}

static void remove_useless(struct found_files *files, struct found_file *file)
{
	if (!file->taken)
		spool_remove(files->spool, file->id);
}

void found_files_remove_rest(struct found_files *files)
{
	each(files, remove_useless);
}
