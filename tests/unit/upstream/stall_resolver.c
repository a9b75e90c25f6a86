#include "stall_resolver.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static unsigned waiting;
static bool released;

typedef int lookup(const char *node, const char *service, const struct addrinfo *hints,
		   struct addrinfo **result);

static bool is_stalled(const char *node)
{
	static const char suffix[] = ".stalled";
	size_t size = node ? strlen(node) : 0;

	return size >= sizeof(suffix) - 1 && strcmp(node + size - (sizeof(suffix) - 1), suffix) == 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	if (!is_stalled(node)) {
		lookup *next = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");

		return next(node, service, hints, result);
	}
	pthread_mutex_lock(&lock);
	waiting++;
	while (!released)
		pthread_cond_wait(&turned, &lock);
	waiting--;
	pthread_cond_broadcast(&turned);
	pthread_mutex_unlock(&lock);
	return EAI_AGAIN;
}

unsigned stall_waiting(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = waiting;
	pthread_mutex_unlock(&lock);
	return n;
}

void stall_release(void)
{
	pthread_mutex_lock(&lock);
	released = true;
	pthread_cond_broadcast(&turned);
	while (waiting)
		pthread_cond_wait(&turned, &lock);
	pthread_mutex_unlock(&lock);
}
