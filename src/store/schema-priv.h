/* The schema as a list of steps; step N takes a catalog of version N to version N + 1. */
#pragma once

extern const char *const schema_steps[];
extern const int schema_steps_n;
