/*
 * Plausible result bodies of each kind of request, fixed by a seed. Pure: text out of numbers. Must not know
 * futures, time or HTTP.
 */
#ifndef SIM_RESULTS_H
#define SIM_RESULTS_H

#include <stddef.h>
#include <stdint.h>

enum result_kind {
	RESULT_SAMPLE,
	RESULT_FORWARD_BACKWARD,
	RESULT_OPTIM_STEP,
	RESULT_SAVE_WEIGHTS,
	RESULT_LOAD_WEIGHTS,
	RESULT_CREATE_MODEL,
};

struct result_spec {
	enum result_kind kind;
	uint64_t seed;
	unsigned samples;    /* RESULT_SAMPLE: sequences */
	unsigned max_tokens; /* RESULT_SAMPLE: longest sequence */
	unsigned n_data;     /* RESULT_FORWARD_BACKWARD: one output for each */
	uint32_t *lengths;   /* owned by who made the spec; tokens of each datum */
	char *name;          /* owned likewise; the path or model of the other kinds */
};

/* The JSON text (from malloc, NUL-terminated) and its size; NULL when there is no memory. */
char *results_write(const struct result_spec *spec, size_t *ret_size);

#endif
