/*
 * Sources on the net: a file behind an URL, or a Git repository, fetched into a directory of ours.
 * It is fetched from the host's network. What comes is not trusted.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "build/git_url.h"

#include <stdbool.h>
#include <stdint.h>

struct build_secret;
struct dist_config;

#define FETCH_MAX_B (UINT64_C(16) << 30) /* of one file, or one pack of a repository */

/* What all fetching of a build needs. */
struct fetcher {
    const struct dist_config *web; /* proxies, certificates, time-outs */
    int tmp_fd;                    /* where directories are made */
    const int *gone_fd;            /* end it when that hangs up; -1: never */
    const char *ssh_agent;         /* a socket's path, or NULL */
    const struct build_secret *secrets;
    size_t nsecrets; /* "GIT_AUTH_TOKEN", "GIT_AUTH_HEADER", also with ".HOST" */
};

/** git_auth_header() - what lets us into the repository, of the secrets: "http.URL.extraHeader" and
 * its value, in @a. Return: 1; 0: there is none, or it is not reached by HTTP; -EINVAL. */
int git_auth_header(const struct fetcher *f, const struct git_url *u, struct arena *a,
                    char **ret_key, char **ret_val, struct err *err) MUST;

struct fetched {
    int tmp_fd;    /* of the fetcher */
    char name[17]; /* of the directory, below it; "" for none */
    int fd;        /* the directory */
    char *path;    /* what was wanted, below it: a file, or a directory; "" is all of it */
    char id[72];   /* what it is: the digest of a file, or a commit */
    int64_t mtime_s;
    unsigned how; /* options that make other files of the same commit: differs when they do */
};

/** fetch_is_remote() - an URL of the web, or a Git repository. */
bool fetch_is_remote(const char *source);

/**
 * fetch_http() - a file, with mode 0600 and the time that the server tells (else 1970)
 * @checksum: "sha256:<hex>" that it must have, or NULL
 * @ret: also after an error to be freed by fetched_done()
 * Return: 0; -EINVAL no such URL; -EBADMSG (invalid) another digest; -E2BIG; -ECANCELED; -ENOENT
 *   (unavailable) the server says no.
 */
int fetch_http(const struct fetcher *f, const char *url, const char *checksum, struct arena *a,
               struct fetched *ret, struct err *err) MUST;
/**
 * fetch_git() - a commit's files, by the host's git
 * @ret: as above
 * Return: 0; -ENOENT (unavailable) there is no git, or it says no; -EBADMSG (invalid) another
 * commit.
 */
int fetch_git(const struct fetcher *f, const struct git_url *u, struct arena *a,
              struct fetched *ret, struct err *err) MUST;
/** fetch_dir() - an empty directory in @ret, for who fetches otherwise. */
int fetch_dir(const struct fetcher *f, struct fetched *ret, struct err *err) MUST;
/** fetched_done() - removes it. */
void fetched_done(struct fetched *f);
