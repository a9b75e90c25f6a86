/*
 * The service manager: what it is told (readiness, status, going down), the socket that it may hand over, and
 * the process limits that a service is started with. Built without libsystemd the notices are dropped and
 * there is never a socket; everything else behaves the same. Never fails: a daemon that cannot tell its
 * manager something still serves.
 */
#ifndef TINKEX_SYS_SERVICE_H
#define TINKEX_SYS_SERVICE_H

#include <stdint.h>

#include "proto/attributes.h"

/* Started, or reloaded: the end of either. */
void service_ready(void);
/* A reload begins; service_ready() ends it. */
void service_reloading(void);
/* Going down in order. */
void service_stopping(void);
/* The line that `systemctl status` shows: what the daemon is doing, for people. */
void service_status(const char *format, ...) _printf_(1, 2);

/* How often service_watchdog_ping() must be called, microseconds: half of what the manager asked for. 0: it
 * asked for nothing. */
int64_t service_watchdog_interval(void);
void service_watchdog_ping(void);

/* The listening Unix stream socket that the manager handed over, close-on-exec, or -1. The caller owns it.
 * What else was handed over is closed and logged. Once per process: a second call finds nothing. */
int service_listening_socket(void);

/* Raises the soft limit of open files to the hard one. Returns what it is now. */
uint64_t service_raise_descriptor_limit(void);

#endif
