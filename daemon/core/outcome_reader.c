#include "outcome_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "outcome.h"
#include "proto/json_text.h"
#include "text.h"

#define LITERAL_MAX (6 * 1024) /* bytes looked at of a string that was cut */
#define HEAD_MIN    1024

static bool is_protobuf(const char *content_type)
{
	return content_type && strcasestr(content_type, "application/x-protobuf");
}

void outcome_reader_init(struct outcome_reader *reader, const struct answer *answer)
{
	static const struct {
		const char *name;
		size_t size;
	} members[] = {
#define X(constant, name, size) [constant] = {name, size},
		OUTCOME_MEMBERS(X)
#undef X
	};
	char *capture = reader->captures;

	for (size_t i = 0; i < MEMBER_COUNT; i++) {
		reader->members[i] = (struct json_member){
			.name = members[i].name, .capture = capture, .capture_size = members[i].size};
		capture += members[i].size;
	}
	json_scan_init(&reader->scan, JSON_SERVER, NULL, reader->members, MEMBER_COUNT);
	reader->scan.flatten = true;
	reader->size = 0;
	reader->opaque = answer_is_success(answer) && is_protobuf(answer->content_type);
	reader->json_ok = !reader->opaque;
	reader->head = NULL;
	reader->head_size = 0;
	reader->head_capacity = 0;
}

void outcome_reader_release(struct outcome_reader *reader)
{
	free(reader->head);
	reader->head = NULL;
	reader->head_size = 0;
	reader->head_capacity = 0;
}

/* Keeps of the body's first bytes what memory allows: the outcome is told without them. */
static void keep_head(struct outcome_reader *reader, const char *data, size_t size)
{
	size_t room = OUTCOME_BODY_MAX - reader->head_size, capacity;
	char *head;

	if (reader->head_size < reader->size) /* some are missing already */
		return;
	size = size < room ? size : room;
	if (size > reader->head_capacity - reader->head_size) {
		capacity = reader->head_capacity ? reader->head_capacity : HEAD_MIN;
		while (capacity < reader->head_size + size)
			capacity *= 2;
		head = realloc(reader->head, capacity);
		if (!head)
			return;
		reader->head = head;
		reader->head_capacity = capacity;
	}
	memcpy(reader->head + reader->head_size, data, size);
	reader->head_size += size;
}

void outcome_reader_feed(struct outcome_reader *reader, char *data, size_t size)
{
	if (!reader->opaque && size) {
		keep_head(reader, data, size);
		reader->json_ok = reader->json_ok && json_scan_feed(&reader->scan, data, size);
	}
	reader->size += size;
}

bool outcome_reader_is_empty(const struct outcome_reader *reader)
{
	return !reader || reader->size == 0;
}

bool outcome_reader_is_json(struct outcome_reader *reader)
{
	return reader && reader->json_ok && json_scan_finish(&reader->scan) == JSON_OK;
}

/* Members. */

enum json_type outcome_reader_type(const struct outcome_reader *reader, enum outcome_member id)
{
	return reader->members[id].type;
}

/* Text of a value as far as it is at hand. */
struct value {
	enum json_type type;
	const char *text;
	size_t size;
	bool whole;
};

/* From where more of it is: the capture stands anywhere in the body, the head holds longer ones. */
static struct value member_value(const struct outcome_reader *reader, enum outcome_member id)
{
	const struct json_member *member = &reader->members[id];
	uint64_t start = member->value.start, size = member->value.end - start;
	struct value value = {member->type, member->capture, member->captured, member->captured == size};

	if (!value.whole && start < reader->head_size && reader->head_size - start > value.size) {
		value.text = reader->head + start;
		value.size = reader->head_size - start < size ? (size_t)(reader->head_size - start)
							      : (size_t)size;
		value.whole = value.size == size;
	}
	return value;
}

/* The escape at `text` is that of a high surrogate. */
static bool is_high_surrogate(const char *text)
{
	return (text[2] | 0x20) == 'd' && text[3] && strchr("89abAB", text[3]);
}

/* Bytes of the character that begins at text[at]; 0: it is cut. */
static size_t character_step(const char *text, size_t size, size_t at)
{
	uint8_t first = (uint8_t)text[at];
	size_t step = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4, pair = 0;

	if (first == '\\')
		step = at + 1 < size && text[at + 1] == 'u' ? 6 : 2;
	/* Its other half may be what was cut off. */
	if (step == 6 && at + step <= size && is_high_surrogate(text + at) &&
	    (at + step == size || text[at + step] == '\\'))
		pair = 6;
	return at + step + pair <= size ? step : 0;
}

/* Decodes a string that passed the scanner and was cut somewhere, up to its last whole character. */
static bool decode_cut(const char *text, size_t size, char *out, size_t capacity)
{
	char literal[LITERAL_MAX + 1];
	size_t at = 1, step, decoded;

	if (size > LITERAL_MAX)
		size = LITERAL_MAX;
	while (at < size && text[at] != '"' && (step = character_step(text, size, at)))
		at += step;
	if (at > size)
		return false;
	memcpy(literal, text, at);
	literal[at] = '"';
	return json_string_decode(literal, at + 1, out, capacity, &decoded) != -EINVAL;
}

static bool value_text(const struct value *value, char *out, size_t capacity)
{
	size_t size = 0;
	int r = -EINVAL;

	if (value->type != JSON_STRING)
		return false;
	if (value->whole)
		r = json_string_decode(value->text, value->size, out, capacity, &size);
	if (r == -EINVAL && !decode_cut(value->text, value->size, out, capacity))
		return false;
	text_clean(out, r == 0 ? size : strlen(out));
	return true;
}

bool outcome_reader_text(const struct outcome_reader *reader, enum outcome_member id, char *out,
			 size_t capacity)
{
	struct value value = member_value(reader, id);

	return value_text(&value, out, capacity);
}

bool outcome_reader_equals(const struct outcome_reader *reader, enum outcome_member id, const char *text)
{
	struct value value = member_value(reader, id);

	return value.type == JSON_STRING && value.whole && json_string_equals(value.text, value.size, text);
}

bool outcome_reader_count(const struct outcome_reader *reader, enum outcome_member id, uint64_t *ret_count)
{
	struct value value = member_value(reader, id);
	int64_t number;

	if (value.type != JSON_NUMBER)
		return false;
	if (value.whole && json_int_decode(value.text, value.size, &number) == 0) {
		if (number < 0)
			return false;
		*ret_count = (uint64_t)number;
		return true;
	}
	for (size_t i = 0; i < value.size; i++) {
		if (value.text[i] < '0' || value.text[i] > '9')
			return false;
	}
	*ret_count = UINT64_MAX; /* digits only, but too many */
	return true;
}

/* Complaints. */

static void read_category(const struct value *value, struct complaint *complaint)
{
	char text[64];

	if (complaint->category == CATEGORY_NONE && value_text(value, text, sizeof(text)))
		complaint->category = error_category_from_text(text);
}

static void read_message(const struct value *value, struct complaint *complaint)
{
	if (!complaint->message[0] && !value_text(value, complaint->message, sizeof(complaint->message)))
		complaint->message[0] = 0;
}

static struct value captured_value(const struct json_member *member)
{
	return (struct value){member->type, member->capture, member->captured,
			      member->captured == member->value.end - member->value.start};
}

/* {"message": …, "category": …}, or what there is of it. */
static void read_object(const struct value *object, struct complaint *complaint)
{
	char message[2048], category[64];
	struct json_member wanted[] = {
		{.name = "message", .capture = message, .capture_size = sizeof(message)},
		{.name = "category", .capture = category, .capture_size = sizeof(category)},
	};
	struct json_scan scan;
	struct value value;

	/* It passed the scanner as a part of the body; here it may be cut, and is not written to. */
	json_scan_init(&scan, JSON_SERVER, NULL, wanted, ARRAY_LEN(wanted));
	json_scan_feed(&scan, (char *)(uintptr_t)object->text, object->size);
	value = captured_value(&wanted[0]);
	read_message(&value, complaint);
	value = captured_value(&wanted[1]);
	read_category(&value, complaint);
}

static void read_member(const struct outcome_reader *reader, enum outcome_member id,
			struct complaint *complaint)
{
	struct value value = member_value(reader, id);

	if (value.type == JSON_OBJECT)
		read_object(&value, complaint);
	else
		read_message(&value, complaint);
}

/* A complaint that is neither a text nor an object with one is shown as it stands. */
static void read_as_it_stands(const struct outcome_reader *reader, enum outcome_member id,
			      struct complaint *complaint)
{
	struct value value = member_value(reader, id);
	size_t size = value.size < COMPLAINT_MAX - 1 ? value.size : COMPLAINT_MAX - 1;

	if (complaint->message[0] || value.type == JSON_NONE || value.type == JSON_NULL ||
	    value.type == JSON_STRING)
		return;
	memcpy(complaint->message, value.text, size);
	text_clean(complaint->message, size);
}

void outcome_reader_complaint(struct outcome_reader *reader, struct complaint *ret_complaint)
{
	struct value category;

	*ret_complaint = (struct complaint){.category = CATEGORY_NONE};
	if (!outcome_reader_is_json(reader))
		return;
	read_member(reader, MEMBER_ERROR, ret_complaint);
	read_member(reader, MEMBER_MESSAGE, ret_complaint);
	read_member(reader, MEMBER_DETAIL, ret_complaint);
	read_as_it_stands(reader, MEMBER_ERROR, ret_complaint);
	read_as_it_stands(reader, MEMBER_DETAIL, ret_complaint);
	category = member_value(reader, MEMBER_CATEGORY);
	read_category(&category, ret_complaint);
}
