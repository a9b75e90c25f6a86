/*
 * Answers to requests: taken apart by what kind of call they belong to, and put together into the operation's
 * one reply. Which request an answer belongs to was found before; an await's are handed on to await.c.
 */
#ifndef TINKEX_CLIENT_ANSWER_H
#define TINKEX_CLIENT_ANSWER_H

#include "operation.h"
#include "proto/attributes.h"
#include "proto/message.h"

/* A request was answered, with a result or an error; the operation goes on, or ends by it. */
void answer_arrived(struct request *request, const struct message_reply *message);
/* Puts the items of a register answer, which `request` asked, into `reply`. -EBADMSG, -ENOMEM. */
int answer_take_registrations(tinkex_reply *reply, const struct request *request,
			      const struct message_reply *message) _must_check_;

#endif
