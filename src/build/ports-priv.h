/* What EXPOSE takes: "80", "53/udp", "8000-8010", and what -p would: "[ip:]host:container". */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct port_spec {
    char *ip, *host; /* "" when not given */
    char *proto;     /* as written; "tcp" when not given */
    char *ports;     /* text of @from and @to */
    uint16_t from, to;
};

/** port_spec_parse() - everything in @a. Return: 0; -EINVAL with Docker's words. */
int port_spec_parse(const char *text, struct arena *a, struct port_spec *ret, struct err *err) MUST;
