/*
 * The file of a listening Unix socket: making its folder, taking the place of a dead one, having the right
 * mode from the first instant, and going again. Accepts nobody.
 */
#ifndef TINKEX_IPC_SOCKET_FILE_H
#define TINKEX_IPC_SOCKET_FILE_H

#include <sys/types.h>

#include "proto/attributes.h"

struct socket_file {
	char *path; /* owned; NULL: nothing was bound here */
	dev_t device;
	ino_t inode;
};

/* Binds `path` and listens: a non-blocking socket in *ret_fd, the caller's. The folder is made with mode 0700
 * if it is missing. `group` (gid_t)-1: leave. Negative errno with a sentence for people in *ret_message
 * (malloc'ed): -EADDRINUSE when somebody listens there. */
_must_check_ int socket_file_listen(const char *path, mode_t mode, gid_t group, struct socket_file *ret_file,
				    int *ret_fd, char **ret_message);
/* Checks a listening socket that was handed over, and makes it non-blocking. */
_must_check_ int socket_file_adopt(int fd, char **ret_message);
/* Removes the file if it is still the one that was bound. */
void socket_file_remove(struct socket_file *file);

#endif
