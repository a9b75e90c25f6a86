#include "url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static const char *const schemes[] = {"https", "http", "socks5h", "socks5", "socks4a", "socks4"};

static int fail(const char *reason, const char **ret_reason)
{
	*ret_reason = reason;
	return -EINVAL;
}

static bool is_plain(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f ||
		    strchr("\"<>\\^`{|}", *text))
			return false;
	}
	return true;
}

/* What follows "scheme://", NULL if it is none of ours. */
static const char *skip_scheme(const char *text, const char **ret_scheme)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t size = strlen(schemes[i]);

		if (strncasecmp(text, schemes[i], size) == 0 && strncmp(text + size, "://", 3) == 0) {
			*ret_scheme = schemes[i];
			return text + size + 3;
		}
	}
	return NULL;
}

static bool is_port(const char *text, size_t size)
{
	unsigned port = 0;

	if (size == 0 || size > 5)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	return port >= 1 && port <= 65535;
}

static bool is_name(const char *host)
{
	return *host && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
				strlen(host);
}

/* Only the usual spellings: "127.1" is not recognised and thus not taken for loopback. */
static bool is_loopback(const char *host)
{
	struct in_addr address;

	if (strcasecmp(host, "localhost") == 0)
		return true;
	return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

/* "[::1]" up to its bracket; the rest behind it in *ret_end. */
static int parse_bracketed(const char *host, size_t size, const char **ret_end, bool *ret_loopback)
{
	const char *close = memchr(host, ']', size);
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	size_t length = close ? (size_t)(close - host - 1) : 0;

	if (!close || length == 0 || length >= sizeof(text))
		return -EINVAL;
	memcpy(text, host + 1, length);
	text[length] = '\0';
	if (inet_pton(AF_INET6, text, &address) != 1)
		return -EINVAL;
	*ret_loopback = IN6_IS_ADDR_LOOPBACK(&address);
	*ret_end = close + 1;
	return 0;
}

static int parse_host(const char *host, size_t size, const char **ret_end, bool *ret_loopback)
{
	const char *colon = memchr(host, ':', size);
	size_t length = colon ? (size_t)(colon - host) : size;
	char text[256];

	if (size && *host == '[')
		return parse_bracketed(host, size, ret_end, ret_loopback);
	if (length >= sizeof(text))
		return -EINVAL;
	memcpy(text, host, length);
	text[length] = '\0';
	if (!is_name(text))
		return -EINVAL;
	*ret_loopback = is_loopback(text);
	*ret_end = host + length;
	return 0;
}

int url_parse(const char *text, struct url *ret_url, const char **ret_reason)
{
	struct url url = {0};
	const char *authority, *at, *end, *behind;

	if (strlen(text) > URL_MAX)
		return fail("is longer than 2048 bytes", ret_reason);
	if (!is_plain(text))
		return fail("has a space, a quote or another character that a URL must not have", ret_reason);
	authority = skip_scheme(text, &url.scheme);
	if (!authority)
		return fail("does not begin with a known scheme", ret_reason);
	end = authority + strcspn(authority, "/?#");
	at = memrchr(authority, '@', (size_t)(end - authority));
	if (at) {
		url.user = authority;
		url.user_size = (size_t)(at - authority);
		authority = at + 1;
	}
	if (authority == end || *authority == ':')
		return fail("has no host", ret_reason);
	if (parse_host(authority, (size_t)(end - authority), &behind, &url.loopback) < 0)
		return fail("has a bad host name", ret_reason);
	if (behind < end && (*behind != ':' || !is_port(behind + 1, (size_t)(end - behind - 1))))
		return fail("has a bad port", ret_reason);
	url.rest = end;
	url.fragment = strchr(end, '#') != NULL;
	url.query = strcspn(end, "?") < strcspn(end, "#");
	*ret_url = url;
	return 0;
}
