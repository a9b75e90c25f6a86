/* The metadata of a registration: a JSON object of its owner's, merged and matched as text. Both texts have
 * passed the strict scanner. */
#ifndef TINKEX_CORE_METADATA_H
#define TINKEX_CORE_METADATA_H

#include <stdbool.h>
#include <stddef.h>

/* Shallow merge: members of `more` replace those of `base` (NULL: none) with the same name, others are kept,
 * new ones follow. 0 with a malloc'ed, NUL-terminated object text; -EMSGSIZE: longer than `max` bytes;
 * -ENOMEM. */
int metadata_merge(const char *base, const char *more, size_t max, char **ret_merged);

/* Every member of the object `where` equals the one of `metadata` (NULL: has none): strings by their decoded
 * text, a string and a number by the number's text, everything else letter by letter. */
bool metadata_matches(const char *metadata, const char *where, size_t where_size);

#endif
