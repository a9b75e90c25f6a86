/*
 * The scanner: a state machine over bytes whose whole memory is struct json_scan, so that a text may be cut
 * anywhere.
 *
 * Every function that moves takes the position and the end of the chunk and returns the new position, or NULL
 * after scan_fail(). It leaves scan->state at what has to go on at the returned position. Knows no tree and
 * no meaning.
 */
#include "json_scan.h"

#include <string.h>

#include "json_lex.h"
#include "json_names.h"

enum state {
	/* between tokens: white space may come */
	EXPECT_VALUE,
	EXPECT_ELEMENT_OR_END, /* after [ */
	EXPECT_NAME,           /* after , in an object */
	EXPECT_NAME_OR_END,    /* after { */
	EXPECT_COLON,
	EXPECT_COMMA_OR_END, /* after a value inside brackets */
	EXPECT_NOTHING,      /* the text is complete */
	/* inside a token */
	IN_STRING, /* inside a UTF-8 sequence when scan->utf8.left */
	IN_ESCAPE, /* after the backslash */
	IN_HEX,    /* after \u */
	IN_PAIR,   /* after the escape of a high surrogate */
	IN_NUMBER,
	IN_WORD,
};

static uint64_t scan_offset(const struct json_scan *scan, const char *p)
{
	return scan->offset + (uint64_t)(p - scan->chunk);
}

static char *scan_fail_at(struct json_scan *scan, enum json_error error, uint64_t at)
{
	scan->error = error;
	scan->error_at = at;
	return NULL;
}

static char *scan_fail(struct json_scan *scan, enum json_error error, const char *p)
{
	return scan_fail_at(scan, error, scan_offset(scan, p));
}

/* Values. Only those of the first two levels are anybody's business. */

static void capture(struct json_scan *scan, const char *end)
{
	struct json_member *member = scan->member;
	size_t room = member->capture_size - member->captured;
	size_t size = (size_t)(end - scan->capture_from);

	if (size > room)
		size = room;
	if (size)
		memcpy(member->capture + member->captured, scan->capture_from, size);
	member->captured += size;
}

static void outer_value_begin(struct json_scan *scan, enum json_type type, char *p)
{
	if (scan->depth == 0) {
		scan->type = type;
		scan->value.start = scan_offset(scan, p);
	} else if (scan->member) {
		scan->member->type = type;
		scan->member->value.start = scan_offset(scan, p);
		scan->member->captured = 0;
		scan->in_member = true;
		scan->capture_from = p;
	}
}

static void outer_value_end(struct json_scan *scan, const char *p)
{
	if (scan->depth == 0) {
		scan->value.end = scan_offset(scan, p);
		scan->state = EXPECT_NOTHING;
	} else if (scan->member) {
		scan->member->value.end = scan_offset(scan, p);
		capture(scan, p);
		scan->member = NULL;
		scan->in_member = false;
	}
}

static inline void value_begin(struct json_scan *scan, enum json_type type, char *p)
{
	if (scan->depth <= 1)
		outer_value_begin(scan, type, p);
}

static inline void value_end(struct json_scan *scan, const char *p)
{
	scan->state = EXPECT_COMMA_OR_END;
	if (scan->depth <= 1)
		outer_value_end(scan, p);
}

static char *open_bracket(struct json_scan *scan, char *p, bool object)
{
	value_begin(scan, object ? JSON_OBJECT : JSON_ARRAY, p);
	if (scan->depth == scan->depth_max)
		return scan_fail(scan, JSON_ERROR_DEPTH, p);

	uint8_t bit = (uint8_t)(1 << (scan->depth & 7));
	uint8_t *level = &scan->stack[scan->depth / 8];

	*level = (uint8_t)(object ? *level | bit : *level & ~bit);
	scan->in_object = object;
	scan->depth++;
	if (object && scan->names)
		scan->scope[scan->depth] = ++scan->scopes;
	scan->state = object ? EXPECT_NAME_OR_END : EXPECT_ELEMENT_OR_END;
	return p + 1;
}

static char *close_bracket(struct json_scan *scan, char *p)
{
	uint32_t above = --scan->depth - 1; /* not used when depth is 0 now */

	scan->in_object = scan->depth && scan->stack[above / 8] >> (above & 7) & 1;
	value_end(scan, p + 1);
	return p + 1;
}

/* Member names. A name that stands in one chunk without escapes is looked at where it is; others are put
 * together here, in decoded form. */

static void name_keep(struct json_scan *scan, const char *data, size_t size)
{
	if (!scan->name_kept) {
		scan->name_kept = true;
		scan->name_long = false;
		scan->name_size = 0;
		if (scan->names)
			siphash_init(&scan->hash, scan->names->key);
	}
	if (scan->names)
		siphash_update(&scan->hash, data, size);
	if (size > sizeof(scan->name) - scan->name_size) {
		scan->name_long = true;
	} else if (!scan->name_long && size) {
		memcpy(scan->name + scan->name_size, data, size);
		scan->name_size = (uint8_t)(scan->name_size + size);
	}
}

/* `name` may hold NUL bytes; `wanted` is NUL-terminated. */
static bool name_equals(const char *wanted, const char *name, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (wanted[i] != name[i] || !wanted[i])
			return false;
	return !wanted[size];
}

static struct json_member *find_wanted(struct json_scan *scan, const char *name, size_t size)
{
	for (size_t i = 0; i < scan->n_wanted; i++)
		if (name_equals(scan->wanted[i].name, name, size))
			return &scan->wanted[i];
	return NULL;
}

static uint64_t name_hash(struct json_scan *scan, const char *name, size_t size)
{
	struct siphash hash;

	if (scan->name_kept)
		return siphash_final(&scan->hash);
	siphash_init(&hash, scan->names->key);
	siphash_update(&hash, name, size);
	return siphash_final(&hash);
}

/* The last part of a name is `run` of `size` bytes, its closing quote stands at `p`. */
static char *name_end(struct json_scan *scan, const char *run, size_t size, char *p)
{
	bool whole = !scan->name_kept;

	if (!whole)
		name_keep(scan, run, size);
	if (scan->names) {
		uint64_t hash = name_hash(scan, run, size);
		enum json_error error = json_names_add(scan->names, hash, scan->scope[scan->depth]);

		if (error != JSON_OK)
			return scan_fail_at(scan, error, scan->name_at);
	}
	if (scan->depth == 1 && (whole || !scan->name_long))
		scan->member = find_wanted(scan, whole ? run : scan->name, whole ? size : scan->name_size);
	scan->state = EXPECT_COLON;
	return p + 1;
}

/* Strings. */

/* Goes on while bytes are not ASCII; NULL: one does not belong where it is. At the end of the chunk a
 * sequence may be left unfinished. */
static char *utf8_run(struct json_scan *scan, char *p, const char *end)
{
	struct utf8 utf8 = scan->utf8;

	for (; p < end && (utf8.left || (uint8_t)*p >= 0x80); p++) {
		bool good = utf8.left ? utf8_continue(&utf8, (uint8_t)*p) : utf8_begin(&utf8, (uint8_t)*p);

		if (!good)
			return scan_fail(scan, JSON_ERROR_UTF8, p);
	}
	scan->utf8 = utf8;
	return p;
}

/* Goes on with a string at `p`, of which `run` up to there is known to be plain. */
static char *in_string(struct json_scan *scan, char *run, char *p, const char *end)
{
	scan->state = IN_STRING;
	for (;;) {
		if (p < end && (scan->utf8.left || (uint8_t)*p >= 0x80) && !(p = utf8_run(scan, p, end)))
			return NULL;
		p += json_plain_run(p, end);
		if (p == end || *p == '\\')
			break;
		if (*p == '"') {
			if (scan->in_name)
				return name_end(scan, run, (size_t)(p - run), p);
			value_end(scan, p + 1);
			return p + 1;
		}
		if ((uint8_t)*p < ' ')
			return scan_fail(scan, JSON_ERROR_CONTROL, p);
	}
	if (scan->in_name)
		name_keep(scan, run, (size_t)(p - run));
	if (p == end)
		return p;
	scan->state = IN_ESCAPE;
	return p + 1;
}

static char *name_begin(struct json_scan *scan, char *p, const char *end)
{
	char *run = p + 1;

	scan->name_at = scan_offset(scan, p);
	scan->name_kept = false;
	p = run + json_plain_run(run, end);
	if (p < end && *p == '"')
		return name_end(scan, run, (size_t)(p - run), p);
	scan->in_name = true;
	return in_string(scan, run, p, end);
}

static char *string_begin(struct json_scan *scan, char *p, const char *end)
{
	char *run = p + 1;

	value_begin(scan, JSON_STRING, p);
	p = run + json_plain_run(run, end);
	if (p < end && *p == '"') {
		value_end(scan, p + 1);
		return p + 1;
	}
	scan->in_name = false;
	return in_string(scan, run, p, end);
}

static void escaped(struct json_scan *scan, uint32_t code)
{
	char out[4];

	if (scan->in_name)
		name_keep(scan, out, utf8_encode(code, out));
	scan->state = IN_STRING;
}

/* A surrogate without its other half, whose escape stands at `at`. */
static bool lone_surrogate(struct json_scan *scan, uint64_t at)
{
	scan->high = 0;
	if (scan->dialect == JSON_STRICT) {
		scan_fail_at(scan, JSON_ERROR_SURROGATE, at);
		return false;
	}
	escaped(scan, UTF8_REPLACEMENT);
	return true;
}

static char *in_escape(struct json_scan *scan, char *p)
{
	static const char plain[] = "\"\\/bfnrt", decoded[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (*p == 'u') {
		scan->hex_left = 4;
		scan->unit = 0;
		scan->state = IN_HEX;
		return p + 1;
	}
	found = memchr(plain, *p, sizeof(plain) - 1);
	if (!found)
		return scan_fail(scan, JSON_ERROR_ESCAPE, p);
	if (scan->high && !lone_surrogate(scan, scan->high_at))
		return NULL;
	escaped(scan, (unsigned char)decoded[found - plain]);
	return p + 1;
}

/* A whole \uXXXX was read; its backslash stands at `at`. */
static bool unit_end(struct json_scan *scan, uint64_t at)
{
	if (scan->high && utf16_is_low(scan->unit)) {
		escaped(scan, utf16_join(scan->high, scan->unit));
		scan->high = 0;
		return true;
	}
	if (scan->high && !lone_surrogate(scan, scan->high_at))
		return false;
	if (utf16_is_low(scan->unit))
		return lone_surrogate(scan, at);
	if (utf16_is_high(scan->unit)) {
		scan->high = scan->unit;
		scan->high_at = at;
		scan->state = IN_PAIR;
	} else {
		escaped(scan, scan->unit);
	}
	return true;
}

static char *in_hex(struct json_scan *scan, char *p, const char *end)
{
	for (; p < end; p++) {
		unsigned char c = (unsigned char)*p;
		unsigned char letter = c | 0x20;
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (letter >= 'a' && letter <= 'f')
			digit = letter - 'a' + 10U;
		else
			return scan_fail(scan, JSON_ERROR_ESCAPE, p);
		scan->unit = (uint16_t)((unsigned)scan->unit << 4 | digit);
		if (--scan->hex_left == 0)
			return unit_end(scan, scan_offset(scan, p) - 5) ? p + 1 : NULL;
	}
	return p;
}

static char *in_pair(struct json_scan *scan, char *p)
{
	if (*p == '\\') {
		scan->state = IN_ESCAPE;
		return p + 1;
	}
	return lone_surrogate(scan, scan->high_at) ? p : NULL;
}

/* Literals and numbers. */

static char *in_word(struct json_scan *scan, char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p != scan->word[scan->word_at])
			return scan_fail(scan, JSON_ERROR_SYNTAX, p);
		if (scan->word[++scan->word_at])
			continue;
		p++;
		if (scan->dialect == JSON_STRICT && strchr("NI-", scan->word[0]))
			return scan_fail_at(scan, JSON_ERROR_NUMBER, scan_offset(scan, p) - scan->word_at);
		value_end(scan, p);
		return p;
	}
	return p;
}

static char *word_begin(struct json_scan *scan, const char *word, uint8_t at, char *p, const char *end)
{
	scan->word = word;
	scan->word_at = at;
	scan->state = IN_WORD;
	return in_word(scan, p, end);
}

static char *in_number(struct json_scan *scan, char *p, const char *end)
{
	uint8_t number = scan->number;

	for (;;) {
		int next;

		if (json_number_in_digits(number))
			p += json_digits_run(p, end);
		if (p == end) {
			scan->number = number;
			scan->state = IN_NUMBER;
			return p;
		}
		next = json_number_step(number, *p);
		if (next < 0)
			break;
		number = (uint8_t)next;
		p++;
	}
	if (number == JSON_NUMBER_MINUS && *p == 'I')
		return word_begin(scan, "-Infinity", 1, p, end);
	if (!json_number_may_end(number) || (number == JSON_NUMBER_ZERO && json_is_digit(*p)))
		return scan_fail(scan, JSON_ERROR_NUMBER, p);
	value_end(scan, p);
	return p;
}

/* Between tokens. */

static char *scan_value(struct json_scan *scan, char *p, const char *end)
{
	switch (*p) {
	case '"':
		return string_begin(scan, p, end);
	case '{':
		return open_bracket(scan, p, true);
	case '[':
		return open_bracket(scan, p, false);
	case 't':
		value_begin(scan, JSON_TRUE, p);
		return word_begin(scan, "true", 0, p, end);
	case 'f':
		value_begin(scan, JSON_FALSE, p);
		return word_begin(scan, "false", 0, p, end);
	case 'n':
		value_begin(scan, JSON_NULL, p);
		return word_begin(scan, "null", 0, p, end);
	case 'N':
		value_begin(scan, JSON_NUMBER, p);
		return word_begin(scan, "NaN", 0, p, end);
	case 'I':
		value_begin(scan, JSON_NUMBER, p);
		return word_begin(scan, "Infinity", 0, p, end);
	case '-':
		scan->number = JSON_NUMBER_MINUS;
		break;
	case '0':
		scan->number = JSON_NUMBER_ZERO;
		break;
	default:
		if (!json_is_digit(*p))
			return scan_fail(scan, *p == '+' || *p == '.' ? JSON_ERROR_NUMBER : JSON_ERROR_SYNTAX,
					 p);
		scan->number = JSON_NUMBER_INT;
	}
	value_begin(scan, JSON_NUMBER, p);
	return in_number(scan, p + 1, end);
}

static inline char *skip_space(const struct json_scan *scan, char *p, const char *end)
{
	for (; p < end && (unsigned char)*p <= ' '; p++) {
		if (*p == '\n' || *p == '\r') {
			if (scan->flatten)
				*p = ' ';
		} else if (*p != ' ' && *p != '\t') {
			break;
		}
	}
	return p;
}

static inline char *expect_name(struct json_scan *scan, char *p, const char *end)
{
	if (*p != '"')
		return scan_fail(scan, JSON_ERROR_SYNTAX, p);
	return name_begin(scan, p, end);
}

/* After a value inside brackets. The next name or value is taken along where it is at hand. */
static inline char *expect_comma_or_end(struct json_scan *scan, char *p, const char *end)
{
	if (*p != ',') {
		if (*p != (scan->in_object ? '}' : ']'))
			return scan_fail(scan, JSON_ERROR_SYNTAX, p);
		return close_bracket(scan, p);
	}
	scan->state = scan->in_object ? EXPECT_NAME : EXPECT_VALUE;
	p = skip_space(scan, p + 1, end);
	if (p == end)
		return p;
	return scan->in_object ? expect_name(scan, p, end) : scan_value(scan, p, end);
}

static inline char *expect_colon(struct json_scan *scan, char *p, const char *end)
{
	if (*p != ':')
		return scan_fail(scan, JSON_ERROR_SYNTAX, p);
	scan->state = EXPECT_VALUE;
	p = skip_space(scan, p + 1, end);
	return p == end ? p : scan_value(scan, p, end);
}

static char *between(struct json_scan *scan, char *p, const char *end)
{
	p = skip_space(scan, p, end);
	if (p == end)
		return p;
	switch (scan->state) {
	case EXPECT_COMMA_OR_END:
		return expect_comma_or_end(scan, p, end);
	case EXPECT_COLON:
		return expect_colon(scan, p, end);
	case EXPECT_ELEMENT_OR_END:
		if (*p == ']')
			return close_bracket(scan, p);
		return scan_value(scan, p, end);
	case EXPECT_VALUE:
		return scan_value(scan, p, end);
	case EXPECT_NAME_OR_END:
		if (*p == '}')
			return close_bracket(scan, p);
		return expect_name(scan, p, end);
	case EXPECT_NAME:
		return expect_name(scan, p, end);
	default: /* EXPECT_NOTHING */
		return scan_fail(scan, JSON_ERROR_TRAILING, p);
	}
}

static char *scan_step(struct json_scan *scan, char *p, const char *end)
{
	switch (scan->state) {
	case IN_STRING:
		return in_string(scan, p, p, end);
	case IN_ESCAPE:
		return in_escape(scan, p);
	case IN_HEX:
		return in_hex(scan, p, end);
	case IN_PAIR:
		return in_pair(scan, p);
	case IN_NUMBER:
		return in_number(scan, p, end);
	case IN_WORD:
		return in_word(scan, p, end);
	default:
		return between(scan, p, end);
	}
}

void json_scan_init(struct json_scan *scan, enum json_dialect dialect, struct json_names *names,
		    struct json_member *wanted, size_t n_wanted)
{
	static const uint32_t depth_max[] = {
		[JSON_STRICT] = JSON_STRICT_DEPTH,
		[JSON_SERVER] = JSON_SERVER_DEPTH,
		[JSON_REPLY] = JSON_REPLY_DEPTH,
	};

	/* The arrays at the end are written before they are read. */
	memset(scan, 0, offsetof(struct json_scan, scope));
	scan->dialect = dialect;
	scan->depth_max = depth_max[dialect];
	scan->names = dialect == JSON_STRICT ? names : NULL;
	scan->wanted = wanted;
	scan->n_wanted = wanted ? n_wanted : 0;
	for (size_t i = 0; i < scan->n_wanted; i++) {
		wanted[i].type = JSON_NONE;
		wanted[i].value = (struct json_range){0, 0};
		wanted[i].captured = 0;
	}
}

bool json_scan_feed(struct json_scan *scan, char *data, size_t size)
{
	char *p = data;
	const char *end = data + size;

	if (scan->error != JSON_OK)
		return false;
	if (!size)
		return true;
	if (scan->names && scan->offset == 0)
		json_names_clear(scan->names);
	scan->chunk = data;
	scan->capture_from = data;
	while (p && p < end)
		p = scan_step(scan, p, end);
	if (!p)
		return false;
	if (scan->in_member)
		capture(scan, end);
	scan->offset += size;
	return true;
}

enum json_error json_scan_finish(struct json_scan *scan)
{
	static char nothing; /* stands for the place behind the last byte; never written */

	if (scan->error != JSON_OK || scan->state == EXPECT_NOTHING)
		return scan->error;
	scan->chunk = &nothing;
	if (scan->state == IN_NUMBER && scan->depth == 0 && json_number_may_end(scan->number))
		value_end(scan, &nothing);
	else if (scan->state == EXPECT_VALUE && scan->depth == 0)
		scan_fail(scan, JSON_ERROR_EMPTY, &nothing);
	else
		scan_fail(scan, JSON_ERROR_INCOMPLETE, &nothing);
	return scan->error;
}

enum json_error json_scan_text(struct json_scan *scan, enum json_dialect dialect, struct json_names *names,
			       struct json_member *wanted, size_t n_wanted, const char *data, size_t size)
{
	json_scan_init(scan, dialect, names, wanted, n_wanted);
	/* Not written to: flatten is not set. */
	json_scan_feed(scan, (char *)(uintptr_t)data, size);
	return json_scan_finish(scan);
}

const char *json_error_text(enum json_error error)
{
	static const char *const texts[] = {
		[JSON_OK] = "well-formed",
		[JSON_ERROR_SYNTAX] = "unexpected character",
		[JSON_ERROR_UTF8] = "invalid UTF-8",
		[JSON_ERROR_CONTROL] = "control character in a string",
		[JSON_ERROR_ESCAPE] = "invalid escape",
		[JSON_ERROR_SURROGATE] = "lone surrogate",
		[JSON_ERROR_NUMBER] = "not a JSON number",
		[JSON_ERROR_DEPTH] = "nested too deeply",
		[JSON_ERROR_DUPLICATE] = "duplicate member name",
		[JSON_ERROR_MEMBERS] = "too many object members",
		[JSON_ERROR_INCOMPLETE] = "text ends too early",
		[JSON_ERROR_EMPTY] = "no JSON text",
		[JSON_ERROR_TRAILING] = "more after the end of the text",
	};

	return (size_t)error < sizeof(texts) / sizeof(texts[0]) ? texts[error] : "unknown error";
}

const char *json_type_text(enum json_type type)
{
	static const char *const texts[] = {
		[JSON_NONE] = "absent",  [JSON_NULL] = "null",     [JSON_FALSE] = "boolean",
		[JSON_TRUE] = "boolean", [JSON_NUMBER] = "number", [JSON_STRING] = "string",
		[JSON_ARRAY] = "array",  [JSON_OBJECT] = "object",
	};

	return (size_t)type < sizeof(texts) / sizeof(texts[0]) ? texts[type] : "unknown";
}
