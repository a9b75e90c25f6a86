/* The few questions that the configuration asks of a URL. No network, no names resolved. */
#ifndef TINKEX_SYS_URL_H
#define TINKEX_SYS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/attributes.h"

#define URL_MAX 2048

struct url {
	const char *scheme; /* static, lower case */
	const char *user;   /* into the text; NULL: no user information */
	size_t user_size;
	const char *rest;     /* what follows "host:port": "" or from '/' on; into the text */
	bool loopback;        /* the host is localhost, 127.0.0.0/8 or ::1 as they are usually written */
	bool query, fragment; /* `rest` has one */
};

/* Takes a URL apart: scheme http, https, socks4, socks4a, socks5 or socks5h; a host; a port, if any, of
 * 1..65535; printable ASCII without spaces or quotes. 0, or -EINVAL with a static fragment in *ret_reason
 * that goes on after the text ("has no host; ..."). Points into `text`. */
_must_check_ int url_parse(const char *text, struct url *ret_url, const char **ret_reason);

#endif
