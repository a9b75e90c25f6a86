#include "parcel.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/alloc.h"

struct opening {
	struct parcel *parcel;
	struct reading *reading; /* NULL: it is over */
	struct passed passed;    /* owns the descriptor */
};

struct parcel {
	struct parcels *parcels;
	size_t *peer_descriptors;
	struct reader *reader;
	void (*complete)(void *context);
	void *context;
	size_t n, n_opening;
	struct opening list[PARCEL_MAX];
};

struct parcel *parcel_new(struct parcels *parcels, size_t *peer_descriptors, struct reader *reader,
			  void (*complete)(void *context), void *context)
{
	struct parcel *parcel = xnew(struct parcel);

	parcel->parcels = parcels;
	parcel->peer_descriptors = peer_descriptors;
	parcel->reader = reader;
	parcel->complete = complete;
	parcel->context = context;
	return parcel;
}

static void count(struct parcel *parcel, bool more)
{
	if (more) {
		parcel->parcels->descriptors++;
		(*parcel->peer_descriptors)++;
	} else {
		parcel->parcels->descriptors--;
		(*parcel->peer_descriptors)--;
	}
}

struct parcel *parcel_free(struct parcel *parcel)
{
	if (!parcel)
		return NULL;
	for (size_t i = 0; i < parcel->n; i++) {
		struct opening *opening = &parcel->list[i];

		if (opening->reading || opening->passed.fd >= 0)
			count(parcel, false);
		reading_cancel(opening->reading);
		if (opening->passed.fd >= 0)
			close(opening->passed.fd);
	}
	if (parcel->n_opening)
		parcel->parcels->opening--;
	free(parcel);
	return NULL;
}

static void on_opened(void *context, int fd, uint64_t offset, int error)
{
	struct opening *opening = context;
	struct parcel *parcel = opening->parcel;

	(void)error; /* whatever it is, the body is tried inline */
	opening->reading = NULL;
	opening->passed.fd = fd;
	opening->passed.offset = offset;
	if (fd < 0)
		count(parcel, false);
	if (--parcel->n_opening)
		return;
	parcel->parcels->opening--;
	parcel->complete(parcel->context); /* frees it, perhaps */
}

bool parcel_add(struct parcel *parcel, size_t index, struct result *result)
{
	struct opening *opening = &parcel->list[parcel->n];

	if (parcel->n == PARCEL_MAX || parcel->parcels->descriptors >= PARCELS_MAX ||
	    *parcel->peer_descriptors >= PARCELS_PER_PEER_MAX)
		return false;
	*opening = (struct opening){.parcel = parcel, .passed = {.index = index, .fd = -1}};
	opening->reading = reader_open(parcel->reader, result, on_opened, opening);
	parcel->n++;
	if (parcel->n_opening++ == 0)
		parcel->parcels->opening++;
	count(parcel, true);
	return true;
}

bool parcel_is_opening(const struct parcel *parcel)
{
	return parcel && parcel->n_opening;
}

const struct passed *parcel_find(const struct parcel *parcel, size_t index)
{
	for (size_t i = 0; parcel && i < parcel->n; i++) {
		const struct passed *passed = &parcel->list[i].passed;

		if (passed->index == index && passed->fd >= 0)
			return passed;
	}
	return NULL;
}

size_t parcel_descriptors(const struct parcel *parcel, int ret_fds[PARCEL_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < parcel->n; i++) {
		if (parcel->list[i].passed.fd >= 0)
			ret_fds[n++] = parcel->list[i].passed.fd;
	}
	return n;
}
