/* Writes options as JSON members and says in words what is wrong with one. */
#include "members.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client.h"
#include "text.h"

void members_init(struct members *members, tinkex_client *client)
{
	*members = (struct members){.client = client, .text = BUFFER_INIT(FRAMER_REQUEST_MAX)};
}

void members_release(struct members *members)
{
	buffer_release(&members->text);
}

int members_finish(struct members *members, char **ret_text)
{
	char *text;
	size_t size;
	int error;

	if (members->error)
		return members->error;
	buffer_putc(&members->text, '\0');
	text = buffer_steal(&members->text, &size, &error);
	if (!text && error == -EMSGSIZE) {
		client_fail(members->client, 0, "the options are larger than a request may be (%d bytes)",
			    FRAMER_REQUEST_MAX);
		return -EINVAL;
	}
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

static void members_name(struct members *members, const char *name)
{
	if (members->text.size > 0)
		buffer_putc(&members->text, ',');
	json_put_string(&members->text, name);
	buffer_putc(&members->text, ':');
}

static void members_wrong(struct members *members, const char *name, const char *what)
{
	if (members->error)
		return;
	client_fail(members->client, 0, "%s %s", name, what);
	members->error = -EINVAL;
}

void members_string(struct members *members, const char *name, const char *value)
{
	if (!value)
		return;
	if (!text_is_utf8(value)) {
		members_wrong(members, name, "is not valid UTF-8");
		return;
	}
	members_name(members, name);
	json_put_string(&members->text, value);
}

void members_time(struct members *members, const char *name, int64_t value, bool nullable)
{
	if (value == TINKEX_UNSET)
		return;
	if (value == TINKEX_FOREVER && nullable) {
		members_name(members, name);
		buffer_puts(&members->text, "null");
		return;
	}
	if (value < 0) {
		members_wrong(members, name, "is negative");
		return;
	}
	members_name(members, name);
	json_put_int(&members->text, value);
}

void members_object(struct members *members, const char *name, const char *json)
{
	_cleanup_(freep) char *line = NULL;
	int r;

	if (!json)
		return;
	r = text_check_object(json, &line);
	if (r == -EINVAL) {
		members_wrong(members, name, "is not the JSON text of an object");
		return;
	}
	members_name(members, name);
	if (r < 0)
		members->text.error = r;
	else
		buffer_puts(&members->text, line);
}

void members_true(struct members *members, const char *name, int value)
{
	if (!value)
		return;
	members_name(members, name);
	buffer_puts(&members->text, "true");
}

static void members_backoff(struct members *members, int64_t initial_ms, int64_t max_ms)
{
	struct members inner;

	if (initial_ms == TINKEX_UNSET && max_ms == TINKEX_UNSET)
		return;
	members_init(&inner, members->client);
	members_time(&inner, "initial_ms", initial_ms, false);
	members_time(&inner, "max_ms", max_ms, false);
	if (inner.error) {
		members->error = inner.error;
	} else {
		members_name(members, "backoff");
		buffer_putc(&members->text, '{');
		buffer_append(&members->text, inner.text.data, inner.text.size);
		buffer_putc(&members->text, '}');
	}
	members_release(&inner);
}

void members_register(struct members *members, const struct tinkex_register_options *options)
{
	members_time(members, "http_timeout_ms", options->http_timeout_ms, false);
	members_backoff(members, options->backoff_initial_ms, options->backoff_max_ms);
	members_time(members, "create_roundtrip_ms", options->create_roundtrip_ms, false);
	members_string(members, "on_network_error", options->on_network_error);
	members_string(members, "on_server_failure", options->on_server_failure);
	members_string(members, "accept", options->accept);
	members_string(members, "request_type", options->request_type);
	members_object(members, "metadata", options->metadata);
	members_true(members, "linked", options->linked);
}

int members_copy_options(void *ret_options, size_t size, const void *options)
{
	size_t given;

	if (!options)
		return 0;
	memcpy(&given, options, sizeof(given));
	if (given < sizeof(given) || given > 4096)
		return -EINVAL;
	memcpy(ret_options, options, given < size ? given : size);
	memcpy(ret_options, &size, sizeof(size));
	return 0;
}
