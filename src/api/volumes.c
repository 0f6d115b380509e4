#include "api/api-priv.h"

static const struct http_route table[] = {
    {"GET", "/volumes", api_not_built, 0, 0},
    {"POST", "/volumes/create", api_not_built, 0, 0},
    {"POST", "/volumes/prune", api_not_built, 0, 0},
    {"GET", "/volumes/{name:.*}", api_not_built, 0, 0},
    {"PUT", "/volumes/{name:.*}", api_not_built, 0, 0},
    {"DELETE", "/volumes/{name:.*}", api_not_built, 0, 0},
};
ROUTES(volume_routes, table);
