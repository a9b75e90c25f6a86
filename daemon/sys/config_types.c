/* The kinds of single values that a configuration key may have. Lists are in config_lists.c. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "complain.h"
#include "config_key.h"
#include "core/alloc.h"
#include "paths.h"
#include "url.h"
#include "value.h"

static void *member(const struct config_key *key, void *target)
{
	return (char *)target + key->offset;
}

static const void *const_member(const struct config_key *key, const void *target)
{
	return (const char *)target + key->offset;
}

/* Numbers: a member of 4 or 8 bytes. */

static void put_number(const struct config_key *key, void *target, uint64_t number)
{
	uint32_t small = (uint32_t)number;

	if (key->width == sizeof(small))
		memcpy(member(key, target), &small, sizeof(small));
	else
		memcpy(member(key, target), &number, sizeof(number));
}

static uint64_t get_number(const struct config_key *key, const void *target)
{
	uint64_t number;
	uint32_t small;

	if (key->width == sizeof(small)) {
		memcpy(&small, const_member(key, target), sizeof(small));
		return small;
	}
	memcpy(&number, const_member(key, target), sizeof(number));
	return number;
}

static char *format_count(uint64_t number, char *out)
{
	snprintf(out, VALUE_TEXT_MAX, "%llu", (unsigned long long)number);
	return out;
}

static char *format_duration(uint64_t number, char *out)
{
	return value_format_duration((int64_t)number, out);
}

static int put_bounded(const struct config_key *key, void *target, uint64_t number,
		       char *(*format)(uint64_t number, char *out), char **ret_reason)
{
	char min[VALUE_TEXT_MAX], max[VALUE_TEXT_MAX];

	if (number < key->min || number > key->max)
		return complain(ret_reason, -ERANGE, "is out of range; write %s to %s", format(key->min, min),
				format(key->max, max));
	put_number(key, target, number);
	return 0;
}

static int set_count(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	const char *reason;
	uint64_t number;
	int r = value_count(text, &number, &reason);

	if (r < 0)
		return complain(ret_reason, r, "%s", reason);
	return put_bounded(key, target, number, format_count, ret_reason);
}

static char *show_count(const struct config_key *key, const void *target, size_t line)
{
	char text[VALUE_TEXT_MAX];

	return line ? NULL : xstrdup(format_count(get_number(key, target), text));
}

static int set_size(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	const char *reason;
	uint64_t size;
	int r = value_size(text, &size, &reason);

	if (r < 0)
		return complain(ret_reason, r, "%s", reason);
	return put_bounded(key, target, size, value_format_size, ret_reason);
}

static char *show_size(const struct config_key *key, const void *target, size_t line)
{
	char text[VALUE_TEXT_MAX];

	return line ? NULL : xstrdup(value_format_size(get_number(key, target), text));
}

static int set_duration(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	const char *reason;
	int64_t duration;
	int r = value_duration(text, &duration, &reason);

	if (r < 0)
		return complain(ret_reason, r, "%s", reason);
	return put_bounded(key, target, (uint64_t)duration, format_duration, ret_reason);
}

static char *show_duration(const struct config_key *key, const void *target, size_t line)
{
	char text[VALUE_TEXT_MAX];

	return line ? NULL : xstrdup(format_duration(get_number(key, target), text));
}

const struct config_type config_type_count = {.set = set_count, .show = show_count};
const struct config_type config_type_size = {.set = set_size, .show = show_size};
const struct config_type config_type_duration = {.set = set_duration, .show = show_duration};

/* Choices: an enum or a bool. */

static int refuse_choice(const struct config_key *key, char **ret_reason)
{
	char names[128] = "";
	size_t used = 0;

	for (const struct config_choice *choice = key->choices; choice->name; choice++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
					 choice->name);
	return complain(ret_reason, -EINVAL, "is not one of %s", names);
}

static int set_choice(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	const struct config_choice *choice = key->choices;

	while (choice->name && strcmp(choice->name, text) != 0)
		choice++;
	if (!choice->name)
		return refuse_choice(key, ret_reason);
	if (key->width == sizeof(bool))
		*(bool *)member(key, target) = choice->value != 0;
	else
		memcpy(member(key, target), &choice->value, sizeof(choice->value));
	return 0;
}

static char *show_choice(const struct config_key *key, const void *target, size_t line)
{
	unsigned value;

	if (line)
		return NULL;
	if (key->width == sizeof(bool))
		value = *(const bool *)const_member(key, target);
	else
		memcpy(&value, const_member(key, target), sizeof(value));
	for (const struct config_choice *choice = key->choices; choice->name; choice++) {
		if (choice->value == value)
			return xstrdup(choice->name);
	}
	return xstrdup("");
}

const struct config_type config_type_choice = {.set = set_choice, .show = show_choice};

static int set_mode(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	const char *reason;
	int r = value_mode(text, member(key, target), &reason);

	return r < 0 ? complain(ret_reason, r, "%s", reason) : 0;
}

static char *show_mode(const struct config_key *key, const void *target, size_t line)
{
	char text[VALUE_TEXT_MAX];

	snprintf(text, sizeof(text), "%04o", *(const mode_t *)const_member(key, target));
	return line ? NULL : xstrdup(text);
}

const struct config_type config_type_mode = {.set = set_mode, .show = show_mode};

static int set_group(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	const struct group *group;
	const char *reason;
	uint64_t number;

	if (value_count(text, &number, &reason) == 0) {
		if (number >= UINT32_MAX)
			return complain(ret_reason, -ERANGE, "is too large for a group");
		*(gid_t *)member(key, target) = (gid_t)number;
		return 0;
	}
	group = getgrnam(text);
	if (!group)
		return complain(ret_reason, -EINVAL, "is not the name of a group on this host");
	*(gid_t *)member(key, target) = group->gr_gid;
	return 0;
}

static char *show_group(const struct config_key *key, const void *target, size_t line)
{
	gid_t group = *(const gid_t *)const_member(key, target);
	char text[VALUE_TEXT_MAX] = "";

	if (group != (gid_t)-1)
		snprintf(text, sizeof(text), "%u", group);
	return line ? NULL : xstrdup(text);
}

static void clear_group(const struct config_key *key, void *target)
{
	*(gid_t *)member(key, target) = (gid_t)-1;
}

const struct config_type config_type_group = {.set = set_group, .show = show_group, .clear = clear_group};

/* Texts: a char * that the struct owns. */

static char *show_text(const struct config_key *key, const void *target, size_t line)
{
	const char *text = *(char *const *)const_member(key, target);

	return line ? NULL : xstrdup(text ? text : "");
}

static void clear_text(const struct config_key *key, void *target)
{
	char **text = member(key, target);

	free(*text);
	*text = NULL;
}

static void put_text(const struct config_key *key, void *target, const char *text)
{
	char *copy = xstrdup(text); /* `text` may be what is replaced */

	clear_text(key, target);
	*(char **)member(key, target) = copy;
}

static int set_name(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	if (strchr(text, '/') || *text == '.' || strlen(text) > 255)
		return complain(ret_reason, -EINVAL, "is not a plain file name");
	put_text(key, target, text);
	return 0;
}

static int check_path(const char *text, char **ret_reason)
{
	if (*text != '/')
		return complain(ret_reason, -EINVAL, "is not an absolute path");
	if (strstr(text, " #"))
		return complain(ret_reason, -EINVAL,
				"has a # in it; a comment behind a value begins with a space and ;");
	return 0;
}

static int set_path(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	int r = check_path(text, ret_reason);

	if (r >= 0)
		put_text(key, target, text);
	return r;
}

static int set_socket(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	if (strlen(text) > room)
		return complain(ret_reason, -ENAMETOOLONG,
				"is longer than the %zu bytes that the path of a socket may have", room);
	return set_path(key, target, text, ret_reason);
}

static int set_readable_file(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	int r = check_path(text, ret_reason);

	if (r >= 0 && access(text, R_OK) < 0)
		r = complain(ret_reason, -errno, "cannot be read: %s", strerror(errno));
	if (r >= 0)
		put_text(key, target, text);
	return r;
}

/* A key file that is missing may still come: it is watched. */
static int set_secret_file(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	int fd = -1, r = check_path(text, ret_reason);

	if (r < 0)
		return r;
	r = paths_open_secret(text, &fd, ret_reason);
	if (r == -ENOENT) {
		free(*ret_reason);
		*ret_reason = NULL;
		r = 0;
	}
	if (fd >= 0)
		close(fd);
	if (r >= 0)
		put_text(key, target, text);
	return r;
}

const struct config_type config_type_name = {.set = set_name, .show = show_text, .clear = clear_text};
const struct config_type config_type_path = {.set = set_path, .show = show_text, .clear = clear_text};
const struct config_type config_type_socket = {.set = set_socket, .show = show_text, .clear = clear_text};
const struct config_type config_type_readable_file = {
	.set = set_readable_file, .show = show_text, .clear = clear_text};
const struct config_type config_type_secret_file = {
	.set = set_secret_file, .show = show_text, .clear = clear_text};

/* URLs. */

static int set_base_url(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	const char *reason;
	struct url url;
	char *trimmed;
	size_t size = strlen(text);

	if (url_parse(text, &url, &reason) < 0)
		return complain(ret_reason, -EINVAL, "%s", reason);
	if (strncmp(url.scheme, "http", 4) != 0)
		return complain(ret_reason, -EINVAL, "is neither an https:// nor an http:// URL");
	if (url.user)
		return complain(ret_reason, -EINVAL,
				"has a user name in it; the API key is all that is sent");
	if (url.query || url.fragment)
		return complain(ret_reason, -EINVAL, "has a ? or # in it; only a path may follow the host");
	while (text[size - 1] == '/')
		size--;
	trimmed = xstrndup(text, size);
	put_text(key, target, trimmed);
	free(trimmed);
	return 0;
}

static int set_proxy(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	const char *reason;
	struct url url;

	if (url_parse(text, &url, &reason) < 0)
		return complain(ret_reason, -EINVAL, "%s", reason);
	if (*url.rest && strcmp(url.rest, "/") != 0)
		return complain(ret_reason, -EINVAL, "has something behind host and port");
	put_text(key, target, text);
	return 0;
}

/* User name and password are not shown. */
static char *show_proxy(const struct config_key *key, const void *target, size_t line)
{
	const char *text = *(char *const *)const_member(key, target), *reason;
	char *masked = NULL;
	struct url url;

	if (line)
		return NULL;
	if (!text || url_parse(text, &url, &reason) < 0 || !url.user)
		return xstrdup(text ? text : "");
	if (asprintf(&masked, "%s://***%s", url.scheme, url.user + url.user_size) < 0)
		abort();
	return masked;
}

const struct config_type config_type_base_url = {.set = set_base_url, .show = show_text, .clear = clear_text};
const struct config_type config_type_proxy = {.set = set_proxy, .show = show_proxy, .clear = clear_text};
