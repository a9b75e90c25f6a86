/* Compiler attributes and the two helpers of the house style: cleanup on scope exit, and handing over by
 * stealing. */
#ifndef TINKEX_PROTO_ATTRIBUTES_H
#define TINKEX_PROTO_ATTRIBUTES_H

#include <stddef.h>

#define _cleanup_(f)       __attribute__((cleanup(f)))
#define _must_check_       __attribute__((warn_unused_result))
#define _printf_(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define _unused_           __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Gives the pointer away: the variable becomes NULL, so its cleanup does nothing. */
#define steal_pointer(ptr)                                                                                   \
	({                                                                                                   \
		__typeof__(ptr) *steal_at_ = &(ptr);                                                         \
		__typeof__(ptr) stolen_ = *steal_at_;                                                        \
		*steal_at_ = NULL;                                                                           \
		stolen_;                                                                                     \
	})

/* Defines thing_freep() for _cleanup_ out of thing_free(). */
#define DEFINE_FREEP(type, func)                                                                             \
	_unused_ static inline void func##p(type **ptr)                                                      \
	{                                                                                                    \
		if (*ptr)                                                                                    \
			func(*ptr);                                                                          \
	}

#endif
