/* A library that stands before libc: names that end in ".stalled" are looked up until stall_release(). */
#ifndef TEST_UPSTREAM_STALL_RESOLVER_H
#define TEST_UPSTREAM_STALL_RESOLVER_H

/* Threads that are stuck in a look-up now. */
unsigned stall_waiting(void);
/* Lets all go, fails whatever comes later at once, and returns when nobody is stuck any more. */
void stall_release(void);

#endif
