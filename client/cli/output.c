/* Buffered standard output over write(2): blocking or not, and with its errors kept. */
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void output_init(struct output *output)
{
	output->fd = STDOUT_FILENO;
	output->is_terminal = isatty(STDOUT_FILENO);
	output->error = 0;
	output->size = 0;
	output->n_held = 0;
}

static void output_send(struct output *output, const char *data, size_t size)
{
	while (size > 0 && output->error == 0) {
		ssize_t n = write(output->fd, data, size);

		if (n >= 0) {
			data += n;
			size -= (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd watch = {.fd = output->fd, .events = POLLOUT};

			(void)!poll(&watch, 1, -1);
		} else if (errno != EINTR) {
			output->error = -errno;
		}
	}
}

int output_flush(struct output *output)
{
	output_send(output, output->data, output->size);
	output->size = 0;
	return output->error;
}

void output_write(struct output *output, const void *data, size_t size)
{
	if (size > sizeof(output->data) - output->size)
		output_flush(output);
	if (size > sizeof(output->data)) {
		output_send(output, data, size);
		return;
	}
	memcpy(output->data + output->size, data, size);
	output->size += size;
}

void output_text(struct output *output, const char *text)
{
	output_write(output, text, strlen(text));
}

void output_printf(struct output *output, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		output->error = -ENOMEM;
		return;
	}
	output_write(output, text, (size_t)n);
	free(text);
}

int output_bytes(const void *data, size_t size, void *userdata)
{
	struct output *output = userdata;

	output_write(output, data, size);
	return output->error != 0;
}

/* The code point of a complete sequence that a terminal would obey, or 0: DEL, C1, and marks of writing
 * direction. */
static unsigned output_dangerous(const unsigned char *c, size_t n)
{
	unsigned code;

	if (n == 1)
		return c[0] == 0x7f ? 0x7f : 0;
	if (n == 2)
		return c[0] == 0xc2 && c[1] < 0xa0 ? c[1] : 0;
	code = (c[0] & 0x0fu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu);
	return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ? code : 0;
}

/* How many bytes a character that begins like this has, as far as it matters here: 0xc2 and 0xe2 begin what
 * could be dangerous, everything else is passed on byte by byte. */
static size_t output_sequence(unsigned char first)
{
	return first == 0xc2 ? 2 : first == 0xe2 ? 3 : 1;
}

static void output_filter(struct output *output, unsigned char c)
{
	unsigned code;

	output->held[output->n_held++] = c;
	if (output->n_held < output_sequence(output->held[0]))
		return;
	code = output_dangerous(output->held, output->n_held);
	if (code)
		output_printf(output, "\\u%04x", code);
	else
		output_write(output, output->held, output->n_held);
	output->n_held = 0;
}

int output_json(const void *data, size_t size, void *userdata)
{
	struct output *output = userdata;
	const unsigned char *bytes = data;

	if (!output->is_terminal)
		return output_bytes(data, size, userdata);
	for (size_t i = 0; i < size && output->error == 0; i++)
		output_filter(output, bytes[i]);
	return output->error != 0;
}
