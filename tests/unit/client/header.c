/* Only compiled: the header alone, with every init macro, as C99 and as C++17, with all warnings. */
#include <tinkex.h>

int header_is_usable(void);

int header_is_usable(void)
{
	struct tinkex_client_options client = TINKEX_CLIENT_OPTIONS_INIT;
	struct tinkex_register_options registration = TINKEX_REGISTER_OPTIONS_INIT;
	struct tinkex_await_options await = TINKEX_AWAIT_OPTIONS_INIT;
	struct tinkex_select_options select = TINKEX_SELECT_OPTIONS_INIT;
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	tinkex_client *handle = NULL;

	await.registration = &registration;
	registration.poll_timeout_ms = TINKEX_FOREVER;
	client.flags = TINKEX_NO_DESCRIPTORS;
	if (tinkex_client_new(&client, &handle) != TINKEX_OK)
		return TINKEX_ENODAEMON;
	handle = tinkex_client_free(handle);
	return select.ack + future.ok + (await.await_timeout_ms == TINKEX_UNSET);
}
