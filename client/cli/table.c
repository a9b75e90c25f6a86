/* Tables that fit the terminal. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "render.h"

#define FLEXIBLE_MIN 12
#define GAP          2

struct render_table {
	size_t n_columns, n_rows, capacity, flexible;
	char **cells; /* n_columns for each row; the heads are the first row */
	enum colour *colours;
};

static char **render_table_row(const struct render_table *table, size_t row)
{
	return table->cells + row * table->n_columns;
}

static bool render_table_grow(struct render_table *table)
{
	size_t capacity = table->capacity ? 2 * table->capacity : 32;
	char **cells;
	enum colour *colours;

	if (table->n_rows < table->capacity)
		return true;
	cells = reallocarray(table->cells, capacity * table->n_columns, sizeof(*cells));
	if (!cells)
		return false;
	table->cells = cells;
	colours = reallocarray(table->colours, capacity, sizeof(*colours));
	if (!colours)
		return false;
	table->colours = colours;
	table->capacity = capacity;
	return true;
}

struct render_table *render_table_new(size_t n_columns, const char *const *heads, size_t flexible)
{
	struct render_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->n_columns = n_columns;
	table->flexible = flexible;
	render_table_add(table, heads, COLOUR_HEAD);
	return table;
}

void render_table_add(struct render_table *table, const char *const *cells, enum colour colour)
{
	char **row;

	if (!table || !render_table_grow(table))
		return;
	row = render_table_row(table, table->n_rows);
	for (size_t i = 0; i < table->n_columns; i++)
		row[i] = render_clean(cells[i] ? cells[i] : "-");
	table->colours[table->n_rows++] = colour;
}

size_t render_table_rows(const struct render_table *table)
{
	return table && table->n_rows > 0 ? table->n_rows - 1 : 0;
}

void render_table_free(struct render_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->n_rows * table->n_columns; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table->colours);
	free(table);
}

/* Columns of the terminal; SIZE_MAX if it is none. */
static size_t render_terminal_width(const struct output *output)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (!output->is_terminal)
		return SIZE_MAX;
	if (columns && atol(columns) > 0)
		return (size_t)atol(columns);
	if (ioctl(output->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

/* The width of each column, as if there were room; returns that of all of the first `n`. */
static size_t render_table_natural(const struct render_table *table, size_t n, size_t *widths)
{
	size_t total = 0;

	for (size_t column = 0; column < n; column++) {
		widths[column] = 0;
		for (size_t row = 0; row < table->n_rows; row++) {
			const char *cell = render_table_row(table, row)[column];
			size_t width = cell ? render_width(cell) : 0;

			if (width > widths[column])
				widths[column] = width;
		}
		total += widths[column] + (column > 0 ? GAP : 0);
	}
	return total;
}

/* Fits the columns into `available`: the flexible one gives way, then columns are left out from the right.
 * Returns how many are left. */
static size_t render_table_fit(const struct render_table *table, size_t available, size_t *widths)
{
	size_t n = table->n_columns;

	for (;;) {
		size_t total = render_table_natural(table, n, widths), spare = 0;

		if (table->flexible < n && widths[table->flexible] > FLEXIBLE_MIN)
			spare = widths[table->flexible] - FLEXIBLE_MIN;
		if (total <= available)
			return n;
		if (total - available <= spare || n == 1) {
			if (table->flexible < n)
				widths[table->flexible] -= total - available < spare ? total - available
										     : spare;
			return n;
		}
		n--;
	}
}

/* Bytes of the first `width` characters of `text`. */
static size_t render_prefix(const char *text, size_t width)
{
	size_t bytes = 0;

	for (; text[bytes]; bytes++)
		if (((unsigned char)text[bytes] & 0xc0) != 0x80 && width-- == 0)
			break;
	return bytes;
}

static void render_table_cell(struct output *output, const char *cell, size_t width, bool last)
{
	size_t taken = render_width(cell);

	if (taken > width) {
		output_write(output, cell, render_prefix(cell, width - 1));
		output_text(output, "…");
		taken = width;
	} else {
		output_text(output, cell);
	}
	if (!last)
		output_printf(output, "%*s", (int)(width - taken + GAP), "");
}

void render_table_write(const struct render_table *table, struct output *output)
{
	size_t *widths, shown;

	if (render_table_rows(table) == 0 || !(widths = calloc(table->n_columns, sizeof(*widths))))
		return;
	shown = render_table_fit(table, render_terminal_width(output), widths);
	for (size_t row = 0; row < table->n_rows; row++) {
		output_text(output, render_colour(table->colours[row]));
		for (size_t column = 0; column < shown; column++) {
			const char *cell = render_table_row(table, row)[column];

			render_table_cell(output, cell ? cell : "?", widths[column], column + 1 == shown);
		}
		output_text(output, table->colours[row] == COLOUR_NONE ? "" : render_colour_end());
		output_text(output, "\n");
	}
	free(widths);
}
