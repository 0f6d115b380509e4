/* Streams of progress messages: bars that are redrawn on a terminal, plain lines elsewhere. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct cli;
struct http_reply;

/**
 * progress_run() - show a stream to its end
 * @reply: given away
 * @quiet: show nothing but errors
 * Return: 0, or the error that the stream reported.
 */
int progress_run(struct cli *cli, struct http_reply *reply, bool quiet, bool to_stderr,
                 struct err *err) MUST;
