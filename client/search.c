/*
 * Where the daemon's socket may be. The order is part of the protocol: an explicit path, $TINKEXD_SOCKET, the
 * user's own daemon, the system's.
 */
#include "search.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "proto/buffer.h"
#include "text.h"

#define SYSTEM_SOCKET "/run/tinkexd/tinkexd.sock"

static int search_add(struct search *search, char *path)
{
	if (!path)
		return -ENOMEM;
	search->place[search->count++] = (struct search_place){.path = path};
	return 0;
}

int search_init(struct search *ret_search, const char *path)
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	struct search search = {0};
	int r;

	if (!path || !*path)
		path = secure_getenv("TINKEXD_SOCKET");
	if (path && *path) {
		r = search_add(&search, strdup(path));
	} else {
		if (runtime && *runtime)
			r = search_add(&search, text_format("%s/tinkexd/tinkexd.sock", runtime));
		else
			r = search_add(&search,
				       text_format("/tmp/tinkexd-%u/tinkexd.sock", (unsigned)geteuid()));
		search.place[0].anybodys = !runtime || !*runtime;
		if (r == 0)
			r = search_add(&search, strdup(SYSTEM_SOCKET));
	}
	if (r < 0) {
		search_release(&search);
		return r;
	}
	*ret_search = search;
	return 0;
}

void search_release(struct search *search)
{
	for (size_t i = 0; i < search->count; i++)
		free(search->place[i].path);
	*search = (struct search){0};
}

/* Everybody may make folders in /tmp: without this check whoever comes first could play the daemon. */
static int search_check_folder(struct search_place *place, const char *folder)
{
	struct stat st;

	if (lstat(folder, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode)) {
		snprintf(place->note, sizeof(place->note), "not trusted: its folder is not a folder");
		return -EACCES;
	}
	if (st.st_uid != geteuid()) {
		snprintf(place->note, sizeof(place->note), "not trusted: its folder belongs to user id %u",
			 (unsigned)st.st_uid);
		return -EACCES;
	}
	if (st.st_mode & 077) {
		snprintf(place->note, sizeof(place->note),
			 "not trusted: others may enter its folder (mode %04o, should be 0700)",
			 (unsigned)st.st_mode & 07777);
		return -EACCES;
	}
	return 0;
}

int search_check(struct search_place *place)
{
	_cleanup_(freep) char *folder = NULL;
	int r;

	place->note[0] = '\0';
	place->error = 0;
	if (!place->anybodys)
		return 0;
	folder = strndup(place->path, (size_t)(strrchr(place->path, '/') - place->path));
	r = folder ? search_check_folder(place, folder) : -ENOMEM;
	place->error = r;
	return r;
}

/* connect() says the same of a socket that nobody serves and of what is no socket. */
static bool search_is_socket(const struct search_place *place)
{
	struct stat st;

	return stat(place->path, &st) < 0 || S_ISSOCK(st.st_mode);
}

static const char *search_reason(const struct search_place *place)
{
	if (place->note[0])
		return place->note;
	switch (place->error) {
	case 0:
		return "not tried";
	case -ENOENT:
	case -ENOTDIR:
		return "does not exist";
	case -ECONNREFUSED:
		return search_is_socket(place) ? "nobody listens on it" : "is not a socket";
	case -EACCES:
	case -EPERM:
		return "you may not open it (socket_mode and socket_group in tinkexd.conf say who may)";
	case -ETIMEDOUT:
		return "takes the connection, but does not answer";
	default:
		return error_describe(place->error);
	}
}

char *search_explain(const struct search *search)
{
	struct buffer text = BUFFER_INIT(64 * 1024);
	bool deaf = false;
	size_t size;
	int error;

	buffer_puts(&text, "tried");
	for (size_t i = 0; i < search->count; i++) {
		deaf = deaf || search->place[i].error == -ETIMEDOUT;
		buffer_printf(&text, "\n  %s: %s", search->place[i].path, search_reason(&search->place[i]));
	}
	buffer_puts(&text, deaf ? "\nis it stopped, or very busy? If another is meant, name its socket in "
				  "$TINKEXD_SOCKET"
				: "\nstart one with `tinkexd &`; if it listens elsewhere, name its socket in "
				  "$TINKEXD_SOCKET");
	return buffer_steal(&text, &size, &error);
}
