/* Tables that fit the terminal. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "render.h"

#define LEAST 12 /* what is left of the first column where nothing else helps */
#define GAP   2

struct render_table {
	size_t n_columns, n_rows, capacity;
	const struct render_column *columns; /* the caller's */
	char **cells;                        /* n_columns for each row; the heads are the first row */
	enum colour *colours;
};

/* How one column is drawn. */
struct layout {
	bool shown;
	size_t width;
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

struct render_table *render_table_new(size_t n_columns, const struct render_column *columns)
{
	struct render_table *table = calloc(1, sizeof(*table));
	const char **heads = calloc(n_columns, sizeof(*heads));

	if (table && heads) {
		table->n_columns = n_columns;
		table->columns = columns;
		for (size_t i = 0; i < n_columns; i++)
			heads[i] = columns[i].head;
		render_table_add(table, heads, COLOUR_HEAD);
	} else {
		free(table);
		table = NULL;
	}
	free(heads);
	return table;
}

void render_table_add(struct render_table *table, const char *const *cells, enum colour colour)
{
	char **row;

	if (!table || !render_table_grow(table))
		return;
	row = render_table_row(table, table->n_rows);
	for (size_t i = 0; i < table->n_columns; i++)
		row[i] = render_clean(cells[i]);
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

/* ---- layout ---- */

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

/* As if there were room for everything that has a value. */
static void layout_begin(const struct render_table *table, struct layout *layout)
{
	for (size_t column = 0; column < table->n_columns; column++) {
		layout[column] = (struct layout){.shown = column == 0};
		for (size_t row = 0; row < table->n_rows; row++) {
			const char *cell = render_table_row(table, row)[column];
			size_t width = cell ? render_width(cell) : 1;

			if (width > layout[column].width)
				layout[column].width = width;
			layout[column].shown = layout[column].shown || (row > 0 && cell);
		}
	}
}

/* The width of all that is shown. */
static size_t layout_total(const struct layout *layout, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		if (layout[i].shown)
			total += layout[i].width + (total > 0 ? GAP : 0);
	return total;
}

/* How much narrower the column may become. `essential`: only one of rank 0 gives, else only the others. */
static size_t layout_spare(const struct render_table *table, const struct layout *layout, size_t column,
			   bool essential)
{
	size_t least = table->columns[column].least, width = layout[column].width;
	bool gives = (table->columns[column].rank == 0) == essential && layout[column].shown && least > 0;

	return gives && width > least ? width - least : 0;
}

/* Cuts columns so that all fits. false: that does not suffice, and nothing was cut. */
static bool layout_cut(const struct render_table *table, struct layout *layout, size_t available,
		       bool essential)
{
	size_t total = layout_total(layout, table->n_columns), spare = 0, excess;

	if (total <= available)
		return true;
	excess = total - available;
	for (size_t i = 0; i < table->n_columns; i++)
		spare += layout_spare(table, layout, i, essential);
	if (spare < excess)
		return false;
	for (size_t i = table->n_columns; i-- > 0;) {
		size_t share = layout_spare(table, layout, i, essential);

		share = share < excess ? share : excess;
		layout[i].width -= share;
		excess -= share;
	}
	return true;
}

/* Leaves out one column: that of the highest rank, or without ranks the last but the first. false: there is
 * none to leave out. */
static bool layout_drop(const struct render_table *table, struct layout *layout, bool ranked)
{
	size_t victim = 0;

	for (size_t i = 1; i < table->n_columns; i++) {
		if (!layout[i].shown || (ranked && table->columns[i].rank == 0))
			continue;
		if (victim == 0 || !ranked || table->columns[i].rank > table->columns[victim].rank)
			victim = i;
	}
	layout[victim].shown = victim == 0;
	return victim > 0;
}

/* First columns that can be spared are cut and left out, then the others are cut, then left out. */
static void layout_fit(const struct render_table *table, struct layout *layout, size_t available)
{
	while (!layout_cut(table, layout, available, false) && layout_drop(table, layout, true))
		;
	while (!layout_cut(table, layout, available, true) && layout_drop(table, layout, false))
		;
	if (layout_total(layout, table->n_columns) > available) /* only the first is left */
		layout[0].width = available > LEAST ? available : LEAST;
}

/* ---- writing ---- */

/* Bytes of the first `n` characters of `text`. */
static size_t render_prefix(const char *text, size_t n)
{
	size_t bytes = 0;

	for (; text[bytes]; bytes++)
		if (((unsigned char)text[bytes] & 0xc0) != 0x80 && n-- == 0)
			break;
	return bytes;
}

/* What is too long is cut in its middle: names often differ at their ends. */
static void render_table_cell(struct output *output, const char *cell, size_t width, bool last)
{
	size_t taken = render_width(cell), end = (width - 1) / 3, begin = width - 1 - end;

	if (taken > width) {
		output_write(output, cell, render_prefix(cell, begin));
		output_text(output, "…");
		output_text(output, cell + render_prefix(cell, taken - end));
		taken = width;
	} else {
		output_text(output, cell);
	}
	if (!last)
		output_printf(output, "%*s", (int)(width - taken + GAP), "");
}

static void render_table_line(const struct render_table *table, const struct layout *layout, size_t row,
			      struct output *output)
{
	size_t last = 0;

	for (size_t i = 0; i < table->n_columns; i++)
		last = layout[i].shown ? i : last;
	output_text(output, render_colour(table->colours[row]));
	for (size_t i = 0; i <= last; i++) {
		const char *cell = render_table_row(table, row)[i];

		if (layout[i].shown)
			render_table_cell(output, cell ? cell : "-", layout[i].width, i == last);
	}
	output_text(output, table->colours[row] == COLOUR_NONE ? "" : render_colour_end());
	output_text(output, "\n");
}

void render_table_write(const struct render_table *table, struct output *output)
{
	struct layout *layout;

	if (render_table_rows(table) == 0 || !(layout = calloc(table->n_columns, sizeof(*layout))))
		return;
	layout_begin(table, layout);
	layout_fit(table, layout, render_terminal_width(output));
	for (size_t row = 0; row < table->n_rows; row++)
		render_table_line(table, layout, row, output);
	free(layout);
}
