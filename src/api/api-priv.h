#pragma once

#include "api/api.h"
#include "engine/engine.h"
#include "wire/version.h"

struct api {
    struct engine *engine;
};

/* One table per resource; searched in this order. */
extern const struct http_routes container_routes, exec_routes, image_routes, network_routes,
    volume_routes, system_routes, distribution_routes, file_routes, build_routes;

#define ROUTES(NAME, TABLE)                                                                        \
    const struct http_routes NAME = {TABLE, sizeof(TABLE) / sizeof((TABLE)[0])}

/** api_filters() - the "filters" query parameter. */
int api_filters(struct http_req *req, struct filters *ret, struct err *err) MUST;
/**
 * api_platform() - the "platform" query parameter, an OCI platform as JSON
 * @since: versions before it do not have the parameter
 * @ret: points to @store, or NULL when it was not given
 */
int api_platform(struct http_req *req, unsigned since, struct platform *store,
                 const struct platform **ret, struct err *err) MUST;
/** api_query_map() - a parameter that is a JSON object of strings; a null one is left out. */
int api_query_map(struct http_req *req, const char *key, struct strmap *ret, struct err *err) MUST;
/** api_not_built() - 501 with a clear word: for routes that are known and come later. */
http_handler api_not_built;
/** api_reply_list() - a JSON array of @n objects. */
int api_reply_list(struct http_req *req, struct http_resp *resp, const struct json_type *type,
                   void *const *v, size_t n) MUST;
/** api_progress() - one object of a progress stream, which begins with the first of them. */
int api_progress(struct http_resp *resp, const struct progress_message *m, struct err *err) MUST;
/** api_progress_end() - end the stream; @r: how the work ended. Before the first object an error is
 * the reply, behind it the last object. */
int api_progress_end(struct http_resp *resp, int r, struct err *err) MUST;
/** api_tell_transfer() - a step of a pull or push as a progress message; @arg: the http_resp. */
struct transfer_event;
int api_tell_transfer(void *arg, const struct transfer_event *e, struct err *err) MUST;
/** api_search() - stands in the table of images, whose names would match it. */
http_handler api_search;
/** api_read_body(), api_write() - a request's body as the engine reads, a reply as it writes. */
ssize_t api_read_body(void *req, void *p, size_t n, struct err *err) MUST;
int api_write(void *resp, const void *p, size_t n, struct err *err) MUST;
/** POST /build/context, /build/session, and below /build/session/{id}/ */
http_handler api_build_context, api_build_context_files, api_build_layout, api_build_layout_image,
    api_build_session, api_build_ssh;
/** below /build/history */
http_handler api_build_history, api_build_record, api_build_record_log, api_build_record_remove,
    api_build_records_remove;
/** api_pull() - POST /images/create?fromImage=...; api_push() - POST /images/{name}/push */
http_handler api_pull, api_push;
/** api_seconds() - query parameter of a time-out: *ret points to @store when it was given. */
int api_seconds(struct http_req *req, const char *key, int64_t *store, int64_t **ret,
                struct err *err) MUST;
/** api_stream_type() - content type of a raw or framed stream. */
const char *api_stream_type(const struct http_req *req, bool tty);

/**
 * api_let_head_be_read() - wait (half a second at most) until the client of a hijacked connection
 * has taken the response head. docker-py reads the head through a buffer that it then throws away,
 * with the first bytes of the stream if they came along; an engine that answers in a millisecond
 * makes that happen. The kernel tells for unix sockets, without an event to wait for, so this one
 * asks.
 */
void api_let_head_be_read(int fd);
