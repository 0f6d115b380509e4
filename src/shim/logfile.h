/*
 * Writing the json-file log: one JSON object per line, {"log":"text\n","stream":"stdout",
 * "attrs":{...},"time":"..."}, as Docker writes it, with rotation. Only the shim writes; the
 * daemon only reads (logread.h), so output survives any number of daemons.
 *
 * Rotation renames name -> name.1 -> name.2 ...; with compression a forked child turns name.1 into
 * name.1.gz while the container goes on. A rotation that comes before it is done ends that child:
 * the file then stays as it is, which the reader does not mind.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "shim/protocol.h"

#include <sys/types.h>

#define LOG_NAME "json.log"
#define LOG_PARTIAL 16384 /* a longer line is cut into entries of this size, as Docker does */

struct logfile {
    int dir_fd, fd; /* dir_fd is borrowed */
    const struct shim_log *conf;
    int64_t size;
    struct buf out;        /* encoded entries of one batch */
    struct buf partial[3]; /* by stream: what came without its newline yet */
    struct buf attrs;      /* ,"attrs":{...} or empty */
    pid_t compressor;
    int failed; /* errno of the last failed write: said once, not per line */
};

/** logfile_open() - open or continue the log in @dir_fd; @conf must outlive it. */
int logfile_open(struct logfile *l, int dir_fd, const struct shim_log *conf, struct err *err) MUST;
/** logfile_add() - @n bytes of output of @stream (1 or 2); written through before it returns. */
void logfile_add(struct logfile *l, int stream, const char *p, size_t n);
/** logfile_done() - write what is left without a newline, close. A compressor is left running. */
void logfile_done(struct logfile *l);
/** logfile_reaped() - tell it that the child @pid ended; true when it was the compressor. */
bool logfile_reaped(struct logfile *l, pid_t pid);
