#include "alloc.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void *xzalloc(size_t size)
{
	return must(calloc(1, size ? size : 1));
}

void *xreallocarray(void *memory, size_t count, size_t size)
{
	return must(reallocarray(memory, count ? count : 1, size));
}

char *xstrdup(const char *text)
{
	return text ? must(strdup(text)) : NULL;
}

char *xstrndup(const char *text, size_t size)
{
	return text ? must(strndup(text, size)) : NULL;
}
