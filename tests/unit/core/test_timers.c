/* Timers against a plain array of times, under random arming, cancelling and running, from inside handlers
 * too. */
#include <string.h>

#include "../proto/test_run.h"
#include "core/timers.h"
#include "must.h"
#include "proto/attributes.h"

#define TIMERS 300

/* One timer and what the model knows of it. */
struct entry {
	struct timer timer;
	int64_t when;
	bool armed;
	bool late; /* armed in this run for what was already past: not before the next one */
};

struct model {
	struct timers timers;
	struct entry entries[TIMERS];
	int64_t now;
	bool running;
	unsigned fired, late_seen;
	int mischief; /* calls that each handler makes */
};

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(random_state >> 8) * limit >> 24);
}

static void model_set(struct model *model, struct entry *entry, int64_t when)
{
	timers_set(&model->timers, &entry->timer, when);
	entry->when = when;
	entry->armed = when != TIME_NEVER;
	entry->late = model->running && when <= model->now;
	model->late_seen += entry->late;
}

static void model_cancel(struct model *model, struct entry *entry)
{
	timers_cancel(&model->timers, &entry->timer);
	entry->armed = false;
	entry->late = false;
}

static void random_call(struct model *model)
{
	struct entry *entry = &model->entries[random_below(TIMERS)];
	uint32_t what = random_below(100);

	if (what < 25)
		model_cancel(model, entry);
	else if (what < 28)
		model_set(model, entry, TIME_NEVER);
	else if (what < 30)
		model_set(model, entry, INT64_MIN + random_below(5));
	else if (what < 32)
		model_set(model, entry, TIME_NEVER - 1 - random_below(5));
	else
		model_set(model, entry, model->now - 40 + random_below(200));
}

static void assert_model(const struct model *model)
{
	int64_t next = TIME_NEVER;

	for (size_t i = 0; i < TIMERS; i++) {
		const struct entry *entry = &model->entries[i];

		must(timer_armed(&entry->timer) == entry->armed);
		if (!entry->armed)
			continue;
		must(entry->timer.when == entry->when);
		next = entry->when < next ? entry->when : next;
	}
	must(timers_next(&model->timers) == next);
}

static void on_timer(void *context, struct timer *timer, int64_t now)
{
	struct model *model = context;
	struct entry *entry = container_of(timer, struct entry, timer);

	must(now == model->now);
	must(model->running);
	must(entry->armed);
	must(!entry->late);
	must(entry->when <= now);
	for (size_t i = 0; i < TIMERS; i++) {
		if (model->entries[i].armed && !model->entries[i].late)
			must(model->entries[i].when >= entry->when);
	}
	must(!timer_armed(timer));
	entry->armed = false;
	model->fired++;
	for (int i = 0; i < model->mischief; i++)
		random_call(model);
	if (model->fired % 16 == 0)
		assert_model(model);
}

static void model_run(struct model *model)
{
	model->running = true;
	timers_run(&model->timers, model->now);
	model->running = false;
	for (size_t i = 0; i < TIMERS; i++) {
		struct entry *entry = &model->entries[i];

		/* Nothing that was due is left, but for what came too late. */
		must(!entry->armed || entry->late || entry->when > model->now);
		entry->late = false;
	}
	assert_model(model);
}

static void model_init(struct model *model, int mischief)
{
	memset(model, 0, sizeof(*model));
	timers_init(&model->timers);
	model->now = 1000;
	model->mischief = mischief;
	for (size_t i = 0; i < TIMERS; i++)
		timer_init(&model->entries[i].timer, (enum timer_kind)(i % TIMER_KIND_COUNT));
	for (int kind = 0; kind < TIMER_KIND_COUNT; kind++)
		timers_handle(&model->timers, (enum timer_kind)kind, on_timer, model);
	assert_model(model);
}

START_TEST(agree_with_a_plain_array)
{
	for (int mischief = 0; mischief < 4; mischief++) {
		static struct model model;

		random_state = 20261124 + (uint32_t)mischief;
		model_init(&model, mischief);
		for (int round = 0; round < 600; round++) {
			int calls = (int)random_below(round % 50 == 0 ? 600 : 12);

			for (int i = 0; i < calls; i++)
				random_call(&model);
			assert_model(&model);
			model.now += random_below(30) * random_below(4);
			model_run(&model);
		}
		ck_assert_uint_gt(model.fired, 3000);
		ck_assert(!mischief || model.late_seen > 300);
		timers_release(&model.timers);
		ck_assert_int_eq(timers_next(&model.timers), TIME_NEVER);
	}
}
END_TEST

/* One timer that arms itself again for the same moment. */
struct insistent {
	struct timers timers;
	struct timer timer, other;
	int runs, other_runs;
	int64_t again_in;
};

static void on_insistent(void *context, struct timer *timer, int64_t now)
{
	struct insistent *insistent = context;

	insistent->runs++;
	timers_set(&insistent->timers, timer, now + insistent->again_in);
	/* It is late, but armed: whoever asks is told so. */
	ck_assert(timer_armed(timer));
	ck_assert_int_eq(timers_next(&insistent->timers), now + insistent->again_in);
}

static void on_other(void *context, struct timer *timer, int64_t now)
{
	struct insistent *insistent = context;

	(void)timer;
	(void)now;
	insistent->other_runs++;
}

static void insistent_init(struct insistent *insistent, int64_t again_in)
{
	*insistent = (struct insistent){.again_in = again_in};
	timers_init(&insistent->timers);
	timers_handle(&insistent->timers, TIMER_GATE, on_insistent, insistent);
	timers_handle(&insistent->timers, TIMER_WAITER, on_other, insistent);
	timer_init(&insistent->timer, TIMER_GATE);
	timer_init(&insistent->other, TIMER_WAITER);
}

START_TEST(a_run_ends_although_handlers_arm_for_now)
{
	for (int64_t again_in = -3; again_in <= 0; again_in++) {
		struct insistent insistent;

		insistent_init(&insistent, again_in);
		timers_set(&insistent.timers, &insistent.timer, 5);
		timers_run(&insistent.timers, 4);
		ck_assert_int_eq(insistent.runs, 0);
		for (int i = 1; i < 5; i++) {
			timers_run(&insistent.timers, 5);
			ck_assert_int_eq(insistent.runs, i);
			ck_assert_int_eq(timers_next(&insistent.timers), 5 + again_in);
		}
		timers_cancel(&insistent.timers, &insistent.timer);
		timers_run(&insistent.timers, 5);
		ck_assert_int_eq(insistent.runs, 4);
		timers_release(&insistent.timers);
	}
}
END_TEST

static void arm_and_cancel_other(void *context, struct timer *timer, int64_t now)
{
	struct insistent *insistent = context;

	(void)timer;
	insistent->runs++;
	timers_set(&insistent->timers, &insistent->other, now);
	timers_cancel(&insistent->timers, &insistent->other);
	ck_assert(!timer_armed(&insistent->other));
	timers_set(&insistent->timers, &insistent->other, now - 1);
	timers_set(&insistent->timers, &insistent->other, now + 7);
}

START_TEST(a_late_timer_can_be_cancelled_and_moved)
{
	struct insistent insistent;

	insistent_init(&insistent, 0);
	timers_handle(&insistent.timers, TIMER_GATE, arm_and_cancel_other, &insistent);
	timers_set(&insistent.timers, &insistent.timer, 5);
	timers_set(&insistent.timers, &insistent.other, 5);
	timers_run(&insistent.timers, 5);
	ck_assert_int_eq(insistent.runs, 1);
	ck_assert_int_eq(timers_next(&insistent.timers), 12);
	insistent.other_runs = 0; /* it may have had its turn before */
	timers_run(&insistent.timers, 11);
	ck_assert_int_eq(insistent.other_runs, 0);
	timers_run(&insistent.timers, 12);
	ck_assert_int_eq(insistent.other_runs, 1);
	timers_release(&insistent.timers);
}
END_TEST

static int64_t last_when;

static void in_order(void *context, struct timer *timer, int64_t now)
{
	(void)now;
	must(timer->when >= last_when);
	last_when = timer->when;
	++*(int *)context;
}

START_TEST(many_run_in_order)
{
	enum { N = 100000 };
	struct timer *many = calloc(N, sizeof(*many));
	struct timers timers;
	int runs = 0;

	random_state = 99;
	timers_init(&timers);
	timers_handle(&timers, TIMER_FUTURE_DUE, in_order, &runs);
	for (int i = 0; i < N; i++) {
		timer_init(&many[i], TIMER_FUTURE_DUE);
		timers_set(&timers, &many[i], random_below(1 << 20));
	}
	for (int i = 0; i < N; i += 3)
		timers_set(&timers, &many[i], random_below(1 << 20));
	for (int i = 0; i < N; i += 4)
		timers_cancel(&timers, &many[i]);
	last_when = 0;
	timers_run(&timers, 1 << 20);
	ck_assert_int_eq(runs, N - N / 4);
	ck_assert_int_eq(timers_next(&timers), TIME_NEVER);
	timers_release(&timers);
	free(many);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		agree_with_a_plain_array,
		a_run_ends_although_handlers_arm_for_now,
		a_late_timer_can_be_cancelled_and_moved,
		many_run_in_order,
	};

	return RUN_SUITE("timers", tests);
}
