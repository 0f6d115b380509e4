/*
 * The REST API: route tables and thin handlers, one file per resource. A handler decodes, calls
 * one function of the engine, and encodes; no rule of what a container is lives in here.
 */
#pragma once

#include "base/err.h"
#include "http/server.h"

struct api;
struct engine;

/** api_new() - @e must outlive it. */
struct api *api_new(struct engine *e);
void api_free(struct api *api);
/** api_dispatch() - the handler to give to http_server_new(): versions, headers, routes. */
http_handler api_dispatch;
