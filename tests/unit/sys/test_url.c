/* What is a URL, what host it names, and which hosts are this one. */
#include <errno.h>
#include <string.h>

#include "../proto/test_run.h"
#include "proto/attributes.h"
#include "sys/url.h"

static const struct {
	const char *text, *scheme, *rest;
	bool loopback, query, fragment;
} good[] = {
	{"https://host", "https", "", false, false, false},
	{"HTTPS://Host.Example.org/a/b", "https", "/a/b", false, false, false},
	{"http://localhost:8000/x?y", "http", "/x?y", true, true, false},
	{"http://LOCALHOST", "http", "", true, false, false},
	{"http://127.0.0.1", "http", "", true, false, false},
	{"http://127.255.3.4:65535/", "http", "/", true, false, false},
	{"http://[::1]:80/a", "http", "/a", true, false, false},
	{"http://[2001:db8::1]/", "http", "/", false, false, false},
	{"http://128.0.0.1", "http", "", false, false, false},
	{"http://127.0.0.1.example.org", "http", "", false, false, false},
	{"http://localhost.example.org", "http", "", false, false, false},
	{"http://localhost.", "http", "", false, false, false},
	{"http://127.1", "http", "", false, false, false},
	{"http://0177.0.0.1", "http", "", false, false, false},
	{"https://host#x?y", "https", "#x?y", false, false, true},
	{"https://host?x#y", "https", "?x#y", false, true, true},
	{"socks5h://u:p@host:1", "socks5h", "", false, false, false},
	{"http://u@127.0.0.1", "http", "", true, false, false},
};

START_TEST(takes_apart)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const char *reason = NULL;
		struct url url;

		ck_assert_msg(url_parse(good[i].text, &url, &reason) == 0, "%s: %s", good[i].text, reason);
		ck_assert_str_eq(url.scheme, good[i].scheme);
		ck_assert_str_eq(url.rest, good[i].rest);
		ck_assert_msg(url.loopback == good[i].loopback, "%s", good[i].text);
		ck_assert_msg(url.query == good[i].query, "%s", good[i].text);
		ck_assert_msg(url.fragment == good[i].fragment, "%s", good[i].text);
	}
}
END_TEST

START_TEST(finds_the_user)
{
	const char *reason;
	struct url url;

	ck_assert_int_eq(url_parse("http://a:b@c@host/@d", &url, &reason), 0);
	ck_assert_uint_eq(url.user_size, 5);
	ck_assert_int_eq(strncmp(url.user, "a:b@c", 5), 0);
	ck_assert_int_eq(url_parse("http://host/a@b", &url, &reason), 0);
	ck_assert_ptr_null(url.user);
	/* A loopback name before the @ is no host. */
	ck_assert_int_eq(url_parse("http://127.0.0.1@evil.example", &url, &reason), 0);
	ck_assert(!url.loopback);
	ck_assert_int_eq(url_parse("http://127.0.0.1:80@evil.example", &url, &reason), 0);
	ck_assert(!url.loopback);
}
END_TEST

static const struct {
	const char *text, *reason;
} bad[] = {
	{"", "does not begin"},
	{"host", "does not begin"},
	{"ftp://host", "does not begin"},
	{"file:///etc/passwd", "does not begin"},
	{"https:host", "does not begin"},
	{"https:/host", "does not begin"},
	{"xhttps://host", "does not begin"},
	{"https://", "has no host"},
	{"https:///path", "has no host"},
	{"https://:80/", "has no host"},
	{"https://u@/", "has no host"},
	{"https://?q", "has no host"},
	{"https://ho%73t/", "has a bad host"},
	{"https://a,b", "has a bad host"},
	{"https://[::1", "has a bad host"},
	{"https://[]", "has a bad host"},
	{"https://[1.2.3.4]", "has a bad host"},
	{"https://[fe80::1%eth0]", "has a bad host"},
	{"https://host:", "has a bad port"},
	{"https://host:0", "has a bad port"},
	{"https://host:65536", "has a bad port"},
	{"https://host:8a", "has a bad port"},
	{"https://host:000080", "has a bad port"},
	{"https://host:-1", "has a bad port"},
	{"https://[::1]x", "has a bad port"},
	{"https://[::1]:", "has a bad port"},
	{"https://ho st", "has a space"},
	{"https://host/a b", "has a space"},
	{"https://host/\r\nX: y", "has a space"},
	{"https://host/\x7f", "has a space"},
	{"https://h\xc3\xb6st", "has a space"},
	{"https://host\\@evil", "has a space"},
	{"https://host/\"", "has a space"},
};

START_TEST(refuses)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct url url = {.scheme = "untouched"};
		const char *reason = "";

		ck_assert_msg(url_parse(bad[i].text, &url, &reason) == -EINVAL, "%s", bad[i].text);
		ck_assert_msg(strstr(reason, bad[i].reason) == reason, "%s: %s", bad[i].text, reason);
		ck_assert_str_eq(url.scheme, "untouched");
	}
}
END_TEST

START_TEST(bounds)
{
	char text[URL_MAX + 2];
	const char *reason;
	struct url url;

	memset(text, 'a', sizeof(text));
	memcpy(text, "https://h/", 10);
	text[URL_MAX] = '\0';
	ck_assert_int_eq(url_parse(text, &url, &reason), 0);
	text[URL_MAX] = 'a';
	text[URL_MAX + 1] = '\0';
	ck_assert_int_eq(url_parse(text, &url, &reason), -EINVAL);
	/* A host name has at most 255 bytes. */
	memset(text, 'a', sizeof(text));
	memcpy(text, "https://", 8);
	text[8 + 255] = '\0';
	ck_assert_int_eq(url_parse(text, &url, &reason), 0);
	text[8 + 255] = 'a';
	text[8 + 256] = '\0';
	ck_assert_int_eq(url_parse(text, &url, &reason), -EINVAL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {takes_apart, finds_the_user, refuses, bounds};

	return RUN_SUITE("url", tests);
}
