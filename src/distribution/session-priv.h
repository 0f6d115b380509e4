/* A session's inside, shared by its three files: endpoints, calls, replies. */
#pragma once

#include "distribution/session.h"

#include <pthread.h>

struct endpoint {
    struct url base; /* its target: path in front of "v2/", ends with "/" */
    struct auth *auth;
    bool mirror;
    bool proven, dead; /* under the lock */
};

struct dist_session {
    struct transport *t;
    struct arena mem;
    int gone_fd;
    bool push;
    pthread_mutex_t lock;
    struct {
        struct endpoint *v;
        size_t n;
    } endpoints;
};

struct dist_reply {
    struct http_reply *http;
    struct arena mem;
    struct url url; /* where the answer came from */
    size_t endpoint;
    bool mirror;
};
