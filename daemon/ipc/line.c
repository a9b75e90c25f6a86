#include "line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parcel.h"

void line_init(struct line *line)
{
	*line = (struct line){.text = BUFFER_INIT(LINE_TEXT_MAX)};
}

void line_release(struct line *line)
{
	struct receipt *receipt = steal_pointer(line->receipt);

	for (size_t i = 0; i < line->n_pieces; i++) {
		blob_unref(line->pieces[i].memory);
		result_unref(line->pieces[i].holder);
		free(line->pieces[i].instead);
	}
	free(line->pieces);
	parcel_free(line->parcel);
	buffer_release(&line->text);
	line_init(line);
	if (receipt)
		receipt->done(receipt, false);
}

static struct line_piece *add(struct line *line)
{
	if (line->n_pieces == line->capacity) {
		size_t capacity = line->capacity ? line->capacity * 2 : 4;
		struct line_piece *pieces = realloc(line->pieces, capacity * sizeof(*pieces));

		if (!pieces) {
			line->no_memory = true;
			return NULL;
		}
		line->pieces = pieces;
		line->capacity = capacity;
	}
	return &line->pieces[line->n_pieces++];
}

void line_splice(struct line *line, struct result *holder, bool base64)
{
	struct line_piece *piece = add(line);

	if (piece)
		*piece = (struct line_piece){
			.at = line->text.size,
			.from = line->text.size,
			.holder = result_ref(holder),
			.memory = blob_ref(holder->body),
			.base64 = base64,
		};
}

void line_pass(struct line *line, struct result *holder, bool base64, size_t from, const char *instead)
{
	char *copy = strdup(instead);

	line_splice(line, holder, base64);
	if (!copy || line->no_memory) {
		line->no_memory = true;
		free(copy);
		return;
	}
	line->pieces[line->n_pieces - 1].instead = copy;
	line->pieces[line->n_pieces - 1].from = from;
}

int line_error(const struct line *line)
{
	return line->no_memory ? -ENOMEM : buffer_error(&line->text);
}
