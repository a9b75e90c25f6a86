#include "line.h"

#include <errno.h>
#include <stdlib.h>

void line_init(struct line *line)
{
	*line = (struct line){.text = BUFFER_INIT(LINE_TEXT_MAX)};
}

void line_release(struct line *line)
{
	struct receipt *receipt = steal_pointer(line->receipt);

	for (size_t i = 0; i < line->n_pieces; i++)
		result_unref(line->pieces[i].holder);
	free(line->pieces);
	buffer_release(&line->text);
	line_init(line);
	if (receipt)
		receipt->done(receipt, false);
}

void line_splice(struct line *line, struct result *holder, const char *data, size_t size, bool base64)
{
	if (line->n_pieces == line->capacity) {
		size_t capacity = line->capacity ? line->capacity * 2 : 4;
		struct line_piece *pieces = realloc(line->pieces, capacity * sizeof(*pieces));

		if (!pieces) {
			line->no_memory = true;
			return;
		}
		line->pieces = pieces;
		line->capacity = capacity;
	}
	line->pieces[line->n_pieces++] = (struct line_piece){
		.at = line->text.size,
		.holder = result_ref(holder),
		.data = data,
		.size = size,
		.base64 = base64,
	};
}

int line_error(const struct line *line)
{
	return line->no_memory ? -ENOMEM : buffer_error(&line->text);
}
