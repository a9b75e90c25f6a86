/* Where the key comes from, what is refused, and that changes are noticed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "upstream/credential.h"
#include "world.h"

static struct credential *credential;
static char *message;
static unsigned n_changes;
static bool have_key;

static void on_changed(void *context, bool present)
{
	ck_assert_ptr_eq(context, world);
	n_changes++;
	have_key = present;
}

static bool changed(struct world *w)
{
	(void)w;
	return n_changes > 0;
}

static int open_credential(void)
{
	return credential_new(&world->config, world->loop, on_changed, world, &credential, &message);
}

static void teardown(void)
{
	credential = credential_free(credential);
	free(message);
	message = NULL;
}

static void expect_key(const char *key)
{
	char header[8192];

	ck_assert_int_eq(open_credential(), 0);
	ck_assert(credential_present(credential) == (key != NULL));
	if (!key) {
		ck_assert_ptr_null(credential_header(credential));
		return;
	}
	snprintf(header, sizeof(header), "X-API-Key: %s", key);
	ck_assert_str_eq(credential_header(credential), header);
}

static void expect_refused(const char *why)
{
	ck_assert_int_lt(open_credential(), 0);
	ck_assert_ptr_nonnull(message);
	if (!strstr(message, why))
		ck_abort_msg("expected \"%s\" in: %s", why, message);
	ck_assert_ptr_null(strstr(message, "secret"));
	ck_assert_ptr_null(credential);
}

START_TEST(file)
{
	expect_key(KEY);
}
END_TEST

START_TEST(line_ends_are_trimmed)
{
	world_write_key(KEY "\r\n\n");
	expect_key(KEY);
}
END_TEST

START_TEST(no_file_is_no_key)
{
	unlink(world->key_file);
	expect_key(NULL);
}
END_TEST

START_TEST(empty_file_is_no_key)
{
	world_write_key("\n");
	expect_key(NULL);
}
END_TEST

START_TEST(no_folder_is_no_key)
{
	char path[] = "/nonexistent/folder/key";

	world->config.api_key_file = path;
	expect_key(NULL);
	ck_assert(!credential_reload(credential));
}
END_TEST

START_TEST(longest_key)
{
	char key[4097];

	memset(key, 'k', 4096);
	key[4096] = '\0';
	world_write_key(key);
	expect_key(key);
}
END_TEST

START_TEST(too_long)
{
	char key[4098];

	memset(key, 'k', 4097);
	key[4097] = '\0';
	world_write_key(key);
	expect_refused("longer than 4096");
}
END_TEST

START_TEST(no_header_value)
{
	static const char *const values[] = {"tml-secret\nX-Evil: 1", "tml secret", "tml-secret\x01",
					     ("tml-s\xc3\xa9"
					      "secret")};

	world_write_key(values[_i]);
	expect_refused("not a printable ASCII character");
	ck_assert_ptr_nonnull(strstr(message, world->key_file));
}
END_TEST

START_TEST(others_can_read)
{
	/* As root the file is root's, and root may let one group read. */
	static const mode_t modes[] = {0604, 0622, 0644, 0666, 0777};

	ck_assert_int_eq(chmod(world->key_file, modes[_i]), 0);
	expect_refused("others can read");
	ck_assert_ptr_nonnull(strstr(message, "chmod"));
}
END_TEST

START_TEST(one_group_may_read_what_is_root_s)
{
	ck_assert_int_eq(chmod(world->key_file, 0640), 0);
	if (geteuid() == 0)
		expect_key(KEY);
	else
		expect_refused("others can read");
}
END_TEST

START_TEST(somebody_else_s_file)
{
	if (geteuid() != 0) /* only root can make one */
		return;
	ck_assert_int_eq(chown(world->key_file, 12345, (gid_t)-1), 0);
	expect_refused("belongs to uid 12345");
}
END_TEST

START_TEST(no_regular_file)
{
	unlink(world->key_file);
	if (_i)
		ck_assert_int_eq(mkfifo(world->key_file, 0600), 0);
	else
		ck_assert_int_eq(mkdir(world->key_file, 0700), 0);
	expect_refused("no regular file");
	rmdir(world->key_file);
}
END_TEST

START_TEST(service_credential)
{
	char name[] = "key";

	setenv("CREDENTIALS_DIRECTORY", world->directory, 1);
	setenv("TINKER_API_KEY", OTHER_KEY, 1);
	world->config.api_key_file = NULL;
	world->config.api_key_credential = name;
	world->config.key_from_environment = true;
	expect_key(KEY);
}
END_TEST

START_TEST(unset_service_credential)
{
	char name[] = "key";

	world_write_key("unset");
	setenv("CREDENTIALS_DIRECTORY", world->directory, 1);
	world->config.api_key_file = NULL;
	world->config.api_key_credential = name;
	expect_key(NULL);
}
END_TEST

START_TEST(environment_where_it_is_allowed)
{
	char name[] = "other";

	setenv("TINKER_API_KEY", OTHER_KEY, 1);
	setenv("CREDENTIALS_DIRECTORY", world->directory, 1);
	world->config.api_key_file = NULL;
	world->config.api_key_credential = name;
	expect_key(NULL);
	credential = credential_free(credential);
	world->config.key_from_environment = true;
	expect_key(OTHER_KEY);
}
END_TEST

START_TEST(configured_file_comes_before_the_environment)
{
	setenv("TINKER_API_KEY", OTHER_KEY, 1);
	world->config.key_from_environment = true;
	unlink(world->key_file);
	expect_key(NULL);
}
END_TEST

START_TEST(bad_environment)
{
	setenv("TINKER_API_KEY", "tml secret", 1);
	world->config.api_key_file = NULL;
	world->config.key_from_environment = true;
	expect_refused("TINKER_API_KEY");
}
END_TEST

/* Changes. */

START_TEST(reload)
{
	uint64_t generation;

	expect_key(KEY);
	generation = credential_generation(credential);
	ck_assert(!credential_reload(credential));
	ck_assert_uint_eq(credential_generation(credential), generation);
	world_write_key(OTHER_KEY);
	ck_assert(credential_reload(credential));
	ck_assert_uint_gt(credential_generation(credential), generation);
	ck_assert_str_eq(credential_header(credential), "X-API-Key: " OTHER_KEY);
	ck_assert_uint_eq(n_changes, 0); /* told by the loop, not from inside */
	world_until(changed);
	world_run_for(50);
	ck_assert_uint_eq(n_changes, 1);
	ck_assert(have_key);
}
END_TEST

START_TEST(replaced_file_is_noticed)
{
	expect_key(KEY);
	world_write_key(OTHER_KEY);
	world_until(changed);
	ck_assert_str_eq(credential_header(credential), "X-API-Key: " OTHER_KEY);
}
END_TEST

START_TEST(rewritten_file_is_noticed)
{
	int fd;

	expect_key(KEY);
	fd = open(world->key_file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ck_assert_int_eq(write(fd, OTHER_KEY, strlen(OTHER_KEY)), (ssize_t)strlen(OTHER_KEY));
	close(fd);
	world_until(changed);
	ck_assert_str_eq(credential_header(credential), "X-API-Key: " OTHER_KEY);
}
END_TEST

START_TEST(removed_file_is_noticed)
{
	expect_key(KEY);
	unlink(world->key_file);
	world_until(changed);
	ck_assert(!have_key);
	ck_assert(!credential_present(credential));
}
END_TEST

START_TEST(new_file_is_noticed)
{
	unlink(world->key_file);
	expect_key(NULL);
	world_write_key(KEY);
	world_until(changed);
	ck_assert(have_key);
	ck_assert_str_eq(credential_header(credential), "X-API-Key: " KEY);
}
END_TEST

START_TEST(moved_link_is_noticed)
{
	char link[128], target[128], temporary[128];

	snprintf(link, sizeof(link), "%s/link", world->directory);
	snprintf(temporary, sizeof(temporary), "%s/link2", world->directory);
	snprintf(target, sizeof(target), "%s/other", world->directory);
	ck_assert_int_eq(symlink(world->key_file, link), 0);
	world->config.api_key_file = link;
	expect_key(KEY);
	ck_assert_int_eq(rename(world->key_file, target), 0);
	world_write_key(OTHER_KEY);
	ck_assert_int_eq(symlink(world->key_file, temporary), 0);
	ck_assert_int_eq(rename(temporary, link), 0);
	world_until(changed);
	ck_assert_str_eq(credential_header(credential), "X-API-Key: " OTHER_KEY);
}
END_TEST

START_TEST(bad_file_leaves_the_key)
{
	expect_key(KEY);
	world_write_key("tml secret");
	world_run_for(50);
	ck_assert(!credential_reload(credential));
	ck_assert_uint_eq(n_changes, 0);
	ck_assert_str_eq(credential_header(credential), "X-API-Key: " KEY);
	/* Mended by its mode alone. */
	world_write_key(OTHER_KEY);
	world_until(changed);
	n_changes = 0;
	ck_assert_int_eq(chmod(world->key_file, 0644), 0);
	ck_assert(!credential_reload(credential));
	ck_assert_str_eq(credential_header(credential), "X-API-Key: " OTHER_KEY);
}
END_TEST

START_TEST(mask)
{
	char out[16];

	expect_key(KEY);
	ck_assert_str_eq(credential_mask(credential, out), "tml-…");
	world_write_key("short");
	credential_reload(credential);
	ck_assert_str_eq(credential_mask(credential, out), "…");
	unlink(world->key_file);
	credential_reload(credential);
	ck_assert_str_eq(credential_mask(credential, out), "none");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		file,
		line_ends_are_trimmed,
		no_file_is_no_key,
		empty_file_is_no_key,
		no_folder_is_no_key,
		longest_key,
		too_long,
		one_group_may_read_what_is_root_s,
		somebody_else_s_file,
		service_credential,
		unset_service_credential,
		environment_where_it_is_allowed,
		configured_file_comes_before_the_environment,
		bad_environment,
		reload,
		replaced_file_is_noticed,
		rewritten_file_is_noticed,
		removed_file_is_noticed,
		new_file_is_noticed,
		moved_link_is_noticed,
		bad_file_leaves_the_key,
		mask,
	};
	struct world_tests all[] = {
		{tests, ARRAY_LEN(tests), 1},
		{(const TTest *const[]){no_header_value}, 1, 4},
		{(const TTest *const[]){others_can_read}, 1, 5},
		{(const TTest *const[]){no_regular_file}, 1, 2},
	};

	world_after = teardown;
	return world_main("upstream.credential", all, ARRAY_LEN(all));
}
