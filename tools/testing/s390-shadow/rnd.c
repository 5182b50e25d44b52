// SPDX-License-Identifier: GPL-2.0
/* Pseudo random numbers; each thread has its own sequence */

#include "harness.h"

static __thread u64 random_state;

void rnd_seed(u64 s)
{
	random_state = s * 0x9e3779b97f4a7c15ULL + 0x1234567;
	rnd();
	rnd();
}

/* xorshift64* */
u64 rnd(void)
{
	u64 x = random_state ?: 88172645463325252ULL;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random_state = x;
	return x * 0x2545f4914f6cdd1dULL;
}

unsigned int rnd_below(unsigned int n)
{
	return (rnd() >> 33) % n;
}
