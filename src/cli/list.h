/*
 * Lists with --format: a default table, "table TEMPLATE", "json", or a template per row. A row is a
 * set of named texts, the placeholders.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

struct tmpl;

/* Placeholder and its column header; the table ends with a NULL name and, instead of a header, what
 * Go calls the row's type: messages show it. */
struct heading {
    const char *name, *header;
};

struct list {
    struct arena *a;
    const struct heading *headings;
    struct tmpl *tmpl;
    const char *type;
    bool table;
    struct json row, *last;
    struct buf out;
};

/**
 * list_begin() - parse the format
 * @format: the user's, or "" or NULL for @otherwise ("table {{.ID}}\t...")
 */
int list_begin(struct list *l, struct arena *a, const char *format, const char *otherwise,
               const struct heading *headings, struct err *err) MUST;
/** list_row() - begin a row. list_cell(): give a placeholder its text (copied). */
void list_row(struct list *l);
void list_cell(struct list *l, const char *name, const char *text);
void list_cellf(struct list *l, const char *name, const char *fmt, ...) PRINTF(3, 4);
/** list_bool() - a placeholder that is true or false; list_null(): that has no value. */
void list_bool(struct list *l, const char *name, bool yes);
void list_null(struct list *l, const char *name);
/** list_row_end() - print it; @labels: for {{.Label "x"}}, or NULL. */
int list_row_end(struct list *l, const struct strmap *labels, struct err *err) MUST;
/** list_end() - align tables and write everything to stdout. */
void list_end(struct list *l);
/** list_text() - the same as text: for screens that are redrawn. */
void list_text(struct list *l, struct buf *out);

/** list_done() - forget what was not written. */
void list_done(struct list *l);
#define auto_list __attribute__((__cleanup__(list_done)))

/** list_wants() - the format names the placeholder. */
bool list_wants(const char *format, const char *placeholder);

/* Texts of cells. */

/** cell_printable() - ASCII without blanks and controls, all else as "?": what a registry says must
 * not steer the terminal. */
char *cell_printable(struct arena *a, const char *text);
/** cell_short_id() - without "sha256:", the first 12 digits. */
char *cell_short_id(struct arena *a, const char *id, bool whole);
/** cell_cut() - at most @width characters, the last of which says that something is missing. */
char *cell_cut(struct arena *a, const char *s, size_t width);
/** cell_labels() - "a=b,c=d". */
char *cell_labels(struct arena *a, const struct strmap *labels);
/** cell_time() - as Go prints a time: "2024-01-02 15:04:05 +0000 UTC". */
char *cell_time(struct arena *a, int64_t unix_s);
/** cell_rfc3339() - "2024-01-02T15:04:05Z", in the local zone. */
char *cell_rfc3339(struct arena *a, int64_t unix_s);
/** cell_ago() - "3 hours ago". */
char *cell_ago(struct arena *a, int64_t unix_s);
char *cell_size(struct arena *a, double size);
