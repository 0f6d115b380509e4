/*
 * Facts about a process from /proc. A process is named by pid and start time together: a pid alone
 * may have been given to another one meanwhile.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
    char state; /* 'R', 'S', 'Z', 'T' ... */
    pid_t ppid;
    uint64_t start_time; /* clock ticks since boot */
};

/** proc_stat_read() - Return: 0; -ESRCH when there is no such process. */
int proc_stat_read(pid_t pid, struct proc_stat *ret, struct err *err) MUST;
/** proc_alive() - is @pid still the process that started at @start_time, and not a zombie? */
bool proc_alive(pid_t pid, uint64_t start_time);
