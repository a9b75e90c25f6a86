/*
 * A strict JSON scanner that allocates nothing and can be fed in chunks.
 *
 * It says whether a text is one RFC 8259 JSON text and where the values of its top-level members stand, as
 * byte ranges. It builds no tree: request lines and results pass through it, and a result of any size is
 * handed on byte for byte. Where a tree is wanted (metadata, the CLI), json-c builds it from a text that
 * passed here.
 *
 * Two dialects. STRICT, for what local clients send: no NaN, no lone surrogates, valid UTF-8, no duplicate
 * members at any level, at most 32 levels and 4,096 object members. SERVER, for what servers send: also NaN,
 * Infinity and -Infinity, lone surrogate escapes, duplicate members (the last one is the one that is
 * reported) and 512 levels, because a result may exist only once and Python servers write such things. Valid
 * UTF-8 is required in both. REPLY is SERVER with room for the levels that a line of the daemon puts around
 * such a result.
 */
#ifndef TINKEX_PROTO_JSON_SCAN_H
#define TINKEX_PROTO_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "siphash.h"
#include "utf8.h"

#define JSON_STRICT_DEPTH   32
#define JSON_STRICT_MEMBERS 4096
#define JSON_SERVER_DEPTH   512
#define JSON_REPLY_DEPTH    528
#define JSON_NAME_MAX       32 /* longest member name that can be wanted, in bytes, with its NUL */

enum json_dialect { JSON_STRICT, JSON_SERVER, JSON_REPLY };

enum json_type {
	JSON_NONE, /* not present */
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER, /* NaN and the infinities too, in the SERVER dialect */
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* Half-open, in bytes from the start of the text. Surrounding white space is never part of a range. */
struct json_range {
	uint64_t start, end;
};

/*
 * A top-level member that the caller is interested in. Before: `name` (decoded form, shorter than
 * JSON_NAME_MAX), and, where the text will not be at hand afterwards, a `capture` of `capture_size` bytes
 * that receives the first bytes of the value's text. After: type (JSON_NONE: absent), range, and captured
 * bytes; the last one wins.
 */
struct json_member {
	const char *name;
	char *capture;
	size_t capture_size;
	enum json_type type;
	struct json_range value;
	size_t captured; /* bytes in capture; less than the value's length means that it was cut */
};

enum json_error {
	JSON_OK,
	JSON_ERROR_SYNTAX,     /* not JSON here */
	JSON_ERROR_UTF8,       /* invalid UTF-8 in a string */
	JSON_ERROR_CONTROL,    /* raw control character in a string */
	JSON_ERROR_ESCAPE,     /* bad escape */
	JSON_ERROR_SURROGATE,  /* lone surrogate (STRICT) */
	JSON_ERROR_NUMBER,     /* not a number by the grammar, NaN in STRICT included */
	JSON_ERROR_DEPTH,      /* too many levels */
	JSON_ERROR_DUPLICATE,  /* duplicate member (STRICT) */
	JSON_ERROR_MEMBERS,    /* more object members than JSON_STRICT_MEMBERS (STRICT) */
	JSON_ERROR_INCOMPLETE, /* the text ended in the middle */
	JSON_ERROR_EMPTY,      /* nothing but white space */
	JSON_ERROR_TRAILING,   /* something after the end of the text */
};

/* Memory in which the STRICT dialect looks for duplicates: one for a thread is enough, shared by all scans
 * that are fed in one go. (48 KiB; a scan touches only what its members need.) */
struct json_names {
	uint64_t key[2]; /* secret per process, so that nobody can choose colliding names; set by
			    json_names_init() */
	uint32_t count;
	uint32_t table_size;                /* entries in use, a power of two; 0: no table yet */
	uint64_t filter;                    /* bit per value of the top bits of a hash: some name has it */
	uint64_t hash[JSON_STRICT_MEMBERS]; /* of the names seen, in their order */
	uint16_t table[2 * JSON_STRICT_MEMBERS]; /* index into hash + 1; 0: free */
};
/* `key`: 16 random bytes. */
void json_names_init(struct json_names *names, const uint8_t key[16]);

struct json_scan {
	/* results */
	enum json_type type;     /* of the whole text */
	struct json_range value; /* of the whole text */
	enum json_error error;
	uint64_t error_at; /* byte where the error stands, see json_scan_finish() */
	/* the caller's wishes */
	struct json_member *wanted;
	size_t n_wanted;
	bool flatten; /* line breaks between tokens become spaces, in the fed memory: results must stay one
			 line */
	uint32_t depth_max; /* levels: the dialect's, may be lowered before the first bytes are fed */
	/* private to json_scan.c */
	enum json_dialect dialect;
	uint32_t depth;
	uint8_t state;
	uint8_t number;    /* how far a number is */
	uint8_t hex_left;  /* digits to come of \uXXXX */
	uint8_t name_size; /* bytes in `name` */
	uint8_t word_at;   /* bytes of `word` seen */
	bool in_object;    /* the innermost open bracket is a brace */
	bool in_name;      /* the string that is being read is a member name */
	bool name_kept;    /* ... of which `name` and `hash` hold the first part */
	bool name_long;    /* ... that does not fit `name` */
	bool in_member;    /* the value of `member` has begun */
	struct utf8 utf8;
	uint16_t unit;              /* UTF-16 unit of \uXXXX so far */
	uint16_t high;              /* high surrogate that waits for its low one; 0: none */
	uint64_t high_at;           /* byte where its escape stands */
	uint64_t name_at;           /* byte where the last member name stands */
	uint64_t offset;            /* bytes fed before the present chunk */
	char *chunk;                /* the present chunk */
	char *capture_from;         /* into it: what is not captured yet of `member` */
	const char *word;           /* literal that is being read */
	struct json_member *member; /* wanted member whose value is being read, or comes next; else NULL */
	struct json_names *names;   /* NULL: duplicates are not looked for */
	struct siphash hash;
	uint64_t scopes; /* objects so far */
	uint64_t scope[JSON_STRICT_DEPTH + 1];
	uint8_t stack[JSON_REPLY_DEPTH / 8]; /* bit per level: object */
	char name[JSON_NAME_MAX];
};

/* Starts a scan. `names` is needed by JSON_STRICT and ignored (may be NULL) by the others. `wanted` (may be
 * NULL) must live as long as the scan; its result fields are reset here. */
void json_scan_init(struct json_scan *scan, enum json_dialect dialect, struct json_names *names,
		    struct json_member *wanted, size_t n_wanted);
/* Feeds the next bytes. `data` is written to only when scan->flatten is set. false once an error was found
 * (further feeding does nothing and says false again). Tokens, escapes and UTF-8 sequences may be split
 * anywhere. */
bool json_scan_feed(struct json_scan *scan, char *data, size_t size);
/* The text is over: JSON_OK or what was wrong. error_at then is the offset of the first byte that cannot
 * stand there; for a lone surrogate that of its backslash, for a name that is a duplicate or too many that of
 * its opening quote, for NaN and the like that of its first byte, and for a text that ended too early (or is
 * empty) its size. */
enum json_error json_scan_finish(struct json_scan *scan);
/* All three for a text in memory that is not to be changed. */
enum json_error json_scan_text(struct json_scan *scan, enum json_dialect dialect, struct json_names *names,
			       struct json_member *wanted, size_t n_wanted, const char *data, size_t size);

/* For people: "duplicate member name". Static text, never NULL. */
const char *json_error_text(enum json_error error);
/* "string", "number", "null", … as people and the protocol name them. */
const char *json_type_text(enum json_type type);

#endif
