/*
 * Small, fixed allocations that the daemon cannot do without. They abort when memory is gone: state is
 * durable and the service manager starts us again. Whatever a peer or a server sizes is allocated elsewhere,
 * bounded and fallible.
 */
#ifndef TINKEX_CORE_ALLOC_H
#define TINKEX_CORE_ALLOC_H

#include <stddef.h>

/* Zeroed memory, never NULL; free with free(). */
void *xzalloc(size_t size);
/* An array made longer or shorter, as by reallocarray(); new elements are not set. Never NULL. */
void *xreallocarray(void *memory, size_t count, size_t size);
/* Copies, to be freed with free(). Never NULL, except NULL in, NULL out. xstrndup() copies at most `size`
 * bytes. */
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t size);

#define xnew(type) ((type *)xzalloc(sizeof(type)))

#endif
