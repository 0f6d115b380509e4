/*
 * The daemon's side: bring a shim to life, find it again, ask it for something. Every call is one
 * request on a connection of its own (a unix connect costs microseconds), so calls of several
 * threads never wait for each other.
 */
#pragma once

#include "shim/protocol.h"

struct shim_spawn {
    const char *program;          /* path of cleat-shim */
    const struct shim_plan *plan; /* sources of mounts (source_fd) are borrowed, and renumbered */
    int run_fd, data_fd;          /* directories; borrowed */
    int seccomp_fd;               /* borrowed; -1: none. plan->seccomp_fd is set by shim_spawn() */
    const int *attach_fds;        /* borrowed, plan->attach.n of them; plan->attach[i]->fd is set */
};

/**
 * shim_spawn() - start a shim; it begins to make the container at once
 * Return: the control socket (CLOEXEC), on which "started" or "failed" comes first; -errno.
 * posix_spawn(3), never fork: its cost does not grow with the daemon's heap. The child is reaped
 * by the kernel: the daemon ignores SIGCHLD.
 */
int shim_spawn(struct shim_spawn *sp, struct err *err) MUST;

/* How long a living shim may take for an answer, on the busiest machine. */
#define SHIM_PATIENCE_MS 60000

/** shim_connect() - connect to the shim whose run directory is @run_fd.
 * @timeout_ms: for connecting, and for each answer on the socket
 * Return: socket; -ENOENT or -ECONNREFUSED when it is gone, -ETIMEDOUT. */
int shim_connect(int run_fd, int timeout_ms, struct err *err) MUST;

/** shim_first_event() - wait for "started" or "failed" on a new shim's control socket.
 * Return: 1, 0 the shim has ended, -ETIMEDOUT, -errno. */
int shim_first_event(int control, int timeout_ms, struct arena *a, struct shim_event *ret,
                     struct err *err) MUST;

/**
 * shim_call() - one request on a new connection, and its answer
 * @fd: descriptor to pass, or -1; borrowed
 * Return: 0; 1 the shim has ended, if only while it was asked; the shim's own error; -ETIMEDOUT
 * after SHIM_PATIENCE_MS.
 */
int shim_call(int run_fd, const struct shim_req *req, int fd, struct arena *a,
              struct shim_reply *reply, struct err *err) MUST;
/** shim_call_on() - the same on a connected socket, with its patience; it stays open ("watch"). */
int shim_call_on(int sock, const struct shim_req *req, int fd, struct arena *a,
                 struct shim_reply *reply, struct err *err) MUST;

/** shim_exit_record() - what a shim left behind that ended unseen.
 * Return: 1 found, 0 none. */
int shim_exit_record(int run_fd, struct arena *a, struct shim_event *ret, struct err *err) MUST;
