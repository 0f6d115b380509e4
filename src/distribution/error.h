/*
 * What registries and token servers say when they refuse: a JSON body with codes, told in Docker's
 * words ("manifest unknown: manifest unknown"). The errno tells the codes apart:
 *
 *   ENOENT       MANIFEST_UNKNOWN, BLOB_UNKNOWN, or 404 without a code   (not found)
 *   ENOMEDIUM    NAME_UNKNOWN                                            (not found)
 *   EACCES       DENIED, or 403 without a code                           (denied)
 *   EKEYREJECTED UNAUTHORIZED, or 401 without a code                     (unauthorized)
 *   EDQUOT       TOOMANYREQUESTS, or 429 without a code                  (unavailable)
 *   EREMOTEIO    everything else
 */
#pragma once

#include "base/err.h"
#include "http/client.h"

/** dist_refused() - make an error of an answer's status and body (at most 64 KiB are read). */
int dist_refused(struct http_reply *r, const char *host, struct err *err) MUST;
