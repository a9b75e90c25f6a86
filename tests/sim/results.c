/* Result bodies; see results.h. */
#include "results.h"

#include <stdio.h>
#include <stdlib.h>

#include "random.h"

enum {
	VOCABULARY = 151936,
	LOGPROB_DECIMALS = 4,
	LOGPROB_RANGE = 80000, /* of the last decimal: 0 to -8 */
};

/* Results reach tens of megabytes: printf for each number would hold the loop for seconds. */
static void write_number(FILE *out, unsigned value, unsigned least_digits)
{
	char digits[16];
	unsigned n = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0 || n < least_digits);
	while (n > 0)
		putc_unlocked(digits[--n], out);
}

static void write_tokens(FILE *out, uint64_t *state, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			putc_unlocked(',', out);
		write_number(out, (unsigned)random_between(state, 0, VOCABULARY - 1), 1);
	}
}

static void write_logprobs(FILE *out, uint64_t *state, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned value = (unsigned)random_between(state, 0, LOGPROB_RANGE - 1);

		if (i > 0)
			putc_unlocked(',', out);
		putc_unlocked('-', out);
		write_number(out, value / 10000, 1);
		putc_unlocked('.', out);
		write_number(out, value % 10000, LOGPROB_DECIMALS);
	}
}

static void write_sample(FILE *out, uint64_t *state, const struct result_spec *spec)
{
	fputs("{\"sequences\":[", out);
	for (unsigned i = 0; i < spec->samples; i++) {
		unsigned least = spec->max_tokens / 2 + 1;
		unsigned n = spec->max_tokens ? (unsigned)random_between(state, least, spec->max_tokens) : 0;

		fprintf(out, "%s{\"stop_reason\":\"%s\",\"tokens\":[", i ? "," : "",
			n == spec->max_tokens ? "length" : "stop");
		write_tokens(out, state, n);
		fputs("],\"logprobs\":[", out);
		write_logprobs(out, state, n);
		fputs("]}", out);
	}
	fputs("],\"type\":\"sample\"}", out);
}

static void write_forward_backward(FILE *out, uint64_t *state, const struct result_spec *spec)
{
	fputs("{\"loss_fn_output_type\":\"TensorData\",\"loss_fn_outputs\":[", out);
	for (unsigned i = 0; i < spec->n_data; i++) {
		fprintf(out, "%s{\"logprobs\":{\"data\":[", i ? "," : "");
		write_logprobs(out, state, spec->lengths[i]);
		fprintf(out, "],\"dtype\":\"float32\",\"shape\":[%u]}}", spec->lengths[i]);
	}
	fprintf(out, "],\"metrics\":{\"loss:sum\":%u.%04u}}", (unsigned)random_between(state, 0, 99),
		(unsigned)random_between(state, 0, 9999));
}

static void write_optim_step(FILE *out, uint64_t *state)
{
	if (random_next(state) % 4 == 0)
		fputs("{\"metrics\":null}", out);
	else
		fprintf(out, "{\"metrics\":{\"grad_norm\":%u.%04u}}", (unsigned)random_between(state, 0, 9),
			(unsigned)random_between(state, 0, 9999));
}

char *results_write(const struct result_spec *spec, size_t *ret_size)
{
	uint64_t state = spec->seed;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	switch (spec->kind) {
	case RESULT_SAMPLE:
		write_sample(out, &state, spec);
		break;
	case RESULT_FORWARD_BACKWARD:
		write_forward_backward(out, &state, spec);
		break;
	case RESULT_OPTIM_STEP:
		write_optim_step(out, &state);
		break;
	case RESULT_SAVE_WEIGHTS:
	case RESULT_LOAD_WEIGHTS:
		fprintf(out, "{\"path\":\"%s\"}", spec->name);
		break;
	case RESULT_CREATE_MODEL:
		fprintf(out, "{\"model_id\":\"%s\",\"type\":\"create_model\"}", spec->name);
		break;
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	*ret_size = size;
	return text;
}
