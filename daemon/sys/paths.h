/*
 * Where things are when nobody says otherwise, and the folders that the daemon makes for itself. By hand and
 * under a user's service manager everything is below that user's folders; as root and as a system service it
 * is below /etc, /run and /var/lib.
 */
#ifndef TINKEX_SYS_PATHS_H
#define TINKEX_SYS_PATHS_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/attributes.h"

/* The value of an environment variable; NULL if it is unset or empty. */
const char *paths_environment(const char *name);

/* Root, or started by the system's service manager. */
bool paths_system_wide(void);

/* Each a new string, never NULL. `*ret_origin` is a static text that says where it comes from: "default" or
 * the variable. */
char *paths_config_file(void);
char *paths_socket(const char **ret_origin);
char *paths_state_dir(const char **ret_origin);

/* The path made absolute by the current directory. A new string, never NULL. */
char *paths_absolute(const char *path);

/* Makes a directory and its parents, each with this mode if it is missing. 0 or negative errno; an existing
 * directory (or a symbolic link to one) is 0, anything else of that name -ENOTDIR. */
_must_check_ int paths_make_directory(const char *path, mode_t mode);

/* Makes the folder of the socket if it is missing: 0755 for /run/tinkexd, else 0700. The fallback below /tmp
 * is accepted only if it is ours alone, since anybody may have made it. Negative errno with a sentence in
 * *ret_message, freed by the caller. */
_must_check_ int paths_prepare_socket_folder(const char *socket, char **ret_message);

/* Opens a file that holds a secret for reading, if nobody else can read or change it: it must be a regular
 * file of the daemon's user or of root, without access for others; a group may read it only if it is root's
 * (root:tinkexd 0640). Its descriptor in *ret_fd, owned by the caller. -ENOENT: there is none. -EPERM: others
 * have access. Other negative errno: it cannot be read. With a fragment in *ret_reason that goes on after the
 * file's name ("has mode 0644: ...; chmod 600 ..."), freed by the caller. */
_must_check_ int paths_open_secret(const char *path, int *ret_fd, char **ret_reason);

#endif
