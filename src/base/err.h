/*
 * The one error type of the project. A function that can fail returns 0 or a positive value, or
 * -errno, and fills a caller-owned struct err. There is no heap in it, so it works when memory is
 * short, and it fits in PIPE_BUF, so that a cloned child can send it through a pipe in one write.
 */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>

#define MUST __attribute__((__warn_unused_result__))
#define PRINTF(f, a) __attribute__((__format__(__printf__, f, a)))

/* What went wrong, from the caller's point of view. The API maps each kind to one HTTP status. */
enum err_kind {
    ERR_NONE = 0,
    ERR_SYSTEM,          /* 500: the kernel, the disk, or we are at fault */
    ERR_INVALID,         /* 400: the request makes no sense */
    ERR_UNAUTHORIZED,    /* 401: credentials are missing or wrong */
    ERR_DENIED,          /* 403: understood, and refused */
    ERR_NOT_FOUND,       /* 404: no such object */
    ERR_CONFLICT,        /* 409: the object's state forbids it */
    ERR_NOT_IMPLEMENTED, /* 501: not built yet, or never */
    ERR_UNAVAILABLE,     /* 503: try again later */
};

struct err {
    int no; /* positive errno */
    enum err_kind kind;
    int line;
    char file[32];
    char msg[984]; /* UTF-8, cut with "..." when too long; whole struct <= PIPE_BUF */
};

/* An error is never 0 or positive. Written out at the call, where compilers and checkers see it: to
 * them the functions below could return anything. */
#define err_negative_(call)                                                                        \
    ({                                                                                             \
        int negative_ = (call);                                                                    \
        negative_ < 0 ? negative_ : -EIO;                                                          \
    })

/**
 * err_sys() - a system call failed: records errno, its text, and where
 * @err: may be NULL when nobody will read it
 * @fmt: what was tried, without a trailing colon
 * Return: -errno as it was on entry.
 */
#define err_sys(err, ...) err_negative_(err_sys_((err), __FILE__, __LINE__, __VA_ARGS__))

/**
 * err_no() - like err_sys(), with the errno given (positive or negative)
 * Return: the negative errno, as err->no has it; 0 is taken for EIO, since an error is never
 * success.
 */
#define err_no(err, no, ...) err_negative_(err_no_((err), __FILE__, __LINE__, (no), __VA_ARGS__))

/**
 * err_as() - an error of our own, of a given kind; the message is used as it stands
 * @no: positive errno that callers may branch on
 * Return: -no.
 */
#define err_as(err, kind, no, ...)                                                                 \
    err_negative_(err_as_((err), __FILE__, __LINE__, (kind), (no), __VA_ARGS__))

/* Shorthands for the commonest kinds. */
#define err_invalid(err, ...) err_as(err, ERR_INVALID, EINVAL, __VA_ARGS__)
#define err_not_found(err, ...) err_as(err, ERR_NOT_FOUND, ENOENT, __VA_ARGS__)
#define err_conflict(err, ...) err_as(err, ERR_CONFLICT, EEXIST, __VA_ARGS__)

/**
 * err_wrap() - put context in front of an error on its way out ("create veth a <-> b: ...")
 * @r: the negative errno the failed call returned
 * Return: @r.
 */
#define err_wrap(err, r, ...) err_negative_(err_wrap_((err), (r), __VA_ARGS__))

/**
 * err_code() - what a call recorded that says "failed" by returning NULL
 * Return: its -errno; -EIO when @err is NULL. Never 0.
 */
static inline int err_code(const struct err *err)
{
    return err_negative_(err ? -err->no : 0);
}

/** err_clear() - forget what a handled failure left behind. */
void err_clear(struct err *err);

int err_wrap_(struct err *err, int r, const char *fmt, ...) PRINTF(3, 4);
int err_sys_(struct err *err, const char *file, int line, const char *fmt, ...) PRINTF(4, 5);
int err_no_(struct err *err, const char *file, int line, int no, const char *fmt, ...) PRINTF(5, 6);
int err_as_(struct err *err, const char *file, int line, enum err_kind kind, int no,
            const char *fmt, ...) PRINTF(6, 7);
