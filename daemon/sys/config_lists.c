/* The kinds of lists that a configuration key may have: users, groups, headers. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "complain.h"
#include "config_key.h"
#include "core/alloc.h"
#include "value.h"

/* Users and groups: an array of ids beside its length. uid_t and gid_t are the same to the machine. */
_Static_assert(sizeof(uid_t) == sizeof(uint32_t) && sizeof(gid_t) == sizeof(uint32_t),
	       "ids of users and groups have 32 bits");

struct id_list {
	uint32_t **ids;
	size_t *n;
};

static struct id_list id_list(const struct config_key *key, void *target)
{
	return (struct id_list){
		.ids = (uint32_t **)(void *)((char *)target + key->offset),
		.n = (size_t *)(void *)((char *)target + key->count_offset),
	};
}

static void add_id(const struct id_list *list, uint32_t id)
{
	uint32_t *bigger = xzalloc((*list->n + 1) * sizeof(*bigger));

	if (*list->n)
		memcpy(bigger, *list->ids, *list->n * sizeof(*bigger));
	bigger[(*list->n)++] = id;
	free(*list->ids);
	*list->ids = bigger;
}

static bool find_user(const char *name, uint32_t *ret_id)
{
	const struct passwd *entry = getpwnam(name);

	if (entry)
		*ret_id = entry->pw_uid;
	return entry != NULL;
}

static bool find_group(const char *name, uint32_t *ret_id)
{
	const struct group *entry = getgrnam(name);

	if (entry)
		*ret_id = entry->gr_gid;
	return entry != NULL;
}

static int add_named(const struct id_list *list, const char *name,
		     bool (*find)(const char *name, uint32_t *ret_id), const char *noun, char **ret_reason)
{
	const char *reason;
	uint64_t number;
	uint32_t id;

	if (value_count(name, &number, &reason) == 0) {
		if (number >= UINT32_MAX)
			return complain(ret_reason, -ERANGE, "has \"%s\", which is too large for a %s", name,
					noun);
		id = (uint32_t)number;
	} else if (!find(name, &id)) {
		return complain(ret_reason, -EINVAL, "has \"%s\", which is not the name of a %s on this host",
				name, noun);
	}
	add_id(list, id);
	return 0;
}

static int set_ids(const struct config_key *key, void *target, const char *text,
		   bool (*find)(const char *name, uint32_t *ret_id), const char *noun, char **ret_reason)
{
	struct id_list list = id_list(key, target);
	char *copy = xstrdup(text), *rest = copy, *name;
	int r = 0;

	while (r >= 0 && (name = strsep(&rest, ", \t"))) {
		if (*name)
			r = add_named(&list, name, find, noun, ret_reason);
	}
	free(copy);
	return r;
}

static int set_users(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	return set_ids(key, target, text, find_user, "user", ret_reason);
}

static int set_groups(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	return set_ids(key, target, text, find_group, "group", ret_reason);
}

static char *show_ids(const struct config_key *key, const void *target, size_t line)
{
	const uint32_t *ids = *(uint32_t *const *)(const void *)((const char *)target + key->offset);
	size_t n = *(const size_t *)(const void *)((const char *)target + key->count_offset);
	size_t capacity = n * 12 + 1, used = 0;
	char *text;

	if (line)
		return NULL;
	text = xzalloc(capacity);
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(text + used, capacity - used, "%s%u", i ? ", " : "", ids[i]);
	return text;
}

static void clear_ids(const struct config_key *key, void *target)
{
	struct id_list list = id_list(key, target);

	free(*list.ids);
	*list.ids = NULL;
	*list.n = 0;
}

const struct config_type config_type_users = {
	.set = set_users, .show = show_ids, .clear = clear_ids, .list = true};
const struct config_type config_type_groups = {
	.set = set_groups, .show = show_ids, .clear = clear_ids, .list = true};

/* Headers: a NULL-terminated array of "Name: value". */

/* What the daemon says itself, or what would break the framing of its requests. */
static const char *const own_headers[] = {
	"X-API-Key",  "Content-Type",      "Content-Length", "Host", "Accept",  "Accept-Encoding",
	"User-Agent", "Transfer-Encoding", "Connection",     "TE",   "Trailer", "Upgrade",
	"Expect",     "Keep-Alive",
};
static const char own_prefix[] = "X-Tinker-";

static bool is_token(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return size > 0;
}

static bool has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	}
	return false;
}

static bool is_own(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(own_headers); i++) {
		if (strcasecmp(own_headers[i], name) == 0)
			return true;
	}
	return strncasecmp(own_prefix, name, strlen(own_prefix)) == 0;
}

static size_t count_headers(char *const *headers)
{
	size_t n = 0;

	while (headers && headers[n])
		n++;
	return n;
}

/* Takes over `header`. */
static void add_header(char ***headers, char *header)
{
	size_t n = count_headers(*headers);
	char **bigger = xzalloc((n + 2) * sizeof(*bigger));

	if (n)
		memcpy(bigger, *headers, n * sizeof(*bigger));
	bigger[n] = header;
	free(*headers);
	*headers = bigger;
}

static int set_header(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	const char *colon = strchr(text, ':'), *value = colon ? colon + 1 + strspn(colon + 1, " \t") : NULL;
	char *name, *header = NULL;
	bool own;

	if (!colon || !is_token(text, (size_t)(colon - text)))
		return complain(ret_reason, -EINVAL,
				"is not \"Name: value\" with letters, digits and - in the name");
	if (!*value || has_control(value))
		return complain(ret_reason, -EINVAL, "has %s behind its name",
				*value ? "a control character" : "nothing");
	name = xstrndup(text, (size_t)(colon - text));
	own = is_own(name);
	if (own)
		complain(ret_reason, -EINVAL, "sets the header %s, which the daemon writes itself", name);
	else if (asprintf(&header, "%s: %s", name, value) < 0)
		abort();
	else
		add_header((char ***)(void *)((char *)target + key->offset), header);
	free(name);
	return own ? -EINVAL : 0;
}

/* Any value may be a secret; its name is not. */
static char *show_header(const struct config_key *key, const void *target, size_t line)
{
	char *const *headers = *(char **const *)(const void *)((const char *)target + key->offset);
	size_t n = count_headers(headers);
	char *masked = NULL;

	if (n == 0 && line == 0)
		return xstrdup("");
	if (line >= n)
		return NULL;
	if (asprintf(&masked, "%.*s: ***", (int)strcspn(headers[line], ":"), headers[line]) < 0)
		abort();
	return masked;
}

static void clear_headers(const struct config_key *key, void *target)
{
	char ***headers = (char ***)(void *)((char *)target + key->offset);

	for (char **header = *headers; header && *header; header++)
		free(*header);
	free(*headers);
	*headers = NULL;
}

const struct config_type config_type_headers = {
	.set = set_header, .show = show_header, .clear = clear_headers, .list = true};
