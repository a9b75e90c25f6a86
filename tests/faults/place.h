/*
 * Whether a call concerns the directory under test, and what the file is called there. Nothing is remembered
 * about descriptors: the kernel is asked at each call, so that duplicated, inherited and renamed ones are
 * right.
 */
#ifndef TINKEX_FAULTS_PLACE_H
#define TINKEX_FAULTS_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

/* A name relative to the directory; the directory itself is ".". */
struct place {
	char name[PATH_MAX];
};

/* `directory`: absolute, without symbolic links, copied. */
void place_set_directory(const char *directory);
/* The directory itself, absolute. */
const char *place_directory(void);
/* Whether the descriptor is a file or a directory in the directory under test (or was, before its removal).
 */
bool place_of_fd(int fd, struct place *ret_place);
/* The same for a name as openat() takes it. The last part is not followed if it is a symbolic link. */
bool place_of_path(int dirfd, const char *path, struct place *ret_place);
/* lstat() of a name in the directory. */
int place_stat(const char *name, struct stat *ret_stat);
/* Opens a file of the directory to be read; not if it is a symbolic link. */
int place_open(const char *name);

#endif
