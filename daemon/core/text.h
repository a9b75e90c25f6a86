/* Text that a server wrote, for people and terminals: words compared loosely, control characters taken out.
 */
#ifndef TINKEX_CORE_TEXT_H
#define TINKEX_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* `text`, without white space around it and in any case, is `word`. */
bool text_is(const char *text, const char *word);
/* Makes `size` bytes printable in place: control characters (NUL, C1 and DEL too) become spaces, what is not
 * UTF-8 becomes question marks. text[size] must be writable: the text ends with a NUL. Its new length, which
 * is not larger. */
size_t text_clean(char *text, size_t size);

#endif
