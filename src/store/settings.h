/* Single facts of the installation that must survive: the engine's id, the default bridge ... */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct db;

/** setting_get() - Return: 0 with a copy in @a, or NULL in *@ret when it was never set. */
int setting_get(struct db *db, const char *key, struct arena *a, char **ret, struct err *err) MUST;
/** setting_set() - @val NULL deletes. */
int setting_set(struct db *db, const char *key, const char *val, struct err *err) MUST;
