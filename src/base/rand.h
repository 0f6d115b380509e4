/* Random bytes from the kernel, and ids made of them. */
#pragma once

#include <stddef.h>

#define ID_LEN 64 /* hex digits of a container, network or exec id */

/** rand_bytes() - getrandom(2); aborts if the kernel has none (it always has). */
void rand_bytes(void *p, size_t n);
/** rand_hex() - @digits hex digits and a NUL into @out. */
void rand_hex(char *out, size_t digits);
/** rand_id() - a new 64-digit id whose first 12 digits are not all decimal (as Docker's), so that
 * a short id is never taken for a number. */
void rand_id(char out[ID_LEN + 1]);
