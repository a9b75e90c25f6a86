#include "parameters.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/json_text.h"

bool fault_member(struct message_fault *fault, const char *member, const char *format, ...)
{
	va_list args;

	fault->error = PROTO_INVALID_PARAMS;
	snprintf(fault->member, sizeof(fault->member), "%s", member);
	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	return false;
}

/* "a|b|c" as people read it: "a", "b" or "c". */
static void describe_choices(const char *choices, char *out, size_t size)
{
	const char *between = "";
	size_t at = 0;

	for (const char *word = choices; at < size;) {
		size_t length = strcspn(word, "|");

		at += (size_t)snprintf(out + at, size - at, "%s\"%.*s\"", between, (int)length, word);
		if (!word[length])
			break;
		word += length + 1;
		between = strchr(word, '|') ? ", " : " or ";
	}
}

static void describe(const struct parameter *parameter, char *out, size_t size)
{
	static const char *const names[] = {
		[PARAMETER_BOOL] = "true or false",  [PARAMETER_STRING] = "a string",
		[PARAMETER_ARRAY] = "an array",      [PARAMETER_OBJECT] = "an object",
		[PARAMETER_ID] = "the id of a call",
	};

	if (parameter->type == PARAMETER_INT)
		snprintf(out, size, "an integer from %lld to %lld", (long long)parameter->min,
			 (long long)parameter->max);
	else if (parameter->type == PARAMETER_CHOICE)
		describe_choices(parameter->choices, out, size);
	else
		snprintf(out, size, "%s", names[parameter->type]);
}

static bool refuse(const struct parameter *parameter, const char *prefix, const struct json_item *item,
		   struct message_fault *fault)
{
	char expected[96], member[JSON_NAME_MAX];

	describe(parameter, expected, sizeof(expected));
	snprintf(member, sizeof(member), "%s%s", prefix ? prefix : "", parameter->name);
	if (item->type == JSON_NUMBER)
		return fault_member(fault, member, "%s must be %s%s, not %.*s", member, expected,
				    parameter->nullable ? " or null" : "",
				    item->size > 24 ? 24 : (int)item->size, item->value);
	if (item->type == JSON_STRING && parameter->type == PARAMETER_CHOICE)
		return fault_member(fault, member, "%s must be %s", member, expected);
	return fault_member(fault, member, "%s must be %s%s, not %s", member, expected,
			    parameter->nullable ? " or null" : "", json_type_text(item->type));
}

static bool find_choice(const char *choices, const struct json_item *item, int64_t *ret_index)
{
	char word[32];
	int64_t index = 0;

	for (const char *at = choices; *at; index++) {
		size_t length = strcspn(at, "|");

		snprintf(word, sizeof(word), "%.*s", (int)length, at);
		if (json_string_equals(item->value, item->size, word)) {
			*ret_index = index;
			return true;
		}
		at += length + (at[length] == '|');
	}
	return false;
}

static bool read_value(const struct parameter *parameter, const struct json_item *item, int64_t *ret_number)
{
	int64_t number;

	switch (parameter->type) {
	case PARAMETER_BOOL:
		*ret_number = item->type == JSON_TRUE;
		return item->type == JSON_TRUE || item->type == JSON_FALSE;
	case PARAMETER_INT:
		if (item->type != JSON_NUMBER || json_int_decode(item->value, item->size, &number) < 0 ||
		    number < parameter->min || number > parameter->max)
			return false;
		*ret_number = number;
		return true;
	case PARAMETER_STRING:
		return item->type == JSON_STRING;
	case PARAMETER_CHOICE:
		return item->type == JSON_STRING && find_choice(parameter->choices, item, ret_number);
	case PARAMETER_ARRAY:
		return item->type == JSON_ARRAY;
	case PARAMETER_OBJECT:
		return item->type == JSON_OBJECT;
	case PARAMETER_ID:
		return item->type == JSON_STRING ||
		       (item->type == JSON_NUMBER && json_int_decode(item->value, item->size, &number) == 0);
	}
	return false;
}

static const struct parameter *find(const struct parameter *table, size_t n, const struct json_item *item)
{
	for (size_t i = 0; i < n; i++) {
		if (json_string_equals(item->name, item->name_size, table[i].name))
			return &table[i];
	}
	return NULL;
}

bool parameters_read(const struct parameter *table, size_t n, const char *text, size_t size,
		     const char *prefix, struct argument *ret_arguments, struct message_fault *ret_fault)
{
	struct json_cursor cursor;
	struct json_item item;

	memset(ret_arguments, 0, n * sizeof(*ret_arguments));
	if (!text)
		return true;
	json_cursor_init(&cursor, text, size);
	while (json_cursor_next(&cursor, &item)) {
		const struct parameter *parameter = find(table, n, &item);
		int64_t number = 0;

		if (!parameter)
			continue;
		if (!(parameter->nullable && item.type == JSON_NULL) &&
		    !read_value(parameter, &item, &number))
			return refuse(parameter, prefix, &item, ret_fault);
		ret_arguments[parameter - table] = (struct argument){
			.type = item.type,
			.text = item.value,
			.size = item.size,
			.number = number,
		};
	}
	return true;
}
