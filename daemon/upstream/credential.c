#include "credential.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "sys/complain.h"
#include "sys/log.h"
#include "sys/paths.h"

#define MODULE      "credential"
#define KEY_MAX     4096 /* bytes of a key */
#define HEADER_NAME "X-API-Key: "
#define UNSET       "unset" /* what the service's unit gives where no key was installed */
#define WATCHED                                                                                              \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_ONLYDIR)

struct credential {
	char *endpoint;     /* its name, for log lines */
	char *file;         /* NULL: there is none to look at */
	bool unset_is_none; /* the file is a service credential */
	bool environment;   /* $TINKER_API_KEY serves where the file has no key */
	char *header;       /* HEADER_NAME and the key; NULL: no key */
	uint64_t generation;
	credential_changed *changed;
	void *context;
	struct loop *loop;
	int watch;              /* inotify descriptor; -1: none */
	struct event *readable; /* of `watch` */
	struct event *tell;     /* fired by hand: calls `changed` from the loop */
};

DEFINE_FREEP(struct credential, credential_free)

/* Trims the line break behind the key. Anything that cannot stand in a header is refused, without showing it.
 */
static int check_key(const char *where, char *key, size_t size, char **ret_message)
{
	while (size && (key[size - 1] == '\n' || key[size - 1] == '\r'))
		size--;
	if (size > KEY_MAX)
		return complain(ret_message, -EINVAL, "%s: the API key is longer than %d bytes", where,
				KEY_MAX);
	for (size_t i = 0; i < size; i++) {
		if (key[i] <= ' ' || key[i] > '~')
			return complain(ret_message, -EINVAL,
					"%s: byte %zu of the API key is not a printable ASCII character",
					where, i + 1);
	}
	key[size] = '\0';
	return 0;
}

static ssize_t read_all(int fd, char *out, size_t capacity)
{
	size_t size = 0;

	while (size < capacity) {
		ssize_t n = read(fd, out + size, capacity - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		size += (size_t)n;
	}
	return (ssize_t)size;
}

/* `key` has room for KEY_MAX and a line break, and something behind that shows that it is too long. */
#define KEY_ROOM (KEY_MAX + 4)

/* "" in `key`: there is no key. */
static int read_file(const char *file, char key[KEY_ROOM], char **ret_message)
{
	char *reason = NULL;
	ssize_t size;
	int fd = -1, r;

	key[0] = '\0';
	r = paths_open_secret(file, &fd, &reason);
	if (r == -ENOENT || r == -ENOTDIR)
		r = 0;
	else if (r < 0)
		complain(ret_message, r, "the API key file %s %s", file, reason);
	free(reason);
	if (fd < 0)
		return r;
	size = read_all(fd, key, KEY_ROOM - 1);
	close(fd);
	if (size < 0)
		return complain(ret_message, (int)size, "the API key file %s cannot be read: %s", file,
				strerrordesc_np((int)-size));
	return check_key(file, key, (size_t)size, ret_message);
}

static int read_environment(char key[KEY_ROOM], char **ret_message)
{
	const char *value = getenv("TINKER_API_KEY");
	size_t size = value ? strlen(value) : 0;

	if (size >= KEY_ROOM)
		size = KEY_ROOM - 1; /* still too long */
	if (size)
		memcpy(key, value, size);
	return check_key("TINKER_API_KEY", key, size, ret_message);
}

static int read_key(const struct credential *credential, char key[KEY_ROOM], char **ret_message)
{
	int r = 0;

	key[0] = '\0';
	if (credential->file)
		r = read_file(credential->file, key, ret_message);
	if (r >= 0 && credential->unset_is_none && strcmp(key, UNSET) == 0)
		key[0] = '\0';
	if (r >= 0 && !key[0] && credential->environment)
		r = read_environment(key, ret_message);
	return r;
}

/* The key that is held. */

static void forget_key(struct credential *credential)
{
	if (credential->header)
		explicit_bzero(credential->header, strlen(credential->header));
	free(credential->header);
	credential->header = NULL;
}

/* true: it differs from the one before. */
static bool hold_key(struct credential *credential, const char *key)
{
	const char *old = credential->header ? credential->header + strlen(HEADER_NAME) : "";
	size_t size = strlen(HEADER_NAME) + strlen(key) + 1;

	if (strcmp(old, key) == 0)
		return false;
	forget_key(credential);
	if (key[0]) {
		credential->header = xzalloc(size);
		snprintf(credential->header, size, "%s%s", HEADER_NAME, key);
	}
	credential->generation++;
	return true;
}

bool credential_reload(struct credential *credential)
{
	char key[KEY_ROOM];
	char *message = NULL;
	bool changed = false;

	if (read_key(credential, key, &message) < 0)
		/* Whoever is about to fix it should not lose the polls meanwhile. */
		log_error(MODULE, "endpoint %s: the API key stays as it was: %s", credential->endpoint,
			  message);
	else
		changed = hold_key(credential, key);
	explicit_bzero(key, sizeof(key));
	free(message);
	if (changed) {
		char mask[16];

		log_info(MODULE, "endpoint %s: %s%s", credential->endpoint,
			 credential->header ? "new API key " : "there is no API key any more",
			 credential->header ? credential_mask(credential, mask) : "");
		event_active(credential->tell, EV_TIMEOUT, 0);
	}
	return changed;
}

/* Watching the file. */

static void on_tell(evutil_socket_t fd, short events, void *context)
{
	struct credential *credential = context;

	(void)fd;
	(void)events;
	credential->changed(credential->context, credential_present(credential));
}

static const char *base_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

/* Something happened in the file's folder: was it about the file? Behind a symbolic link it may be under any
 * name. */
static bool concerns_file(const struct credential *credential, const char *events, size_t size)
{
	struct stat status;

	if (lstat(credential->file, &status) == 0 && S_ISLNK(status.st_mode))
		return true;
	for (size_t at = 0; at + sizeof(struct inotify_event) <= size;) {
		struct inotify_event event;

		memcpy(&event, events + at, sizeof(event));
		if (event.mask & (IN_Q_OVERFLOW | IN_IGNORED))
			return true;
		if (event.len && strcmp(events + at + sizeof(event), base_name(credential->file)) == 0)
			return true;
		at += sizeof(event) + event.len;
	}
	return false;
}

static void watch_readable(struct credential *credential)
{
	char events[8 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	bool concerned = false;
	ssize_t size;

	while ((size = read(credential->watch, events, sizeof(events))) > 0)
		concerned |= concerns_file(credential, events, (size_t)size);
	if (concerned)
		credential_reload(credential);
}

static void on_watch(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	watch_readable(context);
}

/* The folder, not the file: files are replaced. Without a watch a new key is noticed at the next 401 or
 * reload. */
static void watch(struct credential *credential)
{
	char *folder = xstrndup(credential->file, (size_t)(base_name(credential->file) - credential->file));

	credential->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (credential->watch < 0 ||
	    inotify_add_watch(credential->watch, folder[0] ? folder : ".", WATCHED) < 0)
		log_warning(MODULE, "endpoint %s: %s is not watched for a new API key: %s",
			    credential->endpoint, credential->file, strerrordesc_np(errno));
	free(folder);
	if (credential->watch < 0)
		return;
	credential->readable = event_new(loop_base(credential->loop), credential->watch, EV_READ | EV_PERSIST,
					 on_watch, credential);
	if (credential->readable)
		event_add(credential->readable, NULL);
}

/* The object. */

static void choose_source(struct credential *credential, const struct config_endpoint *config)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	credential->environment = config->key_from_environment && !config->api_key_file;
	if (config->api_key_file) {
		credential->file = xstrdup(config->api_key_file);
	} else if (config->api_key_credential && folder && folder[0]) {
		if (asprintf(&credential->file, "%s/%s", folder, config->api_key_credential) < 0)
			abort();
		credential->unset_is_none = true;
	}
}

int credential_new(const struct config_endpoint *config, struct loop *loop, credential_changed *changed,
		   void *context, struct credential **ret_credential, char **ret_message)
{
	_cleanup_(credential_freep) struct credential *credential = xnew(struct credential);
	char key[KEY_ROOM];
	int r;

	credential->endpoint = xstrdup(config->name);
	credential->changed = changed;
	credential->context = context;
	credential->loop = loop;
	credential->watch = -1;
	choose_source(credential, config);
	credential->tell = event_new(loop_base(loop), -1, 0, on_tell, credential);
	if (!credential->tell)
		return complain(ret_message, -ENOMEM, "no memory");
	/* The watch first: what changes after the reading is seen. */
	if (credential->file)
		watch(credential);
	r = read_key(credential, key, ret_message);
	if (r >= 0)
		hold_key(credential, key);
	explicit_bzero(key, sizeof(key));
	if (r < 0)
		return r;
	*ret_credential = steal_pointer(credential);
	return 0;
}

struct credential *credential_free(struct credential *credential)
{
	if (!credential)
		return NULL;
	if (credential->tell)
		event_free(credential->tell);
	if (credential->readable)
		event_free(credential->readable);
	if (credential->watch >= 0)
		close(credential->watch);
	forget_key(credential);
	free(credential->file);
	free(credential->endpoint);
	free(credential);
	return NULL;
}

bool credential_present(const struct credential *credential)
{
	return credential->header != NULL;
}

uint64_t credential_generation(const struct credential *credential)
{
	return credential->generation;
}

const char *credential_header(const struct credential *credential)
{
	return credential->header;
}

char *credential_mask(const struct credential *credential, char out[16])
{
	const char *key = credential->header ? credential->header + strlen(HEADER_NAME) : NULL;

	/* Of a short key four characters would be too much. */
	if (!key)
		snprintf(out, 16, "none");
	else
		snprintf(out, 16, "%.4s…", strlen(key) < 16 ? "" : key);
	return out;
}
