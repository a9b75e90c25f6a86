#include "complain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int complain(char **ret_message, int error, const char *format, ...)
{
	va_list arguments;
	char *message = NULL;

	va_start(arguments, format);
	if (vasprintf(&message, format, arguments) < 0)
		abort(); /* as every small allocation: there is no memory for a sentence */
	va_end(arguments);
	*ret_message = message;
	return error;
}
