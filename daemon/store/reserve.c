#include "reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define RESERVE_SIZE ((off_t)16 * 1024 * 1024)

int reserve_hold(int state_dir_fd)
{
	/* O_NONBLOCK: a FIFO of that name is an error, and waited for by nobody. */
	int error, fd = openat(state_dir_fd, RESERVE_FILE,
			       O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EDQUOT ? -ENOSPC : -errno;
	do {
		error = posix_fallocate(fd, 0, RESERVE_SIZE);
	} while (error == EINTR);
	if (error)
		reserve_give_up(state_dir_fd);
	close(fd);
	return error == EDQUOT ? -ENOSPC : -error;
}

void reserve_give_up(int state_dir_fd)
{
	unlinkat(state_dir_fd, RESERVE_FILE, 0);
}
