/* Columns of text, aligned as Go's tabwriter does with docker's settings: cells end with a tab,
 * are as wide as the widest of the neighbouring lines plus three, and at least ten. */
#pragma once

#include "base/buf.h"

/** table_align() - lines with tabs in @text to lines with blanks in @out. */
void table_align(const char *text, size_t minwidth, size_t padding, struct buf *out);
